//! Metadata and credentials: what the instance says about itself, and what it signs with.

use super::finding::Finding;
use super::presumption::presumed;
use super::scene::{Fault, Scene, broken, detail};
use super::{Cause, text};
use crate::check::CheckId;
use crate::observation::{Evidence, Observation, Reason};

pub fn findings(scene: &Scene<'_>, observation: &Observation, fault: &Fault) -> Vec<Finding> {
    let Some(cause) = presumed(fault.reason) else { return vec![] };
    if observation.check == CheckId::Credentials {
        return vec![credentials(scene, observation, fault.reason, cause)];
    }
    let finding = Finding::new(cause, metadata_fact(observation, fault.reason));
    vec![finding.advising(metadata_advice(scene, fault.reason))]
}

fn metadata_fact(observation: &Observation, reason: Reason) -> String {
    let asked = if let Evidence::Instance(seen) = &observation.evidence { seen.server } else { None };
    let server = asked.map(|server| format!(" at {server}"));
    let fact =
        format!("{}{} after {}", reason.words(), server.unwrap_or_default(), text::spell(observation.took));
    with_detail(fact, observation)
}

fn with_detail(fact: String, observation: &Observation) -> String {
    match detail(observation) {
        Some(detail) => format!("{fact} ({})", text::clip(detail, 180)),
        None => fact,
    }
}

fn metadata_advice(scene: &Scene<'_>, reason: Reason) -> Option<String> {
    let instance =
        scene.instance.and_then(|instance| instance.instance_id.as_deref()).unwrap_or("INSTANCE_ID");
    let modify = format!("aws ec2 modify-instance-metadata-options --instance-id {instance}");
    let through = "through the host's routes and firewall (ip route get 169.254.169.254)";
    let advice = [
        (Reason::MetadataDisabled, format!("Turn it on: {modify} --http-endpoint enabled.")),
        (
            Reason::MetadataTimeout,
            format!("In a container: {modify} --http-put-response-hop-limit 2; else let it {through}."),
        ),
        (Reason::MetadataUnreachable, format!("Let 169.254.169.254 {through}.")),
        (
            Reason::MetadataInvalid,
            "Find out what redirects 169.254.169.254: that is not metadata.".to_owned(),
        ),
    ];
    advice.into_iter().find(|(of, _)| *of == reason).map(|(_, advice)| advice)
}

fn credentials(scene: &Scene<'_>, observation: &Observation, reason: Reason, presumed: Cause) -> Finding {
    let fact = with_detail(reason.words().to_owned(), observation);
    if fact.contains("file system hangs") {
        return Finding::new(presumed, fact).healed_by(UNFREEZE);
    }
    let missing = presumed == Cause::NoInstanceRole;
    let metadata_is_broken =
        scene.check(&CheckId::Instance).is_some_and(|instance| broken(instance.outcome).is_some());
    if missing && metadata_is_broken {
        return Finding::new(Cause::MetadataUnavailable, fact);
    }
    Finding::new(presumed, fact).advising(credentials_advice(observation, reason))
}

// Not the cause's own remedy: a role would not be asked for either.
const UNFREEZE: &str = "Mount anew, or unmount, the file system of ~/.aws, or point AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE elsewhere: applications that read a profile hang in the same way.";

fn credentials_advice(observation: &Observation, reason: Reason) -> Option<String> {
    let words = detail(observation).unwrap_or_default();
    if words.contains("AssumeRoleUnauthorizedAccess") {
        return Some("The role must trust ec2.amazonaws.com (its trust policy).".into());
    }
    let advice =
        "If they come from STS, the subnet needs an sts endpoint and AWS_STS_REGIONAL_ENDPOINTS=regional.";
    (reason == Reason::CredentialsTimeout).then(|| advice.into())
}
