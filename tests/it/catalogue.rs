//! The catalogue against botocore's own endpoint rules: what the SDKs of AWS ask is what
//! `linkproof services` says, in every partition.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::harness::BINARY;

/// Two of each partition that has two, and of the commercial one those that are treated apart.
const REGIONS: [&str; 16] = [
    "us-east-1",
    "us-west-2",
    "ca-central-1",
    "eu-west-1",
    "mx-central-1",
    "cn-north-1",
    "cn-northwest-1",
    "us-gov-west-1",
    "us-gov-east-1",
    "eusc-de-east-1",
    "us-iso-east-1",
    "us-iso-west-1",
    "us-isob-east-1",
    "us-isob-west-1",
    "eu-isoe-west-1",
    "us-isof-south-1",
];

/// Services whose names no SDK asks, and where the names come from instead.
const NOT_IN_BOTOCORE: &[(&str, &str)] = &[
    ("appmesh-envoy-management", "asked by Envoy; in public Terraform files"),
    ("apprunner.requests", "no private DNS: the names of the user's own services"),
    ("appstream.streaming", "asked by the streaming client; AWS's guide on ports"),
    ("appsync-api", "a label of the user's before it; AWS's Landing Zone Accelerator"),
    ("aps-workspaces", "asked by Prometheus; in public Terraform files"),
    ("awsconnector", "asked by the migration connector; in public Terraform files"),
    ("codeartifact.repositories", "a label of the user's before it; AWS's Landing Zone Accelerator"),
    ("codedeploy-commands-secure", "asked by the agent; in public Terraform files"),
    ("deviceadvisor.iot", "asked by devices; AWS's Landing Zone Accelerator"),
    ("ec2messages", "asked by the SSM agent; recorded in a VPC"),
    ("ecr.dkr", "asked by Docker, the account before it; recorded in a VPC"),
    ("ecs-agent", "asked by the ECS agent; AWS's Landing Zone Accelerator"),
    ("ecs-telemetry", "asked by the ECS agent; AWS's Landing Zone Accelerator"),
    ("elasticbeanstalk-health", "asked by the health agent; in public Terraform files"),
    ("email-smtp", "asked by mail servers; in public Terraform files"),
    ("finspace", "gone from the SDKs; in public Terraform files"),
    ("finspace-api", "gone from the SDKs; in public Terraform files"),
    ("git-codecommit", "asked by Git; in public Terraform files"),
    ("grafana-workspace", "a label of the user's before it; AWS's Landing Zone Accelerator"),
    ("guardduty-data", "asked by the GuardDuty agent; recorded in a VPC"),
    ("iot.credentials", "no private DNS: a label of the account before it"),
    ("lorawan.cups", "asked by gateways, a label before it; AWS's Landing Zone Accelerator"),
    ("lorawan.lns", "asked by gateways, a label before it; AWS's Landing Zone Accelerator"),
    ("neptune-graph-data", "no private DNS: the graph before it"),
    ("notebook", "asked by browsers, a label before it; AWS's Landing Zone Accelerator"),
    ("panorama", "gone from the SDKs; in public Terraform files"),
    ("route53globalresolver", "the SDK puts any region in, the service is in us-east-2 alone"),
    ("s3-global.accesspoint", "the alias before it; AWS's guide on multi-region access points"),
    ("ssmmessages", "asked by the SSM agent; recorded in a VPC"),
    ("studio", "asked by browsers, a label before it; AWS's Landing Zone Accelerator"),
    ("transcribestreaming", "the SDKs for streaming are others; in public Terraform files"),
    ("transfer.server", "asked by SFTP clients, the server before it; AWS's Landing Zone Accelerator"),
];

/// Names beside those that the SDKs ask, by how they begin, and where they come from.
const OTHER_NAMES: &[(&str, &str, &str)] = &[
    ("logs", "streaming-logs.", "recorded in the private DNS of the endpoint"),
    ("s3", "s3-accesspoint.", "AWS's guide; SDKs put the access point before it"),
    ("s3", "s3-accesspoint-fips.", "AWS's guide; SDKs put the access point before it"),
];

/// The region, and the kind of a name as the JSON of both writes it.
type Place = (String, String);

/// What the operations of a botocore service that share a host ask at each place.
static BOTOCORE: LazyLock<BTreeMap<(String, String), BTreeMap<Place, String>>> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = root.join("target/tools/botocore");
    assert!(library.is_dir(), "{} is missing: run .ci/install tests", library.display());
    let output = Command::new("python3")
        .arg(root.join("tests/it/catalogue/endpoints.py"))
        .args(REGIONS)
        .env("PYTHONPATH", library)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success());
    let mut hosts: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        let asked = hosts.entry((text("service"), text("operations"))).or_default();
        asked.insert((text("region"), text("variant")), text("host"));
    }
    assert!(hosts.len() > 400, "botocore knows {} services", hosts.len());
    hosts
});

/// The names of each service at each place, wildcards left out.
static CATALOGUE: LazyLock<BTreeMap<String, BTreeMap<Place, BTreeSet<String>>>> = LazyLock::new(|| {
    let mut services: BTreeMap<String, BTreeMap<Place, BTreeSet<String>>> = BTreeMap::new();
    for region in REGIONS {
        for service in listed(region) {
            // Their names are those of the plain service once more.
            if service["fips_service"].is_null() && service["service"].as_str().unwrap().contains("-fips") {
                continue;
            }
            let places = services.entry(service["service"].as_str().unwrap().to_owned()).or_default();
            for name in service["names"].as_array().unwrap() {
                let place = (region.to_owned(), name["kind"].as_str().unwrap().to_owned());
                places.entry(place).or_default().insert(name["name"].as_str().unwrap().to_owned());
            }
        }
    }
    services
});

fn listed(region: &str) -> Vec<Value> {
    let output = services(&["--region", region, "--format", "json"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["services"].as_array().unwrap().clone()
}

fn services(arguments: &[&str]) -> std::process::Output {
    Command::new(BINARY).arg("services").args(arguments).output().unwrap()
}

/// What is asked at each place by operations that share a host, with their botocore service.
type Asked = (&'static str, &'static BTreeMap<Place, String>);

/// What the operations behind each service of the catalogue ask. They are found by the name of the
/// first region, and compared in all of them.
static ASKED: LazyLock<BTreeMap<&str, Vec<Asked>>> = LazyLock::new(|| {
    let home = (REGIONS[0].to_owned(), "regional".to_owned());
    let names = CATALOGUE.iter().flat_map(|(service, places)| {
        places.get(&home).into_iter().flatten().map(move |name| (name.as_str(), service.as_str()))
    });
    let owners: BTreeMap<&str, &str> = names.collect();
    let mut found: BTreeMap<&str, Vec<Asked>> = BTreeMap::new();
    for ((botocore, _), asked) in BOTOCORE.iter() {
        if let Some(service) = asked.get(&home).and_then(|host| owners.get(host.as_str())) {
            found.entry(service).or_default().push((botocore, asked));
        }
    }
    found
});

#[test]
fn what_botocore_asks_is_in_the_catalogue() {
    let mut missing = BTreeSet::new();
    let mut compared = 0;
    for (service, groups) in ASKED.iter() {
        let places = &CATALOGUE[*service];
        let regions: BTreeSet<&String> = places.keys().map(|(region, _)| region).collect();
        for (botocore, asked) in groups {
            for (place, host) in asked.iter().filter(|((region, _), _)| regions.contains(region)) {
                compared += 1;
                if !places.get(place).is_some_and(|names| names.contains(host)) {
                    missing.insert(format!("{service} ({botocore}), {}, {}: {host}", place.0, place.1));
                }
            }
        }
    }
    assert!(compared > 10_000, "only {compared} names were compared");
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn what_is_in_the_catalogue_botocore_asks() {
    let mut extra = BTreeSet::new();
    let mut excused = BTreeSet::new();
    for (service, groups) in ASKED.iter() {
        for (place, names) in &CATALOGUE[*service] {
            let asked: BTreeSet<&String> = groups.iter().filter_map(|(_, asked)| asked.get(place)).collect();
            for name in names.iter().filter(|name| !name.starts_with("*.") && !asked.contains(name)) {
                let excuse =
                    OTHER_NAMES.iter().find(|(of, start, _)| of == service && name.starts_with(start));
                match excuse {
                    Some((_, start, _)) => _ = excused.insert(*start),
                    None => _ = extra.insert(format!("{service}, {}, {}: {name}", place.0, place.1)),
                }
            }
        }
    }
    assert!(extra.is_empty(), "{extra:#?}");
    assert_eq!(
        excused,
        OTHER_NAMES.iter().map(|(_, start, _)| *start).collect(),
        "every exception is needed"
    );
}

#[test]
fn services_that_no_sdk_asks_are_named() {
    let unknown: Vec<&str> =
        CATALOGUE.keys().map(String::as_str).filter(|service| !ASKED.contains_key(service)).collect();
    let expected: Vec<&str> = NOT_IN_BOTOCORE.iter().map(|(service, _)| *service).collect();
    assert_eq!(unknown, expected);
}

/// Who searches for the name of an SDK finds the service.
#[test]
fn names_of_sdks_find_their_services() {
    let mut lost = BTreeSet::new();
    for (service, groups) in ASKED.iter() {
        for (botocore, _) in groups {
            let output = services(&[botocore, "--format", "json"]);
            let found = String::from_utf8(output.stdout).unwrap();
            if !found.contains(&format!("\"service\": \"{service}\"")) {
                lost.insert(format!("{botocore} does not find {service}"));
            }
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
}

/// The list is longer than a pipe holds.
#[test]
fn a_reader_that_leaves_early_is_no_error() {
    let mut child = Command::new(BINARY)
        .args(["services", "--format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn what_is_not_there_is_an_error_with_a_hint() {
    let output = services(&["lamda"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "linkproof: no service matches \"lamda\"; did you mean \"lambda\"?\n");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]));
    assert_eq!(services(&["--region", "Frankfurt"]).status.code(), Some(64));
}
