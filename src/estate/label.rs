//! Which label stands in front of a wildcard name. The same one each time, and like one that
//! people use: a random label looks like data that leaves through DNS.

use super::error::ImportError;
use super::name::{EndpointName, Form};
use crate::catalogue::{self, Coverage, Host, Name};
use crate::config::{host_name, is_service};

/// A wildcard name with a label, or why there is none.
#[derive(Debug, Eq, PartialEq)]
pub enum Labeled<'a> {
    /// The word of `--label` that chose the labels, if one did.
    Hosts(Vec<String>, Option<&'a str>),
    /// The label has to be given, by this word of `--label`.
    Unknown(&'a str),
    /// The label is the account of the owner, which the file does not say, or has it in it.
    NoOwner(&'a str),
    Invalid(String),
}

/// The labels given on the command line.
pub fn check(labels: &[(String, String)]) -> Result<(), ImportError> {
    for (service, label) in labels {
        host_name(&format!("{label}.example")).map_err(|why| ImportError::InvalidLabel {
            service: service.clone(),
            label: label.clone(),
            why,
        })?;
    }
    Ok(())
}

pub fn apply<'a>(
    name: &EndpointName,
    service: &'a str,
    owner: Option<&str>,
    given: &[(String, String)],
) -> Labeled<'a> {
    let kind = Kind::of(name, service);
    let word = kind.word(service);
    let mut labels: Vec<String> = Vec::new();
    if let Some(word) = word {
        labels.extend(given.iter().filter(|(of, _)| of == word).map(|(_, label)| label.clone()));
    }
    let chosen = word.filter(|_| !labels.is_empty());
    if chosen.is_none() {
        match kind.label(owner) {
            Some(label) => labels.push(label),
            None if matches!(kind, Kind::Other) => return Labeled::Unknown(service),
            None => return Labeled::NoOwner(word.unwrap_or(service)),
        }
    }
    let hosts: Result<Vec<String>, String> = labels.iter().map(|label| name.with_label(label)).collect();
    hosts.map_or_else(Labeled::Invalid, |hosts| Labeled::Hosts(hosts, chosen))
}

/// The names of S3 for accounts and for access points take other labels than those for buckets.
const S3_ACCOUNT: &str = "s3-control";
const S3_ACCESS_POINT: &str = "s3-accesspoint";

/// How `--label` is written with this word. `None` where a shell would not take it as it is.
pub fn advice(word: &str, what: &str) -> Option<String> {
    let what = if word == S3_ACCESS_POINT { "NAME-ACCOUNT" } else { what };
    (is_service(word) && !word.starts_with('-')).then(|| format!("--label {word}={what}"))
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// The certificate of S3's own names has three words in front, and no bucket.
    S3Own,
    S3Bucket,
    S3Account,
    S3AccessPoint,
    /// The owner's account: registries, and the account endpoints of Kinesis.
    Account,
    Other,
}

impl Kind {
    fn of(name: &EndpointName, service: &str) -> Self {
        let first = name.base.split('.').next().unwrap_or_default();
        match service {
            "s3" | "s3-fips" if name.form != Form::Private => Self::S3Own,
            "s3" | "s3-fips" if first.starts_with(S3_ACCOUNT) => Self::S3Account,
            "s3" | "s3-fips" if first.starts_with(S3_ACCESS_POINT) => Self::S3AccessPoint,
            "s3" | "s3-fips" => Self::S3Bucket,
            "ecr.dkr" | "ecr.dkr-fips" => Self::Account,
            _ if matches!(first, "control-kinesis" | "data-kinesis") => Self::Account,
            _ => Self::Other,
        }
    }

    /// What stands before the `=` of the `--label` for such a name, if any does.
    fn word(self, service: &str) -> Option<&str> {
        match self {
            Self::S3Own => None,
            Self::S3Account => Some(S3_ACCOUNT),
            Self::S3AccessPoint => Some(S3_ACCESS_POINT),
            Self::S3Bucket | Self::Account | Self::Other => Some(service),
        }
    }

    /// Where none is given.
    fn label(self, owner: Option<&str>) -> Option<String> {
        let account = owner.filter(|owner| owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit()));
        match self {
            Self::S3Own | Self::S3Bucket => Some("bucket".to_owned()),
            Self::S3Account | Self::Account => account.map(ToOwned::to_owned),
            Self::S3AccessPoint => account.map(|account| format!("accesspoint-{account}")),
            Self::Other => None,
        }
    }
}

/// Whether clients ask names below this one only, and never the name itself.
pub fn only_below(name: &EndpointName, service: &str) -> bool {
    let asked = |name: &Name| !name.is_wildcard && name.coverage == Coverage::Unknown;
    let is_wildcard = |entry: catalogue::Entry| {
        matches!(entry.host("us-east-1"), Host::BelowLabel(_)) && !entry.names("us-east-1").iter().any(asked)
    };
    matches!(Kind::of(name, service), Kind::S3AccessPoint)
        || catalogue::lookup(service).is_some_and(is_wildcard)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts<'a>(name: &str, service: &'a str, owner: Option<&str>, given: &[(&str, &str)]) -> Labeled<'a> {
        let given: Vec<(String, String)> =
            given.iter().map(|(service, label)| ((*service).to_owned(), (*label).to_owned())).collect();
        apply(&EndpointName::parse(name).unwrap(), service, owner, &given)
    }

    #[test]
    fn labels_are_those_that_clients_use() {
        let owner = Some("111122223333");
        for (name, service, host) in [
            ("*.dkr.ecr.us-east-1.amazonaws.com", "ecr.dkr", "111122223333.dkr.ecr.us-east-1.amazonaws.com"),
            ("*.s3.us-east-1.amazonaws.com", "s3", "bucket.s3.us-east-1.amazonaws.com"),
            ("*.s3-control.us-east-1.amazonaws.com", "s3", "111122223333.s3-control.us-east-1.amazonaws.com"),
            (
                "*.s3-accesspoint.us-east-1.amazonaws.com",
                "s3",
                "accesspoint-111122223333.s3-accesspoint.us-east-1.amazonaws.com",
            ),
            (
                "*.data-kinesis.us-east-1.amazonaws.com",
                "kinesis-streams",
                "111122223333.data-kinesis.us-east-1.amazonaws.com",
            ),
        ] {
            assert_eq!(
                hosts(name, service, owner, &[]),
                Labeled::Hosts(vec![host.to_owned()], None),
                "{name}"
            );
        }
        let api = "*.execute-api.us-east-1.amazonaws.com";
        assert_eq!(hosts(api, "execute-api", owner, &[]), Labeled::Unknown("execute-api"));
        assert_eq!(
            hosts("*.dkr.ecr.us-east-1.amazonaws.com", "ecr.dkr", Some("12"), &[]),
            Labeled::NoOwner("ecr.dkr")
        );
        let given = [("execute-api", "abc123"), ("execute-api", "def456"), ("other", "x")];
        let both = ["abc123", "def456"].map(|id| format!("{id}.execute-api.us-east-1.amazonaws.com"));
        assert_eq!(
            hosts(api, "execute-api", owner, &given),
            Labeled::Hosts(both.to_vec(), Some("execute-api"))
        );
    }

    #[test]
    fn each_kind_of_name_of_s3_takes_its_own_label() {
        let given =
            [("s3", "logs"), ("s3-control", "444455556666"), ("s3-accesspoint", "reports-444455556666")];
        for (name, host, word) in [
            ("*.s3.us-east-1.amazonaws.com", "logs.s3.us-east-1.amazonaws.com", Some("s3")),
            (
                "*.s3-control.us-east-1.amazonaws.com",
                "444455556666.s3-control.us-east-1.amazonaws.com",
                Some("s3-control"),
            ),
            (
                "*.s3-accesspoint.us-east-1.amazonaws.com",
                "reports-444455556666.s3-accesspoint.us-east-1.amazonaws.com",
                Some("s3-accesspoint"),
            ),
            (
                "*.vpce-0a-1a2b3c4d.s3.us-east-1.vpce.amazonaws.com",
                "bucket.vpce-0a-1a2b3c4d.s3.us-east-1.vpce.amazonaws.com",
                None,
            ),
        ] {
            let expected = Labeled::Hosts(vec![host.to_owned()], word);
            assert_eq!(hosts(name, "s3", Some("111122223333"), &given), expected, "{name}");
        }
    }

    #[test]
    fn a_label_must_be_one() {
        let label = |label: &str| check(&[("execute-api".to_owned(), label.to_owned())]);
        assert!(label("abc123").is_ok() && label("a.b").is_ok());
        for wrong in ["", "*", "a b", "a\nb", "-a", "a/b"] {
            assert!(label(wrong).is_err(), "{wrong:?}");
        }
    }
}
