//! `/report`: the report in the format that the query asks for, with its outcome in a header.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::answer::{Answer, content, text};
use crate::report::text::Style;
use crate::report::{Report, json, junit};

/// The outcome of the report in the answer, so that a client need not read the report.
pub const OUTCOME: HeaderName = HeaderName::from_static("linkproof-outcome");

/// `format` is `json` (the default), `text` or `junit`. A client with a terminal adds `color=1` and
/// its `columns`.
pub fn answer(report: &Report, query: Option<&str>) -> Answer {
    let (content_type, body) = match value(query, "format").unwrap_or("json") {
        "json" => match json::render(report) {
            Ok(body) => ("application/json", body),
            Err(error) => return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        },
        "text" => ("text/plain; charset=utf-8", crate::report::text::render(report, style(query))),
        "junit" => ("application/xml", junit::render(report)),
        _ => return text(StatusCode::BAD_REQUEST, "unknown format; use json, text or junit"),
    };
    let mut answer = content(StatusCode::OK, content_type, body.into());
    answer.headers_mut().insert(OUTCOME, HeaderValue::from_static(report.state().code()));
    answer
}

fn style(query: Option<&str>) -> Style {
    Style {
        color: value(query, "color") == Some("1"),
        terminal: value(query, "columns").and_then(|columns| columns.parse().ok()),
    }
}

/// The first value of this key. The values need no decoding.
fn value<'q>(query: Option<&'q str>, key: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}
