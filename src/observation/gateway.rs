//! The negative control of a gateway endpoint: the same service in another region, which no gateway
//! of this region leads to.

use serde::Serialize;

use super::Connection;
use crate::check::Family;

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct GatewayControl {
    /// Its name; none where no other region is known.
    pub host: Option<String>,
    /// Why nothing was sent to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    pub connections: Vec<Connection>,
    /// What the verdict made of it, for each family of the endpoint's addresses.
    pub judged: Vec<JudgedControl>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct JudgedControl {
    pub family: Family,
    pub result: ControlResult,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlResult {
    /// Silent or rejected: what answers at the endpoint's addresses came by the gateway, or by a way
    /// that leads to this region alone.
    NoReply,
    /// There is a way out to AWS beside the gateway.
    Reply,
    /// Nothing could be sent, so nothing is known.
    NotSent,
}

impl GatewayControl {
    pub fn result(&self, family: Family) -> ControlResult {
        let judged = self.judged.iter().find(|judged| judged.family == family);
        judged.map_or(ControlResult::NotSent, |judged| judged.result)
    }
}
