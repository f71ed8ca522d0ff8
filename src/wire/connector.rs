//! The AWS SDK's transport over `http`: to one known peer where it is pinned. What the SDK gets to
//! see of an answer is bounded and plain: it panics at some of what a peer can send.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use hyper::body::Bytes;
use hyper::{HeaderMap, Response};
use tokio::time::Instant;

pub use super::http::Trace;
use super::http::{BoxError, Route, Unanswered, exchange};
use super::trust::Trust;
use crate::observation::ProbeError;

/// ListMetrics answers with at most 500 metrics a page; asked for one name they take 100 KiB.
pub const BODY_LIMIT: usize = 256 * 1024;

/// An answer of AWS as it came, with what the SDK does not keep of it.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// Looks at an answer before the SDK does, and may refuse it.
pub type Inspect = fn(&Answer) -> Result<(), ProbeError>;

/// Hands out the SDK's connector. One value serves one attempt: its trace is that attempt's.
#[derive(Clone)]
pub struct PinnedConnector {
    trust: Trust,
    pin: Option<SocketAddr>,
    deadline: Instant,
    inspect: Inspect,
    seen: Arc<Mutex<(Trace, Option<Answer>)>>,
}

impl PinnedConnector {
    pub fn new(trust: Trust, pin: Option<SocketAddr>, deadline: Instant, inspect: Inspect) -> Self {
        Self { trust, pin, deadline, inspect, seen: Arc::default() }
    }

    /// Of the last request.
    pub fn trace(&self) -> Trace {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// To the last request, where there was one.
    pub fn answer(&self) -> Option<Answer> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::other(error.into(), None))?;
        let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap_or_default()));
        let route =
            Route { trust: &self.trust, pin: self.pin, deadline: self.deadline, body_limit: BODY_LIMIT };
        let (result, mut trace) = exchange(route, request).await;
        let mut answer = None;
        let result = match result {
            Ok(response) => {
                let given = Answer {
                    status: response.status().as_u16(),
                    headers: response.headers().clone(),
                    body: response.body().clone(),
                };
                let inspected = (self.inspect)(&given);
                answer = Some(given);
                match inspected {
                    Ok(()) => plain(response).map_err(|error| ConnectorError::other(error, None)),
                    Err(error) => {
                        let refused = ConnectorError::other(error.detail.clone().into(), None);
                        trace.error = Some(error);
                        Err(refused)
                    }
                }
            }
            Err(Unanswered::Failed(error)) => Err(ConnectorError::io(error)),
            Err(Unanswered::TimedOut(elapsed)) => Err(ConnectorError::timeout(elapsed.into())),
        };
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = (trace, answer);
        result
    }
}

/// Headers that are not visible ASCII say nothing to the SDK, and it takes no others.
fn plain(response: Response<Bytes>) -> Result<HttpResponse, BoxError> {
    let (mut head, body) = response.into_parts();
    let given = std::mem::take(&mut head.headers);
    for (name, value) in given.iter().filter(|(_, value)| value.to_str().is_ok()) {
        head.headers.append(name.clone(), value.clone());
    }
    Ok(HttpResponse::try_from(Response::from_parts(head, SdkBody::from(body)))?)
}

impl fmt::Debug for PinnedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedConnector").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl HttpClient for PinnedConnector {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for PinnedConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

/// Gives the SDK one answer from memory.
#[cfg(any(test, fuzzing))]
#[derive(Clone, Debug)]
pub struct Canned(pub Response<Bytes>);

#[cfg(any(test, fuzzing))]
impl HttpClient for Canned {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

#[cfg(any(test, fuzzing))]
impl HttpConnector for Canned {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        let answer = plain(self.0.clone()).map_err(|error| ConnectorError::other(error, None));
        HttpConnectorFuture::ready(answer)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn sdk_sees_visible_headers_only() {
        let mut response = Response::new(Bytes::new());
        for value in [&b"text"[..], b"\xff\xfe", b"more"] {
            response.headers_mut().append("x-test", HeaderValue::from_bytes(value).unwrap());
        }
        let seen = plain(response).unwrap();
        let values: Vec<&str> = seen.headers().get_all("x-test").collect();
        assert_eq!(values, ["text", "more"]);
    }
}
