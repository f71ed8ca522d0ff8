//! The server's side of TLS, as the web configuration file asks for it.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore,
    ServerConfig, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
};

use zeroize::Zeroizing;

use super::error::TlsProblem;
use super::web_file::{ClientAuth, TlsTable, TlsVersion};
use crate::wire::certificate::alternative_names;

/// The contents of the files that the table names, or what stands in the table itself.
#[derive(Debug, Default)]
pub struct Pem {
    pub certificate: Zeroizing<Vec<u8>>,
    pub key: Zeroizing<Vec<u8>>,
    pub client_ca: Option<Zeroizing<Vec<u8>>>,
}

/// `optional`: the handshake also admits clients without a certificate, since some pages are open.
pub fn server(table: &TlsTable, pem: &Pem, optional: bool) -> Result<Arc<ServerConfig>, TlsProblem> {
    let provider = Arc::new(provider(table)?);
    let chain = certificates(&pem.certificate);
    if chain.is_empty() {
        return Err(TlsProblem::NoCertificate);
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key).map_err(|_| TlsProblem::NoPrivateKey)?;
    let clients = clients(table, pem, &provider, optional)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(table)?)
        .map_err(TlsProblem::Incompatible)?;
    let asks_clients = clients.is_some();
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => TlsProblem::KeyMismatch,
        error => TlsProblem::Unusable(error),
    })?;
    if asks_clients {
        // A resumed session carries the client's certificate without another look at its expiry.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.ignore_client_order = table.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten().collect()
}

fn versions(table: &TlsTable) -> Result<Vec<&'static SupportedProtocolVersion>, TlsProblem> {
    let (least, most) =
        (table.min_version.unwrap_or(TlsVersion::Tls12), table.max_version.unwrap_or(TlsVersion::Tls13));
    let spoken = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let within: Vec<_> =
        spoken.into_iter().filter(|(version, _)| (least..=most).contains(version)).map(|(_, v)| v).collect();
    if within.is_empty() {
        return Err(TlsProblem::NoVersion);
    }
    Ok(within)
}

/// What the table wants of suites and curves, in its order. As in Go, the list of suites is for
/// TLS 1.2; those of 1.3 are not to be chosen.
fn provider(table: &TlsTable) -> Result<CryptoProvider, TlsProblem> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(wanted) = table.cipher_suites.as_ref().filter(|wanted| !wanted.is_empty()) {
        let (mut suites, older): (Vec<_>, Vec<_>) =
            provider.cipher_suites.into_iter().partition(|suite| suite.tls13().is_some());
        for name in wanted {
            suites.push(find_by_name(name, &older, "cipher suite", |suite| suite_name(*suite))?);
        }
        provider.cipher_suites = suites;
    }
    if let Some(wanted) = table.curve_preferences.as_ref().filter(|wanted| !wanted.is_empty()) {
        let groups = provider.kx_groups;
        let of = |name: &String| find_by_name(name, &groups, "curve", |group| curve_name(*group));
        provider.kx_groups = wanted.iter().map(of).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

fn find_by_name<T: Copy>(
    name: &str,
    known: &[T],
    kind: &'static str,
    name_of: impl Fn(&T) -> Option<String>,
) -> Result<T, TlsProblem> {
    let found = known.iter().find(|one| name_of(one).as_deref() == Some(name)).copied();
    found.ok_or_else(|| TlsProblem::Unsupported {
        kind,
        name: name.to_owned(),
        supported: known.iter().filter_map(name_of).collect(),
    })
}

fn suite_name(suite: SupportedCipherSuite) -> Option<String> {
    suite.suite().as_str().map(str::to_owned)
}

fn curve_name(group: &'static dyn SupportedKxGroup) -> Option<String> {
    let name = match group.name() {
        NamedGroup::X25519 => "X25519",
        NamedGroup::secp256r1 => "CurveP256",
        NamedGroup::secp384r1 => "CurveP384",
        NamedGroup::X25519MLKEM768 => "X25519MLKEM768",
        _ => return None,
    };
    Some(name.to_owned())
}

fn clients(
    table: &TlsTable,
    pem: &Pem,
    provider: &Arc<CryptoProvider>,
    optional: bool,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsProblem> {
    let is_optional = match table.client_auth_type {
        ClientAuth::NoClientCert if pem.client_ca.is_some() => {
            return Err(TlsProblem::NeedsClientAuth { key: "client_ca" });
        }
        ClientAuth::NoClientCert if table.client_allowed_sans.is_some() => {
            return Err(TlsProblem::NeedsClientAuth { key: "client_allowed_sans" });
        }
        ClientAuth::NoClientCert => return Ok(None),
        ClientAuth::RequestClientCert | ClientAuth::RequireAnyClientCert => {
            return Err(TlsProblem::UnverifiedClients);
        }
        ClientAuth::VerifyClientCertIfGiven => true,
        ClientAuth::RequireAndVerifyClientCert => optional,
    };
    // Without it, a certificate of any public CA would be accepted.
    let ca = pem.client_ca.as_ref().ok_or(TlsProblem::NeedsClientCa)?;
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates(ca)).0 == 0 {
        return Err(TlsProblem::NoClientCa);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if is_optional { verifier.allow_unauthenticated() } else { verifier };
    let verifier = verifier.build().map_err(TlsProblem::UnusableClientCa)?;
    Ok(Some(match &table.client_allowed_sans {
        Some(allowed) => Arc::new(SanVerifier { inner: verifier, allowed: allowed.clone() }),
        None => verifier,
    }))
}

/// A certificate of the client CA must also carry a name on the list.
struct SanVerifier {
    inner: Arc<dyn ClientCertVerifier>,
    allowed: Vec<String>,
}

impl fmt::Debug for SanVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SanVerifier").field("allowed", &self.allowed).finish_non_exhaustive()
    }
}

impl ClientCertVerifier for SanVerifier {
    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(leaf, intermediates, now)?;
        if alternative_names(leaf).iter().any(|name| self.allowed.contains(name)) {
            return Ok(verified);
        }
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
