//! What this host's files say about how names are looked up: read to explain what a lookup
//! returned, never to predict it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Serialize, Serializer};

/// resolv.conf, nsswitch.conf and hosts, as far as they concern one name.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of a file")]
pub struct HostFiles {
    /// The name servers of resolv.conf that the library asks, three at most.
    pub servers: Vec<SocketAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    pub ndots: u32,
    pub rotate: bool,
    pub use_vc: bool,
    /// A and AAAA are asked one after the other.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub single_request: bool,
    /// Each question has EDNS, and a server that drops it is silent.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub edns0: bool,
    /// For one try at one server, in seconds.
    pub timeout: u32,
    pub attempts: u32,
    /// The services of the `hosts` line of nsswitch.conf; empty if there is no such line.
    pub sources: Vec<String>,
    /// The line goes on to the next service after one that has found the name.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub merges: bool,
    /// The line may end the lookup after a service that has failed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub returns: bool,
    /// An action of the line by which a lookup may end without what DNS says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diverting: Option<NsswitchAction>,
    /// What /etc/hosts says for the name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostsEntry>,
    /// nscd answers lookups, and remembers.
    pub nscd: bool,
    /// What the resolver on this host asks in turn, where resolv.conf lists one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<IpAddr>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<FileProblem>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct HostsEntry {
    pub line: usize,
    pub address: IpAddr,
}

/// What nsswitch.conf says to do after a service, by how that ended.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NsswitchAction {
    pub line: usize,
    pub service: String,
    pub action: String,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum FileProblem {
    /// The user of this service may not read it; root's applications may.
    Unreadable { path: &'static str, error: String, mode: Option<u32> },
    /// The user of this service can read it; most others cannot.
    UnreadableToOthers { path: &'static str, mode: u32 },
    /// Reading it would not end, here or in the library.
    NotAFile { path: &'static str, kind: &'static str },
    /// A line that the library skips, though a name server was meant.
    IgnoredServer { path: &'static str, line: usize, why: &'static str },
    /// The library asks this host itself.
    NoServer { path: &'static str, why: String },
}

impl fmt::Display for FileProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, error, mode: Some(mode) } => {
                write!(f, "{path} is not readable to this service: {error} (mode {mode:04o})")
            }
            Self::Unreadable { path, error, mode: None } => {
                write!(f, "{path} is not readable to this service: {error}")
            }
            Self::UnreadableToOthers { path, mode } => {
                write!(f, "other users cannot read {path} (mode {mode:04o})")
            }
            Self::NotAFile { path, kind } => write!(f, "{path} is {kind}, not a file"),
            Self::NoServer { path, why } => {
                write!(f, "{path} {why}, so the C library asks 127.0.0.1")
            }
            Self::IgnoredServer { path, line, why } => {
                write!(f, "the C library ignores line {line} of {path}: {why}")
            }
        }
    }
}

impl Serialize for FileProblem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl HostFiles {
    pub fn unreadable(&self) -> impl Iterator<Item = &FileProblem> {
        let kept = |problem: &&FileProblem| {
            matches!(problem, FileProblem::Unreadable { .. } | FileProblem::NotAFile { .. })
        };
        self.problems.iter().filter(kept)
    }

    /// What linkproof sees, and applications of other users do not.
    pub fn unreadable_to_others(&self) -> impl Iterator<Item = &FileProblem> {
        let is_one = |problem: &&FileProblem| matches!(problem, FileProblem::UnreadableToOthers { .. });
        self.problems.iter().filter(is_one)
    }

    /// Why resolv.conf does not say what it was meant to say.
    pub fn ignored_servers(&self) -> impl Iterator<Item = &FileProblem> {
        let ignored = |problem: &&FileProblem| {
            matches!(problem, FileProblem::IgnoredServer { .. } | FileProblem::NoServer { .. })
        };
        self.problems.iter().filter(ignored)
    }

    /// Whether a lookup comes to DNS at all. Without a `hosts` line the library has a default
    /// that does.
    pub fn asks_dns(&self) -> bool {
        self.sources.is_empty() || self.sources.iter().any(|source| source == "dns" || source == "resolve")
    }

    /// Whether systemd-resolved is asked, whatever resolv.conf lists.
    pub fn asks_resolved(&self) -> bool {
        self.sources.iter().any(|source| source == "resolve")
    }

    /// Whether /etc/hosts answers for the name, so that DNS is not asked.
    pub fn hosts_comes_first(&self) -> bool {
        let place = |name: &str| self.sources.iter().position(|source| source == name);
        let files = place("files").unwrap_or(usize::MAX);
        let dns = place("dns").into_iter().chain(place("resolve")).min().unwrap_or(usize::MAX);
        !self.hosts.is_empty() && !self.merges && (files < dns || self.sources.is_empty())
    }

    /// Whether a name that DNS does not have is looked for in /etc/hosts next, and is there.
    pub fn hosts_comes_next(&self) -> bool {
        let place = |name: &str| self.sources.iter().position(|source| source == name);
        let is_next = place("dns").zip(place("files")).is_some_and(|(dns, files)| dns < files);
        is_next && !self.returns && !self.hosts.is_empty()
    }

    /// Whether lookups start at one server or another.
    pub fn rotates(&self) -> bool {
        self.rotate && self.servers_differ() && self.asks_dns() && !self.hosts_comes_first()
    }

    /// How many more lookups it takes to meet each server as the first: one of three is missed by
    /// nine lookups in one of forty rounds. Whatever the sources seem to be: libraries differ in how
    /// they read nsswitch.conf, and these lookups show it.
    pub fn further_lookups(&self) -> usize {
        if self.rotate && self.servers_differ() { 3 * self.servers.len() } else { 0 }
    }

    fn servers_differ(&self) -> bool {
        self.servers.iter().any(|server| server != &self.servers[0])
    }

    /// Whether the names of the search list are tried before the name itself.
    pub fn searches_first(&self, host: &str) -> bool {
        let dots = host.trim_end_matches('.').bytes().filter(|byte| *byte == b'.').count();
        !self.search.is_empty() && u32::try_from(dots).is_ok_and(|dots| dots < self.ndots)
    }

    /// Whether the search list makes the same name again.
    pub fn searches_root(&self) -> bool {
        self.search.iter().any(|suffix| suffix.trim_matches('.').is_empty())
    }

    /// Whether resolv.conf leads to a resolver on this host alone.
    pub fn is_behind_stub(&self) -> bool {
        !self.servers.is_empty() && self.servers.iter().all(|server| server.ip().is_loopback())
    }

    /// The names that the search list makes of a name, in order. One that fits no DNS message ends
    /// the library's search.
    pub fn searched(&self, host: &str) -> Vec<String> {
        let host = host.trim_end_matches('.');
        let names = self.search.iter().map(|suffix| format!("{host}.{}", suffix.trim_matches('.')));
        names.take_while(|name| fits_a_message(name.trim_end_matches('.'))).collect()
    }
}

/// RFC 1035, 2.3.4.
fn fits_a_message(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(|label| (1..=63).contains(&label.len()))
}

/// The C library takes addresses from no answer to another kind of name (`res_hnok`).
pub fn is_host_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn asking(servers: &[&str]) -> HostFiles {
        let servers = servers.iter().map(|server| server.parse().unwrap()).collect();
        HostFiles { servers, ..HostFiles::default() }
    }

    #[test]
    fn the_hosts_file_comes_before_dns_or_after_it_or_never() {
        let hosts = vec![HostsEntry { line: 1, address: "10.0.1.57".parse().unwrap() }];
        for (sources, first, next) in [
            ("files dns", true, false),
            ("files resolve dns", true, false),
            ("dns files", false, true),
            ("resolve files", false, false),
            ("files", true, false),
            ("myhostname", false, false),
            ("", true, false),
        ] {
            let files = HostFiles { sources: texts(sources), hosts: hosts.clone(), ..HostFiles::default() };
            assert_eq!((files.hosts_comes_first(), files.hosts_comes_next()), (first, next), "{sources}");
            let silent = HostFiles { hosts: vec![], ..files };
            assert_eq!((silent.hosts_comes_first(), silent.hosts_comes_next()), (false, false), "{sources}");
        }
    }

    #[test]
    fn lookups_are_repeated_where_they_may_start_at_another_server() {
        let [one, other] = ["10.0.0.2:53", "10.0.0.3:53"];
        for (servers, rotate, further) in [
            (vec![one, other], true, 6),
            (vec![one, other], false, 0),
            (vec![one, one], true, 0),
            (vec![one], true, 0),
            (vec![], true, 0),
        ] {
            let files = HostFiles { rotate, ..asking(&servers) };
            assert_eq!(files.further_lookups(), further, "{servers:?} {rotate}");
        }
    }

    #[test]
    fn a_name_with_fewer_dots_is_searched_first() {
        let files = HostFiles { search: texts("corp.example"), ndots: 2, ..HostFiles::default() };
        assert_eq!(
            ["a", "a.b", "a.b.", "a.b.c"].map(|host| files.searches_first(host)),
            [true, true, true, false]
        );
        assert!(!HostFiles { search: vec![], ..files }.searches_first("a"));
    }

    #[test]
    fn a_resolver_on_this_host_is_a_stub_where_it_is_the_only_one() {
        for (servers, expected) in [
            (vec![], false),
            (vec!["127.0.0.53:53", "[::1]:53"], true),
            (vec!["127.0.0.53:53", "10.0.0.2:53"], false),
        ] {
            assert_eq!(asking(&servers).is_behind_stub(), expected, "{servers:?}");
        }
    }
}
