//! The text report under each state, as it was read and found good. What changes from run to
//! run (times, dates, ids) is replaced by its kind; `UPDATE_GOLDEN=1` writes the files anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

const WIDTH: usize = 100;

/// What is wrong with a text report, compared with the golden one of this name.
pub fn differences(name: &str, text: &str) -> Vec<String> {
    [shape(text), comparison(name, &normal(text))].concat()
}

/// What holds for every text report: it fits a terminal, and is plain where there is none.
pub fn shape(text: &str) -> Vec<String> {
    let mut wrong: Vec<String> = text
        .lines()
        .filter(|line| line.chars().count() > WIDTH)
        .map(|line| format!("this line is wider than {WIDTH}: {line}"))
        .collect();
    if text.chars().any(|c| c.is_control() && c != '\n') {
        wrong.push("the report has control characters".to_owned());
    }
    if text.lines().any(|line| line.ends_with(' ')) {
        wrong.push("the report has spaces at the end of a line".to_owned());
    }
    wrong
}

fn comparison(name: &str, seen: &str) -> Vec<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/golden/{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, seen).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        return vec![];
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let place = golden.lines().zip(seen.lines()).position(|(golden, seen)| golden != seen);
    if golden == seen {
        return vec![];
    }
    let line = place.unwrap_or_else(|| golden.lines().count().min(seen.lines().count()));
    let at = |text: &str| text.lines().nth(line).unwrap_or("(the end)").to_owned();
    vec![format!(
        "the text differs from tests/it/golden/{name}.txt (UPDATE_GOLDEN=1 to accept it), first in line {}\n    golden: {}\n    now:    {}",
        line + 1,
        at(&golden),
        at(seen)
    )]
}

/// The report without what chance and time decide. Paragraphs are broken anew, since the length
/// of a number moves every line after it.
pub fn normal(text: &str) -> String {
    let mut paragraphs: Vec<String> = Vec::new();
    for line in text.lines() {
        let continued = line.trim_start();
        match paragraphs.last_mut() {
            // As deep as the text of "  Evidence  ..", or of a wrapped line of the detail.
            Some(last) if is_continuation(last, line) => {
                last.push(' ');
                last.push_str(continued);
            }
            _ => paragraphs.push(line.to_owned()),
        }
    }
    paragraphs.iter().map(|paragraph| broken_anew(&timeless(paragraph))).collect()
}

/// The first lines of what the renderer wraps are known by their depth or their label.
fn is_continuation(before: &str, line: &str) -> bool {
    let indent = depth(line);
    match hanging(before) {
        Some(hanging) => indent == hanging,
        // The sentence of a check, and its evidence.
        None => matches!((depth(before), indent), (2, 2) | (4, 6)) && hanging(line).is_none(),
    }
}

fn depth(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// How deep the text of a labelled paragraph stands.
fn hanging(line: &str) -> Option<usize> {
    let labels = ["  Evidence  ", "  Remedy    ", "  Explains  ", "  Runbook   "];
    labels.iter().any(|label| line.starts_with(label)).then_some(12)
}

fn broken_anew(paragraph: &str) -> String {
    let (first, hanging) = match (hanging(paragraph), depth(paragraph)) {
        (Some(hanging), _) => (hanging, hanging),
        (None, 2) => (2, 2),
        (None, 4) => (4, 6),
        (None, _) => return format!("{paragraph}\n"),
    };
    let mut lines = vec![paragraph[..first].to_owned()];
    for word in paragraph[first..].split(' ') {
        let line = lines.last_mut().expect("there is one line");
        let gap = usize::from(line.trim() != "" && !line.ends_with(' '));
        if line.chars().count() + gap + word.chars().count() > WIDTH {
            lines.push(format!("{}{word}", " ".repeat(hanging)));
        } else {
            line.push_str(&" ".repeat(gap));
            line.push_str(word);
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

fn timeless(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while !rest.is_empty() {
        let at_word =
            !text.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '.' || c == ':' || c == '-');
        let matched = [control, date, duration, request_id, resolver, ttl, unix_time, version]
            .iter()
            .find_map(|kind| kind(rest));
        match matched.filter(|_| at_word) {
            Some((length, name)) => {
                text.push_str(name);
                rest = &rest[length..];
                // A column is padded to the width of what stood there.
                let padding = rest.len() - rest.trim_start_matches(' ').len();
                if padding > 1 || (padding == 1 && name == TIME && is_table(line)) {
                    text.push_str("  ");
                    rest = rest.trim_start_matches(' ');
                }
            }
            None => {
                let next = rest.chars().next().expect("it is not empty");
                text.push(next);
                rest = &rest[next.len_utf8()..];
            }
        }
    }
    cut_after_chance(text)
}

const TIME: &str = "<time>";
const RESOLVER: &str = "resolver <address>";

fn is_table(line: &str) -> bool {
    ["pass  ", "FAIL  ", "inconclusive  ", "skipped  "].iter().any(|outcome| line.contains(outcome))
}

/// Where the renderer cut a line depends on all lengths before: what stands after the last thing
/// that chance decides is left out.
fn cut_after_chance(text: String) -> String {
    let Some(cut) = text.strip_suffix('…') else { return text };
    // In the middle of a duration, even.
    if let Some((before, number)) = cut.rsplit_once(" after ")
        && number.chars().all(|c| c.is_ascii_digit() || ". ms".contains(c))
    {
        return format!("{before} after {TIME}…");
    }
    let last = [TIME, RESOLVER, "<date>", "<id>"]
        .iter()
        .filter_map(|kind| Some(cut.rfind(kind)? + kind.len()))
        .max();
    let start = cut.char_indices().nth(50).map_or(cut.len(), |(at, _)| at);
    match last.filter(|last| *last > start) {
        Some(last) => format!("{}…", &cut[..last]),
        None => text,
    }
}

/// The first of several that answered: `endpoint 10.0.1.57:443 held (..)`.
fn control(text: &str) -> Option<(usize, &'static str)> {
    // In the table it may be cut at any place.
    if text.starts_with("only the resolver ") {
        return Some((text.len(), "only the resolver <address>"));
    }
    let kinds = [
        ("control: endpoint ", "control: endpoint <address> held"),
        ("control: resolver ", "control: resolver <address> held"),
    ];
    kinds.into_iter().find_map(|(words, shown)| {
        let (_, rest) = text.strip_prefix(words)?.split_once(' ')?;
        rest.starts_with("held (").then_some((text.len(), shown))
    })
}

/// The last of several that did not answer: `resolver 10.0.0.2:53`.
fn resolver(text: &str) -> Option<(usize, &'static str)> {
    let words = "resolver ";
    let rest = text.strip_prefix(words)?;
    let length = rest.find(":53")? + ":53".len();
    let is_address = rest[..length].chars().all(|c| c.is_ascii_hexdigit() || "[].:".contains(c));
    is_address.then_some((words.len() + length, RESOLVER))
}

/// `2026-11-23T13:49:46Z`, with or without a fraction, or the beginning of one.
fn date(text: &str) -> Option<(usize, &'static str)> {
    let digits = |range: std::ops::Range<usize>| {
        text.get(range).is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_year = digits(0..4) && text[4..].starts_with('-') && digits(5..7) && text[7..].starts_with('-');
    let basic = digits(0..8) && text[8..].starts_with('T');
    let length = text.find(|c: char| !c.is_ascii_digit() && !"-:.TZ".contains(c)).unwrap_or(text.len());
    let length = text[..length].trim_end_matches(['.', ':', '-']).len();
    ((is_year || basic) && length >= 7).then_some((length, "<date>"))
}

/// `1795442681`: seconds since 1970.
fn unix_time(text: &str) -> Option<(usize, &'static str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (digits == 10 && text.starts_with('1')).then_some((digits, "<date>"))
}

/// `12 ms`, `1.02 s`, `3s`, `900 s`, `2 days`.
fn duration(text: &str) -> Option<(usize, &'static str)> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let number = text[..digits].trim_end_matches('.');
    let rest = &text[digits..];
    if number.is_empty() || number.len() != digits {
        return None;
    }
    let unit = [" ms", " s", " µs", "ms", "s", " days", " day", " seconds"].into_iter().find(|unit| {
        rest.strip_prefix(unit).is_some_and(|after| !after.starts_with(|c: char| c.is_alphanumeric()))
    })?;
    Some((digits + unit.len(), TIME))
}

fn request_id(text: &str) -> Option<(usize, &'static str)> {
    let words = "request id ";
    let rest = text.strip_prefix(words)?;
    let length = rest.find(|c: char| !c.is_ascii_hexdigit() && c != '-').unwrap_or(rest.len());
    (length > 0).then_some((words.len() + length, "request id <id>"))
}

/// A cached answer ages.
fn ttl(text: &str) -> Option<(usize, &'static str)> {
    let words = "(ttl ";
    let rest = text.strip_prefix(words)?;
    let length = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    (length > 0).then_some((words.len() + length, "(ttl <time>"))
}

fn version(text: &str) -> Option<(usize, &'static str)> {
    let own = concat!("linkproof ", env!("CARGO_PKG_VERSION"));
    text.starts_with(own).then_some((own.len(), "linkproof <version>"))
}

#[test]
fn what_changes_from_run_to_run_is_left_out() {
    for (line, expected) in [
        ("instance            pass          14 ms   i-01", "instance            pass          <time>  i-01"),
        ("egress/ipv4         FAIL          1.02 s  icmp", "egress/ipv4         FAIL          <time>  icmp"),
        ("egress/ipv4         FAIL          403 ms  icmp", "egress/ipv4         FAIL          <time>  icmp"),
        ("10.0.1.57 answered after 0.19 ms, 5 of 5", "10.0.1.57 answered after <time>, 5 of 5"),
        ("asked 10.0.0.2:53 at 2026-11-23T13:49:46Z", "asked 10.0.0.2:53 at <date>"),
        ("Signature expired: 20261123T135509Z is", "Signature expired: <date> is"),
        ("(request id b1d2-33, valid", "(request id <id>, valid"),
        ("no answer within 3s", "no answer within <time>"),
        ("silent; control: only the resolver [fd00:ec…", "silent; control: only the resolver <address>"),
        ("    control: resolver [fd00:ec2::253]:53 held (it is)", "    control: resolver <address> held"),
        ("nothing: resolver 10.0.0.2:53 did not answer", "nothing: resolver <address> did not answer"),
        ("resolver 10.0.0.2 says", "resolver 10.0.0.2 says"),
        ("10.0.1.57 (ttl 57)", "10.0.1.57 (ttl <time>)"),
        ("answered, the first after 0.…", "answered, the first after <time>…"),
        ("answered, the first after 12 m…", "answered, the first after <time>…"),
        ("443 out and 1024-65535 back in", "443 out and 1024-65535 back in"),
        ("expired 2 days ago", "expired <time> ago"),
        ("ping_group_range=\"0 2147483647\" 15 addresses", "ping_group_range=\"0 2147483647\" 15 addresses"),
    ] {
        assert_eq!(timeless(line), expected);
    }
}

#[test]
fn a_paragraph_is_broken_where_its_normal_text_ends() {
    let word = "evidence ";
    let text = format!("  Evidence  12 ms {}\n            {}\n", word.repeat(8).trim(), "more");
    let expected = format!("  Evidence  <time> {} more\n", word.repeat(8).trim());
    assert_eq!(normal(&text), expected);
    let long = format!("  Evidence  {}\n            {}\n", word.repeat(9).trim(), word.repeat(4).trim());
    assert_eq!(normal(&long), long);
    let detail = format!("    control: {}\n      more\n", "held ".repeat(3).trim());
    assert_eq!(normal(&detail), "    control: held held held more\n");
}

/// What an operator copies at night has to work.
#[test]
fn what_a_remedy_sets_is_a_key_of_the_configuration() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let sample = fs::read_to_string(root.join("packaging/linkproof.toml")).unwrap();
    let known: BTreeSet<&str> = sample
        .lines()
        .filter_map(|line| Some(line.trim_start_matches(['#', ' ']).split_once(" = ")?.0))
        .collect();
    let runbook = fs::read_to_string(root.join("packaging/runbook.md")).unwrap();
    // Between the fences stands what is no configuration of ours.
    let mut texts: Vec<String> = runbook.split("```").step_by(2).map(str::to_owned).collect();
    for entry in fs::read_dir(root.join("tests/it/golden")).unwrap() {
        texts.push(fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    let mut set = BTreeSet::new();
    for text in &texts {
        let words: Vec<&str> = text.split_whitespace().map(|word| word.trim_matches('`')).collect();
        let keys = words.windows(3).filter(|words| words[1] == "=" && !words[0].contains('.'));
        // With a dot it is the kernel's.
        set.extend(keys.map(|words| words[0].to_owned()));
    }
    let unknown: Vec<&String> = set.iter().filter(|key| !known.contains(key.as_str())).collect();
    assert!(set.contains("type"), "too few to show anything: {set:?}");
    assert!(unknown.is_empty(), "no such key: {unknown:?}");
}
