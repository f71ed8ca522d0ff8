//! The daemon: engine, schedule and server side by side, until a signal, or until one of them
//! dies.

use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{error, info};

use super::edges::Edges;
use super::{OBSERVATIONS, StartError, load, proxy_variables};
use crate::attempt::{Attempts, now};
use crate::cli::Args;
use crate::config::Config;
use crate::engine::{self, Published, State};
use crate::observation::Instance;
use crate::plan::Plan;
use crate::{notify, schedule};

pub async fn run(args: &Args, config: Config) -> Result<(), StartError> {
    let mut signals = Signals::listen().map_err(StartError::Runtime)?;
    let (sink, observations) = mpsc::channel(OBSERVATIONS);
    let attempts = Arc::new(Attempts::new(Edges::new(&config)?, sink));
    let plan = watch::Sender::new(Arc::new(Plan::new(&config, None)));
    let state = State::new(&plan.borrow(), now(), proxy_variables());
    let report = watch::Sender::new(Arc::new(state.report(now())));
    let instance = watch::Sender::new(None);
    let heartbeat = watch::Sender::new(Instant::now());
    let published = Published { report: report.clone(), instance: instance.clone(), heartbeat };
    let mut tasks = JoinSet::new();
    let engine = engine::run(state, observations, plan.subscribe(), published, |_| {});
    tasks.spawn(async move {
        engine.await;
        "the engine"
    });
    let schedule = schedule::run(Arc::clone(&attempts), plan.subscribe());
    tasks.spawn(async move {
        schedule.await;
        "the schedule"
    });
    notify::ready();
    info!(version = env!("CARGO_PKG_VERSION"), "Ready.");
    let mut daemon = Daemon { args, config, attempts, plan, instance: instance.subscribe() };
    let mut report = report.subscribe();
    loop {
        tokio::select! {
            _ = signals.interrupt.recv() => break,
            _ = signals.terminate.recv() => break,
            Some(()) = signals.hangup.recv() => { notify::reloading(); daemon.reload(); notify::ready(); }
            Ok(()) = daemon.instance.changed() => daemon.replan(),
            Ok(()) = report.changed() => notify::status(&report.borrow_and_update().verdict_line()),
            Some(ended) = tasks.join_next() => return Err(StartError::Ended(ended.unwrap_or("a task"))),
        }
    }
    info!("Stopping.");
    notify::stopping();
    Ok(())
}

struct Daemon<'a> {
    args: &'a Args,
    config: Config,
    attempts: Arc<Attempts<Edges>>,
    plan: watch::Sender<Arc<Plan>>,
    instance: watch::Receiver<Option<Instance>>,
}

impl Daemon<'_> {
    /// Everything is read and checked before anything is changed.
    fn reload(&mut self) {
        let loaded = load(self.args).and_then(|config| {
            self.attempts.probes.reload(&config).map_err(StartError::Trust)?;
            Ok(config)
        });
        match loaded {
            Ok(config) => {
                self.config = config;
                self.replan();
                info!("Configuration reloaded.");
            }
            Err(problem) => error!("Configuration not reloaded, the old one stays in force:\n{problem}"),
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

struct Signals {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }
}
