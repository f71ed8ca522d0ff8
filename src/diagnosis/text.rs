//! Short sentences out of facts: lists that end, words that fit.

use crate::wording;

/// What a line of a report, a status page and an alert still carry whole.
pub const LONGEST: usize = 400;

const NAMED: usize = 3;

/// The first three facts as one sentence, fewer where they would be too long.
pub fn evidence(facts: &[String]) -> String {
    (1..=facts.len().min(NAMED))
        .rev()
        .map(|count| sentence(&facts[..count], facts.len() - count))
        .find(|text| text.chars().count() <= LONGEST)
        .unwrap_or_else(|| facts.first().map(|fact| wording::clip(fact, LONGEST)).unwrap_or_default())
}

fn sentence(facts: &[String], more: usize) -> String {
    let facts: Vec<&str> = facts.iter().map(|fact| fact.trim_end_matches('.')).collect();
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    wording::sentence(&(facts.join("; ") + &more))
}

/// As many of the sentences as fit; the last is the one that must not be lost.
pub fn remedy(mut advice: Vec<String>, last: Option<String>) -> String {
    let last = last.or_else(|| advice.pop()).unwrap_or_default();
    loop {
        let text: Vec<&str> = advice.iter().chain([&last]).map(String::as_str).collect();
        let text = text.join(" ");
        if text.chars().count() <= LONGEST {
            return text;
        }
        if advice.pop().is_none() {
            return wording::clip(&text, LONGEST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_names_fewer_facts_before_it_cuts_one() {
        let facts = |lengths: &[usize]| lengths.iter().map(|&n| "x".repeat(n)).collect::<Vec<_>>();
        assert_eq!(evidence(&facts(&[1, 2, 3])), "x; xx; xxx.");
        assert_eq!(evidence(&facts(&[1, 2, 3, 4])), "x; xx; xxx; and 1 more.");
        assert_eq!(evidence(&facts(&[1, 2, 400])), "x; xx; and 1 more.");
        assert_eq!(evidence(&facts(&[500])).chars().count(), LONGEST);
        assert_eq!(evidence(&[]), "");
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
}
