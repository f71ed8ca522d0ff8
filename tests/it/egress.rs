//! The egress check where a table of states does not reach: forged replies, few file descriptors,
//! and one judgment for every surface.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, socket};
use socket2::{Domain, Protocol, Socket, Type};

use crate::agent::Agent;
use crate::harness::{self, BINARY};
use crate::lab::Fault::{EgressRejectedPrivately, NatOpen, NatOpenOddPorts, NatOpenTcpOnly};
use crate::lab::{Host, Lab, Run};
use crate::report::Report;
use crate::state::{IPV4, IPV6};

fn outcome(lab: &Lab, run: &Run, check: &str) -> String {
    let output = lab.run(run);
    let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let mut checks = report.checks().into_iter();
    checks.find(|(id, _)| id == check).map(|(_, outcome)| outcome).unwrap_or_default()
}

/// Sees every echo request that leaves the instance, and answers it in the target's name.
struct Forger {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Forger {
    /// With the payload of the request where `knows_payload`, else with one of its own.
    fn start(lab: &Lab, knows_payload: bool) -> Self {
        let (listening, sending) = lab.on(Host::Instance, || {
            let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
            let kind = SockType::Datagram;
            let seen = socket(AddressFamily::Packet, kind, flags, Some(SockProtocol::EthAll)).unwrap();
            let forged = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
            forged.set_header_included_v4(true).unwrap();
            (seen, forged)
        });
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || forge(&listening, &sending, knows_payload, &stopped));
        Self { stop, thread: Some(thread) }
    }

    fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(|thread| thread.join().unwrap()).unwrap_or_default()
    }
}

fn forge(listening: &OwnedFd, sending: &Socket, knows_payload: bool, stop: &AtomicBool) -> usize {
    let mut forged = 0;
    let mut packet = [0; 256];
    while !stop.load(Ordering::Relaxed) {
        let Ok(length) = recv(listening.as_raw_fd(), &mut packet, MsgFlags::empty()) else {
            thread::sleep(Duration::from_micros(200));
            continue;
        };
        if let Some((reply, instance)) = reply_to(&packet[..length], knows_payload) {
            let to = SocketAddr::from((instance, 0));
            forged += usize::from(sending.send_to(&reply, &to.into()).is_ok());
        }
    }
    forged
}

/// An echo reply to an IPv4 echo request for the internet: same identifier, same sequence.
fn reply_to(packet: &[u8], knows_payload: bool) -> Option<(Vec<u8>, Ipv4Addr)> {
    const HEADER: usize = 20;
    let is_echo =
        packet.first() == Some(&0x45) && packet.get(9) == Some(&1) && packet.get(HEADER) == Some(&8);
    let address = |at: usize| Some(Ipv4Addr::new(packet[at], packet[at + 1], packet[at + 2], packet[at + 3]));
    if !is_echo || packet.len() < HEADER + 16 {
        return None;
    }
    let (instance, target) = (address(12)?, address(16)?);
    // For the decoy too it would be an interception.
    let is_decoy = target.is_documentation();
    if target.is_private() || target.is_loopback() || target.is_link_local() || is_decoy {
        return None;
    }
    let mut reply = packet.to_vec();
    reply[12..16].copy_from_slice(&target.octets());
    reply[16..20].copy_from_slice(&instance.octets());
    reply[HEADER] = 0;
    if !knows_payload {
        let last = reply.len() - 1;
        reply[last] ^= 0xff;
    }
    reply[HEADER + 2..HEADER + 4].fill(0);
    let sum = checksum(&reply[HEADER..]);
    reply[HEADER + 2..HEADER + 4].copy_from_slice(&sum.to_be_bytes());
    Some((reply, instance))
}

fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[test]
fn an_echo_reply_with_another_payload_is_no_reply() {
    let lab = harness::lab();
    for agent in [Agent::default(), Agent::default().unprivileged()] {
        let forger = Forger::start(&lab, false);
        assert_eq!(outcome(&lab, &agent.once("json"), IPV4), "pass");
        assert!(forger.end() > 10, "too few forgeries to show anything");
        // That a forger who sees the packets can pass for the target shows that the forgeries arrive.
        let forger = Forger::start(&lab, true);
        assert_eq!(outcome(&lab, &agent.once("json"), IPV4), "fail icmp_reply");
        forger.end();
    }
}

fn limited(limit: &str) -> Run {
    let config = crate::agent::file("toml", "[egress]\nwindow = '1s'\n");
    Run::new("prlimit")
        .arg(format!("--nofile={limit}"))
        .arg(BINARY)
        .arg("--config")
        .arg(config)
        .args(["--once", "--format", "json"])
}

#[test]
fn too_few_file_descriptors_are_inconclusive_and_a_low_soft_limit_is_raised() {
    let lab = harness::lab();
    assert_eq!(outcome(&lab, &limited("32:32"), IPV4), "inconclusive no_resources");
    assert_eq!(outcome(&lab, &limited("32:4096"), IPV4), "pass");
}

/// What the verdict took for a near rejection is no leak in the diagnosis, the table or the metrics.
#[test]
fn an_error_from_an_expected_range_is_a_leak_on_no_surface() {
    let lab = harness::lab();
    lab.set([EgressRejectedPrivately, NatOpenTcpOnly]);
    let config = "expected_cidrs = ['10.200.0.0/16', 'fd12:3456::/32']\n";
    let agent = Agent::default().config(config);
    assert_eq!(outcome(&lab, &agent.once("json"), IPV4), "fail tcp_connected");
    assert_eq!(outcome(&lab, &agent.once("json"), IPV6), "pass");
    let text = lab.run(&agent.once("text")).stdout;
    // Three literals and a website, on two ports; the decoy does not count.
    assert!(text.contains("connected; 8 of 17 probes reached the internet"), "{text}");
    let evidence = text.split("Evidence").nth(1).and_then(|rest| rest.split("Remedy").next()).unwrap();
    assert!(!evidence.contains("10.200.0.1"), "{evidence}");
    let metrics = lab.run(&agent.once("prometheus")).stdout;
    let replies = |protocol: &str| {
        let of_protocol =
            |line: &&str| line.starts_with("linkproof_egress_replies_total{") && line.contains(protocol);
        metrics.lines().filter(of_protocol).filter(|line| !line.ends_with(" 0")).count()
    };
    assert_eq!((replies("protocol=\"tcp\""), replies("protocol=\"icmp\"")), (4, 0), "{metrics}");
}

/// Routes that only some packets take: a program that sends such packets is what the pass is about.
#[test]
fn a_route_that_no_probe_takes_keeps_the_check_from_passing() {
    const NO_DEFAULT: &str = "ip route del default; ip route add default via 10.0.1.1 dev eth0 table 77; ";
    const OTHER_ROUTE: &str = "inconclusive route_not_probed";
    let second_interface = "ip link add eth9 type veth peer name peer9; ip link set peer9 up; \
        ip link set eth9 up; ip addr add 10.0.9.23/24 dev eth9; ip route add default via 10.0.9.1 dev eth9 metric 9";
    let bridge =
        "ip link add docker0 type bridge; ip addr add 172.17.0.1/16 dev docker0; ip link set docker0 up";
    for (rule, config, expected) in [
        ("ip rule add tos 0x10 lookup 77", "", OTHER_ROUTE),
        ("ip rule add oif eth0 lookup 77", "", OTHER_ROUTE),
        ("ip rule add fwmark 5 lookup 77", "", OTHER_ROUTE),
        ("ip rule add uidrange 1000-1999 lookup 77", "", OTHER_ROUTE),
        ("ip rule add dport 8443 ipproto tcp lookup 77", "", OTHER_ROUTE),
        // By destination or type of service, in whatever table.
        ("ip rule add to 52.0.0.0/8 lookup 77", "", OTHER_ROUTE),
        ("ip route add 44.192.0.0/11 via 10.0.1.1", "", OTHER_ROUTE),
        ("ip route add unreachable default metric 9; ip route add 3.0.0.0/8 via 10.0.1.1", "", OTHER_ROUTE),
        ("ip route add default via 10.0.1.1 tos 0x10", "", OTHER_ROUTE),
        ("ip route add 192.168.0.0/16 via 10.0.1.1", "", "pass"),
        ("ip route add blackhole 44.192.0.0/11", "", "pass"),
        // Rules that refuse the probes, and let others out.
        ("ip rule add pref 10 uidrange 0-0 unreachable; ip rule add pref 20 lookup 77", "", OTHER_ROUTE),
        (
            "ip rule add pref 10 ipproto tcp sport 32768-60999 unreachable; ip rule add pref 20 ipproto tcp lookup 77",
            "",
            OTHER_ROUTE,
        ),
        // A socket that is bound to an address has a port before it is routed.
        ("ip rule add ipproto tcp sport 1024-65534 lookup 77", "", "fail tcp_connected"),
        ("ip rule add fwmark 5 lookup 77", "[egress]\nother_routes = false\n", "pass"),
        ("ip rule add fwmark 5 lookup main", "", "pass"),
        ("ip rule add fwmark 5 unreachable", "", "pass"),
        (bridge, "", "pass"),
    ] {
        let lab = harness::own_lab();
        lab.set([NatOpen]);
        assert_egress(&lab, &format!("{NO_DEFAULT}{rule}"), config, expected);
    }
    // The usual route is closed, and is the one that is probed.
    let crowd = "for n in $(seq 513); do echo link add b$n up type bridge; done | ip -batch -";
    for (change, expected) in
        [("true", "pass"), (second_interface, OTHER_ROUTE), (bridge, "pass"), (crowd, OTHER_ROUTE)]
    {
        assert_egress(&harness::own_lab(), change, "", expected);
    }
}

/// Nothing was sent by it: at boot the addresses come first, and the route a moment later.
#[test]
fn a_route_that_comes_during_the_window_keeps_the_check_from_passing() {
    let lab = harness::own_lab();
    lab.set([NatOpen]);
    let route = "sleep 4; ip route add default via 10.0.1.1";
    let deleted = lab.run(&Run::new("ip").args(["route", "del", "default"]));
    assert!(deleted.status.success(), "{deleted:?}");
    let _late = lab.spawn(&Run::new("sh").args(["-c", route]));
    assert_egress(&lab, "true", "[egress]\nwindow = '8s'\n", "inconclusive route_not_probed");
}

fn assert_egress(lab: &Lab, change: &str, config: &str, expected: &str) {
    let changed = lab.run(&Run::new("sh").args(["-c", change]));
    assert!(changed.status.success(), "{changed:?}");
    let agent = Agent::default().config(config);
    assert_eq!(outcome(lab, &agent.once("json"), IPV4), expected, "{change}");
}

/// The last of seven, as the C library returns them.
#[test]
fn every_address_of_a_target_is_probed() {
    let lab = harness::own_lab();
    lab.set([NatOpenOddPorts]);
    let closed = "add table inet closed; add chain inet closed forward { type filter hook forward priority 0; }; \
        add rule inet closed forward ip daddr 198.51.100.0/24 drop";
    on_the_router(&lab, closed);
    let hosts = "for n in 2 3 4 5 6 7; do echo 198.51.100.$n probe.corp.example >> /etc/hosts; done; \
        echo 203.0.113.10 probe.corp.example >> /etc/hosts";
    let config = "[[egress.target]]\nhost = 'probe.corp.example'\ntcp_ports = [8443]\n";
    assert_egress(&lab, hosts, config, "fail tcp_connected");
}

fn on_the_router(lab: &Lab, rules: &'static str) {
    let added = lab.on(Host::Router, move || Command::new("nft").arg(rules).status().unwrap());
    assert!(added.success(), "{rules}");
}

/// A translator on the way that answers in its own name.
#[test]
fn a_reply_from_another_address_is_a_reply() {
    let lab = harness::own_lab();
    lab.set([NatOpen]);
    let rules = "add table ip odd; add chain ip odd in { type filter hook prerouting priority -400; }; \
        add rule ip odd in iifname { instance, internet } notrack; \
        add rule ip odd in iifname internet meta l4proto udp ip saddr set 203.0.113.99";
    on_the_router(&lab, rules);
    for port in [53, 123] {
        let agent =
            Agent::default().config(&format!("[egress]\nprotocols = ['udp']\nudp_ports = [{port}]\n"));
        assert_eq!(outcome(&lab, &agent.once("json"), IPV4), "fail udp_reply", "{port}");
    }
}

/// What the host itself does to packets, where it differs by protocol, port or target.
#[test]
fn nothing_is_claimed_that_the_hosts_own_routes_and_filters_keep_from_the_look() {
    const TCP_ALONE: &str = "ip route del default; ip rule add ipproto tcp lookup 77; \
        ip route add default via 10.0.1.1 dev eth0 table 77";
    const WELL_KNOWN_ALONE: &str = "for ip in 1.1.1.1 8.8.8.8 9.9.9.9 162.159.200.1 216.239.35.0; do \
        ip route add unreachable $ip; done";
    const SYN_DROPPED: &str = "nft 'add table inet own; add chain inet own out { type filter hook output priority 0; }; \
        add rule inet own out ip daddr != 10.0.0.0/8 tcp dport 443 drop'";
    const OTHERS_ARE_DROPPED: &str =
        "nft 'add table inet own; add chain inet own out { type filter hook output priority 0; }; \
        add rule inet own out tcp dport 81 drop'; python3 -c 'import socket, time
sockets = [socket.socket() for _ in range(200)]
for s in sockets: s.setblocking(False); s.connect_ex((\"203.0.113.10\", 81))
time.sleep(9)' >/dev/null 2>&1 &";
    const SILENT_ROUTER: &str = "nft 'add table arp own; add chain arp own out { type filter hook output priority 0; }; \
        add rule arp own out arp daddr ip 10.0.1.99 drop'; ip route replace default via 10.0.1.99 dev eth0";
    const ANY_IP: &str = "ip route add local 10.0.1.128/25 dev lo";
    const SILENT_LINK: &str = "nft 'add table arp own; add chain arp own out { type filter hook output priority 0; }; \
        add rule arp own out arp daddr ip 1.1.1.1 drop'; ip route replace default dev eth0";
    const BESIDE_PRIVATE: &str = "for ip in 10.0.1.201 10.0.1.202 1.1.1.1; do \
        echo $ip probe.corp.example >> /etc/hosts; done";
    const TOO_MANY_ADDRESSES: &str = "for n in 1 2 3 4 5 6 7 8 9; do \
        echo 203.0.113.10$n probe.corp.example >> /etc/hosts; done";
    let own_name = "[[egress.target]]\nhost = 'probe.corp.example'\ntcp_ports = [8443]\n";
    let own_address = "[[egress.target]]\nhost = '1.0.0.1'\ntcp_ports = [8443]\n";
    let unknown = "[[egress.target]]\nhost = 'probe.doesnotexist.example'\ntcp_ports = [8443]\n";
    for (change, fault, config, expected) in [
        (TCP_ALONE, Some(NatOpen), "", "fail tcp_connected"),
        (WELL_KNOWN_ALONE, Some(NatOpen), "[egress]\nhosts = []\n", "inconclusive route_not_probed"),
        (SYN_DROPPED, None, "", "inconclusive send_blocked"),
        (SYN_DROPPED, None, "[egress]\nwindow = '1s'\n", "inconclusive send_blocked"),
        (OTHERS_ARE_DROPPED, None, "", "pass"),
        (SILENT_ROUTER, None, "", "inconclusive route_not_probed"),
        (SILENT_ROUTER, None, "[egress]\nwindow = '5s'\n", "inconclusive route_not_probed"),
        (SILENT_ROUTER, None, "[egress]\nprotocols = ['udp']\n", "inconclusive route_not_probed"),
        (ANY_IP, None, "", "inconclusive route_not_probed"),
        (ANY_IP, None, "[egress]\nsources = ['10.0.1.23']\n", "pass"),
        (SILENT_LINK, None, "", "inconclusive route_not_probed"),
        ("true", None, unknown, "inconclusive too_few_targets"),
        (BESIDE_PRIVATE, Some(NatOpenOddPorts), own_name, "fail tcp_connected"),
        (TOO_MANY_ADDRESSES, None, own_name, "inconclusive too_few_targets"),
        ("ip addr add 1.0.0.1/32 dev lo", None, own_address, "inconclusive too_few_targets"),
    ] {
        let lab = harness::own_lab();
        lab.set(fault);
        let changed = lab.run(&Run::new("sh").args(["-c", change]));
        assert!(changed.status.success(), "{changed:?}");
        let agent = Agent::default().config(config).whole_window();
        assert_eq!(outcome(&lab, &agent.once("json"), IPV4), expected, "{change}");
    }
}
