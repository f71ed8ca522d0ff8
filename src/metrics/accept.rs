//! Which of the two formats a scraper prefers, by its `Accept` header (RFC 9110, 12.5.1).

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ExpositionFormat {
    OpenMetrics,
    Text,
}

impl ExpositionFormat {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The preferred format. A client that accepts neither gets text: for a scraper, a page in the
/// wrong format is more useful than an error.
pub fn format(accept: &str) -> ExpositionFormat {
    let mut best = (0.0, ExpositionFormat::Text);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut quality, mut version) = (1.0, None);
        for (name, value) in parts.filter_map(|parameter| parameter.split_once('=')) {
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => quality = value.parse().ok().filter(|q| (0.0..=1.0).contains(q)).unwrap_or(0.0),
                "version" => version = Some(value.to_owned()),
                _ => {}
            }
        }
        // Of equals the first stays, in the order of the header.
        if let Some(format) = offered(&media, version.as_deref())
            && quality > best.0
        {
            best = (quality, format);
        }
    }
    best.1
}

fn offered(media: &str, version: Option<&str>) -> Option<ExpositionFormat> {
    match (media, version) {
        ("application/openmetrics-text", None | Some("1.0.0")) => Some(ExpositionFormat::OpenMetrics),
        ("text/plain", None | Some("0.0.4")) | ("text/*" | "*/*", _) => Some(ExpositionFormat::Text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scraper_gets_what_it_prefers() {
        use ExpositionFormat::{OpenMetrics, Text};
        for (accept, expected) in [
            ("", Text),
            ("*/*", Text),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Text),
            ("application/openmetrics-text", OpenMetrics),
            ("Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", OpenMetrics),
            ("application/openmetrics-text;version=\"1.0.0\"", OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Text),
            (
                "application/openmetrics-text;version=0.0.1;q=0.9,application/openmetrics-text;version=1.0.0;q=0.8,text/plain;q=0.7",
                OpenMetrics,
            ),
            ("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.5", Text),
            ("text/plain;q=0.5,application/openmetrics-text;q=0.5", Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", OpenMetrics),
            ("application/openmetrics-text;q=0", Text),
            ("application/openmetrics-text;q=nonsense,text/plain;q=0.1", Text),
            ("application/openmetrics-text;q=7", Text),
            ("application/openmetrics-text;q=NaN", Text),
            (";;,=,;q=,,", Text),
            // What Prometheus 2 and Prometheus 3 send.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OpenMetrics,
            ),
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
                OpenMetrics,
            ),
        ] {
            assert_eq!(format(accept), expected, "{accept}");
        }
    }
}
