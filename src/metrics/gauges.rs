//! The series that one report tells completely.

use std::time::{SystemTime, UNIX_EPOCH};

use super::counters::exact;
use super::family::Family;
use crate::diagnosis::Cause;
use crate::network::Scope;
use crate::observation::{
    Address, ControlKind, EgressEvidence, Evidence, Observation, Outcome, QueryResult, Resolver, Status,
};
use crate::report::{CheckReport, Report};

/// Addresses of one check. An endpoint has one a zone; what has more is no endpoint, and must
/// not flood the server.
const MOST_ADDRESSES: usize = 16;

pub fn families(report: &Report, last_reload_succeeded: bool) -> Vec<Family> {
    let mut families = checks(report);
    families.extend(attempts(report));
    families.extend(evidence(report));
    families.extend(agent(report, last_reload_succeeded));
    families
}

fn checks(report: &Report) -> Vec<Family> {
    let gauge = |name, help| Family::gauge(name, help);
    let mut success = gauge(
        "linkproof_check_success",
        "1 if the last attempt of the check passed; 0 if it failed, could not look, was skipped, or has not been made.",
    );
    let mut state = gauge(
        "linkproof_check_state",
        "1 for the outcome of the last attempt, 0 for the other three; inconclusive until the first attempt has ended.",
    );
    let mut runs = Family::counter("linkproof_check_runs_total", "Runs that have ended.");
    let mut failures = Family::counter("linkproof_check_failures_total", "Runs that failed.");
    let mut inconclusive =
        Family::counter("linkproof_check_inconclusive_total", "Runs that ended inconclusive.");
    let mut last_run = gauge(
        "linkproof_check_last_run_timestamp_seconds",
        "When the last attempt started, as Unix time; 0 before the first.",
    );
    let mut last_success = gauge(
        "linkproof_check_last_success_timestamp_seconds",
        "When the last attempt that passed started, as Unix time; 0 while none has passed.",
    );
    let mut interval = gauge(
        "linkproof_check_interval_seconds",
        "The time from one attempt to the next, in seconds; never 0.",
    );
    for check in &report.checks {
        let id = check.id.to_string();
        let labels = [("check", id.as_str()), ("target", check.id.target())];
        success.set(&labels, flag(check.state() == Status::Pass));
        for of in Status::ALL {
            let labels = [labels[0], labels[1], ("state", of.code())];
            state.set(&labels, flag(check.state() == of));
        }
        runs.set(&labels, exact(check.runs));
        failures.set(&labels, exact(check.failures));
        inconclusive.set(&labels, exact(check.inconclusive));
        last_run.set(&labels, unix(check.last.as_ref().map(|last| last.started_at)));
        last_success.set(&labels, unix(check.last_success_at));
        interval.set(&labels, check.interval.as_secs_f64());
    }
    vec![success, state, runs, failures, inconclusive, last_run, last_success, interval]
}

fn attempts(report: &Report) -> Vec<Family> {
    let mut phases = Family::gauge(
        "linkproof_check_phase_seconds",
        "How long a phase of the last attempt took, in seconds; no series for a phase that was not reached.",
    );
    let mut success = Family::gauge(
        "linkproof_address_success",
        "1 if the address passed the last attempt of the check, 0 if it failed or could not be looked at; no series \
         where it was not tried, since an earlier check failed or the instance lacks its family.",
    );
    let mut address_phases = Family::gauge(
        "linkproof_address_phase_seconds",
        "How long a phase took at the address, in seconds; no series for a phase that was not reached.",
    );
    for (check, last) in last(report) {
        let id = check.id.to_string();
        let labels = [("check", id.as_str()), ("target", check.id.target())];
        for (phase, took) in &last.phases {
            phases.set(&[labels[0], labels[1], ("phase", phase.code())], took.as_secs_f64());
        }
        for address in shown(&last.addresses) {
            let ip = address.ip.to_string();
            let labels = [labels[0], labels[1], ("ip", ip.as_str())];
            success.set(&labels, flag(address.outcome == Outcome::Pass));
            for (phase, took) in &address.phases {
                let labels = [labels[0], labels[1], labels[2], ("phase", phase.code())];
                address_phases.set(&labels, took.as_secs_f64());
            }
        }
    }
    vec![phases, success, address_phases]
}

/// What was tried. Where there are too many, those that did not pass are the ones to see.
fn shown(addresses: &[Address]) -> Vec<&Address> {
    let tried = addresses.iter().filter(|address| address.outcome.state() != Status::Skipped);
    let mut addresses: Vec<&Address> = tried.collect();
    addresses.sort_by_key(|address| address.outcome == Outcome::Pass);
    addresses.truncate(MOST_ADDRESSES);
    addresses
}

fn last(report: &Report) -> impl Iterator<Item = (&CheckReport, &Observation)> {
    report.checks.iter().filter_map(|check| Some((check, check.last.as_ref()?)))
}

struct Seen {
    addresses: Family,
    ttl: Family,
    control: Family,
    socket: Family,
    status: Family,
    skew: Family,
    not_after: Family,
    expiry: Family,
}

fn evidence(report: &Report) -> Vec<Family> {
    let mut evidence = Seen::new();
    for (check, last) in last(report) {
        evidence.add(check, last);
    }
    let Seen { addresses, ttl, control, socket, status, skew, not_after, expiry } = evidence;
    vec![addresses, ttl, control, socket, status, skew, not_after, expiry]
}

impl Seen {
    fn new() -> Self {
        let gauge = |name, help| Family::gauge(name, help);
        Self {
            addresses: gauge(
                "linkproof_dns_addresses",
                "How many addresses the name resolved to, by where they lie; 0 where there are none of that kind.",
            ),
            ttl: gauge(
                "linkproof_dns_ttl_seconds",
                "The shortest TTL in the answers of the system's resolvers, in seconds; 0 where a cache is about to \
                 ask again.",
            ),
            control: gauge(
                "linkproof_egress_control_success",
                "1 if the controls of the last window held, so that silence means something; 0 if not.",
            ),
            socket: gauge(
                "linkproof_icmp_socket_info",
                "Always 1; the mode is the kind of ICMP socket that could be had: dgram, raw or none.",
            ),
            status: gauge(
                "linkproof_call_http_status",
                "The HTTP status that the address answered the last call with; 0 if it did not answer with HTTP.",
            ),
            skew: gauge(
                "linkproof_clock_skew_seconds",
                "How far the service's clock is ahead of ours, in seconds, negative when it is behind; 0 when both \
                 agree.",
            ),
            not_after: gauge(
                "linkproof_tls_not_after_timestamp_seconds",
                "When the certificate that the address showed expires, as Unix time; never 0.",
            ),
            expiry: gauge(
                "linkproof_credentials_expiry_timestamp_seconds",
                "When the credentials expire, as Unix time; no series where they do not.",
            ),
        }
    }

    fn add(&mut self, check: &CheckReport, last: &Observation) {
        let id = check.id.to_string();
        let (check, target) = (("check", id.as_str()), ("target", check.id.target()));
        match &last.evidence {
            Evidence::NotAttempted(_) | Evidence::Instance(_) => {}
            Evidence::Credentials(evidence) => {
                if evidence.expires_at.is_some() {
                    self.expiry.set(&[], unix(evidence.expires_at));
                }
            }
            Evidence::Dns(evidence) => {
                for scope in Scope::ALL {
                    let count = last.addresses.iter().filter(|address| address.scope == scope).count();
                    self.addresses.set(&[target, ("scope", scope.code())], exact(count as u64));
                }
                let system = evidence.queries.iter().filter(|answer| answer.resolver == Resolver::System);
                if let Some(ttl) = system.filter_map(|answer| ttl(&answer.result)).min() {
                    self.ttl.set(&[target], f64::from(ttl));
                }
            }
            Evidence::Connect { connections, .. } => {
                self.skew(check, target, connections.iter().map(|connection| connection.clock_skew));
                for connection in connections.iter().take(MOST_ADDRESSES) {
                    let expires = connection.certificate.as_ref().and_then(|leaf| leaf.not_after);
                    if expires.is_some() {
                        self.not_after.set(&[target, ("ip", &connection.ip.to_string())], unix(expires));
                    }
                }
            }
            Evidence::Call { calls, .. } => {
                self.skew(check, target, calls.iter().map(|call| call.clock_skew));
                for call in calls.iter().take(MOST_ADDRESSES) {
                    let status = f64::from(call.http_status.unwrap_or(0));
                    self.status.set(&[target, ("ip", &call.ip.to_string())], status);
                }
            }
            Evidence::Egress(evidence) => {
                self.socket.set(&[check, ("mode", evidence.icmp_socket.code())], 1.0);
                if !evidence.controls.is_empty() {
                    self.control.set(&[check, target], flag(controls_held(evidence)));
                }
            }
        }
    }

    /// Of several answers the one that is furthest off.
    fn skew(
        &mut self,
        check: (&'static str, &str),
        target: (&'static str, &str),
        skews: impl Iterator<Item = Option<i64>>,
    ) {
        if let Some(skew) = skews.flatten().max_by_key(|skew| skew.unsigned_abs()) {
            let magnitude = exact(skew.unsigned_abs());
            self.skew.set(&[check, target], if skew < 0 { -magnitude } else { magnitude });
        }
    }
}

fn ttl(result: &QueryResult) -> Option<u32> {
    match result {
        QueryResult::Addresses { addresses, ttl, .. } => ttl.filter(|_| !addresses.is_empty()),
        QueryResult::Nxdomain
        | QueryResult::Servfail
        | QueryResult::Refused
        | QueryResult::OtherCode { .. }
        | QueryResult::Truncated { .. }
        | QueryResult::Timeout
        | QueryResult::Unreachable { .. }
        | QueryResult::Invalid { .. } => None,
    }
}

/// Loopback was heard where it was asked, and something off the host answered.
fn controls_held(evidence: &EgressEvidence) -> bool {
    let mut loopback = true;
    let mut remote = false;
    for control in &evidence.controls {
        match control.control {
            ControlKind::Loopback => loopback &= control.passed,
            ControlKind::Endpoint | ControlKind::Resolver => remote |= control.passed,
        }
    }
    loopback && remote
}

fn agent(report: &Report, last_reload_succeeded: bool) -> Vec<Family> {
    let mut diagnosis = Family::gauge(
        "linkproof_diagnosis",
        "1 if the cause explains what is broken now, or is a warning; 0 if not.",
    );
    for cause in Cause::ALL {
        let present = report.diagnoses.iter().any(|diagnosis| diagnosis.cause == *cause);
        diagnosis.set(&[("cause", cause.code())], flag(present));
    }
    let mut build = Family::gauge("linkproof_build_info", "Always 1; the version of linkproof.");
    build.set(&[("version", report.version)], 1.0);
    let mut reload = Family::gauge(
        "linkproof_config_last_reload_successful",
        "1 if the last reload of the configuration succeeded, or there was none; 0 if the old one is still in use.",
    );
    reload.set(&[], flag(last_reload_succeeded));
    let mut instance = Family::gauge(
        "linkproof_instance_info",
        "Always 1; the instance, by its metadata. No series while metadata has not answered.",
    );
    if let Some(facts) = &report.instance {
        let labels = [
            ("instance_id", &facts.instance_id),
            ("region", &facts.region),
            ("subnet_id", &facts.subnet_id),
            ("vpc_id", &facts.vpc_id),
            ("zone", &facts.zone),
            ("zone_id", &facts.zone_id),
        ];
        instance.set(&labels.map(|(name, value)| (name, value.as_deref().unwrap_or_default())), 1.0);
    }
    vec![diagnosis, build, reload, instance]
}

fn flag(is: bool) -> f64 {
    f64::from(u8::from(is))
}

fn unix(time: Option<SystemTime>) -> f64 {
    time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0.0, |since| since.as_secs_f64())
}
