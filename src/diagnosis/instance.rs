//! Metadata and credentials: what the instance says about itself, and what it signs with.

use super::Cause;
use super::context::{Context, Failure, broken, detail};
use super::finding::Finding;
use super::presumption::default_cause;
use crate::check::CheckId;
use crate::observation::{Evidence, Observation, Reason};
use crate::wording;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Some(cause) = default_cause(failure.reason) else { return vec![] };
    if observation.check == CheckId::Credentials {
        return vec![credentials(context, observation, failure.reason, cause)];
    }
    let finding = Finding::new(cause, metadata_fact(observation, failure.reason));
    vec![finding.advising(metadata_advice(context, failure.reason))]
}

fn metadata_fact(observation: &Observation, reason: Reason) -> String {
    let asked = if let Evidence::Instance(evidence) = &observation.evidence { evidence.server } else { None };
    let server = asked.map(|server| format!(" at {server}"));
    let fact = format!(
        "{}{} after {}",
        reason.words(),
        server.unwrap_or_default(),
        wording::duration(observation.took)
    );
    with_detail(fact, observation)
}

fn with_detail(fact: String, observation: &Observation) -> String {
    match detail(observation) {
        Some(detail) => format!("{fact} ({})", wording::clip(&detail, 180)),
        None => fact,
    }
}

fn metadata_advice(context: &Context<'_>, reason: Reason) -> Option<String> {
    let instance =
        context.instance.and_then(|instance| instance.instance_id.as_deref()).unwrap_or("INSTANCE_ID");
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

fn credentials(
    context: &Context<'_>,
    observation: &Observation,
    reason: Reason,
    default_cause: Cause,
) -> Finding {
    let fact = with_detail(reason.words().to_owned(), observation);
    if fact.contains("file system hangs") {
        return Finding::new(default_cause, fact).healed_by(UNFREEZE);
    }
    let missing = default_cause == Cause::NoInstanceRole;
    let metadata_is_broken =
        context.check(&CheckId::Instance).is_some_and(|instance| broken(instance.outcome).is_some());
    if missing && metadata_is_broken {
        return Finding::new(Cause::MetadataUnavailable, fact);
    }
    Finding::new(default_cause, fact).advising(credentials_advice(observation, reason))
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
