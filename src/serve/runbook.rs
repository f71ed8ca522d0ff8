//! The runbook as a page, with an anchor for each section: alerts and the status page link there.
//! As much Markdown as the runbook uses; everything is escaped before it is marked up.

use super::page::{STYLE, escape};

pub fn render(markdown: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>linkproof runbook</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n\
         <footer><a href=\"/\">Status</a> · <a href=\"/report\">Report</a></footer>\n</body>\n</html>\n",
        blocks(markdown)
    )
}

fn blocks(markdown: &str) -> String {
    let mut page = String::new();
    let mut lines = markdown.lines().peekable();
    while let Some(line) = lines.next() {
        if line.starts_with("```") {
            let code = lines.by_ref().take_while(|line| !line.starts_with("```"));
            let code: String = code.map(|line| escape(line) + "\n").collect();
            page += &format!("<pre><code>{code}</code></pre>\n");
        } else if line.starts_with('#') {
            page += &heading(line);
        } else if line.starts_with("- ") {
            let mut items = item(line);
            while let Some(next) = lines.next_if(|next| next.starts_with("- ")) {
                items += &item(next);
            }
            page += &format!("<ul>\n{items}</ul>\n");
        } else if !line.is_empty() {
            page += &format!("<p>{}</p>\n", inline(line));
        }
    }
    page
}

fn heading(line: &str) -> String {
    let text = line.trim_start_matches('#');
    let level = (line.len() - text.len()).min(6);
    format!("<h{level} id=\"{}\">{}</h{level}>\n", anchor(text.trim()), inline(text.trim()))
}

fn item(line: &str) -> String {
    format!("<li>{}</li>\n", inline(line.trim_start_matches("- ")))
}

/// As GitHub makes it of a heading.
pub fn anchor(heading: &str) -> String {
    let lower = heading.to_ascii_lowercase().replace(' ', "-");
    lower.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect()
}

/// Code, bold words and links. What stands between backquotes is not looked into.
fn inline(text: &str) -> String {
    let mut html = String::new();
    for (index, part) in escape(text).split('`').enumerate() {
        if index % 2 == 1 {
            html += &format!("<code>{part}</code>");
        } else {
            html += &links(&bold(part));
        }
    }
    html
}

fn bold(text: &str) -> String {
    let parts = text.split("**").enumerate();
    parts
        .map(
            |(index, part)| if index % 2 == 1 { format!("<strong>{part}</strong>") } else { part.to_owned() },
        )
        .collect()
}

/// Only to a section of this page, and to the web.
fn links(text: &str) -> String {
    let Some((before, rest)) = text.split_once('[') else { return text.to_owned() };
    let link = rest.split_once("](").and_then(|(label, rest)| Some((label, rest.split_once(')')?)));
    match link {
        Some((label, (target, after))) if target.starts_with('#') || target.starts_with("https://") => {
            format!("{before}<a href=\"{target}\">{label}</a>{}", links(after))
        }
        Some(_) | None => format!("{before}[{}", links(rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_escaped_html() {
        let markdown = "# Title\n\n## clock_wrong\n\n**Bold.** A `code <b>` and [a link](#the-proof-policy), \
                        [no](javascript:x) <script>\n\n- one\n- two\n\n```sh\na && b **c**\n```\n";
        let expected = "<h1 id=\"title\">Title</h1>\n<h2 id=\"clock_wrong\">clock_wrong</h2>\n\
             <p><strong>Bold.</strong> A <code>code &lt;b&gt;</code> and <a href=\"#the-proof-policy\">a link</a>, \
             [no](javascript:x) &lt;script&gt;</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n\
             <pre><code>a &amp;&amp; b **c**\n</code></pre>\n";
        assert_eq!(blocks(markdown), expected);
    }

    #[test]
    fn anchors_are_those_of_links() {
        assert_eq!(anchor("The proof policy"), "the-proof-policy");
        assert_eq!(anchor("x\" onclick=\"y"), "x-onclicky");
    }
}
