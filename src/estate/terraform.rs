//! `terraform show -json` of a state or a plan; OpenTofu writes the same.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::input::{Problem, json_message};
use super::json::{Object, list, object, objects};
use super::model::{DnsEntry, Endpoint, Origin, Service, Subnet};

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Show<'a> {
    #[serde(borrow, deserialize_with = "object")]
    values: Option<Values<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    planned_values: Option<Values<'a>>,
    #[serde(borrow, deserialize_with = "object")]
    prior_state: Option<PriorState<'a>>,
    #[serde(deserialize_with = "objects")]
    resource_changes: Vec<ResourceChange>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PriorState<'a> {
    #[serde(borrow, deserialize_with = "object")]
    values: Option<Values<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Values<'a> {
    #[serde(borrow, deserialize_with = "object")]
    root_module: Option<Module<'a>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Module<'a> {
    #[serde(borrow, deserialize_with = "objects")]
    resources: Vec<Resource<'a>>,
    #[serde(borrow, deserialize_with = "objects")]
    child_modules: Vec<Self>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    address: String,
    mode: Option<String>,
    r#type: Option<String>,
    /// What it means depends on the type, which may follow.
    #[serde(borrow)]
    values: Option<&'a RawValue>,
    tainted: Option<bool>,
    deposed_key: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ResourceChange {
    address: String,
    r#type: Option<String>,
    #[serde(deserialize_with = "object")]
    change: Option<Change>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Change {
    #[serde(deserialize_with = "list")]
    actions: Vec<String>,
}

/// What a state or a plan says about endpoints.
#[derive(Debug, Default)]
pub struct Reading {
    pub endpoints: Vec<Endpoint>,
    pub subnets: Vec<(String, Subnet)>,
    pub services: Vec<(String, Service)>,
    /// Addresses of endpoints that do not exist, or will not for long, and why.
    pub left_out: Vec<(String, String)>,
    associations: Vec<Association>,
    changes: HashMap<String, Vec<String>>,
}

pub fn read(show: Show<'_>) -> Result<Reading, Problem> {
    let mut reading = Reading { changes: changes(show.resource_changes), ..Reading::default() };
    // A plan repeats the state as it was read last: with the names, which a plan cannot know.
    let state = show.values.or_else(|| show.prior_state.and_then(|prior| prior.values));
    let mut is_empty = true;
    for resource in resources(state) {
        is_empty = false;
        reading.resource(&resource, false)?;
    }
    for resource in resources(show.planned_values) {
        is_empty = false;
        reading.resource(&resource, true)?;
    }
    if is_empty {
        return Err(Problem::EmptyState);
    }
    reading.apply_associations();
    Ok(reading)
}

fn changes(changes: Vec<ResourceChange>) -> HashMap<String, Vec<String>> {
    let is_endpoint = |change: &ResourceChange| change.r#type.as_deref() == Some("aws_vpc_endpoint");
    let actions = |change: ResourceChange| (change.address, change.change.unwrap_or_default().actions);
    changes.into_iter().filter(is_endpoint).map(actions).collect()
}

/// Of all modules, in the order of the file.
fn resources(values: Option<Values<'_>>) -> Vec<Resource<'_>> {
    let mut found = Vec::new();
    let mut modules: Vec<Module<'_>> = values.and_then(|values| values.root_module).into_iter().collect();
    while let Some(module) = modules.pop() {
        found.extend(module.resources);
        modules.extend(module.child_modules.into_iter().rev());
    }
    found
}

impl Reading {
    fn resource(&mut self, resource: &Resource<'_>, planned: bool) -> Result<(), Problem> {
        let Some(values) = resource.values else { return Ok(()) };
        match (resource.r#type.as_deref().unwrap_or_default(), planned) {
            ("aws_vpc_endpoint", false) => {
                let values: VpcEndpoint = parse(resource, values)?;
                self.endpoint(resource, values.into_endpoint());
            }
            ("awscc_ec2_vpc_endpoint", false) => {
                let values: CloudControlEndpoint = parse(resource, values)?;
                self.endpoint(resource, values.into_endpoint());
            }
            ("aws_vpc_endpoint" | "awscc_ec2_vpc_endpoint", true) => {
                let Planned { id } = parse(resource, values)?;
                self.planned(resource, id.as_deref());
            }
            ("aws_subnet" | "aws_default_subnet", _) => {
                let values: SubnetValues = parse(resource, values)?;
                self.subnets.extend(values.into_subnet());
            }
            ("aws_vpc_endpoint_service", _) => {
                let values: ServiceValues = parse(resource, values)?;
                self.services.extend(values.into_service());
            }
            (
                "aws_vpc_endpoint_subnet_association"
                | "aws_vpc_endpoint_route_table_association"
                | "aws_vpc_endpoint_private_dns",
                false,
            ) => {
                self.associations.push(parse(resource, values)?);
            }
            _ => {}
        }
        Ok(())
    }

    fn endpoint(&mut self, resource: &Resource<'_>, endpoint: Endpoint) {
        let address = resource.address.clone();
        let changes = self.changes.get(&address).map(Vec::as_slice).unwrap_or_default();
        let will = |action: &str| changes.iter().any(|change| change == action);
        let why = if endpoint.id.is_empty() {
            Some("the state has no id for it; apply, then import again")
        } else if resource.deposed_key.is_some() {
            Some("replaced by another one, and Terraform is going to delete it")
        } else if will("delete") && will("create") {
            Some("the plan replaces it, so its names will change; apply, then import again")
        } else if will("delete") {
            Some("the plan deletes it")
        } else {
            None
        };
        if let Some(why) = why {
            self.left_out.push((address, why.to_owned()));
            return;
        }
        let is_data = resource.mode.as_deref() == Some("data");
        let origin = if is_data { Origin::Data(address) } else { Origin::Managed(address) };
        let mut endpoint = Endpoint { origin, ..endpoint };
        if will("update") {
            endpoint.notes.push("The plan changes it. Import again after it was applied.".to_owned());
        }
        if resource.tainted == Some(true) {
            endpoint.notes.push("It is tainted: Terraform will replace it, and its names change.".to_owned());
        }
        self.endpoints.push(endpoint);
    }

    /// One that exists is in the prior state too.
    fn planned(&mut self, resource: &Resource<'_>, id: Option<&str>) {
        let is_new = id.is_none_or(|id| self.endpoints.iter().all(|endpoint| endpoint.id != id));
        let is_known = self.left_out.iter().any(|(address, _)| *address == resource.address)
            || self.endpoints.iter().any(|endpoint| endpoint.origin.address() == Some(&resource.address));
        if is_new && !is_known {
            let why = "planned, so its names are not known yet; apply, then import again";
            self.left_out.push((resource.address.clone(), why.to_owned()));
        }
    }

    /// These change an endpoint after Terraform read it.
    fn apply_associations(&mut self) {
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, endpoint) in self.endpoints.iter().enumerate() {
            places.entry(endpoint.id.clone()).or_default().push(place);
        }
        for association in std::mem::take(&mut self.associations) {
            let Some(places) = association.vpc_endpoint_id.as_ref().and_then(|id| places.get(id)) else {
                continue;
            };
            for place in places {
                association.apply(&mut self.endpoints[*place]);
            }
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(resource: &Resource<'_>, values: &'a RawValue) -> Result<T, Problem> {
    let Object(values) = serde_json::from_str(values.get())
        .map_err(|error| Problem::Resource(resource.address.clone(), json_message(&error)))?;
    Ok(values)
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Planned {
    id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VpcEndpoint {
    arn: Option<String>,
    #[serde(deserialize_with = "list")]
    cidr_blocks: Vec<String>,
    #[serde(deserialize_with = "objects")]
    dns_entry: Vec<Entry>,
    #[serde(deserialize_with = "objects")]
    dns_options: Vec<DnsOptions>,
    id: Option<String>,
    #[serde(deserialize_with = "list")]
    network_interface_ids: Vec<String>,
    owner_id: Option<String>,
    prefix_list_id: Option<String>,
    private_dns_enabled: Option<bool>,
    region: Option<String>,
    requester_managed: Option<bool>,
    #[serde(deserialize_with = "list")]
    route_table_ids: Vec<String>,
    service_name: Option<String>,
    service_region: Option<String>,
    state: Option<String>,
    #[serde(deserialize_with = "objects")]
    subnet_configuration: Vec<SubnetConfiguration>,
    #[serde(deserialize_with = "list")]
    subnet_ids: Vec<String>,
    vpc_endpoint_type: Option<String>,
    vpc_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    dns_name: Option<String>,
    hosted_zone_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DnsOptions {
    private_dns_only_for_inbound_resolver_endpoint: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SubnetConfiguration {
    ipv4: Option<String>,
    ipv6: Option<String>,
    subnet_id: Option<String>,
}

impl VpcEndpoint {
    fn into_endpoint(self) -> Endpoint {
        let named = |entry: Entry| Some(DnsEntry { name: entry.dns_name?, zone: entry.hosted_zone_id });
        let mut addresses = Vec::new();
        for SubnetConfiguration { ipv4, ipv6, subnet_id } in self.subnet_configuration {
            let Some(subnet) = subnet_id else { continue };
            let ips = [ipv4, ipv6].into_iter().flatten().filter_map(|text| text.parse().ok());
            addresses.extend(ips.map(|ip| (subnet.clone(), ip)));
        }
        // `arn:aws:ec2:eu-west-2:111122223333:vpc-endpoint/..`
        let of_arn = || self.arn.as_deref()?.split(':').nth(3).map(ToOwned::to_owned);
        Endpoint {
            id: self.id.unwrap_or_default(),
            // The provider's default, which old states do not write.
            kind: Some(given(self.vpc_endpoint_type).unwrap_or_else(|| "Gateway".to_owned())),
            vpc: given(self.vpc_id),
            service_name: given(self.service_name),
            service_region: given(self.service_region),
            region: given(self.region.clone()).or_else(of_arn),
            state: given(self.state),
            private_dns: self.private_dns_enabled,
            inbound_only: self
                .dns_options
                .iter()
                .any(|options| options.private_dns_only_for_inbound_resolver_endpoint == Some(true)),
            names: self.dns_entry.into_iter().filter_map(named).collect(),
            subnets: self.subnet_ids,
            interfaces: self.network_interface_ids,
            addresses,
            route_tables: self.route_table_ids,
            prefix_list: given(self.prefix_list_id),
            cidrs: self.cidr_blocks,
            owner: given(self.owner_id),
            requester_managed: self.requester_managed == Some(true),
            ..Endpoint::default()
        }
    }
}

/// Terraform writes an empty string where a value is absent.
fn given(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// `awscc_ec2_vpc_endpoint`, after the schema of CloudFormation.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloudControlEndpoint {
    vpc_endpoint_id: Option<String>,
    id: Option<String>,
    #[serde(deserialize_with = "list")]
    dns_entries: Vec<String>,
    #[serde(deserialize_with = "object")]
    dns_options: Option<CloudControlDnsOptions>,
    private_dns_enabled: Option<bool>,
    #[serde(deserialize_with = "list")]
    route_table_ids: Vec<String>,
    service_name: Option<String>,
    service_region: Option<String>,
    #[serde(deserialize_with = "list")]
    subnet_ids: Vec<String>,
    vpc_endpoint_type: Option<String>,
    vpc_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CloudControlDnsOptions {
    private_dns_only_for_inbound_resolver_endpoint: Option<String>,
}

impl CloudControlEndpoint {
    fn into_endpoint(self) -> Endpoint {
        // `Z0123456789ABC:monitoring.us-east-1.amazonaws.com`
        let named = |entry: &String| {
            let (zone, name) = entry.split_once(':')?;
            Some(DnsEntry { name: name.to_owned(), zone: Some(zone.to_owned()) })
        };
        let inbound = self.dns_options.and_then(|o| o.private_dns_only_for_inbound_resolver_endpoint);
        Endpoint {
            id: given(self.vpc_endpoint_id).or(given(self.id)).unwrap_or_default(),
            kind: Some(given(self.vpc_endpoint_type).unwrap_or_else(|| "Gateway".to_owned())),
            vpc: given(self.vpc_id),
            service_name: given(self.service_name),
            service_region: given(self.service_region),
            private_dns: self.private_dns_enabled,
            inbound_only: inbound.is_some_and(|inbound| inbound.eq_ignore_ascii_case("OnlyInboundResolver")),
            names: self.dns_entries.iter().filter_map(named).collect(),
            subnets: self.subnet_ids,
            route_tables: self.route_table_ids,
            ..Endpoint::default()
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SubnetValues {
    id: Option<String>,
    availability_zone: Option<String>,
    availability_zone_id: Option<String>,
    cidr_block: Option<String>,
    ipv6_cidr_block: Option<String>,
    vpc_id: Option<String>,
}

impl SubnetValues {
    fn into_subnet(self) -> Option<(String, Subnet)> {
        let subnet = Subnet {
            vpc: given(self.vpc_id),
            zone: given(self.availability_zone),
            zone_id: given(self.availability_zone_id),
            cidrs: [self.cidr_block, self.ipv6_cidr_block].into_iter().filter_map(given).collect(),
            is_contradictory: false,
        };
        Some((given(self.id)?, subnet))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ServiceValues {
    service_name: Option<String>,
    service_type: Option<String>,
    private_dns_name: Option<String>,
    #[serde(deserialize_with = "list")]
    private_dns_names: Vec<String>,
}

impl ServiceValues {
    fn into_service(self) -> Option<(String, Service)> {
        if !self.service_type?.eq_ignore_ascii_case("interface") {
            return None;
        }
        let mut private_names = self.private_dns_names;
        if let Some(name) = given(self.private_dns_name)
            && !private_names.contains(&name)
        {
            private_names.insert(0, name);
        }
        Some((given(self.service_name)?, Service { private_names, unverified: false }))
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Association {
    vpc_endpoint_id: Option<String>,
    subnet_id: Option<String>,
    route_table_id: Option<String>,
    private_dns_enabled: Option<bool>,
}

impl Association {
    fn apply(&self, endpoint: &mut Endpoint) {
        let add = |list: &mut Vec<String>, id: &Option<String>| {
            list.extend(id.clone().filter(|id| !list.contains(id)));
        };
        add(&mut endpoint.subnets, &self.subnet_id);
        add(&mut endpoint.route_tables, &self.route_table_id);
        if let Some(enabled) = self.private_dns_enabled
            && endpoint.private_dns != Some(enabled)
        {
            let switched = if enabled { "on" } else { "off" };
            endpoint.notes.push(format!(
                "Terraform switched private DNS {switched} after it read this endpoint. Refresh the state and import again."
            ));
        }
    }
}
