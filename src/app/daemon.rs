//! The daemon: engine, schedule and server side by side, until a signal, or until one of them
//! dies.

use std::env;
use std::future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpSocket;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tracing::{error, info, warn};

use super::live_probes::LiveProbes;
use super::{OBSERVATIONS, StartError, environment, load_config, server, textfile, with_access};
use crate::access::{self, Access};
use crate::attempt::{Runner, now};
use crate::cli::Args;
use crate::config::Config;
use crate::engine::{self, Observer, Published, Reports, Store};
use crate::explain::RUNBOOK;
use crate::metrics::{self, Metrics};
use crate::observation::{Instance, Observation};
use crate::plan::Plan;
use crate::serve::{AppState, CheckNow, Reload, ReloadFailed};
use crate::wire::trust::Trust;
use crate::wording::{clock_time, list};
use crate::{notify, schedule, threads};

/// The engine shows a heartbeat every second. Ten missed in a row are not bad luck.
const STUCK: Duration = Duration::from_secs(10);

/// For answers under way when a signal comes: the whole stop is to take less than a second.
const GRACE: Duration = Duration::from_millis(500);

/// Reloads over HTTP wait here, each for the one before.
const RELOADS: usize = 4;

/// For all files of a reload. A file system that hangs then fails the reload, and nothing else.
const READ: Duration = Duration::from_secs(7);

pub async fn run(args: &Args, config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Runtime)?;
    let mut listeners = Vec::new();
    for address in &config.web.listen {
        listeners.push(bind(*address)?);
    }
    let (probes, access) = with_access(&config, LiveProbes::new(&config))?;
    let access = Arc::new(access);
    let (sink, observations) = mpsc::channel(OBSERVATIONS);
    let runner = Arc::new(Runner::new(probes, sink));
    let plan = watch::Sender::new(Arc::new(Plan::new(&config, None)));
    let published = Published::new(Store::new(&plan.borrow(), now(), environment(env::vars_os())));
    let (store, instance) = (published.store.subscribe(), published.instance.subscribe());
    let (heartbeat, mut headline) = (published.heartbeat.subscribe(), published.headline.subscribe());
    let metrics = Arc::new(Metrics::with_web(Arc::clone(&access.is_current)));
    let (asked, mut reloads) = mpsc::channel(RELOADS);
    let (ready, stop) = (watch::Sender::new(false), watch::Sender::new(false));
    let reload = args.lifecycle.then_some(asked);
    let check_now = watch::Sender::new(0);
    let notes = watch::Sender::new(Vec::new());
    let mut state_of_app =
        app_state(&access, Reports::new(store.clone()), heartbeat, ready.subscribe(), &metrics, reload);
    state_of_app.check_now = args.lifecycle.then(|| CheckNow::new(check_now.clone()));
    state_of_app.notes = notes.subscribe();
    let served = server::start(listeners, state_of_app, stopped(stop.subscribe()))?;

    let mut tasks = JoinSet::new();
    let engine = engine::run(observations, plan.subscribe(), published, Counting(Arc::clone(&metrics)));
    tasks.spawn(named("the engine", engine));
    let delays = Arc::clone(&metrics);
    let on_start = move |late| delays.started(late);
    let schedule = schedule::run(Arc::clone(&runner), plan.subscribe(), check_now.subscribe(), on_start);
    tasks.spawn(named("the schedule", schedule));
    tasks.spawn(named("the server", served));
    if let Some(path) = config.web.textfile.clone() {
        let written = textfile::keep(path, Arc::clone(&metrics), store);
        tasks.spawn(named("the textfile", written));
    }
    let mut daemon = Daemon { args, config, access, runner, plan, instance, metrics, notes };
    ready.send_replace(true);
    notify::ready();
    info!(listen = %written(&daemon.config.web.listen), version = env!("CARGO_PKG_VERSION"), "Ready.");

    let mut notes = daemon.notes.subscribe();
    let mut reloading = None;
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
            Some(()) = signals.hangup.recv(), if reloading.is_none() => reloading = Some(daemon.reload(None)),
            Some(answer) = reloads.recv(), if reloading.is_none() => {
                reloading = Some(daemon.reload(Some(answer)));
            }
            loaded = finished(&mut reloading), if reloading.is_some() => {
                let answer = reloading.take().and_then(|reloading| reloading.answer);
                daemon.reloaded(loaded, answer);
            }
            Ok(()) = daemon.instance.changed() => daemon.replan(),
            Ok(()) = headline.changed() => notify::status(&status_line(&headline.borrow_and_update(), &notes.borrow())),
            Ok(()) = notes.changed() => notify::status(&status_line(&headline.borrow(), &notes.borrow_and_update())),
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

fn status_line(headline: &str, notes: &[String]) -> String {
    [&[headline.to_owned()], notes].concat().join(". ")
}

async fn named(name: &'static str, task: impl Future<Output = ()>) -> &'static str {
    task.await;
    name
}

async fn stopped(mut stop: watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Where IPv6 is switched off, "everywhere" means IPv4.
fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    let bound = match listen(address) {
        Err(error) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) && lacks_ipv6(&error) => {
            let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
            warn!(%everywhere, "IPv6 is off on this host; listening on IPv4 only.");
            listen(everywhere)
        }
        bound => bound,
    };
    bound.map_err(|error| StartError::Listen { address, error })
}

/// Of the kernel's memory, for each direction of a connection; it counts towards the unit's limit.
const SOCKET_BUFFER: u32 = 64 * 1024;

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Accepted connections inherit them.
    socket.set_send_buffer_size(SOCKET_BUFFER)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER)?;
    socket.bind(address)?;
    // Another runtime serves it.
    socket.listen(BACKLOG)?.into_std()
}

/// As many as the kernel allows by default.
const BACKLOG: u32 = 4096;

fn written(addresses: &[SocketAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn lacks_ipv6(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(nix::errno::Errno::EAFNOSUPPORT as i32)
}

fn app_state(
    access: &Arc<Access>,
    reports: Reports,
    heartbeat: watch::Receiver<Instant>,
    ready: watch::Receiver<bool>,
    metrics: &Arc<Metrics>,
    reload: Option<mpsc::Sender<Reload>>,
) -> AppState {
    let metrics = Arc::clone(metrics);
    AppState {
        access: Arc::clone(access),
        report: Box::new(move || reports.get()),
        now,
        metrics_type: metrics::content_type,
        metrics: Box::new(move |report, content_type| metrics.page(report, content_type).body),
        healthy: Box::new(move || {
            let silent = heartbeat.borrow().elapsed();
            if silent < STUCK {
                Ok(())
            } else {
                Err(format!("no heartbeat of the engine for {} s", silent.as_secs()))
            }
        }),
        ready,
        check_now: None,
        notes: watch::channel(Vec::new()).1,
        runbook: RUNBOOK,
        reload,
        host_name: host_name(),
    }
}

fn host_name() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
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
    notes: watch::Sender<Vec<String>>,
}

/// Everything that a reload reads.
struct Loaded {
    config: Config,
    access: access::Loaded,
    trust: Trust,
}

/// A reload in progress.
struct Reloading {
    loaded: Pin<Box<dyn Future<Output = Result<Loaded, StartError>>>>,
    /// Of a request over HTTP.
    answer: Option<Reload>,
}

async fn finished(reloading: &mut Option<Reloading>) -> Result<Loaded, StartError> {
    match reloading {
        Some(reloading) => reloading.loaded.as_mut().await,
        None => future::pending().await,
    }
}

impl Daemon<'_> {
    /// Everything is read and checked, away from the engine's thread, before anything is changed.
    fn reload(&self, answer: Option<Reload>) -> Reloading {
        notify::reloading();
        let (args, access) = (self.args.clone(), Arc::clone(&self.access));
        let read = threads::RELOADS.run(move || {
            let config = load_config(&args)?;
            let access = access.load().map_err(StartError::Web)?;
            let trust = Trust::load(config.ca_file.as_deref()).map_err(StartError::Trust)?;
            Ok(Loaded { config, access, trust })
        });
        let loaded = async move {
            match timeout(READ, read).await {
                Ok(loaded) => loaded.unwrap_or_else(|error| Err(StartError::Thread(error))),
                Err(_) => Err(StartError::Slow(READ)),
            }
        };
        Reloading { loaded: Box::pin(loaded), answer }
    }

    fn reloaded(&mut self, loaded: Result<Loaded, StartError>, answer: Option<Reload>) {
        self.metrics.reloaded(loaded.is_ok());
        let outcome = match loaded {
            Ok(Loaded { config, access, trust }) => {
                self.access.adopt(access);
                self.runner.probes.adopt(trust, config.ca_file.as_deref());
                self.adopt(config);
                Ok(())
            }
            Err(problem) => {
                error!("Reload failed; keeping the previous configuration:\n{problem}");
                self.notes.send_replace(vec![format!(
                    "The reload at {} failed, and the previous configuration is in use. The log says why",
                    clock_time(now())
                )]);
                Err(ReloadFailed)
            }
        };
        notify::ready();
        if let Some(answer) = answer {
            let _ = answer.send(outcome);
        }
    }

    fn adopt(&mut self, config: Config) {
        // What the process started with stays until it restarts.
        let (web, log) = (self.config.web.clone(), self.config.log);
        let waiting = waiting_for_restart(&self.config, &config);
        self.config = Config { log, web, ..config };
        self.replan();
        if waiting.is_empty() {
            info!("Configuration reloaded.");
            self.notes.send_replace(Vec::new());
        } else {
            let note = format!("Restart linkproof to apply the changes of {}", list(&waiting));
            warn!("Configuration reloaded. {note}.");
            self.notes.send_replace(vec![note]);
        }
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

fn waiting_for_restart(current: &Config, new: &Config) -> Vec<&'static str> {
    let (old, web) = (&current.web, &new.web);
    let changes = [
        (old.listen != web.listen, "[web] listen"),
        (old.config_file != web.config_file, "[web] config_file"),
        (old.open_health != web.open_health, "[web] open_health"),
        (old.textfile != web.textfile, "[web] textfile"),
        (current.log != new.log, "[log]"),
    ];
    changes.into_iter().filter(|(has_changed, _)| *has_changed).map(|(_, key)| key).collect()
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
