//! How much a file may hold. What a parser makes of one byte can take a hundred times its size, so
//! the bound is on what the parser sees, before it sees it.

/// Words, signs, strings and lines: more than 200 endpoints with every key and full lists have.
const MOST: usize = 65_536;

pub const TOO_LONG: &str =
    "the file is too long: at most 65536 words, signs and lines are read; 200 endpoints need fewer";

/// The offset of the first word, sign, string or line beyond the bound.
pub fn excess(source: &str) -> Option<usize> {
    let bytes = source.as_bytes();
    let mut at = 0;
    for _ in 0..MOST {
        at = next(bytes, at);
    }
    (at < bytes.len()).then_some(at)
}

/// Where the piece ends that begins here, with the space or the comment before it.
fn next(bytes: &[u8], mut at: usize) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-') || !byte.is_ascii();
    let length = |from: usize, is_inside: &dyn Fn(&u8) -> bool| {
        bytes[from..].iter().take_while(|byte| is_inside(byte)).count()
    };
    at += length(at, &|byte| matches!(byte, b' ' | b'\t' | b'\r'));
    match bytes.get(at) {
        None => at,
        Some(b'#') => at + length(at, &|byte| *byte != b'\n'),
        Some(quote @ (b'"' | b'\'')) => string_end(bytes, at + 1, *quote),
        Some(byte) if is_word(byte) => at + length(at, &is_word),
        Some(_) => at + 1,
    }
}

/// Past the closing quote, or at the end of the line.
fn string_end(bytes: &[u8], mut at: usize, quote: u8) -> usize {
    while let Some(byte) = bytes.get(at).filter(|byte| **byte != b'\n') {
        at += if *byte == b'\\' && quote == b'"' { 2 } else { 1 };
        if *byte == quote {
            break;
        }
    }
    at.min(bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_signs_strings_and_lines_count_once() {
        for (piece, at_most) in [
            ("=", MOST),
            ("a b\n", MOST / 3),
            ("\n", MOST),
            ("ab_-1ü = 10\n", MOST / 4),
            ("\"a\"", MOST),
            ("'\\'", MOST),
        ] {
            assert_eq!(excess(&piece.repeat(at_most)), None, "{piece:?}");
            let excess = excess(&piece.repeat(at_most + 1));
            assert!(excess.is_some_and(|at| at >= piece.len() * (at_most - 1)), "{piece:?} {excess:?}");
        }
        let long = "== ".repeat(MOST);
        for one in [format!("# {long}"), format!("a = \"{long}\\\"{long}\""), format!("a = '{long}\\'\n")] {
            assert_eq!(excess(&one), None);
        }
    }
}
