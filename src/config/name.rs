//! Host names: what can be asked of DNS and presented to TLS.

use std::net::IpAddr;

/// RFC 1035, without the root's dot.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// The name in lower case and without its trailing dot, or why it is none.
pub fn host_name(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    if text.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        return Err(format!("{text:?} is an IP address; use the name that resolves to it"));
    }
    if name.contains('*') {
        return Err(format!("{text:?} is a wildcard; use one name that it covers"));
    }
    if name.contains('/') {
        return Err(format!("{text:?} is a URL; use the host alone"));
    }
    if name.contains(':') {
        return Err(format!("{text:?} contains a port; use the host alone"));
    }
    if !name.is_ascii() {
        return Err(format!("{text:?} is not ASCII; write it as in DNS, with xn-- labels"));
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("the name has {} characters; DNS allows {LONGEST_NAME}", name.len()));
    }
    if let Some(why) = name.split('.').find_map(wrong_label) {
        return Err(format!("invalid host name {text:?}: {why}"));
    }
    // The C library reads `10.0.313` and `0x0a.1` as addresses (inet_aton(3)), without asking a name server.
    if name.rsplit('.').next().is_some_and(is_number) {
        return Err(format!("{text:?} ends in a number, which is read as an IP address; use a name"));
    }
    if !name.contains('.') {
        return Err(format!("{text:?} is not fully qualified; add its domain"));
    }
    Ok(name)
}

fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || label.bytes().all(|b| b.is_ascii_digit())
}

fn wrong_label(label: &str) -> Option<String> {
    // The underscore is not LDH, but real names have it.
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    if label.is_empty() {
        return Some("it has an empty label".to_owned());
    }
    if label.len() > LONGEST_LABEL {
        return Some(format!("a label has {} characters; DNS allows {LONGEST_LABEL}", label.len()));
    }
    if !label.bytes().all(is_allowed) {
        return Some(format!(
            "{label:?} contains characters other than letters, digits, hyphens and underscores"
        ));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some(format!("{label:?} begins or ends with a hyphen"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_as_dns_knows_them() {
        for (text, name) in [
            ("api.partner.example", "api.partner.example"),
            ("API.Partner.Example.", "api.partner.example"),
            (
                "vpce-0ab-1.monitoring.us-east-1.vpce.amazonaws.com",
                "vpce-0ab-1.monitoring.us-east-1.vpce.amazonaws.com",
            ),
            ("_x.example", "_x.example"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com", "123456789012.dkr.ecr.us-east-1.amazonaws.com"),
        ] {
            assert_eq!(host_name(text).as_deref(), Ok(name));
        }
        let longest = format!("{}.{}", ["a"; 95].join("."), "b".repeat(63));
        assert_eq!(longest.len(), 253);
        assert!(host_name(&longest).is_ok());
        assert!(host_name(&format!("{longest}.")).is_ok());
    }

    #[test]
    fn what_is_no_name_is_refused_with_the_reason() {
        let long = format!("{}.example", "a".repeat(64));
        let too_long = ["abcdefg"; 32].join(".");
        for (text, why) in [
            ("10.0.0.1", r#""10.0.0.1" is an IP address; use the name that resolves to it"#),
            ("10.0.313", r#""10.0.313" ends in a number, which is read as an IP address; use a name"#),
            ("0x0a.0x139", r#""0x0a.0x139" ends in a number, which is read as an IP address; use a name"#),
            ("[::1]", r#""[::1]" is an IP address; use the name that resolves to it"#),
            ("*.s3.amazonaws.com", r#""*.s3.amazonaws.com" is a wildcard; use one name that it covers"#),
            ("https://x.example/", r#""https://x.example/" is a URL; use the host alone"#),
            ("x.example:443", r#""x.example:443" contains a port; use the host alone"#),
            ("bücher.example", r#""bücher.example" is not ASCII; write it as in DNS, with xn-- labels"#),
            ("x..example", r#"invalid host name "x..example": it has an empty label"#),
            ("", r#"invalid host name "": it has an empty label"#),
            (".", r#"invalid host name ".": it has an empty label"#),
            ("-x.example", r#"invalid host name "-x.example": "-x" begins or ends with a hyphen"#),
            ("x-.example", r#"invalid host name "x-.example": "x-" begins or ends with a hyphen"#),
            (
                "a b.example",
                r#"invalid host name "a b.example": "a b" contains characters other than letters, digits, hyphens and underscores"#,
            ),
            ("partner", r#""partner" is not fully qualified; add its domain"#),
            (&long, &format!("invalid host name {long:?}: a label has 64 characters; DNS allows 63")),
            (&too_long, "the name has 255 characters; DNS allows 253"),
        ] {
            assert_eq!(host_name(text).as_ref().map_err(String::as_str), Err(why));
        }
    }
}
