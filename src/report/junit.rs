//! The report as JUnit XML, for the test views of build servers. What could not be seen is an
//! error there, so that it never shows as green.

use super::{CheckReport, Report};
use crate::observation::Status;
use crate::wording::{self, rfc3339};

pub fn render(report: &Report) -> String {
    let mut cases: Vec<String> = report.checks.iter().map(case).collect();
    let of = |state| report.checks.iter().filter(|check| check.state() == state).count();
    let mut errors = of(Status::Inconclusive);
    // Skipped checks alone would look like success.
    if report.state() == Status::Inconclusive && errors == 0 {
        errors = 1;
        cases.push(run_case(report));
    }
    let took = report.finished_at.duration_since(report.started_at).unwrap_or_default();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{errors}\" skipped=\"{}\" time=\"{:.3}\"",
        cases.len(),
        of(Status::Fail),
        of(Status::Skipped),
        took.as_secs_f64()
    );
    let host =
        report.instance.as_ref().and_then(|instance| instance.instance_id.as_deref()).unwrap_or_default();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += &format!("<testsuites name=\"linkproof\" {counts}>\n");
    text += &format!(
        "  <testsuite name=\"linkproof\" {counts} timestamp=\"{}\" hostname=\"{}\">\n",
        escape(&rfc3339(report.started_at)),
        escape(host)
    );
    text += &format!(
        "    <properties>\n      <property name=\"version\" value=\"{}\"/>\n    </properties>\n",
        escape(report.version)
    );
    text.extend(cases);
    text + "  </testsuite>\n</testsuites>\n"
}

fn case(check: &CheckReport) -> String {
    let took = check.last.as_ref().map(|last| last.took.as_secs_f64()).unwrap_or_default();
    let id = check.id.to_string();
    let group = id.split('/').next().unwrap_or_default();
    let open = format!(
        "    <testcase classname=\"linkproof.{}\" name=\"{}\" time=\"{took:.3}\"",
        escape(group),
        escape(&id)
    );
    let summary = escape(&check.summary());
    let reason = check.last.as_ref().and_then(|last| last.outcome.reason());
    let reason = reason.map_or("not_run", |reason| reason.code());
    let element = match check.state() {
        Status::Pass => return format!("{open}/>\n"),
        Status::Skipped => {
            return format!("{open}>\n      <skipped message=\"{summary}\"/>\n    </testcase>\n");
        }
        Status::Fail => "failure",
        Status::Inconclusive => "error",
    };
    let lines = check.last.as_deref().map(wording::detail).unwrap_or_default();
    let body = escape_text(&lines.join("\n"));
    format!(
        "{open}>\n      <{element} type=\"{reason}\" message=\"{summary}\">{body}</{element}>\n    </testcase>\n"
    )
}

fn run_case(report: &Report) -> String {
    let line = escape(&report.headline().to_string());
    format!(
        "    <testcase classname=\"linkproof\" name=\"verdict\" time=\"0.000\">\n      \
         <error type=\"not_proven\" message=\"{line}\"/>\n    </testcase>\n"
    )
}

/// For an attribute, where a bare line break would be read as a space.
fn escape(text: &str) -> String {
    escape_text(text).replace('\n', "&#10;").replace('\t', "&#9;")
}

fn escape_text(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(c),
            // What XML 1.0 cannot hold in any spelling, and DEL and C1, which it discourages.
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c if c.is_control() => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn reports_read_as_test_suites() {
        for name in ["healthy", "endpoint_half_dead", "not_permitted", "nothing_but_skipped"] {
            let text = render(&fixture::named(name));
            fixture::golden(&format!("src/report/golden/{name}.xml"), &text);
        }
    }

    #[test]
    fn whatever_a_peer_says_stays_text() {
        let text = "<b a=\"1\">&\u{0}\u{1b}[2J\u{7f}\u{85}\u{fffe}\r\n\t'";
        assert_eq!(
            escape_text(text),
            "&lt;b a=&quot;1&quot;&gt;&amp;\u{fffd}\u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}\n\t'"
        );
        assert_eq!(escape("a\n\tb"), "a&#10;&#9;b");
    }

    #[test]
    fn nothing_that_is_not_proven_shows_as_green() {
        for (name, report) in fixture::all() {
            let text = render(&report);
            let red = text.contains("<failure") || text.contains("<error");
            assert_eq!(red, report.state() != Status::Pass, "{name}");
        }
    }
}
