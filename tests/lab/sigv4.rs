//! Verifies AWS Signature Version 4, written from the specification and not with
//! the library that the agent signs with, so that the two check each other.

use hmac::{Hmac, KeyInit, Mac};
use hyper::http::request::Parts;
use sha2::{Digest, Sha256};

use super::clock::Moment;

/// The instance role's credentials, as metadata hands them out.
pub const ACCESS_KEY: &str = "ASIALINKPROOFLAB0001";
pub const SECRET_KEY: &str = "lab/secret+that/opens/nothing+anywhere/0";
pub const SESSION_TOKEN: &str =
    "IQoJb3JpZ2luX2VjEXAMPLElinkprooflabtoken//////////wEaCXVzLWVhc3QtMSJHMEUCIQDlab==";

const REGION: &str = "us-east-1";
const SERVICE: &str = "monitoring";
/// What AWS tolerates in either direction.
const TOLERANCE_SECONDS: i64 = 5 * 60;

/// What a request's signature is worth.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Signature {
    Valid { access_key: String },
    Absent,
    Invalid { why: Flaw },
}

/// What is wrong with a signature, in the words of AWS.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Flaw {
    Incomplete(String),
    Mismatch(String),
    UnknownToken,
}

impl Flaw {
    pub fn code(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "IncompleteSignature",
            Self::Mismatch(_) => "SignatureDoesNotMatch",
            Self::UnknownToken => "InvalidClientTokenId",
        }
    }

    pub fn message(&self) -> &str {
        match self {
            Self::Incomplete(message) | Self::Mismatch(message) => message,
            Self::UnknownToken => "The security token included in the request is invalid.",
        }
    }
}

/// Judges a request by a clock that shows `now`.
pub fn verify(request: &Parts, body: &[u8], now: Moment) -> Signature {
    let Some(authorization) = header(request, "authorization") else {
        return Signature::Absent;
    };
    match check(request, body, authorization, now) {
        Ok(()) => Signature::Valid { access_key: ACCESS_KEY.to_owned() },
        Err(why) => Signature::Invalid { why },
    }
}

fn check(request: &Parts, body: &[u8], authorization: &str, now: Moment) -> Result<(), Flaw> {
    let claim = Claim::parse(authorization)?;
    let date = header(request, "x-amz-date")
        .ok_or_else(|| incomplete("Authorization header requires 'X-Amz-Date'."))?;
    claim.check_scope(date)?;
    check_signed_headers(request, &claim)?;
    check_date(date, now)?;
    let token = header(request, "x-amz-security-token");
    if claim.access_key != ACCESS_KEY || token != Some(SESSION_TOKEN) {
        return Err(Flaw::UnknownToken);
    }
    let payload_hash = hex(&Sha256::digest(body));
    if header(request, "x-amz-content-sha256").is_some_and(|claimed| claimed != payload_hash) {
        return Err(mismatch("The provided 'x-amz-content-sha256' header does not match what was computed."));
    }
    let canonical = canonical_request(request, &claim, &payload_hash);
    let scope = format!("{}/{REGION}/{SERVICE}/aws4_request", claim.day);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    if hex(&hmac(&signing_key(&claim.day), &text)) != claim.signature {
        return Err(mismatch(
            "The request signature we calculated does not match the signature you provided. \
             Check your AWS Secret Access Key and signing method. Consult the service documentation for details.",
        ));
    }
    Ok(())
}

/// The Authorization header, taken apart.
struct Claim {
    access_key: String,
    day: String,
    region: String,
    service: String,
    terminator: String,
    signed_headers: Vec<String>,
    signature: String,
}

impl Claim {
    fn parse(authorization: &str) -> Result<Self, Flaw> {
        let rest = authorization
            .strip_prefix("AWS4-HMAC-SHA256 ")
            .ok_or_else(|| incomplete("Unsupported AWS 'algorithm' in the Authorization header."))?;
        let part = |name: &str| {
            let found = rest.split(',').find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            found.ok_or_else(|| incomplete(&format!("Authorization header requires '{name}' parameter.")))
        };
        let credential: Vec<&str> = part("Credential")?.split('/').collect();
        let &[access_key, day, region, service, terminator] = credential.as_slice() else {
            return Err(incomplete("Credential must have exactly 5 slash-delimited elements."));
        };
        Ok(Self {
            access_key: access_key.to_owned(),
            day: day.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            terminator: terminator.to_owned(),
            signed_headers: part("SignedHeaders")?.split(';').map(str::to_owned).collect(),
            signature: part("Signature")?.to_owned(),
        })
    }

    fn check_scope(&self, date: &str) -> Result<(), Flaw> {
        if self.region != REGION {
            let message = format!("Credential should be scoped to a valid Region, not '{}'.", self.region);
            return Err(mismatch(&message));
        }
        if self.service != SERVICE {
            let message = format!("Credential should be scoped to correct service: '{SERVICE}'.");
            return Err(mismatch(&message));
        }
        if self.terminator != "aws4_request" {
            let message = format!(
                "Credential should be scoped with a valid terminator: 'aws4_request', not '{}'.",
                self.terminator
            );
            return Err(mismatch(&message));
        }
        if date.get(..8) != Some(self.day.as_str()) {
            let message = format!(
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{}' != '{date}'.",
                self.day
            );
            return Err(mismatch(&message));
        }
        Ok(())
    }
}

/// Signed must be the host and every header that AWS acts on; what the signature
/// names must be there, sorted.
fn check_signed_headers(request: &Parts, claim: &Claim) -> Result<(), Flaw> {
    let is_signed = |name: &str| claim.signed_headers.iter().any(|signed| signed == name);
    let must_be_signed = request.headers.keys().map(hyper::header::HeaderName::as_str);
    let must_be_signed = must_be_signed.filter(|name| *name == "host" || name.starts_with("x-amz-"));
    let forgotten: Vec<&str> = must_be_signed.filter(|name| !is_signed(name)).collect();
    if !is_signed("host") {
        return Err(mismatch("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."));
    }
    if !forgotten.is_empty() {
        let message = format!(
            "There were headers present in the request which were not signed: {}.",
            forgotten.join(", ")
        );
        return Err(mismatch(&message));
    }
    if let Some(missing) =
        claim.signed_headers.iter().find(|name| !request.headers.contains_key(name.as_str()))
    {
        return Err(mismatch(&format!("The signed header '{missing}' is not in the request.")));
    }
    if !claim.signed_headers.is_sorted() {
        return Err(mismatch("The signed headers are not in alphabetical order."));
    }
    Ok(())
}

fn check_date(date: &str, now: Moment) -> Result<(), Flaw> {
    let signed = Moment::from_basic(date)
        .ok_or_else(|| incomplete(&format!("Date must be in ISO-8601 'basic format'. Got '{date}'.")))?;
    let (earliest, latest) = (now.plus(-TOLERANCE_SECONDS), now.plus(TOLERANCE_SECONDS));
    if signed < earliest {
        let message = format!(
            "Signature expired: {date} is now earlier than {} ({} - 5 min.)",
            earliest.basic(),
            now.basic()
        );
        return Err(mismatch(&message));
    }
    if signed > latest {
        let message = format!(
            "Signature not yet current: {date} is still later than {} ({} + 5 min.)",
            latest.basic(),
            now.basic()
        );
        return Err(mismatch(&message));
    }
    Ok(())
}

fn canonical_request(request: &Parts, claim: &Claim, payload_hash: &str) -> String {
    let mut query: Vec<&str> =
        request.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()).collect();
    query.sort_unstable();
    let query: Vec<String> = query
        .iter()
        .map(|pair| if pair.contains('=') { (*pair).to_owned() } else { format!("{pair}=") })
        .collect();
    let mut headers = String::new();
    for name in &claim.signed_headers {
        let values = request.headers.get_all(name.as_str());
        let values: Vec<String> =
            values.iter().map(|value| trimmed(&String::from_utf8_lossy(value.as_bytes()))).collect();
        headers += &format!("{name}:{}\n", values.join(","));
    }
    format!(
        "{}\n{}\n{}\n{headers}\n{}\n{payload_hash}",
        request.method,
        encoded_path(request.uri.path()),
        query.join("&"),
        claim.signed_headers.join(";"),
    )
}

/// Outside blanks gone, inside ones reduced to one.
fn trimmed(value: &str) -> String {
    value.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

/// The path arrives encoded once; all services but S3 sign it encoded twice.
fn encoded_path(path: &str) -> String {
    let mut encoded = String::new();
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}

fn signing_key(day: &str) -> Vec<u8> {
    let secret = format!("AWS4{SECRET_KEY}");
    [day, REGION, SERVICE, "aws4_request"].iter().fold(secret.into_bytes(), |key, text| hmac(&key, text))
}

fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn header<'a>(request: &'a Parts, name: &str) -> Option<&'a str> {
    request.headers.get(name)?.to_str().ok()
}

fn incomplete(message: &str) -> Flaw {
    Flaw::Incomplete(message.to_owned())
}

fn mismatch(message: &str) -> Flaw {
    Flaw::Mismatch(message.to_owned())
}
