//! What was rendered a moment ago: however many clients ask, each page is rendered ten times a
//! second at most.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use hyper::body::Bytes;
use tokio::time::Instant;

use crate::report::Report;
use crate::report::text::Style;

const FRESH: Duration = Duration::from_millis(100);

/// What is rendered of a report, and how. There are a few dozen at most.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Kind {
    pub content_type: &'static str,
    pub is_gzip: bool,
    pub reloads: bool,
    pub style: Style,
}

impl Kind {
    pub const fn of(content_type: &'static str) -> Self {
        Self { content_type, is_gzip: false, reloads: false, style: Style::PLAIN }
    }
}

#[derive(Debug, Default)]
pub struct Rendered(Mutex<HashMap<Kind, Page>>);

#[derive(Debug)]
struct Page {
    /// Whose it is, without its content.
    report: Weak<Report>,
    at: Instant,
    body: Bytes,
}

impl Rendered {
    /// An error is not kept.
    pub fn get<E>(
        &self,
        report: &Arc<Report>,
        kind: Kind,
        render: impl FnOnce() -> Result<Vec<u8>, E>,
    ) -> Result<Bytes, E> {
        let mut pages = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        pages.retain(|_, page| now.duration_since(page.at) < FRESH);
        let of_report = Arc::downgrade(report);
        if let Some(page) = pages.get(&kind).filter(|page| page.report.ptr_eq(&of_report)) {
            return Ok(page.body.clone());
        }
        let body = Bytes::from(render()?);
        pages.insert(kind, Page { report: of_report, at: now, body: body.clone() });
        Ok(body)
    }

    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::time::advance;

    use super::*;
    use crate::report::fixture;

    #[tokio::test(start_paused = true)]
    async fn a_page_is_rendered_once_while_it_is_fresh() {
        let (rendered, count) = (Rendered::default(), Cell::new(0_u8));
        let (report, newer) = (Arc::new(fixture::named("leak")), Arc::new(fixture::named("leak")));
        let kind = Kind::of("text/plain");
        let get = |report: &Arc<Report>, kind| {
            let render = || {
                count.set(count.get() + 1);
                Ok::<_, ()>(vec![count.get()])
            };
            rendered.get(report, kind, render).unwrap().to_vec()
        };
        assert_eq!((get(&report, kind), get(&report, kind)), (vec![1], vec![1]));
        assert_eq!(get(&report, Kind { is_gzip: true, ..kind }), [2]);
        assert_eq!(get(&newer, kind), [3], "another report");
        advance(FRESH).await;
        assert_eq!(get(&newer, kind), [4], "time has passed");
        rendered.clear();
        assert_eq!(get(&newer, kind), [5]);
        let other = Kind { style: Style { color: true, terminal: None }, ..kind };
        assert_eq!(rendered.get(&newer, other, || Err("no")), Err("no"));
        assert_eq!(get(&newer, other), [6], "an error is not kept");
    }
}
