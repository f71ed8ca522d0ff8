//! The survey as a configuration that checks what was found.

use super::Survey;
use super::agenda::Service;
use super::find::{Finding, Place};
use super::text::{any_name, incomplete};
use crate::catalogue::Entry;
use crate::estate::{Discovered, ImportError, Imported, Table, discovered};
use crate::observation::{EndpointProtocol, NameState};
use crate::wording::{self, survey as words};

pub fn render(survey: &Survey) -> Result<Imported, ImportError> {
    let (names, looked_up) = survey.counts();
    let mut introduction = vec![words::counts(names, looked_up, survey.services_looked_at(), survey.took)];
    introduction.extend(incomplete(survey));
    let mut page = Discovered {
        introduction,
        region: survey.context.region.clone(),
        expected_cidrs: survey.context.network.expected.clone(),
        ..Discovered::default()
    };
    for service in &survey.agenda.services {
        let (table, left_out) = table(service, survey);
        page.tables.extend(table);
        page.left_out.extend(left_out);
    }
    page.left_out.extend(any_name(survey));
    discovered(page)
}

/// A table of the private names, and those that are not for it although an endpoint may be there.
fn table(service: &Service, survey: &Survey) -> (Option<(String, Table)>, Vec<String>) {
    let entry = service.entry;
    let mut table = Table {
        id: entry.service().to_owned(),
        service: Some(entry.service().to_owned()),
        is_private: true,
        has_call: entry.service() == "monitoring",
        protocol: protocol(entry),
        ..Table::default()
    };
    let mut left_out = Vec::new();
    for name in &service.names {
        let Some(finding) = survey.finding(&name.host) else { continue };
        match finding.state {
            NameState::Private | NameState::Mixed => {
                if name.name.is_wildcard {
                    table.comments.push(words::stand_in(&name.host, &name.name.host));
                }
                table.comments.push(seen(&name.host, finding));
                table.hosts.push(name.host.clone());
            }
            state if state.may_be_endpoint() => {
                let (title, meaning) = words::state(state);
                left_out.push(format!("{}: {title}: {meaning}.", seen(&name.host, finding)));
            }
            _ => {}
        }
    }
    if entry.has_gateway() && survey.state(service) == NameState::Public {
        left_out.push(words::gateways(&[entry.service()]));
    }
    let title = entry.service().to_owned();
    ((!table.hosts.is_empty()).then_some((title, table)), left_out)
}

/// `a.example: 10.0.1.57 (us-east-1a, ok, HTTP 403 after 5 ms)`
fn seen(host: &str, finding: &Finding) -> String {
    let place = |place: &Place| {
        let connect = words::connected_briefly(&place.address, place.connection.as_ref());
        let notes: Vec<String> = place.zone.iter().cloned().chain([connect]).collect();
        format!("{} ({})", place.address.ip, wording::list(notes))
    };
    format!("{host}: {}", wording::list(finding.addresses.iter().map(place)))
}

fn protocol(entry: Entry) -> Option<(&'static str, u16)> {
    let word = match entry.protocol() {
        EndpointProtocol::Https => "https",
        EndpointProtocol::Tls => "tls",
        EndpointProtocol::Tcp => "tcp",
    };
    (word != "https" || entry.port() != 443).then_some((word, entry.port()))
}
