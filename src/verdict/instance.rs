//! Metadata and credentials: both pass on what they show, not on what was asked.

use std::time::SystemTime;

use super::{Judgment, of_error};
use crate::observation::{CredentialsEvidence, InstanceEvidence, Outcome, Reason};

pub fn instance(evidence: &InstanceEvidence) -> Judgment {
    let outcome = match (&evidence.error, &evidence.instance) {
        (Some(error), _) => of_error(error.reason),
        (None, Some(instance)) if instance.region.is_some() => Outcome::Pass,
        (None, Some(_) | None) => Outcome::Fail(Reason::MetadataInvalid),
    };
    Judgment::without_addresses(outcome)
}

pub fn credentials(evidence: &CredentialsEvidence, at: SystemTime) -> Judgment {
    let expired = evidence.expires_at.is_some_and(|expiry| expiry <= at);
    let outcome = match (&evidence.error, &evidence.access_key_id) {
        (Some(error), _) => of_error(error.reason),
        (None, None) => Outcome::Fail(Reason::NoCredentials),
        (None, Some(_)) if expired => Outcome::Fail(Reason::CredentialsExpired),
        (None, Some(_)) => Outcome::Pass,
    };
    Judgment::without_addresses(outcome)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observation::{Instance, ProbeError};

    #[test]
    fn metadata_passes_only_with_a_region() {
        let evidence = |instance, error| InstanceEvidence { server: None, instance, silence: None, error };
        let located = Instance { region: Some("us-east-1".into()), ..Instance::default() };
        let scarce = ProbeError { reason: Reason::NoResources, detail: String::new() };
        let slow = ProbeError { reason: Reason::MetadataTimeout, detail: String::new() };
        for (evidence, outcome) in [
            (evidence(Some(located.clone()), None), Outcome::Pass),
            (evidence(None, Some(scarce)), Outcome::Inconclusive(Reason::NoResources)),
            (evidence(Some(located), Some(slow)), Outcome::Fail(Reason::MetadataTimeout)),
            (evidence(Some(Instance::default()), None), Outcome::Fail(Reason::MetadataInvalid)),
            (evidence(None, None), Outcome::Fail(Reason::MetadataInvalid)),
        ] {
            assert_eq!(instance(&evidence).outcome, outcome, "{evidence:?}");
        }
    }

    #[test]
    fn credentials_pass_only_while_they_last() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let evidence = |key: Option<&str>, expires_at| CredentialsEvidence {
            source: None,
            access_key_id: key.map(Into::into),
            expires_at,
            endpoint_settings: vec![],
            profile_region: None,
            unreached: None,
            aws_error: None,
            error: None,
        };
        for (evidence, outcome) in [
            (evidence(Some("AKIA"), None), Outcome::Pass),
            (evidence(Some("ASIA"), Some(now + Duration::from_secs(1))), Outcome::Pass),
            (evidence(Some("ASIA"), Some(now)), Outcome::Fail(Reason::CredentialsExpired)),
            (evidence(None, None), Outcome::Fail(Reason::NoCredentials)),
        ] {
            assert_eq!(credentials(&evidence, now).outcome, outcome, "{evidence:?}");
        }
    }
}
