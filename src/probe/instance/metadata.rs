//! A client of instance metadata, version 2. Every answer is bounded and has a type; the SDK's
//! client panics at some of what a peer can answer, and asks one family alone.

use std::env;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use hyper::body::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Request, Response, StatusCode, Uri};
use tokio::time::{Instant, sleep_until, timeout};

use crate::observation::{MetadataSilence, ProbeError, Provider, Reason};
use crate::threads;
use crate::wire::http::{Route, Trace, exchange};
use crate::wire::resources;
use crate::wire::trust::Trust;

/// Where every instance has it ("Instance metadata" in the EC2 user guide).
const IPV4: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)), 80);
const IPV6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)), 80);

/// The other family is asked beside it when there is no answer by then.
const HEAD_START: Duration = Duration::from_millis(500);

/// Longer than any run; a token is not kept beyond it.
const TOKEN_SECONDS: &str = "300";

/// A listing of 15 interfaces with 50 addresses each takes a tenth of it.
const BODY_LIMIT: usize = 64 * 1024;
const LONGEST_TOKEN: usize = 1024;

/// A server that has given a token.
#[derive(Debug)]
pub struct Metadata<'a> {
    pub server: SocketAddr,
    trust: &'a Trust,
    authority: String,
    token: HeaderValue,
    deadline: Instant,
}

/// Why metadata did not answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unavailable {
    pub server: Option<SocketAddr>,
    pub silence: Option<MetadataSilence>,
    pub error: ProbeError,
}

impl Unavailable {
    fn invalid(server: Option<SocketAddr>, detail: impl fmt::Display) -> Self {
        let error = ProbeError { reason: Reason::MetadataInvalid, detail: detail.to_string() };
        Self { server, silence: None, error }
    }

    /// The server spoke, so the other family has nothing to add.
    pub fn is_answer(&self) -> bool {
        matches!(self.error.reason, Reason::MetadataDisabled | Reason::MetadataInvalid)
    }
}

/// Where AWS clients ask metadata for the role: the settings of the SDK reference guide ("IMDS
/// credential provider"), by the environment before the profile. They ask over IPv4 alone where nothing
/// is set.
#[derive(Clone, Debug, Default)]
pub struct Place {
    pub endpoint: Option<Setting>,
    pub mode: Option<Setting>,
}

#[derive(Clone, Debug)]
pub struct Setting {
    pub of: Provider,
    pub name: &'static str,
    pub value: String,
}

impl Place {
    pub fn of_clients(profile: Self) -> Self {
        Self {
            endpoint: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT").or(profile.endpoint),
            mode: variable("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").or(profile.mode),
        }
    }

    /// # Errors
    /// The setting that names no server, and why.
    pub async fn server(&self) -> Result<(SocketAddr, String), (Provider, String)> {
        if let Some(setting) = &self.endpoint {
            return named_server(setting).await.map_err(|why| (setting.of, why));
        }
        let is = |mode: &str| self.mode.as_ref().is_some_and(|set| set.value.eq_ignore_ascii_case(mode));
        match &self.mode {
            Some(_) if is("ipv6") => Ok((IPV6, authority(IPV6))),
            Some(setting) if !is("ipv4") => {
                Err((setting.of, format!("{} is neither IPv4 nor IPv6", setting.name)))
            }
            Some(_) | None => Ok((IPV4, authority(IPV4))),
        }
    }
}

fn variable(name: &'static str) -> Option<Setting> {
    let value = env::var(name).ok().filter(|value| !value.is_empty())?;
    Some(Setting { of: Provider::Environment, name, value })
}

impl<'a> Metadata<'a> {
    /// Over IPv4 wherever there is a route: an instance with IPv6 alone has one over its link-local
    /// address, and IPv6 metadata is off unless it was turned on.
    pub async fn open(trust: &'a Trust, deadline: Instant) -> Result<Self, Unavailable> {
        if let Some(setting) = Place::of_clients(Place::default()).endpoint {
            let named = named_server(&setting).await;
            let (server, authority) = named.map_err(|why| Unavailable::invalid(None, why))?;
            return Self::token(trust, server, authority, deadline).await;
        }
        let mut servers = [IPV4, IPV6].into_iter().filter(|server| has_route(*server));
        let Some(first) = servers.next() else {
            return Err(unrouted(None, "169.254.169.254 or fd00:ec2::254"));
        };
        let ask = |server: SocketAddr| Self::token(trust, server, authority(server), deadline);
        match servers.next() {
            Some(second) => first_answer(ask(first), ask(second)).await,
            None => ask(first).await,
        }
    }

    /// At one server alone.
    pub async fn open_at(
        trust: &'a Trust,
        deadline: Instant,
        (server, authority): (SocketAddr, String),
    ) -> Result<Self, Unavailable> {
        if !has_route(server) {
            return Err(unrouted(Some(server), &server.ip().to_string()));
        }
        Self::token(trust, server, authority, deadline).await
    }

    async fn token(
        trust: &'a Trust,
        server: SocketAddr,
        authority: String,
        deadline: Instant,
    ) -> Result<Self, Unavailable> {
        let begun = Instant::now();
        let request = |method: Method, path: &str| {
            Request::builder().method(method).uri(format!("http://{authority}{path}"))
        };
        let put = request(Method::PUT, "/latest/api/token")
            .header("x-aws-ec2-metadata-token-ttl-seconds", TOKEN_SECONDS)
            .body(Bytes::new());
        let get = request(Method::GET, "/latest/meta-data/").body(Bytes::new());
        let (Ok(put), Ok(get)) = (put, get) else {
            return Err(Unavailable::invalid(Some(server), "its address does not make a URI"));
        };
        let route = Route { trust, pin: Some(server), deadline, body_limit: BODY_LIMIT };
        let put = exchange(route, put);
        tokio::pin!(put);
        let halfway = begun + deadline.saturating_duration_since(begun) / 2;
        let mut silence = MetadataSilence::Slow;
        let (result, trace) = tokio::select! {
            answered = &mut put => answered,
            () = sleep_until(halfway) => {
                // A GET without a token is refused at once; its answer has no hop limit.
                let get = exchange(route, get);
                tokio::pin!(get);
                tokio::select! {
                    biased;
                    answered = &mut put => answered,
                    (refused, _) = &mut get => {
                        if refused.is_ok() {
                            silence = MetadataSilence::TokenOnly;
                        }
                        put.await
                    }
                }
            }
        };
        let response = result.map_err(|_| unanswered(server, &trace, silence))?;
        let token = token_of(&response).map_err(|detail| refused(server, response.status(), &detail))?;
        Ok(Self { server, trust, authority, token, deadline })
    }

    /// `None` where metadata has no such document, which is an answer too.
    pub async fn get(&self, path: &str) -> Result<Option<Bytes>, Unavailable> {
        let request = Request::builder()
            .uri(format!("http://{}/latest/meta-data/{path}", self.authority))
            .header("x-aws-ec2-metadata-token", self.token.clone())
            .body(Bytes::new());
        let request = request.map_err(|_| self.invalid(path))?;
        let route = Route {
            trust: self.trust,
            pin: Some(self.server),
            deadline: self.deadline,
            body_limit: BODY_LIMIT,
        };
        let (result, trace) = exchange(route, request).await;
        let response = result.map_err(|_| unanswered(self.server, &trace, MetadataSilence::Slow))?;
        match response.status() {
            StatusCode::OK => Ok(Some(response.into_body())),
            StatusCode::NOT_FOUND => Ok(None),
            status => Err(refused(self.server, status, &format!("HTTP {} for {path}", status.as_u16()))),
        }
    }

    /// Ids, zones, addresses, ranges, a role, one a line: no page of something else.
    pub async fn text(&self, path: &str) -> Result<Option<String>, Unavailable> {
        let Some(body) = self.get(path).await? else { return Ok(None) };
        let text = std::str::from_utf8(&body).ok().map(str::trim).filter(|text| is_of_metadata(text));
        let text = text.ok_or_else(|| self.invalid(path))?;
        Ok(Some(text.to_owned()).filter(|text| !text.is_empty()))
    }

    pub fn invalid(&self, path: &str) -> Unavailable {
        Unavailable::invalid(
            Some(self.server),
            format!("the answer for {path} is not from instance metadata"),
        )
    }
}

/// The first server that answers; where none does, what the first said.
async fn first_answer<'a>(
    first: impl Future<Output = Result<Metadata<'a>, Unavailable>>,
    second: impl Future<Output = Result<Metadata<'a>, Unavailable>>,
) -> Result<Metadata<'a>, Unavailable> {
    tokio::pin!(first);
    match timeout(HEAD_START, &mut first).await {
        Ok(Err(failure)) if !failure.is_answer() => return second.await.map_err(|_| failure),
        Ok(answered) => return answered,
        Err(_) => {}
    }
    tokio::pin!(second);
    tokio::select! {
        answered = &mut first => match answered {
            Err(failure) if !failure.is_answer() => second.await.map_err(|_| failure),
            answered => answered,
        },
        answered = &mut second => match answered {
            Ok(metadata) => Ok(metadata),
            Err(_) => first.await,
        },
    }
}

/// A lookup in the kernel's tables, which sends nothing.
fn has_route(server: SocketAddr) -> bool {
    let unspecified: IpAddr =
        if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    match UdpSocket::bind((unspecified, 0)) {
        Ok(socket) => socket.connect(server).is_ok(),
        // It cannot be known; the request will say the same.
        Err(error) => resources::are_lacking(&error),
    }
}

fn authority(server: SocketAddr) -> String {
    match server.ip() {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

fn unrouted(server: Option<SocketAddr>, whereto: &str) -> Unavailable {
    let detail = format!("no route to {whereto}");
    let error = ProbeError { reason: Reason::MetadataUnreachable, detail };
    Unavailable { server, silence: None, error }
}

/// The server that a setting names instead.
async fn named_server(setting: &Setting) -> Result<(SocketAddr, String), String> {
    let wrong = |why: &str| format!("{}: {why}", setting.name);
    let uri: Uri = setting.value.parse().map_err(|_| wrong("not a URL"))?;
    let (Some("http"), Some(host), Some(authority)) = (uri.scheme_str(), uri.host(), uri.authority()) else {
        return Err(wrong("not a URL that begins with http://"));
    };
    let port = uri.port_u16().unwrap_or(80);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = threads::addresses(host, port).await.map_err(|error| wrong(&error.to_string()))?;
    let server = *found.first().ok_or_else(|| wrong("its host has no address"))?;
    Ok((server, authority.to_string()))
}

fn token_of(response: &Response<Bytes>) -> Result<HeaderValue, String> {
    if response.status() != StatusCode::OK {
        return Err(format!("HTTP {} for a token", response.status().as_u16()));
    }
    let token = response.body();
    let is_plain = (1..=LONGEST_TOKEN).contains(&token.len()) && token.iter().all(u8::is_ascii_graphic);
    let value = HeaderValue::from_bytes(token).ok().filter(|_| is_plain);
    // Never shown: with it the role's credentials can be read.
    let mut value = value.ok_or("the token is not one of instance metadata")?;
    value.set_sensitive(true);
    Ok(value)
}

/// Metadata answered, but not with what was asked for; 403 is how it says that it is off.
fn refused(server: SocketAddr, status: StatusCode, detail: &str) -> Unavailable {
    let reason = match status {
        StatusCode::FORBIDDEN => Reason::MetadataDisabled,
        StatusCode::TOO_MANY_REQUESTS => Reason::MetadataFailing,
        status if status.is_server_error() => Reason::MetadataFailing,
        _ => Reason::MetadataInvalid,
    };
    let error = ProbeError { reason, detail: detail.to_owned() };
    Unavailable { server: Some(server), silence: None, error }
}

/// Metadata did not answer; the transport knows why.
fn unanswered(server: SocketAddr, trace: &Trace, silence: MetadataSilence) -> Unavailable {
    let (reason, detail) = match &trace.error {
        Some(error) => (error.reason, error.detail.clone()),
        None => (Reason::ResponseTimeout, String::new()),
    };
    let (reason, silence) = match reason {
        Reason::ConnectTimeout => (Reason::MetadataTimeout, Some(MetadataSilence::Connect)),
        Reason::ResponseTimeout => (Reason::MetadataTimeout, Some(silence)),
        Reason::ConnectionRefused | Reason::ConnectionReset | Reason::NetworkUnreachable => {
            (Reason::MetadataUnreachable, None)
        }
        Reason::NoResources => (Reason::NoResources, None),
        _ => (Reason::MetadataInvalid, None),
    };
    Unavailable { server: Some(server), silence, error: ProbeError { reason, detail } }
}

fn is_of_metadata(value: &str) -> bool {
    value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=,@\n".contains(&byte))
}

/// What is taken for a text of instance metadata.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Option<String> {
    let _ = token_of(&Response::new(Bytes::copy_from_slice(bytes)));
    let text = std::str::from_utf8(bytes).ok().map(str::trim).filter(|text| is_of_metadata(text))?;
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_tells_metadata_that_is_off_from_metadata_that_fails() {
        let server = "169.254.169.254:80".parse().unwrap();
        for (status, reason) in [
            (403, Reason::MetadataDisabled),
            (429, Reason::MetadataFailing),
            (500, Reason::MetadataFailing),
            (503, Reason::MetadataFailing),
            (401, Reason::MetadataInvalid),
            (302, Reason::MetadataInvalid),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(refused(server, status, "").error.reason, reason, "{status}");
        }
    }

    #[test]
    fn metadata_is_told_from_a_page() {
        for value in [
            "us-east-1",
            "02:00:0a:00:01:17",
            "10.0.0.0/16\n100.64.0.0/16",
            "2001:db8::/56",
            "role+=,.@-_",
            "",
        ] {
            assert!(is_of_metadata(value), "{value}");
        }
        for value in ["<html>", "It works!", "a b", "{}", "us-east-1\r\n", "über"] {
            assert!(!is_of_metadata(value), "{value}");
        }
    }

    #[test]
    fn token_is_plain_short_and_never_shown() {
        let response = |body: &[u8]| Response::new(Bytes::copy_from_slice(body));
        let token = token_of(&response(b"AQAEALxyz==")).unwrap();
        assert!(!format!("{token:?}").contains("xyz"));
        for body in [&b""[..], b"\xff\xfe\xfd", b"two lines\nhere", &[b'a'; 1025]] {
            let error = token_of(&response(body)).unwrap_err();
            assert_eq!(error, "the token is not one of instance metadata");
        }
    }
}
