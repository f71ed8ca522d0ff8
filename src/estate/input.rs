//! The bytes of a file as JSON documents, or why they are none.

use std::fmt;

use serde_json::error::Category;
use serde_json::value::RawValue;

use super::quote::printable;

/// What is wrong with a file, and where.
#[derive(Debug, Eq, PartialEq)]
pub struct FileError {
    pub file: String,
    /// Line and column, from 1.
    pub place: Option<(usize, usize)>,
    pub problem: Problem,
}

/// A problem and its line and column, before the file is named.
pub type Fault = (Option<(usize, usize)>, Problem);

#[derive(Debug, Eq, PartialEq)]
pub enum Problem {
    Empty,
    NotUtf8,
    NotUtf16,
    Nul,
    /// Packed: the name of the form, and what unpacks it to standard output.
    Packed(&'static str, &'static str),
    Yaml,
    TextOutput,
    BinaryPlan,
    NotJson,
    Cut,
    /// In serde's words.
    Json(String),
    /// JSON, with a value that does not belong there; in serde's words.
    Content(String),
    TooDeep,
    NestedList,
    ListOfValues,
    PartsOfEndpoints,
    RawState,
    TerraformLog,
    Template,
    Associations,
    /// The first keys of the object.
    Unknown(Vec<String>),
    MissingId(usize),
    EmptyState,
    /// In serde's words, of the resource at this address.
    Resource(String, String),
    /// Two descriptions of one endpoint; the second one's address where it has one.
    Conflict {
        id: String,
        address: Option<String>,
        first: Box<Twin>,
    },
}

/// Where the first description of an endpoint is.
#[derive(Debug, Eq, PartialEq)]
pub struct Twin {
    /// Where it is another file.
    pub file: Option<String>,
    pub line: Option<usize>,
    pub address: Option<String>,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", printable(&self.file))?;
        if let Some((line, column)) = self.place {
            write!(f, "line {line}, column {column}: ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const EXPECTED: &str =
            "give the output of `aws ec2 describe-vpc-endpoints` or of `terraform show -json`";
        match self {
            Self::Empty => write!(f, "the file is empty; {EXPECTED}"),
            Self::NotUtf8 => f.write_str("the file is not UTF-8; save it as UTF-8 or UTF-16"),
            Self::NotUtf16 => f.write_str("the file begins as UTF-16 and is not; save it as UTF-8"),
            Self::Nul => f.write_str("the file contains NUL bytes; save it as UTF-8, or as UTF-16 with a byte order mark"),
            Self::Packed(form, unpack) => write!(
                f,
                "the file is packed as {form}; unpack it and give - as FILE: {unpack} FILE | linkproof import -"
            ),
            Self::Yaml => f.write_str("the file is YAML; ask the AWS CLI for --output json"),
            Self::TextOutput => f.write_str("the file is a table or plain text; ask the AWS CLI for --output json"),
            Self::BinaryPlan => f.write_str("the file is a binary plan; give the output of `terraform show -json PLAN`"),
            Self::NotJson => write!(f, "the file is not JSON; {EXPECTED}"),
            Self::Cut => f.write_str("the file ends in the middle; write it again"),
            Self::Content(message) => write!(f, "unexpected content: {}", printable(message)),
            Self::Json(message) => write!(f, "invalid JSON: {}", printable(message)),
            Self::TooDeep => f.write_str("invalid JSON: nested more than 128 levels deep; neither AWS nor Terraform writes such a file"),
            Self::NestedList => f.write_str("a list of lists has no endpoint ids; leave out --query, or ask for --query VpcEndpoints"),
            Self::ListOfValues => f.write_str("a list of plain values has no endpoint ids; leave out --query, or ask for --query VpcEndpoints"),
            Self::PartsOfEndpoints => f.write_str("the objects are parts of endpoints without their ids; leave out --query, or ask for --query VpcEndpoints"),
            Self::RawState => f.write_str("this is a raw Terraform state; give the output of `terraform show -json`"),
            Self::TerraformLog => f.write_str("this is the log of a Terraform command; give the output of `terraform show -json`"),
            Self::Template => f.write_str("a CloudFormation template has no DNS names; give the output of `aws ec2 describe-vpc-endpoints`"),
            Self::Associations => f.write_str("the names of resource endpoints are not supported; give the output of `aws ec2 describe-vpc-endpoints`"),
            Self::Unknown(keys) if keys.is_empty() => write!(f, "an empty object has no endpoints; {EXPECTED}"),
            Self::Unknown(keys) => {
                let keys: Vec<String> = keys.iter().map(|key| format!("\"{}\"", printable(key))).collect();
                write!(f, "unknown kind of object with the keys {}; {EXPECTED}", keys.join(", "))
            }
            Self::MissingId(number) => write!(f, "endpoint {number} has no VpcEndpointId; leave out --query"),
            Self::EmptyState => f.write_str("the Terraform state is empty; choose the workspace or directory that creates the endpoints"),
            Self::Resource(address, message) => {
                write!(f, "invalid values of {}: {}", printable(address), printable(message))
            }
            Self::Conflict { id, address, first } => {
                let at = address.iter().map(|address| format!(" at {}", printable(address))).collect::<String>();
                let remedy = if first.file.is_some() { "give only the newer file" } else { "remove one of the two" };
                write!(f, "{}{at} differs from the endpoint of the same id {first}; {remedy}", printable(id))
            }
        }
    }
}

impl fmt::Display for Twin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.as_deref().map(printable);
        match (&self.address, self.line, file) {
            (Some(address), _, Some(file)) => write!(f, "at {} in {file}", printable(address)),
            (Some(address), _, None) => write!(f, "at {}", printable(address)),
            (None, Some(line), Some(file)) => write!(f, "in line {line} of {file}"),
            (None, Some(line), None) => write!(f, "in line {line}"),
            (None, None, file) => write!(f, "in {}", file.as_deref().unwrap_or("this file")),
        }
    }
}

impl std::error::Error for FileError {}

/// UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.
pub fn decode(bytes: &[u8]) -> Result<String, Fault> {
    let utf16 = |unit: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
        let text: Result<String, _> = char::decode_utf16(units).collect();
        let is_even = bytes.len().is_multiple_of(2);
        text.ok().filter(|_| is_even).ok_or((None, Problem::NotUtf16))
    };
    if let Some(packed) = packed(bytes) {
        return Err((None, packed));
    }
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(u16::from_le_bytes, rest)?,
        [0xfe, 0xff, rest @ ..] => utf16(u16::from_be_bytes, rest)?,
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            let text = str::from_utf8(bytes).map_err(|error| {
                if bytes.contains(&0) {
                    return (None, Problem::Nul);
                }
                let valid = str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                (Some(place(valid)), Problem::NotUtf8)
            })?;
            text.to_owned()
        }
    };
    if text.contains('\0') {
        return Err((None, Problem::Nul));
    }
    Ok(text)
}

/// By the first bytes. A binary plan of Terraform is a ZIP archive that has a file `tfplan`.
fn packed(bytes: &[u8]) -> Option<Problem> {
    const FORMS: [(&[u8], &str, &str); 6] = [
        (b"\x1f\x8b", "gzip", "gzip -dc"),
        (b"PK\x03\x04", "ZIP", "unzip -p"),
        (b"\x28\xb5\x2f\xfd", "zstd", "zstd -dc"),
        (b"\xfd7zXZ\0", "xz", "xz -dc"),
        (b"BZh", "bzip2", "bzip2 -dc"),
        (b"\x04\x22\x4d\x18", "lz4", "lz4 -dc"),
    ];
    let (_, form, unpack) = FORMS.into_iter().find(|(magic, ..)| bytes.starts_with(magic))?;
    let plan = b"tfplan";
    let is_plan = || bytes.windows(plan.len()).any(|window| window == plan);
    Some(if form == "ZIP" && is_plan() { Problem::BinaryPlan } else { Problem::Packed(form, unpack) })
}

/// The line and column, from 1, after `before`.
fn place(before: &str) -> (usize, usize) {
    let line = before.matches('\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before.len() - start + 1)
}

/// Counts on from place to place: a file may hold very many documents.
#[derive(Debug)]
struct Counter {
    at: usize,
    line: usize,
    column: usize,
}

impl Counter {
    fn advance(&mut self, text: &str, to: usize) {
        let (lines, column) = place(&text[self.at..to]);
        self.column = if lines == 1 { self.column + column - 1 } else { column };
        self.line += lines - 1;
        self.at = to;
    }
}

/// One document of the text and where it begins.
#[derive(Clone, Copy, Debug)]
pub struct Document<'a> {
    pub raw: &'a RawValue,
    line: usize,
    column: usize,
}

impl<'a> Document<'a> {
    pub fn parse<T: serde::Deserialize<'a>>(self) -> Result<T, Fault> {
        serde_json::from_str(self.raw.get()).map_err(|error| {
            let column = match error.line() {
                1 => self.column + error.column().saturating_sub(1),
                _ => error.column().max(1),
            };
            (Some((self.line + error.line() - 1, column)), json_problem(&error))
        })
    }

    pub fn place(self) -> (usize, usize) {
        (self.line, self.column)
    }

    /// The items of a list, each with its own place.
    pub fn items(self) -> Result<Vec<Self>, Fault> {
        let items: Vec<&RawValue> = self.parse()?;
        Ok(self.parts(items))
    }

    /// Parts of it in their order, each with its own place.
    pub fn parts(self, parts: impl IntoIterator<Item = &'a RawValue>) -> Vec<Self> {
        let text = self.raw.get();
        let mut place = Counter { at: 0, line: self.line, column: self.column };
        let part = |raw: &'a RawValue| {
            // It is a part of the text, so the distance is its offset.
            place.advance(text, raw.get().as_ptr().addr() - text.as_ptr().addr());
            Self { raw, line: place.line, column: place.column }
        };
        parts.into_iter().map(part).collect()
    }
}

/// A file may hold several documents, one after the other: pages that were appended.
pub fn documents(text: &str) -> Result<Vec<Document<'_>>, Fault> {
    let start = text.trim_ascii_start();
    if start.is_empty() {
        return Err((None, Problem::Empty));
    }
    if !start.starts_with(['{', '[']) {
        return Err((None, no_json(start)));
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut documents = Vec::new();
    let mut place = Counter { at: 0, line: 1, column: 1 };
    while let Some(next) = stream.next() {
        let raw =
            next.map_err(|error| (Some((error.line(), error.column().max(1))), json_problem(&error)))?;
        place.advance(text, stream.byte_offset() - raw.get().len());
        documents.push(Document { raw, line: place.line, column: place.column });
    }
    Ok(documents)
}

fn no_json(start: &str) -> Problem {
    let first = start.lines().next().unwrap_or_default().trim_end();
    let is_key = |line: &str| {
        let name = line.strip_suffix(':').or_else(|| line.split_once(": ").map(|(name, _)| name));
        name.is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        })
    };
    if first.starts_with("----") || first.starts_with("VPCENDPOINTS") || first.starts_with('|') {
        Problem::TextOutput
    } else if first == "---" || first.starts_with("- ") || is_key(first) {
        Problem::Yaml
    } else {
        Problem::NotJson
    }
}

fn json_problem(error: &serde_json::Error) -> Problem {
    let message = json_message(error);
    match error.classify() {
        Category::Eof => Problem::Cut,
        Category::Data => Problem::Content(message),
        Category::Syntax | Category::Io if message.starts_with("recursion limit exceeded") => {
            Problem::TooDeep
        }
        Category::Syntax | Category::Io => Problem::Json(message),
    }
}

/// Without serde's own place, which counts from the start of a part.
pub fn json_message(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let suffix = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&suffix).unwrap_or(&message).to_owned()
}
