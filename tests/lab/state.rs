//! The one value that the lab's state derives from, and bringing it into force:
//! rules, routes, zones and behaviour are computed anew from the active faults, and
//! what differs from before is replaced as a whole. So clearing a fault restores
//! exactly what was.

use super::behaviour::Behaviour;
use super::fault::{Fault, Faults};
use super::firewall;
use super::host::{Host, Hosts, sysctl};
use super::instance;
use super::long_way::{self, LongWay};
use super::name_server::NameServer;
use super::names::{self, Names};
use super::nat64::Translator;
use super::peer::Peers;
use super::resolver::{Resolver, Setup};
use super::topology;

/// What systemd sets on every boot; a fresh namespace forbids ping sockets.
const EVERYONE: (u32, u32) = (0, 2_147_483_647);

/// What someone asked the lab to be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Wish {
    pub faults: Faults,
    /// The groups that may open ping sockets.
    pub ping_groups: (u32, u32),
    pub names: Names,
    pub nat64: bool,
}

impl Default for Wish {
    fn default() -> Self {
        Self { faults: Faults::default(), ping_groups: EVERYONE, names: Names::default(), nat64: false }
    }
}

/// All that follows from a wish.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Derived {
    router_firewall: String,
    internet_firewall: String,
    instance_firewall: String,
    instance_network: topology::InstanceNetwork,
    router_routes: String,
    files: Vec<(&'static str, Vec<u8>, u32)>,
    names: Names,
    ping_groups: String,
    nat64: bool,
    vpc_resolver: Setup,
    corporate_resolver: Option<Setup>,
    behaviour: Behaviour,
    long_way: bool,
}

impl Derived {
    pub fn of(wish: &Wish) -> Self {
        let faults = &wish.faults;
        let (low, high) = if faults.has(Fault::PingForbidden) { (1, 0) } else { wish.ping_groups };
        Self {
            router_firewall: firewall::router(faults, wish.nat64),
            internet_firewall: firewall::internet(faults),
            instance_firewall: firewall::instance(faults, wish.names.link_local_blocked),
            instance_network: topology::instance(faults),
            router_routes: topology::router_routes(faults),
            files: files(wish),
            names: wish.names.clone(),
            ping_groups: format!("{low} {high}"),
            nat64: wish.nat64,
            vpc_resolver: Setup::vpc(faults, &wish.names.records, wish.nat64),
            corporate_resolver: Setup::corporate(faults),
            behaviour: Behaviour::of(faults),
            long_way: faults.has(Fault::NatOpenSlow),
        }
    }
}

fn files(wish: &Wish) -> Vec<(&'static str, Vec<u8>, u32)> {
    let (faults, names) = (&wish.faults, &wish.names);
    let usual = [
        (names::RESOLV_CONF, instance::resolv_conf(faults)),
        (names::HOSTS, instance::hosts_file(faults)),
        (names::NSSWITCH, names::USUAL_NSSWITCH.to_owned()),
    ];
    usual.map(|(path, usual)| (path, names.content(path, &usual).to_vec(), names.mode(path))).to_vec()
}

/// The state in force, with the processes that it needs.
#[derive(Default)]
pub struct State {
    wish: Wish,
    /// None where bringing a state into force failed half-way: then all is done anew.
    in_force: Option<Derived>,
    translator: Option<Translator>,
    vpc_resolver: Option<Resolver>,
    corporate_resolver: Option<Resolver>,
    name_servers: Vec<NameServer>,
    long_way: Option<LongWay>,
}

impl State {
    pub fn wish(&self) -> &Wish {
        &self.wish
    }

    /// Returns once everything is in force.
    pub fn bring_about(&mut self, wish: Wish, hosts: &Hosts, peers: &Peers) -> Result<(), String> {
        let new = Derived::of(&wish);
        let old = self.in_force.take();
        peers.behave(new.behaviour.clone());
        for (host, rules, before) in [
            (Host::Router, &new.router_firewall, old.as_ref().map(|old| &old.router_firewall)),
            (Host::Internet, &new.internet_firewall, old.as_ref().map(|old| &old.internet_firewall)),
            (Host::Instance, &new.instance_firewall, old.as_ref().map(|old| &old.instance_firewall)),
        ] {
            if before != Some(rules) {
                let rules = rules.clone();
                hosts.on(host, move || firewall::apply(&rules))?;
            }
        }
        if old.as_ref().map(|old| &old.router_routes) != Some(&new.router_routes) {
            let routes = new.router_routes.clone();
            hosts.on(Host::Router, move || topology::apply_router_routes(&routes))?;
        }
        if self.long_way.is_some() != new.long_way {
            self.change_long_way(new.long_way, hosts)?;
        }
        if self.translator.is_some() != new.nat64 {
            self.translator = None;
            let router = hosts.thread(Host::Router);
            self.translator = new.nat64.then(|| Translator::start(router)).transpose()?;
        }
        self.change_instance(&new, old.as_ref(), hosts)?;
        self.change_resolvers(&new, old.as_ref(), hosts)?;
        self.wish = wish;
        self.in_force = Some(new);
        Ok(())
    }

    fn change_long_way(&mut self, wanted: bool, hosts: &Hosts) -> Result<(), String> {
        match self.long_way.take() {
            Some(open) => {
                drop(open);
                long_way::close(hosts)?;
            }
            None if wanted => self.long_way = Some(LongWay::open(hosts)?),
            None => {}
        }
        Ok(())
    }

    fn change_instance(&self, new: &Derived, old: Option<&Derived>, hosts: &Hosts) -> Result<(), String> {
        if old.map(|old| &old.instance_network) != Some(&new.instance_network) {
            let network = new.instance_network.clone();
            hosts.on(Host::Instance, move || topology::apply_instance(&network))?;
        }
        if old.map(|old| &old.files) != Some(&new.files) {
            let files = new.files.clone();
            hosts.on(Host::Instance, move || {
                files.iter().try_for_each(|(path, content, mode)| names::write(path, content, *mode))
            })?;
        }
        if old.map(|old| &old.ping_groups) != Some(&new.ping_groups) {
            let groups = new.ping_groups.clone();
            hosts.on(Host::Instance, move || sysctl("net/ipv4/ping_group_range", &groups))?;
        }
        Ok(())
    }

    fn change_resolvers(
        &mut self,
        new: &Derived,
        old: Option<&Derived>,
        hosts: &Hosts,
    ) -> Result<(), String> {
        let start = |setup: &Setup| Resolver::start(setup, hosts.thread(setup.host()));
        if old.map(|old| &old.vpc_resolver) != Some(&new.vpc_resolver) {
            // The old one first, so that its sockets are free.
            self.vpc_resolver = None;
            self.vpc_resolver = Some(start(&new.vpc_resolver)?);
        }
        if old.map(|old| &old.corporate_resolver) != Some(&new.corporate_resolver) {
            self.corporate_resolver = None;
            self.corporate_resolver = new.corporate_resolver.as_ref().map(start).transpose()?;
        }
        if old.map(|old| &old.names) != Some(&new.names) {
            self.name_servers.clear();
            self.name_servers = new.names.start_servers(hosts)?;
        }
        Ok(())
    }
}
