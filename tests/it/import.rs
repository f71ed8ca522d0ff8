//! `linkproof import` through the real binary: where it reads and writes, and how it ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::agent::file;
use crate::harness::{BINARY, PATIENCE, Scratch, lab};
use crate::lab::{Fault, Run};

const PAGE: &str = include_str!("../../src/estate/golden/page.json");
const CONFIGURATION: &str = include_str!("../../src/estate/golden/page.toml");

const USAGE: i32 = 64;
const DATA: i32 = 65;
const NO_INPUT: i32 = 66;
const IO_ERROR: i32 = 74;

fn import(directory: &Path, arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(BINARY)
        .arg("import")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // It may end before it has read everything.
    let _ = input.write_all(stdin);
    drop(input);
    child.wait_with_output().unwrap()
}

fn assert_refused(output: &Output, code: i32, message: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(message), "{stderr}");
    assert!(output.stdout.is_empty(), "{output:?}");
}

#[test]
fn a_file_becomes_a_configuration_that_is_accepted() {
    let scratch = Scratch::new("import-file");
    scratch.write("page.json", PAGE);
    let printed = import(&scratch.0, &["page.json"], b"");
    assert_eq!(printed.status.code(), Some(0), "{printed:?}");
    assert_eq!(String::from_utf8_lossy(&printed.stdout), CONFIGURATION);
    assert!(printed.stderr.is_empty(), "{printed:?}");

    let written = import(&scratch.0, &["page.json", "--output", "linkproof.toml"], b"");
    assert_eq!((written.status.code(), written.stdout.len()), (Some(0), 0), "{written:?}");
    let file = scratch.0.join("linkproof.toml");
    assert_eq!(fs::read_to_string(&file).unwrap(), CONFIGURATION);
    let checked = Command::new(BINARY).arg("--check-config").arg("--config").arg(&file).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{checked:?}");
}

#[test]
fn standard_input_is_a_file_too_and_warnings_go_to_standard_error() {
    let scratch = Scratch::new("import-stdin");
    let page = PAGE.trim_end().strip_suffix('}').unwrap();
    let output = import(&scratch.0, &["-"], format!("{page}, \"NextToken\": \"x\"}}").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let warning = "linkproof: warning: standard input: another page follows";
    assert!(String::from_utf8_lossy(&output.stderr).starts_with(warning), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("host = \"s3.us-west-2.amazonaws.com\""));
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let scratch = Scratch::new("import-fifo");
    let fifo = scratch.0.join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let message = "is not a regular file; pipe its content and give - as FILE";
    for path in ["fifo", "/dev/zero", "/dev/null", "."] {
        assert_refused(&import(&scratch.0, &[path], b""), NO_INPUT, message);
    }
    let missing = "linkproof: missing.json: No such file or directory";
    assert_refused(&import(&scratch.0, &["missing.json"], b""), NO_INPUT, missing);
    let endless = fs::File::create(scratch.0.join("endless")).unwrap();
    endless.set_len((64 << 20) + 1).unwrap();
    assert_refused(&import(&scratch.0, &["endless"], b""), NO_INPUT, "endless is longer than 64 MiB");
}

#[test]
fn a_refused_file_writes_nothing() {
    let scratch = Scratch::new("import-refused");
    let before = scratch.write("linkproof.toml", "# mine\n");
    fs::set_permissions(&before, fs::Permissions::from_mode(0o640)).unwrap();
    let arguments = ["-", "--output", "linkproof.toml"];
    assert_refused(
        &import(&scratch.0, &arguments, b"VpcEndpoints: []"),
        DATA,
        "standard input: the file is YAML",
    );
    assert_refused(
        &import(&scratch.0, &arguments, b"{\"VpcEndpoints\": []}"),
        DATA,
        "the list of endpoints is empty",
    );
    assert_refused(
        &import(&scratch.0, &["-", "--region", "Frankfurt"], PAGE.as_bytes()),
        USAGE,
        "invalid region",
    );
    assert_refused(&import(&scratch.0, &["-", "--label", "ecr.dkr"], b""), USAGE, "write it as SERVICE=NAME");
    assert_refused(&import(&scratch.0, &[], b""), USAGE, "<FILE>");
    assert_eq!(fs::read_to_string(&before).unwrap(), "# mine\n");
}

#[test]
fn an_input_is_not_overwritten() {
    let scratch = Scratch::new("import-overwrites");
    let page = scratch.write("page.json", PAGE);
    let other = scratch.write("other.json", "{\"Subnets\": []}");
    symlink("page.json", scratch.0.join("link.json")).unwrap();
    let absolute = page.to_str().unwrap();
    for (arguments, input) in [
        (["page.json", "other.json", "--output", "page.json"], "page.json"),
        (["page.json", "other.json", "--output", "other.json"], "other.json"),
        (["page.json", "other.json", "--output", "link.json"], "page.json"),
        (["link.json", "other.json", "--output", "page.json"], "link.json"),
        (["page.json", "other.json", "--output", absolute], "page.json"),
    ] {
        let message =
            format!("linkproof: --output would overwrite {input}, which linkproof reads; name another");
        assert_refused(&import(&scratch.0, &arguments, b""), USAGE, &message);
    }
    let redirected = Command::new(BINARY)
        .args(["import", "-", "--output", "page.json"])
        .current_dir(&scratch.0)
        .stdin(fs::File::open(&page).unwrap())
        .output()
        .unwrap();
    assert_refused(&redirected, USAGE, "--output would overwrite page.json");
    assert_eq!(fs::read_to_string(&page).unwrap(), PAGE);
    assert_eq!(fs::read_to_string(&other).unwrap(), "{\"Subnets\": []}");
    assert_eq!(fs::read_dir(&scratch.0).unwrap().count(), 3, "a file was left behind");

    let devices = Command::new(BINARY)
        .args(["import", "page.json", "-", "--output", "/dev/null"])
        .current_dir(&scratch.0)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_refused(&devices, DATA, "standard input: the file is empty");
}

#[test]
fn a_file_that_leaves_endpoints_out_says_how_many() {
    let scratch = Scratch::new("import-left-out");
    let said = |page: &str, vpc: &str| {
        let arguments = ["-", "--vpc", vpc, "--output", "linkproof.toml"];
        let written = import(&scratch.0, &arguments, page.as_bytes());
        assert_eq!(written.status.code(), Some(0), "{written:?}");
        String::from_utf8(written.stderr).unwrap()
    };
    let sentence = |count: usize| {
        format!(
            "linkproof: wrote 7 endpoints to linkproof.toml and left out {count}; the file lists what was left out, with the reasons\n"
        )
    };
    assert_eq!(said(PAGE, VPC), sentence(1));
    assert_eq!(said(&two_vpcs(), "vpc-0b"), sentence(9));
    assert_eq!(said(&PAGE.replace("\"pending\"", "\"available\""), VPC), "");
}

#[test]
fn a_configuration_that_cannot_be_written_is_called_one() {
    let scratch = Scratch::new("import-unwritable");
    let output = import(&scratch.0, &["-", "--output", "missing/linkproof.toml"], PAGE.as_bytes());
    let message =
        "linkproof: cannot write the configuration: missing/linkproof.toml: No such file or directory";
    assert_refused(&output, IO_ERROR, message);
}

/// Endpoints of the lab's VPC and of another.
fn two_vpcs() -> String {
    let other = PAGE.replace("vpce-0", "vpce-f");
    let [own, other] = [(PAGE, OWN_VPC), (&other, "vpc-0b")].map(|(page, vpc)| page.replace(VPC, vpc));
    own + &other
}

const VPC: &str = "vpc-0feedfacecafe0001";
const OWN_VPC: &str = "vpc-0abcdef1234567890";

#[test]
fn of_several_vpcs_the_own_one_is_chosen_by_metadata() {
    let lab = lab();
    let pages = file("json", &two_vpcs());
    let run = |arguments: &[&str]| {
        lab.run(&Run::new(BINARY).arg("import").arg(&pages).args(arguments).timeout(PATIENCE))
    };
    let own = run(&[]);
    assert_eq!(own.status.code(), Some(0), "{own:?}");
    let chosen = "this one is the instance's own, by instance metadata.";
    assert!(own.stdout.contains(&format!("# {OWN_VPC} in us-west-2")), "{own:?}");
    assert!(own.stdout.contains(chosen), "{own:?}");
    assert!(own.stdout.contains("of vpc-0b: another VPC."), "{own:?}");
    let other = run(&["--vpc", "vpc-0b"]);
    assert!(other.stdout.contains("# vpc-0b in us-west-2") && !other.stdout.contains(chosen), "{other:?}");
}

#[test]
fn without_metadata_the_vpc_has_to_be_given() {
    let lab = lab();
    lab.set([Fault::MetadataDisabled]);
    let pages = file("json", &two_vpcs());
    let refused = lab.run(&Run::new(BINARY).arg("import").arg(&pages));
    assert_eq!((refused.status.code(), refused.stdout.as_str()), (Some(DATA), ""), "{refused:?}");
    let message = "several VPCs, and instance metadata does not say which is this instance's (";
    assert!(refused.stderr.contains(message), "{refused:?}");
    assert!(refused.stderr.contains(&format!("choose one with --vpc:\n  {OWN_VPC} (")), "{refused:?}");
    lab.set([]);
    let foreign = file("json", &two_vpcs().replace(OWN_VPC, "vpc-0c"));
    let refused = lab.run(&Run::new(BINARY).arg("import").arg(&foreign));
    assert!(
        refused.stderr.contains(&format!("and none of {OWN_VPC}, where this instance is")),
        "{refused:?}"
    );
}
