//! The lab itself, seen with standard tools: what the agent's tests rest on.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::harness::own_lab;
use crate::lab::{Door, Fault, Flaw, Host, Lab, Output, Protocol, Reached, Run, Signature, address};

#[path = "lab_killed.rs"]
mod killed;

const CLOUDWATCH: &str = "monitoring.us-east-1.amazonaws.com";
const SHORT: Duration = Duration::from_millis(700);

/// Runs a shell line on the instance and gives what it said.
fn shell(lab: &Lab, line: &str) -> String {
    let output = lab.run(&Run::new("bash").args(["-c", line]));
    format!("{}{}", output.stdout, output.stderr).trim_end().to_owned()
}

fn dig(lab: &Lab, question: &str) -> BTreeSet<String> {
    shell(lab, &format!("dig +short +time=2 +tries=1 {question}")).lines().map(str::to_owned).collect()
}

fn dns_status(lab: &Lab, question: &str) -> String {
    let answer = shell(lab, &format!("dig +time=2 +tries=1 {question}"));
    let status = answer.split("status: ").nth(1).and_then(|rest| rest.split(',').next());
    status.unwrap_or("none").to_owned()
}

fn connects(lab: &Lab, address: impl Into<IpAddr>, port: u16) -> Result<TcpStream, std::io::ErrorKind> {
    let address = SocketAddr::new(address.into(), port);
    lab.on(Host::Instance, move || TcpStream::connect_timeout(&address, SHORT).map_err(|error| error.kind()))
}

/// The HTTP status and the peer that curl saw, or curl's complaint.
fn curl(lab: &Lab, options: &str) -> String {
    shell(lab, &format!("curl -sS -m 3 -o /dev/null -w '%{{http_code}} %{{remote_ip}}' {options}"))
}

fn at(address: impl std::fmt::Display) -> String {
    format!("--connect-to ::{address}:443 https://{CLOUDWATCH}/")
}

fn aws(lab: &Lab, secret: Option<&str>) -> Output {
    let program = "/usr/bin/aws";
    assert!(fs::exists(program).unwrap_or(false), "the AWS CLI is missing: apt-get install awscli");
    let arguments =
        ["--region", "us-east-1", "--output", "text", "cloudwatch", "list-metrics", "--namespace", "AWS/EC2"];
    let mut run = Run::new(program)
        .args(arguments)
        // It comes with roots of its own otherwise.
        .env("AWS_CA_BUNDLE", "/etc/ssl/certs/ca-certificates.crt")
        .env("AWS_MAX_ATTEMPTS", "1");
    if let Some(secret) = secret {
        run = run.env("AWS_ACCESS_KEY_ID", "ASIALINKPROOFLAB0001").env("AWS_SECRET_ACCESS_KEY", secret).env(
            "AWS_SESSION_TOKEN",
            "IQoJb3JpZ2luX2VjEXAMPLElinkprooflabtoken//////////wEaCXVzLWVhc3QtMSJHMEUCIQDlab==",
        );
    }
    lab.run(&run)
}

#[test]
fn a_lab_comes_up_healthy_within_three_seconds() {
    let started = Instant::now();
    let lab = own_lab();
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "it took {took:?}");

    let endpoints = BTreeSet::from(["10.0.1.57".to_owned(), "10.0.2.113".to_owned()]);
    for server in ["", "@10.0.0.2", "@169.254.169.253", "@fd00:ec2::253", "+tcp"] {
        assert_eq!(dig(&lab, &format!("{server} {CLOUDWATCH} A")), endpoints, "asked {server}");
    }
    assert_eq!(dns_status(&lab, &format!("{CLOUDWATCH} AAAA")), "NOERROR");
    assert_eq!(dig(&lab, &format!("{CLOUDWATCH} AAAA")), BTreeSet::new());
    assert!(dig(&lab, "www.amazon.com").contains("203.0.113.10"));
    for endpoint in ["10.0.1.57", "10.0.2.113"] {
        assert_eq!(curl(&lab, &at(endpoint)), format!("403 {endpoint}"));
    }
    assert!(connects(&lab, address::ENDPOINT_A, 80).is_err(), "the endpoint answers on 443 alone");
}

#[test]
fn nothing_gets_out_of_a_healthy_lab() {
    let lab = own_lab();
    for target in ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"] {
        let address: IpAddr = target.parse().unwrap();
        assert_eq!(connects(&lab, address, 443).map(drop), Err(std::io::ErrorKind::TimedOut), "{target}");
        let ping = shell(&lab, &format!("ping -c 1 -W 0.3 {target}"));
        assert!(ping.contains("100% packet loss"), "{ping}");
    }
    let endpoint = shell(&lab, "ping -c 1 -W 0.3 10.0.1.57");
    assert!(endpoint.contains("100% packet loss"), "endpoints never answer ping: {endpoint}");
    assert_eq!(lab.reached_internet(), Reached::default());
}

#[test]
fn an_open_nat_lets_everything_out_until_it_is_closed() {
    let lab = own_lab();
    lab.inject(Fault::NatOpen);
    assert!(shell(&lab, "ping -c 1 -W 1 1.1.1.1").contains(" 0% packet loss"));
    assert!(dig(&lab, "@8.8.8.8 example.com").contains("203.0.113.10"));
    let mut open = connects(&lab, "9.9.9.9".parse::<IpAddr>().unwrap(), 80).unwrap();
    let ipv4 = lab.reached_internet().ipv4;
    assert!(ipv4.icmp > 0 && ipv4.tcp > 0 && ipv4.udp > 0, "{ipv4:?}");
    assert_eq!(lab.reached_internet().ipv6.icmp, 0);

    lab.clear(Fault::NatOpen);
    open.set_read_timeout(Some(SHORT)).unwrap();
    open.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert!(open.read(&mut [0; 1]).is_err(), "the open connection has to feel it as well");
}

#[test]
fn two_labs_stand_side_by_side() {
    let (one, other) = (own_lab(), own_lab());
    one.inject(Fault::NatOpen);
    other.inject(Fault::NameNotFound);
    assert!(connects(&one, "1.1.1.1".parse::<IpAddr>().unwrap(), 443).is_ok());
    assert!(connects(&other, "1.1.1.1".parse::<IpAddr>().unwrap(), 443).is_err());
    assert_eq!(dns_status(&one, CLOUDWATCH), "NOERROR");
    assert_eq!(dns_status(&other, CLOUDWATCH), "NXDOMAIN");
}

#[test]
fn clearing_a_fault_restores_exactly_what_was() {
    let lab = own_lab();
    let healthy = portrait(&lab);
    for fault in Fault::ALL {
        lab.inject(*fault);
        lab.clear(*fault);
        assert_eq!(portrait(&lab), healthy, "after {}", fault.name());
    }
}

/// Everything about the lab that a fault can change outside of its servers.
fn portrait(lab: &Lab) -> Vec<String> {
    let rules =
        |host| lab.on(host, || Command::new("/usr/sbin/nft").args(["list", "table", "inet", "lab"]).output());
    let mut portrait: Vec<String> = [Host::Router, Host::Internet, Host::Instance]
        .map(|host| String::from_utf8_lossy(&rules(host).unwrap().stdout).into_owned())
        .into();
    portrait.push(shell(lab, "ip -o -br addr; ip route; ip -6 route; cat /etc/resolv.conf"));
    portrait.push(shell(lab, "cat /proc/sys/net/ipv4/ping_group_range"));
    portrait.push(dig(lab, &format!("{CLOUDWATCH} A")).into_iter().collect());
    portrait
}

#[test]
fn every_fault_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
    assert_eq!(names.len(), Fault::ALL.len());
    for fault in Fault::ALL {
        assert_eq!(Fault::from_name(fault.name()), Some(*fault));
        assert!(!fault.title().is_empty());
    }
    assert_eq!(Fault::from_name("no-such-fault"), None);
}

#[test]
fn faults_of_the_endpoint_are_seen_from_the_instance() {
    let lab = own_lab();
    lab.set([Fault::EndpointASilent]);
    assert_eq!(connects(&lab, address::ENDPOINT_A, 443).map(drop), Err(std::io::ErrorKind::TimedOut));
    assert_eq!(curl(&lab, &at("10.0.2.113")), "403 10.0.2.113");
    lab.set([Fault::EndpointARefused]);
    assert_eq!(
        connects(&lab, address::ENDPOINT_A, 443).map(drop),
        Err(std::io::ErrorKind::ConnectionRefused)
    );
    lab.set([Fault::InstanceEgressBlocked]);
    assert_eq!(connects(&lab, address::ENDPOINT_B, 443).map(drop), Err(std::io::ErrorKind::TimedOut));
    assert_eq!(dns_status(&lab, CLOUDWATCH), "NOERROR");

    lab.set([Fault::MtuBlackHole]);
    assert!(connects(&lab, address::ENDPOINT_A, 443).is_ok(), "small packets pass");
    assert!(curl(&lab, &at("10.0.1.57")).contains("timed out"), "large ones do not");
    for (fault, complaint) in [
        (Fault::CertificateExpired, "certificate has expired"),
        (Fault::CertificateNotYetValid, "not yet valid"),
        (Fault::CertificateWrongName, "no alternative certificate subject name matches"),
        (Fault::CertificateUntrusted, "unable to get local issuer certificate"),
        (Fault::TlsReset, "reset by peer"),
        (Fault::ResponseGarbage, "HTTP/0.9"),
        (Fault::ResponseCut, "transfer closed"),
        (Fault::CaptivePage, "200 10.0.1.57"),
        (Fault::ServiceUnavailable, "503 10.0.1.57"),
        (Fault::CertificatePrivateCa, "403 10.0.1.57"),
    ] {
        lab.set([fault]);
        let seen = curl(&lab, &at("10.0.1.57"));
        assert!(seen.contains(complaint), "{}: {seen}", fault.name());
    }
}

#[test]
fn faults_of_names_are_seen_from_the_instance() {
    let lab = own_lab();
    for (fault, status, addresses) in [
        (Fault::PrivateDnsOff, "NOERROR", vec!["203.0.113.20"]),
        (Fault::NameNotFound, "NXDOMAIN", vec![]),
        (Fault::NameNoAddress, "NOERROR", vec![]),
        (Fault::DnsServfail, "SERVFAIL", vec![]),
        (Fault::DnsRefused, "REFUSED", vec![]),
        (Fault::DnsMixed, "NOERROR", vec!["10.0.1.57", "203.0.113.20"]),
        (Fault::DnsSpecial, "NOERROR", vec!["127.0.0.1"]),
        (Fault::SystemResolverDiffers, "NOERROR", vec!["203.0.113.20"]),
    ] {
        lab.set([fault]);
        assert_eq!(dns_status(&lab, CLOUDWATCH), status, "{}", fault.name());
        let expected: BTreeSet<String> = addresses.into_iter().map(str::to_owned).collect();
        assert_eq!(dig(&lab, CLOUDWATCH), expected, "{}", fault.name());
    }
    assert_eq!(dig(&lab, &format!("@169.254.169.253 {CLOUDWATCH}")).len(), 2, "the VPC resolver is right");

    lab.set([Fault::DnsTruncated]);
    assert_eq!(dig(&lab, &format!("+ignore {CLOUDWATCH}")).len(), 0, "nothing fits into the datagram");
    assert_eq!(dig(&lab, CLOUDWATCH).len(), 15);
    lab.set([Fault::DnsTruncatedNoTcp]);
    assert_eq!(dns_status(&lab, CLOUDWATCH), "none");
    lab.set([Fault::DnsSilent]);
    assert_eq!(dns_status(&lab, CLOUDWATCH), "none");
}

#[test]
fn rejections_come_from_where_they_should() {
    let lab = own_lab();
    lab.set([Fault::EgressRejectedInside]);
    let ping = shell(&lab, "ping -c 1 -W 1 1.1.1.1");
    assert!(ping.contains("From 10.0.1.1") && ping.contains("filtered"), "{ping}");
    assert_eq!(lab.reached_internet().total(), 0);
    lab.set([Fault::EgressRejectedOutside]);
    let ping = shell(&lab, "ping -c 1 -W 1 1.1.1.1");
    assert!(ping.contains("From 203.0.113.1") && ping.contains("filtered"), "{ping}");
    assert_eq!(lab.reached_internet().ipv4.icmp, 1);
    lab.set([Fault::NoDefaultRoute]);
    assert!(shell(&lab, "ping -c 1 -W 1 1.1.1.1").contains("Network is unreachable"));
    assert!(connects(&lab, address::ENDPOINT_B, 443).is_ok(), "the VPC is still there");
}

#[test]
fn the_aws_cli_finds_the_stand_in_fair() {
    let lab = own_lab();
    let granted = aws(&lab, None);
    assert!(granted.status.success() && granted.stdout.contains("CPUUtilization"), "{granted:?}");
    let [request] = lab.requests().try_into().expect("one request");
    assert_eq!(
        (request.protocol, request.operation.as_deref()),
        (Some(Protocol::Query), Some("ListMetrics"))
    );
    assert_eq!(request.signature, Signature::Valid { access_key: "ASIALINKPROOFLAB0001".to_owned() });
    assert_eq!((request.status, request.peer.ip()), (Some(200), IpAddr::from(address::INSTANCE)));
    assert!(matches!(request.door, Door::EndpointA | Door::EndpointB));

    lab.inject(Fault::RoleDenied);
    let denied = aws(&lab, None);
    assert!(!denied.status.success());
    assert!(
        denied.stderr.contains("(AccessDenied)")
            && denied
                .stderr
                .contains("because no identity-based policy allows the cloudwatch:ListMetrics action"),
        "{denied:?}"
    );
}

#[test]
fn a_signature_by_another_key_or_at_another_time_is_refused() {
    let lab = own_lab();
    let forged = aws(&lab, Some("not/the/secret"));
    assert!(forged.stderr.contains("(SignatureDoesNotMatch)"), "{forged:?}");
    let requests = lab.requests();
    let Signature::Invalid { why: Flaw::Mismatch(why) } = &requests[0].signature else {
        panic!("{requests:?}");
    };
    assert!(why.contains("does not match the signature you provided"), "{why}");

    lab.inject(Fault::ClockAhead);
    let early = aws(&lab, None);
    assert!(early.stderr.contains("Signature not yet current"), "{early:?}");
    lab.set([Fault::RoleMissing]);
    let nobody = aws(&lab, None);
    assert!(nobody.stderr.contains("Unable to locate credentials"), "{nobody:?}");
}

#[test]
fn the_public_cloudwatch_is_the_same_service_outside() {
    let lab = own_lab();
    lab.set([Fault::PrivateDnsOff, Fault::NatOpen, Fault::CertificateExpired]);
    assert_eq!(curl(&lab, &format!("https://{CLOUDWATCH}/")), "403 203.0.113.20");
    let requests = lab.requests();
    assert_eq!((requests[0].door, &requests[0].signature), (Door::Public, &Signature::Absent));
}

#[test]
fn programs_see_the_instance_and_nothing_of_the_machine() {
    let before = fs::read_to_string("/etc/resolv.conf").unwrap();
    let lab = own_lab();
    let run = Run::new("bash").args(["-c", "id -u; grep -E 'Cap(Prm|Eff|Bnd)' /proc/self/status; env"]);
    let output = lab.run(&run.unprivileged().env("MARK", "1"));
    let mut lines = output.stdout.lines();
    assert_eq!(lines.next(), Some("65534"), "{output:?}");
    for _ in 0..3 {
        assert!(lines.next().is_some_and(|line| line.ends_with("0000000000000000")), "{output:?}");
    }
    let mut names: Vec<&str> = lines.filter_map(|line| line.split('=').next()).collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "MARK", "PATH", "PWD", "SHLVL", "_"]);

    assert!(shell(&lab, "cat /etc/resolv.conf").contains("nameserver 10.0.0.2"));
    assert_eq!(fs::read_to_string("/etc/resolv.conf").unwrap(), before);
    let links = shell(&lab, "ls /proc/sys/net/ipv4/conf");
    assert_eq!(links.split_whitespace().collect::<Vec<_>>(), ["all", "default", "eth0", "eth1", "lo"]);
}

#[test]
fn a_program_that_hangs_is_stopped() {
    let lab = own_lab();
    let output = lab.run(&Run::new("sleep").arg("60").timeout(Duration::from_millis(200)));
    assert!(output.timed_out && output.took < Duration::from_secs(5), "{output:?}");
    assert!(output.peak_rss.is_some());
}
