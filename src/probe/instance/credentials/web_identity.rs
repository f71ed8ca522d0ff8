//! A token file and a role (IRSA, and OIDC anywhere): STS exchanges the token for credentials.

use std::path::Path;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_sdk_sts::config::retry::RetryConfig;
use aws_sdk_sts::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_sts::{Client, Config};

use super::{Failure, Found, Search, read_file, unreadable, variable};
use crate::observation::{Provider, visible};
use crate::wire::aws_error;
use crate::wire::connector::PinnedConnector;

const TOKEN_FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
const ROLE: &str = "AWS_ROLE_ARN";
const SESSION: &str = "AWS_ROLE_SESSION_NAME";

/// STS's own bound.
const LONGEST_TOKEN: u64 = 20_000;

pub async fn find(search: &Search) -> Found {
    let of = |name| variable(name, Provider::WebIdentity);
    let Some(path) = of(TOKEN_FILE)? else { return Ok(None) };
    let role = of(ROLE)?.ok_or_else(|| fail(format!("{TOKEN_FILE} is set and {ROLE} is not")))?;
    let session = of(SESSION)?.unwrap_or_else(|| "linkproof".to_owned());
    let path = Path::new(&path);
    search.progress.set(Provider::WebIdentity, format!("reading {}", path.display()));
    let token = read_file(path, LONGEST_TOKEN)
        .map_err(|error| fail(format!("{TOKEN_FILE}={}", unreadable(path, &error))))?;
    if token.trim().is_empty() {
        return Err(fail(format!("{TOKEN_FILE}={}: the file is empty", path.display())));
    }
    if !is_role(&role) {
        return Err(fail(format!("{ROLE}={:?} is not the ARN of a role", visible(&role))));
    }
    let Some(region) = search.region.clone() else {
        return Err(fail("the region of STS is not known; set region in the configuration".to_owned()));
    };
    search.progress.set(Provider::WebIdentity, "sts:AssumeRoleWithWebIdentity");
    let http = PinnedConnector::new(search.trust.clone(), None, search.deadline, |_| Ok(()));
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region))
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let request = Client::from_conf(config)
        .assume_role_with_web_identity()
        .role_arn(role)
        .role_session_name(session)
        .web_identity_token(token);
    match request.send().await {
        Ok(output) => {
            let given =
                output.credentials.ok_or_else(|| fail("STS answered without credentials".to_owned()))?;
            let expires_at = SystemTime::try_from(given.expiration).ok();
            let (id, secret, token) = (given.access_key_id, given.secret_access_key, given.session_token);
            let credentials = Credentials::new(id, secret, Some(token), expires_at, "linkproof");
            Ok(Some((Provider::WebIdentity, credentials)))
        }
        Err(error) => Err(refused(&http, &error.to_string())),
    }
}

/// IAM's identifiers: `arn:aws:iam::123456789012:role/NAME`.
fn is_role(role: &str) -> bool {
    let is_plain = role.bytes().all(|b| b.is_ascii_graphic());
    is_plain && role.starts_with("arn:") && role.contains(":role/")
}

fn fail(detail: String) -> Failure {
    Failure::of(Provider::WebIdentity, detail)
}

/// What STS said, or why it said nothing.
fn refused(http: &PinnedConnector, otherwise: &str) -> Failure {
    let answer = http.answer();
    let aws_error = answer.as_ref().and_then(aws_error::read);
    if let Some(error) = &aws_error {
        let detail = format!("sts:AssumeRoleWithWebIdentity: {}: {}", error.code, error.message);
        return Failure { aws_error, ..fail(detail) };
    }
    let trace = http.trace();
    match (&trace.error, answer) {
        (Some(_), _) => Failure::of_transport(Provider::WebIdentity, "sts:AssumeRoleWithWebIdentity", &trace),
        (None, Some(answer)) => fail(format!("STS answered HTTP {} without an error code", answer.status)),
        (None, None) => fail(format!("sts:AssumeRoleWithWebIdentity: {otherwise}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_an_arn_of_one() {
        assert!(is_role("arn:aws-us-gov:iam::123456789012:role/path/name"));
        for other in
            ["", "name", "x\ny", "arn:aws:iam::123456789012:role/a\nb", "arn:aws:iam::123456789012:user/a"]
        {
            assert!(!is_role(other), "{other:?}");
        }
    }
}
