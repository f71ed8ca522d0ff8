//! As much Markdown as the runbook uses, as text for a terminal: paragraphs, lists, tables and
//! fenced code, with bold words and links. Code in a line keeps its backquotes, which show where a
//! command ends.

use super::TOPICS;
use crate::report::text::{Style, wrapped};

pub fn render(markdown: &str, style: Style) -> String {
    let mut page = String::new();
    let mut is_code = false;
    for line in markdown.lines() {
        if line.starts_with("```") {
            is_code = !is_code;
        } else if line.is_empty() {
            page.push('\n');
        } else if is_code {
            page += &format!("    {line}\n");
        } else if line.starts_with('|') {
            page += &format!("{line}\n");
        } else {
            page += &paragraph(line, style);
        }
    }
    page
}

/// The runbook writes a paragraph, and an item of a list, on one line.
fn paragraph(line: &str, style: Style) -> String {
    let text = links(line);
    if let Some(title) = text.strip_prefix("**").and_then(|rest| rest.strip_suffix("**")) {
        return style.bold(wrapped(title, "", "").trim_end()) + "\n";
    }
    let text = text.replace("**", "");
    match text.strip_prefix("- ") {
        Some(item) => wrapped(item, "- ", "  "),
        None => wrapped(&text, "", ""),
    }
}

/// `[text](target)` is the text with the place in parentheses.
fn links(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let link = rest.split_once("](").and_then(|(label, rest)| Some((label, rest.split_once(')')?)));
    match link.filter(|(label, _)| !label.contains(['[', ']'])) {
        Some((label, (target, after))) => format!("{before}{label} ({}){}", place(target), links(after)),
        None => format!("{before}[{}", links(rest)),
    }
}

fn place(target: &str) -> String {
    let Some(anchor) = target.strip_prefix('#') else { return target.to_owned() };
    let is_meant = |heading: &str| heading.to_lowercase().replace(' ', "-") == anchor;
    let topic = TOPICS.iter().find(|(_, heading)| is_meant(heading));
    format!("linkproof explain {}", topic.map_or(anchor, |(word, _)| word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_plain_text() {
        let markdown = "**Title.**\n\nSee [the `policy`](#the-proof-policy), [x](#clock_wrong) or [y](https://y.example/).\n\n\
                        - an item\n\n```sh\ndig  `hostname`   # two  blanks\n```\n\nReservations[].Instances[] stays.";
        let expected = "Title.\n\nSee the `policy` (linkproof explain proof_policy), x (linkproof explain clock_wrong) or y\n\
                        (https://y.example/).\n\n- an item\n\n    dig  `hostname`   # two  blanks\n\nReservations[].Instances[] stays.\n";
        assert_eq!(render(markdown, Style::PLAIN), expected);
    }

    #[test]
    fn only_the_title_is_bold() {
        let text = render("**Title.**\n\nSome **bold** words.", Style { color: true, ..Style::PLAIN });
        assert_eq!(text, "\u{1b}[1mTitle.\u{1b}[0m\n\nSome bold words.\n");
    }
}
