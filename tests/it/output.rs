//! `--output` and whatever stands at its path: nothing that linkproof did not create is replaced,
//! except a regular file.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::thread;

use crate::agent::Agent;
use crate::harness::{BINARY, Scratch, own_lab};
use crate::lab::{Lab, Output, Run};

fn once(lab: &Lab, output: &Path) -> Output {
    let quick = Agent::default().config("egress.enabled = false\n[[endpoint]]\nservice = 'monitoring'\n");
    lab.run(&quick.once("json").arg("--output").arg(output))
}

fn assert_report(text: &str) {
    let report: serde_json::Value = serde_json::from_str(text).expect("a whole report");
    assert_eq!(report["outcome"], "pass", "{text}");
}

fn assert_written(output: &Output) {
    assert_eq!(output.status.code(), Some(0), "{}", output.stderr);
}

fn assert_refused(output: &Output, message: &str) {
    assert_eq!(output.status.code(), Some(74), "{output:?}");
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

fn make(program: &str, arguments: &[&str], path: &Path) {
    let mut command = Command::new(program);
    let [before, after] = if program == "mknod" { [&[][..], arguments] } else { [arguments, &[]] };
    let made = command.args(before).arg(path).args(after).status();
    assert!(made.is_ok_and(|status| status.success()), "cannot make {}", path.display());
}

fn assert_no_temporary_file(directory: &Path) {
    let names = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<String> =
        names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.contains(".tmp")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn the_configuration_in_use_is_not_overwritten() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-configuration"));
    let (config, link) = (scratch.0.join("c.toml"), scratch.0.join("link"));
    fs::write(&config, "egress.enabled = false\n").unwrap();
    symlink("c.toml", &link).unwrap();
    for before in [&["--once"][..], &["discover", "--format", "toml"]] {
        let run = Run::new(BINARY).args(before).arg("--config").arg(&config).arg("--output").arg(&link);
        let output = lab.run(&run);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
        assert!(output.stderr.contains("would overwrite"), "{}", output.stderr);
    }
    assert_eq!(fs::read_to_string(&config).unwrap(), "egress.enabled = false\n");
}

#[test]
fn a_device_is_written_through_and_stays_a_device() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-device"));
    let null = scratch.0.join("null");
    make("mknod", &["c", "1", "3"], &null);
    assert_written(&once(&lab, &null));
    let kind = fs::symlink_metadata(&null).unwrap().file_type();
    assert!(kind.is_char_device(), "{kind:?}");

    let link = scratch.0.join("link-to-null");
    symlink("null", &link).unwrap();
    assert_written(&once(&lab, &link));
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert!(fs::symlink_metadata(&null).unwrap().file_type().is_char_device());

    let full = scratch.0.join("full");
    make("mknod", &["c", "1", "7"], &full);
    assert_refused(&once(&lab, &full), "No space left on device");
    assert!(fs::symlink_metadata(&full).unwrap().file_type().is_char_device());
    assert_no_temporary_file(&scratch.0);
}

#[test]
fn a_fifo_and_a_socket_receive_the_report() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-fifo"));
    let fifo = scratch.0.join("fifo");
    make("mkfifo", &[], &fifo);
    let reader = thread::spawn({
        let fifo = fifo.clone();
        move || fs::read_to_string(fifo).unwrap()
    });
    assert_written(&once(&lab, &fifo));
    assert_report(&reader.join().unwrap());
    assert!(fs::symlink_metadata(&fifo).unwrap().file_type().is_fifo());
    assert_refused(&once(&lab, &fifo), "no process reads from it");

    let path = scratch.0.join("socket");
    let listener = UnixListener::bind(&path).unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    assert_written(&once(&lab, &path));
    assert_report(&reader.join().unwrap());
    assert!(fs::symlink_metadata(&path).unwrap().file_type().is_socket());
}

#[test]
fn a_symlink_is_followed_and_stays_a_symlink() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-symlink"));
    let (link, target) = (scratch.0.join("link"), scratch.0.join("report.json"));
    symlink("report.json", &link).unwrap();
    // First it leads nowhere, then to a file whose mode is kept.
    for _ in 0..2 {
        assert_written(&once(&lab, &link));
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_report(&fs::read_to_string(&target).unwrap());
        fs::set_permissions(&target, Permissions::from_mode(0o640)).unwrap();
    }
    let before = fs::metadata(&target).unwrap();
    assert_written(&once(&lab, &link));
    let after = fs::metadata(&target).unwrap();
    assert_eq!(after.mode() & 0o777, 0o640);
    assert_ne!(after.ino(), before.ino(), "it has to be replaced as a whole");

    let (one, other) = (scratch.0.join("one"), scratch.0.join("other"));
    symlink("other", &one).unwrap();
    symlink("one", &other).unwrap();
    assert_refused(&once(&lab, &one), "too many levels of symbolic links");
    assert_refused(&once(&lab, &scratch.0), "is a directory");
    assert_no_temporary_file(&scratch.0);
}

/// Another user owns the directory and places symlinks: root must not be led to a file by them.
#[test]
fn symlinks_of_another_user_choose_no_file() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-hostile"));
    let victim = scratch.write("victim", "precious");
    fs::set_permissions(&victim, Permissions::from_mode(0o600)).unwrap();
    let directory = scratch.0.join("theirs");
    fs::create_dir(&directory).unwrap();
    chown(&directory, Some(65534), Some(65534)).unwrap();
    let link = directory.join("report.json");
    symlink(&victim, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(65534), Some(65534)).unwrap();
    assert_refused(&once(&lab, &link), "is a symlink owned by uid 65534");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
    assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o777, 0o600);
}

/// The new file would get the owner of the old one, who could then change the report.
#[test]
fn a_file_of_another_user_in_a_folder_for_everyone_is_refused() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-tmp"));
    let report = scratch.write("report.json", "theirs");
    chown(&report, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&scratch.0, Permissions::from_mode(0o1777)).unwrap();
    assert_refused(&once(&lab, &report), "belongs to uid 65534, who could change the report");
    assert_eq!(fs::read_to_string(&report).unwrap(), "theirs");
    fs::set_permissions(&scratch.0, Permissions::from_mode(0o755)).unwrap();
    assert_eq!(once(&lab, &report).status.code(), Some(0));
    assert_eq!(fs::metadata(&report).unwrap().uid(), 65534);
}

#[test]
fn a_file_beyond_the_limit_of_its_size_is_not_left_behind() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-limit"));
    let config =
        scratch.write("quick.toml", "egress.enabled = false\n[[endpoint]]\nservice = 'monitoring'\n");
    let path = scratch.0.join("report.json");
    let once = Run::new("prlimit").arg("--fsize=100").arg(BINARY).arg("--config").arg(&config);
    let output = lab.run(&once.args(["--once", "--format", "json", "--output"]).arg(&path));
    assert_refused(&output, "report.json: File too large");
    assert!(!path.exists());
    assert_no_temporary_file(&scratch.0);

    let listing = fs::File::create(scratch.0.join("listing")).unwrap();
    let listed =
        Command::new("prlimit").arg("--fsize=100").arg(BINARY).arg("services").stdout(listing).status();
    assert_eq!(listed.unwrap().code(), Some(74));
}

#[test]
fn standard_output_keeps_what_the_shell_wrote_before() {
    let (lab, scratch) = (own_lab(), Scratch::new("output-stdout"));
    let file = scratch.0.join("log");
    let config = scratch.write("c.toml", "egress.enabled = false\n[[endpoint]]\nservice = 'monitoring'\n");
    for device in ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "/dev/fd/3", "/dev/stderr"] {
        let line = format!(
            "rm -f {file}; exec >> {file} 2>&1 3>&1; echo before; {BINARY} --once --format json --config {config} --output {device}; echo after",
            file = file.display(),
            config = config.display(),
        );
        lab.run(&Run::new("bash").args(["-c", &line]));
        let text = fs::read_to_string(&file).unwrap();
        let report = text.strip_prefix("before\n").and_then(|rest| rest.strip_suffix("after\n"));
        assert_report(report.unwrap_or_else(|| panic!("{device}: {text}")));
    }
}
