//! The catalogue for people and programs: `linkproof services`.

use std::fmt;

use serde::Serialize;

use super::name::{Coverage, Kind, Name};
use super::partition::is_region;
use super::row::PrivateDns;
use super::{Entry, Host, entries, suggestions};
use crate::observation::EndpointProtocol;
use crate::suggestion;

const SCHEMA: u32 = 1;

/// Stands for the region where none is given.
const PLACEHOLDER: &str = "REGION";

/// Services, and the names that they have in one region.
#[derive(Debug)]
pub struct Listing {
    region: Option<String>,
    entries: Vec<Entry>,
    /// A search shows every name.
    is_search: bool,
    /// How many services SDKs know in other partitions only.
    left_out: usize,
}

/// Why there is nothing to list.
#[derive(Debug)]
pub enum ListingError {
    Region(String),
    NoMatch { word: String, suggestions: Vec<&'static str> },
}

impl fmt::Display for ListingError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(region) => {
                write!(f, "invalid region {region:?} (expected something like \"us-east-1\")")
            }
            Self::NoMatch { word, suggestions } => {
                write!(f, "no service matches {word:?}")?;
                suggestion::question(suggestions).map_or(Ok(()), |hint| write!(f, "; {hint}"))
            }
        }
    }
}

impl std::error::Error for ListingError {}

impl Listing {
    pub fn new(word: Option<&str>, region: Option<&str>) -> Result<Self, ListingError> {
        if let Some(region) = region.filter(|region| !is_region(region)) {
            return Err(ListingError::Region(region.to_owned()));
        }
        let word = word.map(|word| word.trim().trim_end_matches('.').to_lowercase());
        let pasted = word.as_deref().and_then(region_of);
        let region = region.or(pasted);
        let mut found = match &word {
            Some(word) => search(word, region.unwrap_or(PLACEHOLDER))?,
            None => entries().collect(),
        };
        let matching = found.len();
        if word.is_none() {
            found.retain(|entry| !region.is_some_and(|region| entry.is_absent_from(region)));
        }
        Ok(Self {
            region: region.map(ToOwned::to_owned),
            left_out: matching - found.len(),
            entries: found,
            is_search: word.is_some(),
        })
    }

    fn region(&self) -> &str {
        self.region.as_deref().unwrap_or(PLACEHOLDER)
    }

    pub fn text(&self) -> String {
        if self.is_search { self.details() } else { self.table() }
    }

    pub fn json(&self) -> Result<String, serde_json::Error> {
        let services = self.entries.iter().map(|entry| ServiceJson::new(entry, self.region())).collect();
        let document = Document { schema: SCHEMA, region: self.region.as_deref(), services };
        serde_json::to_string_pretty(&document).map(|text| text + "\n")
    }

    fn table(&self) -> String {
        let mut rows = vec![["SERVICE", "ENDPOINT", "PRIVATE DNS", "PORT", "NAME"].map(str::to_owned)];
        rows.extend(self.entries.iter().map(|entry| {
            [
                entry.service().to_owned(),
                endpoint_types(entry).join(", "),
                private_dns_word(entry.private_dns()).to_owned(),
                entry.port().to_string(),
                first_name(entry, self.region()),
            ]
        }));
        let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
        let widths: [usize; 4] = [0, 1, 2, 3].map(width);
        let mut text = String::new();
        for row in &rows {
            for (cell, width) in row.iter().zip(widths) {
                text.push_str(&format!("{cell:width$}  "));
            }
            text.push_str(&row[4]);
            text.push('\n');
        }
        if self.left_out > 0 {
            text.push_str(&format!("{} services of other partitions are left out.\n", self.left_out));
        }
        text
    }

    fn details(&self) -> String {
        let blocks: Vec<String> = self.entries.iter().map(|entry| details(entry, self.region())).collect();
        let mut text = blocks.join("\n");
        let is_unknown = |name: &Name| name.coverage == Coverage::Unknown;
        if self.entries.iter().any(|entry| entry.names(self.region()).iter().any(is_unknown)) {
            text.push_str(
                "\n? SDKs ask this name; whether the endpoint's private DNS covers it is unknown.\n",
            );
        }
        text
    }
}

/// Those that are called so, then those with a part of a name that begins so; where there is
/// neither, those with the word anywhere in a name.
fn search(word: &str, region: &str) -> Result<Vec<Entry>, ListingError> {
    let found = called_or_named(bare(word, region), region);
    let below_label = word.split_once('.').filter(|_| found.is_empty() && region != PLACEHOLDER);
    let found = below_label.map_or(found, |(_, name)| called_or_named(name, region));
    if found.is_empty() {
        let suggestions = suggestions(word);
        return Err(ListingError::NoMatch { word: word.to_owned(), suggestions });
    }
    Ok(found)
}

/// A region that is a part of a name.
fn region_of(word: &str) -> Option<&str> {
    word.split('.').find(|label| is_region(label))
}

/// `ecr.api` of `com.amazonaws.us-east-1.ecr.api`.
fn bare<'a>(word: &'a str, region: &str) -> &'a str {
    let full = ["com.amazonaws.", "cn.com.amazonaws."].iter().find_map(|prefix| word.strip_prefix(prefix));
    let Some(name) = full else { return word };
    name.strip_prefix(region).and_then(|name| name.strip_prefix('.')).unwrap_or(name)
}

fn called_or_named(word: &str, region: &str) -> Vec<Entry> {
    let is_called = |entry: &Entry| entry.service() == word || entry.also_called().any(|name| name == word);
    let (mut found, others): (Vec<Entry>, Vec<Entry>) = entries().partition(is_called);
    if word.is_empty() {
        return found;
    }
    found.extend(others.into_iter().filter(|entry| any_name(entry, region, |name| begins_part(name, word))));
    if found.is_empty() {
        found.extend(entries().filter(|entry| any_name(entry, region, |name| name.contains(word))));
    }
    found
}

fn any_name(entry: &Entry, region: &str, matches: impl Fn(&str) -> bool) -> bool {
    let hosts = entry.names(region).into_iter().map(|name| name.to_string().to_lowercase());
    matches(entry.service())
        || entry.also_called().any(&matches)
        || hosts.into_iter().any(|host| matches(&host))
}

/// `ecr` begins a part of `api.ecr-fips`, and none of `secretsmanager`.
fn begins_part(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| !name[..at].ends_with(|c: char| c.is_ascii_alphanumeric()))
}

fn details(entry: &Entry, region: &str) -> String {
    let mut lines = Vec::new();
    if entry.is_absent_from(region) {
        let absent = format!("SDKs do not know the service in the partition of {region}");
        lines.push(("region".to_owned(), absent));
    }
    let called: Vec<&str> = entry.also_called().collect();
    if !called.is_empty() {
        lines.push(("also called".to_owned(), called.join(", ")));
    }
    lines.extend(name_lines(&entry.names(region)));
    if let Some(fips) = entry.fips_service() {
        lines.push(("FIPS endpoint".to_owned(), fips.to_owned()));
    }
    if let Some(note) = entry.note() {
        lines.push(("note".to_owned(), note.to_owned()));
    }
    let width = lines.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    let mut text = format!("{}: {}\n", entry.service(), summary(entry));
    for (label, value) in lines {
        text.push_str(&format!("  {label:width$}  {value}\n"));
    }
    text
}

/// A name that serves two purposes, as the FIPS names of GovCloud do, is written once.
fn name_lines(names: &[Name]) -> Vec<(String, String)> {
    let mut lines = Vec::new();
    let mut last = String::new();
    for (at, name) in names.iter().enumerate() {
        let same = |other: &&Name| other.to_string() == name.to_string();
        if names[..at].iter().any(|other| same(&other)) {
            continue;
        }
        let kinds: Vec<&str> = names.iter().filter(same).map(|name| kind_word(name.kind)).collect();
        let kinds = kinds.join(", ");
        let mark = if name.coverage == Coverage::Unknown { "  ?" } else { "" };
        lines.push((if kinds == last { String::new() } else { kinds.clone() }, format!("{name}{mark}")));
        last = kinds;
    }
    lines
}

fn summary(entry: &Entry) -> String {
    let private_dns = match entry.private_dns() {
        PrivateDns::Documented => "private DNS",
        PrivateDns::Inferred => "private DNS (name inferred)",
        PrivateDns::None => "no private DNS",
    };
    let protocol = protocol_word(entry.protocol());
    format!("{}, {private_dns}, port {} ({protocol})", endpoint_types(entry).join(" and "), entry.port())
}

fn first_name(entry: &Entry, region: &str) -> String {
    match entry.host(region) {
        Host::Name(name) => name,
        Host::BelowLabel(name) => format!("*.{name}"),
        Host::Unknown => "unknown".to_owned(),
    }
}

fn endpoint_types(entry: &Entry) -> Vec<&'static str> {
    let types = [("interface", entry.has_interface()), ("gateway", entry.has_gateway())];
    types.into_iter().filter(|(_, has)| *has).map(|(word, _)| word).collect()
}

const fn private_dns_word(private_dns: PrivateDns) -> &'static str {
    match private_dns {
        PrivateDns::Documented => "documented",
        PrivateDns::Inferred => "inferred",
        PrivateDns::None => "none",
    }
}

const fn protocol_word(protocol: EndpointProtocol) -> &'static str {
    match protocol {
        EndpointProtocol::Https => "https",
        EndpointProtocol::Tls => "tls",
        EndpointProtocol::Tcp => "tcp",
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Regional => "regional",
        Kind::DualStack => "dual-stack",
        Kind::Fips => "FIPS",
        Kind::FipsDualStack => "FIPS dual-stack",
    }
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    region: Option<&'a str>,
    services: Vec<ServiceJson>,
}

#[derive(Serialize)]
struct ServiceJson {
    service: &'static str,
    endpoint_types: Vec<&'static str>,
    private_dns: &'static str,
    port: u16,
    protocol: &'static str,
    /// `null` where it is unknown.
    partitions: Option<Vec<&'static str>>,
    fips_service: Option<&'static str>,
    also_called: Vec<&'static str>,
    names: Vec<NameJson>,
    note: Option<&'static str>,
}

#[derive(Serialize)]
struct NameJson {
    name: String,
    kind: &'static str,
    covered_by: &'static str,
}

impl ServiceJson {
    fn new(entry: &Entry, region: &str) -> Self {
        Self {
            service: entry.service(),
            endpoint_types: endpoint_types(entry),
            private_dns: private_dns_word(entry.private_dns()),
            port: entry.port(),
            protocol: protocol_word(entry.protocol()),
            partitions: entry.row.partitions(),
            fips_service: entry.fips_service(),
            also_called: entry.also_called().collect(),
            names: entry.names(region).iter().map(NameJson::new).collect(),
            note: entry.note(),
        }
    }
}

impl NameJson {
    fn new(name: &Name) -> Self {
        let kind = match name.kind {
            Kind::Regional => "regional",
            Kind::DualStack => "dual_stack",
            Kind::Fips => "fips",
            Kind::FipsDualStack => "fips_dual_stack",
        };
        let covered_by = match name.coverage {
            Coverage::Endpoint => "endpoint",
            Coverage::FipsEndpoint => "fips_endpoint",
            Coverage::Unknown => "unknown",
            Coverage::Public => "nothing",
        };
        Self { name: name.to_string(), kind, covered_by }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: Option<&str>, region: Option<&str>) -> String {
        Listing::new(word, region).unwrap().text()
    }

    #[test]
    fn a_search_shows_every_name() {
        let found = text(Some("ecr.dkr"), Some("eu-west-1"));
        assert_eq!(
            found,
            "\
ecr.dkr: interface, private DNS, port 443 (https)
  also called  ecr, docker, container-registry
  regional     *.dkr.ecr.eu-west-1.amazonaws.com
               dkr.ecr.eu-west-1.amazonaws.com
  dual-stack   *.dkr-ecr.eu-west-1.on.aws
               dkr-ecr.eu-west-1.on.aws
  FIPS         *.dkr.ecr-fips.eu-west-1.amazonaws.com  ?
  note         label: the account id; image layers come from S3

? SDKs ask this name; whether the endpoint's private DNS covers it is unknown.
"
        );
        let first = text(Some("cloudwatch"), None);
        assert!(first.starts_with("monitoring: interface, private DNS, port 443 (https)\n"), "{first}");
        assert!(text(Some("dynamodb"), None).starts_with("dynamodb: interface and gateway, no private DNS"));
    }

    #[test]
    fn a_word_is_sought_at_the_beginning_first() {
        let services = |word| {
            let found = Listing::new(Some(word), None).unwrap().entries;
            found.iter().map(Entry::service).collect::<Vec<_>>()
        };
        assert_eq!(services("ecr"), ["ecr.api", "ecr.dkr"]);
        assert_eq!(services("kms-fips"), ["kms-fips", "kms"]);
        assert_eq!(services("smmess"), ["ssmmessages"]);
        assert_eq!(services("api.ecr."), ["ecr.api"]);
        for (pasted, service) in [
            ("com.amazonaws.us-east-1.ssm", "ssm"),
            ("com.amazonaws.ssm", "ssm"),
            ("cn.com.amazonaws.cn-north-1.ecr.api", "ecr.api"),
            ("api.ecr.us-east-1.amazonaws.com", "ecr.api"),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com.", "ecr.dkr"),
            ("monitoring.us-gov-west-1.amazonaws.com", "monitoring"),
        ] {
            assert_eq!(services(pasted)[0], service, "{pasted}");
        }
    }

    #[test]
    fn a_name_with_two_purposes_stands_once() {
        let found = text(Some("ssm"), Some("us-gov-west-1"));
        let block = found.split("\n\n").next().unwrap();
        assert!(block.contains("  regional, FIPS   ssm.us-gov-west-1.amazonaws.com\n"), "{block}");
        assert_eq!(block.matches(" ssm.us-gov-west-1.amazonaws.com").count(), 1, "{block}");
    }

    #[test]
    fn the_table_is_aligned_and_knows_the_partition() {
        let everything = text(None, None);
        let lines: Vec<&str> = everything.lines().collect();
        assert_eq!(lines.len(), entries().count() + 1);
        let at = lines[0].find("NAME").unwrap();
        assert!(lines.iter().all(|line| line.as_bytes()[at - 1] == b' ' && line.as_bytes()[at] != b' '));
        assert!(everything.contains(" monitoring.REGION.amazonaws.com\n"));
        let china = text(None, Some("cn-north-1"));
        assert!(china.contains(" monitoring.cn-north-1.amazonaws.com.cn\n"));
        assert!(!china.contains("bedrock"), "{china}");
        assert!(china.contains("services of other partitions are left out.\n"), "{china}");
    }

    #[test]
    fn what_matches_nothing_says_what_may_be_meant() {
        let refused = |word, region| Listing::new(word, region).unwrap_err().to_string();
        assert_eq!(refused(Some("lamda"), None), "no service matches \"lamda\"; did you mean \"lambda\"?");
        assert_eq!(refused(Some("quantum"), None), "no service matches \"quantum\"");
        assert_eq!(refused(Some(""), None), "no service matches \"\"");
        let region = "invalid region \"Frankfurt\" (expected something like \"us-east-1\")";
        assert_eq!(refused(None, Some("Frankfurt")), region);
    }

    #[test]
    fn programs_get_every_name_with_its_standing() {
        let listing = Listing::new(Some("kms"), Some("us-east-1")).unwrap();
        let document: serde_json::Value = serde_json::from_str(&listing.json().unwrap()).unwrap();
        assert_eq!((&document["schema"], &document["region"]), (&1.into(), &"us-east-1".into()));
        let kms = &document["services"][0];
        assert_eq!((&kms["service"], &kms["fips_service"]), (&"kms".into(), &"kms-fips".into()));
        let fips = serde_json::json!({
            "name": "kms-fips.us-east-1.amazonaws.com", "kind": "fips", "covered_by": "fips_endpoint",
        });
        assert_eq!(kms["names"][2], fips);
        let twin = &document["services"][1];
        assert_eq!(
            (&twin["service"], &twin["names"][0]["covered_by"]),
            (&"kms-fips".into(), &"endpoint".into())
        );
    }
}
