//! /etc/hosts, hosts(5).

use crate::observation::HostsEntry;

/// More than the addresses that an endpoint can have.
const MOST_ENTRIES: usize = 64;

/// The lines for one name.
pub fn entries(content: &[u8], host: &str) -> Vec<HostsEntry> {
    let entry = |(line, text): (usize, &[u8])| {
        let mut words = super::words(text);
        let address = str::from_utf8(words.next()?).ok()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(host.as_bytes())).then_some(HostsEntry { line, address })
    };
    super::lines(content).filter_map(entry).take(MOST_ENTRIES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_found_as_the_library_finds_them() {
        assert_eq!(entries(b"10.9.9.9\x0bmonitoring.example\0x\n", "monitoring.example").len(), 1);
        let hosts = b"127.0.0.1 localhost # M\xfcller\n10.9.9.9\tMonitoring.example other # monitoring.example\n#10.1.1.1 monitoring.example\n::5 x monitoring.example\r\n10.1.1.2 monitoring.example.\nM\xfc monitoring.example\n";
        let found: Vec<(usize, String)> =
            entries(hosts, "monitoring.example").iter().map(|e| (e.line, e.address.to_string())).collect();
        assert_eq!(found, [(2, "10.9.9.9".to_owned()), (4, "::5".to_owned())]);
        assert!(entries(hosts, "absent.example").is_empty());
    }
}
