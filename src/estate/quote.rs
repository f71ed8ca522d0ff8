//! Text of a foreign file, made safe for a comment, a string and a terminal.

/// Longer than any id, address or error message that AWS or Terraform writes.
const LONGEST: usize = 300;

/// On one line, without control or direction characters. Cut where it is long.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars().take(LONGEST) {
        if is_plain(c) {
            shown.push(c);
        } else {
            shown.extend(c.escape_unicode());
        }
    }
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// Letters of other scripts are text. Marks, formats and separators can hide or reorder it.
fn is_plain(c: char) -> bool {
    c == ' ' || c == '…' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric())
}

/// A basic string of TOML.
pub fn quoted(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        other => format!("\\U{:08X}", u32::from(other)),
    };
    format!("\"{}\"", text.chars().map(escape).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_directions_are_escaped() {
        assert_eq!(printable("a\nb\r\tc\u{7}\u{85}\u{2028}"), r"a\u{a}b\u{d}\u{9}c\u{7}\u{85}\u{2028}");
        assert_eq!(
            printable("\u{202e}x\u{2066}\u{200f}\u{feff}\0"),
            r"\u{202e}x\u{2066}\u{200f}\u{feff}\u{0}"
        );
        assert_eq!(printable("module.größe[\"a b\"]"), "module.größe[\"a b\"]");
        assert_eq!(printable(&"x".repeat(301)), format!("{}…", "x".repeat(300)));
    }

    #[test]
    fn a_quoted_string_is_read_back_as_it_was() {
        for text in ["a.example", "\"]\n[[endpoint]]\nx = \"", "\\u0041\\", "\u{202e}\0\u{1f600}é"] {
            let line = format!("x = {}", quoted(text));
            assert_eq!(line.lines().count(), 1, "{line}");
            let table: toml::Table = line.parse().unwrap();
            assert_eq!(table["x"].as_str(), Some(text));
        }
    }
}
