//! The configuration as TOML, with a comment for each decision.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::aws::Listed;
use super::decide::{self, Context, Decision, Table};
use super::model::Endpoint;
use super::name::{ServiceName, is_fips};
use super::place::joined;
use super::quote::{printable, quoted};
use super::select::{self, Region, is_gateway};
use super::zones::Zone;
use super::{Estate, ImportError, Imported, Options, label};
use crate::config::{Config, is_label};
use crate::network::{Cidr, is_region};

/// As many names as a configuration may have.
const MOST_NAMES: usize = 200;

/// A longer file would not be read.
const MOST_LEFT_OUT: usize = 400;

pub fn configuration(estate: &Estate, options: &Options<'_>) -> Result<Imported, ImportError> {
    if let Some(region) = options.region.filter(|region| !is_region(region)) {
        return Err(ImportError::InvalidRegion(region.to_owned()));
    }
    label::check(options.labels)?;
    if estate.endpoints.is_empty() && estate.left_out.is_empty() {
        return Err(if estate.lists_endpoints { ImportError::NoEndpoints } else { ImportError::OnlyOthers });
    }
    let vpc = select::vpc(&estate.endpoints, options)?;
    let (chosen, others): (Vec<&Endpoint>, Vec<&Endpoint>) =
        estate.endpoints.iter().partition(|endpoint| endpoint.vpc.as_deref() == vpc);
    let mut page = Page::default();
    let region = match select::region(estate, vpc, &chosen, options.region) {
        // Without an endpoint there is nothing that could say it.
        Err(ImportError::NoRegion { .. }) if chosen.is_empty() => String::new(),
        region => {
            let Region { name, is_guess } = region?;
            page.warnings.extend(is_guess.then(|| guessed(&name)));
            name
        }
    };
    page.decide(estate, &chosen, &region, options.labels);
    for (address, why) in &estate.left_out {
        page.left_out.push(format!("{}: {}.", printable(address), why));
    }
    page.leave_out_others(&others);
    if page.tables.is_empty() {
        return Err(ImportError::NothingToCheck(page.left_out));
    }
    page.name_tables();
    page.drop_repeated();
    page.keep_within_bounds();
    page.warn(estate, options, vpc);
    let by_metadata = options.vpc.is_none() && options.own_vpc.is_some() && !others.is_empty();
    if by_metadata {
        page.introduction.push(
            "The files have several VPCs; this one is the instance's own, by instance metadata.".to_owned(),
        );
    }
    let unplaced = others.iter().filter(|endpoint| endpoint.vpc.is_none()).count();
    let text = page.render(estate, vpc, &region, &in_files(chosen.len(), unplaced));
    let left_out = estate.endpoints.len() + estate.left_out.len() - page.tables.len();
    checked(Imported { text, warnings: page.warnings, written: page.tables.len(), left_out })
}

/// Endpoints that were found by their names.
#[derive(Debug, Default)]
pub struct Discovered {
    pub introduction: Vec<String>,
    pub region: String,
    pub expected_cidrs: Vec<Cidr>,
    /// Each with the line above it.
    pub tables: Vec<(String, Table)>,
    pub left_out: Vec<String>,
}

/// The configuration that checks them. It is valid without any endpoint too.
pub fn discovered(found: Discovered) -> Result<Imported, ImportError> {
    let Discovered { introduction, region, expected_cidrs, tables, left_out } = found;
    let mut page = Page { tables, introduction, left_out, ..Page::default() };
    for line in page.left_out.iter_mut().chain(page.tables.iter_mut().flat_map(|(_, t)| &mut t.comments)) {
        *line = printable(line);
    }
    page.name_tables();
    page.drop_repeated();
    page.keep_within_bounds();
    let mut text = String::new();
    comment(&mut text, "Written by `linkproof discover`.");
    for line in &page.introduction {
        comment(&mut text, line);
    }
    for warning in &page.warnings {
        comment(&mut text, &format!("Warning: {warning}."));
    }
    if page.tables.is_empty() {
        comment(
            &mut text,
            "No endpoint was found whose addresses are known to be private here. Without [[endpoint]] linkproof checks the endpoint of monitoring.",
        );
    }
    text.push_str(&format!("region = {}\n", quoted(&region)));
    if !expected_cidrs.is_empty() {
        let cidrs: Vec<String> = expected_cidrs.iter().map(|cidr| quoted(&cidr.to_string())).collect();
        text.push_str(&format!("expected_cidrs = [{}]\n", cidrs.join(", ")));
    }
    page.body(&mut text);
    checked(Imported { text, warnings: page.warnings, written: page.tables.len(), left_out: 0 })
}

fn guessed(region: &str) -> String {
    format!(
        "region {region} is that of the services; the files do not say where the VPC is; if it is elsewhere, add --region"
    )
}

fn checked(imported: Imported) -> Result<Imported, ImportError> {
    match Config::parse(&imported.text, "import") {
        Ok(_) => Ok(imported),
        Err(error) => Err(ImportError::Unusable(error)),
    }
}

/// The configuration before it is text.
#[derive(Debug, Default)]
struct Page {
    /// Each with the line that names its endpoint.
    tables: Vec<(String, Table)>,
    introduction: Vec<String>,
    left_out: Vec<String>,
    warnings: Vec<String>,
    notes: Vec<String>,
    /// The words of `--label` that had an effect.
    labels: HashSet<String>,
}

impl Page {
    fn decide(&mut self, estate: &Estate, chosen: &[&Endpoint], region: &str, labels: &[(String, String)]) {
        let names = |of: &dyn Fn(&Endpoint) -> bool| -> HashSet<ServiceName> {
            let chosen = chosen.iter().filter(|endpoint| of(endpoint));
            chosen.filter_map(|endpoint| endpoint.service_name.as_deref().map(ServiceName::parse)).collect()
        };
        let (private, gateways) = (names(&decide::is_private_here), names(&is_gateway));
        let context = Context {
            region,
            subnets: &estate.subnets,
            interfaces: &estate.interfaces,
            services: &estate.services,
            labels,
            private: &private,
            gateways: &gateways,
        };
        for endpoint in chosen {
            let Decision { table, left_out, warnings, labels } = decide::decide(endpoint, &context);
            self.warnings.extend(warnings);
            self.labels.extend(labels);
            match table {
                Ok(mut table) => {
                    table.comments.extend(endpoint.notes.iter().map(|note| printable(note)));
                    if endpoint.requester_managed {
                        table.comments.push("An AWS service made it, and may remove it.".to_owned());
                    }
                    self.tables.push((title(endpoint), table));
                }
                Err(why) => self.left_out.push(format!("{}: {why}.", title(endpoint))),
            }
            for (names, why) in left_out {
                self.left_out.push(format!("{} of {}: {why}.", joined(&names), printable(&endpoint.id)));
            }
        }
        self.note_what_is_missing(&private, &gateways, region);
    }

    /// What AWS's clients need beside an endpoint that is there.
    fn note_what_is_missing(
        &mut self,
        private: &HashSet<ServiceName>,
        gateways: &HashSet<ServiceName>,
        region: &str,
    ) {
        let has = |names: &HashSet<ServiceName>, service: &str| {
            names.iter().any(|name| name.service == service && name.region.as_deref() == Some(region))
        };
        if has(private, "logs") && !has(private, "stream-logs") {
            self.notes.push(
                "StartLiveTail of CloudWatch Logs asks stream-logs, which has an endpoint of its own; the files have none."
                    .to_owned(),
            );
        }
        let has_s3 = has(private, "s3") || has(gateways, "s3");
        if (has(private, "ecr.api") || has(private, "ecr.dkr")) && !has_s3 {
            self.notes.push("ECR keeps image layers in S3, and the files have no endpoint of S3.".to_owned());
        }
    }

    fn leave_out_others(&mut self, others: &[&Endpoint]) {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for endpoint in others {
            match endpoint.vpc.as_deref() {
                Some(vpc) => *counts.entry(vpc).or_default() += 1,
                None => self.left_out.push(format!("{}: the file does not say its VPC.", title(endpoint))),
            }
        }
        let line = |(vpc, count)| format!("{} of {}: another VPC.", endpoints(count), printable(vpc));
        self.left_out.extend(counts.into_iter().map(line));
    }

    /// A service is the name of one endpoint; others of the same service get names of their own
    /// that stay the same at the next import.
    fn name_tables(&mut self) {
        let mut first: HashMap<String, usize> = HashMap::new();
        for (place, (_, table)) in self.tables.iter().enumerate() {
            let Some(service) = &table.service else { continue };
            let best = first.entry(service.clone()).or_insert(place);
            if precedence(table) < precedence(&self.tables[*best].1) {
                *best = place;
            }
        }
        let gateways: HashSet<String> = self
            .tables
            .iter()
            .filter(|(_, table)| table.is_gateway)
            .filter_map(|(_, table)| table.service.clone())
            .collect();
        let mut taken: HashSet<String> = first.keys().cloned().collect();
        let mut last_number: HashMap<String, usize> = HashMap::new();
        for (place, (_, table)) in self.tables.iter_mut().enumerate() {
            let Some(service) = table.service.as_ref().filter(|service| first[*service] != place) else {
                continue;
            };
            let of_kind = (gateways.contains(service) && !table.is_gateway).then_some("interface");
            let by_id = printable(&table.id);
            let suffixes = table.other_region.as_deref().into_iter().chain(of_kind).chain([by_id.as_str()]);
            let names = suffixes.map(|suffix| format!("{service}.{suffix}").to_ascii_lowercase());
            // A number that was tried is not tried again: there may be thousands of one service.
            let last = last_number.entry(service.clone()).or_insert(1);
            let numbered = std::iter::from_fn(|| {
                *last += 1;
                (*last <= MOST_NAMES).then(|| format!("{}.{last}", service.to_ascii_lowercase()))
            });
            table.name = names.chain(numbered).find(|name| is_label(name) && taken.insert(name.clone()));
            if table.name.is_none() {
                table.service = None;
            }
        }
    }

    /// A name is checked once.
    fn drop_repeated(&mut self) {
        let of_table = |(_, table): &(String, Table)| table.name.clone().or_else(|| table.service.clone());
        let mut taken: HashMap<String, String> =
            self.tables.iter().filter_map(|table| Some((of_table(table)?, table.1.id.clone()))).collect();
        for (title, table) in &mut self.tables {
            let mut repeated = Vec::new();
            let id = table.id.clone();
            table.hosts.retain(|host| {
                let is_new = !taken.contains_key(host);
                if is_new {
                    taken.insert(host.clone(), id.clone());
                } else {
                    repeated.push(host.clone());
                }
                is_new
            });
            for host in repeated {
                let first = printable(&taken[&host]);
                self.left_out.push(format!("{} of {title}: a name of {first} already.", printable(&host)));
            }
        }
        self.tables.retain(|(_, table)| !table.hosts.is_empty());
    }

    /// The first name of every endpoint, then further ones, FIPS last.
    fn keep_within_bounds(&mut self) {
        let mut room = MOST_NAMES;
        let mut kept: Vec<Vec<bool>> =
            self.tables.iter().map(|(_, table)| vec![false; table.hosts.len()]).collect();
        for pass in 0..3 {
            for ((_, table), kept) in self.tables.iter().zip(&mut kept) {
                for (place, host) in table.hosts.iter().enumerate() {
                    let turn = if place == 0 { 0 } else { 1 + usize::from(is_fips(host)) };
                    if turn == pass && room > 0 {
                        kept[place] = true;
                        room -= 1;
                    }
                }
            }
        }
        let mut dropped = 0;
        for ((title, table), kept) in self.tables.iter_mut().zip(kept) {
            let mut kept = kept.into_iter();
            let hosts = std::mem::take(&mut table.hosts);
            let (stay, go): (Vec<String>, Vec<String>) =
                hosts.into_iter().partition(|_| kept.next().unwrap_or(false));
            table.hosts = stay;
            dropped += go.len();
            if !go.is_empty() {
                self.left_out.push(format!("{} of {title}: more than {MOST_NAMES} names.", joined(&go)));
            }
        }
        self.tables.retain(|(_, table)| !table.hosts.is_empty());
        if dropped > 0 {
            let names = if dropped == 1 { "1 name" } else { &format!("{dropped} names") };
            self.warnings.push(format!("{names} left out: a configuration may have {MOST_NAMES}"));
        }
    }

    fn warn(&mut self, estate: &Estate, options: &Options<'_>, vpc: Option<&str>) {
        for (file, listed) in &estate.incomplete {
            self.warnings.push(format!(
                "{}: another page follows (NextToken); unless all pages are given, {} are missing",
                printable(file),
                plural(*listed)
            ));
        }
        if let (Some(own), Some(vpc)) = (options.own_vpc, vpc)
            && own != vpc
        {
            let (own, vpc) = (printable(own), printable(vpc));
            self.warnings.push(format!("this instance is in {own}, and the endpoints are in {vpc}"));
        }
        let unused = options.labels.iter().filter(|(word, _)| !self.labels.contains(word));
        let unused: BTreeSet<&str> = unused.map(|(word, _)| word.as_str()).collect();
        self.warnings.extend(unused.into_iter().map(|word| {
            format!("--label {} has no effect: no wildcard name that is checked takes it", printable(word))
        }));
    }

    fn render(&self, estate: &Estate, vpc: Option<&str>, region: &str, in_files: &str) -> String {
        let mut text = String::new();
        let files = joined(&estate.files);
        comment(&mut text, &format!("Written by `linkproof import {files}`."));
        let vpc = vpc.map_or_else(|| "an unnamed VPC".to_owned(), printable);
        let checked = self.tables.len();
        comment(&mut text, &format!("{vpc} in {region} has {in_files}; {checked} can be checked."));
        for line in &self.introduction {
            comment(&mut text, line);
        }
        comment(&mut text, "Endpoint policies were not looked at.");
        for warning in &self.warnings {
            comment(&mut text, &format!("Warning: {warning}."));
        }
        text.push_str(&format!("region = {}\n", quoted(region)));
        self.body(&mut text);
        text
    }

    fn body(&self, text: &mut String) {
        for (title, table) in &self.tables {
            text.push('\n');
            comment(text, title);
            for line in &table.comments {
                comment(text, line);
            }
            table_lines(text, table);
        }
        list(text, "Notes:", &self.notes);
        list(text, "Left out:", &self.left_out);
    }
}

fn plural(listed: Listed) -> &'static str {
    match listed {
        Listed::Endpoints => "endpoints",
        Listed::Services => "services",
        Listed::Subnets => "subnets",
        Listed::Interfaces => "network interfaces",
    }
}

fn endpoints(count: usize) -> String {
    if count == 1 { "1 endpoint".to_owned() } else { format!("{count} endpoints") }
}

/// What the files have of the VPC, and what may be of it: endpoints whose VPC they do not say.
fn in_files(of_vpc: usize, unplaced: usize) -> String {
    let found = endpoints(of_vpc + unplaced);
    match unplaced {
        0 => format!("{found} in the files"),
        _ => format!("{found} in the files, {unplaced} of which may be in another VPC"),
    }
}

/// The endpoint that applications reach by the service's names is the service to them.
fn precedence(table: &Table) -> (bool, bool) {
    (table.other_region.is_some(), !table.is_gateway && !table.is_private)
}

/// `vpce-0e6d.., com.amazonaws.us-east-1.monitoring (interface)`
fn title(endpoint: &Endpoint) -> String {
    let mut parts: Vec<String> = endpoint.origin.address().map(printable).into_iter().collect();
    parts.push(printable(&endpoint.id));
    parts.extend(endpoint.service_name.as_deref().map(printable));
    let kind = if is_gateway(endpoint) { " (gateway)" } else { "" };
    format!("{}{kind}", parts.join(", "))
}

/// The only way into a comment: whatever the text holds, it stays on its line.
fn comment(text: &mut String, line: &str) {
    let line: String = line.chars().filter(|c| !c.is_control()).collect();
    text.push_str(&format!("# {line}\n"));
}

fn list(text: &mut String, heading: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    text.push('\n');
    comment(text, heading);
    for line in lines.iter().take(MOST_LEFT_OUT) {
        comment(text, &format!("- {line}"));
    }
    if lines.len() > MOST_LEFT_OUT {
        comment(text, &format!("- and {} more.", lines.len() - MOST_LEFT_OUT));
    }
}

fn table_lines(text: &mut String, table: &Table) {
    text.push_str("[[endpoint]]\n");
    let mut line = |key: &str, value: &str| text.push_str(&format!("{key} = {value}\n"));
    let strings = |names: &[String]| {
        if let [name] = names {
            return format!("[{}]", quoted(name));
        }
        let lines: String = names.iter().map(|name| format!("    {},\n", quoted(name))).collect();
        format!("[\n{lines}]")
    };
    if let Some(service) = &table.service {
        line("service", &quoted(service));
    }
    if let Some(name) = &table.name {
        line("name", &quoted(name));
    }
    if table.is_gateway {
        line("type", &quoted("gateway"));
    }
    match table.hosts.as_slice() {
        [host] => line("host", &quoted(host)),
        hosts => line("hosts", &strings(hosts)),
    }
    if !table.vpce_hosts.is_empty() {
        line("vpce_hosts", &strings(&table.vpce_hosts));
    }
    if !table.zones.is_empty() {
        let lines: String = table.zones.iter().map(|zone| format!("    {},\n", inline(zone))).collect();
        line("zones", &format!("[\n{lines}]"));
    }
    if let Some((protocol, port)) = table.protocol {
        line("protocol", &quoted(protocol));
        line("port", &port.to_string());
    }
    if table.has_call {
        line("call", &quoted("list-metrics"));
    }
}

fn inline(zone: &Zone) -> String {
    let id = zone.id.as_ref().map(|id| format!(", id = {}", quoted(id))).unwrap_or_default();
    let cidrs: Vec<String> = zone.cidrs.iter().map(|cidr| quoted(&cidr.to_string())).collect();
    format!("{{ name = {}{id}, cidrs = [{}] }}", quoted(&zone.name), cidrs.join(", "))
}
