//! The server's own thread and runtime: no client of the port delays a probe or the engine.
//!
//! It has no lower priority: the system call for that is among those that the unit denies. What
//! clients can make it compute is bounded instead.

use std::io;
use std::net::TcpListener;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tracing::error;

use super::StartError;
use crate::serve::{AppState, serve};

/// One for passwords, one for the web configuration's files, and one more should a file hang.
const POOL: usize = 3;

/// Serves until `shutdown` ends. The future that is returned ends with the server.
pub fn start(
    listeners: Vec<TcpListener>,
    state: AppState,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<impl Future<Output = ()>, StartError> {
    let runtime = Builder::new_current_thread().enable_all().max_blocking_threads(POOL).build();
    let runtime = runtime.map_err(StartError::Runtime)?;
    let (alive, ended) = oneshot::channel::<()>();
    let run = move || {
        if let Err(error) = run(&runtime, listeners, state, shutdown) {
            error!(%error, "The server cannot start.");
        }
        // Not waiting for the hash of a password.
        runtime.shutdown_background();
        drop(alive);
    };
    thread::Builder::new().name("server".to_owned()).spawn(run).map_err(StartError::Thread)?;
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
