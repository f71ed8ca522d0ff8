//! By what AWS itself proves the way that a call took.

use serde::Serialize;

/// A condition of the role's policy under which AWS itself answers only through the endpoint:
/// then a 200 proves that the call crossed PrivateLink (IAM's global condition keys).
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub enum Proof {
    #[serde(rename = "aws:SourceVpc")]
    SourceVpc,
    #[serde(rename = "aws:SourceVpce")]
    SourceVpce,
}

impl Proof {
    pub const ALL: [Self; 2] = [Self::SourceVpc, Self::SourceVpce];

    pub fn key(self) -> &'static str {
        match self {
            Self::SourceVpc => "aws:SourceVpc",
            Self::SourceVpce => "aws:SourceVpce",
        }
    }
}

/// Whether every answer of this run is a proof by that condition, as the verdict judged it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct ProofEvidence {
    pub condition: Proof,
    pub proven: bool,
}
