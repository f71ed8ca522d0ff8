//! One lookup process, from the daemon's side.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::process::{Child, Command};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::files::Versions;
use super::message::{self, Request, Response};
use crate::observation::ProcessEnd;

/// Threads in one process. A dead first name server holds each lookup for 5 s, so that a host
/// with many endpoints has many lookups under way.
pub const WIDTH: usize = 16;

/// For a process that closed its channel to end by itself, so that we learn how.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How the process is started.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: OsString,
    pub arguments: Vec<OsString>,
}

/// A running process. It is killed when the last one who holds this lets go.
#[derive(Debug)]
pub struct Process {
    /// What the library may have read.
    files: Versions,
    requests: mpsc::UnboundedSender<Request>,
    waiting: Arc<Mutex<Waiting>>,
    turns: Arc<Semaphore>,
    next_id: AtomicU64,
    is_retired: AtomicBool,
}

/// Who waits for which answer; how it ended, once it has.
#[derive(Debug)]
enum Waiting {
    For(HashMap<u64, oneshot::Sender<Result<Response, ProcessEnd>>>),
    Ended(ProcessEnd),
}

/// Permission to have one lookup under way.
#[derive(Debug)]
pub struct Turn {
    process: Arc<Process>,
    is_over: bool,
    _permit: OwnedSemaphorePermit,
}

impl Process {
    /// `permit` is held until the process has ended and the kernel has forgotten it.
    pub fn start(program: &Program, files: Versions, permit: OwnedSemaphorePermit) -> io::Result<Self> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let ours = UnixStream::from_std(ours)?;
        let child = Command::new(&program.path)
            // The name in `ps`, where the path is /proc/self/exe.
            .arg0("linkproof")
            .args(&program.arguments)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // The systemd of this service must not hear from a module.
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            // Ctrl-C is for the daemon, which ends this process with itself.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()?;
        let (requests, queue) = mpsc::unbounded_channel();
        let waiting = Arc::new(Mutex::new(Waiting::For(HashMap::new())));
        tokio::spawn(drive(child, ours, queue, Arc::clone(&waiting), permit));
        Ok(Self {
            files,
            requests,
            waiting,
            turns: Arc::new(Semaphore::new(WIDTH)),
            next_id: AtomicU64::new(0),
            is_retired: AtomicBool::new(false),
        })
    }

    /// Whether a new lookup may be given to it, now that these are the files.
    pub fn is_usable(&self, files: &Versions) -> bool {
        !self.is_retired.load(Ordering::Relaxed) && !self.requests.is_closed() && self.files == *files
    }

    /// What runs in it may go on; nothing new is given to it.
    pub fn retire(&self) {
        self.is_retired.store(true, Ordering::Relaxed);
    }

    /// Waits for a thread to become free.
    pub async fn turn(self: Arc<Self>) -> Option<Turn> {
        let permit = Arc::clone(&self.turns).acquire_owned().await.ok()?;
        Some(Turn { process: self, is_over: false, _permit: permit })
    }

    fn ask(&self, host: &str) -> Result<oneshot::Receiver<Result<Response, ProcessEnd>>, ProcessEnd> {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        match &mut *lock(&self.waiting) {
            Waiting::For(waiting) => waiting.insert(id, sender),
            Waiting::Ended(end) => return Err(*end),
        };
        // Where nothing takes it any more, `drive` tells all who wait.
        let _ = self.requests.send(Request { id, host: host.to_owned() });
        Ok(answer)
    }
}

impl Turn {
    /// The answer, or how the process ended instead. When this is dropped before the answer came,
    /// a thread of the process may never come back, so the process is not used again.
    pub async fn look_up(mut self, host: &str) -> Result<Response, ProcessEnd> {
        let answer = self.process.ask(host)?.await.unwrap_or(Err(ProcessEnd::BrokenProtocol));
        self.is_over = answer.is_ok();
        answer
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_over {
            self.process.retire();
        }
    }
}

/// Owns the process until it has ended.
async fn drive(
    mut child: Child,
    channel: UnixStream,
    queue: mpsc::UnboundedReceiver<Request>,
    waiting: Arc<Mutex<Waiting>>,
    permit: OwnedSemaphorePermit,
) {
    let (reader, writer) = channel.into_split();
    let end = tokio::select! {
        broken = receive(reader, &waiting) => end_of(&mut child, broken).await,
        // Nothing is wanted from it any more.
        () = send(writer, queue) => ProcessEnd::BrokenProtocol,
    };
    let ended = mem::replace(&mut *lock(&waiting), Waiting::Ended(end));
    if let Waiting::For(waiting) = ended {
        for sender in waiting.into_values() {
            let _ = sender.send(Err(end));
        }
    }
    // Already over, or killed now: the wait is long only where the kernel cannot end a system
    // call, such as one to a dead file server.
    let _ = child.start_kill();
    let _ = child.wait().await;
    drop(permit);
}

async fn send(mut writer: OwnedWriteHalf, mut queue: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = queue.recv().await {
        let Ok(frame) = message::encode(&request) else { continue };
        if writer.write_all(&frame).await.is_err() {
            // The reader learns how it ended.
            std::future::pending::<()>().await;
        }
    }
}

/// Hands out answers until the channel breaks.
async fn receive(mut reader: OwnedReadHalf, waiting: &Mutex<Waiting>) -> io::Error {
    loop {
        match next(&mut reader).await {
            Ok(response) => {
                if let Waiting::For(waiting) = &mut *lock(waiting)
                    && let Some(sender) = waiting.remove(&response.id)
                {
                    // The lookup may have timed out meanwhile.
                    let _ = sender.send(Ok(response));
                }
            }
            Err(error) => return error,
        }
    }
}

async fn next(reader: &mut OwnedReadHalf) -> io::Result<Response> {
    let mut length = [0; 4];
    reader.read_exact(&mut length).await?;
    let mut body = vec![0; message::body_length(length)?];
    reader.read_exact(&mut body).await?;
    message::decode(&body)
}

async fn end_of(child: &mut Child, broken: io::Error) -> ProcessEnd {
    if broken.kind() == io::ErrorKind::InvalidData {
        return ProcessEnd::BrokenProtocol;
    }
    match timeout(LAST_WORDS, child.wait()).await {
        Ok(Ok(status)) => of_status(status),
        Ok(Err(_)) | Err(_) => ProcessEnd::BrokenProtocol,
    }
}

fn of_status(status: ExitStatus) -> ProcessEnd {
    match (status.signal(), status.code()) {
        (Some(signal), _) => ProcessEnd::Signal(signal),
        (None, code) => ProcessEnd::Exit(code.unwrap_or_default()),
    }
}

fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
