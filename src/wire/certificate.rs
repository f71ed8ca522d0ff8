//! What a certificate says of itself, whether or not anybody believes it.

use std::net::IpAddr;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_cert::Certificate as X509;
use x509_cert::der::Decode;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use crate::observation::{Certificate, cut};

/// A certificate may carry hundreds of names; these are for a person to read.
const NAMES_SHOWN: usize = 10;

/// A name of DNS has at most 253 characters.
const LONGEST: usize = 256;

pub fn read(leaf: &CertificateDer<'_>) -> Option<Certificate> {
    let certificate = X509::from_der(leaf).ok()?;
    let names = alternative(&certificate).into_iter().filter_map(|name| match name {
        GeneralName::DnsName(name) => Some(cut(name.as_ref(), LONGEST)),
        _ => None,
    });
    let names = names.take(NAMES_SHOWN).collect();
    let certificate = certificate.tbs_certificate();
    Some(Certificate {
        issuer: cut(&certificate.issuer().to_string(), LONGEST),
        subject: cut(&certificate.subject().to_string(), LONGEST),
        not_before: Some(certificate.validity().not_before.to_system_time()),
        not_after: Some(certificate.validity().not_after.to_system_time()),
        names,
    })
}

/// The first and the last second in which it is valid, since the Unix epoch.
pub fn validity(certificate: &CertificateDer<'_>) -> Option<(Duration, Duration)> {
    let certificate = X509::from_der(certificate).ok()?;
    let dates = certificate.tbs_certificate().validity();
    Some((dates.not_before.to_unix_duration(), dates.not_after.to_unix_duration()))
}

/// DNS names, addresses, mail addresses and URIs, as text.
pub fn alternative_names(leaf: &CertificateDer<'_>) -> Vec<String> {
    let Ok(certificate) = X509::from_der(leaf) else { return Vec::new() };
    let written = |name| match name {
        GeneralName::DnsName(name) => Some(name.to_string()),
        GeneralName::Rfc822Name(name) => Some(name.to_string()),
        GeneralName::UniformResourceIdentifier(name) => Some(name.to_string()),
        GeneralName::IpAddress(bytes) => address(bytes.as_bytes()).map(|ip| ip.to_string()),
        _ => None,
    };
    alternative(&certificate).into_iter().filter_map(written).collect()
}

fn alternative(certificate: &X509) -> Vec<GeneralName> {
    match certificate.tbs_certificate().get_extension::<SubjectAltName>() {
        Ok(Some((_, SubjectAltName(names)))) => names,
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
