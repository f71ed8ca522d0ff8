//! AWS's error in an answer, whichever of its protocols wrote it: an old service, a gateway or a
//! proxy of AWS's own may answer in another one than it was asked in.

use hyper::HeaderMap;
use minicbor::Decoder;
use minicbor::data::Type;

use super::connector::Answer;
use crate::observation::AwsError;

/// `None` where nothing in the answer is of AWS's shape.
pub fn read(answer: &Answer) -> Option<AwsError> {
    if (200..300).contains(&answer.status) {
        return None;
    }
    let (code, message) = by_body(&answer.body);
    let code = by_headers(&answer.headers).or(code)?;
    let code = plain(&code).filter(|code| is_code(code))?;
    Some(AwsError::new(code, &message.unwrap_or_default()))
}

/// `AccessDenied;Sender` for clients of the Query protocol, `AccessDeniedException:http://..` for others.
fn by_headers(headers: &HeaderMap) -> Option<String> {
    ["x-amzn-query-error", "x-amzn-errortype"].into_iter().find_map(|name| {
        let value = headers.get(name)?.to_str().ok()?;
        value.split(';').next().map(str::to_owned)
    })
}

/// `com.amazonaws.cloudwatch#AccessDenied` and `AccessDeniedException:http://..` without what is around it.
fn plain(code: &str) -> Option<&str> {
    code.rsplit('#').next()?.split(':').next().map(str::trim)
}

fn is_code(code: &str) -> bool {
    !code.is_empty() && code.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

type Fields = (Option<String>, Option<String>);

fn by_body(body: &[u8]) -> Fields {
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => by_json(body),
        Some(b'<') => by_xml(body),
        Some(_) => by_cbor(body).unwrap_or_default(),
        None => (None, None),
    }
}

fn by_json(body: &[u8]) -> Fields {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let field = |names: &[&str]| names.iter().find_map(|name| value.get(name)?.as_str().map(str::to_owned));
    (field(&["__type", "code", "Code"]), field(&["message", "Message", "errorMessage"]))
}

/// `<ErrorResponse><Error><Code>`, and `<Response><Errors><Error><Code>` of EC2. A page of another
/// kind has no such elements.
fn by_xml(body: &[u8]) -> Fields {
    let text = String::from_utf8_lossy(body);
    let Some((_, error)) = text.split_once("<Error>") else { return (None, None) };
    let element = |name: &str| {
        let (_, rest) = error.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        Some(unescaped(text))
    };
    (element("Code"), element("Message"))
}

fn unescaped(text: &str) -> String {
    let entities = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.trim().to_owned(), |text, (entity, c)| text.replace(entity, c))
}

fn by_cbor(body: &[u8]) -> Option<Fields> {
    let mut decoder = Decoder::new(body);
    let mut left = decoder.map().ok()?;
    let (mut code, mut message) = (None, None);
    while more(&mut decoder, &mut left)? {
        match decoder.str().ok()? {
            "__type" | "code" => code = decoder.str().ok().map(str::to_owned),
            "message" | "Message" => message = decoder.str().ok().map(str::to_owned),
            _ => decoder.skip().ok()?,
        }
    }
    Some((code, message))
}

/// Whether another item follows in a list or map, of a length that is given or open.
pub fn more(decoder: &mut Decoder<'_>, left: &mut Option<u64>) -> Option<bool> {
    match left {
        Some(0) => Some(false),
        Some(left) => {
            *left -= 1;
            Some(true)
        }
        None if decoder.datatype().ok()? == Type::Break => {
            decoder.skip().ok()?;
            Some(false)
        }
        None => Some(true),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use minicbor::Encoder;

    use super::*;

    fn answer(body: impl Into<Vec<u8>>) -> Answer {
        Answer { status: 403, headers: HeaderMap::new(), body: body.into().into() }
    }

    fn cbor() -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        encoder.map(2).unwrap().str("__type").unwrap().str("com.amazonaws.cloudwatch#AccessDenied").unwrap();
        encoder.str("message").unwrap().str("no").unwrap();
        encoder.into_writer()
    }

    #[test]
    fn every_protocol_of_aws_is_read() {
        let expected = Some(AwsError::new("AccessDenied", "no"));
        assert_eq!(read(&answer(cbor())), expected);
        for body in [
            r#"{"__type":"com.amazonaws.cloudwatch#AccessDenied","message":"no"}"#,
            r#"{"code":"AccessDenied","Message":"no"}"#,
            "<ErrorResponse xmlns=\"http://a/\">\n <Error><Type>Sender</Type><Code>AccessDenied</Code>\
             <Message>no</Message></Error><RequestId>1</RequestId></ErrorResponse>",
            "<?xml version=\"1.0\"?><Response><Errors><Error><Code>AccessDenied</Code><Message>no</Message></Error></Errors></Response>",
        ] {
            assert_eq!(read(&answer(body)), expected, "{body}");
        }
        let mut by_header = answer("");
        for (name, value) in
            [("x-amzn-errortype", "AccessDenied:http://a/"), ("x-amzn-query-error", "AccessDenied;Sender")]
        {
            by_header.headers.insert(name, HeaderValue::from_static(value));
            assert_eq!(read(&by_header), Some(AwsError::new("AccessDenied", "")));
        }
    }

    #[test]
    fn other_answers_have_no_error_of_aws() {
        for body in ["", "<html><h1>Forbidden</h1></html>", r#"{"error":"Forbidden"}"#, "\u{7f}", "[]", "{"] {
            assert_eq!(read(&answer(body)), None, "{body}");
        }
        let fine = Answer { status: 200, ..answer(cbor()) };
        assert_eq!(read(&fine), None);
    }

    #[test]
    fn entities_are_characters() {
        let body = "<ErrorResponse><Error><Code>A</Code><Message>a &lt;b&gt; &amp;amp;</Message></Error></ErrorResponse>";
        assert_eq!(read(&answer(body)).unwrap().message, "a <b> &amp;");
    }

    #[test]
    fn endless_and_nested_documents_end() {
        for body in
            [vec![0xbf_u8; 65_536], vec![0x9f; 65_536], vec![0xa1, 0x61, b'a', 0x9b, 0xff, 0xff, 0xff]]
        {
            assert_eq!(read(&answer(body)), None);
        }
    }
}
