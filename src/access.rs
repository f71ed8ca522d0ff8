//! Who may read what the server shows: TLS, client certificates, users, headers and a rate, from
//! the web configuration file that Prometheus's exporters share. The file is followed: it and the
//! files that it names are read again when they change.

mod file;
mod rate;
mod tls;
mod users;

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use tracing::{error, info};

use file::{ClientAuth, TlsTable, WebFile};
use rate::Bucket;
use tls::Pem;
use users::{Doorkeeper, Users};

/// Far beyond any chain of certificates, and nothing to fill the memory with.
const LONGEST_FILE: u64 = 1 << 20;

/// The file, and what was last made of it.
#[derive(Debug)]
pub struct Access {
    file: Option<PathBuf>,
    open_health: bool,
    loaded: Mutex<Loaded>,
    doorkeeper: Doorkeeper,
}

#[derive(Debug)]
struct Loaded {
    rules: Arc<Rules>,
    /// As the files were when they were last read, for good or ill.
    seen: Seen,
}

/// What holds for one connection.
#[derive(Debug, Default)]
pub struct Rules {
    tls: Option<Arc<ServerConfig>>,
    /// Where the handshake lets others through too, for the sake of `/-/healthy`.
    certificate_needed: bool,
    users: Users,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate: Option<Bucket>,
}

/// How a request is turned away.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    TooMany,
    NoCertificate,
    NoPassword,
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
        let loaded = Loaded { rules: Arc::default(), seen: Seen::default() };
        let access = Self { file, open_health, loaded: Mutex::new(loaded), doorkeeper: Doorkeeper::new() };
        access.read()?;
        Ok(access)
    }

    /// Reads the file whether or not it has changed. On an error the rules stay as they were.
    pub fn read(&self) -> Result<(), WebError> {
        let Some(path) = &self.file else { return Ok(()) };
        let mut seen = Seen::default();
        let rules = load(path, self.open_health, &mut seen);
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.seen = seen;
        loaded.rules = Arc::new(rules?);
        Ok(())
    }

    /// The rules of now, for a connection that has come.
    pub fn rules(&self) -> Arc<Rules> {
        // A guard of its own: reading takes the lock again.
        let has_changed = self.loaded.lock().unwrap_or_else(PoisonError::into_inner).seen.are_others_now();
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
            Some(_) | None => Err(Refusal::NoPassword),
        }
    }
}

fn load(path: &Path, open_health: bool, seen: &mut Seen) -> Result<Rules, WebError> {
    let wrong = |message: String| WebError { path: path.to_owned(), place: None, message };
    let text = seen.read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
    let text = String::from_utf8(text).map_err(|_| wrong("this is not UTF-8".to_owned()))?;
    let file = WebFile::parse(&text, path)?;
    let directory = path.parent().unwrap_or(Path::new("/"));
    let table = file.tls.as_ref().filter(|table| **table != TlsTable::default());
    let tls = match table {
        Some(table) => {
            let pem = pem(table, directory, seen).map_err(wrong)?;
            Some(
                tls::server(table, &pem, open_health)
                    .map_err(|why| wrong(format!("tls_server_config: {why}")))?,
            )
        }
        None => None,
    };
    let requires = |table: &TlsTable| table.client_auth_type == ClientAuth::RequireAndVerifyClientCert;
    Ok(Rules {
        tls,
        certificate_needed: table.is_some_and(requires),
        users: Users::new(file.users()).map_err(wrong)?,
        headers: headers(&file).map_err(wrong)?,
        rate: bucket(&file).map_err(wrong)?,
    })
}

fn pem(table: &TlsTable, directory: &Path, seen: &mut Seen) -> Result<Pem, String> {
    let mut one = |key: &str, inline: Option<&str>, file: Option<&String>| match (inline, file) {
        (Some(_), Some(_)) => {
            Err(format!("tls_server_config: {key} and {key}_file are both given; which one?"))
        }
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(file)) => {
            let path = directory.join(file);
            let contents = seen.read(&path);
            contents.map(Some).map_err(|error| {
                format!("tls_server_config: {key}_file {}: cannot be read: {error}", path.display())
            })
        }
        (None, None) => Ok(None),
    };
    let certificate = one("cert", table.cert.as_deref(), table.cert_file.as_ref())?;
    let key = one("key", table.key.as_ref().map(|key| key.0.as_str()), table.key_file.as_ref())?;
    let client_ca = one("client_ca", table.client_ca.as_deref(), table.client_ca_file.as_ref())?;
    let missing = |key| format!("tls_server_config: {key} is missing, so nothing could be encrypted");
    Ok(Pem {
        certificate: certificate.ok_or_else(|| missing("cert_file"))?,
        key: key.ok_or_else(|| missing("key_file"))?,
        client_ca,
    })
}

/// Those that the exporter-toolkit lets a file set, and what it lets them be.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

fn headers(file: &WebFile) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let header = |(name, value): (String, String)| {
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = HEADERS.iter().map(|(name, _)| *name).collect();
            return Err(format!("headers: {name:?} cannot be set; these can: {}", known.join(", ")));
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(format!("headers: {name} may be {}, not {value:?}", allowed.join(" or ")));
        }
        let value =
            HeaderValue::from_str(&value).map_err(|_| format!("headers: {name} holds what no header may"))?;
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        Ok((name, value))
    };
    // A blank one is not set.
    file.headers().into_iter().filter(|(_, value)| !value.is_empty()).map(header).collect()
}

fn bucket(file: &WebFile) -> Result<Option<Bucket>, String> {
    match &file.rate {
        Some(rate) if !rate.interval.is_zero() && rate.burst == 0 => {
            Err("rate_limit: burst must be at least 1, or nobody is ever answered".to_owned())
        }
        Some(rate) if !rate.interval.is_zero() => Ok(Some(Bucket::new(rate.interval, rate.burst))),
        Some(_) | None => Ok(None),
    }
}

/// The files that were read, and as which of their versions.
#[derive(Debug, Default)]
struct Seen(Vec<(PathBuf, Option<Version>)>);

/// A file that is replaced or written to becomes another version of itself.
#[derive(Debug, Eq, PartialEq)]
struct Version {
    device_and_inode: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Seen {
    fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        // Looked at first: what changes while it is read is seen to have changed.
        self.0.push((path.to_owned(), Version::of(path)));
        // A pipe would hold up everything else.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let length = File::open(path)?.take(LONGEST_FILE + 1).read_to_end(&mut bytes)?;
        if length as u64 > LONGEST_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 MiB"));
        }
        Ok(bytes)
    }

    fn are_others_now(&self) -> bool {
        self.0.iter().any(|(path, version)| Version::of(path) != *version)
    }
}

impl Version {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

impl Rules {
    pub fn tls(&self) -> Option<&Arc<ServerConfig>> {
        self.tls.as_ref()
    }

    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }
}

#[cfg(test)]
mod tests;
