//! The status page: the report for a browser, in one file without script or asset.

use crate::diagnosis::Diagnosis;
use crate::observation::State;
use crate::report::words::{clean, list, rfc3339};
use crate::report::{CheckReport, Report, detail};

const STYLE: &str = include_str!("style.css");

/// Nothing but our own style sheet, by its SHA-256, which a test computes anew.
pub const POLICY: &str = "default-src 'none'; style-src 'sha256-uNqmzDyVPu8tdYBYDzJJDqJb+X072FaQD0hOx+1xoiY='; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub fn render(report: &Report) -> String {
    let state = report.state();
    let rows: String = report.checks.iter().map(row).collect();
    let diagnoses: String = report.diagnoses.iter().map(diagnosis).collect();
    let broken = report.checks.iter().filter(|check| match check.state() {
        State::Fail | State::Inconclusive => check.last.is_some(),
        State::Pass | State::Skipped => false,
    });
    let evidence: String = broken.map(evidence).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{word}: linkproof</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>linkproof {version}</h1>\n<p>{place}</p>\n<p class=\"{class}\">{verdict}</p>\n\
         <table>\n<thead><tr><th>Check</th><th>Outcome</th><th>What was seen</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n{diagnoses}{evidence}{proxy}\
         <p><a href=\"/metrics\">Metrics</a> · <a href=\"/-/healthy\">Healthy</a> · \
         <a href=\"/-/ready\">Ready</a></p>\n</body>\n</html>\n",
        word = state.code(),
        version = escape(report.version),
        place = escape(&place(report)),
        class = state.code(),
        verdict = escape(&report.verdict_line()),
        proxy = proxy(report),
    )
}

fn place(report: &Report) -> String {
    let mut parts = Vec::new();
    if let Some(instance) = &report.instance {
        let facts = [&instance.instance_id, &instance.zone, &instance.vpc_id];
        parts.extend(facts.into_iter().flatten().cloned());
    }
    parts.push(format!("as of {}", rfc3339(report.finished_at)));
    list(parts)
}

fn row(check: &CheckReport) -> String {
    let state = check.state().code();
    let outcome = if check.last.is_none() { "not run yet" } else { state };
    format!(
        "<tr><td>{}</td><td class=\"{state}\">{outcome}</td><td>{}</td></tr>\n",
        escape(&check.id.to_string()),
        escape(&check.summary())
    )
}

fn diagnosis(diagnosis: &Diagnosis) -> String {
    let warning = if diagnosis.explains.is_empty() { "Warning: " } else { "" };
    let explains = if diagnosis.explains.is_empty() {
        String::new()
    } else {
        format!("<dt>Explains</dt><dd>{}</dd>\n", escape(&list(&diagnosis.explains)))
    };
    format!(
        "<h2>{warning}{}</h2>\n<dl>\n<dt>Evidence</dt><dd>{}</dd>\n<dt>Remedy</dt><dd>{}</dd>\n{explains}\
         <dt>Runbook</dt><dd>{}</dd>\n</dl>\n",
        escape(diagnosis.cause.title()),
        escape(&diagnosis.evidence),
        escape(&diagnosis.remedy),
        runbook(diagnosis.cause.runbook())
    )
}

/// A path on the instance is no address that a browser could open.
fn runbook(place: &str) -> String {
    let place = escape(place);
    if place.starts_with("https://") { format!("<a href=\"{place}\">{place}</a>") } else { place }
}

fn evidence(check: &CheckReport) -> String {
    let lines = check.last.as_ref().map(detail).unwrap_or_default();
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    format!("<h2>{}</h2>\n<ul>\n{lines}</ul>\n", escape(&check.id.to_string()))
}

fn proxy(report: &Report) -> String {
    if report.proxy_variables.is_empty() {
        return String::new();
    }
    format!("<p>Proxy variables are set: {}</p>\n", escape(&list(&report.proxy_variables)))
}

/// For text and for quoted attributes alike.
fn escape(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

    use super::*;
    use crate::report::fixture;

    #[test]
    fn the_policy_lets_in_our_style_sheet_and_nothing_else() {
        let hash = base64(&Sha256::digest(STYLE.as_bytes()));
        assert!(POLICY.contains(&format!("style-src 'sha256-{hash}'")), "write {hash}");
        assert!(POLICY.starts_with("default-src 'none'; "));
        // The text of the element is hashed, so it must not need escaping or hold an asset.
        assert!(!STYLE.contains("</") && !STYLE.contains("url("));
    }

    fn base64(bytes: &[u8]) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let chunk = |chunk: &[u8]| {
            let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - chunk.len()));
            let digit = |n: usize| {
                if n <= chunk.len() {
                    char::from(ALPHABET[(bits >> (18 - 6 * n) & 63) as usize])
                } else {
                    '='
                }
            };
            (0..4).map(digit).collect::<String>()
        };
        bytes.chunks(3).map(chunk).collect()
    }

    #[test]
    fn it_shows_the_verdict_the_checks_and_what_to_do() {
        let page = render(&fixture::named("private_dns_off"));
        for shown in [
            "<title>fail: linkproof</title>",
            "<p class=\"fail\">FAIL: 2 of 7 checks failed: monitoring/dns, monitoring/connect</p>",
            "<td>monitoring/call</td><td class=\"skipped\">skipped</td>",
            "<h2>Private DNS is off for the endpoint</h2>",
            "<dt>Remedy</dt><dd>Turn on Enable private DNS names",
            "<dt>Explains</dt><dd>monitoring/dns, monitoring/connect</dd>",
        ] {
            assert!(page.contains(shown), "{shown}\n{page}");
        }
        assert!(
            render(&fixture::named("just_started")).contains("<td class=\"inconclusive\">not run yet</td>")
        );
        assert!(
            render(&fixture::named("proxy_set")).contains("Proxy variables are set: HTTPS_PROXY, no_proxy")
        );
    }

    #[test]
    fn whatever_a_peer_says_stays_text() {
        let page = render(&fixture::named("intercepted"));
        assert!(page.contains("CN=Corp [2J &lt;b&gt;Inspection&lt;/b&gt; &quot;CA&quot; &amp; Sons"));
        assert!(!page.contains("<b>") && !page.contains('\u{1b}'));
    }

    #[test]
    fn only_an_address_becomes_a_link() {
        assert_eq!(runbook("/usr/share/doc#a"), "/usr/share/doc#a");
        assert_eq!(
            runbook("https://x.example/#a"),
            "<a href=\"https://x.example/#a\">https://x.example/#a</a>"
        );
        assert_eq!(runbook("javascript:alert(1)"), "javascript:alert(1)");
        assert!(!runbook("https://x/\" onclick=\"").contains("\" onclick"));
    }
}
