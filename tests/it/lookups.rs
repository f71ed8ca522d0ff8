//! What applications on the instance are told, by a program that is not ours.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use crate::lab::{Lab, Run};

/// Eight new processes, since `rotate` starts anywhere, each with `getaddrinfo` and flags 0.
/// A lookup that hangs, or that ends its process, is an error like any other.
const PROGRAM: &str = r#"
import json, os, select, signal, socket, sys, time
def lookup(host):
    try:
        found = socket.getaddrinfo(host, None, socket.AF_UNSPEC, socket.SOCK_STREAM, 0, 0)
        return sorted({entry[4][0].split('%')[0] for entry in found})
    except (socket.gaierror, OSError, UnicodeError) as error:
        return str(error)
runs = []
for _ in range(8):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, json.dumps(lookup(sys.argv[1])).encode())
        os._exit(0)
    os.close(writer)
    runs.append((child, reader))
deadline = time.monotonic() + 20
told = []
for child, reader in runs:
    ready, _, _ = select.select([reader], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        os.kill(child, signal.SIGKILL)
    text = os.read(reader, 65536) if ready else b""
    _, status = os.waitpid(child, 0)
    told.append(json.loads(text) if text else "did not return" if not ready else f"ended with {status}")
print(json.dumps(told))
"#;

/// What one of the processes was told: addresses, or an error.
pub type Told = Result<BTreeSet<IpAddr>, String>;

/// Starts them; `read` gets what they say.
pub fn program(host: &str, environment: &[(&'static str, String)]) -> Run {
    let run = Run::new("python3").args(["-S", "-c", PROGRAM, host]).timeout(Duration::from_secs(50));
    environment.iter().fold(run, |run, (name, value)| run.env(name, value))
}

pub fn read(stdout: &str, stderr: &str) -> Vec<Told> {
    let told: Vec<Value> = serde_json::from_str(stdout).unwrap_or_else(|error| {
        panic!("the independent lookups failed: {error}\n{stdout}\n{stderr}");
    });
    assert_eq!(told.len(), 8, "{told:?}");
    told.iter()
        .map(|told| match told {
            Value::Array(ips) => Ok(ips.iter().map(|ip| ip.as_str().unwrap().parse().unwrap()).collect()),
            error => Err(error.to_string()),
        })
        .collect()
}

pub fn ask(lab: &Lab, host: &str, environment: &[(&'static str, String)]) -> Vec<Told> {
    let output = lab.run(&program(host, environment));
    read(&output.stdout, &output.stderr)
}

/// Whether each lookup leads into the VPC alone, none does, or it depends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Truth {
    AllRight,
    AllWrong,
    Mixed,
}

pub fn truth(told: &[Told], is_right: impl Fn(IpAddr) -> bool) -> Truth {
    let right =
        |told: &&Told| told.as_ref().is_ok_and(|ips| !ips.is_empty() && ips.iter().all(|ip| is_right(*ip)));
    match told.iter().filter(right).count() {
        0 => Truth::AllWrong,
        all if all == told.len() => Truth::AllRight,
        _ => Truth::Mixed,
    }
}

/// What is wrong with an outcome of `dns` (`pass`, `fail public_address`), if that is the truth.
pub fn disagreement(outcome: &str, told: &[Told], is_right: impl Fn(IpAddr) -> bool) -> Option<String> {
    let wrong = matches!(
        (outcome.split(' ').next(), truth(told, is_right)),
        (Some("pass"), Truth::AllWrong | Truth::Mixed) | (Some("fail"), Truth::AllRight)
    );
    wrong.then(|| format!("dns says {outcome}, and applications are told {told:?}"))
}
