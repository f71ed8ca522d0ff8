//! `linkproof explain`: the runbook and the reasons, for a terminal. The runbook is compiled in,
//! since a bare binary has no `/usr/share/doc`.

mod markdown;

use std::fmt;

use crate::diagnosis::{self, Cause};
use crate::observation::Reason;
use crate::report::text::Style;
use crate::suggestion::did_you_mean;

/// For the daemon, which serves it.
pub const RUNBOOK: &str = include_str!("../packaging/runbook.md");

/// Sections that are not about a cause: the word to ask with, and the heading.
const TOPICS: &[(&str, &str)] = &[("proof_policy", "The proof policy")];

/// A word that is neither a cause nor a reason nor a topic.
#[derive(Debug, Eq, PartialEq)]
pub struct UnknownWord(String);

impl fmt::Display for UnknownWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unknown cause or reason {:?}; ", self.0)?;
        let causes = Cause::ALL.iter().map(|cause| cause.code());
        let reasons = Reason::ALL.iter().map(|reason| reason.code());
        let topics = TOPICS.iter().map(|(word, _)| *word);
        match did_you_mean(&self.0, causes.chain(reasons).chain(topics)) {
            Some(suggestion) => f.write_str(&suggestion),
            None => f.write_str("list them all with: linkproof explain"),
        }
    }
}

impl std::error::Error for UnknownWord {}

/// What a word means; without one, all words.
pub fn explain(word: Option<&str>, style: Style) -> Result<String, UnknownWord> {
    let Some(word) = word else { return Ok(overview(style)) };
    if let Some(cause) = Cause::ALL.iter().find(|cause| cause.code() == word) {
        return Ok(of_cause(*cause, style));
    }
    if let Some(reason) = Reason::ALL.iter().find(|reason| reason.code() == word) {
        return Ok(of_reason(*reason, style));
    }
    let topic = TOPICS.iter().find(|(topic, _)| *topic == word);
    topic.map(|(_, heading)| of_topic(heading, style)).ok_or_else(|| UnknownWord(word.to_owned()))
}

fn overview(style: Style) -> String {
    let causes = Cause::ALL.iter().map(|cause| (cause.code(), format!("{}.", cause.title())));
    let reasons = Reason::ALL.iter().map(|reason| (reason.code(), reason.description().to_owned()));
    let topics = TOPICS.iter().map(|(word, heading)| (*word, format!("{heading}.")));
    [
        list("Causes: what is wrong, and what to change", causes, style),
        list("Reasons: why a check did not pass", reasons, style),
        list("Topics", topics, style),
        "For more about one of them: linkproof explain NAME\n".to_owned(),
    ]
    .join("\n")
}

fn list<'a>(title: &str, entries: impl Iterator<Item = (&'a str, String)>, style: Style) -> String {
    let lines: String = entries.map(|(word, meaning)| format!("  {word:<30}  {meaning}\n")).collect();
    format!("{}\n\n{lines}", style.bold(title))
}

fn of_cause(cause: Cause, style: Style) -> String {
    let mut page = section(cause.code()).map(|body| markdown::render(body, style)).unwrap_or_default();
    let reasons: Vec<&str> = Reason::ALL
        .iter()
        .filter(|reason| diagnosis::causes(**reason).contains(&cause))
        .map(|reason| reason.code())
        .collect();
    if !reasons.is_empty() {
        page += &format!("\n{}", markdown::render(&format!("Reasons: {}.", reasons.join(", ")), style));
    }
    page + "\nReplace the words in capitals, such as VPC_ID. A report names them where it knows them.\n"
}

fn of_reason(reason: Reason, style: Style) -> String {
    let mut page = format!("{}\n\n{}\n", style.bold(reason.code()), reason.description());
    let causes = diagnosis::causes(reason);
    if diagnosis::is_consequence(reason) {
        page += "\nIt usually follows from another check: look for the cause that explains that check.\n";
    }
    if let Some(advice) = diagnosis::advice(reason) {
        page += &format!("\n{}", markdown::render(advice, style));
    }
    if !causes.is_empty() {
        let entries = causes.iter().map(|cause| (cause.code(), format!("{}.", cause.title())));
        page += &format!("\n{}", list("Causes that can lead to it", entries, style));
        page += &format!("\nFor what to change: linkproof explain {}\n", causes[0].code());
    }
    page
}

fn of_topic(heading: &str, style: Style) -> String {
    let body = section(heading).map(|body| markdown::render(body, style)).unwrap_or_default();
    format!("{}\n\n{body}", style.bold(heading))
}

/// What stands below a heading of the runbook.
fn section(heading: &str) -> Option<&'static str> {
    RUNBOOK.split("\n## ").skip(1).find_map(|section| {
        let (title, body) = section.split_once('\n')?;
        (title == heading).then(|| body.trim_matches('\n'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style::PLAIN;

    fn page(word: &str) -> String {
        explain(Some(word), PLAIN).unwrap()
    }

    #[test]
    fn a_cause_is_explained_by_its_section() {
        for cause in Cause::ALL {
            let page = page(cause.code());
            assert!(page.starts_with(&format!("{}.\n\n", cause.title())), "{page}");
            for part in ["\nCheck by hand:\n\n    ", "\nFix: ", "\nVerify: "] {
                assert!(page.contains(part), "{part:?} is missing in {page}");
            }
            assert!(!page.contains("**") && !page.contains("\n## "), "{page}");
        }
        assert!(page("private_dns_off").contains("\nReasons: public_address, mixed_addresses.\n"));
    }

    #[test]
    fn a_reason_is_explained_by_advice_and_by_its_causes() {
        for reason in Reason::ALL {
            assert!(of_reason(*reason, PLAIN).contains(reason.description()));
        }
        let listed = page("connect_timeout");
        for cause in ["endpoint_security_group ", "endpoint_interface_down ", "instance_egress_blocked "] {
            assert!(listed.contains(cause), "{listed}");
        }
        assert!(listed.ends_with("linkproof explain endpoint_security_group\n"), "{listed}");
        assert!(page("too_few_targets").contains("two operators"));
        assert!(page("prerequisite_failed").contains("another check"));
    }

    /// A word can be the code of a cause and of a reason; then it is the cause that has a section.
    #[test]
    fn the_overview_names_everything_once_or_as_both() {
        let page = explain(None, PLAIN).unwrap();
        for code in Cause::ALL.iter().map(|c| c.code()).chain(Reason::ALL.iter().map(|r| r.code())) {
            assert!(page.contains(&format!("\n  {code} ")), "{code} is missing in {page}");
        }
        assert!(page.lines().all(|line| line.len() <= 120), "{page}");
    }

    #[test]
    fn the_proof_policy_can_be_read_without_the_file() {
        assert!(page("proof_policy").contains("\"aws:SourceVpce\": "));
        let role: Vec<String> = page("no_instance_role").split_whitespace().map(str::to_owned).collect();
        assert!(role.join(" ").contains("(linkproof explain proof_policy)"));
        for (word, heading) in TOPICS {
            assert!(page(word).lines().count() > 3, "the runbook lacks the section {heading:?}");
        }
    }

    #[test]
    fn an_unknown_word_gets_a_suggestion() {
        let refused = |word| explain(Some(word), PLAIN).unwrap_err().to_string();
        let suggestion = "unknown cause or reason \"private_dns_of\"; did you mean \"private_dns_off\"?";
        assert_eq!(refused("private_dns_of"), suggestion);
        assert!(
            refused("weather").ends_with("list them all with: linkproof explain"),
            "{}",
            refused("weather")
        );
        assert!(refused("").ends_with("linkproof explain"));
    }
}
