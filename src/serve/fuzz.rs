//! The port, asked with any bytes, without a socket.

use std::net::{IpAddr, Ipv4Addr};

use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use super::*;
use crate::report::fixture;

const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Room for the answer to be written before it is read.
const ROOM: usize = 1 << 20;

thread_local! {
    static SHARED: Arc<Shared> = Arc::new(Shared::new(state(), LIMITS, Timeouts::DEFAULT));
}

fn state() -> AppState {
    AppState {
        access: Arc::new(Access::open(None, false).unwrap_or_else(|error| panic!("{error}"))),
        report: Box::new(|| Arc::new(fixture::named("leak"))),
        now: || fixture::at(4),
        metrics_type: |_| "text/plain",
        metrics: Box::new(|_, _| String::new()),
        healthy: Box::new(|| Ok(())),
        ready: watch::channel(true).1,
        check_now: Some(CheckNow::new(watch::channel(0).0)),
        notes: watch::channel(Vec::new()).1,
        runbook: "## clock_wrong\n\nText.",
        reload: None,
        host_name: "web-1.corp.example".to_owned(),
    }
}

/// The answer to a client that sends these bytes and no more.
pub async fn answer(bytes: &[u8]) -> Vec<u8> {
    let shared = SHARED.with(Arc::clone);
    let place = shared.places.enter(CLIENT.into());
    let (place, _cut) = place.unwrap_or_else(|| panic!("places are left over"));
    let (mut client, ours) = duplex(ROOM + bytes.len());
    let _ = client.write_all(bytes).await;
    let _ = client.shutdown().await;
    let rules = shared.state.access.rules().await;
    let session = Session::new(CLIENT.into(), place, shared);
    session.serve_http(ours, false, &rules).await;
    let mut answer = Vec::new();
    let _ = client.read_to_end(&mut answer).await;
    answer
}
