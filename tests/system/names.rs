//! The dns check against what applications are told where systemd-resolved and the modules of
//! other packages answer them, on a booted system.

use crate::lab::Fault;
use crate::machine::Machine;

const NAME: &str = "monitoring.us-east-1.amazonaws.com";

/// getaddrinfo with flags 0, eight times, each in a process of its own.
const LOOKUPS: &str = "for i in 1 2 3 4 5 6 7 8; do perl -MSocket=:addrinfo,SOCK_STREAM -e '
    my ($error, @found) = Socket::getaddrinfo($ARGV[0], \"\", {flags => 0, socktype => SOCK_STREAM});
    print join(\" \", $error ? \"error\" : \"found\",
        map { (Socket::getnameinfo($_->{addr}, NI_NUMERICHOST, NIx_NOSERV))[1] } @found), \"\\n\";
' NAME; done";

const CONFIG: &str = "egress.enabled = false\n[[endpoint]]\nservice = \"monitoring\"\n";

/// As Debian, Fedora and Ubuntu install them.
const HOSTS_LINES: [&str; 4] = [
    "files resolve [!UNAVAIL=return] dns",
    "files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns",
    "files mdns4_minimal [NOTFOUND=return] dns",
    "files myhostname resolve",
];

const FAULTS: [&[Fault]; 5] =
    [&[], &[Fault::PrivateDnsOff], &[Fault::NameNotFound], &[Fault::DnsServfail], &[Fault::DnsMixed]];

fn resolv_conf(server: &str) -> String {
    format!("nameserver {server}\nsearch ec2.internal\n")
}

/// Whether all of the eight lookups found private addresses alone.
fn applications_are_told_private(machine: &Machine) -> bool {
    let told = machine.say(&LOOKUPS.replace("NAME", NAME));
    let told: Vec<bool> = told
        .lines()
        .map(|line| {
            line.strip_prefix("found ").is_some_and(|ips| ips.split(' ').all(|ip| ip.starts_with("10.0.")))
        })
        .collect();
    assert_eq!(told.len(), 8);
    assert!(told.iter().all(|right| *right == told[0]), "{told:?}");
    told[0]
}

fn report(machine: &Machine) -> serde_json::Value {
    let report = machine.run("linkproof --once --format json").stdout;
    serde_json::from_str(&report).expect("a report")
}

fn dns_outcome(report: &serde_json::Value) -> String {
    let checks = report["checks"].as_array().expect("checks");
    let dns = checks.iter().find(|check| check["id"] == "monitoring/dns").expect("the check");
    dns["outcome"].as_str().expect("an outcome").to_owned()
}

fn machine_with_resolved() -> Machine {
    let machine = Machine::boot();
    crate::service::install(&machine);
    machine.write("/etc/linkproof/linkproof.toml", CONFIG);
    machine.write(
        "/etc/systemd/resolved.conf.d/vpc.conf",
        "[Resolve]\nDNS=10.0.0.2\nDomains=ec2.internal\nFallbackDNS=\n",
    );
    machine.say("systemctl stop linkproof && systemctl start systemd-resolved");
    machine
}

#[test]
fn what_systemd_resolved_remembers_fails_the_check_until_it_is_flushed() {
    let machine = machine_with_resolved();
    machine.write("/etc/resolv.conf", &resolv_conf("127.0.0.53"));
    machine.lab().set([Fault::PrivateDnsOff]);
    assert!(!applications_are_told_private(&machine));
    machine.lab().set([]);
    assert!(!applications_are_told_private(&machine), "systemd-resolved remembers");
    let stale = report(&machine);
    assert_eq!(dns_outcome(&stale), "fail");
    assert_eq!(stale["diagnoses"][0]["cause"], "stale_host_cache", "{stale:#}");
    let remedy = stale["diagnoses"][0]["remedy"].as_str().expect("a remedy");
    assert!(remedy.contains("resolvectl flush-caches"), "{remedy}");
    machine.say("resolvectl flush-caches");
    assert!(applications_are_told_private(&machine));
    assert_eq!(dns_outcome(&report(&machine)), "pass");
}

#[test]
fn dns_says_what_systemd_resolved_and_other_modules_tell_applications() {
    let machine = machine_with_resolved();
    let mut passes = 0;
    for server in ["127.0.0.53", "10.0.0.2"] {
        machine.write("/etc/resolv.conf", &resolv_conf(server));
        for hosts in HOSTS_LINES {
            machine.write("/etc/nsswitch.conf", &format!("passwd: files\nhosts: {hosts}\n"));
            for faults in FAULTS {
                machine.lab().set(faults.iter().copied());
                machine.say("resolvectl flush-caches");
                let expected = if applications_are_told_private(&machine) { "pass" } else { "fail" };
                let outcome = dns_outcome(&report(&machine));
                assert_eq!(outcome, expected, "{faults:?}, hosts: {hosts}, nameserver {server}");
                passes += usize::from(outcome == "pass");
            }
        }
    }
    assert_eq!(passes, 8, "each way of looking up passes without a fault, and only then");
}
