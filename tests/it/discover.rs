//! `linkproof discover` in the lab: what it finds, what it sends, and what it does not claim.

use std::collections::BTreeMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use jsonschema::Validator;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::agent::{file, scratch};
use crate::harness::{BINARY, lab, own_lab};
use crate::lab::{CLOUDWATCH, Fault, Host, Lab, NameAnswer, NameBehavior, Names, Output, Run};

/// Of the whole catalogue in a region.
const LONGEST: Duration = Duration::from_secs(25);

const PUBLIC_SERVICES: [&str; 3] = ["athena", "lambda", "dynamodb"];

/// The rate that the VPC resolver's limit leaves room for.
const BUDGET: u64 = 400;

fn discover(format: &str) -> Run {
    Run::new(BINARY).args(["discover", "--format", format]).timeout(Duration::from_secs(90))
}

/// The document, which must follow its schema.
fn read(output: &Output) -> Value {
    let schema: Value = serde_json::from_str(include_str!("../../packaging/discover.schema.json")).unwrap();
    let validator: Validator = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let document: Value = serde_json::from_str(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let wrong: Vec<String> =
        validator.iter_errors(&document).map(|e| format!("{e} at {}", e.instance_path())).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    document
}

fn names(document: &Value) -> impl Iterator<Item = &Value> {
    let services = document["services"].as_array().unwrap();
    services.iter().flat_map(|service| service["names"].as_array().unwrap())
}

fn name<'a>(document: &'a Value, host: &str) -> &'a Value {
    names(document).find(|name| name["host"] == host).unwrap_or_else(|| panic!("{host} is missing"))
}

fn services_in<'a>(document: &'a Value, state: &str) -> Vec<&'a str> {
    let services = document["services"].as_array().unwrap().iter();
    services.filter(|service| service["state"] == state).map(|s| s["service"].as_str().unwrap()).collect()
}

fn with_public_services() -> Names {
    let host = |service: &&str| format!("{service}.us-east-1.amazonaws.com");
    PUBLIC_SERVICES
        .iter()
        .fold(Names::default(), |names, service| names.record(&host(service), "203.0.113.77"))
}

/// Datagrams that the instance sent since it has its network.
fn datagrams(lab: &Lab) -> u64 {
    lab.on(Host::Instance, || {
        let ipv4 = fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
        let mut lines = ipv4.lines().filter(|line| line.starts_with("Udp:"));
        let (keys, values) = (lines.next().unwrap(), lines.next().unwrap());
        let place = keys.split(' ').position(|key| key == "OutDatagrams").unwrap();
        let ipv6 = fs::read_to_string("/proc/thread-self/net/snmp6").unwrap();
        let ipv6 = ipv6.lines().find(|line| line.starts_with("Udp6OutDatagrams")).unwrap();
        [values.split(' ').nth(place), ipv6.split_whitespace().nth(1)]
            .map(|count| count.unwrap().parse::<u64>().unwrap())
            .iter()
            .sum()
    })
}

/// What an independent program is told for many names, each looked up as an application does.
fn told(lab: &Lab, hosts: &[&str]) -> BTreeMap<String, Value> {
    const PROGRAM: &str = r"
import concurrent.futures, json, socket, sys
def lookup(host):
    try:
        found = socket.getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, 0)
        return sorted({entry[4][0] for entry in found})
    except socket.gaierror as error:
        return error.errno
hosts = json.load(open(sys.argv[1]))
with concurrent.futures.ThreadPoolExecutor(8) as pool:
    print(json.dumps(dict(zip(hosts, pool.map(lookup, hosts)))))
";
    let list = file("json", &serde_json::to_string(hosts).unwrap());
    let output = lab.run(&Run::new("python3").args(["-S", "-c", PROGRAM]).arg(list));
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn a_subnet_is_described_as_its_applications_see_it() {
    let lab = own_lab();
    lab.names(&with_public_services());
    let mut child = lab.spawn(&discover("json"));
    let (mut sent, mut at) = (datagrams(&lab), Instant::now());
    let mut fastest: f64 = 0.0;
    while child.is_running() {
        thread::sleep(Duration::from_secs(1));
        let (now, time) = (datagrams(&lab), Instant::now());
        fastest = fastest.max((now - sent) as f64 / (time - at).as_secs_f64());
        (sent, at) = (now, time);
    }
    let output = child.wait();
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""), "{output:?}");
    let document = read(&output);
    println!("{:?} and {} names; at most {fastest:.0} datagrams/s", output.took, names(&document).count());
    assert!(output.took < LONGEST, "{:?}", output.took);
    assert!(fastest <= BUDGET as f64 * 1.1, "{fastest} datagrams a second");

    assert_eq!((&document["complete"], &document["region"]), (&true.into(), &"us-east-1".into()));
    let private = ["ec2messages", "ecr.api", "kms", "logs", "monitoring", "ssm", "ssmmessages", "sts"];
    assert_eq!(services_in(&document, "private"), private);
    let mut public = services_in(&document, "public");
    public.sort_unstable();
    assert_eq!(public, ["athena", "dynamodb", "lambda", "s3"]);
    for state in ["mixed", "elsewhere", "any_name", "failed", "ranges_unknown"] {
        assert_eq!(services_in(&document, state), Vec::<&str>::new(), "{state}");
    }
    let monitoring = &name(&document, CLOUDWATCH)["addresses"];
    for (place, ip, zone) in [(0, "10.0.1.57", "us-east-1a".into()), (1, "10.0.2.113", Value::Null)] {
        let address = &monitoring[place];
        assert_eq!((&address["ip"], &address["zone"]), (&ip.into(), &zone), "{monitoring}");
        let connect = &address["connect"];
        assert_eq!(
            (&connect["outcome"], &connect["http_status"]),
            (&"pass".into(), &403.into()),
            "{connect}"
        );
    }
    // Two addresses each, and nothing that is public.
    assert_eq!(lab.requests().len(), private.len() * 2);
    assert_eq!(lab.reached_internet().total(), 0);

    let hosts: Vec<&str> = names(&document).map(|name| name["host"].as_str().unwrap()).collect();
    for (host, told) in told(&lab, &hosts) {
        let name = name(&document, &host);
        match &told {
            Value::Array(_) => {
                let mut found: Vec<String> =
                    serde_json::from_value(name["lookup"]["addresses"].clone()).unwrap();
                found.sort();
                assert_eq!(serde_json::to_value(found).unwrap(), told, "{host}");
            }
            // EAI_NONAME
            code => {
                assert_eq!(code, -2, "{host}");
                assert_eq!(
                    (&name["lookup"]["code"], &name["state"]),
                    (&"EAI_NONAME".into(), &"not_found".into())
                );
            }
        }
        assert_eq!(name["disagrees"], false, "{host}");
    }
}

#[test]
fn a_silent_resolver_leaves_everything_unknown() {
    let lab = own_lab();
    lab.set([Fault::DnsSilent]);
    let output = lab.run(&discover("json"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let sentence = "linkproof: INCOMPLETE: stopped because no name server answered for many names in a row.";
    assert!(output.stderr.starts_with(sentence), "{output:?}");
    let document = read(&output);
    assert_eq!((&document["complete"], &document["ended"]), (&false.into(), &"no_answers".into()));
    for state in ["private", "public", "not_found", "no_address", "any_name"] {
        assert_eq!(services_in(&document, state), Vec::<&str>::new(), "{state}");
    }
    assert!(output.took < LONGEST, "{:?}", output.took);
    assert!(services_in(&document, "failed").contains(&"monitoring"));
    assert!(services_in(&document, "not_looked_at").contains(&"athena"));
}

#[test]
fn what_disagrees_is_shown_and_a_wildcard_shows_no_endpoint() {
    let lab = own_lab();
    lab.set([Fault::HostsFilePins]);
    lab.names(&Names::default().record("*.us-east-1.api.aws", "10.0.1.57"));
    let path = scratch("toml");
    let output = lab.run(&discover("toml").arg("--output").arg(&path));
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(0), ""), "{output:?}");
    let written = fs::read_to_string(&path).unwrap();
    let checked = lab.run(&Run::new(BINARY).args(["--check-config", "--config"]).arg(&path));
    assert_eq!(checked.status.code(), Some(0), "{checked:?}\n{written}");
    assert!(written.contains("host = \"kms.us-east-1.amazonaws.com\""), "{written}");
    assert!(!written.contains("service = \"monitoring\""), "{written}");
    assert!(!written.lines().any(|line| line.contains("host") && line.contains("api.aws\"")), "{written}");
    let wildcard = "# - Names below us-east-1.api.aws that do not exist resolve to 10.0.1.57:";
    assert!(written.contains(wildcard), "{written}");

    // The configuration finds what discover found.
    let config = format!("{written}\n[egress]\nenabled = false\n");
    let once = lab.run(&Run::new(BINARY).args(["--once", "--config"]).arg(file("toml", &config)));
    assert_eq!(once.status.code(), Some(0), "{once:?}");

    let output = lab.run(&discover("text"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let flat = output.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let difference = "monitoring.us-east-1.amazonaws.com: applications get 203.0.113.20 (/etc/hosts, line 3), \
                      the VPC resolver says 10.0.1.57, 10.0.2.113";
    assert!(flat.contains(difference), "{flat}");
    let any = "Names below us-east-1.api.aws that do not exist resolve to 10.0.1.57";
    assert!(flat.contains(any), "{flat}");
}

#[test]
fn a_resolver_that_answers_for_any_name_shows_no_endpoint() {
    let lab = own_lab();
    let any = ["10.0.1.57".parse().unwrap()];
    // The other names than CloudWatch's are "searched" to it.
    let behavior =
        NameBehavior { searched: NameAnswer::Addresses(any.to_vec()), ..NameBehavior::addresses(&any) };
    let server = Names::default().server(Host::CorporateDns, "10.0.1.53:53", behavior);
    lab.names(&server.resolv_conf("nameserver 10.0.1.53\n"));
    let output = lab.run(&discover("json"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let document = read(&output);
    for state in ["private", "public", "not_found"] {
        assert_eq!(services_in(&document, state), Vec::<&str>::new(), "{state}");
    }
    assert!(names(&document).all(|name| name["state"] == "any_name"));
    assert_eq!(name(&document, CLOUDWATCH)["disagrees"], true);
    assert!(lab.requests().is_empty(), "{:?}", lab.requests());
}

#[test]
fn without_metadata_the_region_is_needed_and_nothing_is_called_private() {
    let lab = own_lab();
    lab.set([Fault::MetadataDisabled]);
    let refused = lab.run(&discover("text"));
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(78), ""), "{refused:?}");
    let message = "linkproof: cannot determine the AWS region from instance metadata (";
    assert!(refused.stderr.starts_with(message) && refused.stderr.contains("add --region"), "{refused:?}");
    let unusable = lab.run(&discover("text").args(["--region", "Frankfurt"]));
    assert_eq!(unusable.status.code(), Some(64), "{unusable:?}");

    let document = read(&lab.run(&discover("json").args(["--region", "us-east-1"])));
    assert_eq!((&document["vpc_id"], &document["vpc_cidrs"]), (&Value::Null, &Value::Array(vec![])));
    assert_eq!(name(&document, CLOUDWATCH)["state"], "ranges_unknown");
    assert_eq!(services_in(&document, "private"), Vec::<&str>::new());
    assert!(lab.requests().is_empty(), "only what is private is connected to");
}

#[test]
fn ipv6_alone_is_described_over_ipv6() {
    let lab = own_lab();
    lab.set([Fault::InstanceIpv4Absent, Fault::DnsAaaa]);
    let output = lab.run(&discover("json"));
    assert_eq!((output.status.code(), output.stderr.as_str()), (Some(0), ""), "{output:?}");
    let document = read(&output);
    let addresses = name(&document, CLOUDWATCH)["addresses"].as_array().unwrap();
    for address in addresses {
        let is_ipv6 = address["ip"].as_str().unwrap().contains(':');
        assert_eq!(address["connect"]["outcome"] == "pass", is_ipv6, "{address}");
        assert_eq!(address["connect"].is_null(), !is_ipv6, "nothing is sent where nothing can be: {address}");
    }
    assert_eq!(addresses.len(), 4, "{addresses:?}");
    // An endpoint with IPv4 addresses alone.
    assert_eq!(name(&document, "kms.us-east-1.amazonaws.com")["state"], "private");
    assert_eq!(lab.requests().len(), 2);
}

#[test]
fn an_interrupt_shows_what_is_known_so_far() {
    let lab = lab();
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        assert_known_so_far(&lab, signal);
    }
}

fn assert_known_so_far(lab: &Lab, signal: Signal) {
    let child = lab.spawn(&discover("json"));
    thread::sleep(Duration::from_secs(4));
    child.signal(signal);
    let output = child.wait();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(output.took < Duration::from_secs(8), "{output:?}");
    assert!(output.stderr.starts_with("linkproof: INCOMPLETE: interrupted before every name"), "{output:?}");
    let document = read(&output);
    assert_eq!((&document["complete"], &document["ended"]), (&false.into(), &"interrupted".into()));
    assert_eq!(name(&document, CLOUDWATCH)["state"], "private");
    let connect = &name(&document, CLOUDWATCH)["addresses"][0]["connect"];
    assert_eq!(connect, &Value::Null, "connections come after the lookups");
    assert_eq!(name(&document, "kms-fips.us-east-1.api.aws")["state"], "not_looked_at");
}
