//! /etc/nsswitch.conf, nsswitch.conf(5).

use crate::observation::NsswitchAction;

/// More than there are modules.
const MOST_SOURCES: usize = 16;

const STATUSES: [&str; 4] = ["SUCCESS", "NOTFOUND", "UNAVAIL", "TRYAGAIN"];
const ACTIONS: [&str; 3] = ["RETURN", "CONTINUE", "MERGE"];

/// The `hosts` line.
#[derive(Debug, Default)]
pub struct Hosts {
    /// The services in order, without what is done by their status (`[..]`).
    pub sources: Vec<String>,
    /// Success of one may be followed by another.
    pub merges: bool,
    /// A failure may end the lookup before the last of them.
    pub returns: bool,
    /// An action by which a lookup may end without what DNS says.
    pub diverting: Option<NsswitchAction>,
}

pub fn hosts(content: &[u8]) -> Hosts {
    // The last of several counts.
    let line = whole_lines(content).filter_map(|(number, line)| Some((number, of_hosts(line)?))).last();
    let (number, line) = line.unwrap_or_default();
    let mut hosts = Hosts::default();
    for word in entries(line) {
        match word.strip_prefix('[') {
            Some(action) => hosts.act(number, action.trim_end_matches(']')),
            None if hosts.sources.len() < MOST_SOURCES => hosts.sources.push(word),
            None => {}
        }
    }
    hosts
}

/// Since version 2.33 the GNU C library passes over a line that does not end in a line feed.
fn whole_lines(content: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let end = content.iter().rposition(|byte| *byte == b'\n').unwrap_or(0);
    super::lines(&content[..end])
}

/// What follows the name of the database: the colon is a matter of taste.
fn of_hosts(line: &[u8]) -> Option<&[u8]> {
    let rest = line.trim_ascii_start().strip_prefix(b"hosts")?;
    let is_gap = |byte: &u8| byte.is_ascii_whitespace() || *byte == b':';
    let start = rest.iter().position(|byte| !is_gap(byte))?;
    (start > 0).then(|| &rest[start..])
}

/// Services, and actions with their brackets and without the spaces inside.
fn entries(line: &[u8]) -> Vec<String> {
    let mut entries: Vec<String> = Vec::new();
    for word in super::words(line).take(4 * MOST_SOURCES).map(super::text) {
        match entries.last_mut().filter(|last| last.starts_with('[') && !last.ends_with(']')) {
            Some(action) => {
                let is_apart = !action.ends_with(['[', '=', '!']) && !word.starts_with(['=', ']']);
                action.push_str(if is_apart { " " } else { "" });
                action.push_str(&word);
            }
            None => entries.push(word),
        }
    }
    entries
}

impl Hosts {
    /// An action between brackets, such as `NOTFOUND=return`, of the service before it.
    fn act(&mut self, line: usize, action: &str) {
        for part in action.split_ascii_whitespace() {
            let upper = part.to_ascii_uppercase();
            let (status, action) = upper.split_once('=').unwrap_or((&upper, ""));
            let (negated, status) = status.strip_prefix('!').map_or((false, status), |status| (true, status));
            if !STATUSES.contains(&status) || !ACTIONS.contains(&action) {
                // The library refuses the whole line.
                self.divert(line, part);
                continue;
            }
            let of_success = (status == "SUCCESS") != negated;
            let of_failure = status != "SUCCESS" || negated;
            let merges = of_success && matches!(action, "CONTINUE" | "MERGE");
            let returns = of_failure && action == "RETURN";
            self.merges |= merges;
            self.returns |= returns;
            if merges || (returns && !self.asks_dns()) {
                self.divert(line, part);
            }
        }
    }

    fn asks_dns(&self) -> bool {
        self.sources.iter().any(|source| source == "dns" || source == "resolve")
    }

    fn divert(&mut self, line: usize, action: &str) {
        let Some(service) = self.sources.last().cloned() else { return };
        let action = format!("[{action}]");
        self.diverting.get_or_insert(NsswitchAction { line, service, action });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sources_of_the_hosts_line_come_in_order_and_without_actions() {
        let sources = |content: &[u8]| {
            let Hosts { sources, merges, returns, .. } = hosts(content);
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
            (b"hosts: files [Success=merge] dns\n", "files dns", true, false),
            (b"hosts: files [ success = continue ] dns\n", "files dns", true, false),
            (b"hosts: files [!NOTFOUND=continue] dns\n", "files dns", true, false),
            (b"hosts: files [!SUCCESS=return] dns\n", "files dns", false, true),
            (b"hosts: files [SUCCESS=return NOTFOUND=continue] dns\n", "files dns", false, false),
            (b" hosts :: dns\thosts:\n", "dns hosts:", false, false),
            (b"hosts files dns\nhostsx: files\nhosts:\n", "files dns", false, false),
            (b"hosts: files\n hosts: dns", "files", false, false),
            (b"hosts: dns", "", false, false),
            (b"#hosts: dns\n", "", false, false),
            (b"hosts: files\nhosts: dns\n", "dns", false, false),
        ] {
            assert_eq!(sources(content), (expected.to_owned(), merges, returns));
        }
    }
    #[test]
    fn an_action_that_keeps_lookups_from_dns_is_told_with_its_line() {
        let diverting = |content: &[u8]| {
            let action = hosts(content).diverting?;
            Some(format!("{} {} {}", action.line, action.service, action.action))
        };
        for (content, expected) in [
            (&b"passwd: files\nhosts: files [NOTFOUND=return] dns\n"[..], Some("2 files [NOTFOUND=return]")),
            (b"hosts: mdns4 [ !SUCCESS = return ] dns\n", Some("1 mdns4 [!SUCCESS=return]")),
            (b"hosts: files [UNAVAIL=continue notfound=return] dns\n", Some("1 files [notfound=return]")),
            (b"hosts: resolve [!UNAVAIL=return] dns\n", None),
            (b"hosts: files [SUCCESS=merge] dns\n", Some("1 files [SUCCESS=merge]")),
            (b"hosts: dns [SUCCESS=continue] files\n", Some("1 dns [SUCCESS=continue]")),
            (b"hosts: files [JUNK=return] dns\n", Some("1 files [JUNK=return]")),
            (b"hosts: files [NOTFOUND] dns\n", Some("1 files [NOTFOUND]")),
            (b"hosts: files [SUCCESS=return] dns\n", None),
            (b"hosts: [NOTFOUND=return] dns\n", None),
        ] {
            assert_eq!(diverting(content).as_deref(), expected);
        }
    }
}
