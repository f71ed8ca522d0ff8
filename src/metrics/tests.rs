use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::*;
use crate::check::{CheckId, Family, Step};
use crate::network::Scope;
use crate::observation::{Evidence, Outcome, Phase, ProbeJudgment, ProbeResult, Protocol, Reason};
use crate::report::fixture;

fn page(metrics: &Metrics, report: &Report, format: ExpositionFormat) -> String {
    encode(metrics.families(report), format).body
}

fn value(page: &str, series: &str) -> Option<String> {
    let mut lines = page.lines().filter_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let value = lines.next().map(str::to_owned);
    assert_eq!(lines.next(), None, "{series} twice");
    value
}

#[test]
fn the_whole_page_is_as_committed() {
    for name in ["healthy", "endpoint_half_dead", "leak", "just_started"] {
        let report = fixture::named(name);
        let metrics = Metrics::of(&report);
        fixture::golden(
            &format!("src/metrics/golden/{name}.prom"),
            &page(&metrics, &report, ExpositionFormat::Text),
        );
    }
    let report = fixture::named("endpoint_half_dead");
    let open = page(&Metrics::of(&report), &report, ExpositionFormat::OpenMetrics);
    fixture::golden("src/metrics/golden/endpoint_half_dead.openmetrics", &open);
}

#[test]
fn no_report_makes_a_series_appear_twice() {
    for (name, mut report) in fixture::all() {
        for check in &mut report.checks {
            let Some(last) = check.last.as_mut().map(Arc::make_mut) else { continue };
            last.addresses.extend(last.addresses.clone());
            last.phases.extend(last.phases.clone());
            if let Evidence::Connect { connections, .. } = &mut last.evidence {
                connections.extend(connections.clone());
            }
        }
        let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
        let mut series: Vec<&str> = page.lines().filter_map(|line| Some(line.rsplit_once(' ')?.0)).collect();
        series.sort_unstable();
        let count = series.len();
        series.dedup();
        assert_eq!(series.len(), count, "{name}");
    }
}

#[test]
fn what_has_not_run_has_its_series_at_zero() {
    let report = fixture::named("just_started");
    let page = page(&Metrics::new(), &report, ExpositionFormat::Text);
    let labels = r#"{check="monitoring/connect",target="monitoring"}"#;
    for name in ["success", "runs_total", "last_run_timestamp_seconds"] {
        let series = format!("linkproof_check_{name}{labels}");
        assert_eq!(value(&page, &series).as_deref(), Some("0"), "{series}");
    }
    let state =
        r#"linkproof_check_state{check="monitoring/connect",target="monitoring",state="inconclusive"}"#;
    assert_eq!(value(&page, state).as_deref(), Some("1"));
}

#[test]
fn a_reason_falls_to_zero_when_it_is_over_and_an_address_vanishes() {
    let (broken, healthy) = (fixture::named("private_dns_off"), fixture::healthy());
    let metrics = Metrics::of(&broken);
    let reason =
        r#"linkproof_check_reason{check="monitoring/dns",target="monitoring",reason="public_address"}"#;
    let address =
        r#"linkproof_address_success{check="monitoring/dns",target="monitoring",ip="203.0.113.20"}"#;
    let diagnosis =
        r#"linkproof_diagnosis{cause="private_dns_off",check="monitoring/dns",severity="critical"}"#;
    let before = page(&metrics, &broken, ExpositionFormat::Text);
    let after = page(&metrics, &healthy, ExpositionFormat::Text);
    let values = |page: &str| [reason, address, diagnosis].map(|series| value(page, series));
    assert_eq!(values(&before), [Some("1".into()), Some("0".into()), Some("1".into())]);
    assert_eq!(values(&after), [Some("0".into()), None, None]);
}

#[test]
fn a_check_that_is_removed_takes_its_series_along() {
    let mut report = fixture::healthy();
    let metrics = Metrics::of(&report);
    report
        .checks
        .retain(|check| check.id != fixture::step(Step::Call) && check.id != CheckId::Egress(Family::Ipv4));
    let page = page(&metrics, &report, ExpositionFormat::Text);
    assert!(
        !page.contains("monitoring/call") && !page.contains("egress/ipv4") && page.contains("monitoring/dns")
    );
}

#[test]
fn attempts_add_up_and_targets_that_are_gone_are_forgotten() {
    let report = fixture::healthy();
    let metrics = Metrics::of(&report);
    metrics.observe(report.checks[5].last.as_ref().unwrap());
    let sent = r#"linkproof_egress_sent_total{check="egress/ipv4",target="8.8.8.8",protocol="icmp"}"#;
    let by_name =
        r#"linkproof_egress_sent_total{check="egress/ipv4",target="www.amazon.com",protocol="tcp"}"#;
    let text = page(&metrics, &report, ExpositionFormat::Text);
    assert_eq!([sent, by_name].map(|series| value(&text, series)), [Some("10".into()), Some("2".into())]);
    let mut other = report.clone();
    let probes = vec![fixture::probe(Protocol::Icmp, "9.9.9.9", 5, ProbeResult::NoReply)];
    *fixture::last(&mut other, 5) = fixture::egress(Outcome::Inconclusive(Reason::TooFewTargets), probes);
    assert_eq!(value(&page(&metrics, &other, ExpositionFormat::Text), sent), None);
}

#[test]
fn a_phase_has_the_kernels_time_where_it_is_known() {
    let tcp = r#"linkproof_address_phase_seconds{check="monitoring/connect",target="monitoring",ip="10.0.1.57",phase="tcp"}"#;
    let query = r#"linkproof_check_phase_seconds{check="monitoring/dns",target="monitoring",phase="query"}"#;
    let clock = |phase, clock| format!(r#"linkproof_phase_clock_values{{phase="{phase}",clock="{clock}"}}"#);
    let mut report = fixture::healthy();
    let shown = |report: &Report| {
        let page = page(&Metrics::of(report), report, ExpositionFormat::Text);
        let counted = |phase| ["kernel", "process"].map(|of| value(&page, &clock(phase, of)).unwrap());
        (value(&page, tcp).unwrap(), counted("tcp"), value(&page, query).unwrap(), counted("query"))
    };
    let (by_tcp, clocks, by_query, of_query) = shown(&report);
    assert_eq!((by_tcp.as_str(), by_query.as_str()), ("0.00028", "0.00092"));
    assert_eq!(of_query, ["1", "0"]);
    let Evidence::Connect { connections, .. } = &mut fixture::last(&mut report, 3).evidence else { panic!() };
    connections[0].kernel_tcp = None;
    let Evidence::Dns(evidence) = &mut fixture::last(&mut report, 2).evidence else { panic!() };
    evidence.queries[1].kernel = None;
    let (felt_tcp, fewer, felt_query, of_query) = shown(&report);
    assert_eq!((felt_tcp.as_str(), felt_query.as_str()), ("0.0004", "0.0011"), "one unknown of four queries");
    assert_eq!(of_query, ["0", "1"]);
    let number = |text: &String| text.parse::<u32>().unwrap();
    assert_eq!(number(&clocks[0]), number(&fewer[0]) + 1);
}

/// Each source needs a control of its own: that some control passed says nothing by itself.
#[test]
fn the_control_gauge_and_the_replies_are_the_verdicts() {
    let gauge = r#"linkproof_egress_control_success{check="egress/ipv4",target="ipv4"}"#;
    let replies = r#"linkproof_egress_replies_total{check="egress/ipv4",target="1.1.1.1",protocol="tcp"}"#;
    for (passed, shown) in [(Some(true), Some("1")), (Some(false), Some("0")), (None, None)] {
        let mut report = fixture::healthy();
        let mut probe = fixture::probe(Protocol::Tcp, "1.1.1.1", 1, ProbeResult::NoReply);
        probe.result = ProbeResult::Reply { replies: 1, after: fixture::ms(9.0), kernel: None };
        probe.judged = Some(ProbeJudgment::Intercepted);
        let outcome = Outcome::Fail(Reason::TrafficIntercepted);
        let observation = fixture::bent(fixture::egress(outcome, vec![probe]), |evidence| {
            evidence.controls_passed = passed;
        });
        *fixture::last(&mut report, 5) = observation;
        let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
        assert_eq!(value(&page, gauge).as_deref(), shown, "{page}");
        assert_eq!(value(&page, replies).as_deref(), Some("0"), "an interception is no leak");
    }
}

#[test]
fn a_name_with_countless_addresses_does_not_flood_the_server() {
    let mut report = fixture::healthy();
    let last = fixture::last(&mut report, 2);
    last.addresses = (0..200)
        .map(|n| fixture::address(&format!("10.0.3.{n}"), Scope::Vpc, Outcome::Pass, vec![]))
        .collect();
    last.addresses[199].outcome = Outcome::Fail(Reason::OutsideVpc);
    let page = page(&Metrics::new(), &report, ExpositionFormat::Text);
    let of_dns = |line: &&str| line.starts_with(r#"linkproof_address_success{check="monitoring/dns""#);
    assert_eq!(page.lines().filter(of_dns).count(), 16);
    assert!(page.contains(r#"ip="10.0.3.199"} 0"#));
}

#[test]
fn of_an_address_that_is_listed_twice_the_worse_outcome_shows() {
    let mut report = fixture::healthy();
    let last = fixture::last(&mut report, 2);
    let outcomes = [Outcome::Pass, Outcome::Fail(Reason::OutsideVpc)];
    last.addresses =
        outcomes.map(|outcome| fixture::address("10.0.3.1", Scope::Vpc, outcome, vec![])).to_vec();
    let page = page(&Metrics::new(), &report, ExpositionFormat::Text);
    let series = r#"linkproof_address_success{check="monitoring/dns",target="monitoring",ip="10.0.3.1"}"#;
    assert_eq!(value(&page, series).as_deref(), Some("0"));
}

#[test]
fn a_failed_reload_shows() {
    let (metrics, report) = (Metrics::new(), fixture::healthy());
    let series = "linkproof_config_last_reload_successful";
    assert_eq!(value(&page(&metrics, &report, ExpositionFormat::Text), series).as_deref(), Some("1"));
    metrics.reloaded(false);
    assert_eq!(value(&page(&metrics, &report, ExpositionFormat::Text), series).as_deref(), Some("0"));
    let web = Arc::new(AtomicBool::new(false));
    let metrics = Metrics::with_web(Arc::clone(&web));
    assert_eq!(value(&page(&metrics, &report, ExpositionFormat::Text), series).as_deref(), Some("0"));
    web.store(true, Ordering::Relaxed);
    assert_eq!(value(&page(&metrics, &report, ExpositionFormat::Text), series).as_deref(), Some("1"));
}

#[test]
fn delays_of_the_schedule_are_counted() {
    let (metrics, report) = (Metrics::new(), fixture::healthy());
    let name = "linkproof_check_start_delay_seconds";
    let of = |series: &str| value(&page(&metrics, &report, ExpositionFormat::Text), series);
    assert_eq!(of(&format!("{name}_count")), None, "nothing was due yet");
    for late in [1, 4, 40].map(Duration::from_millis) {
        metrics.started(late);
    }
    assert_eq!(of(&format!("{name}_count")).as_deref(), Some("3"));
    assert_eq!(of(&format!("{name}_bucket{{le=\"0.005\"}}")).as_deref(), Some("2"));
}

#[test]
fn the_page_comes_in_the_format_that_was_asked_for() {
    let (metrics, report) = (Metrics::new(), fixture::healthy());
    let text = metrics.page(&report, "text/plain");
    assert_eq!(text.content_type, "text/plain; version=0.0.4; charset=utf-8");
    assert!(text.body.contains("\nprocess_open_fds ") && !text.body.contains("# EOF"));
    let open = metrics.page(&report, "application/openmetrics-text;version=1.0.0");
    assert_eq!(open.content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert!(open.body.ends_with("# EOF\n") && open.body.contains("# TYPE process_cpu_seconds counter\n"));
}

const INTRO: &str = "\
# Metrics of linkproof

`GET /metrics` on port 10042 serves these metrics, in the Prometheus text format or in OpenMetrics
1.0. A scrape shows the results of the last run of each check; it never starts a probe.
`linkproof_check_last_run_timestamp_seconds` says when that run was. When an address, a check or a
target disappears, its series disappear too.

The label `check` is the ID of a check, such as `monitoring/dns`. The label `target` is what the
check looks at, such as `monitoring`. At most 16 addresses of each check have series. If there are
more, those that did not pass are kept. This limits the number of series whatever a DNS server answers.

What a program times itself includes its wait for a CPU, which on a busy instance takes longer than the
network. Where the kernel knows better, `linkproof_address_phase_seconds` (phase `tcp`) and
`linkproof_check_phase_seconds` (phases `query` and `rtt`) show the kernel's time: the shortest round
trip of the connection, and the time until the kernel received the answer to a datagram. The kernel's
time is not known for a packet that had to be sent again, for DNS over TCP, for a TLS handshake that
failed, and for TCP on a kernel without the module `tcp_diag`. Then, and for all other phases, the
series show the time that linkproof felt. `linkproof_phase_clock_values` counts how many values are by
which clock. The report has both times (`kernel_seconds`, `kernel_tcp_seconds`), and outcomes rest on
what was felt.

| series | type | labels | meaning |
| --- | --- | --- | --- |
";

/// Every family that any of the reports shows, with all labels that it has in any of them.
fn table() -> String {
    let mut families: BTreeMap<String, (String, String, BTreeSet<String>)> = BTreeMap::new();
    for (_, report) in fixture::all() {
        let metrics = Metrics::of(&report);
        metrics.started(Duration::ZERO);
        let page = metrics.page(&report, "text/plain").body;
        let mut name = "";
        for line in page.lines() {
            if let Some((of, help)) = line.strip_prefix("# HELP ").and_then(|line| line.split_once(' ')) {
                name = of;
                families.entry(of.to_owned()).or_default().1 = help.to_owned();
            } else if let Some((of, kind)) =
                line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' '))
            {
                families.entry(of.to_owned()).or_default().0 = kind.to_owned();
            } else {
                let labels = label_names(line).into_iter().filter(|label| *label != "le");
                families.get_mut(name).unwrap().2.extend(labels.map(|label| format!("`{label}`")));
            }
        }
    }
    let row = |(name, (kind, help, labels)): (&String, &(String, String, BTreeSet<String>))| {
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
    };
    families.iter().map(row).collect()
}

/// No value in the reports has a comma in it.
fn label_names(line: &str) -> Vec<&str> {
    let labels = line.split_once('{').and_then(|(_, labels)| labels.rsplit_once('}'));
    let (labels, _) = labels.unwrap_or_default();
    labels.split("\",").filter_map(|label| Some(label.split_once("=\"")?.0)).collect()
}

#[test]
fn the_table_of_all_series_is_as_committed() {
    fixture::golden("packaging/metrics.md", &format!("{INTRO}{}", table()));
}

#[test]
fn the_table_names_every_series_that_the_code_does() {
    let table = table();
    let sources = [include_str!("gauges.rs"), include_str!("counters.rs"), include_str!("clock.rs")].concat();
    let names: BTreeSet<&str> = sources.split('"').filter(|text| text.starts_with("linkproof_")).collect();
    assert!(names.len() > 20);
    for name in names {
        assert!(table.contains(&format!("| `{name}` |")), "no report of the fixtures shows {name}");
    }
}

/// Whatever the name servers and peers of one endpoint answer, for two hundred rounds.
#[test]
fn the_number_of_series_is_bounded_whatever_is_answered() {
    const MOST: usize = 1350;
    let metrics = Metrics::new();
    let mut report = fixture::healthy();
    let mut most = 0;
    for round in 0..200_u32 {
        let reason = Reason::ALL[round as usize % Reason::ALL.len()];
        let fresh = |n: u32| std::net::Ipv4Addr::from_bits((round << 8 | n).reverse_bits()).to_string();
        for check in &mut report.checks {
            let Some(last) = check.last.as_mut().map(Arc::make_mut) else { continue };
            last.outcome = Outcome::Fail(reason);
            let phases = vec![
                (Phase::Tcp, fixture::ms(1.0)),
                (Phase::Tls, fixture::ms(1.0)),
                (Phase::Response, fixture::ms(1.0)),
            ];
            let of = |n| fixture::address(&fresh(n), Scope::Public, Outcome::Fail(reason), phases.clone());
            last.addresses = (0..200).map(of).collect();
            match &mut last.evidence {
                Evidence::Connect { connections, .. } => {
                    *connections = (0..200).map(|n| fixture::answered(&fresh(n)).1).collect();
                }
                Evidence::Call { calls, .. } => {
                    *calls = (0..200).map(|n| fixture::listed(&fresh(n)).1).collect();
                }
                Evidence::Egress(evidence) => {
                    let named = |n| crate::observation::EgressProbe {
                        host: Some("www.amazon.com".into()),
                        ..fixture::probe(Protocol::Tcp, &fresh(n), 1, ProbeResult::NoReply)
                    };
                    evidence.probes =
                        fixture::silent_probes().into_iter().chain((0..200).map(named)).collect();
                }
                Evidence::NotAttempted(_)
                | Evidence::Instance(_)
                | Evidence::Credentials(_)
                | Evidence::Dns(_) => {}
            }
            metrics.observe(last);
        }
        let page = page(&metrics, &report, ExpositionFormat::Text);
        most = most.max(page.lines().filter(|line| !line.starts_with('#')).count());
    }
    assert!(most < MOST, "{most}");
    // Back to normal, all that is left of it are the reasons that there were.
    let healthy = fixture::healthy();
    let page = page(&metrics, &healthy, ExpositionFormat::Text);
    let left = page.lines().filter(|line| !line.starts_with('#') && !line.contains("_check_reason{")).count();
    let fresh = self::page(&Metrics::of(&healthy), &healthy, ExpositionFormat::Text);
    let before =
        fresh.lines().filter(|line| !line.starts_with('#') && !line.contains("_check_reason{")).count();
    assert_eq!(left, before);
}

#[test]
fn the_textfile_holds_nothing_that_node_exporter_says_of_itself() {
    let report = fixture::healthy();
    let page = Metrics::of(&report).textfile(&report);
    let names = page.lines().filter(|line| !line.starts_with('#'));
    assert!(page.contains("linkproof_check_success{") && names.clone().count() > 100);
    assert_eq!(names.filter(|line| !line.starts_with("linkproof_")).collect::<Vec<_>>(), Vec::<&str>::new());
}

#[test]
fn an_inconclusive_address_has_neither_passed_nor_failed() {
    let mut report = fixture::healthy();
    let last = fixture::last(&mut report, 4);
    last.addresses[0].outcome = Outcome::Inconclusive(Reason::ServiceError);
    let ip = last.addresses[0].ip;
    let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
    let series = |name: &str| format!(r#"{name}{{check="monitoring/call",target="monitoring",ip="{ip}"}}"#);
    assert_eq!(value(&page, &series("linkproof_address_success")), None);
    assert_eq!(value(&page, &series("linkproof_address_inconclusive")).as_deref(), Some("1"));
}

#[test]
fn a_check_that_does_not_apply_has_no_success() {
    let report = fixture::healthy();
    let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
    assert_eq!(value(&page, r#"linkproof_check_success{check="egress/ipv6",target="ipv6"}"#), None);
    assert_eq!(value(&page, "linkproof_success").as_deref(), Some("1"));
    let leak = fixture::named("leak");
    let page = self::page(&Metrics::of(&leak), &leak, ExpositionFormat::Text);
    assert_eq!(value(&page, "linkproof_success").as_deref(), Some("0"));
}

/// An endpoint with three addresses and without a call, with all that it can show at once.
#[test]
fn an_endpoint_costs_at_most_50_series() {
    let report = fixture::three_addresses();
    let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
    let of_endpoint = |line: &&str| line.contains(r#"target="monitoring""#);
    let count = page.lines().filter(of_endpoint).count();
    assert!((30..=50).contains(&count), "{count}");
}

#[test]
fn an_address_that_was_not_tried_has_neither_passed_nor_failed() {
    let mut report = fixture::healthy();
    let last = fixture::last(&mut report, 3);
    let skipped = Outcome::Skipped(Reason::FamilyUnavailable);
    last.addresses.push(fixture::address("2001:db8::57", Scope::Vpc, skipped, vec![]));
    let page = page(&Metrics::of(&report), &report, ExpositionFormat::Text);
    assert!(!page.contains("2001:db8::57"));
    assert_eq!(page.matches(r#"linkproof_address_success{check="monitoring/connect""#).count(), 2);
}
