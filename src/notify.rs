//! What systemd is told: readiness, a line on the state, and that the engine turns.

use sd_notify::NotifyState;
use tracing::warn;

pub fn ready() {
    send(&[NotifyState::Ready]);
}

pub fn stopping() {
    send(&[NotifyState::Stopping]);
}

pub fn status(line: &str) {
    send(&[NotifyState::Status(line)]);
}

/// For the engine to call each time it turns: a feeder of its own would outlive a stuck engine.
pub fn alive() {
    send(&[NotifyState::Watchdog]);
}

/// Around a reload (Type=notify-reload, systemd 253).
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => send(&[NotifyState::Reloading, since]),
        Err(error) => warn!(%error, "systemd could not be told of the reload"),
    }
}

fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "systemd could not be told");
    }
}
