//! Why a web configuration file cannot be used.

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::server::VerifierBuilderError;

use crate::observation::marked;

/// A web configuration file that cannot be used: which one, and all that is wrong with it.
#[derive(Debug)]
pub struct WebError {
    pub path: PathBuf,
    /// At least one.
    pub problems: Vec<WebProblem>,
}

/// More than anyone corrects in one go. The rest is only counted.
const MAX_SHOWN: usize = 50;

/// Line and column, from 1.
pub type Place = Option<(u64, u64)>;

#[derive(Debug)]
pub enum WebProblem {
    Unreadable(io::Error),
    NotUtf8,
    /// The parser's own words, which quote keys and types but never a value of a secret.
    Syntax {
        place: Place,
        message: String,
    },
    Tls(TlsProblem),
    User(Place, UserProblem),
    Header(HeaderProblem),
    NoBurst,
}

#[derive(Debug)]
pub enum TlsProblem {
    UnreadableFile { key: &'static str, path: PathBuf, source: io::Error },
    MutuallyExclusive { key: &'static str },
    Missing { key: &'static str },
    NoCertificate,
    NoPrivateKey,
    KeyMismatch,
    Unusable(rustls::Error),
    NoVersion,
    Incompatible(rustls::Error),
    Unsupported { kind: &'static str, name: String, supported: Vec<String> },
    NeedsClientAuth { key: &'static str },
    UnverifiedClients,
    NeedsClientCa,
    NoClientCa,
    UnusableClientCa(VerifierBuilderError),
}

#[derive(Debug)]
pub enum UserProblem {
    NotBcrypt { user: String },
    TooExpensive { user: String, cost: u32, max: u32 },
}

#[derive(Debug)]
pub enum HeaderProblem {
    Unknown { name: String, known: Vec<&'static str> },
    Value { name: String, allowed: &'static [&'static str], value: String },
    Characters { name: String },
}

/// Where systemd keeps the credentials of a running unit (systemd.exec(5)).
const CREDENTIALS: &str = "/run/credentials";

impl WebError {
    /// A credential of a unit, which does not exist outside that unit, if nothing else is wrong.
    pub fn missing_credential(&self) -> Option<&Path> {
        let paths: Option<Vec<&Path>> = self.problems.iter().map(WebProblem::missing_credential).collect();
        paths?.first().copied()
    }
}

impl WebProblem {
    fn missing_credential(&self) -> Option<&Path> {
        match self {
            Self::Tls(TlsProblem::UnreadableFile { path, source, .. })
                if source.kind() == io::ErrorKind::NotFound && path.starts_with(CREDENTIALS) =>
            {
                Some(path)
            }
            _ => None,
        }
    }
}

impl fmt::Display for WebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message may quote a key or a value of the file.
        let shown = self.problems.iter().take(MAX_SHOWN).map(|problem| marked(&self.message(problem)));
        f.write_str(&shown.collect::<Vec<String>>().join("\n"))?;
        match self.problems.len().saturating_sub(MAX_SHOWN) {
            0 => Ok(()),
            omitted => write!(f, "\nand {omitted} more mistakes; fix these first"),
        }
    }
}

impl WebError {
    fn message(&self, problem: &WebProblem) -> String {
        let path = self.path.display();
        match problem {
            WebProblem::Unreadable(error) => format!("cannot read {path}: {error}"),
            WebProblem::NotUtf8 => format!("{path}: not valid UTF-8"),
            WebProblem::Syntax { place, message } => format!("{path}{}: {message}", shown(*place)),
            WebProblem::Tls(problem) => format!("{path}: tls_server_config: {problem}"),
            WebProblem::User(place, problem) => {
                format!("{path}{}: basic_auth_users: {problem}", shown(*place))
            }
            WebProblem::Header(problem) => format!("{path}: http_server_config: headers: {problem}"),
            WebProblem::NoBurst => format!("{path}: rate_limit: burst must be at least 1"),
        }
    }
}

fn shown(place: Place) -> String {
    place.map(|(line, column)| format!(":{line}:{column}")).unwrap_or_default()
}

impl Error for WebError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self.problems.first()? {
            WebProblem::Unreadable(error) => Some(error),
            WebProblem::Tls(problem) => problem.source(),
            WebProblem::NotUtf8
            | WebProblem::Syntax { .. }
            | WebProblem::User(..)
            | WebProblem::Header(_)
            | WebProblem::NoBurst => None,
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreadableFile { key, path, source } => {
                write!(f, "cannot read {key}_file {}: {source}", path.display())
            }
            Self::MutuallyExclusive { key } => write!(f, "{key} and {key}_file are mutually exclusive"),
            Self::Missing { key } => write!(f, "{key}_file is missing"),
            Self::NoCertificate => f.write_str("the certificate contains no PEM certificate"),
            Self::NoPrivateKey => {
                f.write_str("the key contains no unencrypted PEM private key; decrypt it with openssl pkey")
            }
            Self::KeyMismatch => f.write_str("the private key does not belong to the certificate"),
            Self::Unusable(error) => write!(f, "the certificate and key cannot be used: {error}"),
            Self::NoVersion => f.write_str(
                "min_version and max_version exclude both TLS12 and TLS13, the only supported versions",
            ),
            Self::Incompatible(error) => {
                write!(f, "the versions, cipher suites and curves do not work together: {error}")
            }
            Self::Unsupported { kind, name, supported } => {
                write!(f, "unsupported {kind} {name:?} (supported: {})", supported.join(", "))
            }
            Self::NeedsClientAuth { key } => write!(
                f,
                "{key} is set, but client_auth_type asks for no certificate; set it to RequireAndVerifyClientCert"
            ),
            Self::UnverifiedClients => f.write_str(
                "this client_auth_type accepts certificates without verifying them; set it to RequireAndVerifyClientCert",
            ),
            Self::NeedsClientCa => {
                f.write_str("client_auth_type verifies certificates, so client_ca_file must be set")
            }
            Self::NoClientCa => f.write_str("the client CA contains no PEM certificate"),
            Self::UnusableClientCa(error) => write!(f, "the client CA cannot be used: {error}"),
        }
    }
}

impl Error for TlsProblem {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::UnreadableFile { source, .. } => Some(source),
            Self::Unusable(error) | Self::Incompatible(error) => Some(error),
            Self::UnusableClientCa(error) => Some(error),
            Self::MutuallyExclusive { .. }
            | Self::Missing { .. }
            | Self::NoCertificate
            | Self::NoPrivateKey
            | Self::KeyMismatch
            | Self::NoVersion
            | Self::Unsupported { .. }
            | Self::NeedsClientAuth { .. }
            | Self::UnverifiedClients
            | Self::NeedsClientCa
            | Self::NoClientCa => None,
        }
    }
}

impl fmt::Display for UserProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBcrypt { user } => write!(
                f,
                "password for user {user:?} is not a bcrypt hash; generate one with: htpasswd -nBC 10 {user:?}"
            ),
            Self::TooExpensive { user, cost, max } => {
                write!(f, "bcrypt cost {cost} for user {user:?} is too high; use at most {max}, usually 10")
            }
        }
    }
}

impl Error for UserProblem {}

impl fmt::Display for HeaderProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name, known } => {
                write!(f, "{name:?} cannot be set (supported: {})", known.join(", "))
            }
            Self::Value { name, allowed, value } => {
                write!(f, "{name} must be {}, not {value:?}", allowed.join(" or "))
            }
            Self::Characters { name } => {
                write!(f, "{name} contains a character that a header cannot contain")
            }
        }
    }
}

impl Error for HeaderProblem {}
