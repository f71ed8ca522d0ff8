//! One signed ListMetrics to one address, through the AWS SDK on a fresh connection.
//!
//! One attempt, no clock correction, no endpoint discovery: what the SDK would smooth over is
//! what is to be seen.

use std::net::SocketAddr;
use std::time::Duration;

use aws_sdk_cloudwatch::config::retry::RetryConfig;
use aws_sdk_cloudwatch::config::{BehaviorVersion, Credentials, Region, StalledStreamProtectionConfig};
use aws_sdk_cloudwatch::error::SdkError;
use aws_sdk_cloudwatch::operation::list_metrics::{ListMetricsError, ListMetricsOutput};
use aws_sdk_cloudwatch::{Client, Config};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use minicbor::Decoder;
use tokio::time::Instant;

use super::clock::skew;
use crate::observation::{CallEvidence, ProbeError, Reason, cut};
use crate::wire::aws_error::{self, more};
use crate::wire::connector::{Answer, PinnedConnector};
use crate::wire::trust::Trust;

/// One name, so that the answer stays small; one that is not there gives an empty list, which says
/// as much. Of AWS/EC2 every instance has this one.
const METRIC: &str = "CPUUtilization";

/// CloudWatch's own bound of a page.
const MOST_METRICS: usize = 500;

const LONGEST_REQUEST_ID: usize = 128;
const LONGEST_DETAIL: usize = 1024;

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
    let http = PinnedConnector::new(trust.clone(), Some(to.peer), Instant::now() + to.limit, inspect);
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
    let result =
        Client::from_conf(config).list_metrics().namespace(namespace).metric_name(METRIC).send().await;
    read(to.peer, &http, result)
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
    http: &PinnedConnector,
    result: Result<ListMetricsOutput, SdkError<ListMetricsError, HttpResponse>>,
) -> CallEvidence {
    let (trace, answer) = (http.trace(), http.answer());
    let mut evidence = CallEvidence {
        ip: peer.ip(),
        peer: trace.peer,
        phases: trace.phases,
        kernel_tcp: trace.kernel_tcp,
        http_status: trace.http_status,
        request_id: answer.as_ref().and_then(request_id),
        aws_error: answer.as_ref().and_then(aws_error::read),
        metrics: None,
        clock_skew: trace.date.as_deref().and_then(skew),
        error: trace.error,
    };
    match result {
        // An absent list is how a foreign document looks to a lenient parser.
        Ok(output) => evidence.metrics = output.metrics.as_ref().map(Vec::len),
        // It was answered, and what was answered is evidence already.
        Err(SdkError::ServiceError(_)) => {}
        Err(_) if evidence.aws_error.is_some() || evidence.error.is_some() => {}
        Err(SdkError::ResponseError(_)) => evidence.error = Some(foreign()),
        Err(other) => {
            let detail = other
                .into_source()
                .map_or_else(|_| "the SDK gave up".to_owned(), |source| source.to_string());
            evidence.error =
                Some(ProbeError { reason: Reason::InternalError, detail: cut(&detail, LONGEST_DETAIL) });
        }
    }
    evidence
}

fn request_id(answer: &Answer) -> Option<String> {
    let id =
        ["x-amzn-requestid", "x-amz-request-id"].into_iter().find_map(|name| answer.headers.get(name))?;
    let id = id.to_str().ok().filter(|id| !id.trim().is_empty())?;
    Some(cut(id, LONGEST_REQUEST_ID))
}

/// Looks at a document before the SDK makes metrics of it: an empty map takes one byte there, and a
/// hundred here.
fn inspect(answer: &Answer) -> Result<(), ProbeError> {
    if !(200..300).contains(&answer.status) || check_metrics(&answer.body).is_some() {
        return Ok(());
    }
    Err(foreign())
}

fn foreign() -> ProbeError {
    let detail = "the body is not the output of ListMetrics".to_owned();
    ProbeError { reason: Reason::NotAnAwsAnswer, detail }
}

/// A map in which `Metrics`, where it is there, lists named metrics, and not more than a page of them.
fn check_metrics(body: &[u8]) -> Option<()> {
    let mut decoder = Decoder::new(body);
    let mut left = decoder.map().ok()?;
    while more(&mut decoder, &mut left)? {
        if decoder.str().ok()? != "Metrics" {
            decoder.skip().ok()?;
            continue;
        }
        let mut metrics = decoder.array().ok()?;
        let mut count = 0;
        while more(&mut decoder, &mut metrics)? {
            count += 1;
            if count > MOST_METRICS || !is_metric(&mut decoder)? {
                return None;
            }
        }
    }
    Some(())
}

fn is_metric(decoder: &mut Decoder<'_>) -> Option<bool> {
    let mut left = decoder.map().ok()?;
    let (mut namespace, mut name) = (false, false);
    while more(decoder, &mut left)? {
        let key = decoder.str().ok()?;
        namespace |= key == "Namespace";
        name |= key == "MetricName";
        if matches!(key, "Namespace" | "MetricName") {
            decoder.str().ok()?;
        } else {
            decoder.skip().ok()?;
        }
    }
    Some(namespace && name)
}

/// Reads what a server sends as the answer to ListMetrics, and returns what a report shows of it.
#[cfg(any(test, fuzzing))]
pub async fn fuzz(bytes: &[u8]) -> Vec<String> {
    let (response, trace) = crate::wire::http::fuzz(bytes).await;
    let _ = trace.date.as_deref().and_then(skew);
    let mut shown: Vec<String> = trace.error.into_iter().map(|error| error.detail).collect();
    let Some(response) = response else { return shown };
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let answer = Answer { status, headers, body: response.body().clone() };
    shown.extend(request_id(&answer));
    shown.extend(aws_error::read(&answer).into_iter().flat_map(|error| [error.code, error.message]));
    if inspect(&answer).is_ok() {
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .credentials_provider(Credentials::new("AKIA", "secret", None, None, "fuzz"))
            .http_client(crate::wire::connector::Canned(response))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .build();
        let _ = Client::from_conf(config).list_metrics().namespace("AWS/EC2").send().await;
    }
    shown
}

#[cfg(test)]
mod tests {
    use hyper::body::Bytes;
    use hyper::header::{HeaderName, HeaderValue};
    use minicbor::Encoder;

    use super::*;

    /// A list of so many metrics with these fields.
    fn metrics(count: usize, fields: &[&str]) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(1).unwrap().str("Metrics").unwrap().begin_array().unwrap();
        for _ in 0..count {
            encoder.map(fields.len() as u64).unwrap();
            for field in fields {
                encoder.str(field).unwrap().str("x").unwrap();
            }
        }
        encoder.end().unwrap();
        encoder.into_writer()
    }

    #[test]
    fn an_empty_request_id_is_none() {
        let answer = |id: &'static str| {
            let headers = [(HeaderName::from_static("x-amzn-requestid"), HeaderValue::from_static(id))];
            Answer { status: 200, headers: headers.into_iter().collect(), body: Bytes::new() }
        };
        assert_eq!(request_id(&answer("a1")), Some("a1".to_owned()));
        assert_eq!(request_id(&answer("")).or(request_id(&answer(" "))), None);
    }

    #[test]
    fn documents_of_list_metrics_are_told_from_others() {
        let named = ["Namespace", "MetricName"];
        for (count, fields, good) in [
            (0, &named[..], true),
            (500, &named, true),
            (501, &named, false),
            (1, &[], false),
            (1, &["MetricName"], false),
            (200_000, &[], false),
        ] {
            assert_eq!(check_metrics(&metrics(count, fields)).is_some(), good, "{count} {fields:?}");
        }
        let another = [0xa1, 0x61, b'a', 0x61, b'b'];
        assert!(check_metrics(&another).is_some(), "the verdict misses the list");
        for body in
            [&b"<html>"[..], b"", &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], &[0xbf; 4096]]
        {
            assert!(check_metrics(body).is_none());
        }
    }
}
