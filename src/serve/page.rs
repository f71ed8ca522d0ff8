//! The status page: the report for a browser, in one file without script or asset. Whatever is
//! not a literal here passes through `escape`.

mod chart;
mod endpoint;
mod matrix;
mod past;
mod view;
mod when;

use std::time::SystemTime;

use crate::check::CheckId;
use crate::diagnosis::Diagnosis;
use crate::observation::Status;
use crate::report::{CheckReport, Headline, Report};
use crate::wording::{clean, clock_time, detail, list};
use when::When;

pub const STYLE: &str = include_str!("style.css");

/// Nothing but our own style sheet, by its SHA-256, which a test computes anew.
pub const POLICY: &str = "default-src 'none'; style-src 'sha256-DtetUS1i+c8j6leHU12QOioNfr1L6joH80eBzkSEC5k='; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// `reloads` says whether the answer comes with a header that has the browser ask again.
pub fn render(report: &Report, now: SystemTime, reloads: bool, notes: &[String]) -> String {
    let headline = headline(report, now);
    let views = view::views(report);
    let sections = [
        matrix::section(report, &views),
        report.diagnoses.iter().map(diagnosis).collect(),
        endpoint::sections(report, &views, now),
        section("Egress", &checks("egress", report, now, |id| matches!(id, CheckId::Egress(_)))),
        section(
            "Instance",
            &checks("the instance", report, now, |id| matches!(id, CheckId::Instance | CheckId::Credentials)),
        ),
        proxy(report),
        past::section(report, now),
    ];
    let (reload, link) = if reloads {
        ("This page refreshes every 30 s.", "<a href=\"/?still\">Stop</a>")
    } else {
        ("Auto-refresh is off.", "<a href=\"/\">Turn it on</a>")
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{word}: linkproof</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <header><h1>linkproof {version}</h1><p>{place}</p></header>\n<main>\n\
         <p class=\"overall {class}\"><strong>{word}</strong> {detail}</p>\n\
         <p class=\"note\">As of {now}. {reload} {link}</p>\n{notes}{sections}</main>\n\
         <footer><a href=\"/report\">Report</a> · <a href=\"/runbook\">Runbook</a> · \
         <a href=\"/metrics\">Metrics</a> · <a href=\"/-/healthy\">Healthy</a> · \
         <a href=\"/-/ready\">Ready</a></footer>\n</body>\n</html>\n",
        word = headline.word(),
        detail = escape(&headline.detail),
        version = escape(report.version),
        place = escape(&place(report)),
        class = headline.status.code(),
        now = clock_time(now),
        notes = notes
            .iter()
            .map(|note| format!("<p class=\"warning\">{}</p>\n", escape(note)))
            .collect::<String>(),
        sections = sections.concat(),
    )
}

/// The report's own, unless what it rests on is too old to be true: an open page must not say
/// pass for a schedule that hangs.
fn headline(report: &Report, now: SystemTime) -> Headline {
    let silent = |check: &&CheckReport| check.silent_for(report.started_at, now).is_some();
    let silent: Vec<String> = report.checks.iter().filter(silent).map(|check| check.id.to_string()).collect();
    let headline = report.headline();
    if silent.is_empty() || headline.status == Status::Fail {
        return headline;
    }
    Headline {
        status: Status::Inconclusive,
        is_starting: false,
        detail: format!("checks that stopped running: {}", list(silent)),
    }
}

fn place(report: &Report) -> String {
    let Some(instance) = &report.instance else { return "instance unknown".to_owned() };
    let facts = [&instance.instance_id, &instance.zone, &instance.subnet_id, &instance.vpc_id];
    list(facts.into_iter().flatten())
}

fn section(title: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!("<section>\n<h2>{}</h2>\n{body}</section>\n", escape(title))
}

/// A table of the checks that are wanted, and the evidence of each below it.
fn checks(of: &str, report: &Report, now: SystemTime, wanted: impl Fn(&CheckId) -> bool) -> String {
    let checks: Vec<&CheckReport> = report.checks.iter().filter(|check| wanted(&check.id)).collect();
    let evidence: String = checks.iter().map(|check| evidence(check)).collect();
    table(of, &checks, report, now) + &evidence
}

/// The caption tells a screen reader which of the page's tables this is.
fn table(of: &str, checks: &[&CheckReport], report: &Report, now: SystemTime) -> String {
    if checks.is_empty() {
        return String::new();
    }
    let rows: String = checks.iter().map(|check| row(check, report, now)).collect();
    format!(
        "<table class=\"checks\" aria-label=\"Checks of {}\">\n<thead><tr><th scope=\"col\">Check</th><th scope=\"col\">Outcome</th>\
         <th scope=\"col\">Result</th><th scope=\"col\">Runs</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n",
        escape(of)
    )
}

fn row(check: &CheckReport, report: &Report, now: SystemTime) -> String {
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"when\">{}</td></tr>\n",
        escape(&check.id.to_string()),
        match check.last {
            Some(_) => badge(check.state(), check.state().code()),
            None => badge(Status::Inconclusive, "not run yet"),
        },
        escape(&check.summary()),
        When { check, since: report.started_at, now }
    )
}

/// Told apart by word and by shape too, for readers who do not see the colors.
fn badge(state: Status, word: &str) -> String {
    format!("<span class=\"badge {}\">{}</span>", state.code(), escape(word))
}

fn evidence(check: &CheckReport) -> String {
    let lines = check.last.as_deref().map(detail).unwrap_or_default();
    let open = match check.state() {
        Status::Fail | Status::Inconclusive => " open",
        Status::Pass | Status::Skipped => "",
    };
    folded(&format!("Evidence of {}", check.id), &lines, open)
}

fn folded(title: &str, lines: &[String], open: &str) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let lines: String = lines.iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    format!("<details{open}><summary>{}</summary>\n<ul>\n{lines}</ul>\n</details>\n", escape(title))
}

fn diagnosis(diagnosis: &Diagnosis) -> String {
    let (kind, class) = if diagnosis.explains.is_empty() { ("Warning: ", "warning") } else { ("", "cause") };
    let explains = if diagnosis.explains.is_empty() {
        String::new()
    } else {
        format!("<dt>Explains</dt><dd>{}</dd>\n", escape(&list(&diagnosis.explains)))
    };
    format!(
        "<section class=\"{class}\">\n<h2>{kind}{}</h2>\n<dl>\n<dt>Evidence</dt><dd>{}</dd>\n\
         <dt>Remedy</dt><dd>{}</dd>\n{explains}<dt>Runbook</dt><dd><a href=\"/runbook#{cause}\">{cause}</a></dd>\n</dl>\n</section>\n",
        escape(diagnosis.cause.title()),
        escape(&diagnosis.evidence),
        escape(&diagnosis.remedy),
        cause = diagnosis.cause.code()
    )
}

fn proxy(report: &Report) -> String {
    if report.environment.proxy_variables.is_empty() {
        return String::new();
    }
    format!("<p>Proxy variables are set: {}</p>\n", escape(&list(&report.environment.proxy_variables)))
}

/// For text and for quoted attributes alike.
pub fn escape(text: &str) -> String {
    clean(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::observation::{Evidence, Outcome, QueryResult, Reason, ZoneRange};
    use crate::report::{Episode, fixture};

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

    fn shown(report: &Report) -> String {
        render(report, fixture::at(4), true, &[])
    }

    #[test]
    fn pages_look_as_committed() {
        for name in
            ["healthy", "private_dns_off", "endpoint_half_dead", "zone_missing", "leak", "just_started"]
        {
            let mut report = fixture::named(name);
            report.episodes = episodes(&report);
            // The style sheet has a file of its own.
            let page = shown(&report).replace(STYLE, "");
            fixture::golden(&format!("src/serve/golden/{name}.html"), &page);
        }
    }

    /// What the history would hold: what is broken now, and a failure that has gone again.
    fn episodes(report: &Report) -> Vec<Episode> {
        let broken = report.checks.iter().filter_map(|check| check.last.clone());
        let broken = broken.filter(|last| last.outcome.reason() != Some(Reason::FamilyUnavailable));
        let mut episodes: Vec<Episode> = broken
            .filter(|last| matches!(last.outcome.state(), Status::Fail | Status::Inconclusive))
            .map(|first| Episode { attempts: 3, last_at: fixture::at(2), ended: None, first })
            .collect();
        let timeout = QueryResult::Timeout;
        let gone = fixture::unresolved(Reason::QueryTimeout, &timeout);
        let ended = Some((fixture::at(1), Status::Pass));
        episodes.push(Episode { attempts: 1, last_at: gone.started_at, ended, first: gone.into() });
        episodes
    }

    #[test]
    fn the_page_of_a_hundred_endpoints_stays_small() {
        let size = |count| shown(&fixture::estate(count)).len();
        let (hundred, two_hundred) = (size(100), size(200));
        println!("{hundred} {two_hundred}");
        assert!(hundred < 300 * 1024, "{hundred}");
        assert!(two_hundred < 600 * 1024, "{two_hundred}");
    }

    #[test]
    fn the_matrix_has_a_row_for_each_endpoint_and_a_cell_for_each_address() {
        let page = shown(&fixture::estate(25));
        let (_, matrix) = page.split_once("<table class=\"matrix\" aria-labelledby=\"matrix\">").unwrap();
        let (matrix, below) = matrix.split_once("</table>").unwrap();
        assert_eq!(matrix.matches("<tr><th scope=\"row\">").count(), 25);
        assert_eq!(matrix.matches("<span class=\"cell pass\"><b>pass</b> <i>10.0.").count(), 75);
        for zone in ["us-east-1a<br>this instance</th>", "us-east-1b</th>", "us-east-1c</th>"] {
            assert_eq!(matrix.matches(zone).count(), 1, "{zone}");
        }
        assert!(!matrix.contains("Zone unknown"));
        for number in 1..=25 {
            assert!(matrix.contains(&format!("<a href=\"#e{number}\">")));
            assert_eq!(below.matches(&format!("<div id=\"e{number}\">")).count(), 1);
        }
        let unzoned = shown(&fixture::healthy());
        assert!(unzoned.contains("<th scope=\"col\">Addresses</th></tr>"), "{unzoned}");
        let missing = shown(&fixture::named("zone_missing"));
        assert_eq!(missing.matches("<span class=\"cell missing\">missing</span>").count(), 1);
    }

    #[test]
    fn the_matrix_names_a_configured_zone_without_an_address() {
        let matrix_of = |zones: &[(&str, &str)], own: bool| {
            let mut report = fixture::named("zone_missing");
            let last = report.checks.iter_mut().filter_map(|check| check.last.as_mut());
            for last in last.map(std::sync::Arc::make_mut) {
                let Evidence::Dns(evidence) = &mut last.evidence else { continue };
                let range = |(zone, cidr): &(&str, &str)| ZoneRange {
                    zone: (*zone).into(),
                    id: None,
                    cidrs: vec![cidr.parse().unwrap()],
                };
                evidence.zones = zones.iter().map(range).collect();
                evidence.own = evidence.own.take().filter(|_| own);
            }
            let page = shown(&report);
            let (_, matrix) = page.split_once("<table class=\"matrix\" aria-labelledby=\"matrix\">").unwrap();
            let (matrix, _) = matrix.split_once("</table>").unwrap();
            (matrix.matches("<th scope=\"col\">us-east-1").count(), matrix.matches("missing</span>").count())
        };
        let ranges =
            [("us-east-1a", "10.0.1.0/24"), ("us-east-1b", "10.0.2.0/24"), ("us-east-1d", "10.0.4.0/24")];
        assert_eq!(matrix_of(&ranges, false), (3, 1));
        assert_eq!(matrix_of(&ranges, true), (4, 2));
        // An address in dispute says nothing of either zone.
        assert_eq!(matrix_of(&[("us-east-1d", "10.0.2.0/24")], true), (3, 1));
    }

    #[test]
    fn a_broken_endpoint_stands_open_and_a_healthy_one_is_folded() {
        let mut report = fixture::estate(25);
        let page = shown(&report);
        assert!(
            !page.contains("<details class=\"endpoint\" open>") && !page.contains("Evidence of service-")
        );
        let connect =
            report.checks.iter_mut().find(|check| check.id.to_string() == "service-007.api/connect");
        let last = std::sync::Arc::make_mut(connect.unwrap().last.as_mut().unwrap());
        last.outcome = Outcome::Fail(Reason::ConnectTimeout);
        last.addresses[1].outcome = last.outcome;
        let page = shown(&report);
        assert_eq!(page.matches("<details class=\"endpoint\" open>").count(), 1);
        assert_eq!(page.matches("<span class=\"cell fail\"><b>FAIL</b> <i>10.0.2.113</i></span>").count(), 1);
        assert!(page.contains("Evidence of service-007.api/connect"));
    }

    #[test]
    fn what_no_longer_runs_is_no_pass() {
        let mut report = fixture::healthy();
        let headline = |report: &Report, second| headline(report, fixture::at(second));
        assert_eq!(headline(&report, 150).status, Status::Pass);
        let line = headline(&report, 151);
        assert_eq!(line.status, Status::Inconclusive);
        assert!(line.detail.starts_with("checks that stopped running: instance, credentials"), "{line}");
        // One that never ran at all.
        report.checks.truncate(3);
        for check in &mut report.checks[..2] {
            check.interval = Duration::from_hours(1);
        }
        report.checks[2].last = None;
        assert_eq!(headline(&report, 151).detail, "checks that stopped running: monitoring/dns");
        // A failure stays one, however old.
        assert_eq!(headline(&fixture::named("leak"), 9999).status, Status::Fail);
    }

    #[test]
    fn whatever_a_peer_says_stays_text() {
        let mut report = fixture::named("intercepted");
        report.episodes = episodes(&report);
        let page = shown(&report);
        assert_eq!(
            page.matches("&lt;b&gt;Inspection").count(),
            5,
            "a diagnosis, and evidence and history of two addresses"
        );
        assert!(page.contains("CN=Corp [2J &lt;b&gt;Inspection&lt;/b&gt; &quot;CA&quot; &amp; Sons"));
        assert!(!page.contains("<b>Inspection") && !page.contains('\u{1b}'));
    }
}
