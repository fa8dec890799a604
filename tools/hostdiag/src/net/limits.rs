//! Sizes and queues of links that the audit of offloads does not need, `RTM_GETLINK`.

use std::io;

use netlink_packet_core::{DecodeError, Parseable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkExtentMask, LinkMessage};

use super::socket::Socket;

/// Limits of one link by name.
pub type Limits = Vec<(&'static str, u32)>;

/// Those of every link of the socket's namespace; a link that cannot be read is left out.
pub fn dump(socket: &mut Socket) -> io::Result<Vec<(String, Limits)>> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    socket.dump(RouteNetlinkMessage::GetLink(request), |(_, payload)| decode(payload).ok())
}

/// One `RTM_NEWLINK` message, without its netlink header.
pub fn decode(payload: &[u8]) -> Result<(String, Limits), DecodeError> {
    let (mut name, mut limits) = (None, Limits::new());
    for attribute in LinkMessage::parse(payload)?.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Mtu(bytes) => limits.push(("mtu", bytes)),
            LinkAttribute::TxQueueLen(packets) => limits.push(("txqueuelen", packets)),
            LinkAttribute::NumTxQueues(number) => limits.push(("tx queues", number)),
            LinkAttribute::NumRxQueues(number) => limits.push(("rx queues", number)),
            LinkAttribute::GsoMaxSize(bytes) => limits.push(("gso_max_size", bytes)),
            LinkAttribute::GsoMaxSegs(number) => limits.push(("gso_max_segs", number)),
            LinkAttribute::GsoIpv4MaxSize(bytes) => limits.push(("gso_ipv4_max_size", bytes)),
            LinkAttribute::GroMaxSize(bytes) => limits.push(("gro_max_size", bytes)),
            LinkAttribute::TsoMaxSize(bytes) => limits.push(("tso_max_size", bytes)),
            LinkAttribute::TsoMaxSegs(number) => limits.push(("tso_max_segs", number)),
            LinkAttribute::Promiscuity(users) => limits.push(("promiscuity", users)),
            _ => {}
        }
    }
    Ok((name.ok_or("a link without a name")?, limits))
}
