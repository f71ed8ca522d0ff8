//! The jq commands in the documentation, run on real reports.

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
