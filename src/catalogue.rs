//! What AWS's endpoint services are called in DNS: the private names that AWS documents, that were
//! observed, or that the SDKs ask. A service that is not here can still be checked, by its host.
//!
//! The data is `catalogue/services.tsv`. It is read once and kept, some 80 KB, since a file of
//! `import` can name thousands of services.

pub mod listing;
mod name;
pub mod partition;
mod row;
mod wrong_name;

pub use name::{Coverage, Kind, Name};
pub use partition::{is_other_region, other_region};
pub use row::PrivateDns;
pub use wrong_name::suggestions;

use std::sync::LazyLock;

use crate::observation::EndpointProtocol;
use partition::{Partition, is_region};
use row::Row;

const DATA: &str = include_str!("catalogue/services.tsv");

/// An endpoint service, as PrivateLink names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    row: Row,
    /// The endpoint service of its own that has the FIPS names of the row.
    is_fips: bool,
}

/// The name that is checked where only the service is given.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Host {
    Name(String),
    /// Any label before this: which one, only the user knows.
    BelowLabel(String),
    Unknown,
}

pub fn lookup(service: &str) -> Option<Entry> {
    let at = SORTED.binary_search_by(|entry| entry.service().cmp(service)).ok()?;
    Some(SORTED[at])
}

/// By service. A line of its own goes before the FIPS service of another line.
static SORTED: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut entries: Vec<Entry> = entries().collect();
    entries.sort_by_key(|entry| (entry.service(), entry.is_fips));
    entries.dedup_by_key(|entry| entry.service());
    entries
});

/// By the name of the endpoint service: `com.amazonaws.eu-west-1.ecr.api`.
pub fn lookup_endpoint_service(name: &str) -> Option<Entry> {
    let labels = name.match_indices('.').map(|(at, _)| (&name[..at], &name[at + 1..]));
    let is_place = |label: &str| is_region(label) || label == "global";
    let mut after_place = labels.filter(|(before, _)| before.rsplit('.').next().is_some_and(is_place));
    let (prefix, service) = match after_place.next() {
        Some((before, service)) => (before, service),
        None => ("com.amazonaws", name.strip_prefix("com.amazonaws.")?),
    };
    // `cn.com.amazonaws.cn-north-1.transcribe.cn`
    let short = service.strip_suffix(".cn").filter(|_| prefix.starts_with("cn."));
    lookup(service).or_else(|| lookup(short?))
}

/// Every service, and after it its FIPS service where it has one.
pub fn entries() -> impl Iterator<Item = Entry> {
    rows().flat_map(|row| {
        let fips = row.fips_service.map(|_| Entry { row, is_fips: true });
        std::iter::once(Entry { row, is_fips: false }).chain(fips)
    })
}

fn rows() -> impl Iterator<Item = Row> {
    // A test holds that every line is a row.
    lines().filter_map(|line| Row::parse(line).ok())
}

fn lines() -> impl Iterator<Item = &'static str> {
    DATA.lines().filter(|line| !line.starts_with('#'))
}

/// Another service, where the host is one of its names and none of this one's.
pub fn other_owner(entry: &Entry, host: &str) -> Option<&'static str> {
    let region = host.split('.').find(|label| is_region(label))?;
    let is_name_of =
        |entry: &Entry| entry.names(region).iter().any(|name| !name.is_wildcard && name.host == host);
    if is_name_of(entry) {
        return None;
    }
    entries().find(is_name_of).map(|owner| owner.service())
}

/// The name of a service that has a single one to check: private, or behind a gateway endpoint.
pub fn host_of(service: &str, region: &str) -> Option<String> {
    let entry = lookup(service)?;
    match entry.host(region) {
        Host::Name(name) if entry.has_private_dns() || entry.has_gateway() => Some(name),
        _ => None,
    }
}

impl Entry {
    pub fn service(&self) -> &'static str {
        let fips = if self.is_fips { self.row.fips_service } else { None };
        fips.unwrap_or(self.row.service)
    }

    /// Without it the names are public in every VPC: an interface endpoint is then reached by its
    /// own names (`vpce-..`) alone.
    pub fn has_private_dns(&self) -> bool {
        self.private_dns() != PrivateDns::None
    }

    pub fn private_dns(&self) -> PrivateDns {
        match self.row.private_dns {
            // What is known of the plain service says nothing of its FIPS twin.
            PrivateDns::Documented if self.is_fips => PrivateDns::Inferred,
            other => other,
        }
    }

    /// The endpoint service of its own that has this one's FIPS names.
    pub fn fips_service(&self) -> Option<&'static str> {
        self.row.fips_service.filter(|_| !self.is_fips)
    }

    /// What SDKs, the console or people call it.
    pub fn also_called(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.row.also_called().filter({
            let is_fips = self.is_fips;
            move |_| !is_fips
        })
    }

    pub fn note(&self) -> Option<&'static str> {
        self.row.note.filter(|_| !self.is_fips)
    }

    pub fn has_gateway(&self) -> bool {
        self.row.gateway && !self.is_fips
    }

    pub fn has_interface(&self) -> bool {
        self.row.interface
    }

    pub fn port(&self) -> u16 {
        self.row.port
    }

    pub fn protocol(&self) -> EndpointProtocol {
        self.row.protocol
    }

    /// Whether SDKs know the service elsewhere, and not in the region's partition.
    pub fn is_absent_from(&self, region: &str) -> bool {
        self.row.is_absent_from(Partition::of(region))
    }

    pub fn host(&self, region: &str) -> Host {
        let names = self.names(region);
        match names.into_iter().find(|name| matches!(name.coverage, Coverage::Endpoint | Coverage::Public)) {
            Some(Name { is_wildcard: false, host, .. }) => Host::Name(host),
            Some(Name { host, .. }) => Host::BelowLabel(host),
            None => Host::Unknown,
        }
    }

    /// Every name by which the service is asked in a region, those asked most often first.
    pub fn names(&self, region: &str) -> Vec<Name> {
        let names = Kind::ALL.into_iter().flat_map(|kind| names_of(&self.row, kind, region));
        if !self.is_fips {
            return names.collect();
        }
        names.filter(|name| name.kind.is_fips()).map(Name::of_fips_service).collect()
    }
}

fn names_of(row: &Row, kind: Kind, region: &str) -> Vec<Name> {
    name::in_region(row.names(kind), region)
        .map(|template| Name {
            kind,
            coverage: coverage(row, kind, template.is_covered),
            host: template.host(region),
            is_wildcard: template.is_wildcard,
        })
        .collect()
}

fn coverage(row: &Row, kind: Kind, is_covered: bool) -> Coverage {
    match row.private_dns {
        PrivateDns::None => Coverage::Public,
        _ if !is_covered => Coverage::Unknown,
        _ if kind.is_fips() && row.fips_service.is_some() => Coverage::FipsEndpoint,
        _ => Coverage::Endpoint,
    }
}

impl Name {
    fn of_fips_service(self) -> Self {
        let coverage = match self.coverage {
            Coverage::FipsEndpoint => Coverage::Endpoint,
            other => other,
        };
        Self { coverage, ..self }
    }
}

#[cfg(test)]
mod tests;
