//! The hosts of the lab. A host is a thread that lives in a network namespace of
//! its own: nothing has a name, so labs do not meet, and when the process dies in
//! whatever way, the kernel takes the namespaces and all in them away.

use std::any::Any;
use std::fs;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

/// A place in the lab where code can run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Host {
    Router,
    Instance,
    EndpointA,
    EndpointB,
    CorporateDns,
    Internet,
}

impl Host {
    /// The hosts behind the router, which each hang on a cable of their own.
    pub const LEAVES: [Self; 5] =
        [Self::Instance, Self::EndpointA, Self::EndpointB, Self::CorporateDns, Self::Internet];

    /// Also the name of the router's interface towards the host.
    pub fn name(self) -> &'static str {
        match self {
            Self::Router => "router",
            Self::Instance => "instance",
            Self::EndpointA => "endpoint-a",
            Self::EndpointB => "endpoint-b",
            Self::CorporateDns => "corp-dns",
            Self::Internet => "internet",
        }
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// A thread inside a host's namespaces that does what it is told, one job at a time.
pub struct Thread {
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// The answer to a job that is still being done.
pub struct Pending<R>(mpsc::Receiver<Result<R, Box<dyn Any + Send>>>);

impl Thread {
    /// Starts a thread that first enters its namespaces. It inherits those of the
    /// thread that calls this.
    pub fn start<E>(host: Host, enter: E) -> Result<Self, String>
    where
        E: FnOnce() -> Result<(), String> + Send + 'static,
    {
        let (jobs, inbox) = mpsc::channel::<Job>();
        let thread = thread::Builder::new()
            .name(host.name().to_owned())
            .spawn(move || {
                while let Ok(job) = inbox.recv() {
                    job();
                }
            })
            .map_err(|error| format!("cannot start a thread for the {}: {error}", host.name()))?;
        let started = Self { jobs: Some(jobs), thread: Some(thread) };
        started.on(enter)?;
        Ok(started)
    }

    pub fn on<R, F>(&self, job: F) -> R
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        self.submit(job).wait()
    }

    pub fn submit<R, F>(&self, job: F) -> Pending<R>
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        let (answer, pending) = mpsc::sync_channel(1);
        let job = Box::new(move || {
            // The receiver may have gone away; then nobody wants to know.
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        });
        let jobs = self.jobs.as_ref().expect("only drop takes the channel away");
        jobs.send(job).expect("a host's thread ends only when its channel closes");
        Pending(pending)
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // Its jobs' panics were handed to whoever asked for the job.
            let _ = thread.join();
        }
    }
}

impl<R> Pending<R> {
    /// A panic inside the job goes on here, where the job was asked for.
    pub fn wait(self) -> R {
        match self.0.recv().expect("a host's thread answers every job") {
            Ok(answer) => answer,
            Err(panic) => resume_unwind(panic),
        }
    }
}

/// The six hosts, each in its namespaces.
pub struct Hosts {
    router: Thread,
    leaves: Vec<Thread>,
}

impl Hosts {
    pub fn start() -> Result<Self, String> {
        let router = Thread::start(Host::Router, enter_lab)?;
        // From the router's thread, so that they inherit the lab's mount namespace.
        let leaves = router.on(|| {
            Host::LEAVES
                .map(|host| Thread::start(host, enter_network))
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
        })?;
        Ok(Self { router, leaves })
    }

    pub fn thread(&self, host: Host) -> &Thread {
        match Host::LEAVES.iter().position(|leaf| *leaf == host) {
            Some(leaf) => &self.leaves[leaf],
            None => &self.router,
        }
    }

    pub fn on<R, F>(&self, host: Host, job: F) -> R
    where
        R: Send + 'static,
        F: FnOnce() -> R + Send + 'static,
    {
        self.thread(host).on(job)
    }
}

/// Namespaces of the whole lab: mounts in it are seen by no one else, and /run is
/// its own scratch space.
fn enter_lab() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWNET).map_err(|error| {
        format!("cannot create namespaces ({error}): the lab needs root, or in a container CAP_SYS_ADMIN")
    })?;
    let nothing = None::<&str>;
    mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).map_err(|error| {
        format!("cannot make the lab's mounts private ({error}): the lab needs CAP_SYS_ADMIN")
    })?;
    mount(Some("lab"), "/run", Some("tmpfs"), MsFlags::empty(), Some("mode=755,size=64m")).map_err(
        |error| format!("cannot mount a tmpfs for the lab ({error}): the kernel needs CONFIG_TMPFS"),
    )?;
    sane_network_defaults()
}

fn enter_network() -> Result<(), String> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|error| {
        format!("cannot create a network namespace ({error}): the kernel needs CONFIG_NET_NS")
    })?;
    sane_network_defaults()
}

/// A new namespace inherits some of the machine's settings; the lab's must not
/// depend on them.
fn sane_network_defaults() -> Result<(), String> {
    for interface in ["all", "default"] {
        sysctl(&format!("net/ipv4/conf/{interface}/rp_filter"), "0")?;
        sysctl(&format!("net/ipv6/conf/{interface}/disable_ipv6"), "0")?;
        sysctl(&format!("net/ipv6/conf/{interface}/accept_ra"), "0")?;
        // Duplicate address detection takes a second; here every address is unique.
        sysctl(&format!("net/ipv6/conf/{interface}/accept_dad"), "0")?;
    }
    // ICMP errors come unthrottled, so that a test sees each of them.
    sysctl("net/ipv4/icmp_ratelimit", "0")?;
    sysctl("net/ipv6/icmp/ratelimit", "0")?;
    // The kernel's budget for all of them together spares the types that this names.
    sysctl("net/ipv4/icmp_ratemask", "0")?;
    sysctl("net/ipv6/icmp/ratemask", "\n")
}

/// Sets a kernel parameter of the calling thread's network namespace.
pub fn sysctl(name: &str, value: &str) -> Result<(), String> {
    fs::write(format!("/proc/sys/{name}"), value).map_err(|error| {
        format!("cannot set {}: {error}; /proc/sys has to be writable", name.replace('/', "."))
    })
}

/// The calling thread's number, by which `ip link set netns` finds its namespace.
pub fn thread_id() -> Result<String, String> {
    let link = fs::read_link("/proc/thread-self")
        .map_err(|error| format!("cannot read /proc/thread-self: {error}"))?;
    let id = link.file_name().ok_or("cannot make sense of /proc/thread-self")?;
    Ok(id.to_string_lossy().into_owned())
}

/// Where the lab's own tools are looked for, whatever PATH the tests run with.
pub const TOOL_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Runs a short-lived tool in the calling thread's namespaces.
pub fn tool(program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let subject = || format!("{program} {}", arguments.join(" "));
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", TOOL_PATH)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot run `{}`: {error}", subject()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A tool that ends early says why on stderr.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output =
        child.wait_with_output().map_err(|error| format!("cannot wait for `{}`: {error}", subject()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let complaint = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{}` failed ({}): {}\nits input was:\n{input}", subject(), output.status, complaint.trim()))
}
