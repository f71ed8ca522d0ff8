//! Questions to the kernel over netlink(7), whatever they are about. Asking sends nothing to the network.

use std::os::fd::{AsRawFd, OwnedFd};

use netlink_packet_core::{
    NLM_F_REQUEST, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
};
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// As much as the kernel puts into one answer. A list may come in many of them.
const BUFFER: usize = 8 * 1024;

/// So many are read.
pub const MOST_BUFFERS: usize = 256;

pub fn open(protocol: SockProtocol) -> nix::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)
}

/// The answer waits in the socket before this returns.
pub fn ask<M>(kernel: &OwnedFd, question: M, flags: u16) -> nix::Result<()>
where
    M: NetlinkSerializable + Into<NetlinkPayload<M>>,
{
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    let mut message = NetlinkMessage::new(header, question.into());
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    sendto(kernel.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty()).map(drop)
}

/// The messages of one buffer.
pub fn answers<M: NetlinkDeserializable>(kernel: &OwnedFd) -> nix::Result<Vec<NetlinkPayload<M>>> {
    let mut buffer = vec![0; BUFFER];
    let length = recv(kernel.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT)?;
    let mut rest = &buffer[..length];
    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let message = NetlinkMessage::<M>::deserialize(rest).map_err(|_| Errno::EPROTO)?;
        let taken = usize::try_from(message.header.length).unwrap_or(rest.len()).next_multiple_of(4);
        payloads.push(message.payload);
        rest = rest.get(taken.max(1)..).unwrap_or_default();
    }
    Ok(payloads)
}
