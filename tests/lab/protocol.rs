//! The three languages that CloudWatch speaks: what a request asks for, and how an
//! answer or an error is written in the language of the request.

use std::fmt;

use hyper::http::request::Parts;
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Protocol {
    RpcV2Cbor,
    Query,
    Json,
}

impl fmt::Display for Protocol {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::RpcV2Cbor => "rpc-v2-cbor",
            Self::Query => "query",
            Self::Json => "json",
        })
    }
}

/// What a request asks for. A stray request, such as `GET /`, has no protocol.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Call {
    pub protocol: Option<Protocol>,
    pub operation: Option<String>,
    pub namespace: Option<String>,
    pub metric: Option<String>,
    /// Given to STS in exchange for credentials.
    pub web_identity: Option<String>,
}

/// An error as AWS describes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    pub status: u16,
    pub code: &'static str,
    pub message: String,
}

pub struct Body {
    pub content_type: &'static str,
    pub bytes: Vec<u8>,
}

const METRIC_NAMES: [&str; 2] = ["CPUUtilization", "NetworkOut"];
const NAMESPACE: &str = "AWS/EC2";
pub const INSTANCE_ID: &str = "i-0123456789abcdef0";

impl Call {
    pub fn read(request: &Parts, body: &[u8]) -> Self {
        let path = request.uri.path();
        let header =
            |name| request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(operation) = path.strip_prefix("/service/GraniteServiceVersion20100801/operation/") {
            return Self {
                protocol: (header("smithy-protocol") == "rpc-v2-cbor").then_some(Protocol::RpcV2Cbor),
                operation: Some(operation.to_owned()),
                namespace: cbor_text(body, "Namespace"),
                metric: cbor_text(body, "MetricName"),
                web_identity: None,
            };
        }
        if let Some(operation) = header("x-amz-target").strip_prefix("GraniteServiceVersion20100801.") {
            let input: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            return Self {
                protocol: Some(Protocol::Json),
                operation: Some(operation.to_owned()),
                namespace: input["Namespace"].as_str().map(str::to_owned),
                metric: input["MetricName"].as_str().map(str::to_owned),
                web_identity: None,
            };
        }
        let form = String::from_utf8_lossy(body).into_owned();
        match form_field(&form, "Action") {
            Some(action) => Self {
                protocol: Some(Protocol::Query),
                operation: Some(action),
                namespace: form_field(&form, "Namespace"),
                metric: form_field(&form, "MetricName"),
                web_identity: form_field(&form, "WebIdentityToken"),
            },
            None => Self::default(),
        }
    }

    /// ListMetrics' output: a couple of metrics, or none for another namespace.
    pub fn metrics(&self, request_id: &str) -> Body {
        let known = self.namespace.as_deref().is_none_or(|namespace| namespace == NAMESPACE);
        let asked = |name: &&str| known && self.metric.as_deref().is_none_or(|metric| metric == *name);
        let names: Vec<&str> = METRIC_NAMES.into_iter().filter(asked).collect();
        let names = names.as_slice();
        match self.protocol {
            Some(Protocol::RpcV2Cbor) => cbor(|encoder| cbor_metrics(encoder, names)),
            Some(Protocol::Json) => json(
                &serde_json::json!({ "Metrics": names.iter().map(|name| json_metric(name)).collect::<Vec<_>>() }),
            ),
            Some(Protocol::Query) | None => xml_metrics(names, request_id),
        }
    }
}

impl Error {
    pub fn sender(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// Whose fault it is, as `x-amzn-query-error` has it.
    pub fn party(&self) -> &'static str {
        if self.status < 500 { "Sender" } else { "Receiver" }
    }

    pub fn write(&self, protocol: Option<Protocol>, request_id: &str) -> Body {
        let (code, message) = (self.code, &self.message);
        match protocol {
            Some(Protocol::RpcV2Cbor) => cbor(|encoder| {
                encoder.map(2)?.str("__type")?.str(&format!("com.amazonaws.cloudwatch#{code}"))?;
                encoder.str("message")?.str(message)?.ok()
            }),
            Some(Protocol::Json) => json(&serde_json::json!({ "__type": code, "message": message })),
            Some(Protocol::Query) | None => xml(format!(
                "<ErrorResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\">\n  <Error>\n    \
                 <Type>{}</Type>\n    <Code>{code}</Code>\n    <Message>{}</Message>\n  </Error>\n  \
                 <RequestId>{request_id}</RequestId>\n</ErrorResponse>\n",
                self.party(),
                message.replace('&', "&amp;").replace('<', "&lt;"),
            )),
        }
    }
}

type Encoding = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn cbor(write: impl FnOnce(&mut Encoder<Vec<u8>>) -> Encoding) -> Body {
    let mut encoder = Encoder::new(Vec::new());
    write(&mut encoder).expect("writing to memory does not fail");
    Body { content_type: "application/cbor", bytes: encoder.into_writer() }
}

fn cbor_metrics(encoder: &mut Encoder<Vec<u8>>, names: &[&str]) -> Encoding {
    encoder.map(1)?.str("Metrics")?.array(names.len() as u64)?;
    for name in names {
        encoder.map(3)?.str("Namespace")?.str(NAMESPACE)?.str("MetricName")?.str(name)?;
        encoder.str("Dimensions")?.array(1)?.map(2)?;
        encoder.str("Name")?.str("InstanceId")?.str("Value")?.str(INSTANCE_ID)?;
    }
    encoder.ok()
}

/// A well-formed answer of something that is not ListMetrics.
pub fn foreign_cbor() -> Body {
    cbor(|encoder| encoder.map(1)?.str("status")?.str("ok")?.ok())
}

fn json(value: &serde_json::Value) -> Body {
    Body { content_type: "application/x-amz-json-1.0", bytes: value.to_string().into_bytes() }
}

fn json_metric(name: &str) -> serde_json::Value {
    let dimensions = serde_json::json!([{ "Name": "InstanceId", "Value": INSTANCE_ID }]);
    serde_json::json!({ "Namespace": NAMESPACE, "MetricName": name, "Dimensions": dimensions })
}

fn xml(text: String) -> Body {
    Body { content_type: "text/xml", bytes: text.into_bytes() }
}

fn xml_metrics(names: &[&str], request_id: &str) -> Body {
    let mut members = String::new();
    for name in names {
        members += &format!(
            "<member><Namespace>{NAMESPACE}</Namespace><MetricName>{name}</MetricName><Dimensions><member>\
             <Name>InstanceId</Name><Value>{INSTANCE_ID}</Value></member></Dimensions></member>"
        );
    }
    xml(format!(
        "<ListMetricsResponse xmlns=\"http://monitoring.amazonaws.com/doc/2010-08-01/\"><ListMetricsResult>\
         <Metrics>{members}</Metrics></ListMetricsResult><ResponseMetadata><RequestId>{request_id}</RequestId>\
         </ResponseMetadata></ListMetricsResponse>\n"
    ))
}

/// The text under a key of the outermost map; clients may leave the map's length
/// open.
fn cbor_text(bytes: &[u8], wanted: &str) -> Option<String> {
    let mut decoder = Decoder::new(bytes);
    let mut left = decoder.map().ok()?;
    loop {
        match &mut left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        if decoder.datatype().ok()? == Type::Break {
            return None;
        }
        let key = decoder.str().ok()?;
        if key == wanted {
            return decoder.str().ok().map(str::to_owned);
        }
        decoder.skip().ok()?;
    }
}

fn form_field(form: &str, name: &str) -> Option<String> {
    let value = form.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut decoded = Vec::new();
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}
