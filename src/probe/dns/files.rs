//! The files by which this host looks names up, read as the GNU C library reads them. The bytes
//! are not required to be UTF-8: a file with one odd byte works for the library.

mod hosts;
mod nsswitch;
mod resolv_conf;

use std::env;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::observation::{FileProblem, HostFiles};
use resolv_conf::ResolvConf;

/// Longer than a hosts file that blocks a hundred thousand names.
const LONGEST_FILE: u64 = 8 * 1024 * 1024;

const RESOLV_CONF: &str = "/etc/resolv.conf";
const NSSWITCH: &str = "/etc/nsswitch.conf";
const HOSTS: &str = "/etc/hosts";
const HOST_CONF: &str = "/etc/host.conf";

/// In a file's mode.
const READABLE_BY_OTHERS: u32 = 0o004;

/// Who waits for the lookup waits as long as an application does, within reason.
const LOOKUP_AT_LEAST: Duration = Duration::from_secs(6);
const LOOKUP_AT_MOST: Duration = Duration::from_secs(16);

/// Time for the library to give up by itself, and to say why.
const LOOKUP_SPARE: Duration = Duration::from_secs(1);

/// Read anew each time, since they change under a running daemon.
pub fn read(host: &str) -> HostFiles {
    let mut problems = Vec::new();
    let mut file = |path| {
        read_file(path).unwrap_or_else(|problem| {
            problems.extend(problem);
            None
        })
    };
    let (resolv_conf, nsswitch) = (file(RESOLV_CONF), file(NSSWITCH));
    let (hosts, _) = (file(HOSTS), file(HOST_CONF));
    let variable = |name| env::var_os(name).map(OsStringExt::into_vec);
    let (local_domain, options) = (variable("LOCALDOMAIN"), variable("RES_OPTIONS"));
    let entries = hosts.as_ref().map(|file| hosts::entries(&file.text, host)).unwrap_or_default();
    let hosts = hosts.filter(|_| !entries.is_empty());
    let needed = [(RESOLV_CONF, &resolv_conf), (NSSWITCH, &nsswitch), (HOSTS, &hosts)];
    let to_others = needed.into_iter().filter_map(|(path, file)| file.as_ref()?.unreadable_to_others(path));
    let to_others: Vec<FileProblem> = to_others.collect();
    let conf = ResolvConf::parse(resolv_conf.as_ref().map_or(&[], |file| &file.text))
        .with_environment(local_domain.as_deref(), options.as_deref());
    let mut servers = conf.servers;
    if servers.is_empty() {
        servers.push(on_this_host());
        let is_told = !conf.ignored.is_empty() || !problems.is_empty();
        problems.extend((!is_told).then(without_server));
    }
    problems.extend(conf.ignored);
    problems.extend(to_others);
    let nsswitch = nsswitch.map(|file| nsswitch::hosts(&file.text)).unwrap_or_default();
    let mut files = HostFiles {
        servers,
        search: conf.search.unwrap_or_else(own_domain),
        ndots: conf.ndots,
        rotate: conf.rotate,
        use_vc: conf.use_vc,
        single_request: conf.single_request,
        edns0: conf.edns0,
        timeout: conf.timeout,
        attempts: conf.attempts,
        sources: nsswitch.sources,
        merges: nsswitch.merges,
        returns: nsswitch.returns,
        diverting: nsswitch.diverting,
        hosts: entries,
        nscd: nscd_answers(),
        upstreams: vec![],
        problems,
    };
    if files.is_behind_stub() || files.asks_resolved() {
        files.upstreams = stub_upstreams();
    }
    files
}

/// The name servers alone.
pub fn servers() -> Vec<SocketAddr> {
    let file = read_file(RESOLV_CONF).ok().flatten().unwrap_or_default();
    let servers = ResolvConf::parse(&file.text).servers;
    if servers.is_empty() { vec![on_this_host()] } else { servers }
}

/// resolv.conf(5): without a server the one on this host is asked.
fn on_this_host() -> SocketAddr {
    SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)
}

/// As long as the library may take by resolv.conf, within bounds.
pub fn lookup_limit(files: &HostFiles) -> Duration {
    let servers = u32::try_from(files.servers.len()).unwrap_or(1).max(1);
    // It may go through them for the name, and for each that the search list makes.
    let names = u32::try_from(files.search.len()).unwrap_or(0).saturating_add(1);
    let tries = files.attempts.saturating_mul(servers).saturating_mul(names);
    // After a question without an answer it asks both once more, one after the other.
    let allowed = files.timeout.max(1).saturating_mul(tries.saturating_add(servers));
    (Duration::from_secs(allowed.into()) + LOOKUP_SPARE).clamp(LOOKUP_AT_LEAST, LOOKUP_AT_MOST)
}

#[derive(Default)]
struct ReadFile {
    text: Vec<u8>,
    mode: u32,
}

impl ReadFile {
    fn unreadable_to_others(&self, path: &'static str) -> Option<FileProblem> {
        let is_unreadable = self.mode & READABLE_BY_OTHERS == 0;
        is_unreadable.then_some(FileProblem::UnreadableToOthers { path, mode: self.mode })
    }
}

/// `None` if the file does not exist; an error if only this process cannot read it.
fn read_file(path: &'static str) -> Result<Option<ReadFile>, Option<FileProblem>> {
    let kept = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => None,
        _ => {
            let mode = fs::metadata(path).ok().map(|file| mode(&file));
            Some(FileProblem::Unreadable { path, error: error.kind().to_string(), mode })
        }
    };
    let metadata = fs::metadata(path).map_err(kept)?;
    let file_type = metadata.file_type();
    // Opening it could hold this thread for ever, as it does the library.
    if file_type.is_fifo() {
        return Err(Some(FileProblem::NotAFile { path, kind: "a FIFO" }));
    }
    if !file_type.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    File::open(path).map_err(kept)?.take(LONGEST_FILE).read_to_end(&mut text).map_err(kept)?;
    Ok(Some(ReadFile { text, mode: mode(&metadata) }))
}

fn mode(file: &Metadata) -> u32 {
    file.permissions().mode() & 0o7777
}

/// Why resolv.conf names no server.
fn without_server() -> FileProblem {
    let why = match (fs::metadata(RESOLV_CONF), fs::read_link(RESOLV_CONF)) {
        (Ok(file), _) if file.is_dir() => "is a directory".to_owned(),
        (Ok(file), _) if file.len() > 0 => "names no name server".to_owned(),
        (Ok(_), _) => "is empty".to_owned(),
        (Err(_), Ok(target)) => {
            format!("is a link to {}, which does not exist", text(target.as_os_str().as_encoded_bytes()))
        }
        (Err(_), Err(_)) => "does not exist".to_owned(),
    };
    FileProblem::NoServer { path: RESOLV_CONF, why }
}

/// Its socket stays behind when it dies, so it is called.
fn nscd_answers() -> bool {
    let connect = || -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&SockAddr::unix("/var/run/nscd/socket")?)
    };
    match connect() {
        Ok(()) => true,
        // It has more to do than it can.
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}

/// Without `search` the library takes the domain of the host's own name.
fn own_domain() -> Vec<String> {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim_end().split_once('.').map(|(_, domain)| domain.to_owned()).into_iter().collect()
}

/// Whom systemd-resolved or dnsmasq asks, where they say so.
fn stub_upstreams() -> Vec<IpAddr> {
    let file = read_file("/run/systemd/resolve/resolv.conf").ok().flatten();
    let servers = ResolvConf::parse(&file.unwrap_or_default().text).servers;
    servers.into_iter().map(|server| server.ip()).collect()
}

/// The lines of a file, with their numbers, without the comments that begin with `#`. To the library
/// a line ends at a zero byte.
fn lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    content.split(|byte| *byte == b'\n').enumerate().map(|(index, line)| {
        let end = line.iter().position(|byte| matches!(byte, b'#' | 0)).unwrap_or(line.len());
        (index + 1, &line[..end])
    })
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| is_space(*byte)).filter(|word| !word.is_empty())
}

/// As isspace(3): Rust leaves the vertical tab out.
fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

fn text(bytes: &[u8]) -> String {
    /// A name has 253 characters at most.
    const LONGEST: usize = 253;
    String::from_utf8_lossy(bytes).chars().take(LONGEST).collect()
}

/// Reads one text as each of the files, and returns what a report shows of it.
#[cfg(any(test, fuzzing))]
pub fn fuzz(bytes: &[u8]) -> Vec<String> {
    let conf = ResolvConf::parse(bytes);
    assert!(conf.servers.len() <= 3 && conf.ignored.len() <= 3, "{conf:?}");
    let sources = nsswitch::hosts(bytes).sources;
    let hosts = hosts::entries(bytes, "monitoring.us-east-1.amazonaws.com");
    assert!(hosts.len() <= 64, "{} lines", hosts.len());
    conf.search.unwrap_or_default().into_iter().chain(sources).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_gets_the_time_that_resolv_conf_allows_within_bounds() {
        let limit = |timeout, attempts, servers| {
            let servers = vec!["10.0.0.2:53".parse().unwrap(); servers];
            lookup_limit(&HostFiles { servers, timeout, attempts, ..HostFiles::default() }).as_secs()
        };
        assert_eq!([limit(5, 2, 1), limit(1, 2, 1), limit(5, 2, 3), limit(0, 0, 0)], [16, 6, 16, 6]);
    }
}
