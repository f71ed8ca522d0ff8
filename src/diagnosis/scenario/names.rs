//! What a line says of a name: lookups, queries, files of the host, own names.

use super::*;

pub fn dns(host: &str, took: Duration, words: &Words) -> DnsEvidence {
    let mut queries = Vec::new();
    for (key, resolver, server) in
        [("system", Resolver::System, "10.0.0.2:53"), ("vpc", Resolver::Vpc, "169.254.169.253:53")]
    {
        let servers = format!("{key}_server");
        let servers = words.all(&servers).chain(std::iter::repeat(server));
        queries.extend(words.all(key).zip(servers).map(|(said, server)| Query {
            took: if said == "timeout" { took } else { Duration::from_micros(1100) },
            ..Query::of(server.parse().unwrap(), resolver, QueryType::A, query_result(said))
        }));
    }
    let mut evidence = DnsEvidence::of(host, queries);
    // `searched=NAME:ANSWER` is what the first server says of a name that the search list makes.
    evidence.queries.extend(words.all("searched").map(|word| {
        let (name, said) = word.split_once(':').unwrap();
        Query {
            name: Some(name.to_owned()),
            took: Duration::from_micros(1100),
            ..Query::of("10.0.0.2:53".parse().unwrap(), Resolver::System, QueryType::A, query_result(said))
        }
    }));
    evidence.own = own_names(words);
    // `range=ZONE:CIDR`, or `range=ZONE@ID:CIDR`, is a zone of the configuration.
    evidence.zones.extend(words.all("range").map(|range| {
        let (zone, cidr) = range.split_once(':').unwrap();
        let (zone, id) = zone.split_once('@').map_or((zone, None), |(zone, id)| (zone, Some(id)));
        let cidrs = vec![cidr.parse().unwrap()];
        ZoneRange { zone: zone.to_owned(), id: id.map(str::to_owned), cidrs }
    }));
    host_files(&mut evidence.files, words);
    evidence.other_lookups = words
        .all("other_lookup")
        .map(|said| Lookup { result: lookup_result(said), ..evidence.lookup.clone() })
        .collect();
    let alias_last = words.text("alias_last").is_some();
    evidence.queries.iter_mut().for_each(|query| query.alias_last = alias_last);
    let blocked_here = words.text("blocked_here").is_some();
    let unrouted_here = words.text("unrouted_here").is_some();
    for query in &mut evidence.queries {
        (query.blocked_here, query.unrouted_here) = (blocked_here, unrouted_here);
    }
    let files = &evidence.files;
    if files.hosts_comes_first() {
        let addresses = files.hosts.iter().map(|entry| entry.address).collect();
        evidence.lookup.result = LookupResult::Addresses { addresses };
    }
    if let Some(result) = words.text("lookup") {
        evidence.lookup.result = lookup_result(&result);
    }
    if let Some(millis) = words.number("lookup_ms") {
        evidence.lookup.took = Duration::from_millis(millis);
    }
    evidence
}

/// `own=ZONE:ANSWER` is what the VPC resolver says of the endpoint's name in that zone, and
/// `own=regional:ANSWER` of its regional name; `other=IP:SECONDS` for how long the lookup has led
/// to an address that is none of them.
fn own_names(words: &Words) -> Option<OwnNames> {
    let name = |(zone, said): (&str, &str)| {
        let zone = Some(zone.to_owned()).filter(|zone| zone != "regional");
        let suffix = zone.as_ref().map(|zone| format!("-{zone}")).unwrap_or_default();
        let query = Query {
            took: Duration::from_secs(3),
            ..Query::of(
                "169.254.169.253:53".parse().unwrap(),
                Resolver::Vpc,
                QueryType::A,
                query_result(said),
            )
        };
        let name = format!("vpce-0a1b-c2d3{suffix}.monitoring.us-east-1.vpce.amazonaws.com");
        OwnName { name, zone, queries: vec![query] }
    };
    let names: Vec<OwnName> = words.all("own").map(|own| name(own.split_once(':').unwrap())).collect();
    let others = words.all("other").map(|other| other.rsplit_once(':').unwrap());
    let others = others.map(|(ip, seconds)| OtherAddress {
        ip: ip.parse().unwrap(),
        seen_for: Duration::from_secs(seconds.parse().unwrap()),
    });
    let others = others.collect();
    (!names.is_empty()).then_some(OwnNames { names, others, asked_again: false })
}

fn host_files(files: &mut HostFiles, words: &Words) {
    files.hosts = words.all("hosts").map(|ip| HostsEntry { line: 3, address: ip.parse().unwrap() }).collect();
    if let Some(sources) = words.text("sources") {
        files.sources = sources.split(',').map(str::to_owned).collect();
    }
    if let Some(servers) = words.text("servers") {
        files.servers = servers.split(',').map(|server| server.parse().unwrap()).collect();
    }
    files.upstreams = words.all("upstream").map(|ip| ip.parse().unwrap()).collect();
    files.rotate = words.text("rotate").is_some();
    files.nscd = words.text("nscd").is_some();
    files.ndots = words.number("ndots").unwrap_or(1);
    files.attempts = words.number("attempts").unwrap_or(2);
    files.search = words.all("search").map(str::to_owned).collect();
    files.problems.extend(words.text("unreadable").map(|_| FileProblem::Unreadable {
        path: "/etc/hosts",
        error: "permission denied".into(),
        mode: Some(0o600),
    }));
    let to_others = FileProblem::UnreadableToOthers { path: "/etc/resolv.conf", mode: 0o600 };
    files.problems.extend(words.text("unreadable_to_others").map(|_| to_others));
    files.problems.extend(words.number("ignored_line").map(|line| FileProblem::IgnoredServer {
        path: "/etc/resolv.conf",
        line,
        why: "it ends in CR LF, as on Windows",
    }));
    files.problems.extend(
        words
            .text("no_server")
            .map(|_| FileProblem::NoServer { path: "/etc/resolv.conf", why: "is empty".into() }),
    );
    files
        .problems
        .extend(words.text("fifo").map(|_| FileProblem::NotAFile { path: "/etc/hosts", kind: "a FIFO" }));
    files.diverting = words.text("diverting").map(|service| NsswitchAction {
        line: 12,
        service,
        action: "[NOTFOUND=return]".into(),
    });
}

fn lookup_result(said: &str) -> LookupResult {
    let error =
        |code, message: &str| LookupResult::Error(LookupError { code, errno: None, message: message.into() });
    match said {
        "noname" => error(EaiCode::NoName, "Name or service not known"),
        "again" => error(EaiCode::Again, "Temporary failure in name resolution"),
        "timeout" => LookupResult::TimedOut,
        "crash" => LookupResult::Crashed { end: ProcessEnd::Signal(11) },
        ips => LookupResult::Addresses { addresses: ips.split(',').map(|ip| ip.parse().unwrap()).collect() },
    }
}

fn query_result(said: &str) -> QueryResult {
    let addresses = |addresses| QueryResult::Addresses { addresses, ttl: Some(60), aliases: vec![] };
    match said {
        "nxdomain" => QueryResult::Nxdomain,
        "nodata" => addresses(vec![]),
        "truncated" => QueryResult::Truncated { detail: "over TCP: connection refused".into() },
        "servfail" => QueryResult::Servfail,
        "unreachable" => QueryResult::Unreachable { detail: "connection refused".into() },
        "refused" => QueryResult::Refused,
        "timeout" => QueryResult::Timeout,
        ips => addresses(ips.split(',').map(|ip| ip.parse().unwrap()).collect()),
    }
}
