//! Any two faults at once: what must hold in every state holds in all of these too. A sample each
//! time; LINKPROOF_PAIRS says how many (`all` takes half an hour), LINKPROOF_PAIRS_SEED which.

use std::sync::Mutex;
use std::thread;

use crate::lab::Fault;
use crate::state::state;

/// What takes the harm out of others: without a route or an address nothing leaves by it, nobody
/// goes where no name leads, and whoever asks another resolver is not misled by the VPC's. In the
/// last three lines the lab can do only one of the two.
const MASKS: &[(Fault, &[Fault])] = &[
    (Fault::NoDefaultRoute, BY_THE_DEFAULT_ROUTE),
    (Fault::RouteUnreachable, BY_THE_DEFAULT_ROUTE),
    (Fault::RouteBlackhole, BY_THE_DEFAULT_ROUTE),
    (Fault::RouteProhibit, BY_THE_DEFAULT_ROUTE),
    (
        Fault::InstanceIpv6Absent,
        &[
            Fault::Ipv6EgressOpen,
            Fault::Nat64Open,
            Fault::InstanceIpv6Lost,
            Fault::InstanceIpv6Off,
            Fault::ResolverV6Silent,
            Fault::DnsAaaaPublic,
        ],
    ),
    // An IPv6 endpoint address is a control too.
    (Fault::ResolverV6Silent, &[Fault::DnsAaaa, Fault::DnsAaaaPublic]),
    (Fault::DnsOneZone, &[Fault::EndpointASilent, Fault::EndpointARefused]),
    (
        Fault::SystemResolverPartial,
        &[
            Fault::PrivateDnsOff,
            Fault::NameNotFound,
            Fault::NameNoAddress,
            Fault::DnsServfail,
            Fault::DnsRefused,
            Fault::DnsSilent,
            Fault::DnsPortClosed,
            Fault::DnsTruncatedNoTcp,
            Fault::DnsMixed,
            Fault::DnsOutsideVpc,
            Fault::DnsSpecial,
            Fault::DnsStale,
            Fault::DnsAaaaPublic,
            Fault::EndpointBSilent,
        ],
    ),
    (Fault::DnsAaaa, &[Fault::DnsAaaaPublic]),
    (Fault::DnsSlow, &[Fault::DnsRefused]),
    (Fault::DnsLost, &[Fault::DnsRefused]),
];

/// What happens only to what a default route carries.
const BY_THE_DEFAULT_ROUTE: &[Fault] = &[
    Fault::NatOpen,
    Fault::NatOpenTcpOnly,
    Fault::NatOpenIcmpOnly,
    Fault::NatOpenUdpOnly,
    Fault::NatOpenLossy,
    Fault::NatOpenFirstSynLost,
    Fault::NatOpenSlow,
    Fault::NatOpenNtpOnly,
    Fault::SecondaryAddressOpen,
    Fault::NatOpensMidway,
    Fault::NatClosesMidway,
    Fault::Ipv6EgressOpen,
    Fault::Nat64Open,
    Fault::EgressTcpReset,
    Fault::EgressRejectedOutside,
    Fault::EgressRejectedPrivately,
    Fault::EgressResetByTarget,
    Fault::DnsRedirected,
    Fault::TcpRedirected,
    Fault::ResolverV6Silent,
    Fault::SendBlocked,
    Fault::SendRejected,
];

/// Pairs in one run of the tests.
const SAMPLE: usize = 48;

/// Labs side by side: a run is mostly waiting.
const SIDE_BY_SIDE: usize = 6;

#[test]
fn no_two_faults_make_a_pass_of_what_was_not_seen() {
    let seed = std::env::var("LINKPROOF_PAIRS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    let mut pairs = pairs();
    fastrand::Rng::with_seed(seed).shuffle(&mut pairs);
    match std::env::var("LINKPROOF_PAIRS").as_deref() {
        Ok("all") => {}
        Ok(number) => pairs.truncate(number.parse().expect("LINKPROOF_PAIRS is a number or `all`")),
        Err(_) => pairs.truncate(SAMPLE),
    }
    println!("LINKPROOF_PAIRS_SEED={seed}, {} pairs", pairs.len());
    let (next, wrong) = (Mutex::new(pairs.into_iter()), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                while let Some(pair) = take(&next) {
                    let state = if is_masked(pair) { state(pair).as_configured() } else { state(pair) };
                    let found = state.violations();
                    let names = pair.map(Fault::name).join(" and ");
                    wrong.lock().unwrap().extend(found.into_iter().map(|what| format!("{names}: {what}")));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{} (seed {seed}):\n{}", wrong.len(), wrong.join("\n"));
}

fn is_masked(pair: [Fault; 2]) -> bool {
    let masks = |one, other| MASKS.iter().any(|(by, masked)| *by == one && masked.contains(&other));
    masks(pair[0], pair[1]) || masks(pair[1], pair[0])
}

fn take(pairs: &Mutex<impl Iterator<Item = [Fault; 2]>>) -> Option<[Fault; 2]> {
    pairs.lock().unwrap().next()
}

fn pairs() -> Vec<[Fault; 2]> {
    let after = |index: usize| Fault::ALL[index + 1..].iter();
    Fault::ALL.iter().enumerate().flat_map(|(index, one)| after(index).map(|other| [*one, *other])).collect()
}
