//! Metadata and credentials: both pass on what they show, not on what was asked.

use std::time::SystemTime;

use super::Judgement;
use crate::observation::{CredentialsSeen, InstanceSeen, Outcome, Reason};

pub fn instance(seen: &InstanceSeen) -> Judgement {
    let outcome = match (&seen.error, &seen.instance) {
        (Some(error), _) => Outcome::Fail(error.reason),
        (None, Some(instance)) if instance.region.is_some() => Outcome::Pass,
        (None, Some(_) | None) => Outcome::Fail(Reason::MetadataInvalid),
    };
    Judgement::without_addresses(outcome)
}

pub fn credentials(seen: &CredentialsSeen, at: SystemTime) -> Judgement {
    let expired = seen.expires_at.is_some_and(|expiry| expiry <= at);
    let outcome = match (&seen.error, &seen.access_key_id) {
        (Some(error), _) => Outcome::Fail(error.reason),
        (None, None) => Outcome::Fail(Reason::NoCredentials),
        (None, Some(_)) if expired => Outcome::Fail(Reason::CredentialsExpired),
        (None, Some(_)) => Outcome::Pass,
    };
    Judgement::without_addresses(outcome)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::observation::{Instance, Trouble};

    #[test]
    fn metadata_passes_only_with_a_region() {
        let seen = |instance, error| InstanceSeen { server: None, instance, error };
        let located = Instance { region: Some("us-east-1".into()), ..Instance::default() };
        let slow = Trouble { reason: Reason::MetadataTimeout, detail: String::new() };
        for (seen, outcome) in [
            (seen(Some(located.clone()), None), Outcome::Pass),
            (seen(Some(located), Some(slow)), Outcome::Fail(Reason::MetadataTimeout)),
            (seen(Some(Instance::default()), None), Outcome::Fail(Reason::MetadataInvalid)),
            (seen(None, None), Outcome::Fail(Reason::MetadataInvalid)),
        ] {
            assert_eq!(instance(&seen).outcome, outcome, "{seen:?}");
        }
    }

    #[test]
    fn credentials_pass_only_while_they_last() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let seen = |key: Option<&str>, expires_at| CredentialsSeen {
            source: None,
            access_key_id: key.map(Into::into),
            expires_at,
            error: None,
        };
        for (seen, outcome) in [
            (seen(Some("AKIA"), None), Outcome::Pass),
            (seen(Some("ASIA"), Some(now + Duration::from_secs(1))), Outcome::Pass),
            (seen(Some("ASIA"), Some(now)), Outcome::Fail(Reason::CredentialsExpired)),
            (seen(None, None), Outcome::Fail(Reason::NoCredentials)),
        ] {
            assert_eq!(credentials(&seen, now).outcome, outcome, "{seen:?}");
        }
    }
}
