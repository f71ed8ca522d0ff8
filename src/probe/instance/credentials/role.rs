//! The role of the instance, by metadata.

use aws_credential_types::Credentials;

use super::super::metadata::{Metadata, Place, Unavailable};
use super::document::{self, Unusable};
use super::{Failure, Search};
use crate::observation::{Provider, Reason};

const ROLES: &str = "iam/security-credentials/";

/// IAM's own bound of a role's name.
const LONGEST_NAME: usize = 64;

pub async fn find(search: &Search) -> Result<(Provider, Credentials), Failure> {
    // Only "true" turns it off, in any case, as in the SDKs.
    if std::env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        let detail = "no provider is configured, and AWS_EC2_METADATA_DISABLED turns off instance metadata";
        let reason = Reason::NoCredentials;
        return Err(Failure {
            source: None,
            reason,
            detail: detail.to_owned(),
            unreached: None,
            aws_error: None,
        });
    }
    search.progress.set(Provider::InstanceMetadata, "instance metadata");
    let profile = search.profile.get().map(|profile| profile.metadata.clone()).unwrap_or_default();
    let server = Place::of_clients(profile).server().await.map_err(|(of, why)| Failure::of(of, why))?;
    let metadata = Metadata::open_at(&search.trust, search.deadline, server)
        .await
        .map_err(|failure| unavailable(&failure))?;
    let role = match metadata.text(ROLES).await.map_err(|failure| unavailable(&failure))? {
        Some(role) => name(&role).ok_or_else(|| unusable(&metadata.invalid(ROLES)))?.to_owned(),
        None => return Err(missing("the instance has no role, and no other provider is configured")),
    };
    let document = metadata.get(&format!("{ROLES}{role}")).await.map_err(|failure| unusable(&failure))?;
    let document = document.ok_or_else(|| missing("instance metadata has no credentials for its role"))?;
    match document::read(&document) {
        Ok(credentials) => Ok((Provider::InstanceMetadata, credentials)),
        Err(Unusable::Invalid(why)) => {
            Err(Failure::of(Provider::InstanceMetadata, format!("credentials of the role: {why}")))
        }
        Err(Unusable::Refused(error)) => {
            Err(Failure { aws_error: Some(error.clone()), ..missing(&error.to_string()) })
        }
    }
}

fn missing(detail: &str) -> Failure {
    let detail = detail.to_owned();
    let source = Some(Provider::InstanceMetadata);
    Failure { source, reason: Reason::NoCredentials, detail, unreached: None, aws_error: None }
}

fn unavailable(failure: &Unavailable) -> Failure {
    of_metadata(failure, Reason::NoCredentials)
}

/// There is a role, and this is what metadata says of it.
fn unusable(failure: &Unavailable) -> Failure {
    of_metadata(failure, Reason::CredentialsInvalidSource)
}

fn of_metadata(failure: &Unavailable, otherwise: Reason) -> Failure {
    let reason = match failure.error.reason {
        Reason::MetadataTimeout => Reason::CredentialsTimeout,
        reason @ (Reason::NoResources | Reason::MetadataFailing) => reason,
        _ => otherwise,
    };
    let unreached = failure.server.filter(|_| !failure.is_answer()).map(|server| server.ip().to_string());
    Failure { reason, unreached, ..missing(&failure.error.detail) }
}

/// It becomes part of the path of the next request.
fn name(role: &str) -> Option<&str> {
    let is_name = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b);
    ((1..=LONGEST_NAME).contains(&role.len()) && role.bytes().all(is_name)).then_some(role)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::ProbeError;

    #[test]
    fn a_role_that_cannot_be_used_is_told_from_none() {
        let of = |reason| Unavailable {
            server: None,
            silence: None,
            error: ProbeError { reason, detail: String::new() },
        };
        for (reason, without_role, with_role) in [
            (Reason::MetadataInvalid, Reason::NoCredentials, Reason::CredentialsInvalidSource),
            (Reason::MetadataTimeout, Reason::CredentialsTimeout, Reason::CredentialsTimeout),
            (Reason::MetadataFailing, Reason::MetadataFailing, Reason::MetadataFailing),
        ] {
            let failure = of(reason);
            assert_eq!((unavailable(&failure).reason, unusable(&failure).reason), (without_role, with_role));
        }
    }

    #[test]
    fn role_names_are_those_of_iam() {
        assert_eq!(name("my-role_+=,.@1"), Some("my-role_+=,.@1"));
        for other in ["", "two\nroles", "a/../b", "a b", &"r".repeat(70_000)] {
            assert_eq!(name(other), None);
        }
    }
}
