//! What each address of the server answers. Reads the snapshot; looks at no request body.

use std::convert::Infallible;
use std::io::Read;
use std::sync::PoisonError;
use std::time::Duration;

use flate2::Compression;
use flate2::read::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time;

use super::check_now::INTERVAL;
use super::origin::{self, Foreign};
use super::render::Kind;
use super::{ReloadFailed, Shared, page, report, runbook};
use crate::access::{Admission, Client, Rate, Refusal, Rules, Shown};
use crate::wording::rfc3339;

const READ: HeaderValue = HeaderValue::from_static("GET, HEAD");
const POST: HeaderValue = HeaderValue::from_static("POST");
/// Shorter than the life of a connection, so that the client gets an answer.
const RELOAD: Duration = Duration::from_secs(8);

/// Of all clients together.
const RELOADS: Rate = Rate { interval: Duration::from_secs(10), burst: 10 };

pub type Answer = Response<Full<Bytes>>;

/// A request, and what its connection says of its sender.
#[derive(Debug)]
pub struct Request<'r, B> {
    pub client: Client,
    /// The client has a certificate, and it was verified.
    pub is_certified: bool,
    pub http: &'r hyper::Request<B>,
}

/// And whether the connection may carry another request.
pub async fn answer<B>(shared: &Shared, rules: &Rules, request: Request<'_, B>) -> (Answer, bool) {
    let (mut answer, is_kept) = match foreign_or_not(shared, rules, &request) {
        Err(foreign) => (text(foreign.status(), foreign.words()), false),
        Ok(()) => match admit(shared, rules, &request).await {
            Ok(admission) => {
                // A client certificate is looked at in the handshake, and may expire.
                let is_kept = admission == Admission::Authenticated && !request.is_certified;
                (admitted(shared, request.http).await, is_kept)
            }
            Err(refusal) => (refused(refusal), false),
        },
    };
    if !is_kept {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let always = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, page::POLICY),
    ];
    for (name, value) in always {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    for (name, value) in &rules.headers {
        answer.headers_mut().insert(name, value.clone());
    }
    (answer, is_kept)
}

fn foreign_or_not<B>(shared: &Shared, rules: &Rules, request: &Request<'_, B>) -> Result<(), Foreign> {
    let (method, headers) = (request.http.method(), request.http.headers());
    origin::check(method, headers, rules.tls.is_some(), &shared.state.host_name)
}

async fn admit<B>(shared: &Shared, rules: &Rules, request: &Request<'_, B>) -> Result<Admission, Refusal> {
    let authorization = request.http.headers().get(header::AUTHORIZATION);
    let shown = Shown {
        client: request.client,
        is_certified: request.is_certified,
        authorization: authorization.and_then(|value| value.to_str().ok()),
    };
    shared.state.access.admit(rules, request.http.uri().path(), shown).await
}

async fn admitted<B>(shared: &Shared, request: &hyper::Request<B>) -> Answer {
    let state = &shared.state;
    match (request.uri().path(), request.method()) {
        ("/" | "/metrics" | "/report" | "/runbook" | "/-/healthy" | "/-/ready", method) if !reads(method) => {
            wrong_method(READ)
        }
        ("/", _) => landing(shared, request.uri().query()),
        ("/metrics", _) => metrics(shared, request.headers()),
        ("/report", _) => report::answer(shared, request.uri().query()),
        ("/runbook", _) => html(shared.runbook.get_or_init(|| runbook::render(state.runbook).into()).clone()),
        ("/-/check", &Method::POST) => check_now(shared),
        ("/-/check", _) => wrong_method(POST),
        ("/-/healthy", _) => match (state.healthy)() {
            Ok(()) => text(StatusCode::OK, "healthy"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        ("/-/ready", _) if *state.ready.borrow() => text(StatusCode::OK, "ready"),
        ("/-/ready", _) => text(StatusCode::SERVICE_UNAVAILABLE, "the checks are not scheduled yet"),
        ("/-/reload", &Method::POST) => reload(shared).await,
        ("/-/reload", _) => wrong_method(POST),
        _ => text(
            StatusCode::NOT_FOUND,
            "not found; see /, /metrics, /report, /runbook, /-/healthy, /-/ready, /-/check and /-/reload",
        ),
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::TooMany => text(StatusCode::TOO_MANY_REQUESTS, "more requests than rate_limit allows"),
        Refusal::Busy => {
            text(StatusCode::SERVICE_UNAVAILABLE, "too many passwords are being checked; try again later")
        }
        Refusal::NoCertificate => text(StatusCode::FORBIDDEN, "a client certificate is required"),
        Refusal::Unauthorized => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "a user name and password are required");
            let realm = HeaderValue::from_static("Basic realm=\"linkproof\", charset=\"UTF-8\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            answer
        }
    }
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// `/?still` does not reload itself, so that a reader is not interrupted.
fn landing(shared: &Shared, query: Option<&str>) -> Answer {
    let report = (shared.state.report)();
    let reloads = query != Some("still");
    let kind = Kind { reloads, ..Kind::of("text/html; charset=utf-8") };
    let page = || page::render(&report, (shared.state.now)(), reloads, &shared.state.notes.borrow()).into();
    let Ok(page) = shared.rendered.get(&report, kind, || Ok::<_, Infallible>(page()));
    let mut answer = content(StatusCode::OK, kind.content_type, page);
    if reloads {
        answer.headers_mut().insert(HeaderName::from_static("refresh"), HeaderValue::from_static("30"));
    }
    answer
}

fn metrics(shared: &Shared, headers: &HeaderMap) -> Answer {
    let state = &shared.state;
    let report = (state.report)();
    let content_type = (state.metrics_type)(&joined(headers, header::ACCEPT));
    let is_gzip = accepts_gzip(&joined(headers, header::ACCEPT_ENCODING));
    let kind = Kind { is_gzip, ..Kind::of(content_type) };
    let plain = || (state.metrics)(&report, content_type).into_bytes();
    let render = || Ok::<_, Infallible>(if is_gzip { gzip(&plain()) } else { plain() });
    let Ok(page) = shared.rendered.get(&report, kind, render);
    let mut answer = content(StatusCode::OK, content_type, page);
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if is_gzip {
        answer.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    answer
}

/// A header may come in several lines, which together are one list.
fn joined(headers: &HeaderMap, name: HeaderName) -> String {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

fn accepts_gzip(accept: &str) -> bool {
    let quality = |wanted: &str| {
        let of = |coding: &str| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, "q=1"));
            let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start().strip_prefix('=')?;
            let weight: f32 = weight.trim().parse().ok()?;
            name.trim().eq_ignore_ascii_case(wanted).then_some(weight)
        };
        accept.split(',').find_map(of)
    };
    quality("gzip").or_else(|| quality("*")).is_some_and(|weight| weight > 0.0)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = Vec::new();
    let mut encoder = GzEncoder::new(bytes, Compression::fast());
    // Reading from and writing to memory does not fail.
    let _ = encoder.read_to_end(&mut compressed);
    compressed
}

/// The answer is the time of the request, as the report writes times.
fn check_now(shared: &Shared) -> Answer {
    let Some(check_now) = &shared.state.check_now else {
        let why = "checks over HTTP are off; start with --web.enable-lifecycle";
        return text(StatusCode::FORBIDDEN, why);
    };
    let requested = rfc3339((shared.state.now)());
    if !check_now.request() {
        let why = format!("too many requests; try again in {} s", INTERVAL.as_secs());
        return text(StatusCode::TOO_MANY_REQUESTS, &why);
    }
    text(StatusCode::ACCEPTED, &requested)
}

fn html(body: Bytes) -> Answer {
    content(StatusCode::OK, "text/html; charset=utf-8", body)
}

async fn reload(shared: &Shared) -> Answer {
    let Some(requests) = &shared.state.reload else {
        let why = "reloading over HTTP is off; start with --web.enable-lifecycle, or send SIGHUP";
        return text(StatusCode::FORBIDDEN, why);
    };
    // Each writes to the journal and reads files.
    if !shared.reloads.lock().unwrap_or_else(PoisonError::into_inner).take(RELOADS) {
        return text(StatusCode::TOO_MANY_REQUESTS, "too many reloads; try again in 10 s");
    }
    let (reply, outcome) = oneshot::channel();
    if requests.try_send(reply).is_err() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "another reload is in progress; try again");
    }
    let outcome = time::timeout(RELOAD, outcome).await;
    // The metrics show whether a reload succeeded.
    shared.rendered.clear();
    match outcome {
        Ok(Ok(Ok(()))) => text(StatusCode::OK, "reloaded"),
        Ok(Ok(Err(ReloadFailed))) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "reload failed, keeping the previous configuration; see the log, or run linkproof --check-config",
        ),
        Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, "linkproof is stopping; nothing was reloaded"),
        Err(_) => text(StatusCode::SERVICE_UNAVAILABLE, "the reload takes long; see the log for its outcome"),
    }
}

fn wrong_method(allowed: HeaderValue) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed here");
    answer.headers_mut().insert(header::ALLOW, allowed);
    answer
}

pub fn text(status: StatusCode, text: &str) -> Answer {
    content(status, "text/plain; charset=utf-8", format!("{}\n", text.trim_end()).into())
}

pub fn content(status: StatusCode, content_type: &'static str, body: Bytes) -> Answer {
    let mut answer = Response::new(Full::new(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_goes_to_whoever_accepts_it() {
        for (accept, expected) in [
            ("", false),
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0, *", false),
            ("*", true),
            ("*;q=0", false),
            ("br", false),
            ("gzip;level=9", false),
            ("xgzip", false),
            ("gzip ; q = 1", true),
        ] {
            assert_eq!(accepts_gzip(accept), expected, "{accept}");
        }
    }
}
