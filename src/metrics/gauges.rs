//! The series that one report tells completely.

use std::time::{SystemTime, UNIX_EPOCH};

use super::clock::Clocks;
use super::counters::exact;
use super::family::Family;
use crate::network::Scope;
use crate::observation::{Address, Evidence, Observation, Outcome, Phase, QueryResult, Resolver, Status};
use crate::report::{CheckReport, Report};

/// Addresses of one check. An endpoint has one a zone; what has more is no endpoint, and must
/// not flood the server.
const MOST_ADDRESSES: usize = 16;

pub fn families(report: &Report, last_reload_succeeded: bool) -> Vec<Family> {
    let mut families = checks(report);
    families.extend(runs(report));
    families.extend(evidence(report));
    families.extend(agent(report, last_reload_succeeded));
    families
}

fn checks(report: &Report) -> Vec<Family> {
    let gauge = |name, help| Family::gauge(name, help);
    let mut success = gauge("linkproof_check_success", "Whether the last run of the check passed.");
    let mut state = gauge(
        "linkproof_check_state",
        "Outcome of the last run of the check: 1 for its state, 0 for the others.",
    );
    let mut runs = Family::counter("linkproof_check_runs_total", "Runs that have ended.");
    let mut failures = Family::counter("linkproof_check_failures_total", "Runs that failed.");
    let mut inconclusive =
        Family::counter("linkproof_check_inconclusive_total", "Runs that ended inconclusive.");
    let mut last_run = gauge(
        "linkproof_check_last_run_timestamp_seconds",
        "Start of the last run of the check in Unix time.",
    );
    let mut last_success = gauge(
        "linkproof_check_last_success_timestamp_seconds",
        "Start of the last run of the check that passed, in Unix time.",
    );
    let mut interval = gauge("linkproof_check_interval_seconds", "Configured check interval in seconds.");
    let mut duration =
        gauge("linkproof_check_last_duration_seconds", "Duration of the last run of the check in seconds.");
    for check in &report.checks {
        let id = check.id.to_string();
        let labels = [("check", id.as_str()), ("target", check.id.target())];
        if let Some(last) = &check.last {
            duration.set(&labels, last.took.as_secs_f64());
        }
        if check.applies() {
            success.set(&labels, flag(check.state() == Status::Pass));
        }
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
    let mut overall = gauge("linkproof_success", "Whether the whole run passed, like exit code 0 of --once.");
    overall.set(&[], flag(report.state() == Status::Pass));
    vec![overall, success, state, duration, runs, failures, inconclusive, last_run, last_success, interval]
}

fn runs(report: &Report) -> Vec<Family> {
    let mut clocks = Clocks::default();
    let mut phases = Family::gauge(
        "linkproof_check_phase_seconds",
        "Duration of a phase of the last run in seconds; query and rtt by the kernel's clock where it knows.",
    );
    let mut success = Family::gauge(
        "linkproof_address_success",
        "Whether the address passed the last run of the check; absent where that is not known.",
    );
    let mut inconclusive = Family::gauge(
        "linkproof_address_inconclusive",
        "Addresses whose last run of the check was inconclusive.",
    );
    let mut address_phases = Family::gauge(
        "linkproof_address_phase_seconds",
        "Duration of a phase at the address in seconds; tcp by the kernel's clock where it knows.",
    );
    for (check, last) in last(report) {
        let id = check.id.to_string();
        let labels = [("check", id.as_str()), ("target", check.id.target())];
        for timed in &last.phases {
            let seconds = clocks.time(&last.evidence, None, *timed);
            phases.set(&[labels[0], labels[1], ("phase", timed.0.code())], seconds);
        }
        for address in shown(&last.addresses) {
            let ip = address.ip.to_string();
            let labels = [labels[0], labels[1], ("ip", ip.as_str())];
            match address.outcome {
                Outcome::Pass => success.set(&labels, 1.0),
                Outcome::Fail(_) => success.set(&labels, 0.0),
                Outcome::Inconclusive(_) | Outcome::Skipped(_) => inconclusive.set(&labels, 1.0),
            }
            // The time of a DNS query is the same for every address, and is the check's own phase.
            for timed in address.phases.iter().filter(|(phase, _)| *phase != Phase::Query) {
                let labels = [labels[0], labels[1], labels[2], ("phase", timed.0.code())];
                address_phases.set(&labels, clocks.time(&last.evidence, Some(address.ip), *timed));
            }
        }
    }
    vec![phases, success, inconclusive, address_phases, clocks.family()]
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
    report.checks.iter().filter_map(|check| Some((check, check.last.as_deref()?)))
}

struct EvidenceFamilies {
    addresses: Family,
    zones: Family,
    ttl: Family,
    control: Family,
    socket: Family,
    status: Family,
    skew: Family,
    not_after: Family,
    expiry: Family,
}

fn evidence(report: &Report) -> Vec<Family> {
    let mut evidence = EvidenceFamilies::new();
    for (check, last) in last(report) {
        evidence.add(check, last);
    }
    let EvidenceFamilies { addresses, zones, ttl, control, socket, status, skew, not_after, expiry } =
        evidence;
    vec![addresses, zones, ttl, control, socket, status, skew, not_after, expiry]
}

impl EvidenceFamilies {
    fn new() -> Self {
        let gauge = |name, help| Family::gauge(name, help);
        Self {
            addresses: gauge("linkproof_dns_addresses", "Addresses that the name resolved to, by scope."),
            zones: gauge(
                "linkproof_endpoint_address_info",
                "Availability zone of an address of the endpoint, by its own DNS names or the ranges in zones.",
            ),
            ttl: gauge(
                "linkproof_dns_ttl_seconds",
                "Shortest TTL in the responses of the system resolvers in seconds.",
            ),
            control: gauge(
                "linkproof_egress_control_success",
                "Whether the control probes of the last egress window succeeded.",
            ),
            socket: gauge("linkproof_icmp_socket_info", "Kind of ICMP socket in use: dgram, raw or none."),
            status: gauge(
                "linkproof_call_http_status",
                "HTTP status of the last call to the address; 0 without an HTTP response.",
            ),
            skew: gauge(
                "linkproof_clock_skew_seconds",
                "Offset of the service's clock from the local clock in seconds; positive when the service is ahead.",
            ),
            not_after: gauge(
                "linkproof_tls_not_after_timestamp_seconds",
                "Expiry of the certificate that the address presented, in Unix time.",
            ),
            expiry: gauge(
                "linkproof_credentials_expiry_timestamp_seconds",
                "Expiry of the credentials in Unix time.",
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
                let count_in = |scope| last.addresses.iter().filter(|address| address.scope == scope).count();
                for (scope, count) in Scope::ALL.map(|scope| (scope, count_in(scope))) {
                    // The VPC's own is always there, so that a name without an address shows as 0.
                    if count == 0 && scope != Scope::Vpc {
                        continue;
                    }
                    self.addresses.set(&[target, ("scope", scope.code())], exact(count as u64));
                }
                for address in shown(&last.addresses) {
                    if let Some(zone) = &address.zone {
                        self.zones
                            .set(&[target, ("ip", &address.ip.to_string()), ("address_zone", zone)], 1.0);
                    }
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
                if let Some(passed) = evidence.controls_passed {
                    self.control.set(&[check, target], flag(passed));
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
    let QueryResult::Addresses { addresses, ttl, .. } = result else { return None };
    ttl.filter(|_| !addresses.is_empty())
}

fn agent(report: &Report, last_reload_succeeded: bool) -> Vec<Family> {
    let mut diagnosis = Family::gauge(
        "linkproof_diagnosis",
        "Causes found now, with the check that each explains; check is empty for a warning.",
    );
    for found in &report.diagnoses {
        let cause = ("cause", found.cause.code());
        if found.explains.is_empty() {
            diagnosis.set(&[cause, ("check", ""), ("severity", "warning")], 1.0);
        }
        for check in &found.explains {
            diagnosis.set(&[cause, ("check", &check.to_string()), ("severity", "critical")], 1.0);
        }
    }
    let mut build = Family::gauge("linkproof_build_info", "Version of linkproof.");
    build.set(&[("version", report.version)], 1.0);
    let mut reload = Family::gauge(
        "linkproof_config_last_reload_successful",
        "Whether the last reload of the configuration and of the web configuration succeeded.",
    );
    reload.set(&[], flag(last_reload_succeeded));
    let mut instance = Family::gauge("linkproof_instance_info", "Instance as described by its metadata.");
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
