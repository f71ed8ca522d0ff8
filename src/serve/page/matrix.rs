//! The picture at the top of the page: a row for each endpoint, a column for each zone, and in it a
//! cell for each address, told by color and by word.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::view::{AddressView, View};
use super::{badge, escape};
use crate::observation::{Outcome, Status};
use crate::report::Report;

/// More zones than the largest region has.
const MOST_ZONES: usize = 8;

/// An endpoint has one a zone and family.
const MOST_IN_A_CELL: usize = 4;

pub fn section(report: &Report, views: &[View<'_>]) -> String {
    if views.is_empty() {
        return String::new();
    }
    let here = report.instance.as_ref().and_then(|instance| instance.zone.as_deref());
    let columns = Columns::of(views, here);
    let rows: String = views.iter().map(|view| row(view, &columns)).collect();
    format!(
        "<section>\n<h2 id=\"matrix\">Endpoints by zone</h2>\n\
         <div class=\"scroll\" role=\"region\" aria-labelledby=\"matrix\" tabindex=\"0\">\n\
         <table class=\"matrix\" aria-labelledby=\"matrix\">\n<thead><tr><th scope=\"col\">Endpoint</th>\
         <th scope=\"col\">Outcome</th>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n</section>\n",
        columns.heads(here)
    )
}

struct Columns<'a> {
    zones: Vec<&'a str>,
    /// Whether there are addresses that none of these zones has.
    has_others: bool,
}

impl<'a> Columns<'a> {
    fn of(views: &[View<'a>], here: Option<&'a str>) -> Self {
        let of_addresses =
            views.iter().flat_map(|view| view.addresses.values().filter_map(|address| address.zone));
        let mut zones: BTreeSet<&str> = of_addresses.collect();
        zones.extend(views.iter().flat_map(View::own_zones));
        if !zones.is_empty() {
            zones.extend(here);
        }
        let zones: Vec<&str> = zones.into_iter().take(MOST_ZONES).collect();
        let is_other = |address: &AddressView<'_>| !address.zone.is_some_and(|zone| zones.contains(&zone));
        let has_others = zones.is_empty() || views.iter().any(|view| view.addresses.values().any(is_other));
        Self { zones, has_others }
    }

    fn heads(&self, here: Option<&str>) -> String {
        let head = |zone: &&str| {
            let note = if Some(*zone) == here { "<br>this instance" } else { "" };
            format!("<th scope=\"col\">{}{note}</th>", escape(zone))
        };
        let mut heads: String = self.zones.iter().map(head).collect();
        if self.has_others {
            let head = if self.zones.is_empty() { "Addresses" } else { "Zone unknown" };
            heads += &format!("<th scope=\"col\">{head}</th>");
        }
        heads
    }
}

fn row(view: &View<'_>, columns: &Columns<'_>) -> String {
    let state = view.state();
    let outcome = if view.has_run() { badge(state, state.code()) } else { badge(state, "not run yet") };
    let own = view.own_zones();
    let of_zone = |zone: &&str| {
        let missing = if own.contains(zone) { "<span class=\"cell missing\">missing</span>" } else { "" };
        cell(view, |address| address.zone == Some(*zone), missing)
    };
    let mut cells: String = columns.zones.iter().map(of_zone).collect();
    if columns.has_others {
        let is_other =
            |address: &AddressView<'_>| !address.zone.is_some_and(|zone| columns.zones.contains(&zone));
        cells += &cell(view, is_other, "");
    }
    format!(
        "<tr><th scope=\"row\"><a href=\"#e{}\">{}</a></th><td>{outcome}</td>{cells}</tr>\n",
        view.number,
        escape(view.name)
    )
}

fn cell(view: &View<'_>, is_wanted: impl Fn(&AddressView<'_>) -> bool, otherwise: &str) -> String {
    let mut addresses: Vec<(&IpAddr, &AddressView<'_>)> =
        view.addresses.iter().filter(|(_, address)| is_wanted(address)).collect();
    if addresses.is_empty() {
        return format!("<td>{otherwise}</td>");
    }
    // Where there are too many, those that did not pass are the ones to see.
    addresses.sort_by_key(|(_, address)| address.outcome == Outcome::Pass);
    let more = match addresses.len().saturating_sub(MOST_IN_A_CELL) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = addresses.iter().take(MOST_IN_A_CELL).map(|(ip, address)| {
        let state = address.outcome.state();
        format!("<span class=\"cell {}\"><b>{}</b> <i>{ip}</i></span>", state.code(), word(state))
    });
    format!("<td>{}{more}</td>", shown.collect::<String>())
}

fn word(state: Status) -> &'static str {
    match state {
        Status::Fail => "FAIL",
        Status::Pass | Status::Inconclusive | Status::Skipped => state.code(),
    }
}
