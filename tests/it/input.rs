//! What people get wrong, through the real binary: the message, where it goes, the exit code.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Command, Output};

use crate::agent::{self, Agent};
use crate::harness::{self, BINARY};
use crate::lab::Run;
use crate::report::Report;

const USAGE: i32 = 64;
const CONFIGURATION: i32 = 78;

/// Ends before it sends anything: only what reads the command line or the file.
fn linkproof(arguments: &[&str]) -> Output {
    let harmless = !arguments.contains(&"--once") || arguments.contains(&"--wait=x");
    assert!(harmless, "rounds are for the lab");
    Command::new(BINARY).args(arguments).env_clear().output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Reads a configuration, and gives the exit code and what was said on standard error, with the
/// file called `FILE`.
fn checked(toml: &str) -> (Option<i32>, String) {
    let file = agent::file("toml", toml);
    let output = linkproof(&["--check-config", "--config", file.to_str().unwrap()]);
    assert_eq!(said(&output.stdout), "");
    (output.status.code(), said(&output.stderr).replace(file.to_str().unwrap(), "FILE"))
}

#[test]
fn a_mistake_in_the_file_is_told_with_file_line_and_column() {
    for (toml, place, words) in [
        ("region = 'us-east-1'\nintervall = '30s'\n", "FILE:2:1", "interval"),
        ("interval = 30\n", "FILE:1:12", "\"30s\""),
        ("interval = '2s'\ntimeout = '5s'\n", "FILE:", "timeout"),
        ("[[endpoint]]\nservice = 'ssm'\n[[endpoint]]\nservice = 'ssm'\n", "FILE:4:11", "line 2"),
        ("[[endpoint]]\nhost = 'no_such name'\n", "FILE:2:8", "no_such name"),
        ("[[endpoint]]\nhost = 'api..example'\n", "FILE:2:8", "api..example"),
        ("[egress]\naddresses = ['10.0.0.1']\n", "FILE:2:14", "private"),
        ("expected_cidrs = ['0.0.0.0/0']\n", "FILE:1:19", "every address"),
        ("region = 'us-east-1\n", "FILE:1:", ""),
    ] {
        let (code, message) = checked(toml);
        assert_eq!(code, Some(CONFIGURATION), "{toml}{message}");
        assert!(message.contains(place) && message.contains(words), "{toml}--\n{message}");
        assert!(message.lines().all(|line| line.chars().count() <= 160), "{message}");
    }
}

#[test]
fn every_mistake_of_a_file_is_told_at_once() {
    let (code, message) = checked("intervall = '30s'\ntimeout = 3\n[egres]\n");
    assert_eq!(code, Some(CONFIGURATION));
    for place in ["FILE:1:1", "FILE:2:11", "FILE:3:"] {
        assert!(message.contains(place), "{place} is missing:\n{message}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let missing = agent::scratch("toml");
    let directory = env!("CARGO_TARGET_TMPDIR");
    for path in [missing.to_str().unwrap(), directory] {
        let output = linkproof(&["--check-config", "--config", path]);
        let message = said(&output.stderr);
        assert_eq!(output.status.code(), Some(CONFIGURATION), "{message}");
        assert!(message.contains(path), "{message}");
    }
    let secret = agent::file("toml", "region = 'us-east-1'\n");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let lab = harness::lab();
    let output = lab.run(&Run::new(BINARY).args(["--once", "--config"]).arg(&secret).unprivileged());
    assert_eq!(output.status.code(), Some(CONFIGURATION), "{output:?}");
    assert!(output.stderr.contains(secret.to_str().unwrap()), "{}", output.stderr);
    assert!(output.stdout.is_empty() && lab.requests().is_empty(), "{output:?}");
}

#[test]
fn a_good_file_is_said_to_be() {
    let file = agent::file("toml", "[[endpoint]]\nservice = 'monitoring'\n");
    let output = linkproof(&["--check-config", "--config", file.to_str().unwrap()]);
    let valid = format!("{}: valid\n", file.display());
    assert_eq!((output.status.code(), said(&output.stdout)), (Some(0), valid));
    assert_eq!(said(&output.stderr), "");
}

#[test]
fn check_config_reads_the_files_that_the_configuration_names() {
    let (code, message) = checked("ca_file = '/no/such/ca.pem'\n");
    assert_eq!(code, Some(CONFIGURATION), "{message}");
    assert!(message.contains("/no/such/ca.pem"), "{message}");
    let output = linkproof(&["--check-config"]);
    assert!(said(&output.stdout).contains("/etc/linkproof/linkproof.toml"), "{output:?}");
    let (code, message) = checked("[log]\nlevel = 'loud'\n");
    assert_eq!(code, Some(CONFIGURATION), "{message}");
    assert!(message.contains("FILE:2:9") && message.contains("\"debug\""), "{message}");
}

#[test]
fn a_wrong_ca_file_does_not_hide_what_is_wrong_with_the_web_configuration() {
    let web = agent::file("yml", "basic_auth_users:\n  alice: x\n  bob: y\n");
    let (code, message) =
        checked(&format!("ca_file = '/no/such/ca.pem'\n[web]\nconfig_file = '{}'\n", web.display()));
    assert_eq!(code, Some(CONFIGURATION), "{message}");
    for told in ["/no/such/ca.pem", ":2:10: basic_auth_users: password for user \"alice\"", "user \"bob\""] {
        assert!(message.contains(told), "{told}: {message}");
    }
}

#[test]
fn a_credential_of_the_unit_is_a_warning_outside_it() {
    let key = "/run/credentials/linkproof.service/web.key";
    let web = agent::file("yml", &format!("tls_server_config:\n  cert_file: {key}\n  key_file: {key}\n"));
    let config = agent::file("toml", &format!("[web]\nconfig_file = '{}'\n", web.display()));
    let arguments = ["--check-config", "--config", config.to_str().unwrap()];
    let output = linkproof(&arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said(&output.stderr).contains(&format!("warning: {key} exists only while")), "{output:?}");
    let inside = Command::new(BINARY).args(arguments).env_clear().env("CREDENTIALS_DIRECTORY", "/x").output();
    assert_eq!(inside.unwrap().status.code(), Some(CONFIGURATION));
}

#[test]
fn the_shipped_sample_is_a_good_file() {
    let sample = concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/linkproof.toml");
    let output = linkproof(&["--check-config", "--config", sample]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for arguments in [
        &["--twice"][..],
        &["--wait", "5m"],
        &["--format", "json"],
        &["--once", "--wait=x"],
        &["--check-config", "--once", "--wait=x"],
        &["surplus"],
    ] {
        let output = linkproof(arguments);
        assert_eq!(output.status.code(), Some(USAGE), "{arguments:?}: {}", said(&output.stderr));
        assert!(said(&output.stderr).starts_with("error: "), "{arguments:?}: {}", said(&output.stderr));
        assert_eq!(said(&output.stdout), "");
    }
}

#[test]
fn help_and_version_are_answers() {
    let help = linkproof(&["--help"]);
    assert_eq!((help.status.code(), said(&help.stderr)), (Some(0), String::new()));
    for word in ["--once", "--wait", "--format", "--output", "--check-config", "Exit codes"] {
        assert!(said(&help.stdout).contains(word), "{word}");
    }
    let version = linkproof(&["--version"]);
    assert_eq!(said(&version.stdout), concat!("linkproof ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn explain_answers_on_stdout_and_suggests_for_an_unknown_word() {
    for (arguments, expected) in [
        (&["explain"][..], "private_dns_off"),
        (&["explain", "private_dns_off"], "--private-dns-enabled"),
        (&["explain", "public_address"], "private_dns_off"),
    ] {
        let output = linkproof(arguments);
        assert_eq!((output.status.code(), said(&output.stderr)), (Some(0), String::new()), "{arguments:?}");
        assert!(said(&output.stdout).contains(expected), "{arguments:?}: {}", said(&output.stdout));
        assert!(!said(&output.stdout).contains('\u{1b}'), "no color in a pipe");
    }
    let output = linkproof(&["explain", "private_dns"]);
    assert_eq!((output.status.code(), said(&output.stdout)), (Some(USAGE), String::new()));
    assert!(said(&output.stderr).contains("did you mean \"private_dns_off\"?"), "{}", said(&output.stderr));
}

#[test]
fn a_report_is_put_in_place_as_a_whole() {
    let lab = harness::lab();
    let path = agent::scratch("json");
    fs::write(&path, "the old report").unwrap();
    let old = fs::metadata(&path).unwrap().ino();
    let output = lab.run(&Agent::default().once("json").arg("--output").arg(&path));
    assert_eq!((output.status.code(), output.stdout.as_str()), (Some(0), ""), "{output:?}");
    let report = Report::read(&fs::read_to_string(&path).unwrap());
    assert_eq!(report.map(|report| report.outcome().to_owned()), Ok("pass".to_owned()));
    assert_ne!(fs::metadata(&path).unwrap().ino(), old, "it was written over the old one");
    let beside = fs::read_dir(path.parent().unwrap()).unwrap().flatten();
    let name = path.file_name().unwrap().to_str().unwrap();
    let left: Vec<_> = beside
        .map(|entry| entry.file_name())
        .filter(|file| file.to_str().unwrap().starts_with(name))
        .collect();
    assert_eq!(left, [name], "something was left beside it");
}

#[test]
fn where_the_report_cannot_be_put_the_old_one_stays() {
    let lab = harness::lab();
    let directory = agent::scratch("d");
    fs::create_dir(&directory).unwrap();
    let path = directory.join("report.json");
    fs::write(&path, "the old report").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    let run = Agent::default().unprivileged().once("json").arg("--output").arg(&path);
    let output = lab.run(&run);
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(output.stderr.contains(path.to_str().unwrap()), "{}", output.stderr);
    assert_eq!(fs::read_to_string(&path).unwrap(), "the old report");
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "something was left beside it");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let lab = harness::lab();
    // `true` is gone before there is anything to read.
    for (reader, shown) in [("head -1", "linkproof "), ("true", "")] {
        let line = format!("{BINARY} --once | {reader}; echo ${{PIPESTATUS[0]}}");
        let output = lab.run(&Run::new("bash").args(["-c", &line]));
        assert!(output.stdout.starts_with(shown) && output.stdout.ends_with("0\n"), "{reader}: {output:?}");
        assert_eq!(output.stderr, "", "{reader}");
    }
}
