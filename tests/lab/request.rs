//! What the stand-in saw: an account of the requests that is independent of what
//! the agent says that it did.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::SystemTime;

use super::policy::Source;
use super::protocol::Protocol;
use super::sigv4::Signature;

/// Where a connection arrived.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Door {
    EndpointA,
    EndpointB,
    Public,
}

/// One request to the CloudWatch stand-in.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    pub at: SystemTime,
    pub door: Door,
    pub local: SocketAddr,
    /// The client's end: another one for each connection.
    pub peer: SocketAddr,
    /// Counts the connections of the lab from 1.
    pub connection: u64,
    pub method: String,
    pub path: String,
    pub host: String,
    pub user_agent: String,
    /// None for a stray request, such as `GET /`.
    pub protocol: Option<Protocol>,
    pub operation: Option<String>,
    pub signature: Signature,
    /// What AWS knows of its way; None over the internet.
    pub source: Option<Source>,
    /// None where a fault kept the answer back.
    pub status: Option<u16>,
}

/// Bounded, since an agent may run for a long time against one lab.
const CAPACITY: usize = 100_000;

#[derive(Default)]
pub struct Log(Mutex<Vec<Request>>);

impl Log {
    pub fn add(&self, request: Request) {
        let mut requests = self.lock();
        if requests.len() < CAPACITY {
            requests.push(request);
        }
    }

    pub fn all(&self) -> Vec<Request> {
        self.lock().clone()
    }

    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Request>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
