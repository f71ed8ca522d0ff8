//! One state of the subnet: what is broken in it, how the agent is run, and what it must say.

use std::net::IpAddr;
use std::time::Duration;

use crate::agent::Agent;
use crate::lab::{CLOUDWATCH, Fault, Lab, Names, Output, Reached};
use crate::report::Report;
use crate::{harness, lookups, projection, truth};

pub const INSTANCE: &str = "instance";
pub const CREDENTIALS: &str = "credentials";
pub const DNS: &str = "monitoring/dns";
pub const CONNECT: &str = "monitoring/connect";
pub const CALL: &str = "monitoring/call";
pub const IPV4: &str = "egress/ipv4";
pub const IPV6: &str = "egress/ipv6";

/// What runs with no configuration.
const USUAL: [&str; 7] = [INSTANCE, CREDENTIALS, DNS, CONNECT, CALL, IPV4, IPV6];

/// What a busy machine may add to the time that a state takes.
const SLACK: f64 = 3.0;

/// The waiting window of the egress check in the tests: no run is shorter.
const WINDOW: f64 = 1.0;

/// The one that is shipped, for what only a long look finds, or a control that answers late.
const WHOLE_WINDOW: f64 = 3.0;
const NEEDS_TIME: [Fault; 3] = [Fault::NatOpenFirstSynLost, Fault::NatOpenSlow, Fault::DnsSlow];

/// A state with what is expected of it. Every check passes unless something else is said, no
/// diagnosis is made unless one is named, and the run takes no longer than its window.
#[derive(Clone, Debug)]
pub struct State {
    faults: Vec<Fault>,
    agent: Agent,
    checks: Vec<(String, String)>,
    addresses: Vec<(&'static str, &'static str, &'static str)>,
    causes: Vec<(&'static str, Vec<&'static str>)>,
    exit: Option<i32>,
    seconds: f64,
    as_configured: bool,
    varies: Vec<&'static str>,
    unread: bool,
    slow: Vec<(&'static str, &'static str, &'static str, f64)>,
    trusted: Vec<IpAddr>,
    names: Names,
    /// Whether applications are asked what they are told for CloudWatch's name.
    asks_applications: bool,
}

pub fn state(faults: impl IntoIterator<Item = Fault>) -> State {
    let faults: Vec<Fault> = faults.into_iter().collect();
    let needs_time = faults.iter().any(|fault| NEEDS_TIME.contains(fault));
    let agent = Agent::default();
    State {
        agent: if needs_time { agent.whole_window() } else { agent },
        faults,
        checks: all_pass(USUAL),
        addresses: Vec::new(),
        causes: Vec::new(),
        exit: None,
        seconds: if needs_time { WHOLE_WINDOW } else { WINDOW },
        as_configured: false,
        varies: Vec::new(),
        unread: false,
        slow: Vec::new(),
        trusted: Vec::new(),
        names: Names::default(),
        asks_applications: false,
    }
}

fn all_pass(checks: impl IntoIterator<Item = &'static str>) -> Vec<(String, String)> {
    checks.into_iter().map(|check| (check.to_owned(), "pass".to_owned())).collect()
}

impl State {
    pub fn faults(&self) -> &[Fault] {
        &self.faults
    }

    pub fn config(mut self, toml: &str) -> Self {
        self.agent = self.agent.config(toml);
        self
    }

    pub fn env(mut self, name: &'static str, value: &str) -> Self {
        self.agent = self.agent.env(name, value);
        self
    }

    pub fn unprivileged(mut self) -> Self {
        self.agent = self.agent.unprivileged();
        self
    }

    /// These checks instead of the usual ones. They come before any other expectation.
    pub fn checks(mut self, checks: impl IntoIterator<Item = &'static str>) -> Self {
        self.checks = all_pass(checks);
        self
    }

    /// `reason` may be several, `icmp_reply|tcp_connected`, where chance decides.
    pub fn fails(self, check: &'static str, reason: &str) -> Self {
        self.expect(check, format!("fail {reason}"))
    }

    pub fn inconclusive(self, check: &'static str, reason: &str) -> Self {
        self.expect(check, format!("inconclusive {reason}"))
    }

    pub fn skips(self, check: &'static str, reason: &str) -> Self {
        self.expect(check, format!("skipped {reason}"))
    }

    /// What waits for another check that did not pass.
    pub fn waits(self, checks: &[&'static str]) -> Self {
        checks.iter().fold(self, |state, check| state.skips(check, "prerequisite_failed"))
    }

    fn expect(mut self, check: &'static str, outcome: String) -> Self {
        let expected = self.checks.iter_mut().find(|(id, _)| id == check);
        let (_, expected) = expected.unwrap_or_else(|| panic!("{check} is no check of this state"));
        *expected = outcome;
        self
    }

    /// One address of a check: `pass`, `fail connect_timeout`.
    pub fn address(mut self, check: &'static str, ip: &'static str, outcome: &'static str) -> Self {
        self.addresses.push((check, ip, outcome));
        self
    }

    /// The next diagnosis, in the order of the report.
    pub fn because(mut self, cause: &'static str, explains: &[&'static str]) -> Self {
        self.causes.push((cause, explains.to_vec()));
        self
    }

    pub fn warns(self, cause: &'static str) -> Self {
        self.because(cause, &[])
    }

    /// Where it does not follow from the verdict.
    pub fn exits(mut self, code: i32) -> Self {
        self.exit = Some(code);
        self
    }

    /// How long it takes on an idle machine.
    pub fn takes(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    /// The configuration says that a fault is in order here.
    pub fn as_configured(mut self) -> Self {
        self.as_configured = true;
        self
    }

    /// An address outside the VPC to which the configuration lets a signature go.
    pub fn trusting(mut self, ip: &str) -> Self {
        self.trusted.push(ip.parse().expect("an address"));
        self
    }

    /// This phase of an address took at least so long, and the report says so.
    pub fn slow(mut self, check: &'static str, ip: &'static str, phase: &'static str, seconds: f64) -> Self {
        self.slow.push((check, ip, phase, seconds));
        self
    }

    /// How names are looked up, where no fault does it.
    pub fn names(mut self, names: Names) -> Self {
        self.names = names;
        self
    }

    /// Compares the outcome with what an independent program is told at that moment.
    pub fn as_applications_are_told(mut self) -> Self {
        self.asks_applications = true;
        self
    }

    /// Chance decides about its evidence, such as how many probes got a reply.
    pub fn unread(mut self) -> Self {
        self.unread = true;
        self
    }

    /// Chance decides about these checks: only what holds in every state is asked of them.
    pub fn varies(mut self, checks: &[&'static str]) -> Self {
        self.varies.extend(checks);
        self
    }

    /// Brings the state about, runs the agent in it, and lists every difference at once.
    pub fn judge(&self, module: &str, name: &str) {
        let module = module.rsplit("::").next().unwrap_or(module);
        let lab = harness::lab();
        lab.set(self.faults.iter().copied());
        lab.names(&self.names);
        let before = lab.reached_internet();
        let output = lab.run(&self.agent.once("json"));
        let wrong = match Report::read(&output.stdout) {
            Ok(report) if self.is_random() => [
                self.differences(&report, &output, &lab, before),
                self.told_otherwise(&report, &lab).into_iter().collect(),
            ]
            .concat(),
            Ok(report) => [
                self.differences(&report, &output, &lab, before),
                self.told_otherwise(&report, &lab).into_iter().collect(),
                projection::differences(module, name, &report),
            ]
            .concat(),
            Err(error) => vec![error],
        };
        assert!(wrong.is_empty(), "{}", self.complaint(name, &wrong, &output));
    }

    /// What must hold whatever is expected, and does not.
    pub fn violations(&self) -> Vec<String> {
        let lab = harness::lab();
        lab.set(self.faults.iter().copied());
        let before = lab.reached_internet();
        let output = lab.run(&self.agent.once("json"));
        let report = match Report::read(&output.stdout) {
            Ok(report) => report,
            Err(error) => return vec![format!("{error}, {}", output.stderr)],
        };
        let requests = lab.requests();
        let run = truth::Run {
            report: &report,
            exit: output.status.code(),
            requests: &requests,
            agents: 1,
            trusted: &self.trusted,
            reached: self.of_egress(let_out(lab.reached_internet(), before)),
        };
        [truth::violations(&run), self.leaked(&run), self.passed_over(&report)].concat()
    }

    /// A run that passes in spite of a fault which alone would break it.
    fn passed_over(&self, report: &Report) -> Vec<String> {
        let harmful = self.faults.iter().filter(|fault| !truth::touched(**fault).is_empty());
        let harmful: Vec<&str> = harmful.map(|fault| fault.name()).collect();
        let wrong = report.outcome() == "pass" && !self.as_configured && !harmful.is_empty();
        wrong.then(|| format!("the run passes in spite of {}", harmful.join(", "))).into_iter().collect()
    }

    /// What the egress check could have seen: it does not send to S3, which alone gets out then.
    fn of_egress(&self, mut reached: Reached) -> Reached {
        if self.faults.contains(&Fault::AwsOpen) {
            reached.ipv4.tcp = 0;
        }
        reached
    }

    fn is_random(&self) -> bool {
        self.unread || !self.varies.is_empty() || self.checks.iter().any(|(_, outcome)| outcome.contains('|'))
    }

    fn differences(&self, report: &Report, output: &Output, lab: &Lab, before: Reached) -> Vec<String> {
        let requests = lab.requests();
        let run = truth::Run {
            report,
            exit: output.status.code(),
            requests: &requests,
            agents: 1,
            trusted: &self.trusted,
            reached: self.of_egress(let_out(lab.reached_internet(), before)),
        };
        [
            truth::violations(&run),
            self.untouched(report),
            self.leaked(&run),
            self.wrong_checks(report),
            self.wrong_addresses(report),
            self.too_fast(report),
            self.wrong_causes(report),
            self.wrong_exit(output),
            self.too_slow(output.took),
        ]
        .concat()
    }

    /// Where applications are told something else than the report says.
    fn told_otherwise(&self, report: &Report, lab: &Lab) -> Option<String> {
        let checks = report.checks();
        let (_, outcome) = checks.iter().find(|(id, _)| id == DNS).filter(|_| self.asks_applications)?;
        let told = lookups::ask(lab, CLOUDWATCH, self.agent.environment());
        let lacks_ipv6 = self.faults.contains(&Fault::InstanceIpv6Absent);
        lookups::disagreement(outcome, &told, |ip| {
            truth::is_of_the_vpc(ip) || self.trusted.contains(&ip) || (lacks_ipv6 && ip.is_ipv6())
        })
    }

    /// What a fault touches does not say pass, and neither does the run.
    fn untouched(&self, report: &Report) -> Vec<String> {
        let mut wrong = Vec::new();
        for fault in self.faults.iter().filter(|_| !self.as_configured) {
            let touched = truth::touched(*fault);
            let passing = touched.iter().filter(|check| report.says_pass(check));
            wrong.extend(passing.map(|check| format!("{check} says pass in spite of {}", fault.name())));
            if !touched.is_empty() && report.outcome() == "pass" {
                wrong.push(format!("the run passes in spite of {}", fault.name()));
            }
        }
        wrong
    }

    /// That the lab itself is what it says.
    fn leaked(&self, run: &truth::Run<'_>) -> Vec<String> {
        let is_closed = !self.faults.iter().any(|fault| truth::opens(*fault));
        let leaked = is_closed && run.reached.total() > 0;
        leaked.then(|| format!("the lab is closed, and yet {:?} got out", run.reached)).into_iter().collect()
    }

    fn wrong_checks(&self, report: &Report) -> Vec<String> {
        let seen = report.checks();
        let ids = |checks: &[(String, String)]| checks.iter().map(|(id, _)| id.clone()).collect::<Vec<_>>();
        if ids(&seen) != ids(&self.checks) {
            return vec![format!("the checks are {:?}, expected {:?}", ids(&seen), ids(&self.checks))];
        }
        self.checks
            .iter()
            .zip(&seen)
            .filter(|((id, expected), (_, seen))| {
                !self.varies.contains(&id.as_str()) && !agrees(expected, seen)
            })
            .map(|((id, expected), (_, seen))| format!("{id} is {seen}, expected {expected}"))
            .collect()
    }

    fn wrong_addresses(&self, report: &Report) -> Vec<String> {
        self.addresses
            .iter()
            .map(|(check, ip, expected)| (check, ip, *expected, report.address(check, ip)))
            .filter(|(.., expected, seen)| seen.as_deref() != Some(expected))
            .map(|(check, ip, expected, seen)| format!("{ip} of {check} is {seen:?}, expected {expected}"))
            .collect()
    }

    fn too_fast(&self, report: &Report) -> Vec<String> {
        self.slow
            .iter()
            .map(|(check, ip, phase, least)| (check, ip, phase, least, report.phase(check, ip, phase)))
            .filter(|(.., least, took)| took.is_none_or(|took| took < **least))
            .map(|(check, ip, phase, least, took)| {
                format!("{phase} of {ip} in {check} took {took:?} s, expected {least} at least")
            })
            .collect()
    }

    fn wrong_causes(&self, report: &Report) -> Vec<String> {
        let seen = report.causes();
        let same = seen.len() == self.causes.len()
            && seen.iter().zip(&self.causes).all(|((cause, explains), (expected, expected_explains))| {
                expected.split('|').any(|expected| expected == cause) && explains == expected_explains
            });
        if same || !self.varies.is_empty() {
            return vec![];
        }
        vec![format!("the causes are {seen:?}, expected {:?}", self.causes)]
    }

    fn wrong_exit(&self, output: &Output) -> Vec<String> {
        let seen = output.status.code();
        match self.exit {
            Some(expected) if seen != Some(expected) => {
                vec![format!("the exit code is {seen:?}, expected {expected}")]
            }
            Some(_) | None => vec![],
        }
    }

    fn too_slow(&self, took: Duration) -> Vec<String> {
        let limit = Duration::from_secs_f64(self.seconds + SLACK);
        if took <= limit {
            return vec![];
        }
        vec![format!("it took {took:?}, expected {} s", self.seconds)]
    }

    fn complaint(&self, name: &str, wrong: &[String], output: &Output) -> String {
        let faults: Vec<&str> = self.faults.iter().map(|fault| fault.name()).collect();
        format!(
            "{name} {faults:?}:\n  {}\nthe report:\n{}\nstandard error:\n{}\n",
            wrong.join("\n  "),
            output.stdout,
            output.stderr
        )
    }
}

/// `fail icmp_reply|tcp_connected` is either.
fn agrees(expected: &str, seen: &str) -> bool {
    match (expected.split_once(' '), seen.split_once(' ')) {
        (Some((outcome, reasons)), Some((seen, reason))) => {
            outcome == seen && reasons.split('|').any(|expected| expected == reason)
        }
        _ => expected == seen,
    }
}

fn let_out(after: Reached, before: Reached) -> Reached {
    let less = |after: crate::lab::Packets, before: crate::lab::Packets| crate::lab::Packets {
        icmp: after.icmp - before.icmp,
        tcp: after.tcp - before.tcp,
        udp: after.udp - before.udp,
        other: after.other - before.other,
    };
    Reached { ipv4: less(after.ipv4, before.ipv4), ipv6: less(after.ipv6, before.ipv6) }
}
