//! The words for reasons, durations and lists, the same on every surface.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use crate::observation::{Phase, Phases, Reason};

/// The reason in words, how long was waited for it, and what whoever reported it said.
pub fn explained(reason: Reason, phases: &Phases, detail: &str) -> String {
    const WAITED: [(Reason, Phase); 3] = [
        (Reason::ConnectTimeout, Phase::Tcp),
        (Reason::TlsTimeout, Phase::Tls),
        (Reason::ResponseTimeout, Phase::Response),
    ];
    let words = reason.words();
    let Some((_, waited_in)) = WAITED.iter().find(|(timeout, _)| *timeout == reason) else {
        // "connection refused: Connection refused" says it twice.
        let repeats = detail.to_lowercase().starts_with(words);
        return if detail.is_empty() || repeats { words.to_owned() } else { format!("{words}: {detail}") };
    };
    match phases.iter().find(|(phase, _)| phase == waited_in) {
        Some((_, took)) => format!("{words} within {}", time(*took)),
        None => words.to_owned(),
    }
}

/// Two digits that matter, in the unit that a person would choose.
pub fn time(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        // What would round to 1000 ms is a second.
        seconds if seconds < 0.9995 => (seconds * 1000.0, "ms"),
        seconds => (seconds, "s"),
    };
    let rounded = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", rounded.strip_suffix(".0").unwrap_or(&rounded))
}

/// `tcp 0.4 ms, tls 2.1 ms`.
pub fn phases(phases: &Phases) -> String {
    list(phases.iter().map(|(phase, took)| format!("{} {}", phase.code(), time(*took))))
}

pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// To the second, for a person.
pub fn clock_time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// At most `width` characters, the last one `…` where there were more.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// One line without control characters: the words of a peer must not drive a terminal.
pub fn clean(text: &str) -> String {
    let visible = text.replace(|c: char| c.is_control() || c == '\u{2028}' || c == '\u{2029}', " ");
    visible.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_writes_them() {
        for (micros, text) in [
            (0, "0 ms"),
            (420, "0.4 ms"),
            (1_000, "1 ms"),
            (2_140, "2.1 ms"),
            (9_960, "10 ms"),
            (12_400, "12 ms"),
            (999_400, "999 ms"),
            (999_900, "1 s"),
            (3_000_000, "3 s"),
            (3_250_000, "3.2 s"),
            (61_000_000, "61 s"),
        ] {
            assert_eq!(time(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal() {
        assert_eq!(clean("bad\u{1b}[2Jnews\r\n\ttwice\u{2028}over"), "bad [2Jnews twice over");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("exact", 5), "exact");
        assert_eq!(shorten("longer", 5), "long…");
        assert_eq!(shorten("two words", 5), "two…");
        assert_eq!(shorten("äöüß", 4), "äöüß");
    }

    #[test]
    fn a_timeout_says_how_long_was_waited_and_others_say_what_was_said() {
        let waited = vec![(Phase::Tcp, Duration::from_secs(3))];
        assert_eq!(explained(Reason::ConnectTimeout, &waited, "elapsed"), "no answer to SYN within 3 s");
        assert_eq!(explained(Reason::ConnectTimeout, &vec![], "elapsed"), "no answer to SYN");
        assert_eq!(explained(Reason::TlsFailed, &waited, "alert 40"), "TLS failed: alert 40");
        assert_eq!(explained(Reason::TlsFailed, &waited, ""), "TLS failed");
        assert_eq!(
            explained(Reason::ConnectionReset, &vec![], "Connection reset by peer"),
            "connection reset"
        );
    }
}
