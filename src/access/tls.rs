//! The server's side of TLS, as the web configuration file asks for it.

use std::fmt;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, NamedGroup, RootCertStore,
    ServerConfig, SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::file::{ClientAuth, TlsTable, TlsVersion};
use crate::wire::certificate::alternative_names;

/// The contents of the files that the table names, or what stands in the table itself.
#[derive(Debug, Default)]
pub struct Pem {
    pub certificate: Vec<u8>,
    pub key: Vec<u8>,
    pub client_ca: Option<Vec<u8>>,
}

/// `hand_over`: who shows no client certificate gets through the handshake too, since some pages
/// are for everybody.
pub fn server(table: &TlsTable, pem: &Pem, hand_over: bool) -> Result<Arc<ServerConfig>, String> {
    let provider = Arc::new(provider(table)?);
    let chain = certificates(&pem.certificate);
    if chain.is_empty() {
        return Err("the certificate: there is none in PEM form".to_owned());
    }
    let key = PrivateKeyDer::from_pem_slice(&pem.key)
        .map_err(|_| "the key: there is no unencrypted private key in PEM form".to_owned())?;
    let clients = clients(table, pem, &provider, hand_over)?;
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions(table)?)
        .map_err(|error| format!("versions, cipher suites and curves do not go together: {error}"))?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
        Error::InconsistentKeys(_) => "the key is not that of the certificate".to_owned(),
        error => format!("certificate and key cannot be used: {error}"),
    })?;
    config.ignore_client_order = table.prefer_server_cipher_suites.unwrap_or(true);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn certificates(pem: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(pem).flatten().collect()
}

fn versions(table: &TlsTable) -> Result<Vec<&'static SupportedProtocolVersion>, String> {
    let (least, most) =
        (table.min_version.unwrap_or(TlsVersion::Tls12), table.max_version.unwrap_or(TlsVersion::Tls13));
    let spoken = [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)];
    let within: Vec<_> =
        spoken.into_iter().filter(|(version, _)| (least..=most).contains(version)).map(|(_, v)| v).collect();
    if within.is_empty() {
        return Err(
            "min_version and max_version leave neither TLS12 nor TLS13, and no other is spoken".to_owned()
        );
    }
    Ok(within)
}

/// What the table wants of suites and curves, in its order. As in Go, the list of suites is for
/// TLS 1.2; those of 1.3 are not to be chosen.
fn provider(table: &TlsTable) -> Result<CryptoProvider, String> {
    let mut provider = aws_lc_rs::default_provider();
    if let Some(wanted) = table.cipher_suites.as_ref().filter(|wanted| !wanted.is_empty()) {
        let (mut suites, older): (Vec<_>, Vec<_>) =
            provider.cipher_suites.into_iter().partition(|suite| suite.tls13().is_some());
        for name in wanted {
            suites.push(named(name, &older, "cipher suite", |suite| suite_name(*suite))?);
        }
        provider.cipher_suites = suites;
    }
    if let Some(wanted) = table.curve_preferences.as_ref().filter(|wanted| !wanted.is_empty()) {
        let groups = provider.kx_groups;
        let of = |name| named(name, &groups, "curve", |group| curve_name(*group));
        provider.kx_groups = wanted.iter().map(of).collect::<Result<_, _>>()?;
    }
    Ok(provider)
}

fn named<T: Copy>(
    name: &String,
    known: &[T],
    kind: &str,
    written: impl Fn(&T) -> Option<String>,
) -> Result<T, String> {
    let found = known.iter().find(|one| written(one).as_ref() == Some(name)).copied();
    found.ok_or_else(|| {
        let all: Vec<String> = known.iter().filter_map(written).collect();
        format!("{kind} {name:?} is not spoken here: there are {}", all.join(", "))
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
    hand_over: bool,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let is_optional = match table.client_auth_type {
        ClientAuth::NoClientCert if pem.client_ca.is_some() => {
            return Err("client_ca is given, but by client_auth_type nobody is asked for a certificate: \
                        write RequireAndVerifyClientCert"
                .to_owned());
        }
        ClientAuth::NoClientCert if table.client_allowed_sans.is_some() => {
            return Err("client_allowed_sans is given, but by client_auth_type nobody is asked for a \
                        certificate: write RequireAndVerifyClientCert"
                .to_owned());
        }
        ClientAuth::NoClientCert => return Ok(None),
        ClientAuth::RequestClientCert | ClientAuth::RequireAnyClientCert => {
            return Err("client_auth_type lets any certificate pass, so it protects nothing: write \
                        RequireAndVerifyClientCert"
                .to_owned());
        }
        ClientAuth::VerifyClientCertIfGiven => true,
        ClientAuth::RequireAndVerifyClientCert => hand_over,
    };
    let Some(ca) = &pem.client_ca else {
        return Err("client_auth_type needs client_ca_file: without it any certificate of any public CA \
                    would do"
            .to_owned());
    };
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates(ca)).0 == 0 {
        return Err("the client CA: there is no certificate in PEM form".to_owned());
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let verifier = if is_optional { verifier.allow_unauthenticated() } else { verifier };
    let verifier = verifier.build().map_err(|error| format!("the client CA cannot be used: {error}"))?;
    Ok(Some(match &table.client_allowed_sans {
        Some(allowed) => Arc::new(SanVerifier { inner: verifier, allowed: allowed.clone() }),
        None => verifier,
    }))
}

/// A certificate of the client CA that also names somebody on the list.
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
