//! Writes a file with the license of each crate that is linked into the binary, and each license
//! text once. The packages ship it, because the licenses require that.

#![allow(clippy::print_stderr, reason = "a build tool prints its errors")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::{env, fs, io};

use serde_json::Value;

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];
const NAMES: [&str; 6] = ["licen", "copying", "copyright", "notice", "unlicense", "patents"];

fn main() -> ExitCode {
    let Some(file) = env::args_os().nth(1) else {
        eprintln!("usage: licenses FILE");
        return ExitCode::from(64);
    };
    match linked_crates().and_then(|crates| fs::write(file, page(&crates)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("licenses: {error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Eq, Ord, PartialEq, PartialOrd)]
struct Crate {
    name: String,
    license: String,
    home: String,
    folder: PathBuf,
}

/// The crates in the binary, without those that only tests or only the build use.
fn linked_crates() -> io::Result<BTreeSet<Crate>> {
    let mut crates = BTreeSet::new();
    for target in TARGETS {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let arguments = ["metadata", "--locked", "--format-version=1", "--filter-platform", target];
        let output = Command::new(cargo).args(arguments).output()?;
        if !output.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
        }
        let metadata: Value = serde_json::from_slice(&output.stdout)?;
        let packages = by_id(&metadata["packages"]);
        let nodes = by_id(&metadata["resolve"]["nodes"]);
        let mut seen = BTreeSet::new();
        let mut open = vec![text(&metadata["resolve"]["root"])];
        while let Some(id) = open.pop() {
            let is_macro = |package: &&Value| package["targets"][0]["kind"][0] == "proc-macro";
            if seen.insert(id) && !packages.get(id).is_some_and(is_macro) {
                open.extend(nodes.get(id).into_iter().flat_map(|node| linked(node)));
                crates.extend(
                    packages
                        .get(id)
                        .filter(|package| !package["source"].is_null())
                        .map(|package| named(package)),
                );
            }
        }
    }
    Ok(crates)
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().map(|entry| (text(&entry["id"]), entry)).collect()
}

fn linked(node: &Value) -> impl Iterator<Item = &str> {
    let is_linked = |dependency: &&Value| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    node["deps"].as_array().into_iter().flatten().filter(is_linked).map(|dependency| text(&dependency["pkg"]))
}

fn named(package: &Value) -> Crate {
    Crate {
        name: format!("{} {}", text(&package["name"]), text(&package["version"])),
        license: text(&package["license"]).to_owned(),
        home: text(&package["repository"]).to_owned(),
        folder: Path::new(text(&package["manifest_path"])).with_file_name(""),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn page(crates: &BTreeSet<Crate>) -> io::Result<String> {
    let mut page = "linkproof contains the crates below, each under its license. \
                    The license texts follow, each below the names of its crates.\n\n"
        .to_owned();
    // Texts that differ only in line breaks are the same text.
    let mut texts: BTreeMap<String, (String, Vec<&str>)> = BTreeMap::new();
    let mut add = |name, text: String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        texts.entry(words.join(" ")).or_insert_with(|| (text.clone(), Vec::new())).1.push(name);
    };
    let standard = "the Rust standard library";
    page += &format!("{standard}: MIT OR Apache-2.0, https://github.com/rust-lang/rust\n");
    add(standard, mit("The Rust Project Developers"));
    for Crate { name, license, home, folder } in crates {
        page += &format!("{name}: {license}, {home}\n");
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        for file in &files {
            add(name, String::from_utf8_lossy(&fs::read(file)?).into_owned());
        }
        if files.is_empty() {
            if !license.split(['/', ' ']).any(|word| word == "MIT") {
                return Err(io::Error::other(format!(
                    "{name}: the text of its license ({license}) is missing"
                )));
            }
            add(name, mit(&format!("the authors of {home}")));
        }
    }
    let mut texts: Vec<(String, Vec<&str>)> = texts.into_values().collect();
    texts.sort_by(|one, other| one.1.cmp(&other.1).then_with(|| one.0.cmp(&other.0)));
    for (text, mut names) in texts {
        names.dedup();
        page += &format!("\n{}\n{}\n\n{}\n", "=".repeat(79), names.join(", "), text.trim_end());
    }
    Ok(page)
}

/// All license texts of a crate, including those of other sources in it.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_code =
            path.extension().is_some_and(|end| ["rs", "c", "h", "html"].iter().any(|code| end == *code));
        if path.is_dir() {
            collect(&path, files)?;
        } else if NAMES.iter().any(|start| name.starts_with(start)) && !is_code {
            files.push(path);
        }
    }
    Ok(())
}

fn mit(holder: &str) -> String {
    let text = include_str!("LICENSE-MIT");
    let terms = text.split_once("Permission is").map_or(text, |(_, rest)| rest);
    format!("Copyright (c) {holder}\n\nPermission is{terms}")
}
