//! The packages as files: what is in them, and what their own tools think of them.

use std::collections::BTreeSet;
use std::fs;
use std::iter::Peekable;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::lab::{Lab, Run};
use crate::{built, package};

/// RHEL 8's.
const OLDEST_GLIBC: (u32, u32) = (2, 28);

/// What rpmlint wants and is not ours to give.
const BESIDE_THE_POINT: &[&str] = &[
    "no-signature",                // signed by whoever publishes
    "not-listed-as-documentation", // minimal images leave documentation out, and reports name the runbook
];

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}: `.ci/install packaging system`"));
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn path(package: &Path) -> &str {
    package.to_str().unwrap()
}

#[test]
fn lintian_finds_no_error() {
    for end in ["_amd64.deb", "_arm64.deb"] {
        let report = output("lintian", &["--allow-root", "--fail-on=none", path(&package(end))]);
        assert!(!report.lines().any(|line| line.starts_with("E:")), "{report}");
    }
}

#[test]
fn rpmlint_finds_no_error() {
    for end in [".x86_64.rpm", ".aarch64.rpm"] {
        let report = output("rpmlint", &[path(&package(end))]);
        assert!(report.contains("1 packages and 0 specfiles checked"), "{report}");
        let errors: Vec<&str> = report
            .lines()
            .filter(|line| line.contains(": E: "))
            .filter(|line| !BESIDE_THE_POINT.iter().any(|known| line.contains(known)))
            .collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_two_kinds_of_package_hold_the_same_files() {
    let deb = output("dpkg-deb", &["--contents", path(&package("_amd64.deb"))]);
    let deb: BTreeSet<String> = deb
        .lines()
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split_whitespace().last()?.strip_prefix('.').map(str::to_owned))
        .collect();
    let rpm = output("rpm", &["-qplv", "--nosignature", path(&package(".x86_64.rpm"))]);
    let rpm: BTreeSet<String> = rpm
        .lines()
        .filter(|line| line.starts_with('-'))
        .filter_map(|line| line.split_whitespace().last().map(str::to_owned))
        .collect();
    let apart: BTreeSet<&str> = deb.symmetric_difference(&rpm).map(String::as_str).collect();
    let expected = BTreeSet::from([
        "/usr/share/doc/linkproof/changelog.Debian.gz",
        "/usr/share/doc/linkproof/copyright",
        "/usr/share/doc/linkproof/third-party-licenses.txt.gz",
        "/usr/share/licenses/linkproof/LICENSE-APACHE",
        "/usr/share/licenses/linkproof/LICENSE-MIT",
        "/usr/share/licenses/linkproof/third-party-licenses.txt.gz",
        "/usr/share/zsh/site-functions/_linkproof",
        "/usr/share/zsh/vendor-completions/_linkproof",
    ]);
    assert_eq!(apart, expected);
}

#[test]
fn everything_for_users_is_packaged() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    let packaged = |file: &str| {
        // A line names a file, or all files of its folder.
        let folder = Path::new(file).parent().unwrap().display();
        [file.to_owned(), format!("{folder}/*")].iter().any(|name| manifest.contains(&**name))
    };
    let mut folders = vec![root.join("packaging"), root.join("systemd")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let file = path.strip_prefix(root).unwrap().display().to_string();
            let is_for_building = [
                "packaging/deb",
                "packaging/rpm",
                "packaging/manual.rs",
                "packaging/licenses.rs",
                "packaging/linked.rs",
                "packaging/sbom.rs",
                "packaging/LICENSE",
            ];
            if is_for_building.iter().any(|start| file.starts_with(start))
                || file.ends_with("linkproof.service")
            {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if file == "systemd/linkproof-once.service" {
                assert!(packaged(&file), "{file}");
            } else {
                assert!(packaged(&file), "{file} is in no package: Cargo.toml lists what is");
            }
        }
    }
}

#[test]
fn the_binaries_run_with_the_oldest_glibc_to_serve() {
    for end in ["_amd64.deb", "_arm64.deb"] {
        let folder = unpacked(end);
        let binary = folder.path().join("usr/bin/linkproof");
        let needs = output("objdump", &["-p", path(&binary)]) + &output("readelf", &["-V", path(&binary)]);
        let newest = versions(&needs).into_iter().max();
        assert!(newest.is_some_and(|newest| newest <= OLDEST_GLIBC), "{end} needs glibc {newest:?}");
    }
}

/// Each wants its text to be shipped, and nothing more.
const LICENSES: &[&str] =
    &["Apache-2.0", "BSD-3-Clause", "BlueOak-1.0.0", "ISC", "MIT", "Unicode-3.0", "Zlib"];

/// The linked crates, a line for each, without what cargo says of its waits.
fn tree(target: &str, format: &str) -> String {
    let tree = ["tree", "--locked", "--edges=normal,no-proc-macro", "--prefix=none", "--target", target];
    let output = Command::new(env!("CARGO")).args(tree).args(["--format", format]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn everything_that_is_linked_is_allowed_and_named_with_its_license() {
    let folder = unpacked("_amd64.deb");
    let named = folder.path().join("usr/share/doc/linkproof/third-party-licenses.txt.gz");
    let named = output("gzip", &["--decompress", "--stdout", path(&named)]);
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let tree = tree(target, "{p}|{l}");
        let crates: BTreeSet<&str> = tree.lines().skip(1).collect();
        assert!(crates.len() > 100, "{tree}");
        for line in crates {
            let (name, license) = line.split_once('|').unwrap_or_else(|| panic!("{line}"));
            let name = name.trim_end_matches(" (*)").replacen(" v", " ", 1);
            let license = license.trim_end_matches(" (*)");
            assert!(is_allowed(license), "{name}: {license} is not among {LICENSES:?}");
            assert!(named.contains(&format!("\n{name}: {license}, ")), "{name} is not named");
            let has_text = named.split(&"=".repeat(79)).skip(1).any(|text| {
                text.lines().nth(1).is_some_and(|whose| whose.split(", ").any(|crate_| crate_ == name))
            });
            assert!(has_text, "{name}: the text of its license is missing");
        }
    }
}

/// Of each crate that is linked for either architecture, and of no other.
#[test]
fn both_packages_list_what_is_linked() {
    let folder = unpacked("_amd64.deb");
    let file = folder.path().join("usr/share/linkproof/linkproof.cdx.json");
    let bill: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(bill["metadata"]["component"]["version"], env!("CARGO_PKG_VERSION"));
    let listed: BTreeSet<String> = bill["components"]
        .as_array()
        .unwrap()
        .iter()
        .map(|component| component["purl"].as_str().unwrap().replace("%2B", "+"))
        .collect();
    let mut linked = BTreeSet::new();
    for target in ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"] {
        let tree = tree(target, "{p}");
        let named =
            |line: &str| format!("pkg:cargo/{}", line.trim_end_matches(" (*)").replacen(" v", "@", 1));
        linked.extend(tree.lines().skip(1).map(named));
    }
    assert!(linked.len() > 100);
    assert_eq!(listed, linked);

    let digest = output("sha256sum", &[path(&file)]);
    let digest = digest.split_whitespace().next().unwrap();
    for end in [".x86_64.rpm", ".aarch64.rpm"] {
        let format = "--queryformat=[%{FILENAMES} %{FILEDIGESTS}\n]";
        let digests = output("rpm", &["-qp", "--nosignature", format, path(&package(end))]);
        let same = format!("/usr/share/linkproof/linkproof.cdx.json {digest}");
        assert!(digests.lines().any(|line| line == same), "{end}: {digests}");
    }
}

/// Prints why a document is not one of CycloneDX.
const VALIDATE: &str = "import sys\n\
    from cyclonedx.schema import SchemaVersion\n\
    from cyclonedx.validation.json import JsonStrictValidator\n\
    print(JsonStrictValidator(SchemaVersion.V1_6).validate_str(open(sys.argv[1]).read()))\n";

#[test]
fn the_bill_of_materials_follows_its_schema() {
    let folder = unpacked("_arm64.deb");
    let file = folder.path().join("usr/share/linkproof/linkproof.cdx.json");
    let validate = |file: &Path| {
        let output = Command::new("python3")
            .args(["-c", VALIDATE, path(file)])
            .env("PYTHONPATH", built("tools/cyclonedx", ".ci/install system"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(validate(&file), "None");
    let broken = fs::read_to_string(&file).unwrap().replacen("\"library\"", "\"librarian\"", 1);
    fs::write(&file, broken).unwrap();
    assert!(validate(&file).contains("librarian"));
}

/// Whether a choice that the license offers asks for allowed ones only.
fn is_allowed(license: &str) -> bool {
    let spaced = license.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    is_any_allowed(&mut words) && words.next().is_none()
}

fn is_any_allowed<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut allowed = are_all_allowed(words);
    while words.next_if_eq(&"OR").is_some() {
        allowed |= are_all_allowed(words);
    }
    allowed
}

fn are_all_allowed<'a>(words: &mut Peekable<impl Iterator<Item = &'a str>>) -> bool {
    let mut allowed = true;
    loop {
        allowed &= match words.next() {
            Some("(") => {
                let allowed = is_any_allowed(words);
                words.next_if_eq(&")").is_some() && allowed
            }
            license => license.is_some_and(|license| LICENSES.contains(&license)),
        };
        // An exception takes nothing away.
        if words.next_if_eq(&"WITH").is_some() {
            words.next();
        }
        if words.next_if_eq(&"AND").is_none() {
            return allowed;
        }
    }
}

#[test]
fn a_license_is_allowed_by_a_choice_of_it() {
    for license in
        ["MIT", "GPL-3.0 OR MIT", "GPL-3.0/MIT", "(GPL-3.0 OR ISC) AND MIT", "Apache-2.0 WITH x OR MIT"]
    {
        assert!(is_allowed(license), "{license}");
    }
    for license in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT AND (GPL-3.0 OR MPL-2.0)", "(MIT", "MIT GPL-3.0"] {
        assert!(!is_allowed(license), "{license}");
    }
}

/// `GLIBC_2.17` and the like.
fn versions(text: &str) -> BTreeSet<(u32, u32)> {
    let version = |rest: &str| {
        let (major, rest) = rest.split_once('.')?;
        let minor: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some((major.parse().ok()?, minor.parse().ok()?))
    };
    text.split("GLIBC_").skip(1).filter_map(version).collect()
}

const LOOK_UP: &str = r#"
import json, socket, struct, subprocess, sys
ours, theirs = socket.socketpair()
process = subprocess.Popen(sys.argv[1:] + ["--lookup-helper"], stdin=theirs)
theirs.close()
request = json.dumps({"id": 7, "host": "monitoring.us-east-1.amazonaws.com"}).encode()
ours.settimeout(20)
ours.sendall(struct.pack(">I", len(request)) + request)
reply = ours.makefile("rb")
print(reply.read(struct.unpack(">I", reply.read(4))[0]).decode())
process.kill()
"#;

#[test]
fn the_binary_for_graviton_runs() {
    let folder = unpacked("_arm64.deb");
    let library = built("rust-arm64/arm64", ".ci/rust-arm64");
    let lab = Lab::start().unwrap_or_else(|error| panic!("{error}"));
    let binary = folder.path().join("usr/bin/linkproof");
    let emulated = ["qemu-aarch64-static", "-L", path(&library), path(&binary)];
    let seen = lab.run(&Run::new(emulated[0]).args(&emulated[1..]).arg("--once"));
    // This kernel cannot execute the arm64 binary itself, which is how linkproof starts the process
    // that looks names up. That process is started in the emulator below.
    assert_eq!(seen.status.code(), Some(1), "{seen:?}");
    // The emulator does not support questions about neighbors, so the check is inconclusive there.
    for shown in [
        "valid until",
        "egress/ipv4         inconclusive",
        "egress/ipv6         inconclusive",
        "whether other packets take other routes is not known: EOPNOTSUPP",
        "10.0.1.23 (eth0): no reply: 1.1.1.1, 8.8.8.8",
    ] {
        assert!(seen.stdout.contains(shown), "{shown}: {seen:?}");
    }
    let looked_up = lab.run(&Run::new("python3").args(["-c", LOOK_UP]).args(emulated));
    assert!(looked_up.stdout.contains(r#"{"Addresses":["10.0."#), "{looked_up:?}");
}

#[test]
fn the_sample_configuration_is_valid_as_it_is_packaged() {
    let folder = unpacked("_amd64.deb");
    let config = folder.path().join("etc/linkproof/linkproof.toml");
    let binary = folder.path().join("usr/bin/linkproof");
    assert_eq!(
        output(path(&binary), &["--config", path(&config), "--check-config"]),
        format!("{}: valid\n", path(&config))
    );
}

/// Removed when dropped.
struct Folder(std::path::PathBuf);

impl Folder {
    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn unpacked(end: &str) -> Folder {
    let made = output("mktemp", &["-d"]);
    let folder = Folder(made.trim_end().into());
    output("dpkg-deb", &["--extract", path(&package(end)), path(folder.path())]);
    folder
}
