//! Documents that must agree with the product: jq commands, and the changelog of the packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.extension().is_some_and(|end| end == extension)).collect()
}

#[test]
fn documented_jq_commands_find_what_they_promise() {
    let reports = files("src/report/golden", "json");
    let mut commands = Vec::new();
    for guide in files("packaging", "md") {
        let text = fs::read_to_string(guide).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("jq "));
        commands.extend(lines.map(|line| line.strip_suffix(" report.json").unwrap().to_owned()));
    }
    assert!(reports.len() > 2 && commands.len() > 5, "{reports:?} {commands:?}");
    for command in commands {
        let answers = reports.iter().map(|report| {
            let output = Command::new("sh").args(["-c", &format!("{command} \"$0\"")]).arg(report).output();
            let output = output.unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{command}: {output:?}");
            String::from_utf8(output.stdout).unwrap()
        });
        // A key that does not exist reads as null.
        let found: Vec<String> =
            answers.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
        assert!(found.iter().any(|line| !line.contains("null")), "{command} finds nothing: {found:?}");
    }
}

#[test]
fn the_changelogs_of_the_packages_start_with_this_version() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/changelog");
    let start = concat!("linkproof (", env!("CARGO_PKG_VERSION"), "-1) unstable; urgency=medium\n\n  * ");
    let heading = concat!("> - ", env!("CARGO_PKG_VERSION"), "-1\n- ");
    for (format, expected) in [("deb", start), ("rpm", heading)] {
        let output = Command::new(&script).arg(format).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let lead: String = text.chars().take(200).collect();
        assert!(output.status.success() && lead.contains(expected), "{format}: {text}");
        let changes = text.lines().filter(|line| line.starts_with("  ") || line.starts_with("- "));
        assert!(changes.clone().count() > 3, "{text}");
        assert!(changes.clone().all(|line| line.len() <= 80), "lintian wants at most 80 characters: {text}");
    }
}
