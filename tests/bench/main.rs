//! `make bench`: linkproof beside the tools that people use for the same, on the same names and
//! addresses of the lab, in one run; and the latencies that it reports beside those of the packets. Prints a table and writes target/bench.json.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    clippy::struct_excessive_bools,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::too_many_lines,
    clippy::unused_self,
    clippy::unwrap_used,
    reason = "it reads clocks and prints, and ends where a part of it fails"
)]

#[path = "../lab/mod.rs"]
mod lab;

mod bare;
mod by_hand;
mod daemon;
mod exporter;
mod figure;
mod latency;
mod lateness;
mod process;
mod scale;

use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{env, fs};

use serde_json::{Value, json};

use figure::Figure;
use lab::{Keys, Lab};

const USAGE: &str = "usage: bench PROGRAM OUTPUT [--short] [by-hand|exporter|scale|lateness|latency]...";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["record", file, command @ ..] => {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            process::record(Path::new(file), &command).unwrap_or_else(|error| panic!("{error}"));
        }
        ["bare", endpoints, seconds] => {
            bare::run(endpoints.parse().unwrap(), Duration::from_secs(seconds.parse().unwrap()));
        }
        [binary, output, "--short", parts @ ..] if are_parts(parts) => {
            bench(Path::new(binary), Path::new(output), &SHORT, parts);
        }
        [binary, output, parts @ ..] if are_parts(parts) => {
            bench(Path::new(binary), Path::new(output), &LONG, parts);
        }
        _ => panic!("{USAGE}"),
    }
}

type Part = fn(&Lab, &Path, &Path, &Length) -> Vec<Figure>;

const PARTS: [(&str, Part); 5] = [
    ("by-hand", by_hand::measure),
    ("exporter", exporter::measure),
    ("scale", scale::measure),
    ("lateness", lateness::measure),
    ("latency", latency::measure),
];

fn are_parts(words: &[&str]) -> bool {
    words.iter().all(|word| PARTS.iter().any(|(name, _)| name == word))
}

struct Length {
    rounds: usize,
    window: Duration,
}

const LONG: Length = Length { rounds: 5, window: Duration::from_secs(30) };
/// To see that it works. The figures mean little.
const SHORT: Length = Length { rounds: 1, window: Duration::from_secs(10) };

/// All parts where none is named.
fn bench(binary: &Path, output: &Path, length: &Length, named: &[&str]) {
    let binary = binary.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let scratch = Scratch::new();
    let lab = Lab::start_with(Keys::AsAws).unwrap_or_else(|error| panic!("{error}"));
    let before = load();
    let size = fs::metadata(&binary).unwrap().len() as f64 / 1e6;
    let mut figures = vec![Figure::new("Size of the program", "MB", vec![size])];
    for (name, measure) in PARTS {
        if named.is_empty() || named.contains(&name) {
            figures.extend(measure(&lab, &binary, &scratch.0, length));
        }
    }
    let machine = json!({ "cpus": std::thread::available_parallelism().unwrap(), "load_before": before });
    for figure in &figures {
        println!("{}", figure.line());
    }
    let figures: Vec<Value> = figures.iter().map(Figure::json).collect();
    let text = serde_json::to_string_pretty(&json!({ "machine": machine, "figures": figures })).unwrap();
    fs::write(output, text + "\n").unwrap_or_else(|error| panic!("{}: {error}", output.display()));
    println!("\nload before: {before}; written to {}", output.display());
}

/// Of the last minute: figures of a busy machine say less.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().parse().unwrap()
}

/// A directory that goes when the run ends, in whatever way but a signal.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("linkproof-bench-{}", std::process::id()));
        fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
