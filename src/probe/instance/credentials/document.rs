//! Credentials as JSON: what metadata, the container agents and `credential_process` hand out. The
//! SDK panics at some of what a peer can put into them, so each field is checked before it signs.

use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use serde_json::{Map, Value};

use crate::observation::AwsError;

/// Far beyond what AWS issues, and what its own clients accept.
const LONGEST_ID: usize = 128;
const LONGEST_SECRET: usize = 256;
const LONGEST_TOKEN: usize = 16 * 1024;

/// Why a document holds no credentials. Nothing of its contents is shown but AWS's own error.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Unusable {
    Invalid(&'static str),
    Refused(AwsError),
}

/// What `credential_process` prints. The SDKs refuse another version, and none.
pub fn read_of_process(document: &[u8]) -> Result<Credentials, Unusable> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(document) else {
        return Err(Unusable::Invalid(NO_DOCUMENT));
    };
    let version = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case("Version"));
    match version.map(|(_, version)| version.as_i64()) {
        Some(Some(1)) => read(document),
        Some(_) => Err(Unusable::Invalid("Version is not the number 1")),
        None => Err(Unusable::Invalid("Version is missing; it must be the number 1")),
    }
}

const NO_DOCUMENT: &str = "the answer is not a JSON document with credentials";

pub fn read(document: &[u8]) -> Result<Credentials, Unusable> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(document) else {
        return Err(Unusable::Invalid(NO_DOCUMENT));
    };
    if let Some(code) = field(&fields, &["Code"]).filter(|code| *code != "Success") {
        let message = field(&fields, &["Message"]).unwrap_or_default();
        return Err(Unusable::Refused(AwsError::new(code, message)));
    }
    let (Some(id), Some(secret)) = (field(&fields, &["AccessKeyId"]), field(&fields, &["SecretAccessKey"]))
    else {
        return Err(Unusable::Invalid("AccessKeyId or SecretAccessKey is missing"));
    };
    let token = field(&fields, &["Token", "SessionToken"]).filter(|token| !token.is_empty());
    let expires_at = field(&fields, &["Expiration", "ExpiresAt"]).map(expiry).transpose()?;
    let credentials = Credentials::new(id, secret, token.map(str::to_owned), expires_at, "linkproof");
    validated(credentials).map_err(Unusable::Invalid)
}

/// The error of an agent that answered with something else than 200.
pub fn refusal(document: &[u8]) -> Option<AwsError> {
    let Ok(Value::Object(fields)) = serde_json::from_slice(document) else { return None };
    let code = field(&fields, &["code", "__type"])?;
    Some(AwsError::new(code, field(&fields, &["message"]).unwrap_or_default()))
}

/// The same credentials, if they can be signed with.
pub fn validated(credentials: Credentials) -> Result<Credentials, &'static str> {
    let id = credentials.access_key_id();
    let is_id = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if !(1..=LONGEST_ID).contains(&id.len()) || !id.bytes().all(is_id) {
        return Err("the access key id is not one of AWS");
    }
    let is_plain = |text: &str, longest| {
        (1..=longest).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
    };
    if !is_plain(credentials.secret_access_key(), LONGEST_SECRET) {
        return Err("the secret access key is not one of AWS");
    }
    if credentials.session_token().is_some_and(|token| !is_plain(token, LONGEST_TOKEN)) {
        return Err("the session token is not one of AWS");
    }
    Ok(credentials)
}

fn expiry(text: &str) -> Result<SystemTime, Unusable> {
    DateTime::from_str(text, Format::DateTimeWithOffset)
        .ok()
        .and_then(|time| SystemTime::try_from(time).ok())
        .ok_or(Unusable::Invalid("the expiration is not a time"))
}

/// By any of these keys, in any case, as the SDKs read it.
fn field<'a>(fields: &'a Map<String, Value>, names: &[&str]) -> Option<&'a str> {
    let known = |key: &str| names.iter().any(|name| key.eq_ignore_ascii_case(name));
    fields.iter().find(|(key, value)| known(key) && value.is_string())?.1.as_str()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn document(change: impl FnOnce(&mut Map<String, Value>)) -> Vec<u8> {
        let mut value = serde_json::json!({
            "Code": "Success",
            "AccessKeyId": "ASIAEXAMPLE",
            "SecretAccessKey": "secret/+=",
            "Token": "token/+=",
            "Expiration": "2026-09-18T03:31:56Z",
        });
        change(value.as_object_mut().unwrap());
        value.to_string().into_bytes()
    }

    fn with(key: &str, value: &str) -> Vec<u8> {
        document(|fields| drop(fields.insert(key.into(), value.into())))
    }

    #[test]
    fn documents_of_every_provider_are_read() {
        let credentials = read(&document(|_| {})).unwrap();
        assert_eq!(credentials.access_key_id(), "ASIAEXAMPLE");
        assert_eq!(credentials.session_token(), Some("token/+="));
        let of_process =
            br#"{"version": 1, "accesskeyid": "AKIA", "secretaccesskey": "s", "sessiontoken": "t",
            "expiration": "2026-09-18T05:31:56+02:00"}"#;
        assert_eq!(read(of_process).unwrap().expiry(), credentials.expiry());
        let before_1970 = read(&with("Expiration", "1969-01-01T00:00:00Z")).unwrap().expiry();
        assert!(before_1970 < Some(SystemTime::UNIX_EPOCH - Duration::from_secs(1)));
    }

    #[test]
    fn a_program_must_print_version_1() {
        let printed = |version: &str| {
            format!(r#"{{{version}"AccessKeyId": "AKIAEXAMPLE", "SecretAccessKey": "s"}}"#).into_bytes()
        };
        assert!(read_of_process(&printed(r#""Version": 1, "#)).is_ok());
        for version in [r#""Version": 2, "#, r#""Version": "1", "#, r#""Version": null, "#, ""] {
            let Err(Unusable::Invalid(why)) = read_of_process(&printed(version)) else { panic!("{version}") };
            assert!(why.starts_with("Version is "), "{why}");
        }
        assert_eq!(read_of_process(b"[1]"), read(b"[1]"));
    }

    #[test]
    fn fields_that_cannot_be_signed_with_are_refused_without_showing_them() {
        for (key, value) in [
            ("AccessKeyId", "AKIA\u{7}EXAMPLE"),
            ("AccessKeyId", "AKIA\nEXAMPLE"),
            ("AccessKeyId", ""),
            ("SecretAccessKey", "sec\u{0}ret"),
            ("Token", "to\r\nken"),
            ("Token", "tök"),
            ("Expiration", "99999-01-01T00:00:00Z"),
            ("Expiration", "soon"),
        ] {
            let Err(Unusable::Invalid(why)) = read(&with(key, value)) else { panic!("{key} {value:?}") };
            assert!(value.is_empty() || !why.contains(value), "{why}");
        }
        assert!(read(&with("Token", &"t".repeat(LONGEST_TOKEN + 1))).is_err());
        assert!(read(&with("AccessKeyId", &"A".repeat(70_000))).is_err());
        for document in [&b"<html>"[..], b"[1]", b"", b"\xff"] {
            assert!(matches!(read(document), Err(Unusable::Invalid(_))));
        }
    }

    #[test]
    fn refusals_keep_their_code() {
        let refused = with("Code", "AssumeRoleUnauthorizedAccess");
        let Err(Unusable::Refused(error)) = read(&refused) else { panic!() };
        assert_eq!(error.code, "AssumeRoleUnauthorizedAccess");
        let error = refusal(br#"{"code":"AccessDeniedException","message":"no","httpStatusCode":403}"#);
        assert_eq!(error, Some(AwsError::new("AccessDeniedException", "no")));
        assert_eq!(refusal(b"Forbidden"), None);
    }
}
