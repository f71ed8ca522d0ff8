//! The web configuration file as written, in the format of Prometheus's exporter-toolkit.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};
use serde_saphyr::{MessageFormatter, Spanned, UserMessageFormatter, options};

use zeroize::Zeroize;

use super::error::{Place, WebProblem};
use super::keys::unknown_keys;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct WebFile {
    #[serde(rename = "tls_server_config")]
    pub tls: Option<TlsTable>,
    #[serde(rename = "http_server_config")]
    http: Option<HttpTable>,
    #[serde(rename = "basic_auth_users")]
    users: Option<BTreeMap<String, Placed<Secret>>>,
    #[serde(rename = "rate_limit")]
    pub rate: Option<RateTable>,
}

/// Names of cipher suites, versions and curves are those of Go, as in every exporter's file.
#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default, deny_unknown_fields)]
pub struct TlsTable {
    pub cert: Option<String>,
    pub cert_file: Option<String>,
    pub key: Option<Secret>,
    pub key_file: Option<String>,
    pub client_ca: Option<String>,
    pub client_ca_file: Option<String>,
    pub client_auth_type: ClientAuth,
    pub client_allowed_sans: Option<Vec<String>>,
    pub min_version: Option<TlsVersion>,
    pub max_version: Option<TlsVersion>,
    pub cipher_suites: Option<Vec<String>>,
    pub prefer_server_cipher_suites: Option<bool>,
    pub curve_preferences: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
pub enum ClientAuth {
    #[default]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
    /// These two verify nothing.
    RequestClientCert,
    #[serde(alias = "RequireClientCert")]
    RequireAnyClientCert,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd)]
#[serde(rename_all = "UPPERCASE")]
pub enum TlsVersion {
    Tls10,
    Tls11,
    Tls12,
    Tls13,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpTable {
    /// Accepted for compatibility: clients that offer HTTP/2 are answered in HTTP/1.1.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateTable {
    #[serde(default, deserialize_with = "duration")]
    pub interval: Duration,
    #[serde(default)]
    pub burst: u32,
}

/// A value and where the file has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "Spanned<T>", bound = "T: Deserialize<'de>")]
pub struct Placed<T> {
    pub value: T,
    pub place: Place,
}

impl<T> From<Spanned<T>> for Placed<T> {
    fn from(spanned: Spanned<T>) -> Self {
        let place = Some((spanned.referenced.line(), spanned.referenced.column()));
        Self { value: spanned.value, place: place.filter(|(line, _)| *line > 0) }
    }
}

/// A password's hash, or a key: never shown, and wiped when it is dropped.
#[derive(Clone, Deserialize, PartialEq)]
#[serde(transparent)]
pub struct Secret(pub String);

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

pub fn read<'de, T: Deserialize<'de>>(text: &'de str) -> Result<T, (Place, String)> {
    // No snippet: the lines around a mistake may hold a key.
    serde_saphyr::from_str_with_options(text, options! { with_snippet: false }).map_err(|error| {
        let place = error.location().map(|place| (place.line(), place.column()));
        (place, UserMessageFormatter.format_message(&error).into_owned())
    })
}

impl WebFile {
    pub fn parse(text: &str) -> Result<Self, Vec<WebProblem>> {
        read(text).map_err(|(place, message)| {
            // The parser ends at the first mistake. Keys that nothing reads are all told.
            let mut problems = unknown_keys(text);
            if !problems.iter().any(|(of_key, _)| *of_key == place) {
                problems.push((place, message));
            }
            problems.sort();
            problems.into_iter().map(|(place, message)| WebProblem::Syntax { place, message }).collect()
        })
    }

    pub fn users(&self) -> BTreeMap<String, Placed<Secret>> {
        self.users.clone().unwrap_or_default()
    }

    pub fn headers(&self) -> BTreeMap<String, String> {
        self.http.as_ref().and_then(|http| http.headers.clone()).unwrap_or_default()
    }
}

/// As Go writes it: `1s`, `1m30s`, or 0.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    struct Written;
    impl Visitor<'_> for Written {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a duration such as \"1s\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            if text == "0" {
                return Ok(Duration::ZERO);
            }
            humantime::parse_duration(text).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
        }
    }
    deserializer.deserialize_str(Written)
}
