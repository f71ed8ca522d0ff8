//! The output of `aws ec2 describe-vpc-endpoints`, `describe-vpc-endpoint-services`,
//! `describe-subnets` and `describe-network-interfaces`. Every key may also begin with a small letter.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{list, object, objects, present, texts};
use super::model::{DnsEntry, Endpoint, NetworkInterface, Origin, Service, Subnet};

/// Whatever these commands print, at the top.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Output<'a> {
    /// As text, since an error names the place of the endpoint.
    #[serde(borrow, deserialize_with = "texts", alias = "vpcEndpoints")]
    pub vpc_endpoints: Option<Vec<&'a RawValue>>,
    /// The answer to create-vpc-endpoint.
    #[serde(borrow, alias = "vpcEndpoint")]
    pub vpc_endpoint: Option<&'a RawValue>,
    #[serde(deserialize_with = "present", alias = "serviceDetails")]
    pub service_details: Option<Vec<ServiceDetail>>,
    #[serde(deserialize_with = "present", alias = "subnets")]
    pub subnets: Option<Vec<SubnetDetail>>,
    #[serde(deserialize_with = "present", alias = "networkInterfaces")]
    pub network_interfaces: Option<Vec<InterfaceDetail>>,
    #[serde(alias = "nextToken")]
    pub next_token: Option<String>,
}

/// What a command lists.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Listed {
    Endpoints,
    Services,
    Subnets,
    Interfaces,
}

impl Output<'_> {
    pub fn listed(&self) -> Listed {
        if self.vpc_endpoints.is_some() || self.vpc_endpoint.is_some() {
            Listed::Endpoints
        } else if self.subnets.is_some() {
            Listed::Subnets
        } else if self.network_interfaces.is_some() {
            Listed::Interfaces
        } else {
            Listed::Services
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VpcEndpoint {
    #[serde(alias = "vpcEndpointId")]
    vpc_endpoint_id: Option<String>,
    #[serde(alias = "vpcEndpointType")]
    vpc_endpoint_type: Option<String>,
    #[serde(alias = "vpcId")]
    vpc_id: Option<String>,
    #[serde(alias = "serviceName")]
    service_name: Option<String>,
    #[serde(alias = "serviceRegion")]
    service_region: Option<String>,
    #[serde(alias = "state")]
    state: Option<String>,
    #[serde(deserialize_with = "list", alias = "routeTableIds")]
    route_table_ids: Vec<String>,
    #[serde(deserialize_with = "list", alias = "subnetIds")]
    subnet_ids: Vec<String>,
    #[serde(deserialize_with = "list", alias = "networkInterfaceIds")]
    network_interface_ids: Vec<String>,
    #[serde(deserialize_with = "object", alias = "dnsOptions")]
    dns_options: Option<DnsOptions>,
    #[serde(alias = "privateDnsEnabled")]
    private_dns_enabled: Option<bool>,
    #[serde(alias = "requesterManaged")]
    requester_managed: Option<bool>,
    #[serde(deserialize_with = "objects", alias = "dnsEntries")]
    dns_entries: Vec<Entry>,
    #[serde(alias = "ownerId")]
    owner_id: Option<String>,
    #[serde(deserialize_with = "object", alias = "lastError")]
    last_error: Option<LastError>,
    #[serde(alias = "failureReason")]
    failure_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct DnsOptions {
    #[serde(alias = "privateDnsOnlyForInboundResolverEndpoint")]
    private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Entry {
    #[serde(alias = "dnsName")]
    dns_name: Option<String>,
    #[serde(alias = "hostedZoneId")]
    hosted_zone_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct LastError {
    #[serde(alias = "message")]
    message: Option<String>,
    #[serde(alias = "code")]
    code: Option<String>,
}

impl VpcEndpoint {
    /// `None` without an id.
    pub fn into_endpoint(self) -> Option<Endpoint> {
        let options = self.dns_options.unwrap_or_default();
        let error = self.last_error.and_then(|error| error.message.or(error.code));
        let named = |entry: Entry| Some(DnsEntry { name: entry.dns_name?, zone: entry.hosted_zone_id });
        Some(Endpoint {
            id: self.vpc_endpoint_id.filter(|id| !id.is_empty())?,
            kind: self.vpc_endpoint_type,
            vpc: self.vpc_id.filter(|vpc| !vpc.is_empty()),
            service_name: self.service_name,
            service_region: self.service_region,
            state: self.state,
            trouble: error.or(self.failure_reason),
            private_dns: self.private_dns_enabled,
            inbound_only: options.private_dns_only_for_inbound_resolver_endpoint == Some(true),
            names: self.dns_entries.into_iter().filter_map(named).collect(),
            subnets: self.subnet_ids,
            interfaces: self.network_interface_ids,
            route_tables: self.route_table_ids,
            owner: self.owner_id,
            requester_managed: self.requester_managed == Some(true),
            origin: Origin::Cli,
            ..Endpoint::default()
        })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ServiceDetail {
    #[serde(alias = "serviceName")]
    service_name: Option<String>,
    #[serde(deserialize_with = "objects", alias = "serviceType")]
    service_type: Vec<ServiceType>,
    #[serde(alias = "privateDnsName")]
    private_dns_name: Option<String>,
    #[serde(deserialize_with = "objects", alias = "privateDnsNames")]
    private_dns_names: Vec<PrivateDnsName>,
    #[serde(alias = "privateDnsNameVerificationState")]
    private_dns_name_verification_state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceType {
    #[serde(alias = "serviceType")]
    service_type: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct PrivateDnsName {
    #[serde(alias = "privateDnsName")]
    private_dns_name: Option<String>,
}

impl ServiceDetail {
    /// The name and what is known of it. `None` for gateways: s3 and dynamodb stand twice.
    pub fn into_service(self) -> Option<(String, Service)> {
        let is_interface = |kind: &ServiceType| {
            kind.service_type.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("interface"))
        };
        if !self.service_type.iter().any(is_interface) {
            return None;
        }
        let mut private_names: Vec<String> =
            self.private_dns_names.into_iter().filter_map(|name| name.private_dns_name).collect();
        if let Some(name) = self.private_dns_name
            && !private_names.contains(&name)
        {
            private_names.insert(0, name);
        }
        let state = self.private_dns_name_verification_state;
        let unverified = state.is_some_and(|state| !state.eq_ignore_ascii_case("verified"));
        Some((self.service_name?, Service { private_names, unverified }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SubnetDetail {
    #[serde(alias = "subnetId")]
    subnet_id: Option<String>,
    #[serde(alias = "vpcId")]
    vpc_id: Option<String>,
    #[serde(alias = "availabilityZone")]
    availability_zone: Option<String>,
    #[serde(alias = "availabilityZoneId")]
    availability_zone_id: Option<String>,
    #[serde(alias = "cidrBlock")]
    cidr_block: Option<String>,
    #[serde(deserialize_with = "objects", alias = "ipv6CidrBlockAssociationSet")]
    ipv6_cidr_block_association_set: Vec<Ipv6Block>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ipv6Block {
    #[serde(alias = "ipv6CidrBlock")]
    ipv6_cidr_block: Option<String>,
    #[serde(deserialize_with = "object", alias = "ipv6CidrBlockState")]
    ipv6_cidr_block_state: Option<BlockState>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct BlockState {
    #[serde(alias = "state")]
    state: Option<String>,
}

impl Ipv6Block {
    /// The range, if the subnet has it: AWS goes on listing those that it had or failed to get.
    fn into_range(self) -> Option<String> {
        let state = self.ipv6_cidr_block_state.and_then(|state| state.state);
        let is_of_subnet = state.is_none_or(|state| {
            ["associated", "associating"].iter().any(|word| state.eq_ignore_ascii_case(word))
        });
        self.ipv6_cidr_block.filter(|_| is_of_subnet)
    }
}

impl SubnetDetail {
    pub fn into_subnet(self) -> Option<(String, Subnet)> {
        let blocks = self.ipv6_cidr_block_association_set.into_iter().filter_map(Ipv6Block::into_range);
        let subnet = Subnet {
            vpc: self.vpc_id,
            zone: self.availability_zone,
            zone_id: self.availability_zone_id,
            cidrs: self.cidr_block.into_iter().chain(blocks).collect(),
            is_contradictory: false,
        };
        Some((self.subnet_id?, subnet))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct InterfaceDetail {
    #[serde(alias = "networkInterfaceId")]
    network_interface_id: Option<String>,
    #[serde(alias = "subnetId")]
    subnet_id: Option<String>,
    #[serde(alias = "vpcId")]
    vpc_id: Option<String>,
    #[serde(alias = "availabilityZone")]
    availability_zone: Option<String>,
    #[serde(alias = "availabilityZoneId")]
    availability_zone_id: Option<String>,
    #[serde(alias = "privateIpAddress")]
    private_ip_address: Option<String>,
    #[serde(deserialize_with = "objects", alias = "ipv6Addresses")]
    ipv6_addresses: Vec<Ipv6Address>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ipv6Address {
    #[serde(alias = "ipv6Address")]
    ipv6_address: Option<String>,
}

impl InterfaceDetail {
    pub fn into_interface(self) -> Option<(String, NetworkInterface)> {
        let of_ipv6 = self.ipv6_addresses.into_iter().filter_map(|address| address.ipv6_address);
        let addresses = self.private_ip_address.into_iter().chain(of_ipv6);
        let interface = NetworkInterface {
            subnet: self.subnet_id,
            vpc: self.vpc_id,
            zone: self.availability_zone,
            zone_id: self.availability_zone_id,
            addresses: addresses.filter_map(|text| text.parse().ok()).collect(),
        };
        Some((self.network_interface_id?, interface))
    }
}
