//! /etc/nsswitch.conf, nsswitch.conf(5).

/// More than there are modules.
const MOST_SOURCES: usize = 16;

/// The services of the `hosts` line in order, without what is done by their status (`[..]`).
pub fn hosts_sources(content: &[u8]) -> Vec<String> {
    let line = super::lines(content).find_map(|(_, line)| line.trim_ascii_start().strip_prefix(b"hosts:"));
    let mut inside_action = false;
    super::words(line.unwrap_or_default())
        .filter(|word| {
            let is_action = inside_action || word.starts_with(b"[");
            inside_action = is_action && !word.ends_with(b"]");
            !is_action
        })
        .take(MOST_SOURCES)
        .map(super::text)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_the_hosts_line_come_in_order_and_without_actions() {
        let sources = |content: &[u8]| hosts_sources(content).join(" ");
        assert_eq!(
            sources(b"passwd: files\n hosts:\tfiles mdns4_minimal [NOTFOUND=return] dns\r\n"),
            "files mdns4_minimal dns"
        );
        assert_eq!(
            sources(b"hosts: resolve [ !UNAVAIL=return UNAVAIL=continue ] files # dns\n"),
            "resolve files"
        );
        assert_eq!(sources(b"#hosts: dns\n"), "");
    }
}
