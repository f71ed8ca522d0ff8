//! Which label stands in front of a wildcard name. The same one each time, and like one that
//! people use: a random label looks like data that leaves through DNS.

use super::error::ImportError;
use super::name::EndpointName;
use crate::catalogue::{self, Coverage, Host, Name};
use crate::config::host_name;

/// A wildcard name with a label, or why there is none.
#[derive(Debug, Eq, PartialEq)]
pub enum Labeled {
    Hosts(Vec<String>),
    /// The label has to be given for this service.
    Unknown,
    /// The label is the account of the owner, which the file does not say.
    NoOwner,
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

pub fn apply(name: &EndpointName, service: &str, owner: Option<&str>, given: &[(String, String)]) -> Labeled {
    let owner = owner.filter(|owner| owner.len() == 12 && owner.bytes().all(|b| b.is_ascii_digit()));
    let of_owner = |prefix: &str| owner.map(|owner| vec![format!("{prefix}{owner}")]).ok_or(Labeled::NoOwner);
    let labels = match Kind::of(name, service) {
        // An account and an access point are no bucket: --label s3=.. does not mean them.
        Kind::S3Account => of_owner(""),
        Kind::S3AccessPoint => of_owner("accesspoint-"),
        kind => {
            let given: Vec<String> =
                given.iter().filter(|(own, _)| own == service).map(|(_, label)| label.clone()).collect();
            match kind {
                _ if !given.is_empty() => Ok(given),
                Kind::S3Bucket => Ok(vec!["bucket".to_owned()]),
                Kind::Account => of_owner(""),
                _ => Err(Labeled::Unknown),
            }
        }
    };
    let labels = match labels {
        Ok(labels) => labels,
        Err(without) => return without,
    };
    let hosts: Result<Vec<String>, String> = labels.iter().map(|label| name.with_label(label)).collect();
    hosts.map_or_else(Labeled::Invalid, Labeled::Hosts)
}

enum Kind {
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
            "s3" | "s3-fips" if first.starts_with("s3-control") => Self::S3Account,
            "s3" | "s3-fips" if first.starts_with("s3-accesspoint") => Self::S3AccessPoint,
            "s3" | "s3-fips" => Self::S3Bucket,
            "ecr.dkr" | "ecr.dkr-fips" => Self::Account,
            _ if matches!(first, "control-kinesis" | "data-kinesis") => Self::Account,
            _ => Self::Other,
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

    fn hosts(name: &str, service: &str, owner: Option<&str>, given: &[(&str, &str)]) -> Labeled {
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
            assert_eq!(hosts(name, service, owner, &[]), Labeled::Hosts(vec![host.to_owned()]), "{name}");
        }
        let api = "*.execute-api.us-east-1.amazonaws.com";
        assert_eq!(hosts(api, "execute-api", owner, &[]), Labeled::Unknown);
        assert_eq!(hosts("*.dkr.ecr.us-east-1.amazonaws.com", "ecr.dkr", Some("12"), &[]), Labeled::NoOwner);
        let given = [("execute-api", "abc123"), ("execute-api", "def456"), ("other", "x")];
        let both = ["abc123", "def456"].map(|id| format!("{id}.execute-api.us-east-1.amazonaws.com"));
        assert_eq!(hosts(api, "execute-api", owner, &given), Labeled::Hosts(both.to_vec()));
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
