//! /etc/resolv.conf, as the GNU C library reads it (res_init.c), which skips what it does not
//! understand without a word.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use crate::observation::FileProblem;

/// MAXNS of resolv.h.
const MOST_SERVERS: usize = 3;

/// In UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Names that are tried for one that is looked up; we look at no more.
const MOST_SUFFIXES: usize = 6;

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the file")]
pub struct ResolvConf {
    pub servers: Vec<SocketAddr>,
    /// `None` where the file has no such line.
    pub search: Option<Vec<String>>,
    pub ndots: u32,
    pub rotate: bool,
    pub use_vc: bool,
    pub single_request: bool,
    pub edns0: bool,
    pub timeout: u32,
    pub attempts: u32,
    pub ignored: Vec<FileProblem>,
}

impl ResolvConf {
    pub fn parse(content: &[u8]) -> Self {
        let mut conf = Self {
            servers: vec![],
            search: None,
            ndots: 1,
            rotate: false,
            use_vc: false,
            single_request: false,
            edns0: false,
            timeout: 5,
            attempts: 2,
            ignored: vec![],
        };
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            conf.line(index + 1, line);
        }
        conf
    }

    /// As the library does after the file: `LOCALDOMAIN` replaces the search list, and `RES_OPTIONS`
    /// adds options (resolver(5)). The lookup process has the same environment.
    pub fn with_environment(mut self, local_domain: Option<&[u8]>, options: Option<&[u8]>) -> Self {
        if let Some(list) = local_domain {
            let line = list.split(|byte| *byte == b'\n').next().unwrap_or_default();
            // The list begins where the value does, if need be with an empty name: the root.
            let root = matches!(line.first(), None | Some(b' ' | b'\t')).then_some(&b""[..]);
            let names = root.into_iter().chain(words(line));
            self.search = Some(names.take(MOST_SUFFIXES).map(super::text).collect());
        }
        words(options.unwrap_or_default()).for_each(|option| self.option(option));
        self
    }

    fn line(&mut self, number: usize, line: &[u8]) {
        // To the library the line ends there.
        let line = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
        let (keyword, rest) = line.split_at(end);
        match keyword {
            b"nameserver" if !rest.is_empty() => self.server(number, rest),
            b"search" => self.search = Some(words(rest).take(MOST_SUFFIXES).map(super::text).collect()),
            b"domain" => self.search = Some(words(rest).take(1).map(super::text).collect()),
            b"options" => words(rest).for_each(|option| self.option(option)),
            _ => self.missed(number, line),
        }
    }

    fn server(&mut self, number: usize, rest: &[u8]) {
        let word = words(rest).next().unwrap_or_default();
        match str::from_utf8(word).ok().and_then(server) {
            Some(server) if self.servers.len() < MOST_SERVERS => self.servers.push(server),
            Some(_) => {}
            None if word.ends_with(b"\r") => self.ignore(number, "it ends in CR LF, as on Windows"),
            None => self.ignore(number, "it does not name an IP address"),
        }
    }

    /// A line that was meant to name a server, and does not begin with that word alone.
    fn missed(&mut self, number: usize, line: &[u8]) {
        const KEYWORD: &[u8] = b"nameserver";
        let without_mark = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
        let trimmed = without_mark.trim_ascii_start();
        let Some(keyword) = trimmed.get(..KEYWORD.len()) else { return };
        let why = match keyword {
            _ if !keyword.eq_ignore_ascii_case(KEYWORD) => return,
            _ if without_mark != line => "it begins with a byte order mark, as on Windows",
            _ if trimmed != line => "it begins with a space",
            KEYWORD => "no space or tab follows the word nameserver",
            _ => "nameserver must be in small letters",
        };
        self.ignore(number, why);
    }

    fn ignore(&mut self, line: usize, why: &'static str) {
        // The first few show what is wrong.
        if self.ignored.len() < MOST_SERVERS {
            self.ignored.push(FileProblem::IgnoredServer { path: super::RESOLV_CONF, line, why });
        }
    }

    fn option(&mut self, option: &[u8]) {
        let number = |name: &[u8], most: u32| {
            let digits = option.strip_prefix(name)?;
            let end = digits.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(digits.len());
            // As atoi: no digits are zero.
            Some(str::from_utf8(&digits[..end]).ok()?.parse().unwrap_or(0).min(most))
        };
        if let Some(ndots) = number(b"ndots:", 15) {
            self.ndots = ndots;
        } else if let Some(timeout) = number(b"timeout:", 30) {
            self.timeout = timeout;
        } else if let Some(attempts) = number(b"attempts:", 5) {
            self.attempts = attempts;
        } else if option.starts_with(b"rotate") {
            self.rotate = true;
        } else if option.starts_with(b"use-vc") {
            self.use_vc = true;
        } else if option.starts_with(b"edns0") {
            self.edns0 = true;
        } else if option.starts_with(b"single-request") {
            // The longer word is another option.
            self.single_request |= !option.starts_with(b"single-request-reopen");
        }
    }
}

/// Only a space and a tab part words here; a carriage return belongs to them.
fn words(rest: &[u8]) -> impl Iterator<Item = &[u8]> {
    rest.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty())
}

fn server(word: &str) -> Option<SocketAddr> {
    if let Some(ip) = ipv4(word) {
        return Some(SocketAddr::new(IpAddr::V4(ip), 53));
    }
    let (address, scope) = word.split_once('%').map_or((word, None), |(ip, scope)| (ip, Some(scope)));
    let ip: Ipv6Addr = address.parse().ok()?;
    let scope = scope.map_or(Some(0), |scope| interface(scope).or_else(|| scope.parse().ok()))?;
    Some(SocketAddr::V6(SocketAddrV6::new(ip, 53, 0, scope)))
}

/// As inet_aton(3): `10.2` is 10.0.0.2, and `010.0.0.2` begins with an octal number.
fn ipv4(word: &str) -> Option<Ipv4Addr> {
    let numbers: Vec<u32> = word.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    if first.len() > 3 || first.iter().any(|number| *number > 0xff) {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).fold(0, |ip, (number, shift)| ip | (number << shift));
    let room = u32::MAX.checked_shr(8 * u32::try_from(first.len()).ok()?)?;
    (*last <= room).then_some(Ipv4Addr::from(high | last))
}

/// In C's notation.
fn number(digits: &str) -> Option<u32> {
    let hex = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let (digits, radix) = match hex {
        Some(hex) => (hex, 16),
        None if digits.starts_with('0') => (digits, 8),
        None => (digits, 10),
    };
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, radix).ok())?
}

/// The number of an interface.
fn interface(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(text: &str) -> Vec<String> {
        ResolvConf::parse(text.as_bytes()).servers.iter().map(ToString::to_string).collect()
    }

    fn ignored(text: &str) -> Vec<String> {
        ResolvConf::parse(text.as_bytes()).ignored.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn servers_come_in_the_order_of_the_file_and_three_at_most() {
        let text =
            "search corp\nnameserver 10.0.0.2 # VPC\nnameserver\tfd00:ec2::253\nnameserver fe80::1%1\n";
        assert_eq!(servers(text), ["10.0.0.2:53", "[fd00:ec2::253]:53", "[fe80::1%1]:53"]);
        assert_eq!(servers(&text.repeat(2)).len(), 3);
        assert_eq!(servers("nameserver fe80::1%lo\n"), ["[fe80::1%1]:53"]);
        assert!(servers("nonsense\n;nameserver 10.0.0.2\n#nameserver 10.0.0.2\n").is_empty());
    }

    #[test]
    fn ipv4_addresses_are_read_as_inet_aton_reads_them() {
        for (word, server) in [
            ("127.000.001.001", Some("127.0.1.1:53")),
            ("10.2", Some("10.0.0.2:53")),
            ("10.0.2", Some("10.0.0.2:53")),
            ("167772162", Some("10.0.0.2:53")),
            ("0xa.0.0.010", Some("10.0.0.8:53")),
            ("0", Some("0.0.0.0:53")),
            ("10.0.0.2#x", None),
            ("10.0.0.08", None),
            ("10.0.0.256", None),
            ("10.256.2", None),
            ("10.0.65536", None),
            ("1.2.3.4.5", None),
            ("+1.2.3.4", None),
            ("0x.0.0.1", None),
            ("10..2", None),
            ("4294967296", None),
        ] {
            assert_eq!(
                servers(&format!("nameserver {word}\n")),
                server.into_iter().collect::<Vec<_>>(),
                "{word}"
            );
        }
    }

    #[test]
    fn lines_that_the_library_ignores_are_told_with_their_number() {
        assert_eq!(
            ignored("search a\r\nnameserver 10.0.0.2\r\n nameserver 10.0.0.2\nnameserver 10.0.0.256\n"),
            [
                "the C library ignores line 2 of /etc/resolv.conf: it ends in CR LF, as on Windows",
                "the C library ignores line 3 of /etc/resolv.conf: it begins with a space",
                "the C library ignores line 4 of /etc/resolv.conf: it does not name an IP address",
            ]
        );
        for (line, why) in [
            ("Nameserver 10.0.0.2", "nameserver must be in small letters"),
            ("nameserver=10.0.0.2", "no space or tab follows the word nameserver"),
            ("nameservers 10.0.0.2", "no space or tab follows the word nameserver"),
            ("\u{feff}nameserver 10.0.0.2", "it begins with a byte order mark, as on Windows"),
            ("\tNAMESERVER 10.0.0.2", "it begins with a space"),
            ("nameserver ", "it does not name an IP address"),
        ] {
            assert_eq!(
                ignored(line),
                [format!("the C library ignores line 1 of /etc/resolv.conf: {why}")],
                "{line}"
            );
        }
        for read in
            ["nameserver 10.0.0.2 trailing words\n# nameserver\n;nameserver", "nameserver 10.0.0.2\0x\n"]
        {
            assert!(ignored(read).is_empty() && servers(read) == ["10.0.0.2:53"], "{read}");
        }
    }

    #[test]
    fn the_last_search_list_and_the_options_count() {
        let conf = ResolvConf::parse(
            b"domain a.b\nsearch (none) c.d\noptions ndots:5 rotate timeout:99\noptions attempts:x use-vc edns0\n",
        );
        assert_eq!(conf.search, Some(vec!["(none)".to_owned(), "c.d".to_owned()]));
        assert_eq!((conf.ndots, conf.timeout, conf.attempts), (5, 30, 0));
        assert!(conf.rotate && conf.use_vc && conf.edns0 && !conf.single_request);
        let environment = ResolvConf::parse(b"search a.b\nnameserver 10.0.0.2\n")
            .with_environment(Some(b"c.d e.f"), Some(b"rotate ndots:3"));
        assert_eq!(environment.search, Some(vec!["c.d".to_owned(), "e.f".to_owned()]));
        assert!(environment.rotate && environment.ndots == 3 && environment.servers.len() == 1);
        let search = |list: &[u8]| ResolvConf::parse(b"").with_environment(Some(list), None).search.unwrap();
        assert_eq!(
            (search(b""), search(b"\ta.b"), search(b"a.b\nc.d")),
            (vec![String::new()], vec![String::new(), "a.b".to_owned()], vec!["a.b".to_owned()])
        );
        let plain = ResolvConf::parse(b"").with_environment(None, None);
        assert_eq!((plain.search, plain.ndots, plain.timeout, plain.attempts), (None, 1, 5, 2));
    }
}
