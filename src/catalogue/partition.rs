//! AWS's partitions: which regions belong to each, and below which suffixes their names are.

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Partition {
    /// As ARNs write it: `aws`, `aws-cn`.
    pub id: &'static str,
    region_prefix: &'static str,
    /// The region of the services that exist once in the partition.
    pub global_region: &'static str,
    pub suffix: &'static str,
    pub dual_stack_suffix: &'static str,
}

/// After botocore's `partitions.json`. The commercial partition comes last and has no prefix, so
/// that a new region of it needs no new release.
pub const PARTITIONS: [Partition; 8] = [
    Partition {
        id: "aws-cn",
        region_prefix: "cn-",
        global_region: "cn-northwest-1",
        suffix: "amazonaws.com.cn",
        dual_stack_suffix: "api.amazonwebservices.com.cn",
    },
    Partition {
        id: "aws-us-gov",
        region_prefix: "us-gov-",
        global_region: "us-gov-west-1",
        suffix: "amazonaws.com",
        dual_stack_suffix: "api.aws",
    },
    Partition {
        id: "aws-eusc",
        region_prefix: "eusc-",
        global_region: "eusc-de-east-1",
        suffix: "amazonaws.eu",
        dual_stack_suffix: "api.amazonwebservices.eu",
    },
    Partition {
        id: "aws-iso",
        region_prefix: "us-iso-",
        global_region: "us-iso-east-1",
        suffix: "c2s.ic.gov",
        dual_stack_suffix: "api.aws.ic.gov",
    },
    Partition {
        id: "aws-iso-b",
        region_prefix: "us-isob-",
        global_region: "us-isob-east-1",
        suffix: "sc2s.sgov.gov",
        dual_stack_suffix: "api.aws.scloud",
    },
    Partition {
        id: "aws-iso-e",
        region_prefix: "eu-isoe-",
        global_region: "eu-isoe-west-1",
        suffix: "cloud.adc-e.uk",
        dual_stack_suffix: "api.cloud-aws.adc-e.uk",
    },
    Partition {
        id: "aws-iso-f",
        region_prefix: "us-isof-",
        global_region: "us-isof-south-1",
        suffix: "csp.hci.ic.gov",
        dual_stack_suffix: "api.aws.hci.ic.gov",
    },
    COMMERCIAL,
];

const COMMERCIAL: Partition = Partition {
    id: "aws",
    region_prefix: "",
    global_region: "us-east-1",
    suffix: "amazonaws.com",
    dual_stack_suffix: "api.aws",
};

/// Suffixes of single services: ECR and Lambda, SageMaker.
const COMMERCIAL_SERVICES: [&str; 2] = ["on.aws", "sagemaker.aws"];

impl Partition {
    pub fn of(region: &str) -> Self {
        PARTITIONS
            .into_iter()
            .find(|partition| region.starts_with(partition.region_prefix))
            .unwrap_or(COMMERCIAL)
    }

    /// Whether its names are below `amazonaws.com`, as GovCloud's are too.
    pub fn is_commercial(self) -> bool {
        self.suffix == COMMERCIAL.suffix
    }
}

/// Another region of the same partition, one that S3 and DynamoDB have been in from the start.
pub fn other_region(region: &str) -> Option<&'static str> {
    let regions: [&'static str; 2] = match Partition::of(region).id {
        "aws" => ["us-west-2", "us-east-1"],
        "aws-cn" => ["cn-north-1", "cn-northwest-1"],
        "aws-us-gov" => ["us-gov-west-1", "us-gov-east-1"],
        "aws-iso" => ["us-iso-east-1", "us-iso-west-1"],
        // The others have one region, or are not known to have two.
        _ => return None,
    };
    regions.into_iter().find(|other| *other != region)
}

/// Whether a host of one region can have a name in the other: a second region of the same partition.
pub fn is_other_region(own: &str, other: &str) -> bool {
    own != other && Partition::of(own).id == Partition::of(other).id
}

/// Whether a host is below a suffix of AWS, in any partition.
pub fn is_aws(host: &str) -> bool {
    let is_of = |partition: &Partition| {
        is_below(host, partition.suffix) || is_below(host, partition.dual_stack_suffix)
    };
    is_commercial_aws(host) || PARTITIONS.iter().any(is_of)
}

/// Whether AWS serves the host with certificates of its own public authority.
pub fn is_commercial_aws(host: &str) -> bool {
    let suffixes = [COMMERCIAL.suffix, COMMERCIAL.dual_stack_suffix];
    suffixes.iter().chain(&COMMERCIAL_SERVICES).any(|suffix| is_below(host, suffix))
}

/// Whether a host is below a suffix of names that have IPv6 addresses too.
pub fn is_dual_stack(host: &str) -> bool {
    PARTITIONS.iter().any(|partition| is_below(host, partition.dual_stack_suffix))
}

fn is_below(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
}

/// `us-east-1`, `us-gov-west-1`: two or three words of small letters, then a number.
pub fn is_region(label: &str) -> bool {
    let Some((words, number)) = label.rsplit_once('-') else { return false };
    let is_number = (1..=2).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let is_word = |word: &str| (1..=16).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase());
    let count = words.split('-').count();
    let first = words.split('-').next().unwrap_or_default();
    is_number && (2..=3).contains(&count) && (2..=4).contains(&first.len()) && words.split('-').all(is_word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_find_their_partition() {
        for (region, id, suffix, dual_stack_suffix) in [
            ("us-east-1", "aws", "amazonaws.com", "api.aws"),
            ("mx-central-1", "aws", "amazonaws.com", "api.aws"),
            ("xx-unheard-9", "aws", "amazonaws.com", "api.aws"),
            ("us-gov-west-1", "aws-us-gov", "amazonaws.com", "api.aws"),
            ("cn-north-1", "aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn"),
            ("eusc-de-east-1", "aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu"),
            ("us-iso-west-1", "aws-iso", "c2s.ic.gov", "api.aws.ic.gov"),
            ("us-isob-west-1", "aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud"),
            ("eu-isoe-west-1", "aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
            ("us-isof-east-1", "aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        ] {
            let partition = Partition::of(region);
            assert_eq!(
                (partition.id, partition.suffix, partition.dual_stack_suffix),
                (id, suffix, dual_stack_suffix),
                "{region}"
            );
            assert_eq!(Partition::of(partition.global_region), partition, "{region}");
        }
    }

    #[test]
    fn hosts_of_every_partition_are_recognized() {
        for partition in PARTITIONS {
            assert!(is_aws(&format!("monitoring.r.{}", partition.suffix)), "{}", partition.id);
            assert!(is_aws(&format!("eks-auth.r.{}", partition.dual_stack_suffix)), "{}", partition.id);
            let is_commercial = matches!(partition.id, "aws" | "aws-us-gov");
            assert_eq!(is_commercial_aws(&format!("a.{}", partition.suffix)), is_commercial);
            assert_eq!(is_commercial_aws(&format!("a.{}", partition.dual_stack_suffix)), is_commercial);
        }
        assert!(is_commercial_aws("111122223333.dkr-ecr.us-east-1.on.aws"));
        for stranger in ["monitoring.notamazonaws.com", "amazonaws.com", "api.aws.example.com", "on.aws", ""]
        {
            assert!(!is_aws(stranger), "{stranger}");
        }
    }

    #[test]
    fn a_region_is_words_and_a_number() {
        for region in ["us-east-1", "us-gov-west-1", "eusc-de-east-1", "ap-southeast-12"] {
            assert!(is_region(region), "{region}");
        }
        for other in [
            "",
            "us-east",
            "us-1",
            "us-east-1a",
            "US-east-1",
            "dynamodb-east-1",
            "us--east-1",
            "a-b-1",
            "us-east-123",
        ] {
            assert!(!is_region(other), "{other}");
        }
    }
}
