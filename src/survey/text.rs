//! The survey for a person: a table of what is private, then what is not, by what it means.

use std::net::IpAddr;
use std::time::Duration;

use super::agenda::Service;
use super::find::{Finding, Place, VpcAnswer};
use super::{Ended, Survey};
use crate::network::Scope;
use crate::observation::{LookupResult, NameState};
use crate::report::text::Style;
use crate::wording::{self, clean, survey as words};

/// More of a kind is for the JSON form.
const MOST: usize = 40;

/// States whose services are only listed.
const LISTED: [NameState; 4] =
    [NameState::Public, NameState::NoAddress, NameState::NotFound, NameState::NotLookedAt];

pub fn render(survey: &Survey, style: Style) -> String {
    let mut blocks = vec![header(survey, style), table(survey, style)];
    blocks.extend(block("Different answers", &differences(survey), style));
    for state in [NameState::Mixed, NameState::Elsewhere, NameState::Special, NameState::RangesUnknown] {
        blocks.extend(of_state(survey, state, style));
    }
    blocks.extend(block("Gateway endpoints", &gateways(survey), style));
    blocks.extend(block(words::VPC_RESOLVER_ALONE, &vpc_resolver_alone(survey), style));
    blocks.extend(block("Not known", &failures(survey), style));
    blocks.extend(LISTED.iter().flat_map(|state| listed(survey, *state, style)));
    blocks.extend(block("Notes", &notes(survey), style));
    blocks
        .extend(incomplete(survey).map(|line| style.bold(style.wrapped(&line, "", "  ").trim_end()) + "\n"));
    blocks.join("\n")
}

/// Why the survey is not of everything. `None` where it is.
pub fn incomplete(survey: &Survey) -> Option<String> {
    let why = match survey.ended {
        Ended::Interrupted => words::INTERRUPTED,
        Ended::NoAnswers => words::NO_ANSWERS,
        Ended::OutOfTime => words::OUT_OF_TIME,
        Ended::Finished if survey.is_complete() => return None,
        Ended::Finished => words::NOT_ALL,
    };
    Some(words::incomplete(why))
}

fn header(survey: &Survey, style: Style) -> String {
    let context = &survey.context;
    let instance = &context.instance;
    let ranges = context.network.vpc.iter().chain(&context.network.expected).map(ToString::to_string);
    let parts: Vec<String> = [Some(context.region.clone()), instance.zone.clone(), instance.vpc_id.clone()]
        .into_iter()
        .flatten()
        .chain(ranges)
        .collect();
    let place = format!("linkproof {}, {}", env!("CARGO_PKG_VERSION"), wording::list(parts));
    let (names, looked_up) = survey.counts();
    let counts = words::counts(names, looked_up, survey.services_looked_at(), survey.took);
    style.wrapped(&place, "", "  ") + &style.wrapped(&counts, "", "  ")
}

/// A row for each address of each name that has a private one.
fn table(survey: &Survey, style: Style) -> String {
    let is_private = |state| matches!(state, NameState::Private | NameState::Mixed);
    let mut rows = Vec::new();
    for service in &survey.agenda.services {
        let names =
            service.names.iter().filter_map(|name| survey.finding(&name.host).map(|found| (name, found)));
        let mut title = service.entry.service();
        for (name, finding) in names.filter(|(_, finding)| is_private(finding.state)) {
            let mut host = name.host.as_str();
            for place in &finding.addresses {
                rows.push(row(title, host, place));
                (title, host) = ("", "");
            }
        }
    }
    if rows.is_empty() {
        let unjudged = |service: &&Service| survey.state(service) == NameState::RangesUnknown;
        let unjudged = survey.agenda.services.iter().filter(unjudged).count();
        return format!("{}\n", words::nothing_private(unjudged));
    }
    aligned(rows, style)
}

fn row(service: &str, host: &str, place: &Place) -> [String; 5] {
    let connect = if place.address.scope.is_inside() {
        wording::clip(&words::connected(&place.address, place.connection.as_ref()), 80)
    } else {
        place.address.scope.code().to_owned()
    };
    let zone = place.zone.as_deref().unwrap_or("-");
    [service, host, &place.address.ip.to_string(), zone, &connect].map(ToOwned::to_owned)
}

fn aligned(mut rows: Vec<[String; 5]>, style: Style) -> String {
    rows.insert(0, ["SERVICE", "NAME", "ADDRESS", "ZONE", "CONNECT"].map(ToOwned::to_owned));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.push_str(&row[4]);
        let line = line.trim_end();
        text.push_str(&if number == 0 { style.bold(line) } else { line.to_owned() });
        text.push('\n');
    }
    text
}

fn block(title: &str, lines: &[String], style: Style) -> Option<String> {
    if lines.is_empty() {
        return None;
    }
    let mut text = style.bold(style.wrapped(title, "", "  ").trim_end()) + "\n";
    for line in lines.iter().take(MOST) {
        text.push_str(&style.wrapped(line, "  ", "    "));
    }
    if lines.len() > MOST {
        text.push_str(&format!("  {}\n", words::more(lines.len() - MOST)));
    }
    Some(text)
}

fn findings(survey: &Survey) -> impl Iterator<Item = &Finding> {
    survey.agenda.questions().iter().filter_map(|question| survey.finding(&question.host))
}

fn differences(survey: &Survey) -> Vec<String> {
    let differ = findings(survey).filter(|finding| finding.disagrees == Some(true));
    let line = |finding: &Finding| {
        let vpc: Vec<IpAddr> = match &finding.vpc {
            VpcAnswer::Addresses(addresses) => addresses.iter().copied().collect(),
            VpcAnswer::None | VpcAnswer::Unknown => Vec::new(),
        };
        finding.evidence.as_ref().map(|evidence| words::difference(evidence, &vpc))
    };
    differ.filter_map(line).collect()
}

/// Each name in this state with its addresses.
fn of_state(survey: &Survey, state: NameState, style: Style) -> Option<String> {
    let of = findings(survey).filter(|finding| finding.state == state);
    let line = |finding: &Finding| {
        let addresses = finding
            .addresses
            .iter()
            .map(|place| format!("{} ({})", place.address.ip, place.address.scope.code()));
        let host = finding.evidence.as_ref().map(|evidence| evidence.host.as_str()).unwrap_or_default();
        format!("{host}: {}", wording::list(addresses))
    };
    let lines: Vec<String> = of.map(line).collect();
    let (title, meaning) = words::state(state);
    block(&format!("{title}: {meaning}"), &lines, style)
}

/// Where applications get no answer: what the VPC's resolver says that is not public.
fn vpc_resolver_alone(survey: &Survey) -> Vec<String> {
    let network = &survey.context.network;
    let line = |finding: &Finding| {
        let VpcAnswer::Addresses(addresses) = &finding.vpc else { return None };
        let is_public = addresses.iter().all(|ip| network.scope(*ip) == Scope::Public);
        let shown = addresses.iter().map(|ip| format!("{ip} ({})", network.scope(*ip).code()));
        let host = &finding.evidence.as_ref()?.host;
        (!is_public).then(|| format!("{host}: {}", wording::list(shown)))
    };
    findings(survey).filter(|finding| finding.state == NameState::Failed).filter_map(line).collect()
}

fn failures(survey: &Survey) -> Vec<String> {
    let failed = findings(survey).filter(|finding| finding.state == NameState::Failed);
    failed.filter_map(|finding| finding.evidence.as_ref().map(|e| clean(&words::lookup_failed(e)))).collect()
}

fn gateways(survey: &Survey) -> Vec<String> {
    let public = |of: fn(&Service) -> bool| -> Vec<&str> {
        let services = survey.agenda.services.iter().filter(|service| of(service));
        let is_public = |service: &&Service| survey.state(service) == NameState::Public;
        services.filter(is_public).map(|service| service.entry.service()).collect()
    };
    let gateways = public(|service| service.entry.has_gateway());
    let others = public(|service| !service.entry.has_gateway() && !service.entry.has_private_dns());
    let mut lines = Vec::new();
    if !gateways.is_empty() {
        lines.push(words::gateways(&gateways));
    }
    if !others.is_empty() {
        lines.push(words::always_public(&others));
    }
    lines
}

/// The services in a state, without those whose names are public by design.
fn listed(survey: &Survey, state: NameState, style: Style) -> Vec<String> {
    let by_design = |service: &Service| {
        state == NameState::Public && (service.entry.has_gateway() || !service.entry.has_private_dns())
    };
    let of = survey.agenda.services.iter().filter(|service| survey.state(service) == state);
    let (whole, part): (Vec<&Service>, Vec<&Service>) = of
        .filter(|service| !by_design(service))
        .partition(|service| state != NameState::NotLookedAt || !survey.is_asked(service));
    // Which ones are public is what a person came for.
    let most = if state == NameState::Public { whole.len() } else { MOST };
    let lists = [(words::PARTLY_LOOKED_AT, part), (words::state(state), whole)];
    lists.into_iter().filter_map(|(heading, services)| named(heading, &services, most, style)).collect()
}

/// The names of services below what is true of all of them.
fn named(heading: (&str, &str), services: &[&Service], most: usize, style: Style) -> Option<String> {
    if services.is_empty() {
        return None;
    }
    let (title, meaning) = heading;
    let title = format!("{title}: {meaning} ({})", words::services(services.len()));
    let title = style.bold(style.wrapped(&title, "", "  ").trim_end()) + "\n";
    let mut list = wording::list(services.iter().take(most).map(|service| service.entry.service()));
    if services.len() > most {
        list.push_str(&format!(" {}", words::more(services.len() - most)));
    }
    Some(title + &style.wrapped(&list, "  ", "  "))
}

fn notes(survey: &Survey) -> Vec<String> {
    let context = &survey.context;
    let mut lines: Vec<String> =
        context.without_metadata.iter().map(|why| words::without_metadata(why)).collect();
    lines.extend(context.unreadable.iter().map(words::unreadable));
    lines.extend(any_name(survey));
    let untested: Vec<&str> =
        survey.zones.iter().filter(|zone| zone.answer.is_none()).map(|zone| zone.suffix.as_str()).collect();
    if !untested.is_empty() {
        lines.push(words::controls_failed(&untested));
    }
    lines.extend(not_compared(survey));
    lines.extend(slow(survey));
    if survey.agenda.left_out > 0 {
        lines.push(words::other_partitions(survey.agenda.left_out));
    }
    lines
}

/// The suffixes below which any name has an answer.
pub fn any_name(survey: &Survey) -> Vec<String> {
    let any = survey.zones.iter().filter_map(|zone| Some((&zone.suffix, zone.answer.clone()?)));
    any.filter(|(_, any)| !any.is_empty())
        .map(|(suffix, mut any)| {
            any.sort_unstable();
            any.dedup();
            words::any_name(suffix, &any)
        })
        .collect()
}

fn not_compared(survey: &Survey) -> Option<String> {
    let asked = findings(survey).filter_map(|finding| Some((finding, finding.evidence.as_ref()?)));
    let unknown: Vec<_> = asked.filter(|(finding, _)| finding.vpc == VpcAnswer::Unknown).collect();
    let why = unknown.iter().find_map(|(_, evidence)| words::resolver_failed(evidence));
    (!unknown.is_empty()).then(|| words::not_compared(unknown.len(), why.as_deref()))
}

fn slow(survey: &Survey) -> Option<String> {
    let lookups = findings(survey).filter_map(|finding| finding.evidence.as_ref().map(|e| &e.lookup));
    let slow: Vec<Duration> = lookups
        .filter(|lookup| lookup.is_slow() && matches!(lookup.result, LookupResult::Addresses { .. }))
        .map(|lookup| lookup.took)
        .collect();
    let longest = slow.iter().max()?;
    Some(words::slow(slow.len(), *longest))
}
