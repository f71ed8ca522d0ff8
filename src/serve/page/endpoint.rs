//! An endpoint on the page: its steps, and how far each of its addresses came.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::SystemTime;

use super::{badge, checks, escape, section};
use crate::check::{CheckId, EndpointName, Step};
use crate::observation::{Address, Evidence, Status};
use crate::report::{CheckReport, Report};
use crate::wording::located;

/// An endpoint has one a zone and family; what has more is shown in part.
const MOST_ADDRESSES: usize = 32;

pub fn sections(report: &Report, now: SystemTime) -> String {
    let mut names: Vec<&EndpointName> = Vec::new();
    for check in &report.checks {
        if let CheckId::Endpoint(name, _) = &check.id
            && !names.contains(&name)
        {
            names.push(name);
        }
    }
    names.into_iter().map(|name| endpoint(report, name, now)).collect()
}

fn endpoint(report: &Report, name: &EndpointName, now: SystemTime) -> String {
    let steps: Vec<&CheckReport> = report
        .checks
        .iter()
        .filter(|check| matches!(&check.id, CheckId::Endpoint(of, _) if of == name))
        .collect();
    let host = steps.iter().find_map(|check| host(check)).filter(|host| *host != name.as_str());
    let host = host.map(|host| format!("<p class=\"note\">{}</p>\n", escape(host))).unwrap_or_default();
    let table = checks(report, now, |id| matches!(id, CheckId::Endpoint(of, _) if of == name));
    section(&format!("Endpoint {name}"), &format!("{host}{}{table}", addresses(&steps)))
}

fn host(check: &CheckReport) -> Option<&str> {
    match &check.last.as_ref()?.evidence {
        Evidence::Dns(evidence) => Some(&evidence.host),
        Evidence::Connect { host, .. } | Evidence::Call { host, .. } => Some(host),
        Evidence::NotAttempted(_)
        | Evidence::Instance(_)
        | Evidence::Credentials(_)
        | Evidence::Egress(_) => None,
    }
}

fn addresses(steps: &[&CheckReport]) -> String {
    let all = steps.iter().filter_map(|check| check.last.as_ref()).flat_map(|last| &last.addresses);
    let ips: BTreeSet<IpAddr> = all.map(|address| address.ip).collect();
    if ips.is_empty() {
        return String::new();
    }
    let heads: String = steps.iter().map(|check| format!("<th>{}</th>", step(&check.id))).collect();
    let rows: String = ips.iter().take(MOST_ADDRESSES).map(|ip| row(*ip, steps)).collect();
    let more = match ips.len().checked_sub(MOST_ADDRESSES) {
        None | Some(0) => String::new(),
        Some(more) => format!("<p class=\"note\">and {more} more addresses</p>\n"),
    };
    format!(
        "<table>\n<thead><tr><th>Address</th>{heads}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n{more}"
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

fn row(ip: IpAddr, steps: &[&CheckReport]) -> String {
    let cell = |check: &&CheckReport| {
        // Listed twice, the worse counts, as it does for the check.
        let of_ip = check.last.iter().flat_map(|last| &last.addresses).filter(|address| address.ip == ip);
        match of_ip.max_by_key(|address| address.outcome.state() != Status::Pass) {
            Some(address) => {
                format!("<td><span class=\"step\">{}</span> {}</td>", step(&check.id), outcome(address))
            }
            None => "<td></td>".to_owned(),
        }
    };
    let cells: String = steps.iter().map(cell).collect();
    let all = steps.iter().filter_map(|check| check.last.as_ref()).flat_map(|last| &last.addresses);
    let zone = all.filter(|address| address.ip == ip).find_map(|address| address.zone.as_deref());
    let named = escape(&located(ip, zone));
    format!("<tr><th scope=\"row\">{named}</th>{cells}</tr>\n")
}

fn outcome(address: &Address) -> String {
    let badge = badge(address.outcome.state(), address.outcome.state().code());
    match address.outcome.reason() {
        Some(reason) => format!("{badge} {}", escape(reason.words())),
        None => badge,
    }
}
