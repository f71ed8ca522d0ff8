//! /etc/nsswitch.conf, nsswitch.conf(5).

/// More than there are modules.
const MOST_SOURCES: usize = 16;

/// The services of the `hosts` line in order, without what is done by their status (`[..]`); and
/// whether success of one may be followed by another.
pub fn hosts_sources<'a>(content: &'a [u8]) -> (Vec<String>, bool) {
    // The last of several counts.
    let of_hosts = |(_, line): (usize, &'a [u8])| line.trim_ascii_start().strip_prefix(b"hosts:");
    let line = super::lines(content).filter_map(of_hosts).last();
    let mut inside_action = false;
    let mut merges = false;
    let mut sources = Vec::new();
    for word in super::words(line.unwrap_or_default()) {
        if inside_action || word.starts_with(b"[") {
            inside_action = !word.ends_with(b"]");
            let action = word.to_ascii_uppercase();
            merges |= action.windows(7).any(|part| part == b"SUCCESS");
        } else if sources.len() < MOST_SOURCES {
            sources.push(super::text(word));
        }
    }
    (sources, merges)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_the_hosts_line_come_in_order_and_without_actions() {
        let sources = |content: &[u8]| {
            let (sources, merges) = hosts_sources(content);
            (sources.join(" "), merges)
        };
        for (content, expected, merges) in [
            (
                &b"passwd: files\n hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns\r\n"[..],
                "files mdns4_minimal dns",
                false,
            ),
            (b"hosts: resolve [ !UNAVAIL=return UNAVAIL=continue ] files # dns\n", "resolve files", false),
            (b"hosts: files [Success=merge] dns", "files dns", true),
            (b"hosts: files [ success = continue ] dns", "files dns", true),
            (b"#hosts: dns\n", "", false),
            (b"hosts: files\nhosts: dns\n", "dns", false),
        ] {
            assert_eq!(sources(content), (expected.to_owned(), merges));
        }
    }
}
