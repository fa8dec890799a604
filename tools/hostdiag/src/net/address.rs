//! Addresses from rtnetlink, `RTM_GETADDR`.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{DecodeError, Parseable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};

use super::socket::Socket;

/// Addresses of the socket's namespace: interface index, address with prefix
/// length. IPv4 first; no link-local ones, which every device has.
pub fn dump(socket: &mut Socket) -> io::Result<Vec<(u32, String)>> {
    let request = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    let mut all = socket.dump(request, |(_, payload)| decode(payload).ok().flatten())?;
    all.sort_by_key(|(index, address, _)| (*index, address.is_ipv6()));
    Ok(all.into_iter().map(|(index, address, prefix)| (index, format!("{address}/{prefix}"))).collect())
}

/// One `RTM_NEWADDR` message, without its netlink header; `None` for what is
/// not shown.
pub fn decode(payload: &[u8]) -> Result<Option<(u32, IpAddr, u8)>, DecodeError> {
    let message = AddressMessage::parse(payload)?;
    if message.header.scope == AddressScope::Link {
        return Ok(None);
    }
    // On a point-to-point link IFA_LOCAL is ours and IFA_ADDRESS the peer's.
    let mut address = None;
    for attribute in message.attributes {
        match attribute {
            AddressAttribute::Local(local) => address = Some(local),
            AddressAttribute::Address(other) => address = address.or(Some(other)),
            _ => {}
        }
    }
    Ok(address.map(|address| (message.header.index, address, message.header.prefix_len)))
}
