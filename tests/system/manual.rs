//! The generated manual pages and completions, read by the programs that they are for.

use std::process::Command;

use crate::built;

const OPTIONS: &[&str] = &["--once", "--wait", "--format", "--output", "--config", "--check-config"];

fn file(name: &str) -> String {
    built(&format!("manual/{name}"), "make packages").to_string_lossy().into_owned()
}

fn accepts(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `.ci/install system`"));
    assert!(output.status.success(), "{program} {arguments:?}: {output:?}");
}

#[test]
fn the_shells_accept_their_completions() {
    accepts("bash", &["-n", &file("linkproof.bash")]);
    accepts("zsh", &["-n", &file("_linkproof")]);
    accepts("fish", &["--no-execute", &file("linkproof.fish")]);
}

#[test]
fn bash_completes_the_options() {
    let script = format!(
        "source {}; COMP_WORDS=(linkproof --wa); COMP_CWORD=1; _linkproof linkproof --wa linkproof; \
         [ \"${{COMPREPLY[*]}}\" = --wait ]",
        file("linkproof.bash")
    );
    accepts("bash", &["-c", &script]);
}

#[test]
fn the_manual_page_is_well_formed_and_names_every_option_and_exit_code() {
    let page = manual_page("linkproof.1.gz");
    let others =
        ["linkproof explain [CAUSE|REASON]", "[--wait DURATION]", "EXIT STATUS", "64", "78", "SIGHUP"];
    for word in OPTIONS.iter().chain(&others).chain(&["runbook.md", "raw-sockets.conf"]) {
        assert!(page.contains(word), "{word} is missing:\n{page}");
    }
}

#[test]
fn the_manual_page_of_the_configuration_names_every_key() {
    let page = manual_page("linkproof.toml.5.gz");
    let sample = include_str!("../../packaging/linkproof.toml");
    let names = sample.lines().filter(|line| !line.starts_with("# ")).filter_map(|line| {
        let line = line.strip_prefix('#')?;
        Some(line.split_once(" = ").map_or(line, |(key, _)| key))
    });
    for name in names {
        assert!(page.contains(name), "{name} is missing:\n{page}");
    }
}

/// The text of a page that mandoc finds no fault with, its lines joined.
fn manual_page(name: &str) -> String {
    accepts("mandoc", &["-T", "lint", "-W", "error", &file(name)]);
    let page = Command::new("mandoc").args(["-T", "ascii", &file(name)]).output().unwrap();
    // Bold and underlined letters are struck twice.
    let letters: Vec<char> = String::from_utf8(page.stdout).unwrap().chars().collect();
    let is_kept =
        |(at, letter): &(usize, &char)| **letter != '\u{8}' && letters.get(at + 1) != Some(&'\u{8}');
    let text: String = letters.iter().enumerate().filter(is_kept).map(|(_, letter)| *letter).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
