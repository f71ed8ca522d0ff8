//! Whom TLS believes: the system's own store, and the operator's `ca_file` beside it. A store
//! compiled in would be wrong behind every private CA.

mod follow;
mod store;
mod verified;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, ResolvesClientCert, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
    WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{
    CertificateError, CipherSuite, ClientConfig, DigitallySignedStruct, NamedGroup, SignatureScheme,
};
use tokio::time::Instant;

use super::certificate;
use crate::observation::Certificate;
use verified::{ChainId, VerifiedChains};

pub use follow::TrustFollower;
pub use store::TrustError;

/// The roots, parsed once and shared by every connection.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `None` where there is no root at all: then no certificate is accepted.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    verified: Arc<VerifiedChains>,
    provider: Arc<CryptoProvider>,
    roots: usize,
    problem: Option<Arc<str>>,
}

impl Trust {
    /// A `ca_file` that cannot be read is an error; what is wrong with the system's own store is kept.
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut store = store::system();
        if let Some(path) = ca_file {
            store.add_file(path)?;
        }
        Ok(Self::of(store))
    }

    fn of(store: store::Store) -> Self {
        let provider = Arc::new(provider());
        let (roots, problem) = (store.roots.len(), store.problem().map(Arc::from));
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store.roots), Arc::clone(&provider))
                .build()
                .ok();
        Self { verifier, verified: Arc::default(), provider, roots, problem }
    }

    /// What is wrong with the store: a variable that leads nowhere, or no certificate at all.
    pub fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// A configuration for one connection, which `record` watches. No session is resumed.
    pub fn client(&self, record: &Arc<HandshakeRecord>) -> Result<ClientConfig, rustls::Error> {
        let watching = RecordingVerifier { inner: self.clone(), record: Arc::clone(record) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous() // The verifier below only records; webpki decides.
            .with_custom_certificate_verifier(Arc::new(watching))
            .with_client_cert_resolver(Arc::clone(record) as Arc<dyn ResolvesClientCert>);
        config.resumption = Resumption::store(Arc::clone(record) as Arc<dyn ClientSessionStore>);
        Ok(config)
    }
}

/// Prefers the suite with SHA-256, as Go does: it costs less CPU than SHA-384.
fn provider() -> CryptoProvider {
    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    provider.cipher_suites.sort_by_key(|suite| suite.suite() != CipherSuite::TLS13_AES_128_GCM_SHA256);
    provider
}

/// What one handshake showed, whether or not it came to an end.
#[derive(Debug, Default)]
pub struct HandshakeRecord {
    hello: OnceLock<Instant>,
    certificate: OnceLock<Certificate>,
    client_certificate_requested: AtomicBool,
}

impl HandshakeRecord {
    /// When the ClientHello was made: TCP was established then.
    pub fn hello(&self) -> Option<Instant> {
        self.hello.get().copied()
    }

    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.get().cloned()
    }

    pub fn client_certificate_requested(&self) -> bool {
        self.client_certificate_requested.load(Ordering::Relaxed)
    }

    pub fn request_client_certificate(&self) {
        self.client_certificate_requested.store(true, Ordering::Relaxed);
    }
}

/// We have no certificate to show; a request for one explains a refusal that follows.
impl ResolvesClientCert for HandshakeRecord {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.request_client_certificate();
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// Remembers nothing: each connection proves itself. Being asked is the sign that TLS begins.
impl ClientSessionStore for HandshakeRecord {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.hello.get_or_init(Instant::now);
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.hello.get_or_init(Instant::now);
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, _: Tls13ClientSessionValue) {}

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.hello.get_or_init(Instant::now);
        None
    }
}

/// Verifies with webpki, once for each chain and name, and records what the leaf says.
#[derive(Debug)]
struct RecordingVerifier {
    inner: Trust,
    record: Arc<HandshakeRecord>,
}

impl RecordingVerifier {
    fn verifier(&self) -> Result<&Arc<WebPkiServerVerifier>, rustls::Error> {
        self.inner.verifier.as_ref().ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))
    }
}

impl ServerCertVerifier for RecordingVerifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let id = ChainId::of(leaf, intermediates, name);
        if let Some(certificate) = self.inner.verified.find(id, now) {
            self.record.certificate.get_or_init(|| certificate);
            return Ok(ServerCertVerified::assertion());
        }
        let certificate = certificate::read(leaf);
        if let Some(certificate) = &certificate {
            self.record.certificate.get_or_init(|| certificate.clone());
        }
        let accepted = self.verifier()?.verify_server_cert(leaf, intermediates, name, ocsp, now)?;
        if let Some(certificate) = certificate {
            let chain: Vec<&CertificateDer<'_>> = [leaf].into_iter().chain(intermediates).collect();
            self.inner.verified.insert(id, certificate, &chain);
        }
        Ok(accepted)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier()?.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.provider.signature_verification_algorithms.supported_schemes()
    }
}
