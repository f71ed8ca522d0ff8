//! What probes share: a socket that hears errors, the kernel's own times, whom TLS believes, what the
//! other side showed, how a library's error becomes a reason, and the AWS SDK's transport on a fresh
//! socket.

pub mod aws_error;
pub mod certificate;
pub mod connector;
pub mod datagram;
pub mod failure;
pub mod http;
pub mod icmp_error;
pub mod kernel_time;
pub mod netlink;
pub mod resources;
pub mod tcp_info;
pub mod trust;
