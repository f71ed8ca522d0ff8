//! The report for a person at a terminal: a table of all checks, then what is wrong and what
//! to do, the verdict last, where the eye is. On a terminal nothing is wider than the terminal; in
//! a pipe or a file the last column of the table is never cut.

mod counted;

use super::{CheckReport, Report};
use crate::check::CheckId;
use crate::diagnosis::{Cause, Diagnosis};
use crate::observation::{Evidence, Outcome, Status};
use crate::wording::{self, clean, clock_time, duration, list, shorten};

const WIDTH: usize = 100;
/// Longer ids take a line of their own, so that one long host does not squeeze the table.
const WIDEST_ID: usize = 32;
const OUTCOME_WIDTH: usize = "inconclusive".len();
const TIME_WIDTH: usize = "999 ms".len();

/// A terminal narrower than this wraps the lines itself.
const NARROWEST: usize = 72;

/// Wider lines are hard to read.
const WIDEST: usize = 160;

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Style {
    pub color: bool,
    /// Columns of the terminal. `None`: the text goes elsewhere.
    pub terminal: Option<usize>,
}

impl Style {
    pub const PLAIN: Self = Self { color: false, terminal: None };

    fn width(self) -> usize {
        self.terminal.map_or(WIDTH, |columns| columns.clamp(NARROWEST, WIDEST))
    }

    pub fn wrapped(self, text: &str, first: &str, rest: &str) -> String {
        wrap(self.width(), text, first, rest)
    }
}

pub fn render(report: &Report, style: Style) -> String {
    let mut blocks = vec![style.wrapped(&header(report), "", ""), table(report, style)];
    let (causes, warnings): (Vec<&Diagnosis>, Vec<&Diagnosis>) =
        report.diagnoses.iter().partition(|diagnosis| !diagnosis.explains.is_empty());
    blocks.extend(causes.iter().map(|diagnosis| explanation(diagnosis, "", style)));
    let seen = seen_width(id_width(report), style);
    let detailed = report.checks.iter().filter(|check| wants_detail(check, report, seen));
    blocks.extend(detailed.map(|check| evidence(check, style)));
    blocks.extend(warnings.iter().map(|diagnosis| explanation(diagnosis, "Warning: ", style)));
    let passes =
        |check: &CheckReport| matches!(check.id, CheckId::Egress(_)) && check.state() == Status::Pass;
    if report.checks.iter().any(passes) {
        blocks.push(style.wrapped(wording::egress::LIMITS, "", ""));
    }
    blocks.push(
        style.paint(report.state(), style.wrapped(&report.headline().to_string(), "", "  ").trim_end())
            + "\n",
    );
    blocks.join("\n")
}

fn header(report: &Report) -> String {
    let mut parts = vec![format!("linkproof {}", report.version)];
    if let Some(instance) = &report.instance {
        let facts = [&instance.instance_id, &instance.zone, &instance.vpc_id];
        parts.extend(facts.into_iter().flatten().cloned());
    }
    parts.push(clock_time(report.finished_at));
    list(parts)
}

fn table(report: &Report, style: Style) -> String {
    let id_width = id_width(report);
    let mut counted = counted::lines(report);
    let is_counted: Vec<bool> = report.checks.iter().map(|check| counted::has(&counted, check)).collect();
    let mut text = row(id_width, "CHECK", &pad("OUTCOME", OUTCOME_WIDTH), "TIME", "WHAT WAS SEEN");
    for (check, is_counted) in report.checks.iter().zip(is_counted) {
        if is_counted {
            // All of them in place of the first.
            text.extend(std::mem::take(&mut counted).iter().map(|line| counted_row(id_width, line, style)));
            continue;
        }
        let id = clean(&check.id.to_string());
        let short = id.chars().count() <= id_width;
        if !short {
            text += &style.wrapped(&id, "", "");
        }
        let took = check.last.as_ref().map(|last| duration(last.took)).unwrap_or_default();
        let outcome = style.paint(check.state(), &pad(outcome(check), OUTCOME_WIDTH));
        let evidence = match style.terminal {
            Some(_) => shorten(&check.headline(), seen_width(id_width, style)),
            None => clean(&check.headline()),
        };
        text += &row(id_width, if short { &id } else { "" }, &outcome, &took, &evidence);
    }
    text
}

fn counted_row(id_width: usize, line: &counted::Line, style: Style) -> String {
    let outcome = style.paint(Status::Pass, &pad(Status::Pass.code(), OUTCOME_WIDTH));
    row(id_width, &line.id, &outcome, &duration(line.took), &line.seen)
}

fn id_width(report: &Report) -> usize {
    let ids = report.checks.iter().map(|check| check.id.to_string().chars().count());
    ids.filter(|width| *width <= WIDEST_ID).max().unwrap_or(0).max("CHECK".len())
}

/// Failure stands out without color, too.
fn outcome(check: &CheckReport) -> &'static str {
    match (check.state(), &check.last) {
        (_, None) => "not run yet",
        (Status::Fail, _) => "FAIL",
        (state, Some(_)) => state.code(),
    }
}

fn seen_width(id_width: usize, style: Style) -> usize {
    style.width() - (id_width + 2 + OUTCOME_WIDTH + 2 + TIME_WIDTH + 2)
}

fn row(id_width: usize, id: &str, outcome: &str, took: &str, evidence: &str) -> String {
    let line = format!("{}  {outcome}  {}  {evidence}", pad(id, id_width), pad(took, TIME_WIDTH));
    line.trim_end().to_owned() + "\n"
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn explanation(diagnosis: &Diagnosis, prefix: &str, style: Style) -> String {
    let cause = diagnosis.cause;
    let mut text = style.bold(&format!("{prefix}{}", cause.title())) + "\n";
    text += &style.wrapped(&diagnosis.evidence, "  Evidence  ", "            ");
    text += &style.wrapped(&diagnosis.remedy, "  Remedy    ", "            ");
    if !diagnosis.explains.is_empty() {
        text += &style.wrapped(&list(&diagnosis.explains), "  Explains  ", "            ");
    }
    let more = format!("linkproof explain {}", cause.code());
    text + &style.wrapped(&more, "  More      ", "            ")
}

/// Whatever no known cause explains, and what is longer than the table shows of it.
fn wants_detail(check: &CheckReport, report: &Report, seen: usize) -> bool {
    if check.last.as_ref().is_none_or(|last| last.outcome == Outcome::Pass) {
        return false;
    }
    let mut known = report.diagnoses.iter().filter(|diagnosis| diagnosis.cause != Cause::Unexplained);
    let explained = known.any(|diagnosis| diagnosis.explains.contains(&check.id));
    let waited = check.last.as_ref().is_some_and(|last| matches!(last.evidence, Evidence::NotAttempted(_)));
    if explained && waited {
        return false;
    }
    let is_long = check.headline().chars().count() > seen;
    match check.state() {
        Status::Fail | Status::Inconclusive => is_long || !explained,
        Status::Skipped | Status::Pass => is_long,
    }
}

fn evidence(check: &CheckReport, style: Style) -> String {
    let reason = check.last.as_ref().and_then(|last| last.outcome.reason());
    let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let title = style.wrapped(&format!("{}: {}{reason}", check.id, outcome(check)), "", "  ");
    let mut text = style.bold(title.trim_end()) + "\n" + &style.wrapped(&check.summary(), "  ", "  ");
    for line in check.last.as_deref().map(wording::detail).unwrap_or_default() {
        text += &style.wrapped(&line, "    ", "      ");
    }
    text
}

/// Breaks at spaces, and inside a word only where it is wider than a line.
pub fn wrapped(text: &str, first: &str, rest: &str) -> String {
    wrap(WIDTH, text, first, rest)
}

fn wrap(width: usize, text: &str, first: &str, rest: &str) -> String {
    let text = clean(text);
    let mut lines = String::new();
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let used = line.chars().count() + usize::from(!empty);
        if !empty && used + word.len() > width {
            lines += &(line + "\n");
            (line, empty) = (rest.to_owned(), true);
        }
        if !empty {
            line.push(' ');
        }
        while line.chars().count() + word.len() > width {
            let fits = width - line.chars().count();
            line.extend(word.drain(..fits));
            lines += &(line + "\n");
            line = String::from(rest);
        }
        line.extend(word);
        empty = false;
    }
    lines + line.trim_end() + "\n"
}

impl Style {
    fn paint(self, state: Status, text: &str) -> String {
        let code = match state {
            Status::Pass => "32",
            Status::Fail => "1;31",
            Status::Inconclusive => "33",
            Status::Skipped => "2",
        };
        self.with(code, text)
    }

    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{CheckId, Step};
    use crate::observation::Reason;
    use crate::report::fixture;

    const PLAIN: Style = Style::PLAIN;
    const TERMINAL: Style = Style { color: false, terminal: Some(100) };

    #[test]
    fn reports_read_well() {
        for (name, report) in fixture::all() {
            fixture::golden(&format!("src/report/golden/{name}.txt"), &render(&report, PLAIN));
        }
    }

    #[test]
    fn the_readme_shows_a_real_report() {
        let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
        let (before, rest) = readme.split_once("$ linkproof --once\n").unwrap();
        let (_, after) = rest.split_once("```").unwrap();
        let report = render(&fixture::named("private_dns_off"), PLAIN);
        let report = report.replace("linkproof 0.0.0", concat!("linkproof ", env!("CARGO_PKG_VERSION")));
        fixture::golden("README.md", &format!("{before}$ linkproof --once\n{report}```{after}"));
    }

    #[test]
    fn a_hundred_healthy_endpoints_fit_one_screen() {
        const SCREEN: usize = 24;
        let mut report = fixture::estate(100);
        let text = render(&report, TERMINAL);
        assert!(text.lines().count() <= SCREEN, "{text}");
        assert!(!text.contains("service-0"), "{text}");
        let dns = report.checks.iter_mut().find(|check| check.id.to_string() == "service-042.api/dns");
        std::sync::Arc::make_mut(dns.unwrap().last.as_mut().unwrap()).outcome =
            Outcome::Fail(Reason::PublicAddress);
        let text = render(&report, TERMINAL);
        assert_eq!(text.lines().filter(|line| line.starts_with("service-0")).count(), 2, "{text}");
        fixture::golden("src/report/golden/estate.txt", &text);
    }

    #[test]
    fn a_few_endpoints_are_listed() {
        let text = render(&fixture::estate(10), PLAIN);
        assert_eq!(text.lines().filter(|line| line.starts_with("service-0")).count(), 20, "{text}");
    }

    #[test]
    fn nothing_is_wider_than_the_terminal_and_nothing_drives_it() {
        for (name, mut report) in fixture::all() {
            report.checks[0].id = CheckId::Endpoint("a".repeat(250), Step::Dns);
            for columns in [20, 72, 80, 100, 200] {
                let style = Style { color: false, terminal: Some(columns) };
                for line in render(&report, style).lines() {
                    assert!(line.chars().count() <= columns.clamp(NARROWEST, WIDEST), "{name}: {line}");
                    assert!(!line.contains(char::is_control), "{name}: {line:?}");
                }
            }
        }
    }

    #[test]
    fn a_pipe_gets_every_word_and_a_wider_terminal_more_of_them() {
        let report = fixture::named("leak");
        let longest = report.checks.iter().map(CheckReport::headline).max_by_key(String::len).unwrap();
        assert!(render(&report, PLAIN).contains(&longest), "{longest}");
        let narrow = render(&report, TERMINAL);
        assert!(narrow.contains('\u{2026}') && !narrow.lines().any(|line| line.ends_with(&longest)));
        let wide = render(&report, Style { color: false, terminal: Some(WIDEST) });
        assert!(wide.matches('\u{2026}').count() < narrow.matches('\u{2026}').count());
    }

    #[test]
    fn color_adds_color_and_nothing_else() {
        for (name, report) in fixture::all() {
            let plain = render(&report, PLAIN);
            let colored = render(&report, Style { color: true, ..PLAIN });
            assert_ne!(plain, colored);
            let mut stripped = colored;
            for code in ["0", "1", "2", "32", "33", "1;31"] {
                stripped = stripped.replace(&format!("\u{1b}[{code}m"), "");
            }
            // Painted padding at the end of a line stays; the words are the same.
            assert_eq!(stripped, plain, "{name}");
        }
    }

    #[test]
    fn long_texts_wrap_with_their_indent() {
        let words = "word ".repeat(25);
        let text = wrapped(&words, "  Remedy    ", "            ");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  Remedy    word") && lines[1].starts_with("            word"));
        let long = wrapped(&"x".repeat(250), "", "  ");
        assert_eq!(long.lines().map(str::len).collect::<Vec<_>>(), [100, 100, 54]);
        assert_eq!(wrapped("", "", "  "), "\n");
    }

    #[test]
    fn a_warning_that_explains_nothing_comes_after_what_is_wrong() {
        let mut report = fixture::named("leak");
        let wrong = report.diagnoses[0].cause.title();
        let mut warning = report.diagnoses[0].clone();
        warning.cause = Cause::ProxyConfigured;
        warning.explains.clear();
        report.diagnoses.insert(0, warning);
        let text = render(&report, PLAIN);
        let at = |needle: &str| text.find(needle).unwrap();
        let warned = format!("Warning: {}", Cause::ProxyConfigured.title());
        assert!(at(wrong) < at(&warned));
        assert_eq!(text.matches("Warning").count(), 1);
    }
}
