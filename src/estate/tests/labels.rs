//! `--label`, and the advice to give it.

use super::*;

#[test]
fn a_label_without_use_is_said_and_a_wrong_one_refused() {
    let labels = |service: &str, label: &str| [(service.to_owned(), label.to_owned())];
    let unused = labels("sqs", "x");
    let imported = import(&[("x.json", PAGE.as_bytes())], &Options { labels: &unused, ..Options::default() });
    assert_eq!(imported.warnings, ["--label sqs has no effect: no wildcard name that is checked takes it"]);
    let used = labels("ecr.dkr", "123412341234");
    let imported = import(&[("x.json", PAGE.as_bytes())], &Options { labels: &used, ..Options::default() });
    assert!(hosts(&imported).contains(&"123412341234.dkr.ecr.us-west-2.amazonaws.com".to_owned()));
    let wrong = labels("ecr.dkr", "a\nb");
    let error = try_import(&[("x.json", PAGE.as_bytes())], &Options { labels: &wrong, ..Options::default() })
        .unwrap_err();
    assert!(error.is_usage());
    assert!(error.to_string().starts_with("invalid label \"a\\u{a}b\" for ecr.dkr: "), "{error}");
}

/// What a text advises to give to `--label`, with labels in the place of its capital letters.
fn advised(text: &str) -> Vec<(String, String)> {
    let advice = text.split("add --label ").skip(1).filter_map(|rest| rest.split_whitespace().next());
    let mut labels: Vec<(String, String)> = advice
        .map(|argument| {
            let (word, what) = argument.trim_end_matches(['.', ';']).split_once('=').expect("WORD=LABEL");
            (word.to_owned(), what.replace("ACCOUNT", "444455556666").replace("NAME", "reports"))
        })
        .collect();
    labels.sort();
    labels.dedup();
    labels
}

#[test]
fn an_advised_label_does_what_it_is_advised_for() {
    let mut tried = std::collections::BTreeSet::new();
    for (name, vpc) in [
        ("page", None),
        ("wildcards", None),
        ("china", None),
        ("govcloud", Some("vpc-0feedfacecafe0005")),
        ("eusc", None),
        ("partners", None),
        ("s3-inbound-only", None),
    ] {
        let path = format!("{}/src/estate/golden/{name}.json", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read_to_string(path).unwrap().replace("\"OwnerId\"", "\"Other\"");
        let files: [(&str, &[u8]); 1] = [("x.json", file.as_bytes())];
        let labels = advised(&import(&files, &Options { vpc, ..Options::default() }).text);
        let imported = import(&files, &Options { vpc, labels: &labels, ..Options::default() });
        assert!(!imported.text.contains("add --label"), "{name}: {}", imported.text);
        for (word, label) in labels {
            let host = format!("\"{label}.");
            assert!(imported.text.contains(&host), "{name}: {word}={label}\n{}", imported.text);
            assert!(!imported.warnings.iter().any(|line| line.contains(&word)), "{:?}", imported.warnings);
            tried.insert(word);
        }
    }
    for word in ["ecr.dkr", "execute-api", "s3-accesspoint", "s3-control"] {
        assert!(tried.contains(word), "{word} was not advised: {tried:?}");
    }
}
