//! What each address of the server answers. Reads the snapshot; looks at no request body.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::oneshot;
use tokio::time;

use super::{AppState, page};
use crate::access::{Refusal, Rules};

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const READ: HeaderValue = HeaderValue::from_static("GET, HEAD");
const POST: HeaderValue = HeaderValue::from_static("POST");
/// Shorter than the life of a connection, so that whoever waits hears of it.
const RELOAD: Duration = Duration::from_secs(8);

pub type Answer = Response<Full<Bytes>>;

/// `certified`: the client showed a certificate that was verified.
pub async fn answer<B>(state: &AppState, rules: &Rules, certified: bool, request: &Request<B>) -> Answer {
    let path = request.uri().path();
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let mut answer = match state.access.admits(rules, path, certified, authorization).await {
        Ok(()) => admitted(state, request).await,
        Err(refusal) => refused(refusal),
    };
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
    answer
}

async fn admitted<B>(state: &AppState, request: &Request<B>) -> Answer {
    match (request.uri().path(), request.method()) {
        ("/" | "/metrics" | "/-/healthy" | "/-/ready", method) if !reads(method) => wrong_method(READ),
        ("/", _) => landing(state, request.uri().query()),
        ("/metrics", _) => metrics(state, request.headers()),
        ("/-/healthy", _) => match (state.healthy)() {
            Ok(()) => text(StatusCode::OK, "healthy"),
            Err(why) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        },
        ("/-/ready", _) if *state.ready.borrow() => text(StatusCode::OK, "ready"),
        ("/-/ready", _) => text(StatusCode::SERVICE_UNAVAILABLE, "the checks are not scheduled yet"),
        ("/-/reload", &Method::POST) => reload(state).await,
        ("/-/reload", _) => wrong_method(POST),
        _ => text(StatusCode::NOT_FOUND, "there is nothing here: see /, /metrics, /-/healthy and /-/ready"),
    }
}

fn refused(refusal: Refusal) -> Answer {
    match refusal {
        Refusal::TooMany => text(StatusCode::TOO_MANY_REQUESTS, "more requests than rate_limit allows"),
        Refusal::NoCertificate => text(StatusCode::FORBIDDEN, "this address needs a client certificate"),
        Refusal::Unauthorized => {
            let mut answer = text(StatusCode::UNAUTHORIZED, "this address needs a user and the password");
            let realm = HeaderValue::from_static("Basic realm=\"linkproof\", charset=\"UTF-8\"");
            answer.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
            answer
        }
    }
}

fn reads(method: &Method) -> bool {
    *method == Method::GET || *method == Method::HEAD
}

/// `/?still` stands still, so that whoever reads is not interrupted.
fn landing(state: &AppState, query: Option<&str>) -> Answer {
    let report = Arc::clone(&state.report.borrow());
    let reloads = query != Some("still");
    let body = page::render(&report, (state.now)(), reloads);
    let mut answer =
        content(StatusCode::OK, HeaderValue::from_static("text/html; charset=utf-8"), body.into());
    if reloads {
        answer.headers_mut().insert(HeaderName::from_static("refresh"), HeaderValue::from_static("30"));
    }
    answer
}

fn metrics(state: &AppState, headers: &HeaderMap) -> Answer {
    let accept = joined(headers, header::ACCEPT);
    let report = Arc::clone(&state.report.borrow());
    let page = (state.metrics)(&report, &accept);
    let compressed =
        if accepts_gzip(&joined(headers, header::ACCEPT_ENCODING)) { gzip(&page.body) } else { None };
    let is_compressed = compressed.is_some();
    let body = compressed.unwrap_or_else(|| page.body.into_bytes());
    let mut answer = content(StatusCode::OK, HeaderValue::from_static(page.content_type), body);
    answer.headers_mut().insert(header::VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    if is_compressed {
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

fn gzip(text: &str) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok()
}

async fn reload(state: &AppState) -> Answer {
    let Some(requests) = &state.reload else {
        let why = "reloading over HTTP is turned off: start with --web.enable-lifecycle, or send the process SIGHUP";
        return text(StatusCode::FORBIDDEN, why);
    };
    let (reply, outcome) = oneshot::channel();
    if requests.try_send(reply).is_err() {
        return text(StatusCode::SERVICE_UNAVAILABLE, "another reload is under way: try again");
    }
    match time::timeout(RELOAD, outcome).await {
        Ok(Ok(Ok(()))) => text(StatusCode::OK, "reloaded"),
        Ok(Ok(Err(problems))) => text(StatusCode::INTERNAL_SERVER_ERROR, &problems),
        Ok(Err(_)) => text(StatusCode::SERVICE_UNAVAILABLE, "linkproof is stopping, so nothing was reloaded"),
        Err(_) => {
            text(StatusCode::SERVICE_UNAVAILABLE, "the reload is taking long: see the log for how it ends")
        }
    }
}

fn wrong_method(allowed: HeaderValue) -> Answer {
    let mut answer = text(StatusCode::METHOD_NOT_ALLOWED, "this address does not take that method");
    answer.headers_mut().insert(header::ALLOW, allowed);
    answer
}

fn text(status: StatusCode, text: &str) -> Answer {
    content(status, TEXT, format!("{}\n", text.trim_end()).into_bytes())
}

fn content(status: StatusCode, content_type: HeaderValue, body: Vec<u8>) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, content_type);
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
