//! The architecture, held: dependencies point down, and a third-party client lives in one place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module of the crate, and the others that it may name. From the bottom up.
const MODULES: &[(&str, &[&str])] = &[
    ("check", &[]),
    ("network", &[]),
    ("observation", &["check", "network"]),
    ("wording", &["check", "network", "observation"]),
    ("catalogue", &[]),
    ("config", &["catalogue", "check", "network", "observation"]),
    ("plan", &["catalogue", "check", "config", "network", "observation"]),
    ("verdict", &["check", "network", "observation", "plan"]),
    ("diagnosis", &["catalogue", "check", "network", "observation", "wording"]),
    ("report", &["check", "diagnosis", "network", "observation", "wording"]),
    ("wire", &["observation"]),
    ("probe", &["check", "network", "observation", "wire"]),
    ("metrics", &["check", "diagnosis", "network", "observation", "report"]),
    ("access", &["wire"]),
    ("serve", &["access", "check", "diagnosis", "observation", "report", "wording"]),
    ("notify", &[]),
    ("attempt", &["check", "network", "observation", "plan", "verdict"]),
    ("schedule", &["attempt", "plan"]),
    ("engine", &["attempt", "check", "diagnosis", "observation", "plan", "report", "verdict"]),
    ("once", &["attempt", "check", "config", "engine", "observation", "plan", "report"]),
    ("cli", &[]),
    (
        "app",
        &[
            "access",
            "attempt",
            "check",
            "cli",
            "config",
            "engine",
            "metrics",
            "notify",
            "observation",
            "once",
            "plan",
            "probe",
            "report",
            "schedule",
            "serve",
            "wire",
            "wording",
        ],
    ),
];

/// What decides has no runtime, no clock, no socket and no client.
const PURE: &[&str] = &[
    "check",
    "network",
    "observation",
    "wording",
    "catalogue",
    "config",
    "plan",
    "verdict",
    "diagnosis",
    "report",
];
const IMPURE: &[&str] =
    &["tokio", "std::time::Instant", "SystemTime::now", "std::net::TcpStream", "std::net::UdpSocket"];

/// A library, and the files below `src` that may name it.
const CLIENTS: &[(&str, &[&str])] = &[
    ("hickory_resolver", &["probe/dns"]),
    ("surge_ping", &["probe/egress"]),
    ("reqwest", &["probe/connect"]),
    ("aws_sdk_cloudwatch", &["probe/call", "app/live_probes"]),
    ("aws_config", &["probe/instance"]),
    ("aws_smithy_runtime_api", &["wire/connector", "probe/call"]),
    ("x509_cert", &["wire/certificate"]),
    ("serde_saphyr", &["access/file"]),
    ("bcrypt", &["access/users"]),
    ("prometheus", &["metrics"]),
    ("clap", &["cli"]),
    ("toml", &["config"]),
    ("sd_notify", &["notify"]),
    ("tracing_subscriber", &["app"]),
];

#[test]
fn modules_depend_only_downwards() {
    let known: BTreeSet<&str> = MODULES.iter().map(|(module, _)| *module).collect();
    let present: BTreeSet<String> = sources().iter().filter_map(|file| module_of(file)).collect();
    assert_eq!(present, known.iter().map(ToString::to_string).collect(), "the table names every module");
    for (module, allowed) in MODULES {
        let below: BTreeSet<&str> =
            MODULES.iter().map(|(name, _)| *name).take_while(|name| name != module).collect();
        assert!(allowed.iter().all(|name| below.contains(name)), "{module} may name only what is below it");
        let named: BTreeSet<String> = sources()
            .iter()
            .filter(|file| module_of(file).as_deref() == Some(module))
            .flat_map(|file| modules_named(&code(file)))
            .collect();
        let extra: Vec<&String> =
            named.iter().filter(|name| name != module && !allowed.contains(&name.as_str())).collect();
        assert!(extra.is_empty(), "{module} must not depend on {extra:?}");
    }
}

#[test]
fn edges_do_not_know_one_another() {
    let probes = ["dns", "connect", "call", "egress", "instance"];
    for file in sources() {
        let path = relative(&file);
        let Some(own) = probes.iter().find(|probe| path.starts_with(&format!("probe/{probe}"))) else {
            continue;
        };
        let code = code(&file);
        for other in probes.iter().filter(|probe| probe != &own) {
            for naming in [format!("super::{other}::"), format!("probe::{other}")] {
                assert!(!code.contains(&naming), "{path} must not use {naming}");
            }
        }
    }
}

#[test]
fn what_decides_is_pure() {
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        if PURE.contains(&module.as_str()) {
            let code = code(&file);
            for word in IMPURE {
                assert!(!code.contains(word), "{} must not use {word}", relative(&file));
            }
        }
    }
}

#[test]
fn a_client_lives_in_one_place() {
    for file in sources() {
        let path = relative(&file);
        let code = code(&file);
        for (client, homes) in CLIENTS {
            let at_home = homes.iter().any(|home| path.starts_with(home));
            assert!(at_home || !code.contains(&format!("{client}::")), "{path} must not use {client}");
        }
    }
}

#[test]
fn files_stay_small() {
    for file in sources() {
        let lines = code(&file).lines().count();
        assert!(lines <= 500, "{} has {lines} lines before its tests: two ideas?", relative(&file));
    }
}

fn sources() -> Vec<PathBuf> {
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let tests = ["fixture", "properties", "scenario", "scripted", "tests"];
            let is_test = path.file_stem().is_some_and(|stem| tests.iter().any(|test| stem == *test));
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") && !is_test {
                files.push(path);
            }
        }
    }
    files
}

fn relative(file: &Path) -> String {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    file.strip_prefix(src).unwrap().display().to_string()
}

/// `probe/dns/system.rs` belongs to `probe`; the crate's root files to nobody.
fn module_of(file: &Path) -> Option<String> {
    let path = relative(file);
    let module = path.split(['/', '.']).next()?;
    (!["lib", "main"].contains(&module)).then(|| module.to_owned())
}

/// A file without its tests and comments.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let shipped = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
    let lines = shipped.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.map(|line| format!("{line}\n")).collect()
}

fn modules_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            // `use crate::{notify, schedule};`
            Some(group) => {
                let group = group.split('}').next().unwrap_or_default();
                named.extend(group.split(',').map(|name| first_word(name.trim())));
            }
            None => named.push(first_word(rest)),
        }
    }
    named.retain(|name| MODULES.iter().any(|(module, _)| module == name));
    named
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
