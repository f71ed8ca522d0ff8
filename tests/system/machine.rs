//! A booted systemd in the place of a lab's instance: a Debian root of its own, in the instance's
//! network, with a disk that lasts as long as the machine, through its reboots.

use std::fs;
use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MsFlags, mount};

use crate::lab::{Child, Host, Lab, Output, Run};

/// On the instance; the lab's /run ends with the lab.
const ROOT: &str = "/run/instance/root";
const NOTIFY: &str = "/run/instance/notify";

/// A boot takes a second; the machine that runs the tests may be busy.
const PATIENCE: Duration = Duration::from_mins(1);
/// nspawn's exit code for it.
const REBOOT: i32 = 133;
const POLL: Duration = Duration::from_millis(50);

pub struct Machine {
    // Dropped in this order: the system, then the network below it.
    nspawn: Option<Child>,
    power: Run,
    cgroups: Vec<PathBuf>,
    notices: Notices,
    leader: String,
    lab: Lab,
}

impl Machine {
    /// Boots, and waits until all services have been started.
    pub fn boot() -> Self {
        let lower = super::built("system-root", ".ci/install system");
        let lab = Lab::start().unwrap_or_else(|error| panic!("{error}"));
        lab.on(Host::Instance, move || furnish(&lower)).expect("the machine's disk can be made");
        let notices = lab.on(Host::Instance, || UnixDatagram::bind(NOTIFY)).expect("a socket can be bound");
        let notices = Notices::read(notices);
        let cgroups = cgroups();
        let enter: String =
            cgroups.iter().map(|path| format!("echo $$ > {}/cgroup.procs && ", path.display())).collect();
        let power = format!(
            "{enter} exec systemd-nspawn --quiet --boot --directory={ROOT} --register=no --keep-unit \
             --resolv-conf=off --link-journal=no --console=read-only --notify-ready=yes --machine=instance"
        );
        let power = Run::new("sh").args(["-c", &power]).env("NOTIFY_SOCKET", NOTIFY);
        let nspawn = Some(lab.spawn(&power));
        let mut machine = Self { nspawn, power, cgroups, notices, leader: String::new(), lab };
        machine.wait_for_boot();
        machine
    }

    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Runs a shell line inside the machine.
    pub fn run(&self, line: &str) -> Output {
        let run = Run::new("nsenter").args(["-t", &self.leader, "-a", "--", "/bin/sh", "-c", line]);
        self.lab.run(&run.timeout(2 * PATIENCE))
    }

    /// What a shell line that must succeed says.
    pub fn say(&self, line: &str) -> String {
        let output = self.run(line);
        assert!(output.status.success(), "`{line}` failed: {output:?}\n{}", self.journal());
        output.stdout.trim_end().to_owned()
    }

    pub fn journal(&self) -> String {
        self.run("journalctl --no-pager -o cat -u linkproof -u linkproof-once").stdout
    }

    /// A property of the daemon's unit.
    pub fn property(&self, name: &str) -> String {
        self.say(&format!("systemctl show linkproof.service --value -p {name}"))
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = Path::new(ROOT).join(path.trim_start_matches('/'));
        let text = text.to_owned();
        let write = move || {
            fs::create_dir_all(path.parent().expect("a file has a folder"))?;
            fs::write(path, text)
        };
        self.lab.on(Host::Instance, write).expect("a file can be written on the machine's disk");
    }

    /// Brings a file of this computer to the machine, and tells its path there.
    pub fn bring(&self, file: &Path) -> String {
        let name = file.file_name().expect("a file has a name").to_string_lossy().into_owned();
        let there = format!("/root/{name}");
        let (from, to) = (file.to_owned(), format!("{ROOT}{there}"));
        self.lab.on(Host::Instance, move || fs::copy(from, to)).expect("a file can be copied");
        there
    }

    /// Waits until it is so. What is waited for cannot be subscribed to.
    pub fn until(&self, what: &str, limit: Duration, is_so: impl Fn() -> bool) {
        let deadline = Instant::now() + limit;
        while !is_so() {
            assert!(Instant::now() < deadline, "{what}: not within {limit:?}\n{}", self.journal());
            thread::sleep(POLL);
        }
    }

    pub fn reboot(&mut self) {
        // The answer may get lost with the system that would give it.
        let _ = self.run("systemctl reboot");
        // nspawn ends and leaves it to its caller to switch on again.
        let ended = self.nspawn.take().expect("the machine is on").wait();
        assert_eq!(ended.status.code(), Some(REBOOT), "{ended:?}");
        self.nspawn = Some(self.lab.spawn(&self.power));
        self.wait_for_boot();
    }

    /// nspawn tells which process is the system's first, and then that all is started.
    fn wait_for_boot(&mut self) {
        loop {
            let notice = match self.notices.received.recv_timeout(PATIENCE) {
                Ok(notice) => notice,
                Err(error) => panic!("the machine did not boot ({error}): {}", self.console()),
            };
            if let Some(leader) = notice.lines().find_map(|line| line.strip_prefix("X_NSPAWN_LEADER_PID=")) {
                leader.clone_into(&mut self.leader);
            }
            if notice.lines().any(|line| line == "READY=1") {
                return;
            }
        }
    }

    fn console(&self) -> String {
        self.nspawn.as_ref().map(|nspawn| nspawn.stdout() + &nspawn.stderr()).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Killing its first process ends the machine at once, and all in it.
        self.lab.run(&Run::new("kill").args(["-KILL", &self.leader]));
        if let Some(nspawn) = self.nspawn.take() {
            nspawn.wait();
        }
        for cgroup in &self.cgroups {
            // The last processes take a moment to be gone, and then the folders can go.
            let deadline = Instant::now() + PATIENCE;
            while cgroup.exists() && Instant::now() < deadline {
                let _ = Command::new("find").arg(cgroup).args(["-depth", "-type", "d", "-delete"]).output();
                thread::sleep(POLL);
            }
        }
    }
}

/// The disk: what is written lies over the shared root. Names and trust are the lab's.
fn furnish(lower: &Path) -> io::Result<()> {
    for folder in ["root", "disk", "work"] {
        fs::create_dir_all(Path::new("/run/instance").join(folder))?;
    }
    let layers =
        format!("lowerdir={},upperdir=/run/instance/disk,workdir=/run/instance/work", lower.display());
    let none = None::<&str>;
    mount(Some("overlay"), ROOT, Some("overlay"), MsFlags::empty(), Some(layers.as_str()))?;
    for file in ["resolv.conf", "nsswitch.conf", "hosts"] {
        let _ = fs::remove_file(Path::new(ROOT).join("etc").join(file));
        fs::copy(Path::new("/etc").join(file), Path::new(ROOT).join("etc").join(file))?;
    }
    mount(Some("/etc/ssl/certs"), &*format!("{ROOT}/etc/ssl/certs"), none, MsFlags::MS_BIND, none)?;
    Ok(())
}

/// A control group for each machine, or they would meet in one. As the kernel offers it: one
/// hierarchy, or systemd's own beside others.
fn cgroups() -> Vec<PathBuf> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("linkproof-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = [top.to_owned(), top.join("systemd"), top.join("unified")];
    let cgroups: Vec<PathBuf> = hierarchies
        .iter()
        .filter(|hierarchy| hierarchy.join("cgroup.procs").exists())
        .map(|hierarchy| hierarchy.join(&name))
        .collect();
    for cgroup in &cgroups {
        fs::create_dir_all(cgroup).expect("a control group can be made: the tests need root");
    }
    cgroups
}

/// What nspawn and the system in it tell their caller. It is read all the time: the system's first
/// process waits while nobody reads.
struct Notices {
    socket: UnixDatagram,
    received: Receiver<String>,
}

impl Notices {
    fn read(socket: UnixDatagram) -> Self {
        let (sender, received) = mpsc::channel();
        let reader = socket.try_clone().expect("a socket can be cloned");
        thread::spawn(move || {
            let mut notice = [0; 4096];
            while let Ok(length @ 1..) = reader.recv(&mut notice) {
                let _ = sender.send(String::from_utf8_lossy(&notice[..length]).into_owned());
            }
        });
        Self { socket, received }
    }
}

impl Drop for Notices {
    /// Ends the thread.
    fn drop(&mut self) {
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}
