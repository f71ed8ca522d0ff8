//! Durations, times and lists, and text made safe and short enough to show.

use std::fmt::Display;
use std::time::{Duration, SystemTime};

use crate::observation::{Phase, Phases, printable, visible};

/// Two digits that matter, in the unit that a person would choose.
pub fn duration(duration: Duration) -> String {
    let (value, unit) = match duration.as_secs_f64() {
        // What would round to 1000 ms is a second.
        seconds if seconds < 0.9995 => (seconds * 1000.0, "ms"),
        seconds => (seconds, "s"),
    };
    let rounded = if value < 9.95 { format!("{value:.1}") } else { format!("{value:.0}") };
    format!("{} {unit}", rounded.strip_suffix(".0").unwrap_or(&rounded))
}

/// `tcp 0.4 ms (kernel: 0.28 ms), tls 2.1 ms`.
pub fn phases(phases: &Phases, kernel_tcp: Option<Duration>) -> String {
    list(phases.iter().map(|(phase, took)| {
        let kernel = kernel_tcp.filter(|_| *phase == Phase::Tcp);
        format!("{} {}", phase.code(), timed(*took, kernel))
    }))
}

/// A duration as linkproof felt it, and by the kernel's clock where it knows.
pub fn timed(felt: Duration, kernel: Option<Duration>) -> String {
    let felt = duration(felt);
    match kernel {
        // A round trip within a zone takes a few tenths of a millisecond.
        Some(kernel) if kernel < Duration::from_millis(1) => {
            format!("{felt} (kernel: {:.2} ms)", kernel.as_secs_f64() * 1000.0)
        }
        Some(kernel) => format!("{felt} (kernel: {})", duration(kernel)),
        None => felt,
    }
}

pub fn list<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(", ")
}

/// `a`, `a and b`, `a, b, c and 4 more`; each once.
pub fn names<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    const SHOWN: usize = 3;
    let mut distinct: Vec<String> = Vec::new();
    for item in items {
        let item = item.to_string();
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    if distinct.len() > SHOWN {
        let more = format!("{} more", distinct.len() - SHOWN);
        distinct.truncate(SHOWN);
        distinct.push(more);
    }
    match distinct.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// `text` with a capital and a period. A host or a check id at the start stays as it is.
pub fn sentence(text: &str) -> String {
    let text = text.trim_end_matches('.');
    let word = text.split(' ').next().unwrap_or_default();
    let plain = !word.is_empty() && word.len() < text.len() && word.bytes().all(|b| b.is_ascii_lowercase());
    let capital = if plain { word[..1].to_ascii_uppercase() + &text[1..] } else { text.to_owned() };
    capital + "."
}

/// To the second, for a person.
pub fn clock_time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(printable(time)).to_string()
}

pub fn rfc3339(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(printable(time)).to_string()
}

/// At most `width` characters, the last one `…` where there were more.
pub fn shorten(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{}…", kept.trim_end())
}

/// A peer's words: on one line, without anything that drives a terminal, and not too long.
pub fn clip(text: &str, width: usize) -> String {
    shorten(&clean(text), width)
}

/// One line of visible characters: a peer's words must not drive a terminal, nor reorder or hide what
/// a person reads.
pub fn clean(text: &str) -> String {
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_time_stands_beside_what_was_felt() {
        let micros = Duration::from_micros;
        let phases = |kernel| phases(&vec![(Phase::Tcp, micros(400)), (Phase::Tls, micros(2100))], kernel);
        assert_eq!(phases(None), "tcp 0.4 ms, tls 2.1 ms");
        assert_eq!(phases(Some(micros(27))), "tcp 0.4 ms (kernel: 0.03 ms), tls 2.1 ms");
        assert_eq!(timed(micros(13_000), Some(micros(12_400))), "13 ms (kernel: 12 ms)");
    }

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
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
    }

    #[test]
    fn a_peer_cannot_drive_the_terminal() {
        assert_eq!(clean("bad\u{1b}[2Jnews\r\n\ttwice\u{2028}over"), "bad [2Jnews twice over");
        let formats =
            (0x202a..=0x202e).chain(0x2066..=0x2069).chain([0x200b, 0x200f, 0x61c, 0xfeff, 0xe0041]);
        for code in formats {
            let c = char::from_u32(code).unwrap();
            assert_eq!(clean(&format!("a{c}b")), "ab", "U+{code:04X}");
        }
        assert_eq!(clean("schön 日本 🚀"), "schön 日本 🚀");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(shorten("exact", 5), "exact");
        assert_eq!(shorten("longer", 5), "long…");
        assert_eq!(shorten("two words", 5), "two…");
        assert_eq!(shorten("äöüß", 4), "äöüß");
    }

    #[test]
    fn invisible_characters_are_removed() {
        assert_eq!(clean("pay\u{202e}exe.\u{2066}x\u{2069} \u{200b}a\u{feff}b"), "payexe.x ab");
    }

    #[test]
    fn a_list_names_three_and_counts_the_rest() {
        assert_eq!(names::<u8>([]), "");
        assert_eq!(names([1]), "1");
        assert_eq!(names([1, 2, 1]), "1 and 2");
        assert_eq!(names([1, 2, 3]), "1, 2 and 3");
        assert_eq!(names([1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
    }

    #[test]
    fn a_sentence_leaves_names_alone() {
        assert_eq!(sentence("no response came."), "No response came.");
        assert_eq!(sentence("a.example refused"), "a.example refused.");
        assert_eq!(sentence("egress/ipv4: rejected"), "egress/ipv4: rejected.");
        assert_eq!(sentence("monitoring"), "monitoring.");
    }
}
