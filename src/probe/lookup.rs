//! What applications on this host get for a name: `getaddrinfo`, in a process of its own.
//!
//! The process is this binary, started again. It is replaced when the files that the C library
//! remembers have changed, when a lookup overruns its time, when all its threads are busy, and
//! when it dies. Lookups that run in a replaced process go on, and it is killed after the last.

mod files;
pub mod helper;
mod message;
mod process;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use crate::observation::{EaiCode, Lookup, LookupError, LookupResult, NotRun};
use files::Versions;
use message::{Answer, Response};
use process::{Process, Program, Turn};

/// The argument that makes this binary the lookup process.
pub const ARGUMENT: &str = "--lookup-helper";

/// Processes at a time, counting those that were killed and have not ended. With fewer threads
/// than the unit's TasksMax allows.
const MOST_PROCESSES: usize = 4;

/// For a thread of the process to become free before another process is started: lookups that
/// are answered take milliseconds.
const BUSY: Duration = Duration::from_millis(250);

/// Shorter than the shortest interval of a check.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Runs lookups; one of it serves the whole daemon.
#[derive(Debug)]
pub struct Lookups {
    program: Program,
    current: Mutex<Option<Arc<Process>>>,
    processes: Arc<Semaphore>,
}

impl Lookups {
    pub fn new() -> Self {
        // The same file, even after an upgrade has replaced it on disk.
        Self::with_program(Program { path: "/proc/self/exe".into(), arguments: vec![ARGUMENT.into()] })
    }

    fn with_program(program: Program) -> Self {
        let processes = Arc::new(Semaphore::new(MOST_PROCESSES));
        Self { program, current: Mutex::default(), processes }
    }

    /// `limit` is for the library; before that a lookup may wait for its turn.
    pub async fn look_up(&self, host: &str, limit: Duration) -> Lookup {
        // With the dot an application would ask another question.
        let host = host.trim_end_matches('.');
        let began = Instant::now();
        let result = match self.turn().await {
            Ok(turn) => self.take(turn, host, limit).await,
            Err(because) => Err(because),
        };
        let not_run = |because| Lookup { result: LookupResult::NotRun { because }, took: began.elapsed() };
        result.unwrap_or_else(not_run)
    }

    async fn take(&self, turn: Turn, host: &str, limit: Duration) -> Result<Lookup, NotRun> {
        let started = Instant::now();
        match timeout(limit, turn.look_up(host)).await {
            Ok(Ok(response)) => lookup(response),
            Ok(Err(_)) => self.alone(host, limit.saturating_sub(started.elapsed())).await,
            Err(_) => Ok(Lookup { result: LookupResult::TimedOut, took: limit }),
        }
    }

    /// The process died, and which of its lookups did it is not known: each is run again in a
    /// process that it has for itself.
    async fn alone(&self, host: &str, limit: Duration) -> Result<Lookup, NotRun> {
        let permit = timeout(LONGEST_WAIT, Arc::clone(&self.processes).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else { return Err(NotRun::Busy) };
        let turn = Arc::new(self.start(Versions::now(), permit)?).turn().await;
        let Some(turn) = turn else { return Err(NotRun::Busy) };
        let started = Instant::now();
        match timeout(limit, turn.look_up(host)).await {
            Ok(Ok(response)) => lookup(response),
            Ok(Err(end)) => Ok(Lookup { result: LookupResult::Crashed { end }, took: started.elapsed() }),
            Err(_) => Err(NotRun::Interrupted),
        }
    }

    async fn turn(&self) -> Result<Turn, NotRun> {
        let turn = async {
            loop {
                let process = self.process().await?;
                match timeout(BUSY, Arc::clone(&process).turn()).await {
                    Ok(Some(turn)) => return Ok(turn),
                    Ok(None) => {}
                    // None of its threads came back, so others need another process.
                    Err(_) if self.processes.available_permits() > 0 => process.retire(),
                    Err(_) => {}
                }
            }
        };
        timeout(LONGEST_WAIT, turn).await.unwrap_or(Err(NotRun::Busy))
    }

    /// The process for new lookups.
    async fn process(&self) -> Result<Arc<Process>, NotRun> {
        let mut current = self.current.lock().await;
        let files = Versions::now();
        if let Some(process) = current.as_ref().filter(|process| process.is_usable(&files)) {
            return Ok(Arc::clone(process));
        }
        // The old one ends with its last lookup.
        *current = None;
        let permit = Arc::clone(&self.processes).acquire_owned().await.map_err(|_| NotRun::Busy)?;
        let process = Arc::new(self.start(files, permit)?);
        *current = Some(Arc::clone(&process));
        Ok(process)
    }

    fn start(&self, files: Versions, permit: OwnedSemaphorePermit) -> Result<Process, NotRun> {
        Process::start(&self.program, files, permit)
            .map_err(|error| NotRun::NoProcess { error: error.to_string() })
    }
}

fn lookup(response: Response) -> Result<Lookup, NotRun> {
    let result = match response.answer {
        Answer::Addresses(addresses) => LookupResult::Addresses { addresses },
        Answer::Error { eai, errno, message } => {
            LookupResult::Error(LookupError { code: EaiCode::of(eai), errno, message })
        }
        Answer::TooManyAddresses(count) => LookupResult::TooManyAddresses { count },
        Answer::NoThread(error) => return Err(NotRun::NoProcess { error }),
    };
    Ok(Lookup { result, took: response.took })
}

/// Reads what the lookup process sends, and returns what a report shows of it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(mut bytes: &[u8]) -> Vec<String> {
    match message::read::<Response>(&mut bytes) {
        Ok(Response { answer: Answer::Error { message, .. }, .. }) => vec![message],
        Ok(_) => vec![],
        Err(error) => vec![error.to_string()],
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::{env, process as std_process, thread};

    use futures_util::future::join_all;
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    use nix::unistd::Pid;

    use super::*;
    use crate::observation::ProcessEnd;

    const SHORT: Duration = Duration::from_millis(500);
    const LONG: Duration = Duration::from_secs(20);

    /// Makes the process in which these tests' lookups run: this test binary, started again for
    /// one test, which sees by the word that it is the process.
    const WORD: &str = "as-the-lookup-process";

    fn lookups() -> Lookups {
        let test = "probe::lookup::tests::a_name_is_looked_up_in_another_process";
        let arguments = ["--exact", test, WORD].map(Into::into).to_vec();
        Lookups::with_program(Program { path: "/proc/self/exe".into(), arguments })
    }

    fn misbehave(host: &str) -> Answer {
        let pid = IpAddr::V4(Ipv4Addr::from(std_process::id()));
        match host {
            "hangs" => loop {
                thread::park();
            },
            "crashes" => std_process::abort(),
            "ends" => {
                // A module may do that too.
                #[expect(clippy::exit, reason = "it is what is tested")]
                std_process::exit(3)
            }
            "slow" => {
                thread::sleep(SHORT * 2);
                Answer::of_addresses([pid])
            }
            "pid" => Answer::of_addresses([pid]),
            host => helper::look_up(host),
        }
    }

    /// The process that answered.
    fn pid(lookup: &Lookup) -> Pid {
        match &lookup.result {
            LookupResult::Addresses { addresses } => match addresses[..] {
                [IpAddr::V4(pid)] => Pid::from_raw(pid.to_bits().cast_signed()),
                _ => panic!("{lookup:?}"),
            },
            _ => panic!("{lookup:?}"),
        }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_in_another_process() {
        if env::args().any(|argument| argument == WORD) {
            helper::run_with(misbehave).unwrap();
            return;
        }
        let lookups = lookups();
        let found = lookups.look_up("127.0.0.9.", LONG).await.result;
        assert_eq!(found, LookupResult::Addresses { addresses: vec!["127.0.0.9".parse().unwrap()] });
        let LookupResult::Error(error) = lookups.look_up("not a name", LONG).await.result else { panic!() };
        assert_eq!((error.code, error.errno), (EaiCode::NoName, None));
        assert_eq!(error.message, "Name or service not known");
        let process = pid(&lookups.look_up("pid", LONG).await);
        assert_ne!(process, Pid::this());
        assert_eq!(pid(&lookups.look_up("pid", LONG).await), process);
    }

    #[tokio::test]
    async fn a_lookup_that_hangs_replaces_the_process_and_leaves_the_others_to_end() {
        let lookups = lookups();
        let first = pid(&lookups.look_up("pid", LONG).await);
        let (slow, hung, next) =
            tokio::join!(lookups.look_up("slow", LONG), lookups.look_up("hangs", SHORT), async {
                tokio::time::sleep(SHORT * 3 / 2).await;
                lookups.look_up("pid", LONG).await
            });
        assert_eq!(hung.result, LookupResult::TimedOut);
        assert_eq!(pid(&slow), first);
        assert_ne!(pid(&next), first);
        ends(first).await;
    }

    #[tokio::test]
    async fn a_lookup_that_crashes_its_process_is_the_only_one_that_suffers() {
        let lookups = lookups();
        for (name, end) in [("crashes", ProcessEnd::Signal(6)), ("ends", ProcessEnd::Exit(3))] {
            let (slow, crashed) = tokio::join!(lookups.look_up("slow", LONG), lookups.look_up(name, LONG));
            assert_eq!(crashed.result, LookupResult::Crashed { end });
            pid(&slow);
        }
        pid(&lookups.look_up("pid", LONG).await);
    }

    #[tokio::test]
    async fn lookups_that_hang_leave_a_turn_to_the_next() {
        let lookups = lookups();
        let hung = join_all((0..process::WIDTH).map(|_| lookups.look_up("hangs", LONG)));
        tokio::select! {
            _ = hung => panic!("they hang"),
            next = async { tokio::task::yield_now().await; lookups.look_up("pid", LONG).await } => { pid(&next); }
        }
    }

    #[tokio::test]
    async fn the_process_ends_with_the_daemon() {
        let lookups = lookups();
        let process = pid(&lookups.look_up("pid", LONG).await);
        drop(lookups);
        ends(process).await;
    }

    #[tokio::test]
    async fn a_process_that_cannot_start_is_not_blamed_on_the_name() {
        let program = Program { path: "/nonexistent".into(), arguments: vec![] };
        let result = Lookups::with_program(program).look_up("localhost", LONG).await.result;
        let LookupResult::NotRun { because: NotRun::NoProcess { error } } = result else {
            panic!("{result:?}")
        };
        assert!(error.contains("No such file"), "{error}");
        let program = Program { path: "/bin/true".into(), arguments: vec![] };
        let result = Lookups::with_program(program).look_up("localhost", LONG).await.result;
        assert_eq!(result, LookupResult::Crashed { end: ProcessEnd::Exit(0) });
    }

    async fn ends(process: Pid) {
        while kill(process, None) != Err(Errno::ESRCH) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
