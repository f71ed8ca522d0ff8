//! The credentials that applications would find: the default chain, put together here, since the
//! SDK's own smooths over what is to be seen.

use std::env;
use std::error::Error;
use std::io;
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::imds::client::error::ImdsError;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::credential_feature::AwsCredentialFeature;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_async::time::StaticTimeSource;
use tokio::runtime;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout, timeout_at};

use super::{asking_once, is_of_metadata, told};
use crate::check::Family;
use crate::observation::{CredentialsEvidence, ProbeError, Reason};
use crate::wire::connector::{PinnedConnector, Trace};
use crate::wire::trust::Trust;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/";

/// Jobs wait here for the one before; more than two rounds cannot pile up.
const QUEUE: usize = 1;

/// What is left of the time, in parts of the whole, for the answer to come back from the thread.
const RETURN: u32 = 20;

/// A thread of its own: the SDK reads the files of profiles in place, and on a file system that
/// hangs it never comes back. Then it is this thread that waits, and nobody else.
#[derive(Clone, Debug)]
pub struct CredentialsWorker {
    jobs: mpsc::Sender<Job>,
}

#[derive(Debug)]
struct Job {
    trust: Trust,
    families: Vec<Family>,
    region: Option<String>,
    limit: Duration,
    answer: oneshot::Sender<(CredentialsEvidence, Option<Credentials>)>,
}

impl CredentialsWorker {
    pub fn start() -> io::Result<Self> {
        let (jobs, mut inbox) = mpsc::channel::<Job>(QUEUE);
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new().name("credentials".to_owned()).spawn(move || {
            runtime.block_on(async {
                while let Some(job) = inbox.recv().await {
                    // What was asked while the thread was stuck nobody waits for any more.
                    if !job.answer.is_closed() {
                        let found = seek(&job.trust, &job.families, job.region, job.limit).await;
                        let _ = job.answer.send(found);
                    }
                }
            });
        })?;
        Ok(Self { jobs })
    }

    /// Once; what is found is kept for signing, what it showed is evidence.
    pub async fn credentials(
        &self,
        trust: &Trust,
        families: Vec<Family>,
        region: Option<String>,
        limit: Duration,
    ) -> (CredentialsEvidence, Option<Credentials>) {
        let (answer, found) = oneshot::channel();
        let job = Job { trust: trust.clone(), families, region, limit: limit - limit / RETURN, answer };
        let asked = async {
            self.jobs.send(job).await.ok()?;
            found.await.ok()
        };
        timeout(limit, asked).await.ok().flatten().unwrap_or_else(|| (stuck(limit), None))
    }
}

/// The network ends in time by itself: what does not is a file.
fn stuck(limit: Duration) -> CredentialsEvidence {
    let detail = format!(
        "the files of profiles (~/.aws) were not read within {}: their file system hangs",
        humantime::format_duration(limit)
    );
    let error = Some(ProbeError { reason: Reason::CredentialsTimeout, detail });
    CredentialsEvidence { source: None, access_key_id: None, expires_at: None, error }
}

async fn seek(
    trust: &Trust,
    families: &[Family],
    region: Option<String>,
    limit: Duration,
) -> (CredentialsEvidence, Option<Credentials>) {
    let deadline = Instant::now() + limit;
    let http = PinnedConnector::new(trust.clone(), None, deadline);
    let provider = ProviderConfig::without_region()
        .with_region(region.map(Region::new))
        .with_behavior_version(Some(BehaviorVersion::latest()))
        .with_http_client(http.clone());
    let found = timeout_at(deadline, find(&provider, families, limit)).await;
    let error = match &found {
        Ok(Ok(_)) => None,
        Ok(Err(error)) => Some(why(error, &http.trace())),
        Err(_) => {
            let detail = format!("no answer within {}", humantime::format_duration(limit));
            Some(ProbeError { reason: Reason::CredentialsTimeout, detail })
        }
    };
    let credentials = found.ok().and_then(Result::ok);
    let evidence = CredentialsEvidence {
        source: credentials.as_ref().and_then(source),
        access_key_id: credentials.as_ref().map(|credentials| credentials.access_key_id().to_owned()),
        expires_at: credentials.as_ref().and_then(Credentials::expiry),
        error,
    };
    (evidence, credentials)
}

/// In the order of the SDK's default chain.
async fn find(
    provider: &ProviderConfig,
    families: &[Family],
    limit: Duration,
) -> Result<Credentials, CredentialsError> {
    let profile = ProfileFileCredentialsProvider::builder().configure(provider).build();
    let web_identity = WebIdentityTokenCredentialsProvider::builder().configure(provider).build();
    let container = EcsCredentialsProvider::builder().configure(provider).build();
    let chain =
        CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("Profile", profile)
            .or_else("WebIdentityToken", web_identity)
            .or_else("EcsContainer", container);
    match chain.provide_credentials().await {
        Err(CredentialsError::CredentialsNotLoaded(_)) => of_role(provider, families, limit).await,
        found => found,
    }
}

/// The role of the instance, whose name is read here: the SDK panics at a page instead of it.
async fn of_role(
    provider: &ProviderConfig,
    families: &[Family],
    limit: Duration,
) -> Result<Credentials, CredentialsError> {
    if env::var("AWS_EC2_METADATA_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(CredentialsError::not_loaded("AWS_EC2_METADATA_DISABLED forbids to ask for a role"));
    }
    let client = asking_once(provider, families, limit);
    let client = client.map_err(CredentialsError::invalid_configuration)?.build();
    let role = match client.get(ROLE).await {
        Ok(role) => role.as_ref().trim().to_owned(),
        Err(ImdsError::ErrorResponse(error)) if error.response().status().as_u16() == 404 => {
            return Err(CredentialsError::not_loaded(
                "the instance has no role, and neither environment, profile nor container has keys",
            ));
        }
        Err(error) => return Err(CredentialsError::provider_error(error)),
    };
    if role.is_empty() || !is_of_metadata(&role) {
        return Err(CredentialsError::unhandled("what was answered for the role is not from metadata"));
    }
    // What has expired is said to last some minutes more, by the clock that the provider is given:
    // by this one nothing ever has.
    let provider = provider.clone().with_time_source(StaticTimeSource::new(UNIX_EPOCH));
    let provider = ImdsCredentialsProvider::builder().configure(&provider).imds_client(client).profile(role);
    provider.build().provide_credentials().await
}

fn why(error: &CredentialsError, trace: &Trace) -> ProbeError {
    let silent = [Reason::ConnectTimeout, Reason::TlsTimeout, Reason::ResponseTimeout];
    match &trace.error {
        Some(trouble) if silent.contains(&trouble.reason) => {
            ProbeError { reason: Reason::CredentialsTimeout, detail: trouble.detail.clone() }
        }
        // The SDK's own words are general; what it wraps says what happened.
        Some(_) | None => {
            let detail = error.source().map_or_else(|| error.to_string(), told);
            ProbeError { reason: Reason::NoCredentials, detail }
        }
    }
}

fn source(credentials: &Credentials) -> Option<String> {
    let features: &Vec<AwsCredentialFeature> = credentials.get_property()?;
    let name = match features.last()? {
        AwsCredentialFeature::CredentialsEnvVars => "the environment",
        AwsCredentialFeature::CredentialsHttp => "the container's provider",
        AwsCredentialFeature::CredentialsImds => "instance metadata",
        AwsCredentialFeature::CredentialsProfile => "a profile",
        AwsCredentialFeature::CredentialsEnvVarsStsWebIdToken
        | AwsCredentialFeature::CredentialsStsAssumeRoleWebId => "a web identity",
        other => return Some(format!("{other:?}")),
    };
    Some(name.to_owned())
}
