//! What a report's evidence says, without what chance and time decide: one line for each fact.
//!
//! `tests/it/states/MODULE.txt` holds the facts of each state that a healthy subnet does not have,
//! and how many facts of each check are as in a healthy subnet. `UPDATE_GOLDEN=1` writes the files
//! anew; run it twice when a state of [`HEALTHY`] has changed, since the others are compared with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::report::Report;

/// Keys that change from run to run, and prose, which the tests of the renderers read.
const LEFT_OUT: [&str; 24] = [
    "access_key_id",
    "after_seconds",
    "clock_skew",
    "detail",
    "expires_at",
    "host",
    "how",
    "kernel_seconds",
    "kernel_tcp_seconds",
    "message",
    "names",
    "not_after",
    "not_before",
    "other_lookups",
    "others",
    "replies",
    "request_id",
    "retransmitted",
    "seconds",
    "signature",
    "sent",
    "subject",
    "ttl",
    "window_seconds",
];

/// What is left out of one key's value alone. Probes are counted, not listed; which of several
/// controls answers first is chance.
const LEFT_OUT_OF: [(&str, &str); 4] =
    [("probes", "ip"), ("controls", "target"), ("evidence", "because"), ("evidence", "unresolved")];

/// Where nothing is wrong: a check is compared with the first of these that has it.
const HEALTHY: [(&str, &str); 3] =
    [("egress", "healthy"), ("endpoints", "several_endpoints"), ("endpoints", "gateway_endpoint")];

/// The facts of each check, by its id.
type Facts = BTreeMap<String, Vec<String>>;

/// The facts of each state, by its name.
type Golden = BTreeMap<String, Facts>;

static FILES: Mutex<()> = Mutex::new(());

/// What differs from the facts that the file of this module holds for this state.
pub fn differences(module: &str, state: &str, report: &Report) -> Vec<String> {
    let _lock = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let facts: Facts = report.list().iter().map(|check| (id(check), facts(check))).collect();
    let before = HEALTHY.iter().take_while(|healthy| **healthy != (module, state));
    let usual: Vec<Facts> = before.filter_map(|(module, state)| read(module).remove(*state)).collect();
    let facts: Facts = facts.into_iter().filter_map(|(check, facts)| unusual(&usual, check, facts)).collect();
    let mut golden = read(module);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        golden.insert(state.to_owned(), facts);
        golden.retain(|_, facts| !facts.is_empty());
        write(module, &golden);
        return vec![];
    }
    let expected = golden.remove(state).unwrap_or_default();
    let checks: BTreeSet<&String> = expected.keys().chain(facts.keys()).collect();
    let different = checks.into_iter().filter(|check| expected.get(*check) != facts.get(*check));
    different
        .map(|check| {
            let side = |of: &Facts| of.get(check).map_or("as in a healthy subnet".to_owned(), |f| f.join("\n      "));
            format!(
                "{check} is not as tests/it/states/{module}.txt has it (UPDATE_GOLDEN=1 to accept it)\n    expected:\n      {}\n    now:\n      {}",
                side(&expected),
                side(&facts)
            )
        })
        .collect()
}

/// The states that a file has facts of.
pub fn states(module: &str) -> Vec<String> {
    read(module).into_keys().collect()
}

/// What is not as usual about a check.
fn unusual(usual: &[Facts], check: String, facts: Vec<String>) -> Option<(String, Vec<String>)> {
    let Some(usual) = usual.iter().find_map(|usual| usual.get(&check)) else { return Some((check, facts)) };
    if &facts == usual {
        return None;
    }
    let (same, mut other): (Vec<String>, Vec<String>) =
        facts.into_iter().partition(|fact| usual.contains(fact));
    if !same.is_empty() {
        other.insert(0, format!("{} of {} as usual", same.len(), usual.len()));
    }
    Some((check, other))
}

fn id(check: &Value) -> String {
    check["id"].as_str().unwrap_or_default().to_owned()
}

/// Each address, and everything in the evidence; what is there several times is counted.
fn facts(check: &Value) -> Vec<String> {
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    let of_address = |address: &Value| {
        let words = ["ip", "scope", "outcome", "reason", "zone"].map(|key| plain(&address[key]));
        words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<String>>().join(" ")
    };
    let addresses = check["addresses"].as_array().into_iter().flatten().map(of_address);
    for fact in addresses.chain(of_evidence(&check["evidence"])) {
        *counted.entry(fact).or_default() += 1;
    }
    counted
        .into_iter()
        .map(|(fact, count)| if count == 1 { fact } else { format!("{fact} x{count}") })
        .collect()
}

fn of_evidence(evidence: &Value) -> Vec<String> {
    let mut facts = Vec::new();
    for (key, value) in evidence.as_object().into_iter().flatten().filter(|(key, _)| is_kept("evidence", key))
    {
        match value.as_array() {
            Some(items) => facts.extend(items.iter().map(|item| format!("{key}: {}", line(key, item)))),
            None => facts.push(format!("{key}: {}", line(key, value))),
        }
    }
    facts
}

/// A value on one line: `server=10.0.0.2:53 query_type=A addresses=10.0.1.57,10.0.2.113`.
fn line(of: &str, value: &Value) -> String {
    let Some(object) = value.as_object() else { return plain(value) };
    let kept = object.iter().filter(|(key, value)| is_kept(of, key) && !value.is_null());
    let words = kept.map(|(key, value)| match value {
        Value::Object(_) => format!("{key}({})", line(key, value)),
        _ => format!("{key}={}", plain(value)),
    });
    words.collect::<Vec<_>>().join(" ")
}

fn is_kept(of: &str, key: &str) -> bool {
    !LEFT_OUT.contains(&key) && !LEFT_OUT_OF.contains(&(of, key))
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let mut items: Vec<String> = items.iter().map(plain).collect();
            items.sort();
            items.join(",")
        }
        Value::Object(fields) => {
            let kept = fields.clone().into_iter().filter(|(key, _)| is_kept("", key));
            Value::Object(kept.collect()).to_string()
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn path(module: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/states/{module}.txt"))
}

/// A state's name, its checks indented by two, their facts by four.
fn read(module: &str) -> Golden {
    let mut golden = Golden::new();
    let (mut state, mut check) = (String::new(), String::new());
    for line in fs::read_to_string(path(module)).unwrap_or_default().lines() {
        let text = line.trim_start();
        match line.len() - text.len() {
            _ if text.is_empty() => {}
            0 => text.clone_into(&mut state),
            2 => {
                text.clone_into(&mut check);
                golden.entry(state.clone()).or_default().entry(check.clone()).or_default();
            }
            _ => {
                let facts = golden.entry(state.clone()).or_default().entry(check.clone()).or_default();
                facts.push(text.to_owned());
            }
        }
    }
    golden
}

fn write(module: &str, golden: &Golden) {
    let text: Vec<String> = golden
        .iter()
        .map(|(state, checks)| {
            let facts =
                |facts: &Vec<String>| facts.iter().map(|fact| format!("    {fact}\n")).collect::<String>();
            let checks = checks.iter().map(|(check, of)| format!("  {check}\n{}", facts(of)));
            format!("{state}\n{}", checks.collect::<String>())
        })
        .collect();
    let path = path(module);
    fs::write(&path, text.join("\n"))
        .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
}
