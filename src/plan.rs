//! What will be done: the configuration and the instance's facts brought together.
//! Pure and comparable, so that a reload changes only what really differs.

use std::path::PathBuf;
use std::time::Duration;

use crate::catalogue;
use crate::check::{CheckId, EndpointName, Family, Step};
use crate::config::{CallConfig, Config, EgressConfig, EndpointConfig, HostConfig, ZoneConfig};
use crate::network::{Cidr, Network, Scope, is_region};
use crate::observation::{EgressSettings, EndpointProtocol, Instance, Proof, ZoneRange, own_zone};

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Plan {
    pub region: Option<String>,
    pub network: Network,
    pub items: Vec<Item>,
}

impl Plan {
    /// `instance` is what metadata said last, where it is asked and has answered.
    pub fn new(config: &Config, instance: Option<&Instance>) -> Self {
        // A reload may have turned metadata off.
        let instance = config.instance.as_ref().and(instance);
        let region = config.region.clone().or_else(|| instance?.region.clone());
        let network = Network {
            vpc: instance.map(|instance| instance.vpc_cidrs.clone()).unwrap_or_default(),
            expected: config.expected_cidrs.clone(),
            metadata_off: config.instance.is_none(),
            of_host: Vec::new(),
        };
        let mut items = Vec::new();
        if let Some(instance) = &config.instance {
            items.push(Item::Instance(Timing { interval: instance.interval, timeout: instance.timeout }));
        }
        if config.endpoints.iter().any(|endpoint| endpoint.call.is_some()) {
            let credentials = &config.credentials;
            items.push(Item::Credentials(Timing {
                interval: credentials.interval,
                timeout: credentials.timeout,
            }));
        }
        let endpoints = config.endpoints.iter().map(|of_endpoint| Endpoint {
            ca_file: config.ca_file.clone(),
            ..endpoint(of_endpoint, region.as_deref(), &network, instance)
        });
        items.extend(endpoints.map(Item::Endpoint));
        if let Some(config) = &config.egress {
            let expected_families = instance.map(expected_families).unwrap_or_default();
            items.push(Item::Egress(egress(config, &network, expected_families)));
        }
        Self { region, network, items }
    }

    /// Every check with its interval, in the order of the report.
    #[cfg(test)]
    pub fn checks(&self) -> Vec<(CheckId, Duration)> {
        let mut checks: Vec<(CheckId, Duration)> = self.items.iter().flat_map(Item::checks).collect();
        checks.sort();
        checks
    }
}

fn endpoint(
    config: &EndpointConfig,
    region: Option<&str>,
    network: &Network,
    instance: Option<&Instance>,
) -> Endpoint {
    let zones = ZoneNames::of(&config.zones, instance);
    let host = match &config.host {
        HostConfig::Given(host) => Some(host.clone()),
        HostConfig::OfService(service) => region.and_then(|region| catalogue::host_of(service, region)),
    };
    let control_host = host.as_deref().filter(|_| config.gateway);
    let control_host = control_host.and_then(|host| control_host_of(host, config.control_region.as_deref()));
    let call = config.call.as_ref().map(|CallConfig { namespace, proof, interval }| Call {
        region: region.map(ToOwned::to_owned),
        namespace: namespace.clone(),
        proof: *proof,
        interval: *interval,
    });
    let mut network = network.clone();
    network.expected.extend(&config.expected_cidrs);
    if host.as_deref().is_some_and(is_of_lattice) {
        network.expected.extend(Cidr::LATTICE);
    }
    Endpoint {
        name: config.name.clone(),
        host,
        port: config.port,
        own_names: config.vpce_hosts.iter().map(|host| zones.own_name(host)).collect(),
        zones: zones.ranges(),
        gateway: config.gateway,
        control_host,
        protocol: config.protocol,
        require_agreement: config.require_agreement,
        call,
        network,
        ca_file: None,
        timing: Timing { interval: config.interval, timeout: config.timeout },
    }
}

/// `service-id.partition-id.vpc-lattice-svcs.us-east-1.on.aws`, which VPC Lattice gives its services.
/// A name of the customer's own needs the ranges in `expected_cidrs`.
fn is_of_lattice(host: &str) -> bool {
    host.split('.').any(|label| label == "vpc-lattice-svcs") && catalogue::partition::is_aws(host)
}

/// The same name in another region. A name without a region has none. A `control_region` that
/// cannot be one is refused where the configuration tells the region; here metadata has told it.
fn control_host_of(host: &str, control_region: Option<&str>) -> Option<String> {
    let own = host.split('.').find(|label| is_region(label))?;
    let configured = control_region.filter(|other| catalogue::is_other_region(own, other));
    let other = configured.or_else(|| catalogue::other_region(own))?;
    Some(host.split('.').map(|label| if label == own { other } else { label }).collect::<Vec<_>>().join("."))
}

/// The zones of an endpoint, named as in the instance's account: the names in the configuration and
/// in DNS are those of the account that owns the endpoint.
struct ZoneNames<'a> {
    zones: &'a [ZoneConfig],
    /// The instance's own zone, name and id.
    here: Option<(&'a str, &'a str)>,
    /// Whether a name means the same zone in both accounts, as far as the ids show.
    is_common: bool,
}

impl<'a> ZoneNames<'a> {
    fn of(zones: &'a [ZoneConfig], instance: Option<&'a Instance>) -> Self {
        let here = instance.and_then(|own| own.zone.as_deref().zip(own.zone_id.as_deref()));
        let agrees = |zone: &ZoneConfig| match (here, zone.id.as_deref()) {
            (Some((name, own)), Some(id)) => (zone.name == name) == (id == own),
            _ => true,
        };
        Self { zones, here, is_common: zones.iter().all(agrees) }
    }

    fn shown(&self, zone: &'a ZoneConfig) -> &'a str {
        match (self.here, zone.id.as_deref()) {
            (Some((name, own)), Some(id)) if id == own => name,
            (_, Some(id)) if !self.is_common => id,
            _ => &zone.name,
        }
    }

    fn own_name(&self, host: &str) -> (String, Option<String>) {
        let zone = own_zone(host).map(|name| {
            let configured = self.zones.iter().find(|zone| zone.name == name);
            configured.map_or(name, |zone| self.shown(zone)).to_owned()
        });
        (host.to_owned(), zone)
    }

    fn ranges(&self) -> Vec<ZoneRange> {
        let range = |zone: &'a ZoneConfig| ZoneRange {
            zone: self.shown(zone).to_owned(),
            id: zone.id.clone(),
            cidrs: zone.cidrs.clone(),
        };
        self.zones.iter().map(range).collect()
    }
}

fn egress(config: &EgressConfig, network: &Network, expected_families: Vec<Family>) -> Egress {
    Egress {
        settings: config.settings.clone(),
        accept_reject: config.accept_reject,
        interval: config.interval,
        network: network.clone(),
        expected_families,
    }
}

/// Any IPv4 address will do, since NAT needs no public one; there is no NAT for a local IPv6 address.
fn expected_families(instance: &Instance) -> Vec<Family> {
    let has = |family: Family| {
        instance.addresses.iter().any(|ip| {
            let reaches_out = ip.is_ipv4() || Network::default().scope(*ip) == Scope::Public;
            Family::of(*ip) == family && reaches_out
        })
    };
    Family::BOTH.into_iter().filter(|family| has(*family)).collect()
}

/// What has a schedule of its own.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Item {
    Instance(Timing),
    Credentials(Timing),
    Endpoint(Endpoint),
    Egress(Egress),
}

impl Item {
    /// The longest that one of its steps takes.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Instance(timing) | Self::Credentials(timing) => timing.timeout,
            Self::Endpoint(endpoint) => endpoint.timing.timeout,
            Self::Egress(egress) => egress.settings.window,
        }
    }

    pub fn checks(&self) -> Vec<(CheckId, Duration)> {
        match self {
            Self::Instance(timing) => vec![(CheckId::Instance, timing.interval)],
            Self::Credentials(timing) => vec![(CheckId::Credentials, timing.interval)],
            Self::Endpoint(endpoint) => endpoint.checks(),
            Self::Egress(egress) => {
                let families = egress.settings.families.iter();
                families.map(|family| (CheckId::Egress(*family), egress.interval)).collect()
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    pub interval: Duration,
    pub timeout: Duration,
}

/// An endpoint's three checks, which share one attempt.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Endpoint {
    pub name: EndpointName,
    /// `None` while the region that the name needs is not known.
    pub host: Option<String>,
    pub port: u16,
    /// The endpoint's own DNS names, each with the zone that it stands for.
    pub own_names: Vec<(String, Option<String>)>,
    /// Where the configuration says that its subnets are.
    pub zones: Vec<ZoneRange>,
    pub gateway: bool,
    /// The service in another region, where this one is a gateway.
    pub control_host: Option<String>,
    pub protocol: EndpointProtocol,
    pub require_agreement: bool,
    pub call: Option<Call>,
    /// What addresses are judged by: part of the item, so that a new CIDR is a new item.
    pub network: Network,
    /// What certificates are verified by, for the same reason.
    pub ca_file: Option<PathBuf>,
    pub timing: Timing,
}

impl Endpoint {
    fn checks(&self) -> Vec<(CheckId, Duration)> {
        let check = |step, interval| (CheckId::Endpoint(self.name.clone(), step), interval);
        let mut checks =
            vec![check(Step::Dns, self.timing.interval), check(Step::Connect, self.timing.interval)];
        checks.extend(self.call.as_ref().map(|call| check(Step::Call, call.interval)));
        checks
    }
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// What the request is signed for. `None` while it is not known; the check still counts as not done.
    pub region: Option<String>,
    pub namespace: String,
    pub proof: Option<Proof>,
    pub interval: Duration,
}

/// Both families: they share sockets and the waiting window.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Egress {
    pub settings: EgressSettings,
    pub accept_reject: bool,
    pub interval: Duration,
    pub network: Network,
    /// The families of which metadata says that the instance has an address.
    pub expected_families: Vec<Family>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance() -> Instance {
        Instance {
            region: Some("us-east-1".into()),
            vpc_cidrs: vec!["10.0.0.0/16".parse().unwrap()],
            addresses: vec!["10.0.1.5".parse().unwrap()],
            ..Instance::default()
        }
    }

    fn config(source: &str) -> Config {
        Config::parse(source, "test.toml").unwrap_or_else(|error| panic!("{error}"))
    }

    fn timing(interval: u64, timeout: u64) -> Timing {
        Timing { interval: Duration::from_secs(interval), timeout: Duration::from_secs(timeout) }
    }

    #[test]
    fn names_of_vpc_lattice_may_be_in_its_ranges() {
        let expected = |host: &str| {
            let config = config(&format!("[[endpoint]]\nhost = {host:?}"));
            let plan = Plan::new(&config, Some(&instance()));
            plan.items.iter().find_map(|item| match item {
                Item::Endpoint(endpoint) => Some(endpoint.network.expected.clone()),
                _ => None,
            })
        };
        let lattice = "parking-0123456789abcdef0.7d67968.vpc-lattice-svcs.us-east-1.on.aws";
        assert_eq!(expected(lattice), Some(Cidr::LATTICE.to_vec()));
        for other in ["vpc-lattice.us-east-1.amazonaws.com", "vpc-lattice-svcs.us-east-1.on.aws.example"] {
            assert_eq!(expected(other), Some(vec![]), "{other}");
        }
    }

    #[test]
    fn zones_are_named_as_in_the_account_of_the_instance() {
        let here =
            Instance { zone: Some("us-east-1a".into()), zone_id: Some("use1-az1".into()), ..instance() };
        let shown = |zones: &str, instance: &Instance| {
            let own = "vpce_hosts = ['vpce-0a-b-us-east-1a.x.us-east-1.vpce.amazonaws.com', 'vpce-0a-b-us-east-1b.x.us-east-1.vpce.amazonaws.com']";
            let config = config(&format!("[[endpoint]]\nservice = 'kms'\n{own}\nzones = [{zones}]"));
            let plan = Plan::new(&config, Some(instance));
            let endpoint = plan.items.into_iter().find_map(|item| match item {
                Item::Endpoint(endpoint) => Some(endpoint),
                _ => None,
            });
            let Endpoint { own_names, zones, .. } = endpoint.unwrap();
            let names = own_names.into_iter().filter_map(|(_, zone)| zone).collect::<Vec<_>>().join(" ");
            let ranges = zones.into_iter().map(|range| range.zone).collect::<Vec<_>>().join(" ");
            format!("{names}, {ranges}")
        };
        let a = "{ name = 'us-east-1a', id = 'use1-az1', cidrs = ['10.0.1.0/24'] }";
        let b = "{ name = 'us-east-1b', id = 'use1-az2', cidrs = ['10.0.2.0/24'] }";
        assert_eq!(shown(&format!("{a}, {b}"), &here), "us-east-1a us-east-1b, us-east-1a us-east-1b");
        assert_eq!(shown(&format!("{a}, {b}"), &instance()), "us-east-1a us-east-1b, us-east-1a us-east-1b");
        assert_eq!(shown("", &here), "us-east-1a us-east-1b, ");
        // In the account of a hub VPC the names are the other way around.
        let (a, b) = (a.replace("az1", "az2"), b.replace("az2", "az1"));
        assert_eq!(shown(&format!("{a}, {b}"), &here), "use1-az2 us-east-1a, use1-az2 us-east-1a");
    }

    /// What an instance does with no configuration at all.
    fn usual() -> Plan {
        let network = Network { vpc: instance().vpc_cidrs, ..Network::default() };
        let endpoint = Endpoint {
            name: "monitoring".into(),
            host: Some("monitoring.us-east-1.amazonaws.com".into()),
            port: 443,
            own_names: vec![],
            zones: vec![],
            gateway: false,
            control_host: None,
            protocol: EndpointProtocol::Https,
            require_agreement: false,
            call: Some(Call {
                region: Some("us-east-1".into()),
                namespace: "AWS/EC2".into(),
                proof: None,
                interval: Duration::from_mins(5),
            }),
            network: network.clone(),
            ca_file: None,
            timing: timing(30, 3),
        };
        let egress = Egress {
            settings: EgressConfig::default().settings,
            accept_reject: false,
            interval: Duration::from_mins(1),
            network: network.clone(),
            expected_families: vec![Family::Ipv4],
        };
        Plan {
            region: Some("us-east-1".into()),
            network,
            items: vec![
                Item::Instance(timing(60, 2)),
                Item::Credentials(timing(60, 3)),
                Item::Endpoint(endpoint),
                Item::Egress(egress),
            ],
        }
    }

    fn map_ladders(plan: &mut Plan, change: impl Fn(&mut Endpoint)) {
        for item in &mut plan.items {
            match item {
                Item::Endpoint(endpoint) => change(endpoint),
                Item::Instance(_) | Item::Credentials(_) | Item::Egress(_) => {}
            }
        }
    }

    fn promises(addresses: &[&str]) -> Vec<Family> {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        expected_families(&Instance { addresses, ..Instance::default() })
    }

    fn checks(source: &str) -> Vec<(String, u64)> {
        let plan = Plan::new(&config(source), Some(&instance()));
        plan.checks().iter().map(|(id, interval)| (id.to_string(), interval.as_secs())).collect()
    }

    #[test]
    fn no_configuration_plans_what_the_guide_does_by_hand() {
        assert_eq!(Plan::new(&Config::default(), Some(&instance())), usual());
    }

    #[test]
    fn without_metadata_every_check_is_still_owed() {
        let mut expected = Plan { region: None, network: Network::default(), ..usual() };
        map_ladders(&mut expected, |endpoint| {
            endpoint.host = None;
            endpoint.network = Network::default();
            endpoint.call.as_mut().unwrap().region = None;
        });
        let Some(Item::Egress(egress)) = expected.items.last_mut() else { panic!("egress is last") };
        egress.network = Network::default();
        egress.expected_families = vec![];
        let plan = Plan::new(&Config::default(), None);
        assert_eq!(plan, expected);
        assert_eq!(plan.checks(), usual().checks());
    }

    #[test]
    fn without_metadata_the_configuration_alone_counts() {
        let config = config(
            r#"
            region = "cn-north-1"
            expected_cidrs = ["10.50.0.0/16"]
            interval = "20s"
            instance = { metadata = false }
            egress = { enabled = false }
            [[endpoint]]
            service = "ecr.api"
            timeout = "1s"
            [[endpoint]]
            service = "s3"
            type = "gateway"
            [[endpoint]]
            host = "api.partner.example"
            port = 8443
            require_agreement = true
            call = "list-metrics"
            namespace = "Partner"
            expected_cidrs = ["10.60.0.0/16"]
            "#,
        );
        let expected = vec!["10.50.0.0/16".parse().unwrap()];
        let network = Network { expected, metadata_off: true, ..Network::default() };
        let endpoint = |name: &str, host: &str| Endpoint {
            name: name.into(),
            host: Some(host.into()),
            port: 443,
            own_names: vec![],
            zones: vec![],
            gateway: false,
            control_host: None,
            protocol: EndpointProtocol::Https,
            require_agreement: false,
            call: None,
            network: network.clone(),
            ca_file: None,
            timing: timing(20, 3),
        };
        let partner = Call {
            region: Some("cn-north-1".into()),
            namespace: "Partner".into(),
            proof: None,
            interval: Duration::from_mins(5),
        };
        let items = vec![
            Item::Credentials(timing(60, 3)),
            Item::Endpoint(Endpoint {
                timing: timing(20, 1),
                ..endpoint("ecr.api", "api.ecr.cn-north-1.amazonaws.com.cn")
            }),
            Item::Endpoint(Endpoint {
                gateway: true,
                control_host: Some("s3.cn-northwest-1.amazonaws.com.cn".into()),
                ..endpoint("s3", "s3.cn-north-1.amazonaws.com.cn")
            }),
            Item::Endpoint(Endpoint {
                port: 8443,
                require_agreement: true,
                call: Some(partner),
                network: Network {
                    expected: vec!["10.50.0.0/16".parse().unwrap(), "10.60.0.0/16".parse().unwrap()],
                    ..network.clone()
                },
                ..endpoint("api.partner.example", "api.partner.example")
            }),
        ];
        let region = Some("cn-north-1".into());
        assert_eq!(Plan::new(&config, Some(&instance())), Plan { region, network: network.clone(), items });
    }

    #[test]
    fn what_certificates_are_verified_by_is_part_of_an_endpoint() {
        let endpoints = |source: &str| {
            let plan = Plan::new(&config(source), Some(&instance()));
            plan.items.into_iter().filter(|item| matches!(item, Item::Endpoint(_))).collect::<Vec<_>>()
        };
        assert_eq!(endpoints("ca_file = '/a.pem'"), endpoints("ca_file = '/a.pem'\ninterval = '30s'"));
        assert_ne!(endpoints("ca_file = '/a.pem'"), endpoints("ca_file = '/b.pem'"));
        assert_ne!(endpoints("ca_file = '/a.pem'"), endpoints(""));
    }

    #[test]
    fn checks_come_in_the_order_of_the_report_with_their_own_intervals() {
        let usual = [
            ("instance", 60),
            ("credentials", 60),
            ("monitoring/dns", 30),
            ("monitoring/connect", 30),
            ("monitoring/call", 300),
            ("egress/ipv4", 60),
            ("egress/ipv6", 60),
        ];
        assert_eq!(checks(""), usual.map(|(id, interval)| (id.to_owned(), interval)));
        let source = "egress.interval = '90s'\n[[endpoint]]\nservice = 'ssm'\n[[endpoint]]\nservice = 'kms'\ninterval = '10m'";
        let others = [
            ("instance", 60),
            ("kms/dns", 600),
            ("kms/connect", 600),
            ("ssm/dns", 30),
            ("ssm/connect", 30),
            ("egress/ipv4", 90),
            ("egress/ipv6", 90),
        ];
        assert_eq!(checks(source), others.map(|(id, interval)| (id.to_owned(), interval)));
    }

    #[test]
    fn a_family_is_promised_by_an_address_that_could_reach_out() {
        assert_eq!(promises(&[]), []);
        assert_eq!(promises(&["10.0.1.5"]), [Family::Ipv4]);
        assert_eq!(promises(&["2001:db8::5", "10.0.1.5"]), [Family::Ipv4, Family::Ipv6]);
        assert_eq!(promises(&["fe80::1", "fd00::1", "::1"]), []);
    }

    #[test]
    fn the_control_of_a_gateway_is_the_same_name_in_another_region() {
        for (host, control_region, control) in [
            ("s3.us-east-1.amazonaws.com", None, Some("s3.us-west-2.amazonaws.com")),
            ("s3.us-west-2.amazonaws.com", None, Some("s3.us-east-1.amazonaws.com")),
            ("s3.eu-central-1.amazonaws.com", Some("eu-west-1"), Some("s3.eu-west-1.amazonaws.com")),
            ("1234.ddb.eu-central-1.amazonaws.com", None, Some("1234.ddb.us-west-2.amazonaws.com")),
            ("s3.us-gov-west-1.amazonaws.com", None, Some("s3.us-gov-east-1.amazonaws.com")),
            ("s3.us-east-1.amazonaws.com", Some("us-east-1"), Some("s3.us-west-2.amazonaws.com")),
            ("s3.us-east-1.amazonaws.com", Some("cn-north-1"), Some("s3.us-west-2.amazonaws.com")),
            ("s3.eusc-de-east-1.amazonaws.eu", None, None),
            ("s3.amazonaws.com", None, None),
        ] {
            assert_eq!(control_host_of(host, control_region).as_deref(), control, "{host}");
        }
    }
}
