//! Every series that a rule, a dashboard or a document names exists, with the labels that it is
//! selected by. `metrics.md` is made from the code, and holds all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{fs, iter};

use crate::harness::packaged;

/// What scraping and the shipped relabeling add.
const OF_THE_SERVER: [&str; 8] =
    ["job", "instance", "vpc", "zone", "address", "scheme", "exported_zone", "le"];

/// The labels of each series.
type Known = BTreeMap<String, BTreeSet<String>>;

fn documented() -> Known {
    let table = fs::read_to_string(packaged("metrics.md")).unwrap();
    let mut known = Known::new();
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let name = cells[1].trim_matches('`');
        let labels: BTreeSet<String> =
            cells[3].split(", ").map(|label| label.trim_matches('`').to_owned()).collect();
        if cells[2] == "histogram" {
            for part in ["bucket", "sum", "count"] {
                known.insert(format!("{name}_{part}"), labels.clone());
            }
        }
        known.insert(name.to_owned(), labels);
    }
    known
}

fn recorded() -> BTreeSet<String> {
    let rules = fs::read_to_string(packaged("prometheus/recording.yml")).unwrap();
    let records = rules.lines().filter_map(|line| line.trim().strip_prefix("- record: "));
    records.map(str::to_owned).collect()
}

/// Each series with the labels that select it.
fn named(text: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut named = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("linkproof_") {
        let begin = rest[..start].rfind(|c| !is_name(c)).map_or(0, |at| at + 1);
        let length = rest[begin..].find(|c| !is_name(c)).unwrap_or(rest.len() - begin);
        let name = &rest[begin..begin + length];
        rest = &rest[begin + length..];
        if !name.ends_with('_') {
            named.push((name.to_owned(), selected(rest)));
        }
    }
    named
}

/// `{check="x",state=~"y"} ..` selects by `check` and `state`.
fn selected(text: &str) -> Vec<String> {
    let Some(selector) = text.strip_prefix('{').and_then(|text| text.split_once('}')) else {
        return Vec::new();
    };
    let matchers = selector.0.split(',').filter_map(|matcher| matcher.split_once(['=', '!']));
    matchers.map(|(label, _)| label.trim().to_owned()).collect()
}

fn mistakes(text: &str, known: &Known, recorded: &BTreeSet<String>) -> Vec<String> {
    let mut mistakes = Vec::new();
    for (name, labels) in named(text) {
        match known.get(&name) {
            Some(own) => {
                let exists =
                    |label: &&String| own.contains(*label) || OF_THE_SERVER.contains(&label.as_str());
                mistakes.extend(
                    labels.iter().filter(|label| !exists(label)).map(|label| format!("{name}: {label}")),
                );
            }
            None if recorded.contains(&name) => {}
            None => mistakes.push(name),
        }
    }
    mistakes
}

fn files() -> Vec<PathBuf> {
    let mut files = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")];
    let mut folders = vec![packaged("")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    let is_text = |path: &PathBuf| {
        let ends = ["md", "yml", "yaml", "json", "tf", "tftpl", "toml", "sh"];
        path.extension().is_some_and(|extension| ends.iter().any(|end| extension == *end))
    };
    files.into_iter().filter(is_text).collect()
}

#[test]
fn every_series_and_label_that_a_file_names_exists() {
    let (known, recorded) = (documented(), recorded());
    assert!(known.len() > 30 && recorded.len() > 4);
    let mut names = 0;
    for file in files() {
        let text = fs::read_to_string(&file).unwrap();
        names += named(&text).len();
        assert_eq!(mistakes(&text, &known, &recorded), [""; 0], "{}", file.display());
    }
    assert!(names > 100, "{names}");
}

#[test]
fn a_series_or_a_label_that_does_not_exist_is_found() {
    let (known, recorded) = (documented(), recorded());
    let wrong = [
        ("linkproof_chek_state == 1", "linkproof_chek_state"),
        ("sum(instance:linkproof_proven:bool)", "instance:linkproof_proven:bool"),
        (r#"linkproof_check_state{chek="a",state="fail"}"#, "linkproof_check_state: chek"),
        (r#"linkproof_success{check=~"a"}"#, "linkproof_success: check"),
    ];
    for (text, mistake) in wrong {
        assert_eq!(mistakes(text, &known, &recorded), [mistake], "{text}");
    }
    let right = r#"linkproof_diagnosis{instance=%q, check!="a"} and rate(linkproof_check_duration_seconds_bucket{kind="dns"}[5m])"#;
    assert_eq!(mistakes(right, &known, &recorded), iter::empty::<&str>().collect::<Vec<_>>());
}
