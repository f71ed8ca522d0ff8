//! Why files could not be made into a configuration.

use std::fmt;

use super::input::FileError;
use super::place::joined;
use super::quote::printable;
use crate::config::ConfigError;

#[derive(Debug)]
pub enum ImportError {
    File(FileError),
    /// The files list no endpoints at all.
    NoEndpoints,
    /// Only services, subnets or other resources.
    OnlyOthers,
    /// Each with the number of its endpoints; and this instance's own VPC, where it is known and
    /// none of them.
    SeveralVpcs {
        found: Vec<(String, usize)>,
        own: Option<String>,
    },
    /// Several, and why instance metadata did not say which of them is this instance's.
    OwnVpcUnknown {
        found: Vec<(String, usize)>,
        why: String,
    },
    UnknownVpc {
        vpc: String,
        found: Vec<(String, usize)>,
    },
    /// With the regions of the services, where the files say no more.
    NoRegion {
        of_services: Vec<String>,
    },
    SeveralRegions(Vec<String>),
    /// An endpoint that is in another region than the one given.
    OtherRegion {
        given: String,
        region: String,
        id: String,
    },
    InvalidRegion(String),
    InvalidLabel {
        service: String,
        label: String,
        why: String,
    },
    /// Every endpoint was left out, for these reasons.
    NothingToCheck(Vec<String>),
    /// A bug in linkproof: what it wrote is not a valid configuration.
    Unusable(ConfigError),
}

impl ImportError {
    /// Whether the command line is wrong, rather than a file.
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::InvalidRegion(_) | Self::InvalidLabel { .. })
    }
}

/// More would hide what is wrong.
const MOST_SHOWN: usize = 20;

fn listed(vpcs: &[(String, usize)]) -> String {
    let line = |(vpc, count): &(String, usize)| format!("\n  {} ({count})", printable(vpc));
    let mut lines: String = vpcs.iter().take(MOST_SHOWN).map(line).collect();
    if vpcs.len() > MOST_SHOWN {
        lines.push_str(&format!("\n  and {} more", vpcs.len() - MOST_SHOWN));
    }
    lines
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "{error}"),
            Self::NoEndpoints => f.write_str(
                "the list of endpoints is empty; a participant of a shared subnet sees none, so ask as the account that owns the VPC",
            ),
            Self::OnlyOthers => f.write_str(
                "the files have no VPC endpoints; add the output of `aws ec2 describe-vpc-endpoints` or of `terraform show -json`",
            ),
            Self::SeveralVpcs { found, own: Some(own) } => write!(
                f,
                "the files have endpoints of several VPCs, and none of {}, where this instance is; choose one with --vpc:{}",
                printable(own),
                listed(found)
            ),
            Self::SeveralVpcs { found, own: None } => {
                write!(f, "the files have endpoints of several VPCs; choose one with --vpc:{}", listed(found))
            }
            Self::OwnVpcUnknown { found, why } => write!(
                f,
                "the files have endpoints of several VPCs, and instance metadata does not say which is this instance's ({}); choose one with --vpc:{}",
                printable(why),
                listed(found)
            ),
            Self::UnknownVpc { vpc, found } => {
                write!(f, "the files have no endpoint of {}; they have endpoints of:{}", printable(vpc), listed(found))
            }
            Self::NoRegion { of_services } if of_services.is_empty() => {
                f.write_str("the files do not say the region; add --region")
            }
            Self::NoRegion { of_services } => write!(
                f,
                "the files say the region of the services ({}) and not that of the VPC, which may be another; add --region with the region of the VPC",
                joined(of_services)
            ),
            Self::SeveralRegions(regions) => {
                write!(f, "the endpoints are of several regions ({}); choose the region of the VPC with --region", regions.join(", "))
            }
            Self::OtherRegion { given, region, id } => write!(
                f,
                "{} is in {}, not in {}; give the region of the VPC, or leave out --region",
                printable(id),
                printable(region),
                printable(given)
            ),
            Self::InvalidRegion(region) => {
                write!(f, "invalid region \"{}\" (expected something like \"us-east-1\")", printable(region))
            }
            Self::InvalidLabel { service, label, why } => {
                write!(f, "invalid label \"{}\" for {}: {}", printable(label), printable(service), printable(why))
            }
            Self::NothingToCheck(reasons) => {
                f.write_str("no endpoint in the files can be checked:")?;
                for reason in reasons.iter().take(MOST_SHOWN) {
                    write!(f, "\n  {reason}")?;
                }
                if reasons.len() > MOST_SHOWN {
                    write!(f, "\n  and {} more", reasons.len() - MOST_SHOWN)?;
                }
                Ok(())
            }
            Self::Unusable(error) => write!(f, "the configuration written is invalid, which is a bug: {error}"),
        }
    }
}

impl std::error::Error for ImportError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            Self::Unusable(error) => Some(error),
            _ => None,
        }
    }
}
