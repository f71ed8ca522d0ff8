//! A stand-in for CloudWatch: TLS, signatures verified, ListMetrics in three
//! protocols, AWS's wording of errors, and every way in which the endpoint can
//! misbehave above TCP.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Request, Response};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::behaviour::{Answer, Behaviour, Handshake, Policy, Refusal, Sign};
use super::clock::Moment;
use super::peer::{self, CONNECTION_LIFETIME, Ends, Payload, Peers};
use super::policy::{self, Source};
use super::protocol::{self, Call, Error, Protocol};
use super::request::{self, Door};
use super::sigv4::{self, Flaw, Signature};

/// Well above a healthy answer, well below a time-out.
const SLOWNESS: Duration = Duration::from_millis(800);
const CAPTIVE_PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Welcome</title></head>\
    <body><h1>Please sign in to use this network</h1></body></html>\n";
const GARBAGE: &[u8] = b"\x00\x01\x02 220 mail.example.com ESMTP ready\r\n\xff\xfe not HTTP at all\r\n\r\n";

/// A connection, and what answering on it needs.
struct Connection {
    peers: Arc<Peers>,
    door: Door,
    ends: Ends,
    number: u64,
    /// By which the router is told that the time has come; only where a fault waits for it.
    socket: Option<socket2::Socket>,
}

/// Serves one connection that arrived at this door.
pub async fn serve(peers: Arc<Peers>, door: Door, stream: TcpStream, ends: Ends) {
    let number = peers.next_connection();
    let mut connection = Connection { peers, door, ends, number, socket: None };
    let behaviour = connection.behaviour();
    if behaviour.sign.is_some() {
        connection.socket = SockRef::from(&stream).try_clone().ok();
    }
    match behaviour.handshake {
        Handshake::Normal => {}
        Handshake::Silent => return sleep(CONNECTION_LIFETIME).await,
        Handshake::Reset => return reset(stream).await,
    }
    let acceptor = connection.peers.certificates.acceptor(behaviour.certificate);
    // A client that does not like the certificate hangs up here.
    let Ok(mut tls) = acceptor.accept(stream).await else {
        return;
    };
    connection.sign(Sign::AfterHandshake);
    if behaviour.answer == Answer::Garbage {
        // Whether the client still listens makes no difference.
        let _ = tls.read(&mut [0; 4096]).await;
        let _ = tls.write_all(GARBAGE).await;
        let _ = tls.shutdown().await;
        return;
    }
    if let Some(endless) = connection.peers.endless() {
        return peer::answer_endlessly(tls, endless).await;
    }
    peer::http(tls, |request| connection.answer(request)).await;
}

/// Hangs up in the middle of the client's handshake.
async fn reset(mut stream: TcpStream) {
    // The client's hello; nothing of it matters.
    let _ = stream.read(&mut [0; 64]).await;
    // Without a linger time, closing sends a reset.
    let _ = stream.set_zero_linger();
}

impl Connection {
    fn behaviour(&self) -> Behaviour {
        let behaviour = self.peers.behaviour();
        match self.door {
            Door::EndpointA | Door::EndpointB => behaviour,
            Door::Public => behaviour.outside(),
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Payload> {
        let (parts, incoming) = request.into_parts();
        let body = peer::body(incoming).await;
        let behaviour = self.behaviour();
        let now = Moment::now().plus(behaviour.clock_seconds);
        let call = Call::read(&parts, &body);
        let signature = sigv4::verify(&parts, &body, now);
        let signed = signature != Signature::Absent;
        if behaviour.answer == Answer::Silent || (behaviour.answer == Answer::SilentToSigned && signed) {
            self.log(&parts, &call, signature.clone(), None);
            sleep(CONNECTION_LIFETIME).await;
        }
        if behaviour.endpoint_a_slow && self.door == Door::EndpointA {
            sleep(SLOWNESS).await;
        }
        let canned = self.peers.canned().filter(|_| signed);
        let mut response = match canned {
            Some(canned) => canned.response(),
            None => respond(&behaviour, &call, &signature, self.source(), now),
        };
        let host = parts.headers.get("host").and_then(|host| host.to_str().ok());
        if host.is_some_and(|host| host.starts_with("s3.")) {
            set(&mut response, "server", "AmazonS3");
        }
        self.sign(Sign::WithAnswer);
        self.log(&parts, &call, signature, Some(response.status().as_u16()));
        response
    }

    fn source(&self) -> Option<Source> {
        Source::of(self.door, self.ends.local.ip())
    }

    /// Whatever is sent from now on carries the sign, if it is this that a fault waits for.
    fn sign(&self, sign: Sign) {
        if self.behaviour().sign != Some(sign) {
            return;
        }
        // None on a connection that began before the fault.
        if let Some(socket) = &self.socket {
            socket.set_tos_v4(sign.class() << 5).expect("an open socket can be marked");
        }
    }

    fn log(&self, parts: &Parts, call: &Call, signature: Signature, status: Option<u16>) {
        let header = |name| {
            let value =
                parts.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            value.unwrap_or_default()
        };
        self.peers.log.add(request::Request {
            at: SystemTime::now(),
            door: self.door,
            local: self.ends.local,
            peer: self.ends.peer,
            connection: self.number,
            method: parts.method.to_string(),
            path: parts.uri.path().to_owned(),
            host: header("host"),
            user_agent: header("user-agent"),
            protocol: call.protocol,
            operation: call.operation.clone(),
            signature,
            source: self.source(),
            status,
        });
    }
}

fn respond(
    behaviour: &Behaviour,
    call: &Call,
    signature: &Signature,
    source: Option<Source>,
    now: Moment,
) -> Response<Payload> {
    let signed = matches!(signature, Signature::Valid { .. });
    match behaviour.answer {
        Answer::CaptivePage => return page(200, "text/html", CAPTIVE_PAGE, now),
        Answer::Unavailable => return page(503, "text/plain", "", now),
        Answer::WrongBody if signed => {
            let body = protocol::foreign_cbor();
            let mut response = Response::new(Payload::whole(body.bytes));
            set(&mut response, "content-type", body.content_type);
            set(&mut response, "smithy-protocol", "rpc-v2-cbor");
            return response;
        }
        Answer::Normal
        | Answer::Silent
        | Answer::SilentToSigned
        | Answer::Cut
        | Answer::Garbage
        | Answer::WrongBody => {}
    }
    if let Some((status, body)) = super::sts::answer(call) {
        let mut response = Response::new(Payload::whole(body));
        *response.status_mut() = hyper::StatusCode::from_u16(status).expect("the lab's statuses are valid");
        set(&mut response, "content-type", "text/xml");
        return response;
    }
    let request_id = request_id();
    let (status, body, error) = match verdict(behaviour, call, signature, source) {
        Ok(()) => (200, call.metrics(&request_id), None),
        Err(error) => {
            let protocol = call.protocol.filter(|_| !behaviour.errors_in_xml);
            (error.status, error.write(protocol, &request_id), Some(error))
        }
    };
    let payload =
        if behaviour.answer == Answer::Cut { Payload::cut(body.bytes) } else { Payload::whole(body.bytes) };
    let mut response = Response::new(payload);
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("the lab's statuses are valid");
    set(&mut response, "x-amzn-requestid", &request_id);
    set(&mut response, "content-type", body.content_type);
    set(&mut response, "date", &now.http());
    if call.protocol == Some(Protocol::RpcV2Cbor) {
        set(&mut response, "smithy-protocol", "rpc-v2-cbor");
    }
    if let Some(error) = error.filter(|_| !behaviour.errors_in_xml) {
        set(&mut response, "x-amzn-query-error", &format!("{};{}", error.code, error.party()));
    }
    response
}

/// Whether the request is granted, in AWS's order: signature, token, policy.
fn verdict(
    behaviour: &Behaviour,
    call: &Call,
    signature: &Signature,
    source: Option<Source>,
) -> Result<(), Error> {
    match signature {
        Signature::Absent => {
            return Err(Error::sender(403, "MissingAuthenticationToken", "Missing Authentication Token"));
        }
        Signature::Invalid { why } => {
            let status = if matches!(why, Flaw::Incomplete(_)) { 400 } else { 403 };
            return Err(Error::sender(status, why.code(), why.message()));
        }
        Signature::Valid { .. } => {}
    }
    if let Some(refusal) = behaviour.refusal {
        return Err(policy::refused(refusal));
    }
    if !policy::allows(behaviour.proof, source) {
        return Err(policy::refused(Refusal::Denied(Policy::Identity)));
    }
    match (call.protocol, call.operation.as_deref()) {
        (Some(_), Some("ListMetrics")) => Ok(()),
        _ => Err(Error::sender(400, "InvalidAction", "Could not find operation for the request")),
    }
}

/// An answer that did not come from AWS.
pub fn page(status: u16, content_type: &'static str, text: &'static str, now: Moment) -> Response<Payload> {
    let mut response = Response::new(Payload::whole(text));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("the lab's statuses are valid");
    set(&mut response, "content-type", content_type);
    set(&mut response, "date", &now.http());
    response
}

pub fn set(response: &mut Response<Payload>, name: &'static str, value: &str) {
    let value = hyper::header::HeaderValue::from_str(value).expect("the lab's header values are plain text");
    response.headers_mut().insert(name, value);
}

/// Random, in the shape of AWS's.
fn request_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
