//! The Debian package on a booted systemd: installed, started, reloaded, killed, stuck, rebooted,
//! upgraded, removed, purged.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::lab::{Fault, Host, Run};
use crate::machine::Machine;
use crate::package;

/// A first round takes some seconds, a second one half a minute more.
pub const ROUNDS: Duration = Duration::from_secs(90);
pub const SOON: Duration = Duration::from_secs(20);

pub const CONFIG: &str = "/etc/linkproof/linkproof.toml";
const RAW_SOCKETS: &str = "install -D -m 644 /usr/share/linkproof/raw-sockets.conf \
     /etc/systemd/system/linkproof.service.d/raw-sockets.conf && systemctl daemon-reload";

/// What a package may not leave behind. What others write while a system runs is left out.
const TRACES: &str = "find /etc /usr /var /opt /home /root /srv -xdev \
     ! -path '/root*' ! -path '/var/lib/dpkg*' ! -path '/var/log*' ! -path '/var/cache*' \
     ! -path '/etc/machine-id' ! -path '/var/tmp/systemd-private-*-systemd-*'";

fn installed() -> Machine {
    let machine = Machine::boot();
    install(&machine);
    machine
}

pub fn install(machine: &Machine) {
    let package = machine.bring(&package("_amd64.deb"));
    machine.say(&format!("dpkg --install {package}"));
}

/// To the same again with another version, as the next release will be.
pub fn upgrade(machine: &Machine) {
    let package = machine.bring(&package("_amd64.deb"));
    machine.say(&format!(
        "cd /root && dpkg-deb -R {package} next && sed -i 's/^Version: .*/Version: 99-1/' next/DEBIAN/control \
         && echo '# A new default.' >> next/etc/linkproof/linkproof.toml \
         && dpkg-deb --build next next.deb && dpkg --install --force-confdef --force-confold next.deb"
    ));
}

pub fn traces(machine: &Machine) -> BTreeSet<String> {
    machine.say(TRACES).lines().map(str::to_owned).collect()
}

pub fn scrape(machine: &Machine) -> String {
    let scrape = || {
        let mut connection = TcpStream::connect(("127.0.0.1", 10042))?;
        connection.write_all(b"GET /metrics HTTP/1.1\r\nHost: instance\r\n\r\n")?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok::<_, std::io::Error>(answer)
    };
    machine.lab().on(Host::Instance, scrape).expect("the daemon listens once it is ready")
}

pub fn passes(machine: &Machine) -> bool {
    machine.property("StatusText").starts_with("PASS")
}

#[test]
fn installing_starts_a_service_that_proves_the_subnet() {
    let machine = installed();
    assert_eq!(machine.property("ActiveState"), "active");
    assert_eq!(machine.property("UnitFileState"), "enabled");
    assert!(scrape(&machine).contains("linkproof_build_info{"), "a scrape right after READY is answered");
    machine.until("the subnet is proven", ROUNDS, || passes(&machine));
    assert!(scrape(&machine).contains("linkproof_check_success{check=\"egress/ipv4\",target=\"ipv4\"} 1"));

    let pid = machine.property("MainPID");
    let process = machine.say(&format!("cat /proc/{pid}/status"));
    for capabilities in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(process.contains(&format!("{capabilities}:\t0000000000000000\n")), "{process}");
    }
    assert_eq!(machine.run("getent -s files passwd linkproof").stdout, "", "the user is dynamic");
    let verified = machine.run(
        "systemd-analyze verify --man=no /lib/systemd/system/linkproof.service /lib/systemd/system/linkproof-once.service",
    );
    assert_eq!((verified.status.code(), verified.stderr.as_str()), (Some(0), ""));
    machine.say("systemd-analyze security --no-pager --threshold=13 linkproof.service");
}

#[test]
fn reloading_takes_a_good_configuration_and_refuses_a_bad_one() {
    let machine = installed();
    let pid = machine.property("MainPID");
    machine.write(CONFIG, "[[endpoint]]\nservice = \"ssm\"\n");
    machine.say("systemctl reload linkproof");
    machine.until("the new endpoint is looked at", SOON, || scrape(&machine).contains("check=\"ssm/dns\""));

    machine.write(CONFIG, "[[endpoint]]\nservise = \"ssm\"\n");
    let refused = machine.run("systemctl reload linkproof");
    assert!(!refused.status.success(), "systemctl tells of the mistake: {refused:?}");
    machine.until("the daemon tells of it as well", SOON, || {
        scrape(&machine).contains("linkproof_config_last_reload_successful 0")
    });
    assert!(machine.journal().contains("/etc/linkproof/linkproof.toml:2:1: "), "{}", machine.journal());
    assert!(scrape(&machine).contains("check=\"ssm/dns\""), "the old one stays in force");
    assert_eq!((machine.property("ActiveState").as_str(), machine.property("MainPID")), ("active", pid));
}

#[test]
fn the_journal_knows_the_severity_of_each_line() {
    let machine = installed();
    machine.lab().inject(Fault::NatOpen);
    machine.say("systemctl restart linkproof");
    let pid = machine.property("MainPID");
    machine.until("the way out is told", ROUNDS, || machine.journal().contains("internet_route_open"));
    machine.write(CONFIG, "[[endpoint]]\nservise = \"ssm\"\n");
    machine.run("systemctl reload linkproof");
    let journal = |options: &str| machine.say(&format!("journalctl --no-pager {options} _PID={pid}"));
    machine.until("the mistake is told", SOON, || journal("-o cat").contains("linkproof.toml:2:1: "));

    let entries: Vec<serde_json::Value> =
        journal("-o json").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let severity = |words: &str| -> BTreeSet<&str> {
        let text = |entry: &'_ serde_json::Value| entry["MESSAGE"].as_str().unwrap().contains(words);
        entries.iter().filter(|entry| text(entry)).map(|entry| entry["PRIORITY"].as_str().unwrap()).collect()
    };
    assert_eq!(severity("Ready."), BTreeSet::from(["6"]));
    assert_eq!(severity("outcome=\"fail\""), BTreeSet::from(["4"]));
    // The message has two lines.
    assert_eq!(severity("Reload failed"), BTreeSet::from(["3"]));
    assert_eq!(severity("linkproof.toml:2:1: "), BTreeSet::from(["3"]));
    assert_eq!(severity("<"), BTreeSet::new(), "the journal takes the severity off: {entries:?}");
    let warnings = machine.say("journalctl --no-pager -u linkproof -p warning -o cat");
    assert!(warnings.contains("internet_route_open") && !warnings.contains("Ready."), "{warnings}");
}

/// As an operator does it who follows the guide, word for word.
#[test]
fn node_exporter_can_read_the_textfile_and_keeps_it_while_the_service_is_stopped() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/fleet.md")).unwrap();
    let block =
        |kind: &str| guide.split(&format!("```{kind}\n")).nth(1).unwrap().split("```").next().unwrap();
    let machine = installed();
    for line in guide.lines().filter(|line| line.starts_with("    useradd ")) {
        machine.say(line);
    }
    machine.write(CONFIG, block("toml"));
    machine.write("/etc/systemd/system/linkproof.service.d/textfile.conf", block("ini"));
    machine.say("systemctl daemon-reload && systemctl restart linkproof");
    let read = || {
        machine.run("setpriv --reuid=65534 --regid=65534 --clear-groups cat /run/linkproof/linkproof.prom")
    };
    machine.until("another user reads it", SOON, || read().stdout.contains("linkproof_check_success{"));
    machine.say("systemctl stop linkproof");
    assert!(read().stdout.contains("linkproof_check_success{"), "{:?}", read());
    machine.say(
        "systemctl start linkproof && systemd-analyze security --no-pager --threshold=15 linkproof.service",
    );
}

#[test]
fn a_killed_daemon_comes_back() {
    let machine = installed();
    let pid = machine.property("MainPID");
    machine.say(&format!("kill -KILL {pid}"));
    machine.until("it is started again", SOON, || machine.property("NRestarts") == "1");
    machine.until("it is ready again", SOON, || machine.property("ActiveState") == "active");
    assert_ne!(machine.property("MainPID"), pid);
}

#[test]
fn a_stuck_daemon_is_replaced() {
    let machine = installed();
    let pid = machine.property("MainPID");
    machine.say(&format!("kill -STOP {pid}"));
    machine.until("the watchdog bites", Duration::from_mins(1), || machine.property("NRestarts") == "1");
    machine.until("a new one is ready", SOON, || machine.property("ActiveState") == "active");
    assert!(machine.say("journalctl --no-pager -o cat").contains("linkproof.service: Watchdog timeout"));
}

#[test]
fn a_wrong_configuration_ends_the_service_once() {
    let machine = installed();
    machine.write(CONFIG, "interval = \"never\"\n");
    assert!(!machine.run("systemctl restart linkproof").status.success());
    assert_eq!(machine.property("ExecMainStatus"), "78");
    assert_eq!(
        (machine.property("ActiveState").as_str(), machine.property("SubState").as_str()),
        ("failed", "failed"),
        "it does not wait for another start"
    );
    assert_eq!(machine.property("NRestarts"), "0");
    assert!(machine.journal().contains("/etc/linkproof/linkproof.toml:1:12: "), "{}", machine.journal());
    machine.write(CONFIG, "");
    machine.say("systemctl start linkproof");
}

#[test]
fn it_starts_at_boot_while_names_and_metadata_are_dead_and_picks_up_what_comes_back() {
    let mut machine = installed();
    machine.lab().set([Fault::DnsSilent, Fault::MetadataSilent]);
    machine.reboot();
    assert_eq!(machine.property("ActiveState"), "active");
    machine.until("what is dead is told", SOON, || {
        let status = machine.property("StatusText");
        !status.is_empty() && !status.starts_with("PASS")
    });
    let pid = machine.property("MainPID");
    machine.lab().set([]);
    machine.until("what came back is seen", 2 * ROUNDS, || passes(&machine));
    assert_eq!((machine.property("MainPID"), machine.property("NRestarts")), (pid, "0".to_owned()));
}

#[test]
fn upgrading_keeps_an_edited_configuration_and_purging_leaves_nothing() {
    let machine = Machine::boot();
    let before = traces(&machine);
    install(&machine);
    machine.write(CONFIG, "interval = \"20s\"\n");
    let pid = machine.property("MainPID");
    upgrade(&machine);
    assert_eq!(machine.say(&format!("cat {CONFIG}")), "interval = \"20s\"");
    assert_eq!(machine.property("ActiveState"), "active");
    assert_ne!(machine.property("MainPID"), pid, "the new binary runs");

    machine.say("dpkg --remove linkproof");
    assert!(!machine.run("systemctl is-active linkproof").status.success());
    assert!(traces(&machine).contains(CONFIG), "the configuration stays until the purge");
    machine.say("dpkg --purge linkproof");
    let after = traces(&machine);
    assert_eq!(after.symmetric_difference(&before).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!(machine.run("systemctl list-units --all --no-legend 'linkproof*'").stdout, "");
}

#[test]
fn raw_sockets_are_for_where_ping_sockets_are_closed() {
    let machine = installed();
    machine.lab().inject(Fault::PingForbidden);
    machine.say("systemctl restart linkproof");
    let denied = "linkproof_check_reason{check=\"egress/ipv4\",target=\"ipv4\",reason=\"not_permitted\"} 1";
    machine.until("it says that it cannot ping", ROUNDS, || scrape(&machine).contains(denied));

    machine.say(RAW_SOCKETS);
    machine.say("systemctl restart linkproof");
    machine.until("the subnet is proven", ROUNDS, || passes(&machine));
    let process = machine.say(&format!("cat /proc/{}/status", machine.property("MainPID")));
    for capabilities in ["CapPrm", "CapEff", "CapBnd"] {
        assert!(
            process.contains(&format!("{capabilities}:\t0000000000002000\n")),
            "CAP_NET_RAW alone: {process}"
        );
    }
    machine.say("systemd-analyze security --no-pager --threshold=15 linkproof.service");
}

const WITHOUT_IPV6: &str =
    "[Service]\nRestrictAddressFamilies=\nRestrictAddressFamilies=AF_INET AF_NETLINK AF_UNIX\n";

#[test]
fn a_sandbox_without_ipv6_sockets_does_not_pass_for_closed_egress() {
    let machine = installed();
    machine.write("/etc/systemd/system/linkproof.service.d/without-ipv6.conf", WITHOUT_IPV6);
    machine.say("systemctl daemon-reload && systemctl restart linkproof");
    let denied = "linkproof_check_reason{check=\"egress/ipv6\",target=\"ipv6\",reason=\"no_resources\"} 1";
    machine.until("it says that it cannot look", ROUNDS, || scrape(&machine).contains(denied));
    let report = machine.say("linkproof status || true");
    assert!(report.contains("EAFNOSUPPORT") || report.contains("not supported"), "{report}");
}

/// Pings get out, and what comes back is an error from out there: no reply, and yet a way out.
const REFUSED_OUTSIDE: &str = "add table inet refuse; \
     add chain inet refuse input { type filter hook input priority -10; }; \
     add rule inet refuse input ip daddr != 192.0.2.0/24 icmp type echo-request reject with icmp admin-prohibited";

#[test]
fn a_rejection_is_told_from_silence_with_and_without_raw_sockets() {
    let machine = installed();
    machine.lab().inject(Fault::NatOpenIcmpOnly);
    let refuse = || Command::new("/usr/sbin/nft").arg(REFUSED_OUTSIDE).status();
    let leak =
        "linkproof_check_reason{check=\"egress/ipv4\",target=\"ipv4\",reason=\"error_from_outside\"} 1";
    for mode in ["dgram", "raw"] {
        if mode == "raw" {
            // Ping sockets come first wherever the kernel allows them.
            machine.lab().inject(Fault::PingForbidden);
            machine.say(RAW_SOCKETS);
        }
        assert!(machine.lab().on(Host::Internet, refuse).unwrap().success());
        machine.say("systemctl restart linkproof");
        machine.until("the way out is seen", ROUNDS, || scrape(&machine).contains(leak));
        let socket = format!("linkproof_icmp_socket_info{{check=\"egress/ipv4\",mode=\"{mode}\"}} 1");
        assert!(scrape(&machine).contains(&socket), "{mode}");
    }
}

const AFTER_THE_PROOF: &str = "[Unit]\nRequires=linkproof-once.service\nAfter=linkproof-once.service\n\
     [Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n";

#[test]
fn a_unit_that_requires_the_proof_waits_for_it() {
    let machine = installed();
    machine.write("/etc/systemd/system/application.service", AFTER_THE_PROOF);
    machine.lab().set([Fault::DnsSilent]);
    machine.say("systemctl daemon-reload && systemctl start --no-block application");
    machine.until("a first round has failed", ROUNDS, || machine.journal().contains("seconds_left"));
    assert_eq!(machine.run("systemctl is-active application").stdout.trim(), "inactive");
    machine.lab().set([]);
    machine.say("systemctl start application");
    assert_eq!(machine.run("systemctl is-active application").stdout.trim(), "active");
}

#[test]
fn a_unit_that_requires_the_proof_does_not_start_beside_a_way_out() {
    let machine = installed();
    machine.write("/etc/systemd/system/application.service", AFTER_THE_PROOF);
    machine.lab().set([Fault::NatOpen]);
    assert!(!machine.run("systemctl daemon-reload && systemctl start application").status.success());
    assert_eq!(machine.run("systemctl is-active application").stdout.trim(), "inactive");
    assert!(machine.journal().contains("internet_route_open"), "{}", machine.journal());
}

const KEY_HANDED_OVER: &str = "[Service]\nLoadCredential=web.key:/etc/pki/tls/private/linkproof.key\n";

/// The example as it ships, with the files where it says that they are.
#[test]
fn its_own_port_is_encrypted_with_a_key_that_only_root_can_read() {
    let machine = installed();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // Of its own, or every certificate would look as if it had signed itself.
    authority.distinguished_name.push(DnType::CommonName, "authority");
    let key = KeyPair::generate().unwrap();
    let trusted = authority.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(authority, key);
    let sign = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let signed = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, &issuer);
        (signed.unwrap().pem(), key.serialize_pem())
    };
    let (server, client) = (sign("instance.example"), sign("prometheus.example"));
    for (path, text) in [
        ("/etc/pki/tls/certs/linkproof.pem", &server.0),
        ("/etc/pki/tls/private/linkproof.key", &server.1),
        ("/etc/pki/tls/certs/monitoring-ca.pem", &trusted),
        ("/root/client.pem", &format!("{}{}", client.0, client.1)),
    ] {
        machine.write(path, text);
    }
    machine.write("/etc/systemd/system/linkproof.service.d/web.conf", KEY_HANDED_OVER);
    machine.write(CONFIG, "web.config_file = \"/etc/linkproof/web.yml\"\n");
    machine.say(
        "cp /usr/share/doc/linkproof/examples/web.yml /etc/linkproof && chmod 600 /etc/pki/tls/private/* \
         && systemctl daemon-reload && systemctl restart linkproof && systemctl reload linkproof",
    );
    let ask = |options: &str| {
        let line = format!(
            "cd /run/instance/root && curl -sS -m 9 --cacert etc/pki/tls/certs/monitoring-ca.pem {options} \
             --connect-to instance.example:443:127.0.0.1:10042 https://instance.example/metrics"
        );
        machine.lab().run(&Run::new("sh").args(["-c", &line]))
    };
    let scraped = ask("--cert root/client.pem -u prometheus:proof-of-links");
    assert!(scraped.stdout.contains("linkproof_build_info{"), "{scraped:?}\n{}", machine.journal());
    let anonymous = ask("-u prometheus:proof-of-links");
    assert!(!anonymous.status.success(), "without a certificate there is no handshake: {anonymous:?}");
    assert!(ask("--cert root/client.pem").stdout.contains("a user name and password are required"));
}
