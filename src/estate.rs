//! The endpoints of an account, read from what AWS's and Terraform's tools print, and the
//! configuration that checks them. Pure: the caller reads the files.
//!
//! Nothing in a file is trusted. A name is written only if it is a host name, every other text
//! only in a comment and escaped, and what was written is parsed before it is handed out.

mod aws;
mod decide;
mod error;
mod input;
mod json;
mod label;
mod model;
mod name;
mod place;
mod quote;
mod select;
mod terraform;
#[cfg(test)]
mod tests;
mod write;
mod zones;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use aws::{Listed, Output};
pub use decide::Table;
pub use error::ImportError;
use input::{Document, Fault, FileError, Problem, Twin};
use json::{Keys, Object};
use model::{Endpoint, NetworkInterface, Origin, Service, Subnet};
use terraform::Show;
pub use write::{Discovered, discovered};

type Subnets = HashMap<String, Subnet>;
type Interfaces = HashMap<String, NetworkInterface>;

/// What the files said, read one by one.
#[derive(Debug, Default)]
pub struct Estate {
    files: Vec<String>,
    endpoints: Vec<Endpoint>,
    /// The place of an endpoint in the list, and where it was read.
    places: HashMap<String, (usize, Source)>,
    subnets: Subnets,
    interfaces: Interfaces,
    services: HashMap<String, Service>,
    /// Files that have one page of several, and what it lists.
    incomplete: Vec<(String, Listed)>,
    /// Addresses of Terraform, and why they were left out.
    left_out: Vec<(String, String)>,
    /// Whether any file had a list of endpoints, if only an empty one.
    lists_endpoints: bool,
}

/// Where an endpoint was read.
#[derive(Clone, Copy, Debug)]
struct Source {
    /// The place of the file in the list.
    file: usize,
    /// Line and column. Resources of Terraform have an address instead.
    place: Option<(usize, usize)>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Options<'a> {
    /// The VPC chosen on the command line.
    pub vpc: Option<&'a str>,
    /// The VPC that this instance is in, where it is known.
    pub own_vpc: Option<&'a str>,
    pub region: Option<&'a str>,
    /// The label in front of a wildcard name, by service.
    pub labels: &'a [(String, String)],
}

/// A configuration, and what its reader should hear at once.
#[derive(Debug, Eq, PartialEq)]
pub struct Imported {
    pub text: String,
    pub warnings: Vec<String>,
    /// How many endpoints it checks.
    pub written: usize,
    /// How many endpoints of the files it leaves out.
    pub left_out: usize,
}

/// Keys at the top of what `aws ec2` prints.
const OUTPUTS: [&str; 6] =
    ["VpcEndpoints", "VpcEndpoint", "ServiceDetails", "ServiceNames", "Subnets", "NetworkInterfaces"];

impl Estate {
    /// `file` is what it is called in messages.
    pub fn read(&mut self, file: &str, bytes: &[u8]) -> Result<(), ImportError> {
        self.files.push(file.to_owned());
        self.documents(file, bytes).map_err(|(place, problem)| {
            ImportError::File(FileError { file: file.to_owned(), place, problem })
        })
    }

    /// The configuration of one VPC, as TOML.
    pub fn configuration(&self, options: &Options<'_>) -> Result<Imported, ImportError> {
        write::configuration(self, options)
    }

    fn documents(&mut self, file: &str, bytes: &[u8]) -> Result<(), Fault> {
        let text = input::decode(bytes)?;
        for document in input::documents(&text)? {
            if document.raw.get().starts_with('[') {
                self.list(file, document)?;
            } else {
                self.object(file, document)?;
            }
        }
        Ok(())
    }

    /// `--query VpcEndpoints`, or pages that jq put into a list.
    fn list(&mut self, file: &str, document: Document<'_>) -> Result<(), Fault> {
        let items = document.items()?;
        // An empty list is most likely one of endpoints.
        self.lists_endpoints |= items.is_empty();
        for item in items {
            match item.raw.get().as_bytes().first() {
                Some(b'{') => self.object(file, item)?,
                Some(b'[') => return Err((Some(item.place()), Problem::NestedList)),
                _ => return Err((Some(item.place()), Problem::ListOfValues)),
            }
        }
        Ok(())
    }

    fn object(&mut self, file: &str, document: Document<'_>) -> Result<(), Fault> {
        let keys: Keys = document.parse()?;
        let has = |key: &str| keys.has(key);
        let fail = |problem| Err((Some(document.place()), problem));
        if OUTPUTS.into_iter().any(has) {
            self.output(file, document.parse()?, document)
        } else if has("VpcEndpointId") {
            self.endpoint(document, 1)
        } else if has("ServiceType") && has("ServiceName") {
            let detail: aws::ServiceDetail = document.parse()?;
            self.output(file, Output { service_details: Some(vec![detail]), ..Output::default() }, document)
        } else if has("NetworkInterfaceId") && has("AvailabilityZone") {
            let interface: aws::InterfaceDetail = document.parse()?;
            self.output(
                file,
                Output { network_interfaces: Some(vec![interface]), ..Output::default() },
                document,
            )
        } else if has("SubnetId") && has("AvailabilityZone") {
            let subnet: aws::SubnetDetail = document.parse()?;
            self.output(file, Output { subnets: Some(vec![subnet]), ..Output::default() }, document)
        } else if has("values") || has("planned_values") || has("format_version") {
            self.terraform(document)
        } else if has("VpcEndpointAssociations") {
            fail(Problem::Associations)
        } else if has("DnsName") || has("DnsEntries") {
            fail(Problem::PartsOfEndpoints)
        } else if has("terraform_version") || has("serial") && has("lineage") {
            fail(Problem::RawState)
        } else if has("@level") || has("@message") {
            fail(Problem::TerraformLog)
        } else if has("AWSTemplateFormatVersion") || has("Resources") {
            fail(Problem::Template)
        } else {
            fail(Problem::Unknown(keys.0.into_iter().take(5).collect()))
        }
    }

    fn output(&mut self, file: &str, output: Output<'_>, document: Document<'_>) -> Result<(), Fault> {
        let has_more = output.next_token.as_ref().is_some_and(|token| !token.is_empty());
        let page = (file.to_owned(), output.listed());
        if has_more && !self.incomplete.contains(&page) {
            self.incomplete.push(page);
        }
        self.lists_endpoints |= output.vpc_endpoints.is_some();
        let endpoints = document.parts(output.vpc_endpoints.unwrap_or_default());
        for (number, endpoint) in endpoints.into_iter().enumerate() {
            self.endpoint(endpoint, number + 1)?;
        }
        for endpoint in document.parts(output.vpc_endpoint) {
            self.endpoint(endpoint, 1)?;
        }
        let services = output.service_details.unwrap_or_default();
        self.services.extend(services.into_iter().filter_map(aws::ServiceDetail::into_service));
        let subnets = output.subnets.unwrap_or_default();
        self.add_subnets(subnets.into_iter().filter_map(aws::SubnetDetail::into_subnet));
        let interfaces = output.network_interfaces.unwrap_or_default();
        self.interfaces.extend(interfaces.into_iter().filter_map(aws::InterfaceDetail::into_interface));
        Ok(())
    }

    /// The one of this number in its list.
    fn endpoint(&mut self, document: Document<'_>, number: usize) -> Result<(), Fault> {
        self.lists_endpoints = true;
        let place = Some(document.place());
        let Object(endpoint): Object<aws::VpcEndpoint> = document.parse()?;
        let endpoint = endpoint.into_endpoint().ok_or((place, Problem::MissingId(number)))?;
        self.add(place, endpoint)
    }

    fn terraform(&mut self, document: Document<'_>) -> Result<(), Fault> {
        let show: Show<'_> = document.parse()?;
        let reading = terraform::read(show).map_err(|problem| (None, problem))?;
        self.lists_endpoints |= !reading.left_out.is_empty();
        for endpoint in reading.endpoints {
            self.add(None, endpoint)?;
        }
        self.add_subnets(reading.subnets);
        self.services.extend(reading.services);
        self.left_out.extend(reading.left_out);
        Ok(())
    }

    fn add_subnets(&mut self, subnets: impl IntoIterator<Item = (String, Subnet)>) {
        for (id, subnet) in subnets {
            match self.subnets.entry(id) {
                Entry::Vacant(vacant) => drop(vacant.insert(subnet)),
                Entry::Occupied(mut known) => known.get_mut().complete_from(subnet),
            }
        }
    }

    /// An endpoint that several files or modules describe is taken once, from the best source.
    fn add(&mut self, place: Option<(usize, usize)>, endpoint: Endpoint) -> Result<(), Fault> {
        let source = Source { file: self.files.len() - 1, place };
        let Some((at, first)) = self.places.get(&endpoint.id) else {
            self.places.insert(endpoint.id.clone(), (self.endpoints.len(), source));
            self.endpoints.push(endpoint);
            return Ok(());
        };
        let known = &mut self.endpoints[*at];
        let rank = |origin: &Origin| match origin {
            Origin::Cli => 0,
            Origin::Managed(_) => 1,
            Origin::Data(_) => 2,
        };
        match rank(&endpoint.origin).cmp(&rank(&known.origin)) {
            std::cmp::Ordering::Less => {
                let worse = std::mem::replace(known, endpoint);
                known.complete_from(worse);
            }
            std::cmp::Ordering::Greater => known.complete_from(endpoint),
            // Data sources are read at different times, and each is as good.
            std::cmp::Ordering::Equal if rank(&endpoint.origin) == 2 => known.complete_from(endpoint),
            std::cmp::Ordering::Equal if known.agrees_with(&endpoint) => known.complete_from(endpoint),
            std::cmp::Ordering::Equal => {
                let first = Twin {
                    file: (first.file != source.file).then(|| self.files[first.file].clone()),
                    line: first.place.map(|(line, _)| line),
                    address: known.origin.address().map(ToOwned::to_owned),
                };
                let address = endpoint.origin.address().map(ToOwned::to_owned);
                let first = Box::new(first);
                return Err((place, Problem::Conflict { id: endpoint.id, address, first }));
            }
        }
        Ok(())
    }
}
