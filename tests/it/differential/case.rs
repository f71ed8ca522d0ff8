//! One random way to look names up.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use fastrand::Rng;

use crate::lab::{CLOUDWATCH, Edns, HOSTS, Host, NSSWITCH, NameAnswer, NameBehavior, Names, RESOLV_CONF};

/// Where name servers run on the instance itself; at the last nothing listens.
const SERVERS: [&str; 4] = ["127.0.1.1", "127.0.1.2", "127.0.1.3", "127.0.1.9"];

#[derive(Debug)]
pub struct Case {
    pub names: Names,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for path in [RESOLV_CONF, HOSTS, NSSWITCH] {
            let content = self.names.content(path, "");
            writeln!(f, "    {path}: {}", content.escape_ascii())?;
        }
        write!(f, "    {:?}", self.names.behaviors())
    }
}

impl Case {
    pub fn random(seed: u64, index: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ index.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let rng = &mut rng;
        let mut names =
            Names::default().resolv_conf(resolv_conf(rng)).hosts(hosts(rng)).nsswitch(nsswitch(rng));
        // As a rule one kind of server stands in a file.
        let usual = behavior(rng);
        for address in &SERVERS[..3] {
            let behavior = if chance(rng, 60) { usual.clone() } else { behavior(rng) };
            names = names.server(Host::Instance, &format!("{address}:53"), behavior);
        }
        Self { names }
    }
}

fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(..100) < percent
}

fn pick<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

fn resolv_conf(rng: &mut Rng) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for _ in 0..[1, 1, 1, 2, 2, 3, 4, 0][rng.usize(..8)] {
        lines.push(server_line(rng));
    }
    if chance(rng, 50) {
        lines.push(search_line(rng).into_bytes());
    }
    // Without it each silent server takes 10 s.
    let mut options = format!("options timeout:1 attempts:{}", rng.u32(1..=2));
    for _ in 0..rng.usize(..4) {
        options += " ";
        options += pick(
            rng,
            &[
                "rotate",
                "rotate",
                "rotate",
                "ndots:5",
                "ndots:0",
                "ndots:15",
                "ndots:99",
                "use-vc",
                "edns0",
                "single-request",
                "single-request-reopen",
                "no-tld-query",
                "trust-ad",
                "inet6",
                "no-aaaa",
                "debug-me",
                "rotated",
                "no-check-names",
            ],
        );
    }
    if options.contains("rotate") {
        // Whether the library knows it (2.36 and later) cannot be seen from here, so that a public
        // AAAA of another server fails the check, rightly or not.
        options = options.replace(" no-aaaa", "");
    }
    lines.push(options.into_bytes());
    if chance(rng, 20) {
        lines.push(odd_line(rng));
    }
    rng.shuffle(&mut lines);
    ending(rng, &lines)
}

fn server_line(rng: &mut Rng) -> Vec<u8> {
    let keyword = if chance(rng, 94) {
        "nameserver "
    } else {
        pick(
            rng,
            &[
                "nameserver\t",
                "nameserver   ",
                " nameserver ",
                "NAMESERVER ",
                "nameserver",
                "nameserver=",
                "nameservers ",
                "\u{feff}nameserver ",
            ],
        )
    };
    let address = if chance(rng, 90) {
        SERVERS[[0, 0, 0, 1, 1, 2, 3][rng.usize(..7)]]
    } else {
        pick(
            rng,
            &[
                "10.0.0.256",
                "name.example",
                "",
                "127.0.1.1/32",
                "127.1.1",
                "::ffff:127.0.1.1",
                "fe80::zz",
                "127.0.1.1:53",
                "127.000.001.001",
                "0x7f000101",
                "2130706689",
            ],
        )
    };
    let tail =
        if chance(rng, 92) { "" } else { pick(rng, &[" ", "\t# comment", " 127.0.1.2", ";", "#x", "\0x"]) };
    format!("{keyword}{address}{tail}").into_bytes()
}

fn search_line(rng: &mut Rng) -> String {
    let mut line = pick(rng, &["search", "search", "search", "domain"]).to_owned();
    for _ in 0..=rng.usize(..3) {
        line += " ";
        line += pick(
            rng,
            &[
                "corp.example",
                "ec2.internal",
                "(none)",
                "a.b.c",
                ".",
                "local",
                "UPPER.example",
                "x_y.example",
                "",
                "bad..dots",
                "-dash-",
                "trailing.dot.",
            ],
        );
    }
    line
}

fn odd_line(rng: &mut Rng) -> Vec<u8> {
    let lines: [&[u8]; 7] = [
        b"# nameserver 127.0.1.3",
        b"; search nowhere.example",
        b"caf\xe9 \xff",
        b"sortlist 10.0.1.0/255.255.255.0",
        b"lookup file bind",
        b"nameserver",
        b"search",
    ];
    lines[rng.usize(..lines.len())].to_vec()
}

/// Mostly as Unix has it.
fn ending(rng: &mut Rng, lines: &[Vec<u8>]) -> Vec<u8> {
    let end: &[u8] = if chance(rng, 95) { b"\n" } else { b"\r\n" };
    let mut content = lines.join(end);
    if chance(rng, 90) {
        content.extend_from_slice(end);
    }
    content
}

fn hosts(rng: &mut Rng) -> Vec<u8> {
    let mut lines = vec![b"127.0.0.1 localhost".to_vec()];
    if chance(rng, 30) {
        for _ in 0..=rng.usize(..3) {
            let ip = pick(
                rng,
                &[
                    "10.0.1.57",
                    "10.0.2.113",
                    "203.0.113.20",
                    "2001:db8:1234:1::57",
                    "2001:db8:ffff::20",
                    "127.0.0.1",
                    "0.0.0.0",
                    "10.0.1",
                    "10.0.1.300",
                    "::1",
                ],
            );
            let name = match rng.u32(..10) {
                0 => CLOUDWATCH.to_uppercase(),
                1 => format!("{CLOUDWATCH}."),
                2 => format!("other {CLOUDWATCH}"),
                3 => format!("x{CLOUDWATCH}"),
                4 => format!("{CLOUDWATCH}.corp.example"),
                5 => format!("{CLOUDWATCH}#comment"),
                _ => CLOUDWATCH.to_owned(),
            };
            let space = pick(rng, &[" ", "\t", "  "]);
            let before = if chance(rng, 95) { "" } else { pick(rng, &["#", " ", "\t"]) };
            lines.push(format!("{before}{ip}{space}{name}").into_bytes());
        }
    }
    if chance(rng, 10) {
        lines.push(b"10.9.9.9 m\xfcller # \xff".to_vec());
    }
    rng.shuffle(&mut lines);
    ending(rng, &lines)
}

fn nsswitch(rng: &mut Rng) -> Vec<u8> {
    let line = if chance(rng, 60) {
        "hosts: files dns"
    } else {
        pick(
            rng,
            &[
                "hosts: dns files",
                "hosts: files",
                "hosts: dns",
                "hosts:files dns",
                "hosts:\tfiles\tdns",
                " hosts: dns",
                "hosts: files [NOTFOUND=return] dns",
                "hosts: dns [!UNAVAIL=return] files",
                "hosts: dns [NOTFOUND=continue] files",
                "hosts: dns [TRYAGAIN=return] files",
                "hosts: files [SUCCESS=merge] dns",
                "hosts: files [SUCCESS=continue] dns",
                "hosts: files nosuch dns",
                "hosts: nosuch",
                "hosts: files dns # mdns",
                "#hosts: dns",
                "hosts:",
                "hosts: files [ NOTFOUND = return ] dns",
                "hosts: dns [NOTFOUND=return",
                "hosts: files myhostname dns",
                "HOSTS: dns",
                "hosts: files\nhosts: dns",
                "hosts: dns\nhosts: files",
                "hosts : dns files",
                "hosts dns files",
                "hosts:: files",
                "hosts: files [!SUCCESS=return] dns",
                "hosts: files [!NOTFOUND=return] dns",
                "hosts: dns [!SUCCESS=continue] files",
                "hosts: dns [UNAVAIL=return NOTFOUND=return] files",
                "hosts: [NOTFOUND=return] files dns",
                "hosts: files dns files",
            ],
        )
    };
    ending(rng, &[b"passwd: files".to_vec(), line.as_bytes().to_vec()])
}

fn behavior(rng: &mut Rng) -> NameBehavior {
    let edns = if chance(rng, 90) {
        Edns::Ignored
    } else if rng.bool() {
        Edns::FormErr
    } else {
        Edns::Silent
    };
    let delay = [0, 0, 0, 0, 0, 0, 0, 50, 200, 400][rng.usize(..10)];
    NameBehavior {
        a: answer(rng, true),
        aaaa: if chance(rng, 60) { NameAnswer::NoData } else { answer(rng, false) },
        searched: if chance(rng, 70) { NameAnswer::NxDomain } else { answer(rng, true) },
        edns,
        delay: Duration::from_millis(delay),
        over_udp: chance(rng, 97),
        over_tcp: chance(rng, 90),
    }
}

fn answer(rng: &mut Rng, ipv4: bool) -> NameAnswer {
    let ips = addresses(rng, ipv4);
    if chance(rng, 75) {
        return NameAnswer::Addresses(ips);
    }
    match rng.u32(..16) {
        0 => NameAnswer::Alias { first: true, addresses: ips },
        1 => NameAnswer::Alias { first: false, addresses: ips },
        2 | 3 => NameAnswer::NoData,
        4 | 5 => NameAnswer::NxDomain,
        6 | 7 => NameAnswer::ServFail,
        8 | 9 => NameAnswer::Refused,
        10 => NameAnswer::Code([1, 4, 9, 11][rng.usize(..4)]),
        11 => NameAnswer::Referral,
        12 => NameAnswer::Silent,
        13 => NameAnswer::Truncated(ips),
        14 => NameAnswer::Cut,
        _ => NameAnswer::OtherQuestion(ips),
    }
}

fn addresses(rng: &mut Rng, ipv4: bool) -> Vec<IpAddr> {
    let of: &[&[&str]] = if ipv4 {
        &[
            &["10.0.1.57", "10.0.2.113"],
            &["10.0.1.57", "10.0.2.113"],
            &["10.0.1.57", "10.0.2.113"],
            &["10.0.2.113", "10.0.1.57"],
            &["10.0.1.57"],
            &["10.0.1.57"],
            &["100.64.1.57"],
            &["203.0.113.20"],
            &["10.0.1.57", "203.0.113.20"],
            &["10.99.0.57"],
            &["127.0.0.1"],
            &["0.0.0.0"],
        ]
    } else {
        &[&["2001:db8:1234:1::57"], &["2001:db8:1234:1::57"], &["2001:db8:ffff::20"], &["::1"], &["fe80::5"]]
    };
    of[rng.usize(..of.len())].iter().map(|ip| ip.parse().unwrap()).collect()
}
