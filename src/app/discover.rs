//! `linkproof discover`: which endpoints this subnet has, by its own DNS.

use std::future::pending;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{StartError, output, overwritten, raise_file_limit, read_config, style};
use crate::check::Family;
use crate::cli::{DiscoverArgs, SurveyFormat};
use crate::config::Config;
use crate::discover::{self, Looks, Progress};
use crate::network::{Network, is_region};
use crate::observation::{Connection, DnsEvidence, EndpointProtocol, Instance, Query};
use crate::probe::lookup::Lookups;
use crate::probe::{connect, dns, instance, interfaces};
use crate::report::UNKNOWN;
use crate::report::text::Style;
use crate::survey::{self, Agenda, Context, Survey};
use crate::wire::trust::Trust;
use crate::wording;

/// As long as the checks wait by default.
const METADATA: Duration = Duration::from_secs(2);
const STEP: Duration = Duration::from_secs(3);

pub fn run(args: &DiscoverArgs) -> Result<u8, StartError> {
    if let Some(region) = args.region.as_ref().filter(|region| !is_region(region)) {
        return Err(StartError::Region(region.clone()));
    }
    let config = read_config(args.config.as_deref()).map_err(StartError::Config)?;
    if let Some(input) = overwritten(args.output.as_deref(), args.config.as_deref(), &config) {
        return Err(StartError::Overwrites(input));
    }
    let trust = Trust::load(config.ca_file.as_deref()).map_err(StartError::Trust)?;
    raise_file_limit();
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(StartError::Runtime)?;
    let survey = runtime.block_on(look(args, &config, trust))?;
    show(args, &survey)
}

fn show(args: &DiscoverArgs, survey: &Survey) -> Result<u8, StartError> {
    let page = match args.format {
        SurveyFormat::Text => {
            survey::text(survey, if args.output.is_some() { Style::PLAIN } else { style() })
        }
        SurveyFormat::Json => survey::json(survey).map_err(StartError::Json)?,
        SurveyFormat::Toml => {
            let written = survey::toml(survey).map_err(StartError::Import)?;
            for warning in &written.warnings {
                say(&format!("warning: {warning}"));
            }
            written.text
        }
    };
    match &args.output {
        Some(path) => output::write(path, &page),
        None => output::print(&page),
    }
    .map_err(StartError::Output)?;
    let incomplete = survey::incomplete(survey);
    let is_shown = args.format == SurveyFormat::Text && args.output.is_none();
    if let Some(sentence) = incomplete.as_ref().filter(|_| !is_shown) {
        say(sentence);
    }
    Ok(if incomplete.is_none() { 0 } else { UNKNOWN })
}

/// Best effort: standard error may be closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr(), "linkproof: {text}");
}

async fn look(args: &DiscoverArgs, config: &Config, trust: Trust) -> Result<Survey, StartError> {
    let context = context(args, config, &trust).await?;
    let agenda = Agenda::new(&context.region);
    let local: Vec<IpAddr> = interfaces::addresses().unwrap_or_default();
    let vpc_resolvers = context.network.vpc_resolvers(local.iter().any(IpAddr::is_ipv4));
    let looks = Live { lookups: Lookups::new(), trust, vpc_resolvers, answering: AtomicUsize::new(0) };
    let seen = discover::run(&agenda, &context, &looks, signaled(), show_progress).await;
    if io::stderr().is_terminal() {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
    Ok(Survey::new(context, agenda, seen))
}

/// Ctrl-C, or what timeout(1) sends.
async fn signaled() {
    let wait = async |kind| match signal(kind) {
        Ok(mut stream) => stream.recv().await,
        // Without it the signal ends the process, as always.
        Err(_) => pending().await,
    };
    tokio::select! {
        _ = wait(SignalKind::interrupt()) => {}
        _ = wait(SignalKind::terminate()) => {}
    }
}

async fn context(args: &DiscoverArgs, config: &Config, trust: &Trust) -> Result<Context, StartError> {
    let (instance, without_metadata) = facts(config, trust).await;
    let region = args.region.clone().or_else(|| config.region.clone()).or_else(|| instance.region.clone());
    let Some(region) = region else {
        let why = without_metadata.unwrap_or_else(|| "it lists no region".to_owned());
        return Err(StartError::NoRegion(why));
    };
    let local = interfaces::addresses().unwrap_or_default();
    let network = Network {
        vpc: instance.vpc_cidrs.clone(),
        expected: config.expected_cidrs.clone(),
        metadata_off: config.instance.is_none(),
        of_host: local.clone(),
    };
    let is_missing = |family: &Family| !local.iter().any(|ip| Family::of(*ip) == *family);
    Ok(Context {
        region,
        instance,
        without_metadata,
        network,
        missing_families: Family::BOTH.into_iter().filter(is_missing).collect(),
        unreadable: dns::host_files("").unreadable().cloned().collect(),
    })
}

/// What instance metadata says, or why it says nothing.
async fn facts(config: &Config, trust: &Trust) -> (Instance, Option<String>) {
    if config.instance.is_none() {
        return (Instance::default(), Some("switched off by instance.metadata".to_owned()));
    }
    let evidence = instance::instance(trust, METADATA).await;
    let why = || evidence.error.as_ref().map_or_else(|| "no answer".to_owned(), wording::probe_error);
    match evidence.instance {
        Some(instance) => (instance, None),
        None => (Instance::default(), Some(why())),
    }
}

fn show_progress(at: Progress) {
    if io::stderr().is_terminal() {
        let line = wording::survey::progress(at.looked_up, at.names, at.connected, at.connections);
        let _ = write!(io::stderr(), "\r\x1b[K{line}\r");
    }
}

struct Live {
    lookups: Lookups,
    trust: Trust,
    vpc_resolvers: Vec<IpAddr>,
    /// The place of the one that answered last.
    answering: AtomicUsize,
}

impl Live {
    /// The one that answers first, so that a blocked one does not take its time from each name.
    fn resolvers(&self) -> Vec<IpAddr> {
        let mut resolvers = self.vpc_resolvers.clone();
        let place = self.answering.load(Ordering::Relaxed);
        if place < resolvers.len() {
            resolvers.rotate_left(place);
        }
        resolvers
    }

    fn remember(&self, queries: &[Query]) {
        let answered = queries.iter().rfind(|query| query.result.is_conclusive());
        let place = |query: &Query| self.vpc_resolvers.iter().position(|ip| *ip == query.server.ip());
        if let Some(place) = answered.and_then(place) {
            self.answering.store(place, Ordering::Relaxed);
        }
    }
}

impl Looks for Live {
    async fn look_up(&self, host: &str) -> DnsEvidence {
        let files = dns::host_files(host);
        let (lookup, queries) = tokio::join!(self.lookups.look_up(host, dns::lookup_limit(&files)), async {
            let queries = dns::ask_vpc(&self.resolvers(), host, &files, STEP).await;
            self.remember(&queries);
            queries
        },);
        DnsEvidence {
            host: host.to_owned(),
            lookup,
            other_lookups: vec![],
            queries,
            files,
            own: None,
            zones: Vec::new(),
        }
    }

    async fn connect(&self, host: &str, peer: SocketAddr, protocol: EndpointProtocol) -> Connection {
        connect::connect(&self.trust, host, peer, protocol, STEP).await
    }
}
