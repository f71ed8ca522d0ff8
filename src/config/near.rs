//! What a mistyped word was probably meant to be.

/// `did you mean "a" or "b"?`, where something known comes near.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near: Vec<String> = near(word, known).into_iter().map(|name| format!("{name:?}")).collect();
    let (last, others) = near.split_last()?;
    let others = if others.is_empty() { String::new() } else { format!("{} or ", others.join(", ")) };
    Some(format!("did you mean {others}{last}?"))
}

/// More would be a list to read, not a hint.
const MOST: usize = 3;

fn near<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    // Half a word is another word.
    let furthest = 1 + word.chars().count() / 4;
    let mut near: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| if continues(word, name) { (1, name) } else { (distance(word, name), name) })
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

/// Levenshtein's, whatever the case.
fn distance(word: &str, name: &str) -> usize {
    let mut row: Vec<usize> = (0..=name.len()).collect();
    for (i, a) in word.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in name.bytes().enumerate() {
            let change = diagonal + usize::from(a.to_ascii_lowercase() != char::from(b));
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_hand_finds_its_word_and_a_stranger_finds_none() {
        let known = ["ecr.api", "ecr.dkr", "host", "interval", "monitoring", "ssm", "ssmmessages"];
        let cases = [
            ("interal", vec!["interval"]),
            ("Interval", vec!["interval"]),
            ("monitorng", vec!["monitoring"]),
            ("hots", vec!["host"]),
            ("hosts", vec!["host"]),
            ("ecr", vec!["ecr.api", "ecr.dkr"]),
            ("ssmm", vec!["ssm", "ssmmessages"]),
            ("lambda", vec![]),
            ("é", vec![]),
            ("", vec![]),
        ];
        for (word, expected) in cases {
            assert_eq!(near(word, known), expected, "{word}");
        }
    }

    #[test]
    fn suggestions_read_as_a_question() {
        let ask = |word| did_you_mean(word, ["kinesis-a", "kinesis-b", "kinesis-c", "kinesis-d"]);
        assert_eq!(ask("kinesis").unwrap(), "did you mean \"kinesis-a\", \"kinesis-b\" or \"kinesis-c\"?");
        assert_eq!(ask("sqs"), None);
    }
}
