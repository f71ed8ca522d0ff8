//! `linkproof status` and `linkproof check`: the report of the running daemon, from its own port.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use super::{StartError, output, read_config, style};
use crate::cli::{StatusArgs, StatusFormat};
use crate::observation::Status;
use crate::report;

/// The daemon is on this host, and answers within milliseconds.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(200);

/// Longer than a run of an endpoint takes with usual timeouts.
const POLLS: usize = 450;

/// Far beyond the report of the largest estate.
const LONGEST_ANSWER: u64 = 64 << 20;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ask {
    Report,
    CheckNow,
}

pub fn run(args: &StatusArgs, ask: Ask) -> Result<u8, StartError> {
    let address = match args.address {
        Some(address) => address,
        None => read_config(args.config.as_deref()).map_err(StartError::Config)?.web.listen[0],
    };
    let daemon = Daemon { address: reachable(address) };
    if ask == Ask::CheckNow {
        daemon.check_now().map_err(StartError::Status)?;
    }
    let answer = daemon.request("GET", &path(args.format)).map_err(StartError::Status)?;
    let outcome =
        answer.outcome.ok_or(StatusError { address: daemon.address, problem: Problem::NotLinkproof });
    let code = report::exit_code(outcome.map_err(StartError::Status)?);
    match output::print(&harmless(&answer.body)).map_err(StartError::Output) {
        Err(error) if code == report::FAILED => {
            super::print_error(&error);
            Ok(code)
        }
        printed => printed.map(|()| code),
    }
}

/// Without what drives a terminal, but for colors: another program may have taken the port.
fn harmless(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut shown = parts.next().map(plain).unwrap_or_default();
    for part in parts {
        let is_color = part
            .strip_prefix('[')
            .and_then(|rest| rest.split_once('m'))
            .is_some_and(|(numbers, _)| numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'));
        shown.push(if is_color { '\u{1b}' } else { char::REPLACEMENT_CHARACTER });
        shown += &plain(part);
    }
    shown
}

fn plain(text: &str) -> String {
    let drives = |c: char| c.is_control() && c != '\n';
    text.chars().map(|c| if drives(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Where the daemon listens on every address, it answers on loopback.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        // IPv6 may be off, and then the daemon listens on IPv4 only; it takes IPv4 either way.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) | IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn path(format: StatusFormat) -> String {
    match format {
        StatusFormat::Json => "/report?format=json".to_owned(),
        StatusFormat::Junit => "/report?format=junit".to_owned(),
        StatusFormat::Text => {
            let style = style();
            let columns = style.terminal.map(|columns| format!("&columns={columns}")).unwrap_or_default();
            format!("/report?format=text&color={}{columns}", u8::from(style.color))
        }
    }
}

struct Daemon {
    address: SocketAddr,
}

struct Answer {
    outcome: Option<Status>,
    body: String,
}

impl Daemon {
    /// Ends once every check has run after the request.
    fn check_now(&self) -> Result<(), StatusError> {
        let requested = self.request("POST", "/-/check")?.body;
        for _ in 0..POLLS {
            let report = self.request("GET", "/report")?.body;
            let report: Value =
                serde_json::from_str(&report).map_err(|_| self.problem(Problem::NotLinkproof))?;
            if has_run_since(&report, requested.trim()) {
                return Ok(());
            }
            sleep(POLL);
        }
        Err(self.problem(Problem::Unfinished))
    }

    fn request(&self, method: &str, path: &str) -> Result<Answer, StatusError> {
        let text = self.exchange(method, path).map_err(|error| self.problem(Problem::Io(error)))?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| self.problem(Problem::NotLinkproof))?;
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1));
        let status = status.and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| self.problem(Problem::NotLinkproof))?;
        if !(200..300).contains(&status) {
            let reason = body.lines().next().unwrap_or_default().chars().take(200).collect();
            return Err(self.problem(Problem::Refused { status, reason }));
        }
        let outcome = lines.filter_map(|line| line.split_once(':')).find_map(|(name, value)| {
            let is_outcome = name.eq_ignore_ascii_case("linkproof-outcome");
            is_outcome.then(|| Status::ALL.into_iter().find(|status| status.code() == value.trim())).flatten()
        });
        Ok(Answer { outcome, body: body.to_owned() })
    }

    fn exchange(&self, method: &str, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&self.address, CONNECT)?;
        stream.set_read_timeout(Some(ANSWER))?;
        stream.set_write_timeout(Some(ANSWER))?;
        // In one write: a port that speaks TLS refuses the first bytes and closes.
        let request =
            format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nContent-Length: 0\r\n\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let mut bytes = Vec::new();
        match stream.take(LONGEST_ANSWER).read_to_end(&mut bytes) {
            // It closed without having read everything, after its answer.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset && !bytes.is_empty() => {}
            read => drop(read?),
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn problem(&self, problem: Problem) -> StatusError {
        StatusError { address: self.address, problem }
    }
}

/// Times in a report are written alike, so that they compare as text.
fn has_run_since(report: &Value, requested: &str) -> bool {
    let checks = report["checks"].as_array().map(Vec::as_slice).unwrap_or_default();
    checks.iter().all(|check| check["started_at"].as_str().is_some_and(|started| started >= requested))
}

/// Why the daemon's report could not be read.
#[derive(Debug)]
pub struct StatusError {
    address: SocketAddr,
    problem: Problem,
}

#[derive(Debug)]
enum Problem {
    Io(io::Error),
    NotLinkproof,
    Refused { status: u16, reason: String },
    Unfinished,
}

impl fmt::Display for StatusError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = self.address;
        match &self.problem {
            Problem::Io(error) => write!(
                f,
                "cannot ask the daemon at {address}: {error}; check that it runs with: systemctl status linkproof"
            ),
            Problem::NotLinkproof => {
                write!(f, "{address} does not answer as linkproof does; give its address with --address")
            }
            Problem::Refused { status: 400 | 401, reason } => write!(
                f,
                "the daemon at {address} refused: {reason}; this command has no TLS and no password, so use curl \
                 with /report"
            ),
            Problem::Refused { status, reason } => {
                write!(f, "the daemon at {address} answered {status}: {reason}")
            }
            Problem::Unfinished => f.write_str("some checks did not end in time; see linkproof status"),
        }
    }
}

impl std::error::Error for StatusError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_on_every_address_is_asked_on_loopback() {
        for (listen, asked) in [
            ("[::]:10042", "127.0.0.1:10042"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::1]:2", "[::1]:2"),
            ("10.0.0.7:3", "10.0.0.7:3"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn what_a_port_answers_does_not_drive_the_terminal() {
        for (text, shown) in [
            ("\u{1b}[1;31mFAIL\u{1b}[0m: 1 of 7\n", "\u{1b}[1;31mFAIL\u{1b}[0m: 1 of 7\n"),
            ("\u{1b}]0;title\u{7}", "\u{fffd}]0;title\u{fffd}"),
            ("\u{1b}[2Jmuch", "\u{fffd}[2Jmuch"),
            ("\u{1b}", "\u{fffd}"),
            ("fail\rpass\u{9b}1m", "fail\u{fffd}pass\u{fffd}1m"),
        ] {
            assert_eq!(harmless(text), shown, "{text:?}");
        }
    }

    #[test]
    fn a_round_is_over_when_every_check_has_started_since() {
        let report = |second: &str| -> Value {
            let checks =
                ["2026-01-01T00:00:05.000Z", second].map(|at| serde_json::json!({ "started_at": at }));
            serde_json::json!({ "checks": checks })
        };
        let since = "2026-01-01T00:00:04.500Z";
        assert!(has_run_since(&report("2026-01-01T00:00:04.500Z"), since));
        assert!(!has_run_since(&report("2026-01-01T00:00:04.499Z"), since));
        assert!(!has_run_since(&serde_json::json!({ "checks": [{ "started_at": null }] }), since));
    }
}
