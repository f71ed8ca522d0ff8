//! The agents of containers: ECS by a relative or a full URI, EKS Pod Identity by a full one.

use std::env;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use hyper::{Request, StatusCode, Uri};

use super::document::{self, Unusable};
use super::{Failure, Found, Search, read_file, unreadable, variable};
use crate::observation::{AwsError, Provider};
use crate::threads;
use crate::wire::http::{Route, exchange};

const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";

const ECS: &str = "169.254.170.2";
const EKS_IPV4: IpAddr = IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23));
const EKS_IPV6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23));

const BODY_LIMIT: usize = 64 * 1024;
const LONGEST_TOKEN: u64 = 16 * 1024;
/// Of a body that is not a document, as much as a person reads.
const BODY_SHOWN: usize = 200;

pub async fn find(search: &Search) -> Found {
    let Some((name, uri)) = uri()? else { return Ok(None) };
    let provider = provider(&uri);
    search.progress.set(provider, name);
    let fail = |detail: String| Failure::of(provider, format!("{name}: {detail}"));
    let uri: Uri = uri.parse().map_err(|_| fail("not a URL".to_owned()))?;
    check_host(&uri).await.map_err(&fail)?;
    let mut request = Request::builder().uri(uri).header(ACCEPT, "application/json");
    if let Some(token) = token(search, provider)? {
        request = request.header(AUTHORIZATION, token);
    }
    let request = request.body(Bytes::new()).map_err(|_| fail("not a URL".to_owned()))?;
    let route = Route { trust: &search.trust, pin: None, deadline: search.deadline, body_limit: BODY_LIMIT };
    let (result, trace) = exchange(route, request).await;
    let response = result.map_err(|_| Failure::of_transport(provider, name, &trace))?;
    let (status, body) = (response.status(), response.into_body());
    if status != StatusCode::OK {
        let aws_error = document::refusal(&body);
        return Err(Failure { aws_error, ..fail(refused(status, &body)) });
    }
    match document::read(&body) {
        Ok(credentials) => Ok(Some((provider, credentials))),
        Err(Unusable::Invalid(why)) => Err(fail(why.to_owned())),
        Err(Unusable::Refused(AwsError { code, message })) => {
            let aws_error = Some(AwsError::new(&code, &message));
            Err(Failure { aws_error, ..fail(format!("{code}: {message}")) })
        }
    }
}

fn uri() -> Result<Option<(&'static str, String)>, Failure> {
    if let Some(path) = variable(RELATIVE, Provider::Container)? {
        let slash = if path.starts_with('/') { "" } else { "/" };
        return Ok(Some((RELATIVE, format!("http://{ECS}{slash}{path}"))));
    }
    Ok(variable(FULL, Provider::Container)?.map(|uri| (FULL, uri)))
}

/// The agent of Pod Identity has addresses of its own.
fn provider(uri: &str) -> Provider {
    let host = uri.parse::<Uri>().ok().and_then(|uri| host(&uri)?.parse::<IpAddr>().ok());
    match host {
        Some(ip) if ip == EKS_IPV4 || ip == EKS_IPV6 => Provider::PodIdentity,
        _ => Provider::Container,
    }
}

fn host(uri: &Uri) -> Option<&str> {
    Some(uri.host()?.trim_start_matches('[').trim_end_matches(']'))
}

/// The rule of the SDKs: over plain HTTP the token goes to this host or to an agent, nowhere else.
async fn check_host(uri: &Uri) -> Result<(), String> {
    let host = host(uri).filter(|_| uri.scheme().is_some()).ok_or("not a URL with scheme and host")?;
    if uri.scheme_str() == Some("https") {
        return Ok(());
    }
    let port = uri.port_u16().unwrap_or(80);
    let found = threads::addresses(host, port).await.map_err(|error| error.to_string())?;
    let ips: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
    let is_agent =
        |ip: &IpAddr| ip.is_loopback() || ip.to_string() == ECS || [EKS_IPV4, EKS_IPV6].contains(ip);
    if ips.is_empty() || !ips.iter().all(is_agent) {
        return Err("not https, and not the address of an agent".to_owned());
    }
    Ok(())
}

fn token(search: &Search, provider: Provider) -> Result<Option<HeaderValue>, Failure> {
    let (name, token) = match env::var_os(TOKEN_FILE).filter(|path| !path.is_empty()) {
        Some(path) => {
            let path = Path::new(&path);
            search.progress.set(provider, format!("reading {}", path.display()));
            let token = read_file(path, LONGEST_TOKEN);
            let token = token.map_err(|error| {
                Failure::of(provider, format!("{TOKEN_FILE}={}", unreadable(path, &error)))
            })?;
            (TOKEN_FILE, token)
        }
        None => match variable(TOKEN, provider)? {
            Some(token) => (TOKEN, token),
            None => return Ok(None),
        },
    };
    let value = HeaderValue::from_str(&token).ok().filter(|value| value.to_str().is_ok());
    let mut value =
        value.ok_or_else(|| Failure::of(provider, format!("{name}: the token is not one line of ASCII")))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn refused(status: StatusCode, body: &[u8]) -> String {
    let shown = String::from_utf8_lossy(&body[..body.len().min(BODY_SHOWN)]);
    let shown = shown.trim();
    let colon = if shown.is_empty() { "" } else { ": " };
    format!("HTTP {}{colon}{shown}", status.as_u16())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_told_by_their_addresses() {
        for (uri, expected) in [
            ("http://169.254.170.23/v1/credentials", Provider::PodIdentity),
            ("http://[fd00:ec2::23]/v1/credentials", Provider::PodIdentity),
            ("http://169.254.170.2/v2/credentials/x", Provider::Container),
            ("http://localhost:1234/", Provider::Container),
            ("not a url", Provider::Container),
        ] {
            assert_eq!(provider(uri), expected, "{uri}");
        }
    }

    #[tokio::test]
    async fn token_goes_to_agents_and_over_tls_alone() {
        for (uri, allowed) in [
            ("http://127.0.0.1:51679/x", true),
            ("http://169.254.170.2/x", true),
            ("http://[::1]/x", true),
            ("https://credentials.example/x", true),
            ("http://10.0.0.1/x", false),
            ("localhost", false),
            ("/relative", false),
        ] {
            let uri: Uri = uri.parse().unwrap();
            assert_eq!(check_host(&uri).await.is_ok(), allowed, "{uri}");
        }
    }
}
