//! Of many endpoints, the checks that passed: counted by step, so that what did not pass is seen.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::check::{CheckId, Step};
use crate::observation::{Observation, Outcome};
use crate::report::{CheckReport, Report};
use crate::wording::passed_by_all;

/// So many a person still reads through.
const MOST_LISTED: usize = 10;

const STEPS: [Step; 3] = [Step::Dns, Step::Connect, Step::Call];

/// One line in place of many.
pub struct Line {
    step: Step,
    pub id: String,
    pub took: Duration,
    pub seen: String,
}

/// A line for each step that more endpoints passed than fit.
pub fn lines(report: &Report) -> Vec<Line> {
    STEPS.into_iter().filter_map(|step| line(report, step)).collect()
}

/// Whether one of the lines stands for this check.
pub fn has(lines: &[Line], check: &CheckReport) -> bool {
    step_passed(check).is_some_and(|(step, _)| lines.iter().any(|line| line.step == step))
}

fn line(report: &Report, step: Step) -> Option<Line> {
    let passed = report.checks.iter().filter_map(step_passed).filter(|(of, _)| *of == step);
    let passed: Vec<&Observation> = passed.map(|(_, last)| last).collect();
    if passed.len() <= MOST_LISTED {
        return None;
    }
    let addresses = || passed.iter().flat_map(|last| &last.addresses);
    let ips: BTreeSet<IpAddr> = addresses().map(|address| address.ip).collect();
    let zones: BTreeSet<&str> = addresses().filter_map(|address| address.zone.as_deref()).collect();
    Some(Line {
        step,
        id: format!("{} endpoints/{}", passed.len(), CheckId::Endpoint(String::new(), step).kind().code()),
        took: passed.iter().map(|last| last.took).max().unwrap_or_default(),
        seen: passed_by_all(step, ips.len(), zones.len()),
    })
}

/// What a line says holds of each: a gateway is public, and an address that was skipped did not pass.
fn step_passed(check: &CheckReport) -> Option<(Step, &Observation)> {
    let CheckId::Endpoint(_, step) = check.id else { return None };
    let last = check.last.as_ref().filter(|last| last.outcome == Outcome::Pass)?;
    let holds = last.addresses.iter().all(|a| a.outcome == Outcome::Pass && a.scope.is_inside());
    holds.then_some((step, last))
}
