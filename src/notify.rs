//! Notifies systemd: readiness, a status line, and the engine's heartbeat.
//!
//! A thread of its own sends it, because a service manager that does not read makes the sender
//! wait, and checks must go on.

use std::env;
use std::io;
use std::sync::LazyLock;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use sd_notify::NotifyState;
use tracing::warn;

/// Messages kept for a manager that does not read. Later ones are lost.
const WAITING: usize = 16;

static QUEUE: LazyLock<Option<SyncSender<String>>> = LazyLock::new(|| {
    env::var_os("NOTIFY_SOCKET")?;
    let (queue, messages) = mpsc::sync_channel(WAITING);
    match thread::Builder::new().name("notify".to_owned()).spawn(move || deliver(&messages)) {
        Ok(_) => Some(queue),
        Err(error) => {
            log_failure(&error);
            None
        }
    }
});

pub fn ready() {
    send(&[NotifyState::Ready]);
}

pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// The engine calls this at each heartbeat. A task of its own would keep feeding the watchdog while the
/// engine is stuck.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Around a reload (Type=notify-reload, systemd 253).
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => send(&[NotifyState::Reloading, since]),
        Err(error) => log_failure(&error),
    }
}

fn send(states: &[NotifyState<'_>]) {
    let Some(queue) = &*QUEUE else { return };
    let lines: Vec<String> = states.iter().map(ToString::to_string).collect();
    // A full queue holds a newer sign of life than the manager has read.
    let _ = queue.try_send(lines.join("\n"));
}

fn deliver(messages: &Receiver<String>) {
    for message in messages {
        if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&message)]) {
            log_failure(&error);
        }
    }
}

fn log_failure(error: &io::Error) {
    warn!(%error, "Cannot notify systemd.");
}
