//! What is parsed from outside, each as one function from bytes: for the fuzzer (`make fuzz`), and
//! for a short run in the unit tests. A target panics where something is wrong.

use std::cell::RefCell;

use tokio::runtime::{Builder, Runtime};

use crate::access;
use crate::config::Config;
use crate::estate::{Estate, Options};
use crate::metrics;
use crate::observation::visible;
use crate::probe::{call, dns, instance, lookup};
use crate::serve;
use crate::wire::certificate;

/// A name that is also the folder of its corpus, and what is done with the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
}

pub const TARGETS: &[Target] = &[
    Target { name: "configuration", run: configuration },
    Target { name: "web-configuration", run: |bytes| shown(access::fuzz(bytes)) },
    Target { name: "import", run: import },
    Target { name: "resolver-files", run: |bytes| shown_raw(dns::fuzz_files(bytes)) },
    Target { name: "dns-message", run: |bytes| shown_raw(dns::fuzz_message(bytes)) },
    Target { name: "lookup-reply", run: |bytes| shown_raw(lookup::fuzz(bytes)) },
    Target { name: "metadata", run: |bytes| shown(instance::fuzz(bytes)) },
    Target { name: "answer", run: |bytes| shown(wait(call::fuzz(bytes))) },
    Target { name: "certificate", run: certificate },
    Target { name: "request", run: request },
];

pub fn find(name: &str) -> Option<Target> {
    TARGETS.iter().find(|target| target.name == name).copied()
}

/// Text from outside must not rule the terminal, nor fill the log.
fn shown(texts: impl IntoIterator<Item = String>) {
    for text in texts {
        let lines = text.replace('\n', "");
        assert_eq!(visible(&lines), lines, "shown as it came");
        assert!(text.len() < 64 * 1024, "{} bytes", text.len());
    }
}

/// Text that is made visible where a report is written; only its length matters before.
fn shown_raw(texts: impl IntoIterator<Item = String>) {
    shown(texts.into_iter().map(|text| visible(&text)));
}

fn configuration(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Err(error) = Config::parse(text, "linkproof.toml") {
        let error = error.to_string();
        assert!(error.contains("linkproof.toml:"), "no place: {error}");
        shown([error]);
    }
}

fn import(bytes: &[u8]) {
    let mut estate = Estate::default();
    let imported =
        estate.read("endpoints.json", bytes).and_then(|()| estate.configuration(&Options::default()));
    match imported {
        Ok(imported) => {
            Config::parse(&imported.text, "linkproof.toml")
                .unwrap_or_else(|error| panic!("{error}\n{}", imported.text));
            shown(imported.text.lines().map(str::to_owned));
            shown(imported.warnings);
        }
        Err(error) => shown([error.to_string()]),
    }
}

fn certificate(bytes: &[u8]) {
    let leaf = bytes.into();
    let _ = certificate::alternative_names(&leaf);
    let Some(certificate) = certificate::read(&leaf) else { return };
    shown([certificate.issuer, certificate.subject].into_iter().chain(certificate.names));
    for time in [certificate.not_before, certificate.not_after].into_iter().flatten() {
        crate::wording::rfc3339(time);
    }
}

fn request(bytes: &[u8]) {
    let _ = str::from_utf8(bytes).map(metrics::content_type);
    let answer = wait(serve::fuzz::answer(bytes));
    let head = String::from_utf8_lossy(&answer[..answer.len().min(16)]).into_owned();
    let status = head.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let expected = ["200", "202", "400", "403", "404", "405", "414", "421", "429", "431"];
    assert!(answer.is_empty() || status.is_some_and(|status| expected.contains(&status)), "{head}");
}

/// Runs to its end what waits for nothing but memory.
fn wait<T>(future: impl Future<Output = T>) -> T {
    thread_local! {
        static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
    }
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            Builder::new_current_thread().enable_all().build().unwrap_or_else(|error| panic!("{error}"))
        });
        runtime.block_on(future)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use fastrand::Rng;

    use super::*;

    /// Of each target, beside its corpus.
    const RUNS: usize = 1000;

    fn corpus(target: &Target) -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus").join(target.name);
        let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// The same from run to run: bytes are changed, taken out, doubled, and put in from elsewhere.
    fn mutated(corpus: &[Vec<u8>], random: &mut Rng) -> Vec<u8> {
        let mut bytes = corpus[random.usize(..corpus.len())].clone();
        for _ in 0..random.usize(1..5) {
            let at = random.usize(..=bytes.len());
            let end = (at + random.usize(..16)).min(bytes.len());
            match random.u8(..4) {
                0 if at < bytes.len() => bytes[at] = random.u8(..),
                1 => drop(bytes.drain(at..end)),
                2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                _ => {
                    let other = &corpus[random.usize(..corpus.len())];
                    let from = random.usize(..=other.len());
                    let part = other[from..(from + random.usize(..64)).min(other.len())].to_vec();
                    bytes.splice(at..at, part);
                }
            }
        }
        bytes
    }

    fn run(name: &str) {
        let target = find(name).unwrap();
        let corpus = corpus(&target);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for bytes in &corpus {
            (target.run)(bytes);
        }
        let mut random = Rng::with_seed(1);
        for _ in 0..RUNS {
            (target.run)(&mutated(&corpus, &mut random));
        }
    }

    macro_rules! targets {
        ($($test:ident $name:literal)*) => {
            $(#[test] fn $test() { run($name); })*

            #[test]
            fn every_target_is_run() {
                let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
                assert_eq!(names, [$($name),*]);
            }
        };
    }

    targets! {
        configuration "configuration"
        web_configuration "web-configuration"
        import_files "import"
        resolver_files "resolver-files"
        dns_message "dns-message"
        lookup_reply "lookup-reply"
        metadata "metadata"
        answer "answer"
        certificate "certificate"
        request "request"
    }
}
