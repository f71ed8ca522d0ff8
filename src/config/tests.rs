//! Whole files: what is shown for a bad one, what comes of a good one, and the sample that ships.

use super::table::Keys;
use super::*;
use crate::check::Family;
use crate::observation::{EndpointProtocol, OwnTarget, Protocol, TargetHost};
use crate::report::fixture;

fn parse(source: &str) -> Config {
    Config::parse(source, "x.toml").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(source: &str) -> String {
    match Config::parse(source, "x.toml") {
        Ok(config) => panic!("{source}\nwas accepted as {config:?}"),
        Err(error) => error.to_string(),
    }
}
/// Files and what is shown for them, apart by `====`, the two by `----`.
const MISTAKES: &str = include_str!("golden/mistakes.txt");

#[test]
fn every_mistake_of_a_file_is_shown_with_its_place() {
    let blocks: Vec<String> = MISTAKES
        .split("====\n")
        .map(|block| {
            let (source, _) = block.split_once("\n----\n").unwrap();
            format!("{source}\n----\n{}\n", refusal(source))
        })
        .collect();
    fixture::golden("src/config/golden/mistakes.txt", &blocks.join("====\n"));
}

#[test]
fn a_byte_order_mark_is_no_column() {
    let shown = "x.toml:1:12: interval must be a string such as \"30s\", not an integer\n  interval = 3";
    assert_eq!(refusal("\u{feff}interval = 3"), shown);
}

const SAMPLE: &str = include_str!("../../packaging/linkproof.toml");

/// In the sample a `#` without a space hides a key, one with a space begins a remark.
fn uncommented() -> String {
    let uncomment = |line: &str| match line.strip_prefix('#') {
        Some(key) if !key.starts_with(' ') => format!("{key}\n"),
        Some(_) | None => format!("{line}\n"),
    };
    SAMPLE.lines().map(uncomment).collect()
}

#[test]
fn no_file_and_an_empty_file_and_the_sample_are_the_defaults() {
    assert_eq!(parse(""), Config::default());
    assert_eq!(parse("\u{feff}# nothing\n"), Config::default());
    assert_eq!(parse(SAMPLE), Config::default());
}

#[test]
fn the_sample_shows_the_defaults_and_examples_of_what_has_none() {
    let mut config = parse(&uncommented());
    assert_eq!(config.region.take().as_deref(), Some("us-east-1"));
    assert_eq!(config.ca_file.take(), Some(PathBuf::from("/etc/pki/corp.pem")));
    assert_eq!(config.web.config_file.take(), Some(PathBuf::from("/etc/linkproof/web.yml")));
    assert_eq!(config.web.textfile.take(), Some(PathBuf::from("/run/linkproof/linkproof.prom")));
    assert_eq!(std::mem::take(&mut config.expected_cidrs), ["10.50.0.0/16".parse().unwrap()]);
    let call = config.endpoints[0].call.as_mut().unwrap();
    assert_eq!(call.proof.take(), Some(Proof::SourceVpce));
    let examples = config.endpoints.split_off(1);
    let examples: Vec<&str> = examples.iter().map(|endpoint| endpoint.name.as_str()).collect();
    let ecr_by_its_other_name = "123456789012.dkr-ecr.us-east-1.on.aws";
    assert_eq!(examples, ["ecr.dkr", ecr_by_its_other_name, "s3", "partner-db"]);
    let egress = &mut config.egress.as_mut().unwrap().settings;
    let sources = ["10.0.0.0/16", "2001:db8:1234::/56"].map(|range| range.parse().unwrap());
    assert_eq!(std::mem::take(&mut egress.sources), sources);
    let [target] = &std::mem::take(&mut egress.own_targets)[..] else { panic!("one target") };
    assert_eq!(target.tcp_ports, [8443, 22]);
    assert_eq!(config, Config::default());
}

#[test]
fn the_sample_shows_every_key() {
    let mut shown: Vec<(String, String)> = Vec::new();
    let mut table = file::KEYS.table.to_owned();
    for line in uncommented().lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with('[') {
            let path = line.trim_matches(['[', ']']);
            let (parent, key) = match path.split_once('.') {
                Some((parent, key)) => (format!("[{parent}]"), key),
                None => (file::KEYS.table.to_owned(), path),
            };
            shown.push((parent, key.to_owned()));
            line.clone_into(&mut table);
        } else if let Some((key, _)) = line.split_once(" = ") {
            shown.push((table.clone(), key.to_owned()));
        }
    }
    shown.sort();
    shown.dedup();
    let tables: [&Keys; 8] = [
        &file::KEYS,
        &file::INSTANCE_KEYS,
        &file::CREDENTIALS_KEYS,
        &file::LOG_KEYS,
        &file::WEB_KEYS,
        &egress::KEYS,
        &egress::TARGET_KEYS,
        &endpoint::KEYS,
    ];
    let keys = |keys: &'static Keys| keys.known.iter().map(|key| (keys.table.to_owned(), (*key).to_owned()));
    let mut known: Vec<(String, String)> = tables.into_iter().flat_map(keys).collect();
    known.sort();
    assert_eq!(shown, known);
}

fn endpoint(name: &str, host: HostConfig) -> EndpointConfig {
    let default = defaults::monitoring(defaults::INTERVAL, defaults::TIMEOUT);
    EndpointConfig { name: name.into(), host, call: None, ..default }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one whole value, compared")]
fn every_key_reaches_the_configuration() {
    let config = parse(
        r#"
        region = "eu-central-1"
        interval = "20s"
        timeout = "1500ms"
        ca_file = "/etc/pki/corp.pem"
        expected_cidrs = ["10.50.0.0/16", "2001:db8::/56"]

        [[endpoint]]
        service = "monitoring"
        host = "Monitoring.Partner.Example."
        port = 8443
        call = "list-metrics"
        namespace = "My App/Web"
        proof = "aws:SourceVpc"
        call_interval = "1h"
        interval = "45s"
        timeout = "4s"
        require_agreement = true

        [[endpoint]]
        service = "s3"
        type = "gateway"
        control_region = "eu-west-1"

        [[endpoint]]
        service = "cassandra"
        hosts = ["Cassandra.eu-central-1.amazonaws.com", "cassandra.eu-central-1.api.aws"]
        vpce_hosts = ["vpce-0a-1.cassandra.eu-central-1.vpce.amazonaws.com", "vpce-0a-1-eu-central-1a.cassandra.eu-central-1.vpce.amazonaws.com."]
        zones = [
            { name = "eu-central-1a", id = "euc1-az2", cidrs = ["10.0.1.0/24", "2001:db8:0:1::/64"] },
            { name = "eu-central-1b", id = "euc1-az3", cidrs = ["10.0.2.113/32"] },
        ]
        name = "keyspaces.blue-1"
        protocol = "tls"
        port = 9142
        expected_cidrs = ["10.60.0.0/16"]

        [egress]
        families = ["ipv4"]
        protocols = ["icmp", "tcp"]
        hosts = []
        addresses = ["1.0.0.1", "8.8.4.4"]
        tcp_ports = [0x1bb]
        sources = ["10.0.1.0/24", "10.0.3.23"]
        decoys = false
        other_routes = false
        accept_reject = true
        window = "2s"
        interval = "5m"

        [[egress.target]]
        host = "Probe.Partner.Example."
        tcp_ports = [8443, 22]

        [[egress.target]]
        host = "1.1.1.1"
        icmp = true
        udp_ports = [500]

        [instance]
        interval = "2m"
        timeout = "1s"

        [credentials]
        interval = "3m"
        timeout = "5s"

        [log]
        level = "warn"
        format = "json"
        [web]
        listen = ["127.0.0.1:9999", "[::]:9998"]
        config_file = "/etc/linkproof/web.yml"
        open_health = true
        textfile = "/run/linkproof/linkproof.prom"
        "#,
    );
    let seconds = Duration::from_secs;
    let monitoring = EndpointConfig {
        port: 8443,
        call: Some(CallConfig {
            namespace: "My App/Web".into(),
            proof: Some(Proof::SourceVpc),
            interval: seconds(3600),
        }),
        interval: seconds(45),
        timeout: seconds(4),
        require_agreement: true,
        ..endpoint("monitoring", HostConfig::Given("monitoring.partner.example".into()))
    };
    let s3 = EndpointConfig {
        gateway: true,
        control_region: Some("eu-west-1".into()),
        interval: seconds(20),
        timeout: Duration::from_millis(1500),
        ..endpoint("s3", HostConfig::OfService("s3".into()))
    };
    let cassandra = |name: &str, host: &str| EndpointConfig {
        vpce_hosts: vec![
            "vpce-0a-1.cassandra.eu-central-1.vpce.amazonaws.com".into(),
            "vpce-0a-1-eu-central-1a.cassandra.eu-central-1.vpce.amazonaws.com".into(),
        ],
        zones: vec![
            ZoneConfig {
                name: "eu-central-1a".into(),
                id: Some("euc1-az2".into()),
                cidrs: ["10.0.1.0/24", "2001:db8:0:1::/64"].map(|cidr| cidr.parse().unwrap()).to_vec(),
            },
            ZoneConfig {
                name: "eu-central-1b".into(),
                id: Some("euc1-az3".into()),
                cidrs: vec!["10.0.2.113/32".parse().unwrap()],
            },
        ],
        protocol: EndpointProtocol::Tls,
        port: 9142,
        expected_cidrs: vec!["10.60.0.0/16".parse().unwrap()],
        interval: seconds(20),
        timeout: Duration::from_millis(1500),
        ..endpoint(name, HostConfig::Given(host.into()))
    };
    let cassandra = [
        cassandra("keyspaces.blue-1", "cassandra.eu-central-1.amazonaws.com"),
        cassandra("cassandra.eu-central-1.api.aws", "cassandra.eu-central-1.api.aws"),
    ];
    let expected = Config {
        region: Some("eu-central-1".into()),
        ca_file: Some("/etc/pki/corp.pem".into()),
        expected_cidrs: vec!["10.50.0.0/16".parse().unwrap(), "2001:db8::/56".parse().unwrap()],
        endpoints: [monitoring, s3].into_iter().chain(cassandra).collect(),
        egress: Some(EgressConfig {
            settings: EgressSettings {
                families: vec![Family::Ipv4],
                protocols: vec![Protocol::Icmp, Protocol::Tcp],
                hosts: vec![],
                addresses: ["1.0.0.1", "8.8.4.4"].map(|ip| ip.parse().unwrap()).to_vec(),
                time_servers: defaults::EGRESS_TIME_SERVERS.to_vec(),
                tcp_ports: vec![443],
                udp_ports: defaults::EGRESS_UDP_PORTS.to_vec(),
                own_targets: vec![
                    OwnTarget {
                        host: TargetHost::Name("probe.partner.example".into()),
                        icmp: false,
                        tcp_ports: vec![8443, 22],
                        udp_ports: vec![],
                    },
                    OwnTarget {
                        host: TargetHost::Address("1.1.1.1".parse().unwrap()),
                        icmp: true,
                        tcp_ports: vec![],
                        udp_ports: vec![500],
                    },
                ],
                sources: ["10.0.1.0/24", "10.0.3.23/32"].map(|range| range.parse().unwrap()).to_vec(),
                decoys: false,
                other_routes: false,
                window: seconds(2),
            },
            accept_reject: true,
            interval: seconds(300),
        }),
        instance: Some(InstanceConfig { interval: seconds(120), timeout: seconds(1) }),
        credentials: CredentialsConfig { interval: seconds(180), timeout: seconds(5) },
        log: LogConfig { level: LogLevel::Warn, format: LogFormat::Json },
        web: WebConfig {
            listen: ["127.0.0.1:9999", "[::]:9998"].map(|address| address.parse().unwrap()).to_vec(),
            config_file: Some("/etc/linkproof/web.yml".into()),
            open_health: true,
            textfile: Some("/run/linkproof/linkproof.prom".into()),
        },
    };
    assert_eq!(config, expected);
}

#[test]
fn what_is_turned_off_is_gone() {
    let config = parse("region = 'us-east-1'\negress.enabled = false\ninstance.metadata = false");
    let expected =
        Config { region: Some("us-east-1".into()), egress: None, instance: None, ..Config::default() };
    assert_eq!(config, expected);
    assert_eq!(parse("endpoint = []").endpoints, []);
}

#[test]
fn the_pace_of_the_top_is_that_of_every_endpoint_and_a_call_never_comes_more_often() {
    let config = parse("interval = '10m'\ntimeout = '10s'");
    assert_eq!(config.endpoints, [defaults::monitoring(Duration::from_mins(10), Duration::from_secs(10))]);
    assert_eq!(config.endpoints[0].call.as_ref().unwrap().interval, Duration::from_mins(10));
    assert_eq!(config.egress, Config::default().egress);
    let written = parse("interval = '10m'\n[[endpoint]]\nservice = 'monitoring'\ncall = 'list-metrics'");
    assert_eq!(written.endpoints[0].call, config.endpoints[0].call);
    let as_often =
        parse("[[endpoint]]\nservice = 'monitoring'\ncall = 'list-metrics'\ncall_interval = '30s'");
    assert_eq!(as_often.endpoints[0].call.as_ref().unwrap().interval, as_often.endpoints[0].interval);
}

#[test]
fn a_service_that_nobody_knows_is_known_by_its_host_and_may_be_called() {
    let source = "[[endpoint]]\nservice = 'com.amazonaws.vpce.us-east-1.vpce-svc-0a1b'\nhost = 'api.partner.example'\ncall = 'list-metrics'";
    let expected = endpoint(
        "com.amazonaws.vpce.us-east-1.vpce-svc-0a1b",
        HostConfig::Given("api.partner.example".into()),
    );
    let call =
        Some(CallConfig { namespace: "AWS/EC2".into(), proof: None, interval: Duration::from_mins(5) });
    assert_eq!(parse(source).endpoints, [EndpointConfig { call, ..expected }]);
}

#[test]
fn a_service_has_its_own_port_where_it_speaks_its_own_protocol() {
    for (protocol, port) in [("", 9142), ("protocol = 'https'", 443)] {
        let config = parse(&format!("[[endpoint]]\nservice = 'cassandra'\n{protocol}"));
        assert_eq!(config.endpoints[0].port, port, "{protocol}");
    }
}

#[test]
fn two_hundred_endpoints_are_the_most() {
    let file = |count: usize| -> String {
        (0..count).map(|n| format!("[[endpoint]]\nhost = 'h{n}.partner.example'\n")).collect()
    };
    assert_eq!(parse(&file(200)).endpoints.len(), 200);
    let expected = "x.toml:1:1: endpoint has 201 entries; at most 200 are allowed\n  [[endpoint]]";
    assert_eq!(refusal(&file(201)), expected);
}

#[test]
fn every_name_of_an_endpoint_counts_and_only_the_first_is_called() {
    let file = |hosts: usize| -> String {
        let hosts: Vec<String> = (0..hosts).map(|n| format!("'h{n}.partner.example'")).collect();
        let of_each = hosts.chunks(20).map(|hosts| format!("[[endpoint]]\nhosts = [{}]\n", hosts.join(", ")));
        of_each.collect()
    };
    assert_eq!(parse(&file(200)).endpoints.len(), 200);
    let expected =
        "x.toml:21:1: too many names to check; all endpoints together may have 200\n  [[endpoint]]";
    assert_eq!(refusal(&file(202)), expected);
    let config = parse(
        "[[endpoint]]\nservice = 'monitoring'\nhosts = ['a.example', 'b.example']\ncall = 'list-metrics'",
    );
    let [first, second] = config.endpoints.as_slice() else { panic!("{config:?}") };
    assert_eq!((first.name.as_str(), second.name.as_str()), ("monitoring", "b.example"));
    assert!(first.call.is_some() && second.call.is_none());
}

#[test]
fn a_file_that_is_not_there_or_no_text_is_named() {
    let directory = std::env::temp_dir().join(format!("linkproof-config-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let load = |name: &str| Config::load(&directory.join(name)).unwrap_err();
    let missing = load("missing.toml");
    assert!(missing.is_missing());
    let path = directory.display();
    assert_eq!(
        missing.to_string(),
        format!("cannot read {path}/missing.toml: No such file or directory (os error 2)")
    );
    std::fs::write(directory.join("latin1.toml"), b"region = 'us-east-1'\n# gr\xfc\xdfe\n").unwrap();
    let latin1 = load("latin1.toml");
    assert!(!latin1.is_missing());
    assert_eq!(
        latin1.to_string(),
        format!("{path}/latin1.toml:2:5: this is not UTF-8\n  # gr\u{fffd}\u{fffd}e")
    );
    std::fs::write(directory.join("long.toml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert_eq!(load("long.toml").to_string(), format!("cannot read {path}/long.toml: larger than 1 MiB"));
    std::fs::write(directory.join("good.toml"), SAMPLE).unwrap();
    assert_eq!(Config::load(&directory.join("good.toml")).unwrap(), Config::default());
    std::fs::remove_dir_all(&directory).unwrap();
}

proptest::proptest! {
    /// Any cut and any byte written into a file: no panic, and each error has a place.
    #[test]
    fn a_refusal_always_says_where(from in 0_usize..3000, length in 0_usize..40, word in "[ -~\n\u{e9}]{0,6}") {
        let mut source = uncommented();
        let from = source.floor_char_boundary(from);
        let to = source.floor_char_boundary(from + length);
        source.replace_range(from..to, &word);
        if let Err(error) = Config::parse(&source, "x.toml") {
            let ConfigError::Mistakes { shown: mistakes, .. } = error else { panic!("{error}") };
            proptest::prop_assert!(!mistakes.is_empty());
            for Mistake { line, .. } in mistakes {
                proptest::prop_assert!((1..=source.lines().count() + 1).contains(&line));
            }
        }
    }
}

#[test]
fn sources_leave_out_the_family_that_they_do_not_name() {
    let config = parse("[egress]\nsources = ['10.0.0.0/16']\n");
    assert_eq!(config.egress.unwrap().settings.families, [Family::Ipv4]);
    let nothing = refusal("[egress]\nsources = ['10.0.0.0/16']\nfamilies = ['ipv6']\n");
    assert!(nothing.contains("no family in common"), "{nothing}");
}

/// As `import` writes it where the endpoint has no private DNS.
#[test]
fn an_own_name_may_be_the_host() {
    let own = "bucket.vpce-0a1b-c2d3.s3.us-east-1.vpce.amazonaws.com";
    let zonal = "bucket.vpce-0a1b-c2d3-us-east-1a.s3.us-east-1.vpce.amazonaws.com";
    let config = parse(&format!("[[endpoint]]\nhost = '{own}'\nvpce_hosts = ['{own}', '{zonal}']"));
    assert_eq!(config.endpoints[0].vpce_hosts, [own, zonal]);
}

#[test]
fn a_host_of_another_service_is_refused() {
    let file = |service: &str, host: &str| format!("[[endpoint]]\nservice = '{service}'\nhost = '{host}'");
    let expected = "x.toml:3:8: monitoring.us-east-1.amazonaws.com is a name of \"monitoring\", not of \"kms\"\n  host = 'monitoring.us-east-1.amazonaws.com'";
    assert_eq!(refusal(&file("kms", "monitoring.us-east-1.amazonaws.com")), expected);
    for (service, host) in [
        ("kms", "kms-fips.us-east-1.amazonaws.com"),
        ("kms", "kms.corp.example"),
        ("ecr.api", "api.ecr.eu-west-1.amazonaws.com"),
        ("partner", "monitoring.us-east-1.amazonaws.com"),
    ] {
        assert_eq!(parse(&file(service, host)).endpoints.len(), 1, "{host}");
    }
}
