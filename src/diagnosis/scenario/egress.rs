//! What a line says of egress: probes, controls, gaps.

use super::*;

pub fn egress(check: &CheckId, words: &Words) -> EgressEvidence {
    let probes: Vec<EgressProbe> = words.0.iter().filter_map(|word| probe(word)).collect();
    let denied = |probe: &EgressProbe| probe.result == ProbeResult::NotSent(SendError::NotPermitted);
    EgressEvidence {
        family: if *check == CheckId::Egress(Family::Ipv4) { Family::Ipv4 } else { Family::Ipv6 },
        window: Duration::from_secs(3),
        sources: words.all("left_out").map(left_out).collect(),
        family_disabled: words.text("disabled"),
        icmp_socket: if probes.iter().any(denied) { IcmpSocket::None } else { IcmpSocket::Dgram },
        controls: words.all("control").map(|control| self::control(control, words)).collect(),
        probes,
        controls_passed: None,
        unresolved: words.all("unresolved").map(str::to_owned).collect(),
        gaps: words
            .all("other_route")
            .map(other_route)
            .chain(words.all("not_probed").map(not_probed))
            .chain(words.all("router_silent").map(router_silent))
            .chain(
                words
                    .all("any_ip")
                    .map(|range| EgressGap::SourcesNotProbed { range: range.parse().unwrap() }),
            )
            .collect(),
        left_out: vec![],
    }
}

fn left_out(ip: &str) -> EgressSource {
    let judged = Some(SourceJudgment::LeftOut);
    EgressSource { ip: ip.parse().unwrap(), interface: "eth0".to_owned(), reduced: false, judged }
}

fn not_probed(word: &str) -> EgressGap {
    let (host, why) = word.split_once(':').unwrap();
    EgressGap::TargetNotProbed { host: host.to_owned(), why: why.to_owned() }
}

fn router_silent(router: &str) -> EgressGap {
    EgressGap::RouterSilent { router: router.parse().unwrap(), interface: "eth0".to_owned() }
}

/// The interface, or `RULE:INTERFACE`.
fn other_route(word: &str) -> EgressGap {
    let (rule, interface) =
        word.split_once(':').map_or((None, word), |(rule, name)| (Some(rule.parse().unwrap()), name));
    EgressGap::OtherRoute {
        range: None,
        rule,
        router: Some("10.0.1.1".parse().unwrap()),
        interface: interface.to_owned(),
    }
}

fn probe(word: &str) -> Option<EgressProbe> {
    let (target, result) = word.split_once('=')?;
    let (protocol, ip) = target.split_once('@')?;
    let (decoy, protocol) = protocol.strip_prefix("decoy-").map_or((false, protocol), |rest| (true, rest));
    let (ip, source) = ip.split_once('<').unwrap_or((ip, "10.0.1.23"));
    let protocol = *Protocol::ALL.iter().find(|known| known.code() == protocol).unwrap();
    let port = match protocol {
        Protocol::Icmp => None,
        Protocol::Tcp => Some(443),
        Protocol::Udp => Some(53),
    };
    let rejection = |by: Option<&str>, judged| {
        let by = by.map(|by| by.parse().unwrap());
        let how = "administratively prohibited".into();
        (ProbeResult::Rejected { by, how, reset: by.is_none() }, judged)
    };
    let unsent = |error| (ProbeResult::NotSent(error), ProbeJudgment::NotSent);
    let (result, after) = result.split_once('+').unwrap_or((result, "12"));
    let after = Duration::from_millis(after.parse().unwrap());
    let of = result.split_once('/').and_then(|(_, of)| of.parse().ok()).unwrap_or(1);
    let (result, judged) = match result.split_once(':').unwrap_or((result, "")) {
        (what @ ("answer" | "intercepted"), few) => {
            let replies = few.split_once('/').map_or(1, |(replies, _)| replies.parse().unwrap());
            let judged = if what == "answer" { ProbeJudgment::Leak } else { ProbeJudgment::Intercepted };
            (ProbeResult::Reply { replies, after, kernel: None }, judged)
        }
        ("silence", _) => (ProbeResult::NoReply, ProbeJudgment::Silent),
        ("rejected", "") => rejection(None, ProbeJudgment::Rejected),
        ("rejected", by) => rejection(Some(by), ProbeJudgment::Rejected),
        ("leak", by) => rejection(Some(by), ProbeJudgment::Leak),
        ("near", by) => rejection(Some(by), ProbeJudgment::RejectedNearby),
        ("here", by) => rejection(Some(by), ProbeJudgment::RejectedHere),
        ("no_route", _) => (ProbeResult::NotSent(SendError::NoRoute), ProbeJudgment::NoRoute),
        ("not_permitted", _) => unsent(SendError::NotPermitted),
        ("blocked", _) => unsent(SendError::Blocked { errno: "EPERM".into() }),
        ("no_resources", _) => unsent(SendError::NoResources { errno: "Too many open files".into() }),
        (other, _) => panic!("unknown probe result {other}"),
    };
    let sent = if matches!(result, ProbeResult::NotSent(_)) { 0 } else { of };
    let (ip, source) = (ip.parse().unwrap(), source.parse().unwrap());
    Some(EgressProbe { host: None, source, ip, protocol, port, decoy, sent, result, judged: Some(judged) })
}

fn control(word: &str, words: &Words) -> Control {
    let (control, ended) = word.split_once(':').unwrap();
    let control = match control {
        "loopback" => ControlKind::Loopback,
        "endpoint" => ControlKind::Endpoint,
        "resolver" => ControlKind::Resolver,
        other => panic!("no such control: {other}"),
    };
    let detail = words.text("detail").unwrap_or_default();
    Control { control, source: None, target: None, passed: ended == "pass", detail }
}
