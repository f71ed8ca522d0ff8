//! What the answer of a gateway endpoint shows, beside the same service in another region.

use super::summary::Length;
use super::text::list;
use crate::check::Family;
use crate::observation::{Connection, ControlResult, GatewayControl, Observation, Outcome};

/// What an outcome claims of the way, or which control answered.
pub fn clause(observation: &Observation, control: &GatewayControl, length: Length) -> Option<String> {
    let host = control.host.as_deref().unwrap_or_default();
    let of = |result| control.judged.iter().any(|judged| judged.result == result);
    if of(ControlResult::Reply) {
        return Some(format!("{host} answers too"));
    }
    if observation.outcome != Outcome::Pass {
        return None;
    }
    let passed = observation.addresses.iter().filter(|address| address.outcome == Outcome::Pass);
    let is_known = |family| control.result(family) == ControlResult::NoReply;
    let all_known = passed.map(|address| Family::of(address.ip)).all(is_known);
    Some(match (all_known, length) {
        (true, Length::Brief) => "consistent with a gateway".to_owned(),
        (true, Length::Full) => format!("consistent with a gateway, since {host} does not answer"),
        (false, _) => "consistent with a gateway; other ways to AWS not excluded".to_owned(),
    })
}

/// The control's evidence.
pub fn lines(control: &GatewayControl) -> Vec<String> {
    let host = control.host.as_deref().unwrap_or("no other region is known");
    if let Some(error) = &control.error {
        return vec![format!("control {host}: not asked, {error}")];
    }
    if control.connections.is_empty() {
        return vec![format!("control {host}: not asked")];
    }
    let result = |family| match control.result(family) {
        ControlResult::NoReply => "no answer",
        ControlResult::Reply => "answered",
        ControlResult::NotSent => "not sent",
    };
    let of_family = |family: &Family| {
        let of = |connection: &&Connection| Family::of(connection.ip) == *family;
        let ips: Vec<String> = control.connections.iter().filter(of).map(|c| c.ip.to_string()).collect();
        (!ips.is_empty()).then(|| format!("control {host} ({}): {}", list(ips), result(*family)))
    };
    Family::BOTH.iter().filter_map(of_family).collect()
}
