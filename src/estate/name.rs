//! The names in an estate: of services, and of endpoints in DNS.

use crate::catalogue::lookup_endpoint_service;
use crate::config::host_name;
use crate::network::is_region;

/// An endpoint service, taken apart: `com.amazonaws.us-east-1.ecr.api`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct ServiceName {
    /// `ecr.api`, or `vpce-svc-..` of a partner.
    pub service: String,
    pub region: Option<String>,
    pub is_partner: bool,
}

impl ServiceName {
    /// The prefix differs by partition and service: `cn.com.amazonaws`, `eu.amazonaws`,
    /// `aws.sagemaker`, `com.amazonaws.vpce`. What follows the region is the service.
    pub fn parse(text: &str) -> Self {
        let labels: Vec<&str> = text.split('.').collect();
        let region = labels.iter().position(|label| is_region(label));
        let service = match region {
            Some(at) => labels[at + 1..].join("."),
            // `com.amazonaws.iam` and `com.amazonaws.s3-global.accesspoint` have no region.
            None => text.split_once("amazonaws.").map_or(text, |(_, service)| service).to_owned(),
        };
        let is_partner = service.starts_with("vpce-svc-");
        // The catalogue knows services whose name differs by partition: `transcribe.cn`.
        let known = lookup_endpoint_service(text).map(|entry| entry.service().to_owned());
        let service = known.unwrap_or(service);
        Self { service, region: region.map(|at| labels[at].to_owned()), is_partner }
    }
}

/// A name of `DnsEntries`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct EndpointName {
    /// As DNS has it, and without `*.`.
    pub base: String,
    pub is_wildcard: bool,
    pub form: Form,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Form {
    /// `vpce-<id>-<8 characters>.<service>.<region>.vpce.<suffix>`
    Regional,
    /// The same with the zone behind the 8 characters.
    Zonal(String),
    /// Any other name is that of the service.
    Private,
}

impl EndpointName {
    /// The order of the entries says nothing, so each is told by its form.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (is_wildcard, base) = match text.strip_prefix("*.") {
            Some(base) => (true, base),
            None => (false, text),
        };
        let base = host_name(base)?;
        let mut labels = base.split('.');
        let first = labels.next().unwrap_or_default();
        let form = match own_parts(first) {
            Some(zone) if labels.any(|label| label == "vpce") => {
                if zone.is_empty() {
                    Form::Regional
                } else {
                    Form::Zonal(zone)
                }
            }
            Some(_) | None => Form::Private,
        };
        Ok(Self { base, is_wildcard, form })
    }

    /// `bucket` in front of `*.s3.us-east-1.amazonaws.com`.
    pub fn with_label(&self, label: &str) -> Result<String, String> {
        host_name(&format!("{label}.{}", self.base))
    }

    /// Whether one of the endpoint's own names carries this endpoint's id.
    pub fn belongs_to(&self, id: &str) -> bool {
        let id = id.to_ascii_lowercase();
        self.base.strip_prefix(id.as_str()).is_some_and(|rest| rest.starts_with(['-', '.']))
    }

    /// As AWS writes it.
    pub fn written(&self) -> String {
        if self.is_wildcard { format!("*.{}", self.base) } else { self.base.clone() }
    }

    /// The region in one of the endpoint's own names: the service's.
    pub fn region(&self) -> Option<&str> {
        let (service, _) = self.base.split_once(".vpce.")?;
        service.rsplit('.').next().filter(|region| is_region(region))
    }
}

/// What follows `vpce-<id>-<8 characters>` in the first label, without its hyphen.
fn own_parts(label: &str) -> Option<String> {
    let mut parts = label.strip_prefix("vpce-")?.split('-');
    parts.next().filter(|id| !id.is_empty() && *id != "svc")?;
    parts.next();
    Some(parts.collect::<Vec<&str>>().join("-"))
}

/// A name that only clients ask which are told to use FIPS endpoints.
pub fn is_fips(host: &str) -> bool {
    host.split('.').any(|label| label == "fips" || label.ends_with("-fips") || label.starts_with("fips-"))
}

/// A name below `api.aws`, `on.aws` or their like in other partitions.
pub fn is_dual_stack(host: &str) -> bool {
    !host.contains(".amazonaws.") && (host.contains(".api.") || host.contains(".on."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_what_follows_the_region() {
        for (name, service, region) in [
            ("com.amazonaws.us-east-1.ecr.api", "ecr.api", Some("us-east-1")),
            ("cn.com.amazonaws.cn-north-1.ecr.dkr", "ecr.dkr", Some("cn-north-1")),
            ("eu.amazonaws.eusc-de-east-1.securityhub", "securityhub", Some("eusc-de-east-1")),
            ("gov.ic.c2s.us-iso-east-1.ecr.dkr", "ecr.dkr", Some("us-iso-east-1")),
            ("aws.sagemaker.eu-west-1.notebook", "notebook", Some("eu-west-1")),
            ("aws.api.us-east-2.route53globalresolver", "route53globalresolver", Some("us-east-2")),
            ("com.amazonaws.vpce.us-east-1.vpce-svc-0a1b", "vpce-svc-0a1b", Some("us-east-1")),
            ("com.amazonaws.iam", "iam", None),
            ("com.amazonaws.s3-global.accesspoint", "s3-global.accesspoint", None),
            ("", "", None),
        ] {
            let parsed = ServiceName::parse(name);
            assert_eq!((parsed.service.as_str(), parsed.region.as_deref()), (service, region), "{name}");
            assert_eq!(parsed.is_partner, service.starts_with("vpce-svc"));
        }
    }

    #[test]
    fn names_are_told_apart_by_their_form() {
        let parse = |name: &str| EndpointName::parse(name).unwrap();
        let form = |name: &str| parse(name).form;
        let zonal = |zone: &str| Form::Zonal(zone.to_owned());
        for (name, expected) in [
            ("vpce-0e6d-f2b48714.monitoring.us-east-1.vpce.amazonaws.com", Form::Regional),
            ("VPCE-0E6D-F2B48714-us-east-1a.monitoring.us-east-1.vpce.amazonaws.com.", zonal("us-east-1a")),
            (
                "vpce-0e6d-f2b48714-us-east-1-bos-1a.kms.us-east-1.vpce.amazonaws.com",
                zonal("us-east-1-bos-1a"),
            ),
            ("*.vpce-0e6d-1939b4c0.s3.us-east-1.vpce.amazonaws.com", Form::Regional),
            ("vpce-0e6d-f2b48714-cn-north-1b.api.ecr.cn-north-1.vpce.amazonaws.com.cn", zonal("cn-north-1b")),
            ("vpce-0e6d-f2b48714.vpce-svc-0a1b.us-east-1.vpce.amazonaws.com", Form::Regional),
            ("vpce-svc-0a1b2c3d.us-east-1.vpce.amazonaws.com", Form::Private),
            ("monitoring.us-east-1.amazonaws.com", Form::Private),
            ("vpce-0e6d-f2b48714.partner.example", Form::Private),
            ("*.dkr.ecr.us-east-1.amazonaws.com", Form::Private),
        ] {
            assert_eq!(form(name), expected, "{name}");
        }
        let s3 = parse("*.vpce-0e6d-1939b4c0.s3.eu-west-2.vpce.amazonaws.com");
        assert!(s3.is_wildcard && s3.belongs_to("vpce-0E6D") && !s3.belongs_to("vpce-0e6"));
        assert_eq!(s3.region(), Some("eu-west-2"));
        assert!(EndpointName::parse("*.").is_err());
        assert!(EndpointName::parse("*.*.x.example").is_err());
    }

    #[test]
    fn fips_and_dual_stack_names_are_known() {
        for fips in ["monitoring-fips.us-east-1.api.aws", "fips.transcribe.us-east-1.amazonaws.com"] {
            assert!(is_fips(fips), "{fips}");
        }
        assert!(!is_fips("kms.us-east-1.amazonaws.com"));
        for dual in [
            "ecr.us-east-1.api.aws",
            "111122223333.dkr-ecr.us-east-1.on.aws",
            "x.cn-north-1.api.amazonwebservices.com.cn",
        ] {
            assert!(is_dual_stack(dual), "{dual}");
        }
        assert!(!is_dual_stack("api.ecr.us-east-1.amazonaws.com"));
    }
}
