//! Threads for what would hold up a runtime. tokio's own pool panics where the system has no
//! thread to give, and a runtime panics where it is dropped among the tasks of another; here both
//! are errors.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot};

/// For the files of a reload. A file system that hangs fails this reload and the next ones, and nothing
/// else.
pub static RELOADS: Pool = Pool::of(1);

/// For the textfile.
pub static TEXTFILE: Pool = Pool::of(1);

/// Of the port: one for passwords, one for the web configuration's files, and one more should a
/// file hang.
pub static SERVER: Pool = Pool::of(3);

/// For the C library's lookup of a host that the environment names.
static NAMES: Pool = Pool::of(4);

/// At most so many threads at a time; what comes then waits for its turn.
#[derive(Debug)]
pub struct Pool(Semaphore);

impl Pool {
    pub const fn of(threads: usize) -> Self {
        Self(Semaphore::const_new(threads))
    }

    /// A job that has begun goes on when the future is dropped, and keeps its place until it ends.
    pub async fn run<T: Send + 'static>(
        &'static self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> io::Result<T> {
        let place = self.0.acquire().await.map_err(io::Error::other)?;
        let (sender, result) = oneshot::channel();
        let work = move || {
            let result = job();
            drop(place);
            // Without a receiver the caller has given up.
            let _ = sender.send(result);
        };
        thread::Builder::new().name("files".to_owned()).spawn(work)?;
        result.await.map_err(|_| io::Error::other("the thread has ended without a result"))
    }
}

/// What the C library returns for a host; an address needs no lookup.
pub async fn addresses(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    NAMES.run(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await?
}

/// Starts a thread with a runtime of its own, which is made and dropped there.
pub fn with_runtime(name: &str, work: impl FnOnce(Runtime) + Send + 'static) -> io::Result<()> {
    let (sender, started) = mpsc::sync_channel(1);
    let run = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            let _ = sender.send(Ok(()));
            work(runtime);
        }
        Err(error) => drop(sender.send(Err(error))),
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    started.recv().map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_pool_bounds_its_threads_and_survives_a_panic() {
        static TWO: Pool = Pool::of(2);
        let stuck = || TWO.run(thread::park);
        assert!(futures_util::poll!(Box::pin(stuck())).is_pending());
        assert!(TWO.run(|| panic!("on purpose")).await.is_err());
        assert_eq!(TWO.run(|| 1).await.unwrap(), 1);
        assert!(futures_util::poll!(Box::pin(stuck())).is_pending());
        assert_eq!(TWO.0.available_permits(), 0);
    }
}
