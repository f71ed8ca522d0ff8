//! Where nscd answers lookups: what it remembers is what applications are told.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::agent::{self, Agent};
use crate::lab::{CLOUDWATCH, Child, Fault, Host, Lab, Run};
use crate::lookups::{self, Truth};
use crate::report::Report;
use crate::state::{CALL, CONNECT, DNS};
use crate::{harness, truth};

const CONFIG: &str = "
enable-cache passwd no
enable-cache group no
enable-cache services no
enable-cache netgroup no
enable-cache hosts yes
positive-time-to-live hosts 600
negative-time-to-live hosts 600
persistent hosts no
shared hosts no
";

const SOCKET: &str = "/var/run/nscd/socket";

/// A running nscd of one lab; dropping it leaves no trace there.
pub struct Nscd<'a> {
    lab: &'a Lab,
    _process: Child,
}

impl<'a> Nscd<'a> {
    pub fn start(lab: &'a Lab) -> Self {
        lab.on(Host::Instance, || fs::create_dir_all("/var/run/nscd").unwrap());
        let config = agent::file("nscd", CONFIG);
        let process = lab.spawn(&Run::new("nscd").args(["--foreground", "--config-file"]).arg(config));
        let deadline = Instant::now() + Duration::from_secs(10);
        while !lab.on(Host::Instance, || fs::exists(SOCKET).unwrap_or(false)) {
            assert!(Instant::now() < deadline, "nscd did not start: {}", process.stderr());
            thread::sleep(Duration::from_millis(5));
        }
        Self { lab, _process: process }
    }

    pub fn flush(&self) {
        let output = self.lab.run(&Run::new("nscd").arg("--invalidate=hosts"));
        assert!(output.status.success(), "{}", output.stderr);
    }
}

impl Drop for Nscd<'_> {
    fn drop(&mut self) {
        self.lab.on(Host::Instance, || {
            // Its process is killed next and cannot do it.
            let _ = fs::remove_file(SOCKET);
        });
    }
}

#[test]
fn old_answers_in_nscd_fail_the_check_until_it_is_flushed() {
    let lab = harness::lab();
    let nscd = Nscd::start(&lab);
    for fault in [Fault::NameNotFound, Fault::PrivateDnsOff] {
        lab.set([fault]);
        nscd.flush();
        lookups::ask(&lab, CLOUDWATCH, &[]);
        lab.set([]);
        let told = lookups::ask(&lab, CLOUDWATCH, &[]);
        assert_eq!(lookups::truth(&told, truth::is_of_the_vpc), Truth::AllWrong, "nscd remembers: {told:?}");
        let report = Report::read(&lab.run(&Agent::default().once("json")).stdout).unwrap();
        let causes = report.causes();
        let explained = [DNS, CONNECT, CALL].map(str::to_owned).to_vec();
        assert_eq!(causes, [("stale_host_cache".to_owned(), explained)], "{fault:?}");
        assert!(
            report.check(DNS)["outcome"] == "fail" && report.remedies().contains("nscd --invalidate=hosts")
        );
        nscd.flush();
        let report = Report::read(&lab.run(&Agent::default().once("json")).stdout).unwrap();
        assert!(report.says_pass(DNS) && report.causes().is_empty(), "{:?}", report.checks());
    }
}
