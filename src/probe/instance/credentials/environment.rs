//! Keys in the environment.

use aws_credential_types::Credentials;

use super::{Failure, Found, variable};
use crate::observation::Provider;

pub fn find() -> Found {
    let of = |name| variable(name, Provider::Environment);
    let token = of("AWS_SESSION_TOKEN")?;
    match (of("AWS_ACCESS_KEY_ID")?, of("AWS_SECRET_ACCESS_KEY")?) {
        (None, None) => Ok(None),
        (Some(id), Some(secret)) => {
            let credentials = Credentials::new(id, secret, token, None, "linkproof");
            Ok(Some((Provider::Environment, credentials)))
        }
        (Some(_), None) => Err(half("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (None, Some(_)) => Err(half("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
    }
}

fn half(set: &str, missing: &str) -> Failure {
    Failure::of(Provider::Environment, format!("{set} is set and {missing} is not"))
}
