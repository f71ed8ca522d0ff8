//! A healthy subnet, by an account that is not the agent's: what reached the endpoint, and what
//! did not leave.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::TcpListener;

use crate::agent::Agent;
use crate::harness;
use crate::lab::{Door, Host, Protocol, Request, Signature};
use crate::report::Report;

#[test]
fn each_interface_gets_one_call_and_one_request() {
    let lab = harness::lab();
    let before = lab.reached_internet();
    let output = lab.run(&Agent::default().once("json"));
    assert_eq!(output.status.code(), Some(0), "{}{}", output.stdout, output.stderr);
    let requests = lab.requests();
    let at = |door: Door, signed: bool| {
        let of_door = requests.iter().filter(move |request| request.door == door);
        of_door.filter(|request| is_signed(request) == signed).collect::<Vec<_>>()
    };
    for door in [Door::EndpointA, Door::EndpointB] {
        let [unsigned] = at(door, false)[..] else { panic!("{door:?}: {requests:#?}") };
        let [signed] = at(door, true)[..] else { panic!("{door:?}: {requests:#?}") };
        assert_eq!(
            (unsigned.method.as_str(), unsigned.path.as_str(), unsigned.status),
            ("GET", "/", Some(403))
        );
        assert_eq!((signed.protocol, signed.status), (Some(Protocol::RpcV2Cbor), Some(200)));
        assert_eq!(signed.operation.as_deref(), Some("ListMetrics"));
        for request in [unsigned, signed] {
            assert_eq!(request.host, "monitoring.us-east-1.amazonaws.com");
        }
    }
    let connections: BTreeSet<u64> = requests.iter().map(|request| request.connection).collect();
    assert_eq!((requests.len(), connections.len()), (4, 4), "{requests:#?}");
    assert_eq!(lab.reached_internet(), before, "something got out");
}

fn is_signed(request: &Request) -> bool {
    request.signature != Signature::Absent
}

/// A proxy that answers would carry everything somewhere else, and all would look well.
#[test]
fn proxy_variables_are_reported_and_never_used() {
    let lab = harness::lab();
    let proxy = lab.on(Host::Instance, || TcpListener::bind("127.0.0.1:0")).unwrap();
    proxy.set_nonblocking(true).unwrap();
    let url = format!("http://{}", proxy.local_addr().unwrap());
    let names = ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"];
    let agent = names.into_iter().fold(Agent::default(), |agent, name| agent.env(name, &url));
    let bypassing = agent.clone().env("NO_PROXY", ".amazonaws.com,169.254.169.254");
    for (agent, causes) in [(agent, vec![("proxy_configured".to_owned(), vec![])]), (bypassing, vec![])] {
        let output = lab.run(&agent.once("json"));
        let report = Report::read(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        assert_eq!(report.causes(), causes);
        assert_eq!((report.outcome(), output.status.code()), ("pass", Some(0)));
    }
    assert_eq!(proxy.accept().map(drop).unwrap_err().kind(), ErrorKind::WouldBlock, "it was spoken to");
    assert_eq!(lab.requests().len(), 2 * 4);
}
