//! A private subnet out of network namespaces, for tests and demonstrations.
//!
//! An instance, a router, an endpoint with interfaces in two zones, a company's
//! resolver and the internet, each in a namespace of its own; a real unbound as the
//! VPC resolver, instance metadata, and a CloudWatch stand-in that verifies
//! signatures. Nothing has a link to the machine's network, so nothing can get out,
//! whatever is broken. Labs have no names and run side by side; when the process
//! dies, in whatever way, the kernel takes all of it away.
//!
//! Everything that can go wrong is a [`Fault`]; `inject` and `clear` return once it
//! is in force, on open connections too.

#![allow(
    dead_code,
    unused_imports,
    reason = "the tests and the demonstration include this module and each uses a part of it"
)]

pub mod address;
mod behaviour;
mod capture;
mod certificates;
mod clock;
mod cloudwatch;
mod fault;
mod firewall;
mod host;
mod instance;
mod internet;
mod long_way;
mod metadata;
mod name_server;
mod names;
mod nat64;
mod peer;
mod policy;
mod protocol;
mod request;
mod resolver;
mod run;
mod sigv4;
mod slow_resolver;
mod state;
pub mod sts;
mod topology;
mod zone;

use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Runtime;

use self::behaviour::Behaviour;
use self::certificates::Certificates;
use self::host::{Hosts, TOOL_PATH};
use self::peer::Peers;
use self::state::{State, Wish};

pub use self::capture::{Capture, RoundTrip};
pub use self::certificates::Keys;
pub use self::fault::{Fault, Faults};
pub use self::firewall::{Packets, Reached};
pub use self::host::Host;
pub use self::name_server::{Answer as NameAnswer, Behavior as NameBehavior, Edns};
pub use self::names::{HOSTS, NSSWITCH, Names, RESOLV_CONF};
pub use self::peer::{Canned, Endless};
pub use self::protocol::Protocol;
pub use self::request::{Door, Request};
pub use self::run::{Child, Output, Run};
pub use self::sigv4::{ACCESS_KEY, Flaw, SECRET_KEY, SESSION_TOKEN, Signature};
pub use self::zone::{CLOUDWATCH, ESTATE};

/// The programs that the lab is built from, with the Debian packages that have them.
const TOOLS: [(&str, &str); 5] = [
    ("ip", "iproute2"),
    ("nft", "nftables"),
    ("openssl", "openssl"),
    ("setpriv", "util-linux"),
    ("unbound", "unbound"),
];

/// A running lab; dropping it takes it down.
pub struct Lab {
    // Dropped in this order: resolvers, servers, namespaces.
    state: Mutex<State>,
    runtime: Option<Runtime>,
    peers: Arc<Peers>,
    hosts: Hosts,
}

impl Lab {
    /// Brings up a healthy lab. What is missing on this machine is said in the error.
    pub fn start() -> Result<Self, String> {
        Self::start_with(Keys::Quick)
    }

    pub fn start_with(keys: Keys) -> Result<Self, String> {
        check_machine()?;
        let certificates = Certificates::generate(keys)?;
        let hosts = Hosts::start()?;
        let trusted = certificates.trusted().to_vec();
        let files = hosts.thread(Host::Instance).submit(move || instance::prepare(&trusted));
        topology::build(&hosts)?;
        files.wait()?;
        hosts.on(Host::Internet, || host::tool("nft", &["-f", "-"], firewall::TRUTH))?;

        let wish = Wish::default();
        let peers = Arc::new(Peers::new(Behaviour::of(&wish.faults), certificates));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("lab-peers")
            .enable_all()
            .build()
            .map_err(|error| format!("cannot start the lab's servers: {error}"))?;
        serve(&runtime, &hosts, &peers)?;
        let mut state = State::default();
        state.bring_about(wish, &hosts, &peers)?;
        Ok(Self { state: Mutex::new(state), runtime: Some(runtime), peers, hosts })
    }

    /// Adds a fault to those in force.
    pub fn inject(&self, fault: Fault) {
        self.change(|wish| wish.faults = wish.faults.clone().with(fault));
    }

    /// Takes a fault away again.
    pub fn clear(&self, fault: Fault) {
        self.change(|wish| wish.faults = wish.faults.clone().without(fault));
    }

    /// Exactly these faults, and no other. None at all is the healthy lab.
    pub fn set(&self, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().collect::<Faults>();
        self.change(|wish| wish.faults = faults);
    }

    /// How names are looked up on the instance, beside what the faults do.
    pub fn names(&self, names: &Names) {
        self.change(|wish| wish.names = names.clone());
    }

    /// Whether the VPC resolver wraps IPv4 addresses (DNS64) and the router translates them (NAT64), as
    /// in a subnet without IPv4.
    pub fn nat64(&self, is_on: bool) {
        self.change(|wish| wish.nat64 = is_on);
    }

    /// The groups that may open ping sockets on the instance; healthy is everyone.
    pub fn ping_group_range(&self, low: u32, high: u32) {
        self.change(|wish| wish.ping_groups = (low, high));
    }

    /// Runs a program on the instance to its end.
    pub fn run(&self, run: &Run) -> Output {
        self.spawn(run).wait()
    }

    /// Starts a program on the instance.
    pub fn spawn(&self, run: &Run) -> Child {
        let run = run.clone();
        let started = self.on(Host::Instance, move || run.start());
        started.unwrap_or_else(|error| panic!("cannot start a program on the instance: {error}"))
    }

    /// Does something in a host's place. Sockets that are opened there stay there,
    /// wherever they are used from.
    pub fn on<R, F>(&self, host: Host, job: F) -> R
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        self.hosts.on(host, job)
    }

    /// The requests that the CloudWatch stand-in saw, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.peers.log.all()
    }

    /// What the endpoint answers to every signed request from now on; `None` is what it should.
    pub fn answer_signed(&self, canned: Option<Canned>) {
        self.peers.can(canned);
    }

    /// From now on the endpoint keeps sending for as long as its answer is read; `None` ends that.
    pub fn answer_endlessly(&self, endless: Option<Endless>) {
        self.peers.go_on(endless);
    }

    pub fn clear_requests(&self) {
        self.peers.log.clear();
    }

    /// The packets that arrived at the internet host since the lab was brought up.
    pub fn reached_internet(&self) -> Reached {
        let reached = self.on(Host::Internet, Reached::read);
        reached.unwrap_or_else(|error| panic!("the lab cannot tell what got out: {error}"))
    }

    /// Panics where it cannot be done: no test can go on from there.
    fn change(&self, change: impl FnOnce(&mut Wish)) {
        let mut state = self.lock();
        let mut wish = state.wish().clone();
        change(&mut wish);
        if let Err(error) = state.bring_about(wish, &self.hosts, &self.peers) {
            panic!("the lab could not change its state: {error}");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Open connections are not worth waiting for.
            runtime.shutdown_background();
        }
    }
}

fn check_machine() -> Result<(), String> {
    if !nix::unistd::geteuid().is_root() {
        return Err("the lab needs root, since it creates network namespaces: run it with sudo".to_owned());
    }
    let is_there =
        |tool: &str| TOOL_PATH.split(':').any(|directory| Path::new(directory).join(tool).exists());
    let missing: Vec<_> = TOOLS.iter().filter(|(tool, _)| !is_there(tool)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let tools: Vec<&str> = missing.iter().map(|(tool, _)| *tool).collect();
    let packages: Vec<&str> = missing.iter().map(|(_, package)| *package).collect();
    Err(format!("the lab needs {}: apt-get install {}", tools.join(", "), packages.join(" ")))
}

/// Opens every server's sockets in its place and serves them from one runtime.
fn serve(runtime: &Runtime, hosts: &Hosts, peers: &Arc<Peers>) -> Result<(), String> {
    for (host, door) in [(Host::EndpointA, Door::EndpointA), (Host::EndpointB, Door::EndpointB)] {
        let listener = listen(hosts, host, "[::]:443".parse().expect("an address"))?;
        let peers = Arc::clone(peers);
        runtime.spawn(peer::accept(listener, move |stream, ends| {
            cloudwatch::serve(Arc::clone(&peers), door, stream, ends)
        }));
    }

    let secure = listen(hosts, Host::Internet, "[::]:443".parse().expect("an address"))?;
    let public = Arc::clone(peers);
    runtime.spawn(peer::accept(secure, move |stream, ends| {
        internet::serve_tls(Arc::clone(&public), stream, ends)
    }));
    let plain = listen(hosts, Host::Internet, "[::]:80".parse().expect("an address"))?;
    runtime.spawn(peer::accept(plain, |stream, _| internet::serve_plain(stream)));
    for port in [22, 8443] {
        let odd = listen(hosts, Host::Internet, SocketAddr::from(([0, 0, 0, 0], port)))?;
        runtime.spawn(peer::accept(odd, |stream, _| internet::serve_plain(stream)));
    }
    for address in [address::INTERNET.into(), address::INTERNET_V6.into()] {
        let open = |port| datagrams(hosts, SocketAddr::new(address, port));
        runtime.spawn(internet::serve_dns(open(53)?));
        runtime.spawn(internet::serve_ntp(open(123)?));
    }

    let metadata = Arc::new(metadata::Service::new(Arc::clone(peers)));
    for address in [address::METADATA.into(), address::METADATA_V6.into()] {
        let listener = listen(hosts, Host::Router, SocketAddr::new(address, 80))?;
        let metadata = Arc::clone(&metadata);
        runtime.spawn(peer::accept(listener, move |stream, _| Arc::clone(&metadata).serve(stream)));
    }
    Ok(())
}

fn datagrams(hosts: &Hosts, address: SocketAddr) -> Result<UdpSocket, String> {
    let socket = hosts.on(Host::Internet, move || UdpSocket::bind(address));
    socket.map_err(|error| format!("cannot open {address} on the internet host: {error}"))
}

fn listen(hosts: &Hosts, host: Host, address: SocketAddr) -> Result<TcpListener, String> {
    let listener = hosts.on(host, move || TcpListener::bind(address));
    listener.map_err(|error| format!("cannot listen on {address} on the {}: {error}", host.name()))
}
