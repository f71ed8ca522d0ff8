//! Requests that a browser sends on behalf of another site's page. A scraper is not a browser: none of
//! this applies to it, whatever name it uses for this host.

use std::net::IpAddr;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::{Method, StatusCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Scripts cannot keep a browser from sending the first of these. Prometheus, curl and the health
/// checks of load balancers send none of them.
const OF_BROWSERS: [HeaderName; 3] = [header::ACCEPT_LANGUAGE, header::ORIGIN, SEC_FETCH_SITE];

/// Top-level names that cannot be registered, so that no outsider can point one at this host.
const RESERVED: [&str; 3] = [".localhost", ".internal", ".local"];

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Foreign {
    /// A page of another site wants to change something here.
    CrossSite,
    /// A page under a name that may have been pointed at this host after it was loaded (DNS
    /// rebinding): the browser takes us for that page's own server, and lets it read the answer.
    UnknownHost,
}

impl Foreign {
    pub fn status(self) -> StatusCode {
        match self {
            Self::CrossSite => StatusCode::FORBIDDEN,
            Self::UnknownHost => StatusCode::MISDIRECTED_REQUEST,
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::CrossSite => "cross-site requests cannot change anything here",
            Self::UnknownHost => {
                "unknown host name; use an IP address, localhost, this host's own name, or https"
            }
        }
    }
}

/// `is_tls`: then the browser has compared the name with the certificate.
pub fn check(method: &Method, headers: &HeaderMap, is_tls: bool, host_name: &str) -> Result<(), Foreign> {
    let reads = *method == Method::GET || *method == Method::HEAD;
    if !reads && is_cross_site(headers) {
        return Err(Foreign::CrossSite);
    }
    let is_browser = OF_BROWSERS.iter().any(|name| headers.contains_key(name));
    if is_browser && !is_tls && !is_known_host(text(headers, &header::HOST), host_name) {
        return Err(Foreign::UnknownHost);
    }
    Ok(())
}

fn is_cross_site(headers: &HeaderMap) -> bool {
    let site_is_other =
        headers.get(SEC_FETCH_SITE).is_some_and(|site| site != "same-origin" && site != "none");
    let origin_is_other = headers.contains_key(header::ORIGIN) && {
        let origin = text(headers, &header::ORIGIN).and_then(|origin| origin.split_once("://"));
        let host = text(headers, &header::HOST).unwrap_or_default();
        !origin.is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host))
    };
    site_is_other || origin_is_other
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn is_known_host(authority: Option<&str>, host_name: &str) -> bool {
    let Some(host) = authority.map(without_port) else { return false };
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let is_literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    // A single label is completed by this network's own search list.
    let is_single = !host.is_empty() && !host.contains('.');
    is_literal
        || is_single
        || host.eq_ignore_ascii_case(host_name)
        || RESERVED.iter().any(|suffix| host.ends_with(suffix))
}

fn without_port(authority: &str) -> &str {
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.ends_with(':') => host,
        Some(_) | None => authority,
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        lines.iter().map(header).collect()
    }

    #[test]
    fn only_pages_of_this_server_change_anything() {
        let host = ("host", "10.0.1.23:10042");
        for (lines, allowed) in [
            (vec![host], true),
            (vec![host, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("sec-fetch-site", "none")], true),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
            (vec![host, ("origin", "http://10.0.1.23:10042")], true),
            (vec![host, ("origin", "http://10.0.1.23:8080")], false),
            (vec![host, ("origin", "https://evil.example")], false),
            (vec![host, ("origin", "null")], false),
        ] {
            let expected = if allowed { Ok(()) } else { Err(Foreign::CrossSite) };
            assert_eq!(check(&Method::POST, &headers(&lines), false, "web-1"), expected, "{lines:?}");
        }
        let link = [host, ("sec-fetch-site", "cross-site")];
        assert_eq!(check(&Method::GET, &headers(&link), false, "web-1"), Ok(()), "a link may lead here");
    }

    #[test]
    fn browsers_need_a_name_that_no_outsider_can_point_here() {
        for (host, known) in [
            ("10.0.1.23:10042", true),
            ("[2001:db8::1]:10042", true),
            ("[::1]", true),
            ("localhost:10042", true),
            ("ip-10-0-1-23", true),
            ("IP-10-0-1-23.ec2.internal.:10042", true),
            ("ip-10-0-1-23.eu-west-1.compute.internal", true),
            ("web-1.corp.example:10042", true),
            ("evil.example:10042", false),
            ("10.0.1.23.evil.example", false),
            ("web-1.corp.example.evil.example", false),
            ("internal.evil.example", false),
            ("", false),
        ] {
            let lines = [("host", host), ("accept-language", "en")];
            let expected = if known { Ok(()) } else { Err(Foreign::UnknownHost) };
            let checked = |is_tls| check(&Method::GET, &headers(&lines), is_tls, "web-1.corp.example");
            assert_eq!(checked(false), expected, "{host}");
            assert_eq!(checked(true), Ok(()), "{host}: its certificate vouches for the name");
            let scraper = check(&Method::GET, &headers(&lines[..1]), false, "web-1.corp.example");
            assert_eq!(scraper, Ok(()), "{host}: a scraper may use any name");
        }
        assert_eq!(
            check(&Method::GET, &headers(&[("accept-language", "en")]), false, ""),
            Err(Foreign::UnknownHost)
        );
    }
}
