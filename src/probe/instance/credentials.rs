//! The credentials that applications would find: the default chain of the AWS SDKs, put together
//! here, since each provider that is configured and fails has to be named with its own error.

mod container;
mod document;
mod environment;
mod process;
mod profile;
mod role;
mod web_identity;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::metadata::Place;
use crate::observation::{AwsError, CredentialsEvidence, ProbeError, Provider, Reason};
use crate::threads;
use crate::wire::failure::words;
use crate::wire::http::Trace;
use crate::wire::trust::Trust;

/// Jobs wait here for the one before; more than two rounds cannot pile up.
const QUEUE: usize = 1;

/// What is left of the time, in parts of the whole, for the answer to come back from the thread.
const RETURN: u32 = 20;

/// A thread of its own: files are read in place, and on a file system that hangs reading never
/// ends. Then it is this thread that waits, and nothing else.
#[derive(Clone, Debug)]
pub struct CredentialsWorker {
    jobs: mpsc::Sender<Job>,
    progress: Progress,
}

#[derive(Debug)]
struct Job {
    trust: Trust,
    region: Option<String>,
    limit: Duration,
    answer: oneshot::Sender<(CredentialsEvidence, Option<Credentials>)>,
}

/// What is being read at the moment: it is to blame if it never ends.
#[derive(Clone, Debug, Default)]
struct Progress(Arc<Mutex<Option<(Provider, String)>>>);

impl Progress {
    fn set(&self, provider: Provider, what: impl Into<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((provider, what.into()));
    }

    fn get(&self) -> Option<(Provider, String)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What each provider is given to look with.
#[derive(Clone, Debug)]
struct Search {
    trust: Trust,
    region: Option<String>,
    deadline: Instant,
    progress: Progress,
    profile: Arc<OnceLock<ProfileSettings>>,
}

/// What the profile sets that leads AWS clients elsewhere.
#[derive(Clone, Debug, Default)]
struct ProfileSettings {
    endpoint_settings: Vec<String>,
    region: Option<String>,
    metadata: Place,
}

/// Credentials with the provider that gave them; `None` where the provider is not configured.
type Found = Result<Option<(Provider, Credentials)>, Failure>;

/// A provider that is configured and gave nothing.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Failure {
    source: Option<Provider>,
    reason: Reason,
    detail: String,
    /// The host that was asked and did not answer.
    unreached: Option<String>,
    aws_error: Option<AwsError>,
}

impl Failure {
    fn of(source: Provider, detail: impl Into<String>) -> Self {
        Self {
            source: Some(source),
            reason: Reason::CredentialsInvalidSource,
            detail: detail.into(),
            unreached: None,
            aws_error: None,
        }
    }

    /// What the transport knows: silence is a reason of its own.
    fn of_transport(source: Provider, what: &str, trace: &Trace) -> Self {
        let silent = [Reason::ConnectTimeout, Reason::TlsTimeout, Reason::ResponseTimeout];
        let error = trace.error.clone();
        let reason = match error.as_ref().map(|error| error.reason) {
            Some(reason) if silent.contains(&reason) => Reason::CredentialsTimeout,
            Some(Reason::NoResources) => Reason::NoResources,
            Some(_) | None => Reason::CredentialsInvalidSource,
        };
        let detail = error.map(|error| error.detail).unwrap_or_default();
        Self { reason, unreached: Some(trace.host.clone()), ..Self::of(source, format!("{what}: {detail}")) }
    }
}

impl CredentialsWorker {
    pub fn start() -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
        let progress = Progress::default();
        let shared = progress.clone();
        threads::with_runtime("credentials", move |runtime| {
            runtime.block_on(async {
                while let Some(job) = inbox.recv().await {
                    // The caller of a job that waited while the thread was stuck has given up.
                    if !job.answer.is_closed() {
                        let deadline = Instant::now() + job.limit;
                        let progress = shared.clone();
                        let (trust, region, profile) = (job.trust, job.region, Arc::default());
                        let search = Search { trust, region, deadline, progress, profile };
                        let _ = job.answer.send(seek(&search, job.limit).await);
                    }
                }
            });
        })?;
        Ok(Self { jobs, progress })
    }

    /// Once; what is found is kept for signing, what it showed is evidence.
    pub async fn credentials(
        &self,
        trust: &Trust,
        region: Option<String>,
        limit: Duration,
    ) -> (CredentialsEvidence, Option<Credentials>) {
        let (answer, found) = oneshot::channel();
        let job = Job { trust: trust.clone(), region, limit: limit - limit / RETURN, answer };
        let asked = async {
            self.jobs.send(job).await.ok()?;
            found.await.ok()
        };
        let answer = timeout(limit, asked).await.ok().flatten();
        answer.unwrap_or_else(|| (evidence_of(late(self.progress.get(), limit)), None))
    }
}

/// The network ends in time by itself: what does not is a file.
fn late(progress: Option<(Provider, String)>, limit: Duration) -> Failure {
    let limit = humantime::format_duration(limit);
    let (source, detail) = match progress {
        Some((provider, what)) => (Some(provider), format!("{what} did not end within {limit}")),
        None => (None, format!("no answer within {limit}")),
    };
    Failure { source, reason: Reason::CredentialsTimeout, detail, unreached: None, aws_error: None }
}

async fn seek(search: &Search, limit: Duration) -> (CredentialsEvidence, Option<Credentials>) {
    let found = match timeout_at(search.deadline, find(search)).await {
        Ok(found) => found.and_then(|(provider, credentials)| {
            let credentials = document::validated(credentials).map_err(|why| Failure::of(provider, why))?;
            Ok((provider, credentials))
        }),
        Err(_) => Err(late(search.progress.get(), limit)),
    };
    let ProfileSettings { endpoint_settings, region: profile_region, .. } =
        search.profile.get().cloned().unwrap_or_default();
    match found {
        Ok((provider, credentials)) => {
            let evidence = CredentialsEvidence {
                source: Some(provider),
                access_key_id: Some(credentials.access_key_id().to_owned()),
                expires_at: credentials.expiry(),
                endpoint_settings,
                profile_region,
                unreached: None,
                aws_error: None,
                error: None,
            };
            (evidence, Some(signing(&credentials)))
        }
        Err(failure) => {
            (CredentialsEvidence { endpoint_settings, profile_region, ..evidence_of(failure) }, None)
        }
    }
}

/// Without their expiry: whether they have expired is AWS's to say, and the SDK would reckon with it.
fn signing(credentials: &Credentials) -> Credentials {
    let token = credentials.session_token().map(str::to_owned);
    Credentials::new(credentials.access_key_id(), credentials.secret_access_key(), token, None, "linkproof")
}

fn evidence_of(failure: Failure) -> CredentialsEvidence {
    let Failure { source, reason, detail, unreached, aws_error } = failure;
    let error = Some(ProbeError { reason, detail });
    CredentialsEvidence {
        source,
        access_key_id: None,
        expires_at: None,
        endpoint_settings: vec![],
        profile_region: None,
        unreached,
        aws_error,
        error,
    }
}

/// In the order of the SDKs. The first provider that is configured decides.
async fn find(search: &Search) -> Result<(Provider, Credentials), Failure> {
    if let Some(found) = environment::find()? {
        return Ok(found);
    }
    if let Some(found) = profile::find(search).await? {
        return Ok(found);
    }
    if let Some(found) = web_identity::find(search).await? {
        return Ok(found);
    }
    if let Some(found) = container::find(search).await? {
        return Ok(found);
    }
    role::find(search).await
}

/// A file that is at most so large, as far as its owner lets us read it.
fn read_file(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(io::Error::other(format!("larger than {} KiB", most / 1024)));
    }
    // What is in it may be secret, so not even a part of it is shown.
    String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8"))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("{}: {}", path.display(), words(error))
}

/// A variable that is set to something. Its value may be secret.
fn variable(name: &str, provider: Provider) -> Result<Option<String>, Failure> {
    match std::env::var_os(name).filter(|value| !value.is_empty()) {
        None => Ok(None),
        Some(value) => match value.into_string() {
            Ok(value) => Ok(Some(value)),
            Err(_) => Err(Failure::of(provider, format!("{name} is not UTF-8"))),
        },
    }
}

/// Reads a document of credentials, and returns what a report shows of it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Vec<String> {
    let error = match document::read(bytes) {
        Ok(credentials) => {
            // With what is accepted a request can be signed, and its end can be written.
            credentials.expiry().map(crate::wording::rfc3339);
            None
        }
        Err(document::Unusable::Refused(error)) => Some(error),
        Err(document::Unusable::Invalid(why)) => return vec![why.to_owned()],
    };
    error.into_iter().chain(document::refusal(bytes)).flat_map(|error| [error.code, error.message]).collect()
}
