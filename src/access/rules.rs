//! What the web configuration file amounts to: the rules for one connection, and which versions of
//! which files they were made from.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use zeroize::Zeroizing;

use super::error::{HeaderProblem, TlsProblem, WebProblem};
use super::tls::{self, Pem};
use super::users::Users;
use super::web_file::{ClientAuth, TlsTable, WebFile};
use crate::file;

/// What holds for one connection.
#[derive(Debug, Default)]
pub struct Rules {
    pub tls: Option<Arc<ServerConfig>>,
    /// Where the handshake also admits clients without one, so that they can read `/-/healthy`.
    pub certificate_needed: bool,
    pub users: Users,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub rate: Option<Rate>,
}

/// So many requests of one client at once, then one per interval.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Rate {
    pub interval: Duration,
    pub burst: u32,
}

impl Rules {
    /// What protects the port now and would not with these rules. A file that an editor or a copy is
    /// still writing is empty for a moment.
    pub fn lost_in(&self, new: &Self) -> Option<&'static str> {
        if self.tls.is_some() && new.tls.is_none() {
            return Some("TLS");
        }
        if !self.users.is_empty() && new.users.is_empty() {
            return Some("users");
        }
        (self.certificate_needed && !new.certificate_needed).then_some("client certificates")
    }

    pub fn load(path: &Path, open_health: bool, files: &mut WatchedFiles) -> Result<Self, Vec<WebProblem>> {
        let bytes = files.read(path).map_err(|error| vec![WebProblem::Unreadable(error)])?;
        Self::parse(&bytes, path.parent().unwrap_or(Path::new("/")), open_health, files)
    }

    fn parse(
        bytes: &[u8],
        directory: &Path,
        open_health: bool,
        files: &mut WatchedFiles,
    ) -> Result<Self, Vec<WebProblem>> {
        let text = str::from_utf8(bytes).map_err(|_| vec![WebProblem::NotUtf8])?;
        let file = WebFile::parse(text)?;
        let table = file.tls.as_ref().filter(|table| **table != TlsTable::default());
        let tls = |table| {
            let server = |pem| tls::server(table, &pem, open_health).map_err(|problem| vec![problem]);
            pem(table, directory, files).and_then(server)
        };
        let requires = |table: &TlsTable| table.client_auth_type == ClientAuth::RequireAndVerifyClientCert;
        let mut problems = Vec::new();
        let tls = kept(table.map(tls).transpose(), WebProblem::Tls, &mut problems);
        let user = |(place, problem)| WebProblem::User(place, problem);
        let users = kept(Users::new(file.users()), user, &mut problems);
        let headers = kept(headers(&file), WebProblem::Header, &mut problems);
        let rate = kept(rate(&file).map_err(|problem| [problem]), |problem| problem, &mut problems);
        match (tls, users, headers, rate) {
            (Some(tls), Some(users), Some(headers), Some(rate)) => {
                let certificate_needed = table.is_some_and(requires);
                Ok(Self { tls, certificate_needed, users, headers, rate })
            }
            _ => Err(problems),
        }
    }

    /// Whether a client has to show anything.
    pub fn authenticate(&self) -> bool {
        self.certificate_needed || !self.users.is_empty()
    }
}

/// What was read, or nothing: then the problems are with the others.
fn kept<T, P>(
    read: Result<T, impl IntoIterator<Item = P>>,
    problem: impl Fn(P) -> WebProblem,
    problems: &mut Vec<WebProblem>,
) -> Option<T> {
    read.map_err(|found| problems.extend(found.into_iter().map(problem))).ok()
}

fn pem(table: &TlsTable, directory: &Path, files: &mut WatchedFiles) -> Result<Pem, Vec<TlsProblem>> {
    let mut one = |key: &'static str, inline: Option<&str>, file: Option<&String>| match (inline, file) {
        (Some(_), Some(_)) => Err(TlsProblem::MutuallyExclusive { key }),
        (Some(text), None) => Ok(Some(Zeroizing::new(text.as_bytes().to_vec()))),
        (None, Some(file)) => {
            let path = directory.join(file);
            let contents = files.read(&path);
            contents.map(Some).map_err(|source| TlsProblem::UnreadableFile { key, path, source })
        }
        (None, None) => Ok(None),
    };
    let needed = |key, read: Result<Option<_>, _>| read?.ok_or(TlsProblem::Missing { key });
    let certificate = needed("cert", one("cert", table.cert.as_deref(), table.cert_file.as_ref()));
    let inline = table.key.as_ref().map(|key| key.0.as_str());
    let key = needed("key", one("key", inline, table.key_file.as_ref()));
    let client_ca = one("client_ca", table.client_ca.as_deref(), table.client_ca_file.as_ref());
    match (certificate, key, client_ca) {
        (Ok(certificate), Ok(key), Ok(client_ca)) => Ok(Pem { certificate, key, client_ca }),
        (certificate, key, client_ca) => {
            Err([certificate.err(), key.err(), client_ca.err()].into_iter().flatten().collect())
        }
    }
}

/// Those that the exporter-toolkit lets a file set, and the values that it allows.
const HEADERS: [(&str, &[&str]); 5] = [
    ("Content-Security-Policy", &[]),
    ("Strict-Transport-Security", &[]),
    ("X-Content-Type-Options", &["nosniff"]),
    ("X-Frame-Options", &["deny", "sameorigin"]),
    ("X-XSS-Protection", &[]),
];

fn headers(file: &WebFile) -> Result<Vec<(HeaderName, HeaderValue)>, Vec<HeaderProblem>> {
    let header = |(name, value): (String, String)| {
        let Some((_, allowed)) = HEADERS.iter().find(|(known, _)| *known == name) else {
            let known = HEADERS.iter().map(|(name, _)| *name).collect();
            return Err(HeaderProblem::Unknown { name, known });
        };
        if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
            return Err(HeaderProblem::Value { name, allowed, value });
        }
        match (HeaderName::try_from(&name), HeaderValue::from_str(&value)) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            (Ok(_) | Err(_), _) => Err(HeaderProblem::Characters { name }),
        }
    };
    // A blank one is not set.
    let headers = file.headers().into_iter().filter(|(_, value)| !value.is_empty()).map(header);
    let (headers, problems): (Vec<_>, Vec<_>) = headers.partition(Result::is_ok);
    if problems.is_empty() {
        Ok(headers.into_iter().flatten().collect())
    } else {
        Err(problems.into_iter().filter_map(Result::err).collect())
    }
}

fn rate(file: &WebFile) -> Result<Option<Rate>, WebProblem> {
    match &file.rate {
        Some(rate) if !rate.interval.is_zero() && rate.burst == 0 => Err(WebProblem::NoBurst),
        Some(rate) if !rate.interval.is_zero() => {
            Ok(Some(Rate { interval: rate.interval, burst: rate.burst }))
        }
        Some(_) | None => Ok(None),
    }
}

/// The files that were read, and which version of each.
#[derive(Clone, Debug, Default)]
pub struct WatchedFiles(Vec<(PathBuf, Option<FileVersion>)>);

/// A file that is replaced or written to becomes another version of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
struct FileVersion {
    device_and_inode: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl WatchedFiles {
    fn read(&mut self, path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
        // Before the read: a change during the read is then noticed later.
        self.0.push((path.to_owned(), FileVersion::of(path)));
        file::read(path)
    }

    pub fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, version)| FileVersion::of(path) != *version)
    }
}

impl FileVersion {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

/// Reads a web configuration file, and returns what is wrong with it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Option<String> {
    let path = PathBuf::from("/web.yml");
    let problems =
        Rules::parse(bytes, Path::new("/nonexistent"), false, &mut WatchedFiles::default()).err()?;
    Some(super::WebError { path, problems }.to_string())
}
