//! Who may read what the server shows: TLS, client certificates, users, headers and a rate, from
//! the web configuration file that Prometheus's exporters share. The file is followed: it and the
//! files that it names are read again when they change.

mod file;
mod files;
mod rate;
mod rules;
mod tls;
mod users;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tracing::{error, info};

use files::WatchedFiles;
pub use rules::Rules;
use users::BasicAuth;

/// The file, and what was last made of it.
#[derive(Debug)]
pub struct Access {
    file: Option<PathBuf>,
    open_health: bool,
    loaded: Mutex<Loaded>,
    doorkeeper: BasicAuth,
}

#[derive(Debug)]
struct Loaded {
    rules: Arc<Rules>,
    /// As the files were when they were last read, for good or ill.
    files: WatchedFiles,
}

/// How a request is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    TooMany,
    NoCertificate,
    Unauthorized,
}

/// A web configuration file that cannot be used: where, and why.
#[derive(Debug)]
pub struct WebError {
    path: PathBuf,
    place: Option<(u64, u64)>,
    message: String,
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.path.display())?;
        if let Some((line, column)) = self.place {
            write!(f, "{line}:{column}:")?;
        }
        write!(f, " {}", self.message)
    }
}

impl std::error::Error for WebError {}

impl Access {
    /// Without a file, everybody may read everything, in the clear.
    pub fn open(file: Option<PathBuf>, open_health: bool) -> Result<Self, WebError> {
        let loaded = Loaded { rules: Arc::default(), files: WatchedFiles::default() };
        let access = Self { file, open_health, loaded: Mutex::new(loaded), doorkeeper: BasicAuth::new() };
        access.read()?;
        Ok(access)
    }

    /// Reads the file whether or not it has changed. On an error the rules stay as they were.
    pub fn read(&self) -> Result<(), WebError> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut files = WatchedFiles::default();
        let rules = Rules::load(path, self.open_health, &mut files);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.files = files;
        loaded.rules = Arc::new(rules?);
        Ok(())
    }

    /// The rules of now, for a connection that has come.
    pub fn rules(&self) -> Arc<Rules> {
        // A guard of its own: reading takes the lock again.
        let has_changed = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).files.have_changed();
        if has_changed {
            match self.read() {
                Ok(()) => info!("The web configuration was read again."),
                Err(problem) => error!("The web configuration stays as it was:\n{problem}"),
            }
        }
        Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).rules)
    }

    /// Whether this request is answered, by `rules`. `certified`: the client showed a certificate,
    /// and it was verified.
    pub async fn admits(
        &self,
        rules: &Rules,
        path: &str,
        certified: bool,
        authorization: Option<&str>,
    ) -> Result<(), Refusal> {
        if rules.rate.as_ref().is_some_and(|bucket| !bucket.take()) {
            return Err(Refusal::TooMany);
        }
        if self.open_health && matches!(path, "/-/healthy" | "/-/ready") {
            return Ok(());
        }
        if rules.certificate_needed && !certified {
            return Err(Refusal::NoCertificate);
        }
        if rules.users.is_empty() {
            return Ok(());
        }
        match authorization {
            Some(authorization) if self.doorkeeper.admits(&rules.users, authorization).await => Ok(()),
            Some(_) | None => Err(Refusal::Unauthorized),
        }
    }
}

#[cfg(test)]
mod tests;
