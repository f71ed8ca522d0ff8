//! Metadata and credentials: what the instance says about itself, and what it signs with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::Cause;
use super::context::{Context, Failure, broken, detail};
use super::finding::Finding;
use super::presumption::default_cause;
use crate::check::{CheckId, Family};
use crate::observation::{
    CredentialsEvidence, Evidence, InstanceEvidence, MetadataSilence, Observation, Outcome, Provider, Reason,
};
use crate::wording;

pub fn findings(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Vec<Finding> {
    let Some(cause) = default_cause(failure.reason) else { return vec![] };
    if failure.reason == Reason::NoResources {
        return vec![Finding::new(
            cause,
            with_detail(format!("{}: {}", observation.check, failure.reason.words()), observation),
        )];
    }
    if observation.check == CheckId::Credentials {
        return vec![credentials(context, observation, failure)];
    }
    let finding = Finding::new(cause, metadata_fact(observation, failure.reason));
    vec![finding.advising(metadata_advice(context, observation, failure.reason))]
}

fn metadata_fact(observation: &Observation, reason: Reason) -> String {
    let asked = if let Evidence::Instance(evidence) = &observation.evidence { evidence.server } else { None };
    let server = asked.map(|server| format!("asked {server}, ")).unwrap_or_default();
    let fact = format!("{} ({server}took {})", reason.words(), wording::duration(observation.took));
    match detail(observation) {
        Some(detail) => format!("{fact}: {}", wording::clip(&detail, 180)),
        None => fact,
    }
}

fn with_detail(fact: String, observation: &Observation) -> String {
    match detail(observation) {
        Some(detail) => format!("{fact} ({})", wording::clip(&detail, 180)),
        None => fact,
    }
}

fn metadata_advice(context: &Context<'_>, observation: &Observation, reason: Reason) -> Option<String> {
    let instance =
        context.instance.and_then(|instance| instance.instance_id.as_deref()).unwrap_or("INSTANCE_ID");
    let modify = format!("aws ec2 modify-instance-metadata-options --instance-id {instance}");
    let through = "through the host's routes and firewall (ip route get 169.254.169.254)";
    let Evidence::Instance(InstanceEvidence { server, silence, .. }) = &observation.evidence else {
        return None;
    };
    if is_by_environment(*server, reason) {
        return Some(BY_ENVIRONMENT.to_owned());
    }
    match (reason, *silence) {
        (Reason::MetadataDisabled, _) => Some(format!("Turn it on: {modify} --http-endpoint enabled.")),
        (Reason::MetadataTimeout, Some(MetadataSilence::TokenOnly)) => Some(format!(
            "It answers GET but not PUT, as for a container beyond the hop limit: {modify} --http-put-response-hop-limit 2."
        )),
        (Reason::MetadataTimeout, Some(MetadataSilence::Slow)) => Some(
            "It accepts connections but answers too late: look for load on this host (steal time, CPU credits) and for programs that ask metadata often. Otherwise raise timeout under [instance]."
                .to_owned(),
        ),
        (Reason::MetadataTimeout | Reason::MetadataUnreachable, _) => {
            Some(format!("Let 169.254.169.254 {through}."))
        }
        (Reason::MetadataFailing, _) => Some(
            "It answers, with an error. Find programs on this host that ask it often; if it lasts, stop and start the instance."
                .to_owned(),
        ),
        (Reason::MetadataInvalid, _) => {
            Some("Find out what redirects 169.254.169.254: that is not metadata.".to_owned())
        }
        _ => None,
    }
}

const BY_ENVIRONMENT: &str = "The environment sets AWS_EC2_METADATA_SERVICE_ENDPOINT, so that metadata is asked for there: correct or unset it (systemctl show linkproof -p Environment).";

/// Whether the server is not one that every instance has. Without one there was nothing to find
/// invalid but the variable.
fn is_by_environment(server: Option<SocketAddr>, reason: Reason) -> bool {
    const IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
    const IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254));
    server.map_or(reason == Reason::MetadataInvalid, |server| ![IPV4, IPV6].contains(&server.ip()))
}

fn credentials(context: &Context<'_>, observation: &Observation, failure: &Failure) -> Finding {
    let reason = failure.reason;
    let fact = with_detail(reason.words().to_owned(), observation);
    let Evidence::Credentials(evidence) = &observation.evidence else {
        return Finding::new(Cause::NoInstanceRole, fact);
    };
    if reason == Reason::CredentialsExpired {
        return Finding::new(Cause::CredentialsInvalid, fact);
    }
    let code = evidence.aws_error.as_ref().map(|error| error.code.as_str());
    match evidence.source {
        None => Finding::new(Cause::NoCredentials, fact),
        Some(Provider::InstanceMetadata) => {
            other_family(context, evidence).unwrap_or_else(|| of_role(context, fact, reason, code))
        }
        Some(provider) => Finding::new(cause_of(provider), fact).advising(advice(provider, evidence)),
    }
}

/// linkproof asks metadata for the instance over both families, and AWS clients over one.
fn other_family(context: &Context<'_>, credentials: &CredentialsEvidence) -> Option<Finding> {
    let asked: IpAddr = credentials.unreached.as_deref()?.parse().ok()?;
    let instance = context.check(&CheckId::Instance).filter(|instance| instance.outcome == Outcome::Pass)?;
    let Evidence::Instance(InstanceEvidence { server: Some(server), .. }) = &instance.evidence else {
        return None;
    };
    let (asked_over, answers_over) = (Family::of(asked), Family::of(server.ip()));
    if asked_over == answers_over {
        return None;
    }
    let fact = format!(
        "metadata responds over {}, and AWS clients ask it over {} here ({asked})",
        answers_over.name(),
        asked_over.name()
    );
    let remedy = match answers_over {
        Family::Ipv6 => ASKED_OVER_IPV4,
        Family::Ipv4 => ASKED_OVER_IPV6,
    };
    Some(Finding::new(Cause::MetadataUnavailable, fact).healed_by(remedy))
}

const ASKED_OVER_IPV4: &str = "Let 169.254.169.254 through the host's routes and firewall. Where the instance is to have IPv6 alone, set AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE=IPv6 for the applications and for linkproof.";

const ASKED_OVER_IPV6: &str = "Unset AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE (or ec2_metadata_service_endpoint_mode in the profile). Or let fd00:ec2::254 through, and turn it on: aws ec2 modify-instance-metadata-options --http-protocol-ipv6 enabled.";

/// Metadata was asked for a role and gave none: either it does not work, or there is no role.
fn of_role(context: &Context<'_>, fact: String, reason: Reason, code: Option<&str>) -> Finding {
    let instance = context.check(&CheckId::Instance);
    if instance.is_none() && reason != Reason::NoCredentials {
        return Finding::new(Cause::MetadataUnavailable, fact).healed_by(ASKED_FOR_A_ROLE);
    }
    let metadata_is_broken = instance.is_some_and(|instance| broken(instance.outcome).is_some());
    if metadata_is_broken || reason != Reason::NoCredentials {
        let finding = Finding::new(Cause::MetadataUnavailable, fact);
        return match reason {
            _ if metadata_is_broken => finding,
            Reason::CredentialsInvalidSource => finding.healed_by(ROLE_UNUSABLE),
            Reason::CredentialsTimeout => finding.healed_by(ROLE_LATE),
            _ => finding,
        };
    }
    let finding = Finding::new(Cause::NoInstanceRole, fact);
    match code {
        Some("AssumeRoleUnauthorizedAccess") => {
            finding.advising("The role must trust ec2.amazonaws.com (its trust policy).".to_owned())
        }
        Some(_) => finding.healed_by(ROLE_REFUSED),
        None => finding,
    }
}

const ROLE_UNUSABLE: &str = "The instance has a role, and what metadata says of it cannot be used. See what answers at 169.254.169.254: curl http://169.254.169.254/latest/meta-data/iam/security-credentials/ (with a token), ip route get 169.254.169.254, nft list ruleset. A proxy or an emulator may stand there.";

const ROLE_LATE: &str = "Metadata answered in time, but not for the role's credentials. Look for load on this host (steal time, CPU credits) and for programs that ask metadata often. Otherwise raise timeout under [credentials].";

const ROLE_REFUSED: &str = "The instance has a role, and metadata gets no credentials for it. Check that the role still exists, that the instance profile names it, and that it trusts ec2.amazonaws.com. A change takes some minutes.";

const ASKED_FOR_A_ROLE: &str = "No credentials provider is configured, so linkproof asked instance metadata for a role. Let 169.254.169.254 through the host's routes and firewall, or configure another provider (environment, profile, web identity, container).";

fn cause_of(provider: Provider) -> Cause {
    match provider {
        Provider::Environment => Cause::EnvironmentCredentials,
        Provider::Profile | Provider::Sso => Cause::ProfileCredentials,
        Provider::CredentialProcess => Cause::CredentialProcess,
        Provider::WebIdentity => Cause::WebIdentity,
        Provider::Container => Cause::ContainerCredentials,
        Provider::PodIdentity => Cause::PodIdentity,
        Provider::InstanceMetadata => Cause::NoInstanceRole,
    }
}

/// What the error alone tells, to stand before the remedy of the provider.
fn advice(provider: Provider, evidence: &CredentialsEvidence) -> Option<String> {
    let error = evidence.aws_error.as_ref();
    let timed_out = evidence.error.as_ref().is_some_and(|error| error.reason == Reason::CredentialsTimeout);
    let code = error.map(|error| error.code.trim_end_matches("Exception"));
    let advice = match (provider, code) {
        (Provider::Sso, _) => {
            "IAM Identity Center needs a person to sign in. Give the service a role instead."
        }
        (Provider::WebIdentity, Some("ExpiredToken")) => {
            "The token has expired. kubelet renews it: check that the file changes (clock, node, mount)."
        }
        (Provider::WebIdentity, Some("InvalidIdentityToken")) => {
            "STS does not know the token's issuer: create the IAM OIDC provider of the cluster, with its audience."
        }
        (Provider::WebIdentity | Provider::Profile, Some("AccessDenied"))
            if error.is_some_and(|error| error.message.contains("VPC endpoint policy")) =>
        {
            "The sts endpoint's policy denies it: allow this role there."
        }
        (Provider::WebIdentity, Some("AccessDenied")) => {
            "The role's trust policy does not allow this service account (Federated principal, sub, aud)."
        }
        (Provider::WebIdentity | Provider::Profile, None) if evidence.unreached.is_some() => {
            "STS did not answer: the subnet needs an sts endpoint with private DNS."
        }
        (Provider::Profile | Provider::CredentialProcess | Provider::WebIdentity, None) if timed_out => {
            "Applications with this configuration wait too."
        }
        (Provider::PodIdentity, Some("AccessDenied")) => {
            "The agent may not assume the role: check its trust policy and the association."
        }
        _ => return None,
    };
    Some(advice.to_owned())
}
