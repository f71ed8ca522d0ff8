//! The daemon: engine, schedule and server side by side, until a signal or until one of them
//! dies.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::edges::Edges;
use super::{OBSERVATIONS, StartError, load, proxy_variables};
use crate::attempt::{Attempts, now};
use crate::cli::Args;
use crate::config::Config;
use crate::engine::{self, Published, State};
use crate::plan::Plan;
use crate::{notify, schedule};
