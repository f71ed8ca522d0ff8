//! What is generated from the command line, in the hands of the programs that read it.

use std::fs;
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
fn the_manual_page_is_well_formed_and_tells_every_option_and_exit_code() {
    accepts("mandoc", &["-T", "lint", "-W", "error", &file("linkproof.1.gz")]);
    let page = Command::new("mandoc").args(["-T", "ascii", &file("linkproof.1.gz")]).output().unwrap();
    // Bold letters are struck twice.
    let page = String::from_utf8(page.stdout).unwrap();
    let struck: Vec<char> = page.chars().collect();
    let page: String = struck
        .iter()
        .enumerate()
        .filter(|(at, letter)| **letter != '\u{8}' && struck.get(at + 1) != Some(&'\u{8}'))
        .map(|(_, letter)| *letter)
        .collect();
    for word in OPTIONS.iter().chain(&["EXIT STATUS", "64", "78", "SIGHUP", "runbook.md", "raw-sockets.conf"])
    {
        assert!(page.contains(word), "{word} is missing:\n{page}");
    }
    assert!(fs::metadata(file("linkproof.1.gz")).unwrap().len() > 0);
}
