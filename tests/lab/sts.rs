//! STS, as far as roles and web identities need it. What a token says decides what is answered.

use super::clock::Moment;
use super::protocol::{Call, Error};
use super::sigv4::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};

pub const VALID_TOKEN: &str = "a-valid-token";
pub const EXPIRED_TOKEN: &str = "an-expired-token";
pub const FOREIGN_TOKEN: &str = "a-token-of-an-unknown-issuer";
pub const UNTRUSTED_TOKEN: &str = "a-token-that-the-role-does-not-trust";
pub const STOPPED_TOKEN: &str = "a-token-that-the-endpoint-policy-stops";

/// The status and the document of an answer, if this was asked of STS.
pub fn answer(call: &Call) -> Option<(u16, String)> {
    match call.operation.as_deref() {
        Some("AssumeRole") => return Some((200, credentials("AssumeRole"))),
        Some("AssumeRoleWithWebIdentity") => {}
        _ => return None,
    }
    let error = match call.web_identity.as_deref() {
        Some(VALID_TOKEN) => return Some((200, credentials("AssumeRoleWithWebIdentity"))),
        Some(EXPIRED_TOKEN) => Error::sender(
            400,
            "ExpiredTokenException",
            "Token expired: current date/time must be before the expiration date/time",
        ),
        Some(UNTRUSTED_TOKEN) => {
            Error::sender(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
        }
        Some(STOPPED_TOKEN) => Error::sender(
            403,
            "AccessDenied",
            "User: anonymous is not authorized to perform: sts:AssumeRoleWithWebIdentity because no VPC endpoint policy allows the sts:AssumeRoleWithWebIdentity action",
        ),
        _ => Error::sender(
            400,
            "InvalidIdentityToken",
            "No OpenIDConnect provider found in your account for https://oidc.eks.us-east-1.amazonaws.com/id/0",
        ),
    };
    let body = error.write(None, "00000000-0000-4000-8000-000000000000").bytes;
    Some((error.status, String::from_utf8(body).expect("it is XML")))
}

fn credentials(operation: &str) -> String {
    let expiration = Moment::now().plus(3600).rfc3339();
    format!(
        "<{operation}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
         <{operation}Result><Credentials><AccessKeyId>{ACCESS_KEY}</AccessKeyId>\
         <SecretAccessKey>{SECRET_KEY}</SecretAccessKey><SessionToken>{SESSION_TOKEN}</SessionToken>\
         <Expiration>{expiration}</Expiration></Credentials></{operation}Result>\
         <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )
}
