//! Certificates as AWS has them (root, intermediate, leaf), and every way in which
//! they can be wrong.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate as Signed, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio_rustls::TlsAcceptor;

use super::clock::Moment;

const DAY: i64 = 86_400;

/// Names as the real CloudWatch certificate has them, and those of the lab's other
/// services.
const SERVICE_NAMES: [&str; 8] = [
    "monitoring.us-east-1.amazonaws.com",
    "*.us-east-1.amazonaws.com",
    "*.dualstack.us-east-1.amazonaws.com",
    "*.ecr.us-east-1.amazonaws.com",
    "*.monitoring.us-east-1.vpce.amazonaws.com",
    "*.us-west-2.amazonaws.com",
    "*.7d67968.vpc-lattice-svcs.us-east-1.on.aws",
    "*.corp.example",
];

/// Keys of all certificates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Keys {
    /// Made in no time (P-256).
    Quick,
    /// RSA of 2048 bits, as AWS's are: for what measures CPU.
    AsAws,
}

impl Keys {
    fn generate(self) -> Result<KeyPair, rcgen::Error> {
        match self {
            Self::Quick => KeyPair::generate(),
            Self::AsAws => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        }
    }
}

/// What a server shows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Certificate {
    Valid,
    Expired,
    NotYetValid,
    WrongName,
    Untrusted,
    PrivateCa,
    /// Valid, and the client is asked for one as well.
    ClientRequired,
    /// For the hosts on the internet that are not CloudWatch.
    Website,
}

pub struct Certificates {
    acceptors: Vec<(Certificate, TlsAcceptor)>,
    trusted: Vec<String>,
}

impl Certificates {
    pub fn generate(keys: Keys) -> Result<Self, String> {
        generate(keys).map_err(|error| format!("cannot make the lab's certificates: {error}"))
    }

    pub fn acceptor(&self, certificate: Certificate) -> &TlsAcceptor {
        let found = self.acceptors.iter().find(|(kind, _)| *kind == certificate);
        &found.expect("generate makes one of each kind").1
    }

    /// The authorities that the instance's system trusts, each as PEM.
    pub fn trusted(&self) -> &[String] {
        &self.trusted
    }
}

/// A certificate that signs others, with what a server sends beside its own.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    chain: Vec<CertificateDer<'static>>,
}

struct Leaf<'a> {
    names: &'a [&'a str],
    from: i64,
    until: i64,
}

fn generate(keys: Keys) -> Result<Certificates, Box<dyn std::error::Error>> {
    let root = root("linkproof lab", "Amazon Root CA 1", keys)?;
    let amazon = intermediate(&root, "Amazon RSA 2048 M02", keys)?;
    let unknown = self::root("linkproof lab, untrusted", "Unknown Root CA", keys)?;
    let stranger = intermediate(&unknown, "Unknown CA 1", keys)?;
    let company = self::root("linkproof lab", "Corp Proxy CA", keys)?;

    let key = keys.generate()?;
    let valid = Leaf { names: &SERVICE_NAMES, from: -DAY, until: 90 * DAY };
    let expired = Leaf { names: &SERVICE_NAMES, from: -90 * DAY, until: -2 * DAY };
    let not_yet_valid = Leaf { names: &SERVICE_NAMES, from: 2 * DAY, until: 90 * DAY };
    let wrong_name = Leaf { names: &["wrong.example.com"], ..valid };
    let website = Leaf { names: &["www.amazon.com", "amazon.com", "*.amazon.com"], ..valid };
    let kinds = [
        (Certificate::Valid, &valid, &amazon),
        (Certificate::Expired, &expired, &amazon),
        (Certificate::NotYetValid, &not_yet_valid, &amazon),
        (Certificate::WrongName, &wrong_name, &amazon),
        (Certificate::Untrusted, &valid, &stranger),
        (Certificate::PrivateCa, &valid, &company),
        (Certificate::ClientRequired, &valid, &amazon),
        (Certificate::Website, &website, &amazon),
    ];
    let mut acceptors = Vec::new();
    for (kind, leaf, authority) in kinds {
        let clients = (kind == Certificate::ClientRequired).then_some(&company.der);
        acceptors.push((kind, acceptor(leaf, authority, &key, clients)?));
    }
    Ok(Certificates { acceptors, trusted: vec![root.pem, company.pem] })
}

fn root(organization: &str, name: &str, keys: Keys) -> Result<Authority, rcgen::Error> {
    let params = authority_params(organization, name)?;
    let key = keys.generate()?;
    let signed = params.self_signed(&key)?;
    let (pem, der) = (signed.pem(), signed.der().clone());
    // A server does not send its root.
    Ok(Authority { issuer: Issuer::new(params, key), pem, der, chain: Vec::new() })
}

fn intermediate(root: &Authority, name: &str, keys: Keys) -> Result<Authority, rcgen::Error> {
    let params = authority_params("linkproof lab", name)?;
    let key = keys.generate()?;
    let signed = params.signed_by(&key, &root.issuer)?;
    let der = signed.der().clone();
    Ok(Authority { issuer: Issuer::new(params, key), pem: signed.pem(), chain: vec![der.clone()], der })
}

fn authority_params(organization: &str, name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut params = params(&[], organization, name, -365 * DAY, 365 * DAY)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn acceptor(
    leaf: &Leaf<'_>,
    authority: &Authority,
    key: &KeyPair,
    clients: Option<&CertificateDer<'static>>,
) -> Result<TlsAcceptor, Box<dyn std::error::Error>> {
    let signed = sign(leaf, authority, key)?;
    let chain = [vec![signed.der().clone()], authority.chain.clone()].concat();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = match clients {
        None => WebPkiClientVerifier::no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.clone())?;
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?
        }
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, private)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

fn sign(leaf: &Leaf<'_>, authority: &Authority, key: &KeyPair) -> Result<Signed, rcgen::Error> {
    let mut params = params(leaf.names, "linkproof lab", leaf.names[0], leaf.from, leaf.until)?;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.signed_by(key, &authority.issuer)
}

/// The bounds are seconds from now, rounded down to a day.
fn params(
    names: &[&str],
    organization: &str,
    name: &str,
    from: i64,
    until: i64,
) -> Result<CertificateParams, rcgen::Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names)?;
    let day = |seconds| {
        let (year, month, day) = Moment::now().plus(seconds).date();
        date_time_ymd(year, month, day)
    };
    params.not_before = day(from);
    params.not_after = day(until);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, organization);
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
