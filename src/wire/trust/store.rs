//! Reading the trust store: the system's own by its usual places or by `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`, and the operator's `ca_file` beside it.

use std::env;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::file;

/// Files of a directory that are watched. Debian has 280 of them.
const MOST_FILES: usize = 4096;

#[derive(Debug)]
pub enum TrustError {
    Unreadable { path: PathBuf, error: io::Error },
    NoCertificate { path: PathBuf },
}

impl fmt::Display for TrustError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error } => {
                write!(f, "cannot read ca_file {}: {error}", path.display())
            }
            Self::NoCertificate { path } => {
                write!(f, "ca_file {} contains no PEM certificate", path.display())
            }
        }
    }
}

impl std::error::Error for TrustError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable { error, .. } => Some(error),
            Self::NoCertificate { .. } => None,
        }
    }
}

/// What was read, and what could not be.
#[derive(Debug)]
pub struct Store {
    pub roots: RootCertStore,
    problems: Vec<String>,
}

impl Store {
    pub fn add_file(&mut self, path: &Path) -> Result<(), TrustError> {
        let pem =
            file::read(path).map_err(|error| TrustError::Unreadable { path: path.to_owned(), error })?;
        let own: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
        if self.roots.add_parsable_certificates(own).0 == 0 {
            return Err(TrustError::NoCertificate { path: path.to_owned() });
        }
        Ok(())
    }

    /// What has gone from `ca_file` at run time is no longer trusted, and the rest still is.
    pub fn add_file_if_possible(&mut self, path: &Path) {
        if let Err(error) = self.add_file(path) {
            self.problems.push(error.to_string());
        }
    }

    pub fn problem(&self) -> Option<String> {
        match (self.problems.is_empty(), self.roots.is_empty()) {
            (false, _) => Some(self.problems.join("; ")),
            (true, true) => Some("the system has no CA certificates".to_owned()),
            (true, false) => None,
        }
    }
}

/// Where certificates are looked for.
#[derive(Debug)]
pub struct Places {
    file: Option<PathBuf>,
    dirs: Vec<PathBuf>,
    by_environment: bool,
}

impl Places {
    /// In the way of `rustls_native_certs`, which says neither where it looked nor by which variable.
    pub fn find() -> Self {
        let file = env::var_os("SSL_CERT_FILE").map(PathBuf::from);
        let dirs = env::var_os("SSL_CERT_DIR").unwrap_or_default();
        let dirs: Vec<PathBuf> =
            env::split_paths(&dirs).filter(|path| !path.as_os_str().is_empty()).collect();
        if file.is_some() || !dirs.is_empty() {
            return Self { file, dirs, by_environment: true };
        }
        let usual = openssl_probe::probe();
        Self { file: usual.cert_file, dirs: usual.cert_dir, by_environment: false }
    }

    /// The variables that lead nowhere; without them an absent place is as usual as a present one.
    fn problems(&self) -> Vec<String> {
        if !self.by_environment {
            return Vec::new();
        }
        let file = self.file.iter().map(|path| ("SSL_CERT_FILE", path, check_file(path)));
        let dirs = self.dirs.iter().map(|path| ("SSL_CERT_DIR", path, fs::read_dir(path).map(drop)));
        file.chain(dirs)
            .filter_map(|(variable, path, result)| {
                let error = result.err()?;
                Some(format!("{variable}={}: {}", path.display(), super::super::failure::words(&error)))
            })
            .collect()
    }

    /// What changes when a file of the store does.
    pub fn signature(&self, ca_file: Option<&Path>) -> Vec<Signature> {
        let files = self.file.iter().map(PathBuf::as_path).chain(ca_file);
        let mut signatures: Vec<Signature> = files.map(Signature::of).collect();
        for dir in &self.dirs {
            signatures.push(Signature::of(dir));
            let entries = fs::read_dir(dir).into_iter().flatten().flatten().take(MOST_FILES);
            signatures.extend(entries.map(|entry| Signature::of(&entry.path())));
        }
        signatures.sort_unstable();
        signatures
    }
}

#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Signature {
    path: PathBuf,
    file: Option<(u64, u64, u64, i64, i64)>,
}

impl Signature {
    fn of(path: &Path) -> Self {
        let of = |file: Metadata| (file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec());
        Self { path: path.to_owned(), file: fs::metadata(path).ok().map(of) }
    }
}

pub fn system() -> Store {
    let places = Places::find();
    let problems = places.problems();
    let file = places.file.as_deref().filter(|path| check_file(path).is_ok());
    let mut found: Vec<CertificateDer<'static>> = Vec::new();
    for (file, dir) in file
        .map(|file| (Some(file), None))
        .into_iter()
        .chain(places.dirs.iter().map(|dir| (None, Some(dir.as_path()))))
    {
        found.extend(rustls_native_certs::load_certs_from_paths(file, dir).certs);
    }
    // A bundle and the directory beside it hold the same certificates.
    found.sort_unstable_by(|a, b| a.as_ref().cmp(b.as_ref()));
    found.dedup();
    let mut roots = RootCertStore::empty();
    // What of the system's store cannot be parsed is left out, as every client does.
    roots.add_parsable_certificates(found);
    Store { roots, problems }
}

fn check_file(path: &Path) -> io::Result<()> {
    file::read(path).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_directories_are_not_read() {
        for path in ["/dev/zero", "/dev", "/nonexistent"] {
            let error = Store { roots: RootCertStore::empty(), problems: vec![] }.add_file(Path::new(path));
            assert!(matches!(error, Err(TrustError::Unreadable { .. })), "{path}: {error:?}");
        }
    }

    #[test]
    fn empty_store_is_a_problem() {
        let store = Store { roots: RootCertStore::empty(), problems: vec![] };
        assert_eq!(store.problem().as_deref(), Some("the system has no CA certificates"));
    }
}
