//! Which names are asked, and in which order.

use std::collections::{BTreeMap, BTreeSet};

use crate::catalogue::{self, Entry, Kind, Name, PrivateDns};
use crate::network::is_region;
use crate::observation::EndpointProtocol;

/// What most subnets have, asked first. The others follow in the order of the catalogue.
const COMMON: [&str; 32] = [
    "monitoring",
    "logs",
    "ssm",
    "ssmmessages",
    "ec2messages",
    "ec2",
    "sts",
    "kms",
    "secretsmanager",
    "ecr.api",
    "ecr.dkr",
    "s3",
    "dynamodb",
    "sqs",
    "sns",
    "events",
    "lambda",
    "elasticloadbalancing",
    "autoscaling",
    "ecs",
    "ecs-agent",
    "ecs-telemetry",
    "eks",
    "eks-auth",
    "execute-api",
    "states",
    "kinesis-streams",
    "kinesis-firehose",
    "xray",
    "cloudformation",
    "bedrock-runtime",
    "rds",
];

/// No service has such a name, so an answer to it is one that any name gets. Words that people use,
/// since random labels look like data that leaves through DNS.
const CONTROL: &str = "no-such-service";

/// Everything that is asked in one region.
#[derive(Debug)]
pub struct Agenda {
    pub services: Vec<Service>,
    /// How many services SDKs know in other partitions only.
    pub left_out: usize,
    questions: Vec<Question>,
    suffixes: Vec<String>,
}

#[derive(Debug)]
pub struct Service {
    pub entry: Entry,
    pub names: Vec<ServiceName>,
}

/// A name of a service, and the host that is asked for it.
#[derive(Debug)]
pub struct ServiceName {
    pub name: Name,
    /// Of a wildcard, with a label that stands for the user's own.
    pub host: String,
}

/// A host to look up, and how to connect to it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Question {
    pub host: String,
    pub port: u16,
    pub protocol: EndpointProtocol,
    /// What the name is below, for the controls.
    pub suffix: String,
}

impl Agenda {
    pub fn new(region: &str) -> Self {
        let (absent, present): (Vec<Entry>, Vec<Entry>) =
            catalogue::entries().partition(|entry| entry.is_absent_from(region));
        let services: Vec<Service> = present.into_iter().map(|entry| Service::new(entry, region)).collect();
        let mut agenda =
            Self { services, left_out: absent.len(), questions: Vec::new(), suffixes: Vec::new() };
        agenda.questions = agenda.ordered();
        let suffixes: BTreeSet<String> = agenda.questions.iter().map(|q| q.suffix.clone()).collect();
        agenda.suffixes = suffixes.into_iter().collect();
        agenda
    }

    /// Each host once, the most likely first.
    pub fn questions(&self) -> &[Question] {
        &self.questions
    }

    /// Hosts that cannot exist, by the suffix for which they stand.
    pub fn controls(&self) -> impl Iterator<Item = (&str, String)> {
        self.suffixes.iter().map(|suffix| (suffix.as_str(), format!("{CONTROL}.{suffix}")))
    }

    pub fn suffixes(&self) -> &[String] {
        &self.suffixes
    }

    fn ordered(&self) -> Vec<Question> {
        let mut ranked: Vec<(Rank, Question)> = Vec::new();
        for (place, service) in self.services.iter().enumerate() {
            let entry = service.entry;
            for name in &service.names {
                let question = Question {
                    host: name.host.clone(),
                    port: entry.port(),
                    protocol: entry.protocol(),
                    suffix: suffix(&name.name.host),
                };
                ranked.push((rank(entry, name.name.kind, place), question));
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut asked = BTreeSet::new();
        ranked.retain(|(_, question)| asked.insert(question.host.clone()));
        ranked.into_iter().map(|(_, question)| question).collect()
    }
}

type Rank = (usize, usize, bool, usize);

fn rank(entry: Entry, kind: Kind, place: usize) -> Rank {
    let common = COMMON.iter().position(|service| *service == entry.service()).unwrap_or(COMMON.len());
    let is_inferred = entry.private_dns() != PrivateDns::Documented;
    (kind as usize, common, is_inferred, place)
}

impl Service {
    fn new(entry: Entry, region: &str) -> Self {
        let mut names: BTreeMap<String, ServiceName> = BTreeMap::new();
        let mut order = Vec::new();
        // The FIPS names of a service that has a FIPS endpoint are that endpoint's.
        let own = |name: &Name| entry.fips_service().is_none() || !name.kind.is_fips();
        for name in entry.names(region).into_iter().filter(own) {
            let host = if name.is_wildcard {
                format!("{}.{}", stand_in(&name.host), name.host)
            } else {
                name.host.clone()
            };
            if !names.contains_key(&host) {
                order.push(host.clone());
                names.insert(host.clone(), ServiceName { name, host });
            }
        }
        let names = order.iter().filter_map(|host| names.remove(host)).collect();
        Self { entry, names }
    }
}

/// A wildcard of private DNS answers for any label.
fn stand_in(below: &str) -> &'static str {
    let is_of = |label: &str| below.starts_with(label);
    if is_of("s3.") || is_of("s3-fips.") {
        "bucket"
    } else if ["dkr", "s3-control", "ddb.", "streams-ddb.", "control-kinesis", "data-kinesis"]
        .into_iter()
        .any(is_of)
    {
        // The account of AWS's examples.
        "111122223333"
    } else {
        "linkproof"
    }
}

/// What a private zone for many services would be called: the region and what follows it, or,
/// without a region, what follows the first label. Of a wildcard it is above the wildcard, which
/// answers for any label by design.
fn suffix(name: &str) -> String {
    let labels: Vec<&str> = name.split('.').collect();
    let region = labels.iter().position(|label| is_region(label)).filter(|place| *place > 0);
    labels[region.unwrap_or(1)..].join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_subnets_have_is_asked_first() {
        for service in COMMON {
            assert!(catalogue::lookup(service).is_some(), "{service}");
        }
        let agenda = Agenda::new("us-east-1");
        let hosts: Vec<&str> = agenda.questions().iter().map(|question| question.host.as_str()).collect();
        assert_eq!(hosts[0], "monitoring.us-east-1.amazonaws.com");
        let place =
            |host: &str| hosts.iter().position(|other| *other == host).unwrap_or_else(|| panic!("{host}"));
        assert!(place("sts.us-east-1.amazonaws.com") < place("athena.us-east-1.amazonaws.com"));
        assert!(place("athena.us-east-1.amazonaws.com") < place("monitoring.us-east-1.api.aws"));
        assert!(place("monitoring.us-east-1.api.aws") < place("monitoring-fips.us-east-1.amazonaws.com"));
        let distinct: BTreeSet<&&str> = hosts.iter().collect();
        assert_eq!(distinct.len(), hosts.len());
    }

    #[test]
    fn every_name_of_the_region_is_asked_and_none_of_another_partition() {
        for region in ["us-east-1", "us-gov-west-1", "cn-north-1", "eusc-de-east-1"] {
            let agenda = Agenda::new(region);
            let asked: BTreeSet<&str> = agenda.questions().iter().map(|q| q.host.as_str()).collect();
            for entry in catalogue::entries() {
                for name in entry.names(region) {
                    let host = name.host.as_str();
                    let is_asked = asked.iter().any(|asked| {
                        if name.is_wildcard { asked.ends_with(&format!(".{host}")) } else { *asked == host }
                    });
                    assert!(is_asked || entry.is_absent_from(region), "{region}: {name}");
                }
            }
            assert_eq!(agenda.services.len() + agenda.left_out, catalogue::entries().count());
        }
    }

    #[test]
    fn names_below_one_suffix_share_their_controls() {
        for (host, of) in [
            ("monitoring.us-east-1.amazonaws.com", "us-east-1.amazonaws.com"),
            ("api.ecr.us-east-1.amazonaws.com", "us-east-1.amazonaws.com"),
            ("kms.cn-north-1.amazonaws.com.cn", "cn-north-1.amazonaws.com.cn"),
            ("ssm.us-east-1.api.aws", "us-east-1.api.aws"),
            ("iam.amazonaws.com", "amazonaws.com"),
            ("iam.global.api.aws", "global.api.aws"),
            ("accesspoint.s3-global.amazonaws.com", "s3-global.amazonaws.com"),
            ("us-east-1.neptune-graph.amazonaws.com", "neptune-graph.amazonaws.com"),
            ("monitoring.cn-north-1.api.amazonwebservices.com.cn", "cn-north-1.api.amazonwebservices.com.cn"),
        ] {
            assert_eq!(suffix(host), of, "{host}");
        }
        let agenda = Agenda::new("us-east-1");
        assert!(agenda.suffixes().len() <= 16, "{:?}", agenda.suffixes());
        let hosts: Vec<&str> = agenda.questions().iter().map(|q| q.host.as_str()).collect();
        assert!(agenda.controls().all(|(_, host)| !hosts.contains(&host.as_str())));
    }
}
