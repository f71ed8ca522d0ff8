//! The layers of the crate: dependencies point down, and a third-party client is used in one place.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A module, and what it may use besides the words.
type Module = (&'static str, &'static [&'static str]);

/// From the bottom up. All may use the words, which are the first layer.
const LAYERS: &[(&str, &[Module])] = &[
    (
        "words",
        &[
            ("check", &[]),
            ("network", &[]),
            ("observation", &[]),
            ("suggestion", &[]),
            ("file", &[]),
            ("wording", &[]),
        ],
    ),
    (
        "decisions",
        &[
            ("catalogue", &[]),
            ("config", &["catalogue"]),
            ("estate", &["catalogue", "config"]),
            ("plan", &["catalogue", "config"]),
            ("verdict", &["plan"]),
            ("diagnosis", &["catalogue"]),
            ("report", &["diagnosis"]),
            ("explain", &["diagnosis", "report"]),
            ("survey", &["catalogue", "estate", "plan", "report", "verdict"]),
        ],
    ),
    (
        "edges",
        &[
            ("threads", &[]),
            ("wire", &["threads"]),
            ("probe", &["threads", "wire"]),
            ("metrics", &["diagnosis", "report"]),
            ("access", &["threads", "wire"]),
            ("serve", &["access", "diagnosis", "report"]),
            ("publish", &["report"]),
            ("notify", &[]),
        ],
    ),
    (
        "motion",
        &[
            ("attempt", &["plan", "verdict"]),
            ("schedule", &["attempt", "plan"]),
            ("engine", &["attempt", "diagnosis", "plan", "report", "verdict"]),
            ("once", &["attempt", "config", "engine", "plan", "report"]),
            ("discover", &["attempt", "survey"]),
        ],
    ),
    (
        "assembly",
        &[
            ("cli", &[]),
            (
                "app",
                &[
                    "access",
                    "attempt",
                    "catalogue",
                    "cli",
                    "config",
                    "diagnosis",
                    "discover",
                    "engine",
                    "estate",
                    "explain",
                    "metrics",
                    "notify",
                    "once",
                    "plan",
                    "probe",
                    "publish",
                    "report",
                    "schedule",
                    "serve",
                    "survey",
                    "threads",
                    "wire",
                ],
            ),
        ],
    ),
];

/// Words and decisions have no runtime, no clock, no socket and no client.
const PURE: &[&str] = &["words", "decisions"];
const IMPURE: &[&str] =
    &["tokio", "std::time::Instant", "SystemTime::now", "std::net::TcpStream", "std::net::UdpSocket"];

/// A library, and the files below `src` that may name it.
const CLIENTS: &[(&str, &[&str])] = &[
    ("hickory_resolver", &["probe/dns"]),
    ("dns_lookup", &["probe/lookup"]),
    ("surge_ping", &["probe/egress/loopback"]),
    ("reqwest", &["probe/connect"]),
    ("aws_sdk_cloudwatch", &["probe/call", "app/live_probes"]),
    ("aws_config", &["probe/instance"]),
    ("aws_smithy_runtime_api", &["wire/connector", "probe/call"]),
    ("aws_sdk_sts", &["probe/instance"]),
    ("netlink_packet_core", &["wire/netlink", "wire/tcp_info", "probe/egress/netlink"]),
    ("netlink_packet_route", &["probe/egress/netlink"]),
    ("netlink_packet_sock_diag", &["wire/tcp_info"]),
    ("minicbor", &["wire/aws_error", "probe/call"]),
    ("openssl_probe", &["wire/trust"]),
    ("x509_cert", &["wire/certificate"]),
    ("serde_saphyr", &["access/web_file"]),
    ("bcrypt", &["access/users"]),
    ("prometheus", &["metrics"]),
    ("clap", &["cli"]),
    ("toml", &["config"]),
    ("sd_notify", &["notify"]),
    ("tracing_subscriber", &["app"]),
];

fn modules() -> impl Iterator<Item = &'static Module> {
    LAYERS.iter().flat_map(|(_, modules)| modules.iter())
}

fn layer(name: &str) -> Vec<&'static str> {
    let (_, modules) = LAYERS.iter().find(|(layer, _)| *layer == name).unwrap();
    modules.iter().map(|(module, _)| *module).collect()
}

#[test]
fn every_module_has_a_layer() {
    let known: BTreeSet<&str> = modules().map(|(module, _)| *module).collect();
    let unknown: BTreeSet<String> = sources()
        .iter()
        .filter_map(|file| module_of(file))
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "not in the table: {unknown:?}");
}

#[test]
fn modules_use_only_what_is_below() {
    let words = layer("words");
    for (module, allowed) in modules() {
        let below: Vec<&str> = modules().map(|(name, _)| *name).take_while(|name| name != module).collect();
        assert!(allowed.iter().all(|name| below.contains(name)), "{module} may use only what is below it");
        let is_allowed = |name: &str| {
            name == *module || allowed.contains(&name) || (words.contains(&name) && below.contains(&name))
        };
        for file in sources().iter().filter(|file| module_of(file).as_deref() == Some(module)) {
            let used = modules_named(&code(file));
            let extra: BTreeSet<&String> = used.iter().filter(|name| !is_allowed(name)).collect();
            assert!(extra.is_empty(), "{} must not use {extra:?}", relative(file));
        }
    }
}

#[test]
fn probes_do_not_use_one_another() {
    let probes = ["dns", "lookup", "connect", "call", "egress", "instance"];
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
fn words_and_decisions_are_pure() {
    for file in sources() {
        let Some(module) = module_of(&file) else { continue };
        if PURE.iter().any(|of| layer(of).contains(&module.as_str())) {
            let code = code(&file);
            for word in IMPURE {
                assert!(!code.contains(word), "{} must not use {word}", relative(&file));
            }
        }
    }
}

#[test]
fn a_client_is_used_in_one_place() {
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
            let tests = ["fixture", "fuzz", "properties", "pure", "scenario", "scripted", "tests"];
            let is_test = path.file_stem().is_some_and(|stem| tests.iter().any(|test| stem == *test));
            if path.is_dir() && !is_test {
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

/// `probe/dns/system.rs` belongs to `probe`; the crate's root files belong to none.
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
    named.retain(|name| modules().any(|(module, _)| module == name));
    named
}

fn first_word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}
