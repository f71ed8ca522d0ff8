//! The providers of credentials.

use serde::Serialize;

/// A place where an AWS client looks for credentials, in the order in which it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    Environment,
    Profile,
    /// Run by a profile (`credential_process`).
    CredentialProcess,
    /// A profile of IAM Identity Center.
    Sso,
    /// A token file and a role (`AWS_WEB_IDENTITY_TOKEN_FILE`): IRSA.
    WebIdentity,
    /// The agent of ECS, by a relative or a full URI.
    Container,
    /// The agent of EKS Pod Identity.
    PodIdentity,
    InstanceMetadata,
}

impl Provider {
    /// In the middle of a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Environment => "the environment",
            Self::Profile => "a profile",
            Self::CredentialProcess => "credential_process",
            Self::Sso => "IAM Identity Center (sso)",
            Self::WebIdentity => "a web identity",
            Self::Container => "the container agent",
            Self::PodIdentity => "EKS Pod Identity",
            Self::InstanceMetadata => "instance metadata",
        }
    }
}
