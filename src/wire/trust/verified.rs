//! Chains that webpki accepted, so that the next connection to the same service costs less. The result
//! depends on the chain, the name, the roots and the time: `VerifiedChains` belongs to one set of
//! roots, `ChainId` covers chain and name, and `find` checks the time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

use crate::observation::Certificate;
use crate::wire::certificate;

/// An endpoint shows one chain, and an estate has hundreds of endpoints.
const MOST_CHAINS: usize = 512;

/// A chain and the name that it was shown for, by their SHA-256.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ChainId([u8; 32]);

impl ChainId {
    pub fn of(
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
    ) -> Self {
        let mut digest = Context::new(&SHA256);
        let name = name.to_str();
        let certificates = [leaf].into_iter().chain(intermediates).map(AsRef::as_ref);
        for part in [name.as_bytes()].into_iter().chain(certificates) {
            // The length keeps parts apart: "ab", "c" is not "a", "bc".
            digest.update(&part.len().to_be_bytes());
            digest.update(part);
        }
        let mut id = Self([0; 32]);
        id.0.copy_from_slice(digest.finish().as_ref());
        id
    }
}

#[derive(Debug, Default)]
pub struct VerifiedChains(Mutex<HashMap<ChainId, Chain>>);

#[derive(Debug)]
struct Chain {
    leaf: Certificate,
    not_before: Duration,
    not_after: Duration,
}

impl VerifiedChains {
    /// What the leaf says, where the chain was accepted and is valid now.
    pub fn find(&self, id: ChainId, now: UnixTime) -> Option<Certificate> {
        let chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let chain = chains.get(&id)?;
        let now = Duration::from_secs(now.as_secs());
        (chain.not_before <= now && now <= chain.not_after).then(|| chain.leaf.clone())
    }

    /// Of a chain that was just accepted.
    pub fn insert(&self, id: ChainId, leaf: Certificate, certificates: &[&CertificateDer<'_>]) {
        let Some((not_before, not_after)) = validity(certificates) else { return };
        let mut chains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chains.len() >= MOST_CHAINS {
            chains.clear();
        }
        chains.insert(id, Chain { leaf, not_before, not_after });
    }
}

/// The time during which all of them are valid. An extra certificate in the chain can only shorten it.
fn validity(certificates: &[&CertificateDer<'_>]) -> Option<(Duration, Duration)> {
    let mut valid = (Duration::ZERO, Duration::MAX);
    for certificate in certificates {
        let (not_before, not_after) = certificate::validity(certificate)?;
        valid = (valid.0.max(not_before), valid.1.min(not_after));
    }
    Some(valid)
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    fn certificate(from: i32, until: i32) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["monitoring.us-east-1.amazonaws.com".to_owned()]).unwrap();
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    fn name(text: &str) -> ServerName<'static> {
        ServerName::try_from(text.to_owned()).unwrap()
    }

    fn in_year(year: i32) -> UnixTime {
        let seconds = date_time_ymd(year, 1, 1).unix_timestamp().try_into().unwrap();
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn chain_is_remembered_while_each_of_its_certificates_is_valid() {
        let (leaf, intermediate) = (certificate(2024, 2030), certificate(2026, 2028));
        let id = ChainId::of(&leaf, from_ref(&intermediate), &name("a.example.com"));
        let read = certificate::read(&leaf).unwrap();
        let verified = VerifiedChains::default();
        assert_eq!(verified.find(id, in_year(2027)), None, "not noted yet");
        verified.insert(id, read.clone(), &[&leaf, &intermediate]);
        for (year, found) in [(2025, false), (2026, true), (2027, true), (2028, true), (2029, false)] {
            assert_eq!(verified.find(id, in_year(year)), found.then(|| read.clone()), "{year}");
        }
        let second = UnixTime::since_unix_epoch(Duration::from_secs(in_year(2028).as_secs() + 1));
        assert_eq!(verified.find(id, second), None);
    }

    #[test]
    fn another_name_or_other_certificates_are_another_chain() {
        let (leaf, other) = (certificate(2024, 2030), certificate(2024, 2030));
        let of = |leaf, rest: &[CertificateDer<'static>], host| ChainId::of(leaf, rest, &name(host));
        let ids = [
            of(&leaf, &[], "a.example.com"),
            of(&leaf, &[], "b.example.com"),
            of(&other, &[], "a.example.com"),
            of(&leaf, from_ref(&other), "a.example.com"),
            of(&other, from_ref(&leaf), "a.example.com"),
            of(&leaf, &[other.clone(), other.clone()], "a.example.com"),
        ];
        for (index, id) in ids.iter().enumerate() {
            assert!(!ids[index + 1..].contains(id), "{index}");
        }
    }

    #[test]
    fn parts_that_are_cut_differently_are_another_chain() {
        let of = |leaf: &'static [u8], rest: &'static [u8]| {
            ChainId::of(&CertificateDer::from(leaf), &[CertificateDer::from(rest)], &name("a.example.com"))
        };
        assert_ne!(of(b"ab", b"c"), of(b"a", b"bc"));
    }

    #[test]
    fn chains_are_bounded() {
        let leaf = certificate(2024, 2030);
        let read = certificate::read(&leaf).unwrap();
        let verified = VerifiedChains::default();
        let id = |number: usize| ChainId::of(&leaf, &[], &name(&format!("{number}.example.com")));
        for number in 0..=MOST_CHAINS {
            verified.insert(id(number), read.clone(), &[&leaf]);
            assert!(verified.0.lock().unwrap().len() <= MOST_CHAINS);
            assert!(verified.find(id(number), in_year(2026)).is_some());
        }
    }
}
