//! The units as systemd reads them: valid, confined, and both confined alike.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const UNITS: [&str; 2] = ["linkproof.service", "linkproof-once.service"];
const RAW_SOCKETS: &str = "raw-sockets.conf";

/// What systemd 239 as RHEL 8 has it does not know. It says so, and goes on without.
const NEWER: [&str; 5] = ["OOMPolicy", "ProtectClock", "ProtectHostname", "ProtectKernelLogs", "ProtectProc"];

/// What it knows, by `src/core/load-fragment-gperf.gperf.m4` of its 8.10.
const KNOWN: &[&str] = &[
    "After",
    "AmbientCapabilities",
    "CapabilityBoundingSet",
    "Description",
    "Documentation",
    "DynamicUser",
    "Environment",
    "EnvironmentFile",
    "ExecReload",
    "ExecStart",
    "KeyringMode",
    "LimitCORE",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "MemoryMax",
    "NoNewPrivileges",
    "PrivateDevices",
    "PrivateMounts",
    "PrivateTmp",
    "PrivateUsers",
    "ProtectControlGroups",
    "ProtectHome",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectSystem",
    "RemainAfterExit",
    "RemoveIPC",
    "Restart",
    "RestartPreventExitStatus",
    "RestartSec",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "StartLimitIntervalSec",
    "SystemCallArchitectures",
    "SystemCallErrorNumber",
    "SystemCallFilter",
    "TasksMax",
    "TimeoutStartSec",
    "TimeoutStopSec",
    "Type",
    "UMask",
    "User",
    "WantedBy",
    "Wants",
    "WatchdogSec",
];

/// A folder with the units, as an administrator has them, with a program that is there.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, raw_sockets: bool) -> Self {
        let folder = std::env::temp_dir().join(format!("linkproof-units-{}-{name}", std::process::id()));
        for unit in UNITS {
            fs::create_dir_all(folder.join(format!("{unit}.d"))).unwrap();
            fs::write(folder.join(unit), shipped(unit).replace("/usr/bin/linkproof", "/bin/true")).unwrap();
            if raw_sockets {
                fs::write(folder.join(format!("{unit}.d")).join(RAW_SOCKETS), shipped(RAW_SOCKETS)).unwrap();
            }
        }
        Self(folder)
    }

    fn analyze(&self, verb: &[&str], unit: &str) -> Output {
        let output = Command::new("systemd-analyze").args(verb).arg(self.0.join(unit)).output();
        output.unwrap_or_else(|error| panic!("systemd-analyze: {error}: apt-get install systemd"))
    }

    fn exposure(&self, unit: &str) -> f32 {
        let output = self.analyze(&["security", "--offline=yes", "--no-pager"], unit);
        let text = String::from_utf8(output.stdout).unwrap();
        let level = text.split("Overall exposure level for").nth(1).and_then(|rest| rest.split(": ").nth(1));
        level.and_then(|level| level.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn shipped(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

#[test]
fn systemd_reads_the_units_without_a_word() {
    for (name, raw_sockets) in [("verify", false), ("verify-raw", true)] {
        let folder = Folder::new(name, raw_sockets);
        for unit in UNITS {
            let verified = folder.analyze(&["verify", "--man=no"], unit);
            let said = String::from_utf8_lossy(&verified.stderr);
            assert!(verified.status.success() && said.is_empty(), "{unit}: {said}");
        }
    }
}

#[test]
fn the_oldest_systemd_to_serve_knows_every_key_but_those_that_are_told() {
    let told = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/provisioning.md"));
    let told = told.unwrap();
    for file in [UNITS[0], UNITS[1], RAW_SOCKETS] {
        let text = shipped(file);
        let keys = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        for (key, _) in keys {
            assert!(KNOWN.contains(&key) || NEWER.contains(&key), "{file}: does systemd 239 know {key}?");
        }
    }
    for key in NEWER {
        assert!(told.contains(key), "{key}: provisioning.md tells what older systems go without");
    }
}

#[test]
fn the_units_are_confined() {
    for (name, raw_sockets, limit) in [("security", false, 1.1), ("security-raw", true, 1.5)] {
        let folder = Folder::new(name, raw_sockets);
        for unit in UNITS {
            let exposure = folder.exposure(unit);
            assert!(exposure <= limit, "{unit}: {exposure}, raw sockets: {raw_sockets}");
        }
    }
    let closed = Folder::new("closed", false);
    let raw = Folder::new("raw", true);
    assert!(closed.exposure(UNITS[0]) < raw.exposure(UNITS[0]), "the drop-in is read");
}

/// The options as systemd passes them on, with the shipped file and with one of an administrator.
#[test]
fn options_come_from_the_defaults_file() {
    let defaults =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/default")).unwrap();
    let set: Vec<&str> = defaults.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(set, [""; 0], "the shipped file changes nothing");
    for (unit, variable) in [(UNITS[0], "LINKPROOF_OPTS"), (UNITS[1], "LINKPROOF_ONCE_OPTS")] {
        let text = shipped(unit);
        assert!(text.contains("\nEnvironmentFile=-/etc/default/linkproof\n"), "{unit}");
        // Without a value, systemd would log a warning at each start.
        let own = text.lines().find(|line| line.starts_with("Environment=")).unwrap();
        assert!(own.contains(&format!("{variable}=")), "{unit}");
        let commands = text.lines().filter(|line| line.contains("/usr/bin/linkproof "));
        for command in commands {
            assert!(command.contains(&format!(" ${variable}")), "{unit}: {command}");
        }
        assert!(defaults.contains(&format!("#{variable}=\"")), "{variable} is not in packaging/default");
    }
}

#[test]
fn neither_unit_leaves_a_core_dump() {
    for unit in UNITS {
        assert!(shipped(unit).lines().any(|line| line == "LimitCORE=1"), "{unit}");
    }
}

#[test]
fn both_units_have_the_same_sandbox() {
    let [daemon, once] = UNITS.map(|unit| {
        let text = shipped(unit);
        let sandbox = text.split("DynamicUser=yes").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
        let keys = sandbox.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.map(str::to_owned).collect::<Vec<_>>()
    });
    assert_eq!(daemon, once);
    assert!(daemon.contains(&"CapabilityBoundingSet=".to_owned()));
    assert!(daemon.contains(&"RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK AF_UNIX".to_owned()));
}
