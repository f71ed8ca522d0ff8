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

const USAGE: &str = "usage: bench PROGRAM OUTPUT [--short] [latency]";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["record", file, command @ ..] => {
            let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
            process::record(Path::new(file), &command).unwrap_or_else(|error| panic!("{error}"));
        }
        [binary, output, options @ ..] if options.iter().all(|option| OPTIONS.contains(option)) => {
            let length = if options.contains(&"--short") { &SHORT } else { &LONG };
            bench(Path::new(binary), Path::new(output), length, options.contains(&"latency"));
        }
        _ => panic!("{USAGE}"),
    }
}

const OPTIONS: [&str; 2] = ["--short", "latency"];

struct Length {
    rounds: usize,
    window: Duration,
}

const LONG: Length = Length { rounds: 5, window: Duration::from_secs(30) };
/// To see that it works. The figures mean little.
const SHORT: Length = Length { rounds: 1, window: Duration::from_secs(10) };

fn bench(binary: &Path, output: &Path, length: &Length, latency_alone: bool) {
    let binary = binary.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
    let scratch = Scratch::new();
    let lab = Lab::start_with(Keys::AsAws).unwrap_or_else(|error| panic!("{error}"));
    let before = load();
    let size = fs::metadata(&binary).unwrap().len() as f64 / 1e6;
    let mut figures = vec![Figure::new("Size of the program", "MB", vec![size])];
    if !latency_alone {
        figures.extend(by_hand::measure(&lab, &binary, &scratch.0, length.rounds));
        figures.extend(exporter::measure(&lab, &binary, &scratch.0, length.rounds, length.window));
        figures.extend(scale::measure(&lab, &binary, &scratch.0, length.rounds, length.window));
        figures.extend(lateness::measure(&lab, &binary, &scratch.0, length.rounds, length.window));
    }
    figures.extend(latency::measure(&lab, &binary, &scratch.0, length.rounds));
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
