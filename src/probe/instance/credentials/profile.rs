//! The profile files. aws-config resolves roles and source profiles; the files are read here, and
//! programs run here, since it bounds neither.

use std::env;
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};

use aws_config::BehaviorVersion;
use aws_config::Region;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, future};
use aws_runtime::env_config::file::{EnvConfigFileKind, EnvConfigFiles};
use aws_runtime::env_config::section::{EnvConfigSections, Profile};
use aws_types::os_shim_internal::{Env, Fs};

use super::super::metadata::{Place, Setting};
use super::{Failure, Found, ProfileSettings, Search, process, read_file, role, unreadable};
use crate::observation::{Provider, cut};
use crate::wire::aws_error;
use crate::wire::connector::PinnedConnector;

const MOST_BYTES: u64 = 1024 * 1024;
const LONGEST_TOKEN: u64 = 20_000;
const LONGEST_REGION: usize = 64;

/// Of profiles that name one another as their source; a circle is told by aws-config.
const LONGEST_CHAIN: usize = 16;

/// What aws-config makes credentials of, and nothing else.
const KEYS: [&str; 10] = [
    "aws_access_key_id",
    "aws_secret_access_key",
    "aws_session_token",
    "credential_process",
    "credential_source",
    "external_id",
    "role_arn",
    "role_session_name",
    "source_profile",
    "web_identity_token_file",
];

/// `credential_source` by its names in a profile.
const SOURCES: [(&str, Provider); 3] = [
    ("Environment", Provider::Environment),
    ("Ec2InstanceMetadata", Provider::InstanceMetadata),
    ("EcsContainer", Provider::Container),
];

pub async fn find(search: &Search) -> Found {
    let config = contents(search, "AWS_CONFIG_FILE", ".aws/config")?;
    let shared = contents(search, "AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials")?;
    search.progress.set(Provider::Profile, "the profile");
    let named = env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty());
    if config.is_none() && shared.is_none() && named.is_none() {
        return Ok(None);
    }
    let sections = parse(config.unwrap_or_default(), shared.unwrap_or_default()).await?;
    let selected = sections.selected_profile();
    let Some(profile) = sections.get_profile(selected) else {
        let missing =
            named.map(|_| Failure::of(Provider::Profile, format!("profile {selected} is not defined")));
        return missing.map_or(Ok(None), Err);
    };
    let region = profile.get("region").map(|region| cut(region, LONGEST_REGION));
    let settings = ProfileSettings {
        endpoint_settings: endpoint_settings(profile),
        region,
        metadata: metadata(profile),
    };
    let _ = search.profile.set(settings);
    let base = base(&sections, profile);
    check_supported(base)?;
    check_source(&sections, profile, base)?;
    if let Some(file) = base.get("web_identity_token_file") {
        let file = Path::new(file);
        search.progress.set(Provider::Profile, format!("reading {}", file.display()));
        read_file(file, LONGEST_TOKEN).map_err(|error| {
            fail(profile, &format!("web_identity_token_file {}", unreadable(file, &error)))
        })?;
    }
    let printed = match base.get("credential_process").filter(|_| runs_a_program(base)) {
        Some(command) => Some(process::run(search, base.name(), command).await?),
        None => None,
    };
    match printed {
        Some(credentials) if profile.get("role_arn").is_none() => {
            Ok(Some((Provider::CredentialProcess, credentials)))
        }
        printed => resolve(search, &sections, profile, base, printed.as_ref()).await,
    }
}

/// `None` where there is no such file, as for every SDK.
fn contents(search: &Search, variable: &str, usual: &str) -> Result<Option<String>, Failure> {
    let path = match env::var_os(variable).filter(|path| !path.is_empty()) {
        Some(path) => PathBuf::from(path),
        None => match env::var_os("HOME").filter(|home| !home.is_empty()) {
            Some(home) => Path::new(&home).join(usual),
            None => return Ok(None),
        },
    };
    search.progress.set(Provider::Profile, format!("reading {}", path.display()));
    match read_file(&path, MOST_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::of(Provider::Profile, unreadable(&path, &error))),
    }
}

async fn parse(config: String, shared: String) -> Result<EnvConfigSections, Failure> {
    let files = EnvConfigFiles::builder()
        .with_contents(EnvConfigFileKind::Config, config)
        .with_contents(EnvConfigFileKind::Credentials, shared)
        .build();
    aws_config::profile::load(&Fs::real(), &Env::real(), &files, None)
        .await
        .map_err(|error| Failure::of(Provider::Profile, told(&error)))
}

fn endpoint_settings(profile: &Profile) -> Vec<String> {
    let is_set = |key: &str| match profile.get(key) {
        Some(value) if key.starts_with("use_") => value.eq_ignore_ascii_case("true"),
        value => value.is_some(),
    };
    let keys = ["endpoint_url", "services", "use_fips_endpoint", "use_dualstack_endpoint"];
    keys.into_iter().filter(|key| is_set(key)).map(str::to_owned).collect()
}

fn metadata(profile: &Profile) -> Place {
    let set = |name| {
        let value = profile.get(name)?.to_owned();
        Some(Setting { of: Provider::Profile, name, value })
    };
    Place { endpoint: set("ec2_metadata_service_endpoint"), mode: set("ec2_metadata_service_endpoint_mode") }
}

/// The profile at the end of the chain, which has credentials of its own.
fn base<'a>(sections: &'a EnvConfigSections, profile: &'a Profile) -> &'a Profile {
    let next = |current: &&'a Profile| {
        if has_own_keys(current, profile) {
            return None;
        }
        current.get("role_arn")?;
        sections.get_profile(current.get("source_profile")?).filter(|next| next.name() != current.name())
    };
    std::iter::successors(Some(profile), next).take(LONGEST_CHAIN).last().unwrap_or(profile)
}

/// Keys of a source go before a role that it names.
fn has_own_keys(source: &Profile, selected: &Profile) -> bool {
    source.name() != selected.name() && source.get("aws_access_key_id").is_some()
}

/// A role that is named without what it is assumed with. aws-config goes on to the next provider
/// there; botocore fails, and so do most clients.
fn check_source(sections: &EnvConfigSections, selected: &Profile, base: &Profile) -> Result<(), Failure> {
    let needs_none = has_own_keys(base, selected) || base.get("web_identity_token_file").is_some();
    if needs_none || base.get("role_arn").is_none() {
        return Ok(());
    }
    if let Some(source) = base.get("source_profile").filter(|name| sections.get_profile(name).is_none()) {
        return Err(fail(base, &format!("source_profile {source} is not defined")));
    }
    match base.get("credential_source") {
        Some(source) if !SOURCES.iter().any(|(name, _)| source.eq_ignore_ascii_case(name)) => {
            let known = SOURCES.map(|(name, _)| name).join(", ");
            Err(fail(base, &format!("credential_source {source} does not exist; there are {known}")))
        }
        _ => Ok(()),
    }
}

fn check_supported(base: &Profile) -> Result<(), Failure> {
    let name = base.name();
    if ["sso_session", "sso_start_url", "sso_account_id"].iter().any(|key| base.get(key).is_some()) {
        let detail =
            format!("profile {name} signs in with IAM Identity Center (sso), which is not supported");
        return Err(Failure::of(Provider::Sso, detail));
    }
    if base.get("login_session").is_some() {
        let detail = format!("profile {name} uses login_session, which is not supported");
        return Err(Failure::of(Provider::Sso, detail));
    }
    Ok(())
}

/// In the order of the SDKs a source or a token goes first.
fn runs_a_program(base: &Profile) -> bool {
    base.get("credential_source").is_none() && base.get("web_identity_token_file").is_none()
}

/// By aws-config, with what the program printed in place of its command.
async fn resolve(
    search: &Search,
    sections: &EnvConfigSections,
    profile: &Profile,
    base: &Profile,
    printed: Option<&Credentials>,
) -> Found {
    let http = PinnedConnector::new(search.trust.clone(), None, search.deadline, |_| Ok(()));
    let provider = ProviderConfig::without_region()
        .with_region(search.region.clone().map(Region::new))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_use_fips(Some(false))
        .with_use_dual_stack(Some(false))
        .with_retry_config(RetryConfig::disabled())
        .with_http_client(http.clone());
    let text = written(sections, base, printed);
    let files = EnvConfigFiles::builder().with_contents(EnvConfigFileKind::Config, text).build();
    let mut resolver = ProfileFileCredentialsProvider::builder()
        .configure(&provider)
        .profile_files(files)
        .profile_name(profile.name().to_owned());
    for (name, source) in SOURCES {
        resolver = resolver.with_custom_provider(name, Ours { search: search.clone(), source });
    }
    match resolver.build().provide_credentials().await {
        Ok(credentials) => Ok(Some((Provider::Profile, credentials))),
        // It has settings and no credentials, as ~/.aws/config often does.
        Err(CredentialsError::CredentialsNotLoaded(_)) if profile.get("role_arn").is_none() => Ok(None),
        Err(CredentialsError::CredentialsNotLoaded(_)) => {
            Err(fail(profile, "role_arn is set, and there are no credentials to assume it with"))
        }
        Err(error) => Err(refused(&http, profile, &error)),
    }
}

/// What STS said, or why it said nothing, or what aws-config does not like.
fn refused(http: &PinnedConnector, profile: &Profile, error: &CredentialsError) -> Failure {
    let answer = http.answer();
    if let Some(aws_error) = answer.as_ref().and_then(aws_error::read) {
        let detail = format!("STS: {}: {}", aws_error.code, aws_error.message);
        return Failure { aws_error: Some(aws_error), ..fail(profile, &detail) };
    }
    let trace = http.trace();
    if trace.error.is_some() {
        return Failure::of_transport(Provider::Profile, &format!("profile {}: STS", profile.name()), &trace);
    }
    fail(profile, &told(error))
}

fn fail(profile: &Profile, detail: &str) -> Failure {
    Failure::of(Provider::Profile, format!("profile {}: {detail}", profile.name()))
}

/// The profiles anew, in the form of the config file.
fn written(sections: &EnvConfigSections, base: &Profile, printed: Option<&Credentials>) -> String {
    let mut text = String::new();
    for profile in sections.profiles().filter_map(|name| sections.get_profile(name)) {
        text += &format!("[profile {}]\n", profile.name());
        let printed = printed.filter(|_| profile.name() == base.name());
        let is_key = |key: &&str| key.starts_with("aws_") || *key == "credential_process";
        for key in KEYS.iter().filter(|key| printed.is_none() || !is_key(key)) {
            if let Some(value) = profile.get(key) {
                text += &format!("{key} = {}\n", value.replace('\n', " "));
            }
        }
        if let Some(credentials) = printed {
            text += &format!("aws_access_key_id = {}\n", credentials.access_key_id());
            text += &format!("aws_secret_access_key = {}\n", credentials.secret_access_key());
            if let Some(token) = credentials.session_token() {
                text += &format!("aws_session_token = {token}\n");
            }
        }
    }
    text
}

/// `credential_source` of a profile, by the providers here.
#[derive(Debug)]
struct Ours {
    search: Search,
    source: Provider,
}

impl ProvideCredentials for Ours {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let found = match self.source {
                Provider::Environment => super::environment::find(),
                Provider::Container => super::container::find(&self.search).await,
                _ => role::find(&self.search).await.map(Some),
            };
            match found {
                Ok(Some((_, credentials))) => Ok(credentials),
                Ok(None) => Err(CredentialsError::provider_error(format!(
                    "credential_source: {} has no credentials",
                    self.source.words()
                ))),
                Err(failure) => Err(CredentialsError::provider_error(failure.detail)),
            }
        })
    }
}

/// An error with what led to it; repeated words left out.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    cut(&text, 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn checked(text: &str) -> Result<(), String> {
        let sections = parse(text.to_owned(), String::new()).await.unwrap();
        let profile = sections.get_profile("a").unwrap();
        check_source(&sections, profile, base(&sections, profile)).map_err(|failure| failure.detail)
    }

    #[tokio::test]
    async fn a_role_without_its_source_is_named() {
        const ROLE: &str = "role_arn = arn:aws:iam::1:role/x";
        for (text, detail) in [
            ("source_profile = nope", "profile a: source_profile nope is not defined"),
            (
                "credential_source = Nope",
                "profile a: credential_source Nope does not exist; there are Environment, Ec2InstanceMetadata, EcsContainer",
            ),
            (
                "source_profile = b\n[profile b]\nrole_arn = arn:aws:iam::1:role/y\nsource_profile = c",
                "profile b: source_profile c is not defined",
            ),
        ] {
            let found = checked(&format!("[profile a]\n{ROLE}\n{text}\n")).await;
            assert_eq!(found, Err(detail.to_owned()));
        }
        for text in [
            "source_profile = a\naws_access_key_id = AKIAEXAMPLE\naws_secret_access_key = s",
            "source_profile = nope\nweb_identity_token_file = /run/token",
            "credential_source = ec2InstanceMetadata",
            "source_profile = b\n[profile b]\nrole_arn = x\nsource_profile = c\naws_access_key_id = A\naws_secret_access_key = s",
        ] {
            assert_eq!(checked(&format!("[profile a]\n{ROLE}\n{text}\n")).await, Ok(()), "{text}");
        }
        assert_eq!(checked("[profile a]\nsource_profile = nope\n").await, Ok(()));
    }
}
