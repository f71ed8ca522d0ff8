//! Who may read what the server shows: TLS, client certificates, users, headers and a rate, from
//! the web configuration file that Prometheus's exporters share. The file is followed: it and the
//! files that it names are read again when they change.

mod clients;
mod error;
mod keys;
mod look;
mod rules;
mod tls;
mod turns;
mod users;
mod web_file;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info};

pub use clients::{Bucket, Client, Clients, cpu_time};
pub use error::WebError;
use look::Looks;
use rules::WatchedFiles;
#[cfg(any(test, fuzzing))]
pub use rules::fuzz;
pub use rules::{Rate, Rules};
pub use turns::{Limits, Turns};
use users::BasicAuth;

/// A connection waits this long for a look at the files, then takes the rules as they are.
const LOOK: Duration = Duration::from_millis(250);

/// The file, and what was last made of it.
#[derive(Debug)]
pub struct Access {
    file: Option<PathBuf>,
    open_health: bool,
    loaded: Mutex<Loaded>,
    /// Whether the rules are those of the files as they are now.
    pub is_current: Arc<AtomicBool>,
    looks: Arc<Looks>,
    basic_auth: BasicAuth,
    pub clients: Arc<Clients>,
}

/// What one read of the files came to.
#[derive(Debug, Default)]
pub struct Loaded {
    rules: Arc<Rules>,
    /// As the files were at the last read, whether or not it succeeded.
    files: WatchedFiles,
}

/// How a request is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    TooMany,
    Busy,
    NoCertificate,
    Unauthorized,
}

/// Why a request is answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Admission {
    /// What it asks for is open to everyone.
    Open,
    Authenticated,
}

/// What a request shows of its sender.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'r> {
    pub client: Client,
    /// The client has a certificate, and it was verified.
    pub is_certified: bool,
    pub authorization: Option<&'r str>,
}

impl Access {
    /// Without a file, every client may read everything, unencrypted.
    pub fn open(file: Option<PathBuf>, open_health: bool) -> Result<Self, WebError> {
        let clients = Arc::<Clients>::default();
        let access = Self {
            file,
            open_health,
            loaded: Mutex::default(),
            is_current: Arc::new(AtomicBool::new(true)),
            looks: Arc::default(),
            basic_auth: BasicAuth::new(Arc::clone(&clients)),
            clients,
        };
        access.adopt(access.load()?);
        Ok(access)
    }

    /// Reads the file, whether or not it has changed, and changes nothing.
    pub fn load(&self) -> Result<Loaded, WebError> {
        self.read().0
    }

    pub fn adopt(&self, loaded: Loaded) {
        *self.loaded.lock().unwrap_or_else(PoisonError::into_inner) = loaded;
        self.is_current.store(true, Ordering::Relaxed);
    }

    /// Also on an error, the files as they were at this read.
    fn read(&self) -> (Result<Loaded, WebError>, WatchedFiles) {
        let mut files = WatchedFiles::default();
        let Some(path) = &self.file else { return (Ok(Loaded::default()), files) };
        match Rules::load(path, self.open_health, &mut files) {
            Ok(rules) => {
                let loaded = Loaded { rules: Arc::new(rules), files: files.clone() };
                (Ok(loaded), files)
            }
            Err(problems) => (Err(WebError { path: path.clone(), problems }), files),
        }
    }

    /// The current rules, for a connection that was just accepted.
    pub async fn rules(self: &Arc<Self>) -> Arc<Rules> {
        if self.file.is_some() {
            let access = Arc::clone(self);
            let _ = timeout(LOOK, self.looks.look(move || access.follow())).await;
        }
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// Reads the files again if they have changed. What is broken is reported once for each change.
    fn follow(&self) {
        let has_changed = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).files.have_changed();
        if !has_changed {
            return;
        }
        let (read, files) = self.read();
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.is_current.store(false, Ordering::Relaxed);
        match read {
            Ok(new) => match loaded.rules.lost_in(&new.rules) {
                None => {
                    *loaded = new;
                    self.is_current.store(true, Ordering::Relaxed);
                    info!("Web configuration reloaded.");
                }
                Some(lost) => {
                    loaded.files = files;
                    error!(
                        "Web configuration not reloaded: it no longer has {lost}. The previous one is kept. If that is meant, reload linkproof: systemctl reload linkproof."
                    );
                }
            },
            Err(problem) => {
                loaded.files = files;
                error!("Web configuration not reloaded; keeping the previous one:\n{problem}");
            }
        }
    }

    /// Whether this request is answered, by `rules`.
    pub async fn admit(&self, rules: &Rules, path: &str, shown: Shown<'_>) -> Result<Admission, Refusal> {
        if self.open_health && matches!(path, "/-/healthy" | "/-/ready") {
            return Ok(Admission::Open);
        }
        if rules.certificate_needed && !shown.is_certified {
            return Err(Refusal::NoCertificate);
        }
        if !rules.users.is_empty() {
            let authorization = shown.authorization.ok_or(Refusal::Unauthorized)?;
            match self.basic_auth.accepts(&rules.users, shown.client, authorization).await {
                Ok(true) => {}
                Ok(false) => return Err(Refusal::Unauthorized),
                Err(turns::Busy) => return Err(Refusal::Busy),
            }
        }
        if rules.authenticate() {
            self.clients.authenticated(shown.client);
        }
        // After the password, and for each client: others cannot use up what a scraper needs.
        match rules.rate {
            Some(rate) if !self.clients.take_token(shown.client, rate) => Err(Refusal::TooMany),
            Some(_) | None if rules.authenticate() => Ok(Admission::Authenticated),
            Some(_) | None => Ok(Admission::Open),
        }
    }
}

#[cfg(test)]
mod tests;
