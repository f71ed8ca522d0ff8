//! What a mistyped word was probably meant to be.

use strsim::osa_distance;

/// `did you mean "a" or "b"?`, where something known comes near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    question(&nearest(word, known))
}

/// `did you mean "a" or "b"?`
pub fn question(words: &[&str]) -> Option<String> {
    let quoted: Vec<String> = words.iter().map(|word| format!("{word:?}")).collect();
    let (last, others) = quoted.split_last()?;
    let others = if others.is_empty() { String::new() } else { format!("{} or ", others.join(", ")) };
    Some(format!("did you mean {others}{last}?"))
}

/// More would be a list to read, not a hint.
pub const MOST: usize = 3;

/// Longer words are not names, and the time to compare them grows with their length.
const LONGEST: usize = 64;

/// The known words that come near this one, the nearest first.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    if word.len() > LONGEST {
        return Vec::new();
    }
    let word = word.to_lowercase();
    // Half a word is another word.
    let furthest = 1 + word.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| {
            let distance = osa_distance(&word, name);
            (if continues(&word, name) { distance.min(furthest) } else { distance }, name)
        })
        .filter(|(distance, _)| *distance <= furthest)
        .collect();
    near.sort_unstable();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// `ecr` for `ecr.api`, `endpoints` for `endpoint`.
fn continues(word: &str, name: &str) -> bool {
    let (short, long) = if word.len() < name.len() { (word, name) } else { (name, word) };
    short.len() >= 3 && long.starts_with(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_find_their_word_and_strangers_find_none() {
        let known = ["ecr.api", "ecr.dkr", "host", "interval", "monitoring", "ssm", "ssmmessages"];
        let cases = [
            ("interal", vec!["interval"]),
            ("Interval", vec!["interval"]),
            ("monitorng", vec!["monitoring"]),
            ("monitroing", vec!["monitoring"]),
            ("hots", vec!["host"]),
            ("hosts", vec!["host"]),
            ("ecr", vec!["ecr.api", "ecr.dkr"]),
            ("ssmm", vec!["ssm", "ssmmessages"]),
            ("ssmmesages", vec!["ssmmessages", "ssm"]),
            ("lambda", vec![]),
            ("é", vec![]),
            ("", vec![]),
        ];
        for (word, expected) in cases {
            assert_eq!(nearest(word, known), expected, "{word}");
        }
        assert_eq!(nearest(&format!("host{}", "s".repeat(61)), known), Vec::<&str>::new());
    }

    #[test]
    fn suggestions_read_as_a_question() {
        let ask = |word| did_you_mean(word, ["kinesis-a", "kinesis-b", "kinesis-c", "kinesis-d"]);
        assert_eq!(ask("kinesis").unwrap(), "did you mean \"kinesis-a\", \"kinesis-b\" or \"kinesis-c\"?");
        assert_eq!(ask("sqs"), None);
    }
}
