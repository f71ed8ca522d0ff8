//! The crates that are linked into the binary, as cargo knows them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use serde_json::Value;

const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct Crate {
    pub name: String,
    pub version: String,
    pub license: String,
    pub home: String,
    pub folder: PathBuf,
    /// Name and version of each crate that it links.
    pub links: BTreeSet<(String, String)>,
    /// Whether it comes from a registry, and not from this repository.
    pub is_foreign: bool,
}

/// The crates in the binary of either architecture, without those that only tests or only the build
/// use. The repository's own crate is among them.
pub fn crates() -> io::Result<Vec<Crate>> {
    let mut crates: BTreeMap<(String, String), Crate> = BTreeMap::new();
    for target in TARGETS {
        for found in crates_of(target)? {
            let of = (found.name.clone(), found.version.clone());
            let links = found.links.clone();
            crates.entry(of).or_insert(found).links.extend(links);
        }
    }
    Ok(crates.into_values().collect())
}

fn crates_of(target: &str) -> io::Result<Vec<Crate>> {
    let (linked, metadata) = (linked(target)?, metadata(target)?);
    let packages = by_id(&metadata["packages"]);
    let nodes = by_id(&metadata["resolve"]["nodes"]);
    let name_of =
        |id: &str| packages.get(id).map(|package| version(package)).filter(|name| linked.contains(name));
    let mut crates = Vec::new();
    for (id, package) in &packages {
        if name_of(id).is_some() {
            let dependencies = nodes.get(id).into_iter().flat_map(|node| dependencies(node));
            crates.push(named(package, dependencies.filter_map(name_of).collect()));
        }
    }
    Ok(crates)
}

/// What `cargo tree` shows. The metadata alone names more: what features of the tests bring along.
fn linked(target: &str) -> io::Result<BTreeSet<(String, String)>> {
    let tree = ["tree", "--edges=normal,no-proc-macro", "--prefix=none", "--format={p}", "--target", target];
    let tree = cargo(&tree)?;
    let name = |line: &str| {
        let (name, rest) = line.split_once(" v")?;
        Some((name.to_owned(), rest.split(' ').next()?.to_owned()))
    };
    Ok(String::from_utf8_lossy(&tree).lines().filter_map(name).collect())
}

fn metadata(target: &str) -> io::Result<Value> {
    let metadata = cargo(&["metadata", "--format-version=1", "--filter-platform", target])?;
    Ok(serde_json::from_slice(&metadata)?)
}

fn cargo(arguments: &[&str]) -> io::Result<Vec<u8>> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo).args(arguments).arg("--locked").output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr)));
    }
    Ok(output.stdout)
}

fn by_id(list: &Value) -> BTreeMap<&str, &Value> {
    list.as_array().into_iter().flatten().map(|entry| (text(&entry["id"]), entry)).collect()
}

fn dependencies(node: &Value) -> impl Iterator<Item = &str> {
    let is_linked = |dependency: &&Value| {
        let kinds = dependency["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    node["deps"].as_array().into_iter().flatten().filter(is_linked).map(|dependency| text(&dependency["pkg"]))
}

fn named(package: &Value, links: BTreeSet<(String, String)>) -> Crate {
    let (name, version) = version(package);
    Crate {
        name,
        version,
        license: text(&package["license"]).to_owned(),
        home: text(&package["repository"]).to_owned(),
        folder: Path::new(text(&package["manifest_path"])).with_file_name(""),
        links,
        is_foreign: !package["source"].is_null(),
    }
}

fn version(package: &Value) -> (String, String) {
    (text(&package["name"]).to_owned(), text(&package["version"]).to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
