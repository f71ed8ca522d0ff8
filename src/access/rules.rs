//! What the file comes to: the rules that hold for one connection.

use std::path::Path;
use std::sync::Arc;

use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;

use super::WebError;
use super::file::{ClientAuth, TlsTable, WebFile};
use super::files::WatchedFiles;
use super::rate::Bucket;
use super::tls::{self, Pem};
use super::users::Users;

/// What holds for one connection.
#[derive(Debug, Default)]
pub struct Rules {
    pub tls: Option<Arc<ServerConfig>>,
    /// Where the handshake lets others through too, for the sake of `/-/healthy`.
    pub certificate_needed: bool,
    pub users: Users,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub rate: Option<Bucket>,
}

impl Rules {
    pub fn load(path: &Path, open_health: bool, files: &mut WatchedFiles) -> Result<Self, WebError> {
        let wrong = |message: String| WebError { path: path.to_owned(), place: None, message };
        let text = files.read(path).map_err(|error| wrong(format!("cannot be read: {error}")))?;
        let text = String::from_utf8(text).map_err(|_| wrong("this is not UTF-8".to_owned()))?;
        let file = WebFile::parse(&text, path)?;
        let directory = path.parent().unwrap_or(Path::new("/"));
        let table = file.tls.as_ref().filter(|table| **table != TlsTable::default());
        let tls = |table| tls::server(table, &pem(table, directory, files)?, open_health);
        let tls = table.map(tls).transpose().map_err(|why| wrong(format!("tls_server_config: {why}")))?;
        let requires = |table: &TlsTable| table.client_auth_type == ClientAuth::RequireAndVerifyClientCert;
        Ok(Self {
            tls,
            certificate_needed: table.is_some_and(requires),
            users: Users::new(file.users()).map_err(wrong)?,
            headers: headers(&file).map_err(wrong)?,
            rate: bucket(&file).map_err(wrong)?,
        })
    }
}

fn pem(table: &TlsTable, directory: &Path, files: &mut WatchedFiles) -> Result<Pem, String> {
    let mut one = |key: &str, inline: Option<&str>, file: Option<&String>| match (inline, file) {
        (Some(_), Some(_)) => Err(format!("{key} and {key}_file are both given; which one?")),
        (Some(text), None) => Ok(Some(text.as_bytes().to_vec())),
        (None, Some(file)) => {
            let path = directory.join(file);
            let contents = files.read(&path);
            contents
                .map(Some)
                .map_err(|error| format!("{key}_file {}: cannot be read: {error}", path.display()))
        }
        (None, None) => Ok(None),
    };
    let certificate = one("cert", table.cert.as_deref(), table.cert_file.as_ref())?;
    let key = one("key", table.key.as_ref().map(|key| key.0.as_str()), table.key_file.as_ref())?;
    let client_ca = one("client_ca", table.client_ca.as_deref(), table.client_ca_file.as_ref())?;
    let missing = |key| format!("{key} is missing, so nothing could be encrypted");
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
