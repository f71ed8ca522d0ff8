//! One signed ListMetrics to one address, through the AWS SDK on a fresh connection.
//!
//! One attempt, no clock correction, no endpoint discovery: what the SDK would smooth over is
//! what is to be seen.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_cloudwatch::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_cloudwatch::operation::RequestId;
use aws_sdk_cloudwatch::operation::list_metrics::{ListMetricsError, ListMetricsOutput};
use aws_sdk_cloudwatch::{Client, Config};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use tokio::time::Instant;

use super::clock::skew;
use crate::observation::{AwsError, CallEvidence, Reason};
use crate::wire::connector::{PinnedConnector, Trace};
use crate::wire::trust::Trust;

/// What is called: which peer, under which name, within which time.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    pub peer: SocketAddr,
    pub host: &'a str,
    pub region: &'a str,
    pub limit: Duration,
}

pub async fn list_metrics(
    trust: &Trust,
    credentials: Credentials,
    to: Destination<'_>,
    namespace: &str,
) -> CallEvidence {
    let http = PinnedConnector::new(trust.clone(), Some(to.peer), Instant::now() + to.limit);
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(to.region.to_owned()))
        .endpoint_url(endpoint_url(to))
        .credentials_provider(credentials)
        .http_client(http.clone())
        .retry_config(RetryConfig::disabled())
        .disable_clock_skew_correction(true)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .build();
    let result = Client::from_conf(config).list_metrics().namespace(namespace).send().await;
    read(to.peer, http.trace(), result)
}

/// Without the scheme's own port, which the signature leaves out too.
fn endpoint_url(to: Destination<'_>) -> String {
    match to.peer.port() {
        443 => format!("https://{}", to.host),
        port => format!("https://{}:{port}", to.host),
    }
}

fn read(
    peer: SocketAddr,
    trace: Trace,
    result: Result<ListMetricsOutput, SdkError<ListMetricsError, HttpResponse>>,
) -> CallEvidence {
    let mut evidence = CallEvidence {
        ip: peer.ip(),
        peer: trace.peer,
        phases: trace.phases.clone(),
        http_status: trace.http_status,
        request_id: None,
        aws_error: None,
        metrics: None,
        clock_skew: trace.date.as_deref().and_then(skew),
        error: None,
    };
    match result {
        Ok(output) => {
            evidence.request_id = output.request_id().map(str::to_owned);
            // An absent list is how a foreign document looks to a lenient parser.
            evidence.metrics = output.metrics.as_ref().map(Vec::len);
        }
        Err(SdkError::ServiceError(error)) => {
            evidence.request_id = error.err().meta().request_id().map(str::to_owned);
            evidence.aws_error = error.err().code().map(|code| AwsError {
                code: code.to_owned(),
                message: error.err().message().unwrap_or_default().to_owned(),
            });
        }
        Err(SdkError::ResponseError(error)) => {
            let detail = format!("status {}: no document of ListMetrics", error.raw().status());
            evidence.error = Some(trace.trouble_or(Reason::NotAnAwsAnswer, detail));
        }
        Err(other) => {
            let detail = other
                .into_source()
                .map_or_else(|_| "the SDK gave up".to_owned(), |source| source.to_string());
            evidence.error = Some(trace.trouble_or(Reason::InternalError, detail));
        }
    }
    if let Some(error) = trace.error {
        evidence.error = Some(error);
    }
    evidence
}
