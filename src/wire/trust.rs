//! Whom TLS believes: the system's own store, and the operator's `ca_file` beside it. A store
//! compiled in would be wrong behind every private CA.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue, WebPkiServerVerifier,
};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, NamedGroup, RootCertStore, SignatureScheme,
};
use tokio::time::Instant;

use super::certificate;
use crate::file;
use crate::observation::Certificate;

/// The roots, parsed once and shared by every connection.
#[derive(Clone, Debug)]
pub struct Trust {
    /// `None` where there is no root at all: then nobody is believed.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

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

impl Trust {
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let mut roots = RootCertStore::empty();
        // What of the system's store cannot be parsed is left out, as every client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = ca_file {
            let pem =
                file::read(path).map_err(|error| TrustError::Unreadable { path: path.to_owned(), error })?;
            let own: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&pem).flatten().collect();
            if roots.add_parsable_certificates(own).0 == 0 {
                return Err(TrustError::NoCertificate { path: path.to_owned() });
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().ok();
        Ok(Self { verifier, provider })
    }

    /// A configuration for one connection, which `record` watches. No session is resumed.
    pub fn client(&self, record: &Arc<HandshakeRecord>) -> Result<ClientConfig, rustls::Error> {
        let watching = RecordingVerifier { inner: self.clone(), record: Arc::clone(record) };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()?
            .dangerous() // The verifier below only notes what it sees; the verdict is webpki's.
            .with_custom_certificate_verifier(Arc::new(watching))
            .with_no_client_auth();
        config.resumption = Resumption::store(Arc::clone(record) as Arc<dyn ClientSessionStore>);
        Ok(config)
    }
}

/// What one handshake showed, whether or not it came to an end.
#[derive(Debug, Default)]
pub struct HandshakeRecord {
    hello: OnceLock<Instant>,
    certificate: OnceLock<Certificate>,
}

impl HandshakeRecord {
    /// When the ClientHello was made: TCP was established then.
    pub fn hello(&self) -> Option<Instant> {
        self.hello.get().copied()
    }

    pub fn certificate(&self) -> Option<Certificate> {
        self.certificate.get().cloned()
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

/// The system's verifier, with its first argument noted on the way in.
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
        if let Some(certificate) = certificate::read(leaf) {
            self.record.certificate.get_or_init(|| certificate);
        }
        self.verifier()?.verify_server_cert(leaf, intermediates, name, ocsp, now)
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
