//! The last failures on the page, also those that have gone again, each with its evidence.

use std::time::SystemTime;

use super::when::{ago, coarse};
use super::{badge, escape};
use crate::observation::Status;
use crate::report::{Episode, Report};
use crate::wording::detail;

pub fn section(report: &Report, now: SystemTime) -> String {
    let episodes: String = report.episodes.iter().map(|episode| episode_of(episode, now)).collect();
    let body = if report.episodes.is_empty() {
        let since = ago(report.started_at, now);
        format!("<p>None since linkproof started, {since}.</p>\n")
    } else {
        episodes
    };
    super::section("Last failures", &body)
}

fn episode_of(episode: &Episode, now: SystemTime) -> String {
    let first = &episode.first;
    let state = first.outcome.state();
    let lines: String = detail(first).iter().map(|line| format!("<li>{}</li>\n", escape(line))).collect();
    let evidence = if lines.is_empty() { String::new() } else { format!("<ul>\n{lines}</ul>\n") };
    format!(
        "<details>\n<summary>{} <strong>{}</strong> {}, {}</summary>\n<p>{}</p>\n{evidence}</details>\n",
        badge(state, state.code()),
        escape(&first.check.to_string()),
        ago(first.started_at, now),
        span(episode),
        escape(&episode.summary()),
    )
}

fn span(episode: &Episode) -> String {
    let attempts = match episode.attempts {
        1 => "one attempt".to_owned(),
        many => format!("{many} attempts"),
    };
    let Some((at, then)) = episode.ended else { return format!("{attempts}, ongoing") };
    let lasted = coarse(at.duration_since(episode.first.started_at).unwrap_or_default());
    let then = match then {
        Status::Pass => "then passed",
        Status::Fail => "then failed for another reason",
        Status::Inconclusive => "then inconclusive",
        Status::Skipped => "then skipped",
    };
    format!("{attempts} in {lasted}, {then}")
}
