//! Writes the software bill of materials: the crates that are linked into the binary, in CycloneDX.
//! It has no time and no serial number, so that each build of a commit writes the same bytes.

#![allow(clippy::print_stderr, reason = "a build tool prints its errors")]

mod linked;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::{env, fs, io};

use linked::Crate;
use serde_json::{Value, json};

fn main() -> ExitCode {
    let Some(file) = env::args_os().nth(1) else {
        eprintln!("usage: sbom FILE");
        return ExitCode::from(64);
    };
    match document().and_then(|document| fs::write(file, format!("{document:#}\n"))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("sbom: {error}");
            ExitCode::FAILURE
        }
    }
}

fn document() -> io::Result<Value> {
    let crates = linked::crates()?;
    let checksums = checksums(&fs::read_to_string("Cargo.lock")?).map_err(io::Error::other)?;
    let mut ours = crates.iter().filter(|it| !it.is_foreign).map(|it| component(it, "application", None));
    let libraries: io::Result<Vec<Value>> = crates
        .iter()
        .filter(|it| it.is_foreign)
        .map(|it| {
            let checksum = checksums.get(&(it.name.clone(), it.version.clone()));
            let checksum = checksum.ok_or_else(|| io::Error::other(format!("{} is not locked", it.name)))?;
            Ok(component(it, "library", Some(checksum)))
        })
        .collect();
    let dependencies: Vec<Value> = crates
        .iter()
        .map(|it| json!({ "ref": purl(&it.name, &it.version), "dependsOn": links(it) }))
        .collect();
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": ours.next() },
        "components": libraries?,
        "dependencies": dependencies,
    }))
}

fn component(it: &Crate, kind: &str, checksum: Option<&String>) -> Value {
    let purl = purl(&it.name, &it.version);
    let mut component = json!({
        "type": kind,
        "bom-ref": purl,
        "name": it.name,
        "version": it.version,
        // The old notation for a choice.
        "licenses": [{ "expression": it.license.replace('/', " OR ") }],
        "purl": purl,
    });
    if let Some(checksum) = checksum {
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
        component["externalReferences"] = json!([{ "type": "vcs", "url": it.home }]);
    }
    component
}

fn links(it: &Crate) -> Vec<String> {
    it.links.iter().map(|(name, version)| purl(name, version)).collect()
}

/// The name that the databases of vulnerabilities know a crate by.
fn purl(name: &str, version: &str) -> String {
    // A version may have a part after a plus, which is a space in a URL.
    format!("pkg:cargo/{name}@{}", version.replace('+', "%2B"))
}

/// Of the archives that the registry serves, by name and version.
fn checksums(lock: &str) -> Result<BTreeMap<(String, String), String>, toml::de::Error> {
    let lock: toml::Table = lock.parse()?;
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let text = |package: &toml::Value, key: &str| package.get(key)?.as_str().map(str::to_owned);
    let checksum = |package: &toml::Value| {
        Some(((text(package, "name")?, text(package, "version")?), text(package, "checksum")?))
    };
    Ok(packages.filter_map(checksum).collect())
}
