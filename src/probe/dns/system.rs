//! Where applications on this machine look names up. Read anew each time: both files change
//! under a running daemon.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hickory_resolver::system_conf::parse_resolv_conf;

/// As many as the C library reads (MAXNS, resolv.conf(5)).
const MOST_SERVERS: usize = 3;

pub fn resolvers() -> Vec<SocketAddr> {
    servers_in(&fs::read("/etc/resolv.conf").unwrap_or_default())
}

pub fn hosts_file(host: &str) -> Vec<IpAddr> {
    addresses_in(&fs::read_to_string("/etc/hosts").unwrap_or_default(), host)
}

fn servers_in(resolv_conf: &[u8]) -> Vec<SocketAddr> {
    let servers: Vec<SocketAddr> = parse_resolv_conf(resolv_conf)
        .map(|(config, _)| {
            config.name_servers().iter().map(|server| SocketAddr::new(server.ip, 53)).collect()
        })
        .unwrap_or_default();
    if servers.is_empty() {
        // resolv.conf(5): without a server the one on this machine is asked.
        return vec![SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 53)];
    }
    servers.into_iter().take(MOST_SERVERS).collect()
}

fn addresses_in(hosts: &str, host: &str) -> Vec<IpAddr> {
    hosts
        .lines()
        .filter_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let ip: IpAddr = words.next()?.parse().ok()?;
            words.any(|name| name.trim_end_matches('.').eq_ignore_ascii_case(host)).then_some(ip)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_come_in_the_order_of_the_file_and_three_at_most() {
        let servers = |text: &str| -> Vec<String> {
            servers_in(text.as_bytes()).iter().map(|server| server.ip().to_string()).collect()
        };
        assert_eq!(
            servers("search corp\nnameserver 10.0.0.2\nnameserver fd00:ec2::253\n"),
            ["10.0.0.2", "fd00:ec2::253"]
        );
        assert_eq!(
            servers("nameserver 1.0.0.1\nnameserver 1.0.0.2\nnameserver 1.0.0.3\nnameserver 1.0.0.4\n").len(),
            3
        );
        assert_eq!(servers(""), ["127.0.0.1"]);
        assert_eq!(servers("nonsense\n"), ["127.0.0.1"]);
    }

    #[test]
    fn a_hosts_file_is_read_as_the_c_library_reads_it() {
        let hosts = "127.0.0.1 localhost\n10.9.9.9\tMonitoring.example other # monitoring.example\n#10.1.1.1 monitoring.example\n::5 monitoring.example.\n";
        let found: Vec<String> =
            addresses_in(hosts, "monitoring.example").iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.9.9.9", "::5"]);
        assert!(addresses_in(hosts, "absent.example").is_empty());
    }
}
