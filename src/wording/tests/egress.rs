//! Egress in a line: what left, what came back, and what was not looked at.

use super::*;

fn set(probe: &mut EgressProbe, result: ProbeResult, judged: ProbeJudgment) {
    probe.result = result;
    probe.judged = Some(judged);
}

#[test]
fn a_leak_is_told_in_brief_in_the_table() {
    let after = Duration::from_millis(12);
    let mut probes = silent_probes();
    set(&mut probes[0], ProbeResult::Reply { replies: 2, after, kernel: None }, ProbeJudgment::Leak);
    set(&mut probes[1], ProbeResult::Reply { replies: 1, after, kernel: None }, ProbeJudgment::Leak);
    let leak = |probes| brief(&egress(Outcome::Fail(Reason::IcmpReply), probes));
    let count = probes.len();
    assert_eq!(
        leak(probes.clone()),
        format!("ping 1.1.1.1 replied to 2 of 5; 2 of {count} probes reached the internet")
    );
    set(&mut probes[0], ProbeResult::NoReply, ProbeJudgment::Silent);
    assert_eq!(
        leak(probes.clone()),
        format!("TCP 1.1.1.1:443 connected; 1 of {count} probes reached the internet")
    );
    let by = Some(ip("198.51.100.1"));
    let rejected = ProbeResult::Rejected { by, how: "host unreachable".into(), reset: false };
    set(&mut probes[1], rejected, ProbeJudgment::Leak);
    let outside = brief(&egress(Outcome::Fail(Reason::ErrorFromOutside), probes));
    assert_eq!(
        outside,
        format!("TCP 1.1.1.1:443 rejected by 198.51.100.1; 1 of {count} probes reached the internet")
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table")]
fn the_window_tells_what_was_heard() {
    use ProbeJudgment::{Intercepted, Leak, NotSent, Rejected, RejectedHere, RejectedNearby};
    let result = |outcome, index: usize, result: ProbeResult, judged| {
        let mut probes = silent_probes();
        set(&mut probes[index], result, judged);
        egress(outcome, probes)
    };
    let (fail, unseen) = (Outcome::Fail, Outcome::Inconclusive);
    let after = Duration::from_millis(12);
    let by = |text: &str| ProbeResult::Rejected {
        by: Some(ip(text)),
        how: "host unreachable".into(),
        reset: false,
    };
    let reset = ProbeResult::Rejected { by: None, how: "RST".into(), reset: true };
    let mut unrouted = silent_probes();
    for probe in &mut unrouted {
        set(probe, ProbeResult::NotSent(SendError::NoRoute), ProbeJudgment::NoRoute);
    }
    let mut two_sources = silent_probes();
    two_sources[0].source = ip("10.0.3.23");
    set(&mut two_sources[0], ProbeResult::Reply { replies: 5, after, kernel: None }, Leak);
    let other = |ip_text: &str, judged| EgressSource {
        ip: ip(ip_text),
        interface: "eth1".into(),
        reduced: false,
        judged: Some(judged),
    };
    let mut own = silent_probes();
    own.push(EgressProbe { port: Some(8443), ..probe(Protocol::Tcp, "9.9.9.9", 2, ProbeResult::NoReply) });
    let named = |probe: &mut EgressProbe| probe.host = Some("www.amazon.com".into());
    let mut by_name =
        probe(Protocol::Tcp, "203.0.113.80", 1, ProbeResult::Reply { replies: 1, after, kernel: None });
    named(&mut by_name);
    assert_summaries(vec![
        (
            egress(Outcome::Pass, silent_probes()),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; control 10.0.1.57:443 connected",
        ),
        (
            egress(Outcome::Pass, own),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53, TCP 8443 to 9.9.9.9) to 10.0.1.10; control 10.0.1.57:443 connected",
        ),
        (
            bent(egress(Outcome::Pass, silent_probes()), |evidence| evidence.controls[1].passed = false),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; control: only the resolver \
             169.254.169.253:53 answered",
        ),
        (
            bent(egress(Outcome::Pass, silent_probes()), |evidence| {
                evidence.sources.push(other("172.17.0.1", SourceJudgment::NotClaimed));
                evidence.sources.push(other("10.0.4.4", SourceJudgment::NoRoute));
                evidence.left_out = vec!["udp/123", "decoys"];
            }),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10; no route from 10.0.4.4; not claimed for 172.17.0.1; not probed by configuration: udp/123, decoys; control 10.0.1.57:443 connected",
        ),
        (
            result(Outcome::Pass, 1, by("10.0.0.1"), RejectedNearby),
            "no reply from 4 targets (ICMP, TCP 443, UDP 53) to 10.0.1.10, 1 of 10 probes rejected from nearby; control 10.0.1.57:443 connected",
        ),
        (
            bent(egress(Outcome::Pass, unrouted), |evidence| evidence.controls_passed = None),
            "no route to any of 4 targets; nothing was sent",
        ),
        (
            result(
                fail(Reason::TcpConnected),
                1,
                ProbeResult::Reply { replies: 1, after, kernel: None },
                Leak,
            ),
            "TCP 1.1.1.1:443 connected after 12 ms",
        ),
        (
            result(fail(Reason::IcmpReply), 0, ProbeResult::Reply { replies: 2, after, kernel: None }, Leak),
            "ping 1.1.1.1 replied to 2 of 5, first after 12 ms",
        ),
        (
            result(fail(Reason::UdpReply), 2, ProbeResult::Reply { replies: 1, after, kernel: None }, Leak),
            "UDP 1.1.1.1:53 replied to 1 of 1, first after 12 ms",
        ),
        (
            egress(fail(Reason::TcpConnected), vec![by_name]),
            "TCP 203.0.113.80:443 (www.amazon.com) connected after 12 ms",
        ),
        (
            egress(
                fail(Reason::TcpConnected),
                vec![
                    probe(
                        Protocol::Icmp,
                        "1.1.1.1",
                        5,
                        ProbeResult::Reply { replies: 5, after, kernel: None },
                    ),
                    probe(
                        Protocol::Tcp,
                        "1.1.1.1",
                        1,
                        ProbeResult::Reply { replies: 1, after, kernel: None },
                    ),
                    probe(Protocol::Udp, "1.1.1.1", 1, ProbeResult::NoReply),
                ],
            ),
            "TCP 1.1.1.1:443 connected after 12 ms, and 1 more of 3 probes",
        ),
        (
            egress(
                fail(Reason::ErrorFromOutside),
                vec![
                    EgressProbe {
                        judged: Some(RejectedNearby),
                        ..probe(Protocol::Icmp, "1.1.1.1", 5, by("10.0.0.1"))
                    },
                    EgressProbe {
                        judged: Some(Leak),
                        ..probe(Protocol::Icmp, "8.8.8.8", 5, by("198.51.100.1"))
                    },
                ],
            ),
            "ping 8.8.8.8 rejected by 198.51.100.1: host unreachable",
        ),
        (
            result(unseen(Reason::Rejected), 1, reset, Rejected),
            "TCP 1.1.1.1:443 rejected by an unknown sender: RST",
        ),
        (
            result(unseen(Reason::Rejected), 1, by("10.200.0.1"), Rejected),
            "TCP 1.1.1.1:443 rejected by 10.200.0.1: host unreachable",
        ),
        (
            result(
                fail(Reason::TrafficIntercepted),
                1,
                ProbeResult::Reply { replies: 1, after, kernel: None },
                Intercepted,
            ),
            "TCP 1.1.1.1:443 connected after 12 ms",
        ),
        (
            bent(egress(fail(Reason::IcmpReply), two_sources), |evidence| {
                evidence.sources.push(other("10.0.3.23", SourceJudgment::NotClaimed));
            }),
            "ping 1.1.1.1 replied to 5 of 5, first after 12 ms, from 10.0.3.23",
        ),
        (
            result(unseen(Reason::NotPermitted), 0, ProbeResult::NotSent(SendError::NotPermitted), NotSent),
            "ping 1.1.1.1 not sent: no socket could be opened",
        ),
        (
            result(
                unseen(Reason::SendBlocked),
                1,
                ProbeResult::NotSent(SendError::Blocked { errno: "EPERM".into() }),
                NotSent,
            ),
            "TCP 1.1.1.1:443 not sent: EPERM (blocked on this host)",
        ),
        (
            result(unseen(Reason::SendBlocked), 1, by("10.0.1.10"), RejectedHere),
            "TCP 1.1.1.1:443 rejected by 10.0.1.10: host unreachable",
        ),
        (
            result(
                unseen(Reason::NoResources),
                1,
                ProbeResult::NotSent(SendError::NoResources { errno: "Too many open files".into() }),
                NotSent,
            ),
            "TCP 1.1.1.1:443 not sent: Too many open files",
        ),
        (
            bent(egress(unseen(Reason::ControlFailed), silent_probes()), |evidence| {
                evidence.controls = vec![control(ControlKind::Endpoint, "10.0.1.57:443", false, "no answer")];
            }),
            "silence proves nothing: control endpoint 10.0.1.57:443: failed (no answer)",
        ),
        (
            bent(egress(unseen(Reason::ControlFailed), silent_probes()), |evidence| {
                evidence.controls.clear();
            }),
            "no control was available, so silence proves nothing",
        ),
        (
            egress(unseen(Reason::TooFewTargets), vec![]),
            "too few targets were probed for silence to prove anything",
        ),
        (
            bent(egress(unseen(Reason::FamilyMissing), vec![]), |evidence| evidence.family = Family::Ipv6),
            "metadata lists an IPv6 address, but no interface of this host has one",
        ),
        (
            bent(egress(unseen(Reason::FamilyMissing), vec![]), |evidence| {
                evidence.family = Family::Ipv6;
                evidence.family_disabled = Some("net.ipv6.conf.eth0.disable_ipv6 = 1".into());
            }),
            "metadata lists an IPv6 address, but no interface of this host has one (net.ipv6.conf.eth0.disable_ipv6 = 1)",
        ),
        (no_ipv6(), "the instance has no global IPv6 address"),
    ]);
}
