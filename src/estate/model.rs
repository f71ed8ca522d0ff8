//! What the files say about the endpoints of an account, whatever the form they say it in.

use std::net::IpAddr;

/// A VPC endpoint as one file describes it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Endpoint {
    pub id: String,
    pub kind: Option<String>,
    pub vpc: Option<String>,
    pub service_name: Option<String>,
    pub service_region: Option<String>,
    /// The region that the endpoint is in, where the file says it.
    pub region: Option<String>,
    pub state: Option<String>,
    /// AWS's or our words for why it does not work.
    pub trouble: Option<String>,
    pub private_dns: Option<bool>,
    pub inbound_only: bool,
    pub names: Vec<DnsEntry>,
    pub subnets: Vec<String>,
    /// Ids of its network interfaces.
    pub interfaces: Vec<String>,
    /// Addresses of its interfaces, by subnet.
    pub addresses: Vec<(String, IpAddr)>,
    pub route_tables: Vec<String>,
    pub prefix_list: Option<String>,
    pub cidrs: Vec<String>,
    pub owner: Option<String>,
    pub requester_managed: bool,
    pub origin: Origin,
    /// What a reader of the configuration should know about it.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct DnsEntry {
    pub name: String,
    pub zone: Option<String>,
}

impl DnsEntry {
    /// The hosted zone of a private name while the endpoint is being made.
    pub fn is_pending(&self) -> bool {
        self.zone.as_deref() == Some("ZONEIDPENDING")
    }
}

/// Where an endpoint was read.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Origin {
    #[default]
    Cli,
    /// A resource of Terraform, by its address.
    Managed(String),
    /// A data source of Terraform, by its address.
    Data(String),
}

impl Origin {
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Cli => None,
            Self::Managed(address) | Self::Data(address) => Some(address),
        }
    }
}

impl Endpoint {
    /// Whether two descriptions lead to the same decisions. AWS promises no order of the lists.
    pub fn agrees_with(&self, other: &Self) -> bool {
        let sorted = |names: &[DnsEntry]| {
            let mut names: Vec<(String, bool)> =
                names.iter().map(|entry| (entry.name.to_ascii_lowercase(), entry.is_pending())).collect();
            names.sort();
            names
        };
        let facts = |endpoint: &Self| {
            let lower = |text: &Option<String>| text.as_ref().map(|text| text.to_ascii_lowercase());
            (
                lower(&endpoint.kind),
                lower(&endpoint.state),
                (endpoint.vpc.clone(), endpoint.service_name.clone()),
                (endpoint.private_dns, endpoint.inbound_only),
                sorted(&endpoint.names),
            )
        };
        facts(self) == facts(other)
    }

    /// Takes over what only the other source knows.
    pub fn complete_from(&mut self, other: Self) {
        if self.interfaces.is_empty() {
            self.interfaces = other.interfaces;
        }
        if self.addresses.is_empty() {
            self.addresses = other.addresses;
        }
        if self.cidrs.is_empty() {
            self.cidrs = other.cidrs;
        }
        self.prefix_list = self.prefix_list.take().or(other.prefix_list);
        self.region = self.region.take().or(other.region);
        self.owner = self.owner.take().or(other.owner);
    }
}

/// A subnet of `describe-subnets` or of Terraform.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Subnet {
    pub vpc: Option<String>,
    pub zone: Option<String>,
    pub zone_id: Option<String>,
    pub cidrs: Vec<String>,
    /// Whether two files have it in different places.
    pub is_contradictory: bool,
}

impl Subnet {
    /// Takes over what another description has, most likely the same.
    pub fn complete_from(&mut self, other: Self) {
        let differ = |one: &Option<String>, other: &Option<String>| {
            one.as_ref().zip(other.as_ref()).is_some_and(|(one, other)| one != other)
        };
        self.is_contradictory |= other.is_contradictory
            || differ(&self.vpc, &other.vpc)
            || differ(&self.zone, &other.zone)
            || differ(&self.zone_id, &other.zone_id);
        self.vpc = self.vpc.take().or(other.vpc);
        self.zone = self.zone.take().or(other.zone);
        self.zone_id = self.zone_id.take().or(other.zone_id);
        if self.cidrs.is_empty() {
            self.cidrs = other.cidrs;
        }
    }
}

/// An interface of `describe-network-interfaces`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NetworkInterface {
    pub subnet: Option<String>,
    pub vpc: Option<String>,
    pub zone: Option<String>,
    pub zone_id: Option<String>,
    pub addresses: Vec<IpAddr>,
}

/// An interface endpoint service of `describe-vpc-endpoint-services`.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Service {
    pub private_names: Vec<String>,
    /// Whether AWS has seen that the owner of a partner's name owns it.
    pub unverified: bool,
}
