//! Short sentences out of facts: lists that end, words that fit.

use std::fmt::Display;
use std::time::Duration;

/// What a line of a report, a status page and an alert still carry whole.
pub const LONGEST: usize = 400;

const NAMED: usize = 3;

/// "a", "a and b", "a, b, c and 4 more"; each once.
pub fn listed<T: Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for item in items {
        let item = item.to_string();
        if !distinct.contains(&item) {
            distinct.push(item);
        }
    }
    if distinct.len() > NAMED {
        let more = format!("{} more", distinct.len() - NAMED);
        distinct.truncate(NAMED);
        distinct.push(more);
    }
    match distinct.split_last() {
        None => String::new(),
        Some((only, [])) => only.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

/// The first three facts as one sentence, fewer where they would be too long.
pub fn evidence(facts: &[String]) -> String {
    (1..=facts.len().min(NAMED))
        .rev()
        .map(|count| sentence(&facts[..count], facts.len() - count))
        .find(|text| text.len() <= LONGEST)
        .unwrap_or_else(|| facts.first().map(|fact| clip(fact, LONGEST)).unwrap_or_default())
}

fn sentence(facts: &[String], more: usize) -> String {
    let facts: Vec<&str> = facts.iter().map(|fact| fact.trim_end_matches('.')).collect();
    let facts = capitalised(&facts.join("; "));
    match more {
        0 => format!("{facts}."),
        more => format!("{facts}; and {more} more."),
    }
}

/// Only a plain word: a host and a check's id are written as they are.
fn capitalised(text: &str) -> String {
    let word = text.split(' ').next().unwrap_or_default();
    let plain = !word.is_empty() && word.len() < text.len() && word.bytes().all(|b| b.is_ascii_lowercase());
    if plain { format!("{}{}", word[..1].to_ascii_uppercase(), &text[1..]) } else { text.to_owned() }
}

/// As many of the sentences as fit; the last is the one that must not be lost.
pub fn remedy(mut advice: Vec<String>, last: Option<String>) -> String {
    let last = last.or_else(|| advice.pop()).unwrap_or_default();
    loop {
        let text: Vec<&str> = advice.iter().chain([&last]).map(String::as_str).collect();
        let text = text.join(" ");
        if text.len() <= LONGEST {
            return text;
        }
        if advice.pop().is_none() {
            return clip(&text, LONGEST);
        }
    }
}

/// At most so many bytes, on one line: what others said is shown, never trusted.
pub fn clip(text: &str, most: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if clean.len() <= most {
        return clean;
    }
    let room = most.saturating_sub("…".len());
    let end = (0..=room).rev().find(|&end| clean.is_char_boundary(end)).unwrap_or(0);
    format!("{}…", clean[..end].trim_end())
}

/// As a person reads it: 0.42 ms, 12 ms, 3.0 s.
pub fn spell(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds >= 1.0 {
        format!("{seconds:.1} s")
    } else if seconds >= 0.01 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{:.2} ms", seconds * 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_names_three_and_counts_the_rest() {
        assert_eq!(listed::<u8>([]), "");
        assert_eq!(listed([1]), "1");
        assert_eq!(listed([1, 2, 1]), "1 and 2");
        assert_eq!(listed([1, 2, 3]), "1, 2 and 3");
        assert_eq!(listed([1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
    }

    #[test]
    fn evidence_names_fewer_facts_before_it_cuts_one() {
        let facts = |lengths: &[usize]| lengths.iter().map(|&n| "x".repeat(n)).collect::<Vec<_>>();
        assert_eq!(evidence(&facts(&[1, 2, 3])), "x; xx; xxx.");
        assert_eq!(evidence(&facts(&[1, 2, 3, 4])), "x; xx; xxx; and 1 more.");
        assert_eq!(evidence(&facts(&[1, 2, 400])), "x; xx; and 1 more.");
        assert_eq!(evidence(&facts(&[500])).len(), LONGEST);
        assert_eq!(evidence(&[]), "");
    }

    #[test]
    fn evidence_is_a_sentence_and_leaves_names_alone() {
        let sentence = |fact: &str| evidence(&[fact.to_owned()]);
        assert_eq!(sentence("no answer came."), "No answer came.");
        assert_eq!(sentence("a.example says no"), "a.example says no.");
        assert_eq!(sentence("egress/ipv4: rejected"), "egress/ipv4: rejected.");
        assert_eq!(sentence("monitoring"), "monitoring.");
    }

    #[test]
    fn a_remedy_loses_its_last_advice_before_its_core() {
        let long = "y".repeat(390);
        assert_eq!(remedy(vec!["First.".into()], Some("Then.".into())), "First. Then.");
        assert_eq!(
            remedy(vec![long.clone(), "First.".into()], Some("Then.".into())),
            format!("{long} Then.")
        );
        assert_eq!(remedy(vec!["First.".into()], None), "First.");
        assert_eq!(remedy(vec!["y".repeat(396)], Some("Then.".into())), "Then.");
    }

    #[test]
    fn foreign_text_stays_on_one_line_and_is_cut_between_characters() {
        assert_eq!(clip("a\nb\u{1b}[31m", 99), "a b [31m");
        assert_eq!(clip("ääää", 6), "ä…");
        assert_eq!(clip("ääää", 8), "ääää");
    }

    #[test]
    fn durations_are_spelled_for_people() {
        assert_eq!(spell(Duration::from_micros(420)), "0.42 ms");
        assert_eq!(spell(Duration::from_millis(12)), "12 ms");
        assert_eq!(spell(Duration::from_secs(3)), "3.0 s");
    }
}
