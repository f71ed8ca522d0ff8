//! What a peer says, made safe to store and to write.

use std::time::{Duration, SystemTime};

/// At most so many bytes of a peer's text, without invisible characters, and how much is missing.
pub fn cut(text: &str, most: usize) -> String {
    let kept = &text[..text.floor_char_boundary(most)];
    match text.len() - kept.len() {
        0 => visible(kept),
        more => format!("{} [{more} more bytes]", visible(kept)),
    }
}

/// The nearest time that can be written with a year of four digits: others make the writer panic,
/// and a peer may send any.
pub fn printable(time: SystemTime) -> SystemTime {
    const LAST_SECOND: Duration = Duration::from_secs(253_402_300_799);
    time.clamp(SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH + LAST_SECOND)
}

/// The text with a mark for each character that would rule the terminal, or hide or reorder what is
/// around it.
pub fn marked(text: &str) -> String {
    let mark = |c| if is_break(c) || is_invisible(c) { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(mark).collect()
}

/// The text with a space for each control character and line separator, and without the format
/// characters of Unicode (category Cf), which hide and reorder what is around them.
pub fn visible(text: &str) -> String {
    text.chars().filter(|c| !is_invisible(*c)).map(|c| if is_break(c) { ' ' } else { c }).collect()
}

fn is_break(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn is_invisible(c: char) -> bool {
    matches!(c,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}'..='\u{891}'
            | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observation::AwsError;

    #[test]
    fn long_words_of_a_peer_are_cut_and_say_so() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("a\u{202e}b\nc", 99), "ab c");
        assert_eq!(cut("ääää", 5), "ää [4 more bytes]");
        let error = AwsError::new(&"c".repeat(3_000_000), &"m".repeat(3_000_000));
        assert!(error.code.len() < 200 && error.message.len() < 1100);
        assert!(error.message.ends_with("m [2998976 more bytes]"));
    }

    #[test]
    fn times_that_cannot_be_written_are_clamped() {
        let written = |time| humantime::format_rfc3339_seconds(printable(time)).to_string();
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(written(epoch - Duration::from_secs(1)), "1970-01-01T00:00:00Z");
        assert_eq!(written(epoch + Duration::from_secs(300_000_000_000)), "9999-12-31T23:59:59Z");
        assert_eq!(written(epoch + Duration::from_secs(1)), "1970-01-01T00:00:01Z");
    }
}
