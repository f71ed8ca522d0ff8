//! What processes cost: CPU to the nanosecond, memory, time.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::prctl::set_child_subreaper;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use nix::sys::wait::wait;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::lab::{Lab, Run};

/// CPU that a process and its children have used, also in threads that have ended.
pub fn cpu(process: u32) -> Duration {
    let own = |process: u32| {
        let clock = clock_getcpuclockid(Pid::from_raw(process.cast_signed())).ok()?;
        Some(Duration::from(clock.now().ok()?))
    };
    children(process).into_iter().chain([process]).filter_map(own).sum()
}

fn children(process: u32) -> Vec<u32> {
    let parent = |child: u32| -> Option<u32> {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    ids.filter(|id| parent(*id) == Some(process)).collect()
}

/// CPU of the thread of this name.
pub fn thread_cpu(process: u32, name: &str) -> Duration {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap().flatten();
    let read =
        |task: &fs::DirEntry, file: &str| fs::read_to_string(task.path().join(file)).unwrap_or_default();
    let mut named = tasks.filter(|task| read(task, "comm").trim() == name);
    let task = named.next().unwrap_or_else(|| panic!("process {process} has no thread {name}"));
    Duration::from_nanos(read(&task, "schedstat").split(' ').next().unwrap().parse().unwrap())
}

/// Resident memory of a process by itself.
pub fn resident_kib(process: u32) -> u64 {
    field(process, "status", "VmRSS:")
}

/// The same of a process and its children, with what they share counted once.
pub fn shared_kib(process: u32) -> u64 {
    children(process).into_iter().chain([process]).map(|id| field(id, "smaps_rollup", "Pss:")).sum()
}

fn field(process: u32, file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{process}/{file}")).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"));
    value.and_then(|value| value.parse().ok()).unwrap_or_default()
}

/// What a program cost that ran to its end.
#[derive(Debug)]
pub struct Usage {
    pub started_at: SystemTime,
    pub wall: f64,
    pub cpu: f64,
    pub peak_kib: f64,
    pub code: i64,
}

/// Runs a program, waits for all of its descendants, and writes what they cost into a file.
pub fn record(file: &Path, command: &[String]) -> Result<(), String> {
    let [program, arguments @ ..] = command else { return Err("no command".to_owned()) };
    set_child_subreaper(true).map_err(|error| error.to_string())?;
    let (started_at, started) = (SystemTime::now(), Instant::now());
    let mut child = Command::new(program).args(arguments).spawn().map_err(|e| format!("{program}: {e}"))?;
    let status = child.wait().map_err(|error| error.to_string())?;
    let wall = started.elapsed().as_secs_f64();
    while wait().is_ok() {}
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).map_err(|error| error.to_string())?;
    let cpu = (usage.user_time() + usage.system_time()).num_microseconds();
    let started_at = started_at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let record = json!({
        "started_at": started_at, "wall": wall, "cpu_us": cpu, "peak_kib": usage.max_rss(), "code": status.code(),
    });
    fs::write(file, record.to_string()).map_err(|error| error.to_string())
}

/// Runs a program on the instance, and returns what it cost.
pub fn recorded(lab: &Lab, scratch: &Path, command: &[&str]) -> Usage {
    let file = scratch.join("usage.json");
    let _ = fs::remove_file(&file);
    let output = lab.run(&Run::new(env::current_exe().unwrap()).arg("record").arg(&file).args(command));
    assert!(output.status.success(), "{command:?}: {output:?}");
    let text = fs::read_to_string(&file).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let number = |key: &str| value[key].as_f64().unwrap();
    Usage {
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs_f64(number("started_at")),
        wall: number("wall"),
        cpu: number("cpu_us") / 1e6,
        peak_kib: number("peak_kib"),
        code: value["code"].as_i64().unwrap_or(-1),
    }
}
