//! What AWS's endpoint services are called in DNS: the private names that AWS documents or that
//! were observed. A service that is not here can still be checked, by its host.

/// An endpoint service, as PrivateLink names it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Entry {
    /// `ecr.api`: what follows `com.amazonaws.<region>.` in the endpoint service's name.
    pub service: &'static str,
    pub name: Name,
    /// Whether there is also, or only, a gateway endpoint for it.
    pub gateway: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Name {
    One(Template),
    /// Any label in front of this: which one, only the user knows.
    Wildcard(Template),
    /// There is a name, but nothing behind it answers HTTPS.
    NotHttps,
}

/// A name without its partition's suffix, `{region}` standing for the region.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Template {
    /// Below `amazonaws.com` and its like.
    Classic(&'static str),
    /// Below `api.aws` and its like.
    DualStack(&'static str),
}

pub fn lookup(service: &str) -> Option<Entry> {
    ENTRIES.iter().find(|entry| entry.service == service).copied()
}

pub fn services() -> impl Iterator<Item = &'static str> {
    ENTRIES.iter().map(|entry| entry.service)
}

/// The private DNS name of a service that has a single one.
pub fn host_of(service: &str, region: &str) -> Option<String> {
    match lookup(service)?.name {
        Name::One(template) => Some(template.in_region(region)),
        Name::Wildcard(_) | Name::NotHttps => None,
    }
}

impl Template {
    pub fn in_region(self, region: &str) -> String {
        let partition = partition(region);
        let (name, suffix) = match self {
            Self::Classic(name) => (name, partition.suffix),
            Self::DualStack(name) => (name, partition.dual_stack_suffix),
        };
        format!("{}.{suffix}", name.replace("{region}", region))
    }
}

const fn classic(service: &'static str, name: &'static str) -> Entry {
    Entry { service, name: Name::One(Template::Classic(name)), gateway: false }
}

const fn wildcard(service: &'static str, name: &'static str) -> Entry {
    Entry { service, name: Name::Wildcard(Template::Classic(name)), gateway: false }
}

const fn gateway(entry: Entry) -> Entry {
    Entry { gateway: true, ..entry }
}

const fn not_https(service: &'static str) -> Entry {
    Entry { service, name: Name::NotHttps, gateway: false }
}

const ENTRIES: &[Entry] = &[
    wildcard("appsync-api", "appsync-api.{region}"),
    classic("appstream.api", "appstream2.{region}"),
    not_https("cassandra"),
    classic("codeartifact.api", "codeartifact.{region}"),
    wildcard("codeartifact.repositories", "d.codeartifact.{region}"),
    classic("detective", "api.detective.{region}"),
    gateway(classic("dynamodb", "dynamodb.{region}")),
    classic("ec2messages", "ec2messages.{region}"),
    classic("ecr.api", "api.ecr.{region}"),
    wildcard("ecr.dkr", "dkr.ecr.{region}"),
    classic("ecs-agent", "ecs-a.{region}"),
    classic("ecs-telemetry", "ecs-t.{region}"),
    Entry { service: "eks-auth", name: Name::One(Template::DualStack("eks-auth.{region}")), gateway: false },
    not_https("email-smtp"),
    wildcard("execute-api", "execute-api.{region}"),
    wildcard("grafana-workspace", "grafana-workspace.{region}"),
    classic("kinesis-firehose", "firehose.{region}"),
    classic("kinesis-streams", "kinesis.{region}"),
    classic("kms", "kms.{region}"),
    classic("logs", "logs.{region}"),
    classic("monitoring", "monitoring.{region}"),
    classic("pinpoint-sms-voice-v2", "sms-voice.{region}"),
    classic("rum-dataplane", "dataplane.rum.{region}"),
    gateway(classic("s3", "s3.{region}")),
    classic("sagemaker.api", "api.sagemaker.{region}"),
    classic("sagemaker.runtime", "runtime.sagemaker.{region}"),
    classic("ssm", "ssm.{region}"),
    classic("ssmmessages", "ssmmessages.{region}"),
    classic("sts", "sts.{region}"),
];

#[derive(Clone, Copy, Debug)]
struct Partition {
    region_prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

fn partition(region: &str) -> Partition {
    PARTITIONS.into_iter().find(|partition| region.starts_with(partition.region_prefix)).unwrap_or(AWS)
}

/// The commercial regions, by no prefix of their own: new ones must not need a new release.
const AWS: Partition = Partition { region_prefix: "", suffix: "amazonaws.com", dual_stack_suffix: "api.aws" };

/// After botocore's `partitions.json`. GovCloud is absent because its suffixes are the commercial ones.
const PARTITIONS: [Partition; 6] = [
    Partition {
        region_prefix: "cn-",
        suffix: "amazonaws.com.cn",
        dual_stack_suffix: "api.amazonwebservices.com.cn",
    },
    Partition {
        region_prefix: "eusc-",
        suffix: "amazonaws.eu",
        dual_stack_suffix: "api.amazonwebservices.eu",
    },
    Partition { region_prefix: "us-iso-", suffix: "c2s.ic.gov", dual_stack_suffix: "api.aws.ic.gov" },
    Partition { region_prefix: "us-isob-", suffix: "sc2s.sgov.gov", dual_stack_suffix: "api.aws.scloud" },
    Partition {
        region_prefix: "eu-isoe-",
        suffix: "cloud.adc-e.uk",
        dual_stack_suffix: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        region_prefix: "us-isof-",
        suffix: "csp.hci.ic.gov",
        dual_stack_suffix: "api.aws.hci.ic.gov",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_own_suffixes() {
        for (region, monitoring, eks_auth) in [
            ("us-east-1", "monitoring.us-east-1.amazonaws.com", "eks-auth.us-east-1.api.aws"),
            ("mx-central-1", "monitoring.mx-central-1.amazonaws.com", "eks-auth.mx-central-1.api.aws"),
            ("us-gov-west-1", "monitoring.us-gov-west-1.amazonaws.com", "eks-auth.us-gov-west-1.api.aws"),
            (
                "cn-north-1",
                "monitoring.cn-north-1.amazonaws.com.cn",
                "eks-auth.cn-north-1.api.amazonwebservices.com.cn",
            ),
            (
                "eusc-de-east-1",
                "monitoring.eusc-de-east-1.amazonaws.eu",
                "eks-auth.eusc-de-east-1.api.amazonwebservices.eu",
            ),
            ("us-iso-east-1", "monitoring.us-iso-east-1.c2s.ic.gov", "eks-auth.us-iso-east-1.api.aws.ic.gov"),
            (
                "us-isob-east-1",
                "monitoring.us-isob-east-1.sc2s.sgov.gov",
                "eks-auth.us-isob-east-1.api.aws.scloud",
            ),
            (
                "eu-isoe-west-1",
                "monitoring.eu-isoe-west-1.cloud.adc-e.uk",
                "eks-auth.eu-isoe-west-1.api.cloud-aws.adc-e.uk",
            ),
            (
                "us-isof-south-1",
                "monitoring.us-isof-south-1.csp.hci.ic.gov",
                "eks-auth.us-isof-south-1.api.aws.hci.ic.gov",
            ),
        ] {
            assert_eq!(host_of("monitoring", region).as_deref(), Some(monitoring));
            assert_eq!(host_of("eks-auth", region).as_deref(), Some(eks_auth));
        }
    }

    #[test]
    fn names_that_differ_from_their_service_are_known() {
        for (service, host) in [
            ("appstream.api", "appstream2.eu-west-1.amazonaws.com"),
            ("codeartifact.api", "codeartifact.eu-west-1.amazonaws.com"),
            ("detective", "api.detective.eu-west-1.amazonaws.com"),
            ("ecr.api", "api.ecr.eu-west-1.amazonaws.com"),
            ("ecs-agent", "ecs-a.eu-west-1.amazonaws.com"),
            ("ecs-telemetry", "ecs-t.eu-west-1.amazonaws.com"),
            ("kinesis-firehose", "firehose.eu-west-1.amazonaws.com"),
            ("kinesis-streams", "kinesis.eu-west-1.amazonaws.com"),
            ("pinpoint-sms-voice-v2", "sms-voice.eu-west-1.amazonaws.com"),
            ("rum-dataplane", "dataplane.rum.eu-west-1.amazonaws.com"),
            ("sagemaker.api", "api.sagemaker.eu-west-1.amazonaws.com"),
            ("sagemaker.runtime", "runtime.sagemaker.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(host_of(service, "eu-west-1").as_deref(), Some(host));
        }
        for service in ["ec2messages", "kms", "logs", "s3", "ssm", "ssmmessages", "sts", "dynamodb"] {
            let host = format!("{service}.eu-west-1.amazonaws.com");
            assert_eq!(host_of(service, "eu-west-1"), Some(host));
        }
    }

    #[test]
    fn nobody_guesses_a_name() {
        for service in ["ecr.dkr", "execute-api", "email-smtp", "cassandra", "lambda", "ecr", ""] {
            assert_eq!(host_of(service, "us-east-1"), None, "{service}");
        }
        let gateways: Vec<&str> =
            ENTRIES.iter().filter(|entry| entry.gateway).map(|entry| entry.service).collect();
        assert_eq!(gateways, ["dynamodb", "s3"]);
    }

    #[test]
    fn a_service_stands_once_and_every_single_name_is_a_host_name() {
        let mut services: Vec<&str> = services().collect();
        services.sort_unstable();
        services.dedup();
        assert_eq!(services.len(), ENTRIES.len());
        for entry in ENTRIES {
            let template = match entry.name {
                Name::One(template) | Name::Wildcard(template) => template.in_region("us-east-1"),
                Name::NotHttps => continue,
            };
            assert!(template.contains(".us-east-1."), "{template}");
            assert!(!template.contains(['{', '*']), "{template}");
        }
    }
}
