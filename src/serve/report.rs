//! `/report`: the report in the format that the query asks for, with its outcome in a header.

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::Shared;
use super::answer::{Answer, content, text};
use super::render::Kind;
use crate::report::text::Style;
use crate::report::{json, junit};

/// The outcome of the report in the answer, so that a client need not read the report.
pub const OUTCOME: HeaderName = HeaderName::from_static("linkproof-outcome");

const JSON: &str = "application/json";
const JUNIT: &str = "application/xml";

const MOST_COLUMNS: usize = 160;
const STEP: usize = 10;

/// `format` is `json` (the default), `text` or `junit`. A client with a terminal adds `color=1` and
/// its `columns`.
pub fn answer(shared: &Shared, query: Option<&str>) -> Answer {
    let report = (shared.state.report)();
    let kind = match value(query, "format").unwrap_or("json") {
        "json" => Kind::of(JSON),
        "text" => Kind { style: style(query), ..Kind::of("text/plain; charset=utf-8") },
        "junit" => Kind::of(JUNIT),
        _ => return text(StatusCode::BAD_REQUEST, "unknown format; use json, text or junit"),
    };
    let render = || {
        Ok(match kind.content_type {
            JSON => json::render(&report)?,
            JUNIT => junit::render(&report),
            _ => crate::report::text::render(&report, kind.style),
        }
        .into_bytes())
    };
    let body = match shared.rendered.get(&report, kind, render) {
        Ok(body) => body,
        Err::<_, serde_json::Error>(error) => {
            return text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string());
        }
    };
    let mut answer = content(StatusCode::OK, kind.content_type, body);
    answer.headers_mut().insert(OUTCOME, HeaderValue::from_static(report.state().code()));
    answer
}

/// A report is rendered at few widths, however many a client asks for.
fn style(query: Option<&str>) -> Style {
    let columns: Option<usize> = value(query, "columns").and_then(|columns| columns.parse().ok());
    Style {
        color: value(query, "color") == Some("1"),
        terminal: columns.map(|columns| columns.min(MOST_COLUMNS) / STEP * STEP),
    }
}

/// The first value of this key. The values need no decoding.
fn value<'q>(query: Option<&'q str>, key: &str) -> Option<&'q str> {
    query?.split('&').find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
}
