//! Writes a file with the license of each crate that is linked into the binary, and each license
//! text once. The packages ship it, because the licenses require that.

#![allow(clippy::print_stderr, reason = "a build tool prints its errors")]

mod linked;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use linked::Crate;

const NAMES: [&str; 6] = ["licen", "copying", "copyright", "notice", "unlicense", "patents"];

fn main() -> ExitCode {
    let Some(file) = env::args_os().nth(1) else {
        eprintln!("usage: licenses FILE");
        return ExitCode::from(64);
    };
    match linked::crates().and_then(|crates| fs::write(file, page(&crates)?)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("licenses: {error}");
            ExitCode::FAILURE
        }
    }
}

fn page(crates: &[Crate]) -> io::Result<String> {
    let mut page = "linkproof contains the crates below, each under its license. \
                    The license texts follow, each below the names of its crates.\n\n"
        .to_owned();
    // Texts that differ only in line breaks are the same text.
    let mut texts: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let mut add = |name: &str, text: String| {
        let words: Vec<&str> = text.split_whitespace().collect();
        texts.entry(words.join(" ")).or_insert_with(|| (text.clone(), Vec::new())).1.push(name.to_owned());
    };
    let standard = "the Rust standard library";
    page += &format!("{standard}: MIT OR Apache-2.0, https://github.com/rust-lang/rust\n");
    add(standard, mit("The Rust Project Developers"));
    for Crate { name, version, license, home, folder, .. } in crates.iter().filter(|it| it.is_foreign) {
        let name = format!("{name} {version}");
        page += &format!("{name}: {license}, {home}\n");
        let mut files = Vec::new();
        collect(folder, &mut files)?;
        files.sort();
        for file in &files {
            add(&name, String::from_utf8_lossy(&fs::read(file)?).into_owned());
        }
        if files.is_empty() {
            if !license.split(['/', ' ']).any(|word| word == "MIT") {
                return Err(io::Error::other(format!(
                    "{name}: the text of its license ({license}) is missing"
                )));
            }
            add(&name, mit(&format!("the authors of {home}")));
        }
    }
    let mut texts: Vec<(String, Vec<String>)> = texts.into_values().collect();
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
