//! Facts in, outcomes out: every decision about a single check, and the only place where a
//! pass is given. Pure: what it needs of the world is in the observation.

mod call;
mod connect;
mod dns;
mod egress;
mod gateway;
mod instance;
mod lateness;
mod own_names;
#[cfg(test)]
mod properties;

pub use call::{call, not_called, proof};
pub use connect::connect;
pub use dns::dns;
pub use egress::egress;
pub use gateway::{gateway, is_closed, judge_control, with_control};
pub use instance::{credentials, instance};
pub use lateness::with_lateness;
pub use own_names::{answers_expire_after, others as other_addresses};

use crate::observation::{Address, Outcome, Reason};

/// What came of a check: its outcome, and that of each address it looked at.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Judgment {
    pub outcome: Outcome,
    pub addresses: Vec<Address>,
}

impl Judgment {
    fn without_addresses(outcome: Outcome) -> Self {
        Self { outcome, addresses: Vec::new() }
    }
}

/// A check that this host lacks the sockets for.
pub fn without_resources() -> Judgment {
    Judgment::without_addresses(of_error(Reason::NoResources))
}

/// What an error makes of an attempt: this host's own trouble says nothing about the other side.
fn of_error(reason: Reason) -> Outcome {
    match reason {
        Reason::NoResources | Reason::MetadataFailing | Reason::InternalError => {
            Outcome::Inconclusive(reason)
        }
        reason => Outcome::Fail(reason),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::network::Network;
    use crate::observation::EndpointProtocol;
    use crate::plan::{Endpoint, Timing};

    pub(super) fn network() -> Network {
        let cidrs = ["10.0.0.0/16", "2001:db8:1234::/56"];
        Network {
            vpc: cidrs.map(|cidr| cidr.parse().unwrap()).to_vec(),
            expected: vec![],
            metadata_off: false,
            of_host: vec![],
        }
    }

    pub(super) fn endpoint() -> Endpoint {
        Endpoint {
            name: "monitoring".into(),
            host: Some("monitoring.us-east-1.amazonaws.com".into()),
            port: 443,
            own_names: vec![],
            zones: vec![],
            gateway: false,
            control_host: None,
            protocol: EndpointProtocol::Https,
            require_agreement: false,
            call: None,
            network: network(),
            ca_file: None,
            timing: Timing { interval: Duration::from_secs(30), timeout: Duration::from_secs(3) },
        }
    }
}
