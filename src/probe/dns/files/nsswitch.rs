//! /etc/nsswitch.conf, nsswitch.conf(5).

/// More than there are modules.
const MOST_SOURCES: usize = 16;

/// The `hosts` line.
#[derive(Debug, Default)]
pub struct Hosts {
    /// The services in order, without what is done by their status (`[..]`).
    pub sources: Vec<String>,
    /// Success of one may be followed by another.
    pub merges: bool,
    /// A failure may end the lookup before the last of them.
    pub returns: bool,
}

pub fn hosts<'a>(content: &'a [u8]) -> Hosts {
    // The last of several counts.
    let of_hosts = |(_, line): (usize, &'a [u8])| line.trim_ascii_start().strip_prefix(b"hosts:");
    let line = super::lines(content).filter_map(of_hosts).last();
    let mut inside_action = false;
    let mut hosts = Hosts::default();
    for word in super::words(line.unwrap_or_default()) {
        if inside_action || word.starts_with(b"[") {
            inside_action = !word.ends_with(b"]");
            let action = word.to_ascii_uppercase();
            hosts.merges |= action.windows(7).any(|part| part == b"SUCCESS");
            hosts.returns |= action.windows(6).any(|part| part == b"RETURN");
        } else if hosts.sources.len() < MOST_SOURCES {
            hosts.sources.push(super::text(word));
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_the_hosts_line_come_in_order_and_without_actions() {
        let sources = |content: &[u8]| {
            let Hosts { sources, merges, returns } = hosts(content);
            (sources.join(" "), merges, returns)
        };
        for (content, expected, merges, returns) in [
            (
                &b"passwd: files\n hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns\r\n"[..],
                "files mdns4_minimal dns",
                false,
                true,
            ),
            (
                b"hosts: resolve [ !UNAVAIL=return UNAVAIL=continue ] files # dns\n",
                "resolve files",
                false,
                true,
            ),
            (b"hosts: files [Success=merge] dns", "files dns", true, false),
            (b"hosts: files [ success = continue ] dns", "files dns", true, false),
            (b"#hosts: dns\n", "", false, false),
            (b"hosts: files\nhosts: dns\n", "dns", false, false),
        ] {
            assert_eq!(sources(content), (expected.to_owned(), merges, returns));
        }
    }
}
