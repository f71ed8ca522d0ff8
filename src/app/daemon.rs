//! The daemon: engine, schedule and server side by side, until a signal, or until one of them
//! dies.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::live_probes::LiveProbes;
use super::{OBSERVATIONS, StartError, access, load_config, proxy_variables, textfile};
use crate::access::Access;
use crate::attempt::{Runner, now};
use crate::cli::Args;
use crate::config::Config;
use crate::engine::{self, Observer, Published, Store};
use crate::metrics::Metrics;
use crate::observation::{Instance, Observation};
use crate::plan::Plan;
use crate::report::Report;
use crate::serve::{AppState, Page, Reload, serve};
use crate::{notify, schedule};

/// The engine turns every second; this many turns missed in a row are no accident.
const STUCK: Duration = Duration::from_secs(10);

/// For answers under way when a signal comes: the whole stop is to take less than a second.
const GRACE: Duration = Duration::from_millis(500);

/// Reloads asked for over HTTP wait here, each for the one before.
const RELOADS: usize = 4;

pub async fn run(args: &Args, config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Runtime)?;
    let mut listeners = Vec::new();
    for address in &config.web.listen {
        listeners.push(bind(*address).await?);
    }
    let access = Arc::new(access(&config.web)?);
    let (sink, observations) = mpsc::channel(OBSERVATIONS);
    let runner = Arc::new(Runner::new(LiveProbes::new(&config)?, sink));
    let plan = watch::Sender::new(Arc::new(Plan::new(&config, None)));
    let state = Store::new(&plan.borrow(), now(), proxy_variables());
    let report = watch::Sender::new(Arc::new(state.report(now())));
    let instance = watch::Sender::new(None);
    let heartbeat = watch::Sender::new(Instant::now());
    let metrics = Arc::new(Metrics::new());
    let (asked, mut reloads) = mpsc::channel(RELOADS);
    let (ready, stop) = (watch::Sender::new(false), watch::Sender::new(false));
    let reload = args.lifecycle.then_some(asked);
    let site = site(&access, report.subscribe(), heartbeat.subscribe(), ready.subscribe(), &metrics, reload);

    let check_now = watch::Sender::new(0);
    let mut tasks = JoinSet::new();
    let published = Published { report: report.clone(), instance: instance.clone(), heartbeat };
    let engine =
        engine::run(state, observations, plan.subscribe(), published, Counting(Arc::clone(&metrics)));
    tasks.spawn(named("the engine", engine));
    tasks.spawn(named(
        "the schedule",
        schedule::run(Arc::clone(&runner), plan.subscribe(), check_now.subscribe()),
    ));
    tasks.spawn(named("the server", serve(listeners, Arc::new(site), stopped(stop.subscribe()))));
    if let Some(path) = config.web.textfile.clone() {
        let written = textfile::keep(path, Arc::clone(&metrics), report.subscribe());
        tasks.spawn(named("the textfile", written));
    }
    let mut daemon = Daemon { args, config, access, runner, plan, instance: instance.subscribe(), metrics };
    ready.send_replace(true);
    notify::ready();
    info!(listen = %written(&daemon.config.web.listen), version = env!("CARGO_PKG_VERSION"), "Ready.");

    let mut report = report.subscribe();
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
            Some(()) = signals.hangup.recv() => { let _ = daemon.reload(); }
            Some(answer) = reloads.recv() => { let _ = Reload::send(answer, daemon.reload()); }
            Ok(()) = daemon.instance.changed() => daemon.replan(),
            Ok(()) = report.changed() => notify::status(&report.borrow_and_update().headline().to_string()),
            Some(ended) = tasks.join_next() => return Err(StartError::Ended(ended.unwrap_or("a task"))),
        }
    }
    info!("Stopping.");
    notify::stopping();
    stop.send_replace(true);
    // The first to end is the server; the others have nothing to put in order.
    let _ = timeout(GRACE, tasks.join_next()).await;
    Ok(())
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Where IPv6 is switched off, "everywhere" means IPv4.
async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = match TcpListener::bind(address).await {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_ipv6(&error) => {
            let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            warn!(%everywhere, "IPv6 is off here, so the server listens on IPv4 alone.");
            TcpListener::bind(everywhere).await
        }
        bound => bound,
    };
    bound.map_err(|error| StartError::Listen { address, error })
}

fn written(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn site(
    access: &Arc<Access>,
    report: watch::Receiver<Arc<Report>>,
    heartbeat: watch::Receiver<Instant>,
    ready: watch::Receiver<bool>,
    metrics: &Arc<Metrics>,
    reload: Option<mpsc::Sender<Reload>>,
) -> AppState {
    let metrics = Arc::clone(metrics);
    AppState {
        access: Arc::clone(access),
        report,
        now,
        metrics: Box::new(move |report, accept| {
            let page = metrics.page(report, accept);
            Page { content_type: page.content_type, body: page.body }
        }),
        healthy: Box::new(move || {
            let silent = heartbeat.borrow().elapsed();
            if silent < STUCK {
                Ok(())
            } else {
                Err(format!("the engine has not turned for {} s", silent.as_secs()))
            }
        }),
        ready,
        reload,
    }
}

struct Counting(Arc<Metrics>);

impl Observer for Counting {
    fn on_observation(&self, observation: &Observation) {
        self.0.observe(observation);
    }

    fn on_heartbeat(&self) {
        notify::alive();
    }
}

struct Daemon<'a> {
    args: &'a Args,
    config: Config,
    access: Arc<Access>,
    runner: Arc<Runner<LiveProbes>>,
    plan: watch::Sender<Arc<Plan>>,
    instance: watch::Receiver<Option<Instance>>,
    metrics: Arc<Metrics>,
}

impl Daemon<'_> {
    /// Everything is read and checked before anything is changed.
    fn reload(&mut self) -> Result<(), String> {
        notify::reloading();
        let loaded = load_config(self.args).and_then(|config| {
            self.access.read().map_err(StartError::Web)?;
            self.runner.probes.reload(&config).map_err(StartError::Trust)?;
            Ok(config)
        });
        self.metrics.reloaded(loaded.is_ok());
        let outcome = match loaded {
            Ok(config) => {
                self.adopt(config);
                Ok(())
            }
            Err(problem) => {
                error!("Configuration not reloaded, the old one stays in force:\n{problem}");
                Err(problem.to_string())
            }
        };
        notify::ready();
        outcome
    }

    fn adopt(&mut self, config: Config) {
        if config.web != self.config.web {
            warn!("What [web] says is followed at the next restart.");
        }
        self.config = config;
        self.replan();
        info!("Configuration reloaded.");
    }

    fn replan(&mut self) {
        let wanted = Plan::new(&self.config, self.instance.borrow_and_update().as_ref());
        self.plan.send_if_modified(|plan| {
            let news = **plan != wanted;
            if news {
                *plan = Arc::new(wanted);
            }
            news
        });
    }
}

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}
