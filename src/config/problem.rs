//! What is wrong with a configuration file, shown with its place and its line.

use std::error::Error;
use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;

use crate::observation::marked;

/// Why there is no [`Config`](super::Config).
#[derive(Debug)]
pub enum ConfigError {
    /// The first mistakes in the order of the file, at least one, and how many more there are.
    Mistakes {
        shown: Vec<Mistake>,
        omitted: usize,
    },
    Unreadable {
        path: PathBuf,
        source: io::Error,
    },
}

impl ConfigError {
    /// Whether there simply is no such file.
    pub fn is_missing(&self) -> bool {
        match self {
            Self::Mistakes { .. } => false,
            Self::Unreadable { source, .. } => source.kind() == io::ErrorKind::NotFound,
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes { shown, omitted } => {
                let mistakes: Vec<String> = shown.iter().map(ToString::to_string).collect();
                f.write_str(&mistakes.join("\n"))?;
                if *omitted > 0 {
                    write!(f, "\nand {omitted} more mistakes; fix these first")?;
                }
                Ok(())
            }
            Self::Unreadable { path, source } => write!(f, "cannot read {}: {source}", path.display()),
        }
    }
}

impl Error for ConfigError {}

/// More than anyone corrects in one go. The rest of a file with thousands is only counted.
const MAX_SHOWN: usize = 50;

/// `file:line:column: message`, and the line itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mistake {
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    pub message: String,
    /// The line as written, fit for a terminal.
    pub text: String,
}

impl Mistake {
    pub fn new(file: &str, source: &str, offset: usize, message: &str) -> Self {
        Self::on_line(file, source, offset, line_of(source, offset), message)
    }

    /// `line` is the one that `offset` lies in; to make many of these, use an index of lines.
    fn on_line(file: &str, source: &str, offset: usize, line: usize, message: &str) -> Self {
        let start = source[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let column = source[start..offset].chars().count() + 1;
        let text = printable(source[start..].lines().next().unwrap_or_default(), column);
        // It may quote a value of the file.
        let message = marked(message);
        Self { file: file.to_owned(), line, column, message, text }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, text } = self;
        write!(f, "{file}:{line}:{column}: {message}\n  {text}")
    }
}

/// Long enough for any line that a person wrote.
const LONGEST_LINE: usize = 200;

/// The line, or of a long one the part around the column.
fn printable(line: &str, column: usize) -> String {
    let indent = line.chars().take_while(|c| c.is_whitespace()).count();
    let (line, column) = (line.trim(), column.saturating_sub(indent));
    let length = line.chars().count();
    let first = if length > LONGEST_LINE { column.saturating_sub(LONGEST_LINE / 2) } else { 0 };
    let part = marked(&line.chars().skip(first).take(LONGEST_LINE).collect::<String>());
    let before = if first > 0 { "…" } else { "" };
    let after = if first + LONGEST_LINE < length { "…" } else { "" };
    format!("{before}{part}{after}")
}

fn line_of(source: &str, offset: usize) -> usize {
    source[..offset].matches('\n').count() + 1
}

/// Everything found so far in one file.
#[derive(Debug)]
pub struct Problems<'s> {
    source: &'s str,
    /// Where each line ends: a line number is a binary search, not a walk through the file.
    newlines: Vec<usize>,
    found: Vec<(Range<usize>, String)>,
}

impl<'s> Problems<'s> {
    pub fn of(source: &'s str) -> Self {
        let newlines = source.match_indices('\n').map(|(at, _)| at).collect();
        Self { source, newlines, found: Vec::new() }
    }

    pub fn add(&mut self, span: &Range<usize>, message: impl Into<String>) {
        self.found.push((span.clone(), message.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The line that a span begins in, for a problem that has two places.
    pub fn line(&self, span: &Range<usize>) -> usize {
        self.newlines.partition_point(|newline| *newline < self.floor(span.start)) + 1
    }

    pub fn keep_one_per_line(&mut self) {
        self.found.sort_by_key(|(span, _)| span.start);
        let mut found = std::mem::take(&mut self.found);
        found.dedup_by_key(|(span, _)| self.line(span));
        self.found = found;
    }

    pub fn into_error(mut self, file: &str) -> ConfigError {
        self.found.sort_by_key(|(span, _)| span.start);
        let omitted = self.found.len().saturating_sub(MAX_SHOWN);
        self.found.truncate(MAX_SHOWN);
        let mistake = |(span, message): &(Range<usize>, String)| {
            let offset = self.floor(span.start);
            Mistake::on_line(file, self.source, offset, self.line(span), message)
        };
        ConfigError::Mistakes { shown: self.found.iter().map(mistake).collect(), omitted }
    }

    /// A parser's offset may lie past the end, or inside a character.
    fn floor(&self, offset: usize) -> usize {
        self.source.floor_char_boundary(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hidden_characters_are_marked_in_line_and_message() {
        let shown = Mistake::new("x.toml", "a = \"\u{202e}\u{1b}\"", 0, "odd \u{202e}").to_string();
        assert_eq!(shown, "x.toml:1:1: odd \u{fffd}\n  a = \"\u{fffd}\u{fffd}\"");
    }

    #[test]
    fn a_mistake_shows_its_place_in_characters_and_its_line_without_control_characters() {
        let source = "a = 1\r\n\té = \"\u{1b}[31m\"\r\n";
        let mistake = Mistake::new("x.toml", source, source.find('"').unwrap(), "wrong");
        assert_eq!(mistake.to_string(), "x.toml:2:6: wrong\n  é = \"\u{fffd}[31m\"");
    }

    #[test]
    fn only_the_first_mistakes_are_shown_and_the_rest_are_counted() {
        let source = "x\n".repeat(300);
        let mut problems = Problems::of(&source);
        for line in (0..300).rev() {
            problems.add(&(2 * line..2 * line + 1), format!("wrong {line}"));
        }
        let shown = problems.into_error("x.toml").to_string();
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!((lines[0], lines[98]), ("x.toml:1:1: wrong 0", "x.toml:50:1: wrong 49"));
        assert_eq!(lines[100..], ["and 250 more mistakes; fix these first"]);
    }

    #[test]
    fn the_end_of_a_file_and_a_long_line_are_places_too() {
        let source = "x".repeat(300);
        let mut problems = Problems::of(&source);
        problems.add(&(900..901), "late");
        let shown = problems.into_error("x.toml").to_string();
        assert_eq!(shown, format!("x.toml:1:301: late\n  …{}", "x".repeat(99)));
        let shown = Mistake::new("x.toml", &source, 0, "early").to_string();
        assert_eq!(shown, format!("x.toml:1:1: early\n  {}…", "x".repeat(200)));
        let shown = Mistake::new("x.toml", &source[..200], 200, "whole").to_string();
        assert_eq!(shown, format!("x.toml:1:201: whole\n  {}", "x".repeat(200)));
    }
}
