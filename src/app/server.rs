//! The server's own thread and runtime: no client of the port delays a probe or the engine.
//!
//! It has no lower priority: the system call for that is among those that the unit denies. What
//! clients can make it compute is bounded instead.

use std::io;
use std::net::TcpListener;

use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tracing::error;

use super::StartError;
use crate::serve::{AppState, serve};
use crate::threads;

/// Serves until `shutdown` ends. The future that is returned ends with the server.
pub fn start(
    listeners: Vec<TcpListener>,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = ()>, StartError> {
    let (alive, ended) = oneshot::channel::<()>();
    let run = move |runtime: Runtime| {
        if let Err(error) = run(&runtime, listeners, state, shutdown) {
            error!(%error, "The server cannot start.");
        }
        drop(alive);
    };
    threads::with_runtime("server", run).map_err(StartError::Thread)?;
    Ok(async { drop(ended.await) })
}

fn run(
    runtime: &Runtime,
    listeners: Vec<TcpListener>,
    state: AppState,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    runtime.block_on(async {
        let listeners = listeners.into_iter().map(tokio::net::TcpListener::from_std);
        serve(listeners.collect::<io::Result<_>>()?, state, shutdown).await;
        Ok(())
    })
}
