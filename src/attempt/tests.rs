//! What the probes are asked to do, and what is published of it.

use std::collections::BTreeSet;

use futures_util::future::join_all;

use super::scripted::Scripted;
use super::*;
use crate::config::{Config, EgressConfig};
use crate::observation::{ControlResult, EgressGap, EgressProbe, Phase, ProbeResult, Protocol};
use crate::plan::Plan;

const BASE: &str = "region = 'us-east-1'\nexpected_cidrs = ['10.0.0.0/16']\n\
    instance = { metadata = false }\n";

const GATEWAY: &str = "[egress]\nenabled = false\n[[endpoint]]\nservice = 's3'\ntype = 'gateway'\n";
const MONITORING: &str =
    "[egress]\nenabled = false\n[[endpoint]]\nservice = 'monitoring'\ncall = 'list-metrics'\n";

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// One run of the egress check where it is enabled, else of the endpoint.
async fn run(probes: Scripted, config: &str) -> (Runner<Scripted>, Vec<Observation>) {
    let config = Config::parse(&format!("{BASE}{config}"), "test.toml").unwrap();
    let mut plan = Plan::new(&config, None);
    for item in &mut plan.items {
        if let Item::Egress(egress) = item {
            // A VPC may own public ranges.
            egress.network.vpc.push("9.9.9.0/24".parse().unwrap());
        }
    }
    let is_egress = |item: &&Item| matches!(item, Item::Egress(_));
    let is_endpoint = |item: &&Item| matches!(item, Item::Endpoint(_));
    let egress = plan.items.iter().find(is_egress);
    let item = egress.or_else(|| plan.items.iter().find(is_endpoint)).unwrap();
    let (sink, mut observations) = mpsc::channel(16);
    let runner = Runner::new(probes, sink);
    runner.run(item, plan.region.as_deref(), true).await;
    let published = std::iter::from_fn(|| observations.try_recv().ok()).collect();
    (runner, published)
}

fn outcome(observations: &[Observation], check: &str) -> Outcome {
    observations.iter().find(|o| o.check.to_string() == check).unwrap().outcome
}

fn control(observations: &[Observation]) -> crate::observation::GatewayControl {
    let found = observations.iter().find_map(|observation| match &observation.evidence {
        Evidence::Connect { control, .. } => control.clone(),
        _ => None,
    });
    found.unwrap()
}

const ELSEWHERE: &str = "s3.us-west-2.amazonaws.com";

fn gateway(of_control: Result<&[&str], &str>) -> Scripted {
    let of_control = of_control.map(ips).map_err(str::to_owned);
    Scripted {
        addresses: ips(&["203.0.113.30"]),
        names: [(ELSEWHERE.to_owned(), of_control)].into(),
        silent: ips(&["203.0.113.31", "203.0.113.32", "203.0.113.33"]),
        ..Scripted::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_compared_with_two_addresses_of_another_region() {
    let repeated =
        ["203.0.113.33", "203.0.113.31", "10.0.0.9", "203.0.113.31", "203.0.113.32", "2606:4700::9"];
    // Without a list of interfaces, no family counts as missing.
    for cannot_list_interfaces in [false, true] {
        let probes = Scripted { cannot_list_interfaces, ..gateway(Ok(&repeated)) };
        let (runner, observations) = run(probes, GATEWAY).await;
        let control = control(&observations);
        assert_eq!((control.host.as_deref(), &control.error), (Some(ELSEWHERE), &None));
        let compared: Vec<IpAddr> = control.connections.iter().map(|connection| connection.ip).collect();
        assert_eq!(compared, ips(&["203.0.113.31", "203.0.113.32"]));
        assert_eq!(control.result(Family::Ipv4), ControlResult::NoReply);
        assert_eq!(outcome(&observations, "s3/connect"), Outcome::Pass);
        let ports: Vec<u16> =
            runner.probes.asked.connections.lock().unwrap().iter().map(SocketAddr::port).collect();
        assert_eq!(ports, [443, 443, 443]);
        assert!(
            runner.known.borrow().values().all(Vec::is_empty),
            "its addresses do not serve as controls of egress"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_control_takes_a_third_of_the_time_for_its_name_and_the_rest_to_connect() {
    let (runner, _) = run(gateway(Ok(&["203.0.113.31"])), GATEWAY).await;
    let mut seconds: Vec<u64> =
        runner.probes.asked.limits.lock().unwrap().iter().map(Duration::as_secs).collect();
    seconds.sort_unstable();
    assert_eq!(seconds, [1, 2, 3], "its name, its connection, the connection of the endpoint");
}

#[tokio::test(start_paused = true)]
async fn an_interface_endpoint_has_no_control() {
    let inside = Scripted { addresses: ips(&["10.0.1.57"]), ..Scripted::default() };
    let (_, observations) = run(inside, MONITORING).await;
    let is_controlled = |o: &Observation| matches!(&o.evidence, Evidence::Connect { control: Some(_), .. });
    assert!(!observations.iter().any(is_controlled), "{observations:?}");
}

#[tokio::test(start_paused = true)]
async fn a_control_that_was_not_reached_says_why() {
    let refused = gateway(Err("the name servers refuse"));
    let inside = gateway(Ok(&["10.0.0.9"]));
    for (probes, why) in [(refused, "the name servers refuse"), (inside, "has no public address")] {
        let (_, observations) = run(probes, GATEWAY).await;
        let control = control(&observations);
        assert_eq!(control.host.as_deref(), Some(ELSEWHERE));
        assert!(control.error.as_ref().is_some_and(|error| error.contains(why)), "{control:?}");
        assert_eq!(control.result(Family::Ipv4), ControlResult::NotSent);
    }
    let nowhere = Scripted { addresses: vec![], ..gateway(Ok(&["203.0.113.31"])) };
    let (runner, _) = run(nowhere, GATEWAY).await;
    assert!(runner.probes.asked.connections.lock().unwrap().is_empty(), "there is nothing to compare with");
}

#[tokio::test(start_paused = true)]
async fn a_control_that_answers_fails_the_gateway() {
    let open = Scripted { silent: vec![], ..gateway(Ok(&["203.0.113.31"])) };
    let (_, observations) = run(open, GATEWAY).await;
    assert_eq!(outcome(&observations, "s3/connect"), Outcome::Fail(Reason::EgressNotClosed));
}

#[tokio::test(start_paused = true)]
async fn names_with_many_silent_addresses_share_a_limit_of_connections() {
    const ENDPOINTS: usize = 20;
    let names = (0..ENDPOINTS).map(|number| format!("[[endpoint]]\nhost = 'service-{number}.example'\n"));
    let config = format!("{BASE}[egress]\nenabled = false\n{}", names.collect::<String>());
    let plan = Plan::new(&Config::parse(&config, "test.toml").unwrap(), None);
    let addresses: Vec<IpAddr> = (100..164).map(|last| IpAddr::from([10, 0, 1, last])).collect();
    let takes = Duration::from_secs(3);
    let probes = Scripted { addresses: addresses.clone(), silent: addresses, takes, ..Scripted::default() };
    let (sink, mut observations) = mpsc::channel(256);
    let runner = Runner::new(probes, sink);
    let endpoints = plan.items.iter().filter(|item| matches!(item, Item::Endpoint(_)));
    join_all(endpoints.map(|item| runner.run(item, None, false))).await;
    assert_eq!(*runner.probes.asked.open.lock().unwrap(), (0, MOST_OPEN));
    let is_connect = |o: &Observation| matches!(o.evidence, Evidence::Connect { .. });
    let looked = std::iter::from_fn(|| observations.try_recv().ok()).filter(is_connect).count();
    assert_eq!(looked, ENDPOINTS, "each had its turn");
}

#[tokio::test(start_paused = true)]
async fn an_address_of_this_host_is_no_endpoint_and_no_control() {
    // A program on this host could pass the connection on, to anywhere.
    let probes = Scripted { addresses: ips(&["10.0.1.23"]), ..Scripted::default() };
    let (runner, observations) = run(probes, MONITORING).await;
    assert_eq!(outcome(&observations, "monitoring/dns"), Outcome::Fail(Reason::SpecialAddress));
    assert_ne!(outcome(&observations, "monitoring/connect"), Outcome::Pass);
    assert!(runner.probes.asked.connections.lock().unwrap().is_empty());
    assert!(runner.known.borrow().values().all(Vec::is_empty));
}

#[tokio::test(start_paused = true)]
async fn a_call_is_made_again_once_the_verified_addresses_are_others() {
    let plan = Plan::new(&Config::parse(&format!("{BASE}{MONITORING}"), "test.toml").unwrap(), None);
    let item = plan.items.iter().find(|item| matches!(item, Item::Endpoint(_))).unwrap();
    let (sink, _observations) = mpsc::channel(64);
    let probes = Scripted { addresses: ips(&["10.0.1.57"]), ..Scripted::default() };
    let mut runner = Runner::new(probes, sink);
    let mut made = Vec::new();
    for (addresses, silent, with_call) in [
        (&["10.0.1.57"], &[][..], true),
        (&["10.0.1.57"], &[], false),
        (&["10.0.2.113"], &[], false),
        (&["10.0.2.113"], &[], false),
        (&["10.0.2.113"], &["10.0.2.113"], false),
        (&["10.0.2.113"], &[], false),
    ] {
        runner.probes.addresses = ips(addresses);
        runner.probes.silent = ips(silent);
        made.push(runner.run(item, None, with_call).await == CallStep::Made);
    }
    assert_eq!(made, [true, false, true, false, false, true]);
    let called: Vec<IpAddr> = runner.probes.asked.calls.lock().unwrap().iter().map(SocketAddr::ip).collect();
    assert_eq!(called, ips(&["10.0.1.57", "10.0.2.113", "10.0.2.113"]));
}

#[tokio::test(start_paused = true)]
async fn only_addresses_that_were_verified_are_called() {
    let addresses = ips(&["10.0.1.57", "10.0.2.113", "203.0.113.20", "127.0.0.1"]);
    let probes = Scripted { addresses, silent: ips(&["10.0.2.113"]), ..Scripted::default() };
    let (runner, observations) = run(probes, MONITORING).await;
    let asked = &runner.probes.asked;
    let connected: Vec<IpAddr> = asked.connections.lock().unwrap().iter().map(SocketAddr::ip).collect();
    assert_eq!(connected, ips(&["10.0.1.57", "10.0.2.113", "203.0.113.20"]), "never to this host itself");
    assert_eq!(*asked.calls.lock().unwrap(), ["10.0.1.57:443".parse().unwrap()]);
    let not_called = Outcome::Skipped(Reason::PrerequisiteFailed);
    let called = observations.last().unwrap().addresses.iter().map(|address| address.outcome);
    assert_eq!(called.collect::<Vec<_>>(), [Outcome::Pass, not_called, not_called, not_called]);
    let known = runner.known.borrow().values().flatten().copied().collect::<Vec<SocketAddr>>();
    let inside = ["10.0.1.57:443", "10.0.2.113:443"].map(|peer| peer.parse().unwrap());
    assert_eq!(known, inside, "what should answer the egress check");
}

#[tokio::test(start_paused = true)]
async fn unchanged_control_addresses_are_published_once() {
    let plan = Plan::new(&Config::parse(&format!("{BASE}{MONITORING}"), "test.toml").unwrap(), None);
    let (sink, _observations) = mpsc::channel(16);
    let runner = Runner::new(Scripted { addresses: ips(&["10.0.1.57"]), ..Scripted::default() }, sink);
    let mut known = runner.known.subscribe();
    let endpoint = plan.items.iter().find(|item| matches!(item, Item::Endpoint(_))).unwrap();
    for is_new in [true, false] {
        runner.run(endpoint, None, false).await;
        assert_eq!(known.has_changed().unwrap(), is_new);
        known.mark_unchanged();
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_name_with_many_addresses_sixty_four_are_tried() {
    for (count, tried, passes) in [(64, 64, true), (65, 64, false)] {
        let addresses = (0..count).map(|number| IpAddr::from([10, 0, 3, number])).collect();
        let (runner, observations) = run(Scripted { addresses, ..Scripted::default() }, MONITORING).await;
        assert_eq!(runner.probes.asked.connections.lock().unwrap().len(), tried);
        assert_eq!(outcome(&observations, "monitoring/connect") == Outcome::Pass, passes, "{count}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_is_told_why_it_was_not_made() {
    let inside = || Scripted { addresses: ips(&["10.0.1.57"]), ..Scripted::default() };
    let because = |observations: &[Observation]| match observations.last().unwrap().evidence {
        Evidence::NotAttempted(because) => Some(because),
        _ => None,
    };
    let (_, made) = run(inside(), MONITORING).await;
    assert_eq!((outcome(&made, "monitoring/call"), because(&made)), (Outcome::Pass, None));
    let unsigned = Scripted { unsigned_calls: std::sync::Arc::new(1.into()), ..inside() };
    assert_eq!(because(&run(unsigned, MONITORING).await.1), Some(NotAttempted::NoCredentials));
    let silent = Scripted { silent: ips(&["10.0.1.57"]), ..inside() };
    assert_eq!(because(&run(silent, MONITORING).await.1), Some(NotAttempted::NoVerifiedAddress));
}

#[tokio::test(start_paused = true)]
async fn every_step_that_is_due_says_that_it_needs_a_region() {
    for (call, with_call, due) in
        [("call = 'list-metrics'", true, 3), ("call = 'list-metrics'", false, 2), ("", true, 2)]
    {
        let source = format!("[[endpoint]]\nservice = 'monitoring'\n{call}");
        let plan = Plan::new(&Config::parse(&source, "test.toml").unwrap(), None);
        let (sink, mut observations) = mpsc::channel(16);
        let runner = Runner::new(Scripted::default(), sink);
        let endpoint = plan.items.iter().find(|item| matches!(item, Item::Endpoint(_))).unwrap();
        runner.run(endpoint, None, with_call).await;
        let outcomes: Vec<Outcome> = std::iter::from_fn(|| observations.try_recv().ok())
            .inspect(|o| assert_eq!(o.evidence, Evidence::NotAttempted(NotAttempted::NoRegion)))
            .map(|o| o.outcome)
            .collect();
        let (dns, above) = (Outcome::Inconclusive, Outcome::Skipped);
        let expected = [dns, above, above].map(|outcome| outcome(Reason::PrerequisiteFailed));
        assert_eq!(outcomes, expected[..due], "{call} {with_call}");
    }
}

#[test]
fn rounds_that_this_host_spoiled_are_counted_in_a_row() {
    let (sink, _observations) = mpsc::channel(1);
    let runner = Runner::new(Scripted::default(), sink);
    let spoiled = Outcome::Inconclusive(Reason::HostOverloaded);
    let judged = Outcome::Inconclusive(Reason::ControlFailed);
    let counted = [spoiled, spoiled, judged, spoiled];
    assert_eq!(counted.map(|outcome| runner.count_spoiled(&CheckId::Instance, outcome)), [1, 2, 0, 1]);
    assert_eq!(runner.count_spoiled(&CheckId::Credentials, spoiled), 1, "of each check");
}

#[tokio::test(start_paused = true)]
async fn names_are_timed_as_a_lookup_and_as_a_query() {
    let takes = Duration::from_millis(20);
    let probes = Scripted { addresses: ips(&["10.0.1.57"]), takes, ..Scripted::default() };
    let (_, observations) = run(probes, MONITORING).await;
    assert_eq!(observations[0].phases, [(Phase::Lookup, Duration::from_micros(1500)), (Phase::Query, takes)]);
}

const OWN_TARGETS: &str = "
[egress]
hosts = ['www.example', 'gone.example']
[[egress.target]]
host = 'probe.example'
tcp_ports = [8443]
[[egress.target]]
host = 'nowhere.example'
tcp_ports = [8443]
[[egress.target]]
host = '9.9.9.9'
tcp_ports = [8443]
[[egress.target]]
host = '1.0.0.1'
tcp_ports = [8443]
";

#[tokio::test(start_paused = true)]
async fn a_target_of_the_operator_is_probed_whole_or_is_a_gap() {
    let public =
        |count: u8| (1..=count).map(|number| IpAddr::from([203, 0, 113, number])).collect::<Vec<_>>();
    for (count, probed) in [(8, 8), (9, 8)] {
        let names = [
            ("www.example".to_owned(), Ok([public(3), ips(&["2001:db8::1"])].concat())),
            ("gone.example".to_owned(), Err("gone.example: no such name".to_owned())),
            ("probe.example".to_owned(), Ok(public(count))),
            ("nowhere.example".to_owned(), Ok(ips(&["10.0.1.9"]))),
        ];
        let (runner, _) = run(Scripted { names: names.into(), ..Scripted::default() }, OWN_TARGETS).await;
        let requests = runner.probes.asked.egress.lock().unwrap();
        assert_eq!(requests.len(), 2, "one for each family");
        let request = &requests[0];
        let of = |host: &str| request.named.iter().filter(|(name, _)| name == host).count();
        assert_eq!((of("probe.example"), of("nowhere.example")), (probed, 0));
        let www = request.named.iter().filter(|(name, _)| name == "www.example").map(|(_, ip)| *ip);
        assert_eq!(www.collect::<Vec<_>>(), ips(&["203.0.113.1", "203.0.113.2", "2001:db8::1"]));
        let gaps: Vec<&str> = request
            .gaps
            .iter()
            .filter_map(|gap| match gap {
                EgressGap::TargetNotProbed { host, .. } => Some(host.as_str()),
                _ => None,
            })
            .collect();
        let mut expected = vec!["nowhere.example", "9.9.9.9"];
        if count > 8 {
            expected.insert(1, "probe.example");
        }
        assert_eq!(gaps, expected);
        assert!(request.unresolved.contains(&"gone.example: no such name".to_owned()));
        let mut outside: BTreeSet<IpAddr> = EgressConfig::default().settings.literals().collect();
        outside.extend(ips(&["1.0.0.1"]));
        outside.retain(|ip| !ips(&["9.9.9.9", "64:ff9b::909:909"]).contains(ip));
        assert_eq!(request.settings.literals().collect::<BTreeSet<_>>(), outside);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_without_an_address_of_a_probed_family_is_a_gap() {
    // The host has an IPv4 address alone.
    for (addresses, is_gap) in
        [(&["2001:db8::1"][..], true), (&["2001:db8::1", "203.0.113.1"], false), (&["203.0.113.1"], false)]
    {
        let names = [("probe.example".to_owned(), Ok(ips(addresses)))];
        let (runner, _) = run(Scripted { names: names.into(), ..Scripted::default() }, OWN_TARGETS).await;
        let requests = runner.probes.asked.egress.lock().unwrap();
        let is_of_name = |gap: &EgressGap| matches!(gap, EgressGap::TargetNotProbed { host, .. } if host == "probe.example");
        assert_eq!(requests[0].gaps.iter().any(is_of_name), is_gap, "{addresses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_leak_is_that_of_its_quickest_ping() {
    let reply = |protocol, millis| EgressProbe {
        host: None,
        source: "10.0.1.23".parse().unwrap(),
        ip: "203.0.113.5".parse().unwrap(),
        protocol,
        port: (protocol != Protocol::Icmp).then_some(443),
        decoy: false,
        sent: 1,
        result: ProbeResult::Reply { replies: 1, after: Duration::from_millis(millis), kernel: None },
        judged: None,
    };
    let probes = vec![reply(Protocol::Icmp, 9), reply(Protocol::Icmp, 7), reply(Protocol::Tcp, 3)];
    let (_, observations) = run(Scripted { probes, ..Scripted::default() }, "").await;
    let egress = observations.iter().find(|o| o.check == CheckId::Egress(Family::Ipv4)).unwrap();
    assert_eq!(egress.phases, [(Phase::Rtt, Duration::from_millis(7))]);
}
