use std::cell::{Cell, RefCell};
use std::future::pending;

use tokio::time::sleep;

use super::*;
use crate::network::Network;
use crate::observation::{EaiCode, HostFiles, LookupError, Query, QueryType, Resolver};

const REGION: &str = "us-east-1";

/// Answers each question after some time, the same for every name.
struct Scripted {
    takes: Duration,
    lookup: LookupResult,
    query: QueryResult,
    search: usize,
    running: Cell<usize>,
    most: Cell<usize>,
    asked: RefCell<Vec<(Duration, String)>>,
    connected: RefCell<Vec<String>>,
    started: Instant,
}

impl Scripted {
    fn new(lookup: LookupResult, query: QueryResult) -> Self {
        Self {
            takes: Duration::from_millis(1),
            lookup,
            query,
            search: 0,
            running: Cell::new(0),
            most: Cell::new(0),
            asked: RefCell::default(),
            connected: RefCell::default(),
            started: Instant::now(),
        }
    }

    async fn takes(&self) {
        self.running.set(self.running.get() + 1);
        self.most.set(self.most.get().max(self.running.get()));
        sleep(self.takes).await;
        self.running.set(self.running.get() - 1);
    }
}

impl Looks for Scripted {
    async fn look_up(&self, host: &str) -> DnsEvidence {
        self.asked.borrow_mut().push((self.started.elapsed(), host.to_owned()));
        self.takes().await;
        let query = |query_type| Query {
            took: self.takes,
            ..Query::of("169.254.169.253:53".parse().unwrap(), Resolver::Vpc, query_type, self.query.clone())
        };
        let is_control = host.starts_with("no-such-");
        let lookup = if is_control { no_name() } else { self.lookup.clone() };
        DnsEvidence {
            host: host.to_owned(),
            lookup: Lookup { result: lookup, took: self.takes },
            other_lookups: vec![],
            queries: vec![query(QueryType::A), query(QueryType::Aaaa)],
            files: HostFiles { search: vec!["ec2.internal".into(); self.search], ..HostFiles::default() },
            own: None,
            zones: Vec::new(),
        }
    }

    async fn connect(&self, host: &str, peer: SocketAddr, protocol: EndpointProtocol) -> Connection {
        self.connected.borrow_mut().push(format!("{host} {peer}"));
        self.takes().await;
        Connection {
            ip: peer.ip(),
            peer: Some(peer),
            protocol,
            kernel_tcp: None,
            phases: vec![],
            certificate: None,
            http_status: Some(403),
            clock_skew: None,
            signature: None,
            trust_store: None,
            error: None,
        }
    }
}

fn no_name() -> LookupResult {
    LookupResult::Error(LookupError { code: EaiCode::NoName, errno: None, message: String::new() })
}

fn again() -> LookupResult {
    LookupResult::Error(LookupError { code: EaiCode::Again, errno: None, message: String::new() })
}

fn inside() -> LookupResult {
    LookupResult::Addresses { addresses: vec!["10.0.1.57".parse().unwrap()] }
}

fn context() -> Context {
    let network = Network { vpc: vec!["10.0.0.0/16".parse().unwrap()], ..Network::default() };
    Context { region: REGION.into(), network, ..Context::default() }
}

async fn run_all(looks: &Scripted) -> Seen {
    run(&Agenda::new(REGION), &context(), looks, pending(), |_| ()).await
}

#[tokio::test(start_paused = true)]
async fn the_rate_stays_within_the_budget() {
    for (search, packets_a_name) in [(0, 4), (2, 8)] {
        let looks = Scripted { search, ..Scripted::new(no_name(), QueryResult::Nxdomain) };
        let seen = run_all(&looks).await;
        let asked = looks.asked.borrow();
        assert_eq!((seen.names.len(), seen.ended), (asked.len(), Ended::Finished));
        let packets = asked.len() * packets_a_name;
        let least = f64::from(u32::try_from(packets).unwrap()) / 400.0;
        let took = seen.took.as_secs_f64();
        assert!((least - 0.1..least + 1.0).contains(&took), "{took} s for {packets} packets");
        // In every second, not on average alone.
        for (place, (from, _)) in asked.iter().enumerate() {
            let within = asked[place..].iter().take_while(|(at, _)| *at < *from + Duration::from_secs(1));
            let packets = within.count() * packets_a_name;
            // Of those under way when a second begins, not all is charged yet.
            assert!(packets <= 400 + LOOKUPS * packets_a_name, "{packets} packets from {from:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_most_likely_comes_after_the_controls() {
    let looks = Scripted::new(no_name(), QueryResult::Nxdomain);
    run_all(&looks).await;
    let asked = looks.asked.borrow();
    let controls = asked.iter().take_while(|(_, host)| host.starts_with("no-such-")).count();
    assert!((2..=16).contains(&controls), "{controls}");
    assert_eq!(asked[controls].1, "monitoring.us-east-1.amazonaws.com");
}

#[tokio::test(start_paused = true)]
async fn every_private_name_is_connected_to_side_by_side() {
    let looks = Scripted { takes: Duration::from_secs(1), ..Scripted::new(inside(), QueryResult::Nxdomain) };
    let seen = run_all(&looks).await;
    let agenda = Agenda::new(REGION);
    assert_eq!(looks.connected.borrow().len(), agenda.questions().len());
    assert_eq!(seen.connections.len(), agenda.questions().len());
    assert_eq!(looks.most.get(), CONNECTIONS);
    assert!(looks.connected.borrow()[0].starts_with("monitoring.us-east-1.amazonaws.com 10.0.1.57:443"));
    let port = |service: &str| looks.connected.borrow().iter().any(|peer| peer.contains(service));
    assert!(port("cassandra.us-east-1.amazonaws.com 10.0.1.57:9142"));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_it_and_one_answer_does_not_let_it() {
    let silent = Scripted { takes: Duration::from_secs(11), ..Scripted::new(again(), QueryResult::Timeout) };
    // The controls have answers.
    let agenda = Agenda::new(REGION);
    let controls = agenda.controls().count();
    let most = controls + MOST_UNANSWERED;
    let seen = run_all(&silent).await;
    assert_eq!(seen.ended, Ended::NoAnswers);
    let asked = silent.asked.borrow().len();
    assert_eq!((asked, seen.names.len()), (controls + most, asked));
    let refused = Scripted::new(again(), QueryResult::Refused);
    assert_eq!(run_all(&refused).await.ended, Ended::Finished);
}

#[tokio::test(start_paused = true)]
async fn an_interruption_keeps_what_is_known() {
    let looks = Scripted::new(inside(), QueryResult::Nxdomain);
    let stop = sleep(Duration::from_secs(2));
    let told = RefCell::new(Vec::new());
    let seen = run(&Agenda::new(REGION), &context(), &looks, stop, |at| told.borrow_mut().push(at)).await;
    assert_eq!((seen.ended, seen.took), (Ended::Interrupted, Duration::from_secs(2)));
    assert!((150..=250).contains(&seen.names.len()), "{}", seen.names.len());
    assert!(seen.connections.is_empty());
    let told = told.into_inner();
    assert_eq!(told.last().map(|at| at.looked_up), Some(seen.names.len()));
    assert!(told.iter().all(|at| at.names > 1000 && at.connections == 0));
}

#[tokio::test(start_paused = true)]
async fn slow_lookups_end_at_the_limit() {
    let looks = Scripted { takes: Duration::from_secs(5), ..Scripted::new(inside(), QueryResult::Nxdomain) };
    let seen = run_all(&looks).await;
    assert_eq!((seen.ended, seen.took), (Ended::OutOfTime, LONGEST));
    assert!(seen.names.len() > 900, "{}", seen.names.len());
}
