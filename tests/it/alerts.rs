//! The rules that the package ships, by promtool: each fires when it should and not otherwise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Scratch, packaged, program};

const FILES: [&str; 2] = ["alerts.yml", "recording.yml"];

fn cases(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/prometheus").join(file)
}

fn shipped(file: &str) -> String {
    fs::read_to_string(packaged("prometheus").join(file)).unwrap()
}

/// Whether promtool is content, and what it said.
fn promtool(arguments: &[&str], file: &Path) -> (bool, String) {
    let output = Command::new(program("promtool", "prometheus")).args(arguments).arg(file).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn every_rule_is_valid_and_does_what_its_cases_say() {
    for file in FILES {
        let (valid, said) = promtool(&["check", "rules", "--lint-fatal"], &packaged("prometheus").join(file));
        assert!(valid, "{said}");
        let (passed, said) = promtool(&["test", "rules"], &cases(file));
        assert!(passed, "{said}");
    }
}

#[test]
fn the_shipped_configurations_are_valid() {
    for file in ["prometheus.yml", "agent.yml", "textfile.yml"] {
        let agent =
            if file == "agent.yml" { &["check", "config", "--agent"][..] } else { &["check", "config"] };
        let (valid, said) = promtool(agent, &packaged("prometheus").join(file));
        assert!(valid, "{file}: {said}");
    }
    let amtool = Command::new(program("amtool", "prometheus-alertmanager"))
        .arg("check-config")
        .arg(packaged("prometheus/alertmanager.yml"))
        .output()
        .unwrap();
    assert!(amtool.status.success(), "{}", String::from_utf8_lossy(&amtool.stderr));
}

/// An alert as the file has it, from its name to its annotations.
struct Rule<'a> {
    text: &'a str,
    name: &'a str,
}

fn rules(file: &str) -> Vec<Rule<'_>> {
    let rule = |text| Rule { text, name: str::lines(text).next().unwrap_or_default().trim() };
    file.split("- alert: ").skip(1).map(rule).collect()
}

impl Rule<'_> {
    fn with_expression(&self, expression: &str) -> String {
        let (before, rest) = self.text.split_once("        expr: ").unwrap();
        let end =
            ["        for: ", "        labels:"].iter().filter_map(|next| rest.find(next)).min().unwrap();
        format!("{before}        expr: {expression}\n{}", &rest[end..])
    }

    fn without_waiting(&self) -> Option<String> {
        let (before, rest) = self.text.split_once("        for: ")?;
        Some(format!("{before}{}", rest.split_once('\n')?.1))
    }
}

type Mutation = fn(&Rule<'_>) -> Option<String>;

#[test]
fn the_cases_notice_an_alert_that_never_fires_always_fires_or_does_not_wait() {
    let (file, scratch) = (shipped("alerts.yml"), Scratch::new("mutants"));
    let cases = fs::read_to_string(cases("alerts.yml")).unwrap();
    let cases =
        scratch.write("cases.yml", &cases.replace("../../packaging/prometheus/alerts.yml", "mutant.yml"));
    let mutations: [(&str, Mutation); 3] = [
        ("never fires", |rule| Some(rule.with_expression("vector(1) == 0"))),
        ("always fires", |rule| Some(rule.with_expression("vector(1)"))),
        ("does not wait", |rule| rule.without_waiting()),
    ];
    // All of them at once: promtool takes its time for each run, and names each alert that is off.
    for (what, mutate) in mutations {
        let mutants: Vec<(Rule<'_>, String)> =
            rules(&file).into_iter().filter_map(|rule| mutate(&rule).map(|text| (rule, text))).collect();
        let mutant = mutants.iter().fold(file.clone(), |file, (rule, text)| file.replace(rule.text, text));
        scratch.write("mutant.yml", &mutant);
        let (_, said) = promtool(&["test", "rules"], &cases);
        for (rule, _) in mutants {
            let named = format!("alertname: {}, ", rule.name);
            assert!(said.contains(&named), "{} that {what} goes unnoticed: {said}", rule.name);
        }
    }
}

/// Each link of an alert leads to a section of the runbook, which the daemon serves with anchors.
#[test]
fn the_runbook_has_a_section_for_every_alert() {
    let runbook = fs::read_to_string(packaged("runbook.md")).unwrap();
    let file = shipped("alerts.yml");
    for rule in rules(&file).iter().filter(|rule| rule.name != "LinkproofAbsent") {
        let anchor = rule.name.to_lowercase();
        assert!(
            rule.text.contains(&format!("#{anchor}"))
                || rule.text.contains(&format!("else }}}}{anchor}{{{{ end")),
            "{}",
            rule.name
        );
    }
    for rule in rules(&file) {
        assert!(runbook.contains(&format!("\n### {}\n", rule.name)), "the runbook lacks ### {}", rule.name);
    }
}

#[test]
fn every_alert_has_a_severity_and_words() {
    let file = shipped("alerts.yml");
    let rules = rules(&file);
    assert!(rules.len() > 10);
    for rule in rules {
        for part in ["severity: ", "summary: ", "description: "] {
            assert!(rule.text.contains(part), "{} lacks {part}", rule.name);
        }
        // Without any linkproof there is none to serve it.
        let has_runbook = rule.text.contains("runbook_url: ");
        assert_eq!(has_runbook, rule.name != "LinkproofAbsent", "{}", rule.name);
    }
}
