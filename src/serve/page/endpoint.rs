//! An endpoint on the page, folded: its steps, how far each of its addresses came, and an hour of
//! its connection times.

use std::net::IpAddr;
use std::time::SystemTime;

use super::view::View;
use super::{badge, chart, escape, table};
use crate::check::{CheckId, Step};
use crate::observation::{Address, Outcome, Status};
use crate::report::{CheckReport, Report};
use crate::wording::located;

/// An endpoint has one a zone and family; what has more is shown in part.
const MOST_ADDRESSES: usize = 32;

/// Of more endpoints than this, the evidence of what passed is left to the report.
const MANY: usize = 20;

/// Of more broken ones than this, none stands open: the matrix says which they are.
const MOST_OPEN: usize = 10;

pub fn sections(report: &Report, views: &[View<'_>], now: SystemTime) -> String {
    if views.is_empty() {
        return String::new();
    }
    let broken = views.iter().filter(|view| view.is_broken()).count();
    let with_evidence = |view: &View<'_>| views.len() <= MANY || view.is_broken();
    let is_open = |view: &View<'_>| views.len() == 1 || (view.is_broken() && broken <= MOST_OPEN);
    let endpoints: String =
        views.iter().map(|view| endpoint(report, view, now, with_evidence(view), is_open(view))).collect();
    let note = if views.iter().all(with_evidence) {
        ""
    } else {
        "<p class=\"note\">The evidence of endpoints that passed is in the <a href=\"/report?format=text\">report</a>.</p>\n"
    };
    format!("<section>\n<h2>Endpoints</h2>\n{note}{endpoints}</section>\n")
}

fn endpoint(report: &Report, view: &View<'_>, now: SystemTime, with_evidence: bool, is_open: bool) -> String {
    let state = view.state();
    let host = view.host().filter(|host| *host != view.name);
    let host = host.map(|host| format!(" <span class=\"note\">{}</span>", escape(host))).unwrap_or_default();
    let evidence: String = if with_evidence {
        view.steps.iter().map(|check| super::evidence(check)).collect()
    } else {
        String::new()
    };
    format!(
        "<details class=\"endpoint\"{}>\n<summary>{} <strong>{}</strong>{host}</summary>\n\
         <div id=\"e{}\">\n{}{}{evidence}</div>\n</details>\n",
        if is_open { " open" } else { "" },
        badge(state, state.code()),
        escape(view.name),
        view.number,
        addresses(view, with_evidence),
        table(view.name, &view.steps, report, now),
    )
}

/// Where all is well and there are many endpoints, the steps of each address would say it once more.
fn addresses(view: &View<'_>, with_evidence: bool) -> String {
    if view.addresses.is_empty() {
        return String::new();
    }
    let all_passed = view.addresses.values().all(|address| address.outcome == Outcome::Pass);
    let steps: &[&CheckReport] = if all_passed && !with_evidence { &[] } else { &view.steps };
    let heads: String =
        steps.iter().map(|check| format!("<th scope=\"col\">{}</th>", step(&check.id))).collect();
    let rows: String = view.addresses.keys().take(MOST_ADDRESSES).map(|ip| row(*ip, view, steps)).collect();
    let more = match view.addresses.len().checked_sub(MOST_ADDRESSES) {
        None | Some(0) => String::new(),
        Some(more) => format!("<p class=\"note\">and {more} more addresses</p>\n"),
    };
    format!(
        "<table aria-label=\"Addresses of {name}\">\n<thead><tr><th scope=\"col\">Address</th>{heads}<th scope=\"col\">Connect, last hour</th></tr></thead>\n\
         <tbody>\n{rows}</tbody>\n</table>\n{more}",
        name = escape(view.name)
    )
}

fn step(id: &CheckId) -> &'static str {
    match id {
        CheckId::Endpoint(_, Step::Dns) => "dns",
        CheckId::Endpoint(_, Step::Connect) => "connect",
        CheckId::Endpoint(_, Step::Call) => "call",
        CheckId::Instance | CheckId::Credentials | CheckId::Egress(_) => "",
    }
}

fn row(ip: IpAddr, view: &View<'_>, steps: &[&CheckReport]) -> String {
    let cell = |check: &&CheckReport| {
        // Listed twice, the worse counts, as it does for the check.
        let of_ip = check.last.iter().flat_map(|last| &last.addresses).filter(|address| address.ip == ip);
        match of_ip.max_by_key(|address| address.outcome.state() != Status::Pass) {
            Some(address) => {
                format!(
                    "<td><span class=\"step\" aria-hidden=\"true\">{}</span> {}</td>",
                    step(&check.id),
                    outcome(address)
                )
            }
            None => "<td></td>".to_owned(),
        }
    };
    let cells: String = steps.iter().map(cell).collect();
    let zone = view.addresses.get(&ip).and_then(|address| address.zone);
    let minutes = view.connect().and_then(|check| check.latency.minutes(ip));
    let hour = minutes.map(chart::cell).unwrap_or_default();
    format!(
        "<tr><th scope=\"row\">{}</th>{cells}<td class=\"hour\">{hour}</td></tr>\n",
        escape(&located(ip, zone))
    )
}

fn outcome(address: &Address) -> String {
    let badge = badge(address.outcome.state(), address.outcome.state().code());
    match address.outcome.reason() {
        Some(reason) => format!("{badge} {}", escape(reason.words())),
        None => badge,
    }
}
