//! Instance metadata, version 2: a token first, then documents and listings.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use tokio::net::TcpStream;
use tokio::time::sleep;

use super::address::{INSTANCE, INSTANCE_V6, MAC, VPC_CIDR_V6, VPC_CIDRS};
use super::behaviour::Metadata;
use super::clock::Moment;
use super::cloudwatch::{page, set};
use super::peer::{self, Payload, Peers};
use super::policy::VPC;
use super::protocol::INSTANCE_ID;
use super::sigv4::{ACCESS_KEY, SECRET_KEY, SESSION_TOKEN};

/// Longer than a careful client's time-out for link-local metadata.
const SLOWNESS: Duration = Duration::from_secs(4);
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TOKEN_LIFETIME_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_LIFETIME_SECONDS: std::ops::RangeInclusive<u64> = 1..=21_600;
const ROLE: &str = "linkproof-lab";
const GARBAGE: &str = "<html><body><h1>It works!</h1></body></html>\n";

/// The metadata service of the one instance.
pub struct Service {
    peers: Arc<Peers>,
    tokens: Mutex<HashMap<String, Instant>>,
}

impl Service {
    pub fn new(peers: Arc<Peers>) -> Self {
        Self { peers, tokens: Mutex::default() }
    }

    pub async fn serve(self: Arc<Self>, stream: TcpStream) {
        peer::http(stream, |request| self.answer(request)).await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Payload> {
        let metadata = self.peers.behaviour().metadata;
        if metadata.slow {
            sleep(SLOWNESS).await;
        }
        if metadata.hop_limited && request.method() == Method::PUT {
            sleep(peer::CONNECTION_LIFETIME).await;
        }
        if metadata.disabled {
            return refuse(403);
        }
        if request.uri().path() == "/latest/api/token" && request.method() == Method::PUT {
            return self.token(&request);
        }
        if *request.method() != Method::GET {
            return refuse(405);
        }
        if !self.is_authorized(&request) {
            return refuse(401);
        }
        if metadata.garbage {
            return page(200, "text/html", GARBAGE, Moment::now());
        }
        let Some(path) = document_path(request.uri().path()) else {
            return refuse(404);
        };
        match find(&documents(metadata), path) {
            Some(text) => plain(text),
            None => refuse(404),
        }
    }

    fn token(&self, request: &Request<Incoming>) -> Response<Payload> {
        if request.headers().contains_key("x-forwarded-for") {
            return refuse(403);
        }
        let lifetime =
            request.headers().get(TOKEN_LIFETIME_HEADER).and_then(|value| value.to_str().ok()?.parse().ok());
        let Some(seconds) = lifetime.filter(|seconds| TOKEN_LIFETIME_SECONDS.contains(seconds)) else {
            return refuse(400);
        };
        let token = format!("AQAEAL{:032x}{:032x}==", fastrand::u128(..), fastrand::u128(..));
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, expires| *expires > Instant::now());
        tokens.insert(token.clone(), Instant::now() + Duration::from_secs(seconds));
        let mut response = plain(token);
        set(&mut response, TOKEN_LIFETIME_HEADER, &seconds.to_string());
        response
    }

    fn is_authorized(&self, request: &Request<Incoming>) -> bool {
        let Some(token) = request.headers().get(TOKEN_HEADER).and_then(|value| value.to_str().ok()) else {
            return false;
        };
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).is_some_and(|expires| *expires > Instant::now())
    }
}

/// `/latest/...` and `/2021-03-23/...` show the same.
fn document_path(path: &str) -> Option<&str> {
    let (version, path) = path.strip_prefix('/')?.split_once('/')?;
    let dated = version.len() == 10 && version.starts_with("20");
    (version == "latest" || dated).then_some(path)
}

/// A document, or the listing of a folder, in which folders end with a slash.
fn find(documents: &BTreeMap<String, String>, path: &str) -> Option<String> {
    if let Some(text) = documents.get(path) {
        return Some(text.clone());
    }
    let folder = format!("{}/", path.trim_end_matches('/'));
    let inside = documents.keys().filter_map(|document| document.strip_prefix(&folder));
    let names: BTreeSet<&str> = inside.map(|rest| rest.split_inclusive('/').next().unwrap_or(rest)).collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
}

/// All documents there are in this state.
fn documents(state: Metadata) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    let mut add = |path: &str, text: &str| drop(documents.insert(path.to_owned(), text.to_owned()));
    let host_name = "ip-10-0-1-23.ec2.internal";
    for (path, text) in [
        ("ami-id", "ami-0abcdef1234567890"),
        ("hostname", host_name),
        ("instance-id", INSTANCE_ID),
        ("instance-type", "t3.micro"),
        ("local-hostname", host_name),
        ("mac", MAC),
        ("placement/availability-zone", "us-east-1a"),
        ("placement/availability-zone-id", "use1-az1"),
        ("placement/region", "us-east-1"),
        ("services/domain", "amazonaws.com"),
        ("services/partition", "aws"),
    ] {
        add(&format!("meta-data/{path}"), text);
    }
    if state.ipv4 {
        add("meta-data/local-ipv4", &INSTANCE.to_string());
    }
    for (path, text) in interface(state) {
        add(&format!("meta-data/network/interfaces/macs/{MAC}/{path}"), &text);
    }
    add("dynamic/instance-identity/document", &identity());
    if state.role {
        add("meta-data/iam/info", &role());
        add(&format!("meta-data/iam/security-credentials/{ROLE}"), &credentials(state));
    }
    documents
}

fn interface(state: Metadata) -> Vec<(&'static str, String)> {
    let mut documents = vec![
        ("device-number", "0".to_owned()),
        ("interface-id", "eni-0abcdef1234567890".to_owned()),
        ("mac", MAC.to_owned()),
        ("owner-id", "123456789012".to_owned()),
        ("security-group-ids", "sg-0abcdef1234567890".to_owned()),
        ("security-groups", "private".to_owned()),
        ("subnet-id", "subnet-0abcdef1234567890".to_owned()),
        ("vpc-id", VPC.to_owned()),
    ];
    if state.ipv4 {
        documents.push(("local-ipv4s", INSTANCE.to_string()));
    }
    if state.cidrs {
        documents.push(("subnet-ipv4-cidr-block", "10.0.1.0/24".to_owned()));
        documents.push(("vpc-ipv4-cidr-block", VPC_CIDRS[0].to_owned()));
        documents.push(("vpc-ipv4-cidr-blocks", VPC_CIDRS.join("\n")));
    }
    if state.ipv6 {
        documents.push(("ipv6s", INSTANCE_V6.to_string()));
        if state.cidrs && state.ipv6_cidrs {
            documents.push(("subnet-ipv6-cidr-blocks", "2001:db8:1234:1::/64".to_owned()));
            documents.push(("vpc-ipv6-cidr-blocks", VPC_CIDR_V6.to_owned()));
        }
    }
    documents
}

fn identity() -> String {
    let document = serde_json::json!({
        "accountId": "123456789012",
        "architecture": "x86_64",
        "availabilityZone": "us-east-1a",
        "imageId": "ami-0abcdef1234567890",
        "instanceId": INSTANCE_ID,
        "instanceType": "t3.micro",
        "privateIp": INSTANCE.to_string(),
        "region": "us-east-1",
        "version": "2017-09-30",
    });
    format!("{document:#}")
}

fn role() -> String {
    let document = serde_json::json!({
        "Code": "Success",
        "LastUpdated": Moment::now().rfc3339(),
        "InstanceProfileArn": format!("arn:aws:iam::123456789012:instance-profile/{ROLE}"),
        "InstanceProfileId": "AIPALINKPROOFLAB0001",
    });
    format!("{document:#}")
}

fn credentials(state: Metadata) -> String {
    const HOUR: i64 = 3600;
    let (from, until) = if state.credentials_expired { (-7 * HOUR, -HOUR) } else { (-HOUR / 2, 6 * HOUR) };
    let document = serde_json::json!({
        "Code": "Success",
        "LastUpdated": Moment::now().plus(from).rfc3339(),
        "Type": "AWS-HMAC",
        "AccessKeyId": ACCESS_KEY,
        "SecretAccessKey": SECRET_KEY,
        "Token": SESSION_TOKEN,
        "Expiration": Moment::now().plus(until).rfc3339(),
    });
    format!("{document:#}")
}

fn plain(text: String) -> Response<Payload> {
    let mut response = Response::new(Payload::whole(text));
    set(&mut response, "content-type", "text/plain");
    set(&mut response, "server", "EC2ws");
    response
}

fn refuse(status: u16) -> Response<Payload> {
    page(status, "text/html", "", Moment::now())
}
