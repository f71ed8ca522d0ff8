//! What a host's name gives away: AWS or not, its region, a spelling that is known to be wrong.

pub use crate::catalogue::partition::{is_aws, is_commercial_aws};

use crate::catalogue::partition::{is_dual_stack, is_region};

/// Names made of the endpoint service's name that do not exist, and what does.
const MISNAMED: &[(&str, &str)] = &[
    ("ecr.api.", "api.ecr."),
    ("ecr.dkr.", "ACCOUNT.dkr.ecr."),
    ("dkr.ecr.", "ACCOUNT.dkr.ecr."),
    ("kinesis-streams.", "kinesis."),
    ("kinesis-firehose.", "firehose."),
    ("sagemaker.api.", "api.sagemaker."),
    ("sagemaker.runtime.", "runtime.sagemaker."),
    ("detective.", "api.detective."),
];

/// A name of one endpoint (`vpce-..`), which private DNS has nothing to do with.
pub fn is_of_one_endpoint(host: &str) -> bool {
    host.contains(".vpce.")
}

/// S3, S3 Express and DynamoDB, which most VPCs reach through a gateway endpoint.
pub fn may_be_gateway(host: &str) -> bool {
    host.split('.').any(|label| matches!(label, "s3" | "dynamodb" | "ddb") || label.starts_with("s3express-"))
}

/// The region in an AWS name: the label that looks like `us-east-1`, `us-gov-west-1`.
pub fn region(host: &str) -> Option<&str> {
    if !is_aws(host) {
        return None;
    }
    host.split('.').find(|label| is_region(label))
}

/// The name that was probably meant.
pub fn suggestion(host: &str) -> Option<String> {
    let (wrong, right) = MISNAMED.iter().find(|(wrong, _)| host.starts_with(wrong))?;
    // Dual-stack names follow other rules: `detective.REGION.api.aws` is right.
    (is_aws(host) && !is_dual_stack(host)).then(|| format!("{right}{}", &host[wrong.len()..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_told_from_a_service() {
        for (host, expected) in [
            ("monitoring.us-east-1.amazonaws.com", Some("us-east-1")),
            ("sms-voice.us-gov-west-1.amazonaws.com", Some("us-gov-west-1")),
            ("monitoring.eusc-de-east-1.amazonaws.eu", Some("eusc-de-east-1")),
            ("eks-auth.eu-central-1.api.aws", Some("eu-central-1")),
            ("vpce-0a-1-us-east-2c.monitoring.us-east-2.vpce.amazonaws.com", Some("us-east-2")),
            ("db-1.us-east-1.amazonaws.com", Some("us-east-1")),
            ("iam.amazonaws.com", None),
            ("host-a-1.example.com", None),
        ] {
            assert_eq!(region(host), expected, "{host}");
        }
    }

    #[test]
    fn aws_is_a_suffix_at_a_dot() {
        assert!(is_aws("monitoring.us-east-1.amazonaws.com"));
        assert!(is_aws("monitoring.cn-north-1.amazonaws.com.cn"));
        assert!(is_aws("eks-auth.eu-isoe-west-1.api.cloud-aws.adc-e.uk"));
        assert!(is_aws("eks-auth.us-isof-south-1.api.aws.hci.ic.gov"));
        assert!(!is_aws("monitoring.notamazonaws.com"));
        assert!(is_commercial_aws("eks-auth.eu-west-1.api.aws"));
        assert!(!is_commercial_aws("monitoring.cn-north-1.amazonaws.com.cn"));
    }

    #[test]
    fn wrong_spellings_lead_to_the_right_one() {
        let right = suggestion("ecr.api.us-east-1.amazonaws.com");
        assert_eq!(right.as_deref(), Some("api.ecr.us-east-1.amazonaws.com"));
        assert_eq!(suggestion("api.ecr.us-east-1.amazonaws.com"), None);
        assert_eq!(suggestion("detective.example.com"), None);
        assert_eq!(suggestion("detective.us-east-1.api.aws"), None);
    }

    #[test]
    fn services_behind_gateways_are_told_by_a_label() {
        for host in [
            "s3.us-east-1.amazonaws.com",
            "bucket.s3.us-east-1.amazonaws.com",
            "dynamodb.us-east-1.amazonaws.com",
            "111122223333.ddb.us-east-1.amazonaws.com",
            "s3express-control.us-east-1.amazonaws.com",
        ] {
            assert!(may_be_gateway(host), "{host}");
        }
        assert!(!may_be_gateway("s3vectors.us-east-1.api.aws"));
    }
}
