//! The Grafana dashboard: every query of it, as Grafana would send it, to a real Prometheus that
//! scrapes a real linkproof in the lab.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::Value;

use crate::harness::{Scratch, eventually, own_lab, packaged};
use crate::lab::Fault;
use crate::prometheus::{DAEMON, HASTY, Prometheus, daemon, rules};

fn dashboard() -> Value {
    serde_json::from_str(&fs::read_to_string(packaged("grafana/linkproof.json")).unwrap()).unwrap()
}

fn list<'a>(value: &'a Value, path: &str) -> &'a [Value] {
    value.pointer(path).and_then(Value::as_array).unwrap_or_else(|| panic!("{path} is no list"))
}

/// Each query with where it stands.
fn queries(dashboard: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut queries = Vec::new();
    for panel in list(dashboard, "/panels").iter().filter(|panel| panel["type"] != "row") {
        for target in list(panel, "/targets") {
            queries.push((text(&panel["title"]), text(&target["expr"])));
        }
    }
    for annotation in list(dashboard, "/annotations/list") {
        queries.push((text(&annotation["name"]), text(&annotation["expr"])));
    }
    queries
}

/// What Grafana puts in for its variables.
fn filled_in(query: &str) -> String {
    let query = [
        ("$instance", DAEMON.to_string().as_str()),
        ("$vpc", "vpc-0abcdef1234567890"),
        ("$zone", ".*"),
        ("$kind", ".+"),
        ("$__rate_interval", "10s"),
    ]
    .iter()
    .fold(query.to_owned(), |query, (name, value)| query.replace(name, value));
    // "$1" belongs to label_replace.
    let is_variable = |rest: &&str| rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{');
    assert!(!query.split('$').skip(1).any(|rest| is_variable(&rest)), "an unknown variable: {query}");
    query
}

/// The cells of the matrix's one row.
fn zones(series: &[(Value, f64)]) -> BTreeMap<String, f64> {
    let zone = |labels: &Value| labels["address_zone"].as_str().unwrap_or_default().to_owned();
    series.iter().map(|(labels, value)| (zone(labels), *value)).collect()
}

#[test]
fn every_query_returns_data_from_an_instance_with_two_faults() {
    let (lab, scratch) = (own_lab(), Scratch::new("dashboard"));
    let own = "vpce-0123456789abcdef0-lab00000";
    let names = ["", "-us-east-1a", "-us-east-1b"]
        .map(|zone| format!("'{own}{zone}.monitoring.us-east-1.vpce.amazonaws.com'"));
    let _daemon = daemon(&lab, &scratch, &format!("{HASTY}vpce_hosts = [{}]\n", names.join(", ")));
    lab.set([Fault::NatOpen, Fault::EndpointBSilent]);
    let jobs = format!(
        "- {{job_name: linkproof, static_configs: [{{targets: ['{DAEMON}'], labels: {{vpc: vpc-0abcdef1234567890, zone: use1-az1, address: '{DAEMON}'}}}}]}}\n"
    );
    let prometheus = Prometheus::start(&lab, &scratch, &jobs, &format!("rule_files: {}", rules(&scratch)));
    prometheus.until(r#"ALERTS{alertname="LinkproofEgressOpen",alertstate="firing"}"#);
    prometheus.until(r#"linkproof_diagnosis{cause="endpoint_interface_down"} == 1"#);
    let dashboard = dashboard();
    let queries = queries(&dashboard);
    assert!(queries.len() > 30);
    for (panel, query) in queries {
        let series = prometheus.until(&filled_in(&query));
        assert!(series.iter().any(|(_, value)| !value.is_nan()), "{panel} shows nothing: {query}");
        if panel == "Endpoints by zone" {
            let expected = [("us-east-1a", 1.0), ("us-east-1b", 0.0)];
            let expected: BTreeMap<String, f64> =
                expected.map(|(zone, value)| (zone.to_owned(), value)).into();
            eventually("the dead zone", || {
                (zones(&prometheus.query(&filled_in(&query))) == expected).then_some(())
            });
        }
    }
    for variable in list(&dashboard, "/templating/list").iter().filter(|of| of["type"] == "query") {
        let query = variable["query"]["query"].as_str().unwrap();
        let (series, label) = query
            .strip_prefix("label_values(")
            .and_then(|of| of.strip_suffix(')')?.rsplit_once(", "))
            .unwrap();
        let values = prometheus.query(&format!("count by ({label}) ({})", filled_in(series)));
        assert!(values.iter().any(|(labels, _)| labels.get(label).is_some()), "{query} offers nothing");
    }
}

#[test]
fn it_can_be_imported_with_any_data_source() {
    let dashboard = dashboard();
    assert_eq!(dashboard["uid"], "linkproof");
    assert_eq!(dashboard["id"], Value::Null, "an id belongs to one Grafana");
    let (mut ids, mut places, mut rows) = (BTreeSet::new(), BTreeSet::new(), 0);
    for panel in list(&dashboard, "/panels") {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels with one id: {panel}");
        rows += u64::from(panel["type"] == "row");
        let of = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for place in
            (of("x")..of("x") + of("w")).flat_map(|x| (of("y")..of("y") + of("h")).map(move |y| (x, y)))
        {
            assert!(place.0 < 24 && places.insert(place), "{} lies on another panel", panel["title"]);
        }
        for target in panel["targets"].as_array().into_iter().flatten() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
    assert_eq!(rows, 2, "one row for the fleet, one for an instance");
}

/// An axis has one unit: seconds and counts do not share a panel.
#[test]
fn no_panel_mixes_units() {
    let unit = |query: &str| {
        let mut names = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = names.find(|name| name.starts_with("linkproof_")).unwrap_or_default();
        ["_seconds", "_bytes"].into_iter().find(|unit| name.ends_with(unit)).unwrap_or("none")
    };
    assert_eq!(
        (unit("max(linkproof_dns_ttl_seconds{a=\"b\"})"), unit("linkproof_dns_addresses")),
        ("_seconds", "none")
    );
    for panel in list(&dashboard(), "/panels").iter().filter(|panel| panel["type"] == "timeseries") {
        let units: BTreeSet<&str> =
            list(panel, "/targets").iter().map(|target| unit(target["expr"].as_str().unwrap())).collect();
        assert_eq!(units.len(), 1, "{}", panel["title"]);
    }
}

#[test]
fn links_lead_to_pages_that_linkproof_serves() {
    let text = dashboard().to_string();
    let paths: BTreeSet<&str> =
        text.split("http://${address}").skip(1).map(|rest| rest.split(['"', '#']).next().unwrap()).collect();
    assert_eq!(paths, BTreeSet::from(["/", "/report", "/runbook"]));
}
