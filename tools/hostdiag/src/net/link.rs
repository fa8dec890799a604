//! Links from rtnetlink, `RTM_GETLINK`.

use std::io;

use hostdiag_model::Link;
use hostdiag_model::offload::Problem;
use netlink_packet_core::{DecodeError, NlasIterator, Parseable, parse_string};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    InfoBond, InfoData, InfoVlan, InfoVxlan, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo, LinkMessage,
    LinkXdp, Prop, XdpAttached,
};

use super::socket::Socket;

/// What one reply of the dump is.
pub enum Found {
    /// A link and its name.
    Link(String, Box<Link>),
    /// A reply that could not be read.
    Problem(Problem),
}

/// Every link of the socket's namespace, in the order of their indices.
pub fn dump(socket: &mut Socket) -> io::Result<Vec<Found>> {
    let mut request = LinkMessage::default();
    // 64 counters a device that nobody here reads.
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    socket.dump(RouteNetlinkMessage::GetLink(request), |(_, payload)| Some(found(payload)))
}

fn found(payload: &[u8]) -> Found {
    match decode(payload) {
        Ok((name, link)) => Found::Link(name, Box::new(link)),
        Err(error) => Found::Problem(Problem {
            subject: name_of(payload).unwrap_or_else(|| "a link".into()),
            message: format!("its RTM_NEWLINK message cannot be read: {error}"),
        }),
    }
}

/// The name alone, out of a message the library cannot read as a whole.
fn name_of(payload: &[u8]) -> Option<String> {
    const IFINFOMSG: usize = 16;
    const IFLA_IFNAME: u16 = 3;
    let name =
        NlasIterator::new(payload.get(IFINFOMSG..)?).flatten().find(|nla| nla.kind() == IFLA_IFNAME)?;
    parse_string(name.value()).ok()
}

/// One `RTM_NEWLINK` message, without its netlink header.
pub fn decode(payload: &[u8]) -> Result<(String, Link), DecodeError> {
    let message = LinkMessage::parse(payload)?;
    let flags = message.header.flags;
    let mut link = Link {
        ifindex: message.header.index,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    let mut name = None;
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text),
            LinkAttribute::Mtu(bytes) => link.mtu = bytes,
            LinkAttribute::Address(bytes) => link.mac = mac(&bytes),
            LinkAttribute::Controller(index) => link.master = Some(index),
            LinkAttribute::Link(index) => link.lower = (index != 0).then_some(index),
            LinkAttribute::LinkNetNsId(id) => link.lower_netnsid = Some(id),
            LinkAttribute::GsoMaxSize(bytes) => link.gso_max_size = Some(bytes),
            LinkAttribute::GsoMaxSegs(count) => link.gso_max_segs = Some(count),
            LinkAttribute::ParentDevName(text) => link.bus = Some(text),
            LinkAttribute::PropList(all) => link.altnames.extend(all.into_iter().filter_map(altname)),
            LinkAttribute::Xdp(all) => link.xdp = all.iter().any(attached),
            LinkAttribute::LinkInfo(all) => all.into_iter().for_each(|info| add_info(&mut link, info)),
            _ => {}
        }
    }
    Ok((name.ok_or("a link without a name")?, link))
}

fn add_info(link: &mut Link, info: LinkInfo) {
    match info {
        LinkInfo::Kind(kind) => link.kind = Some(kind.to_string()),
        LinkInfo::PortKind(kind) => link.port_kind = Some(kind.to_string()),
        LinkInfo::Data(InfoData::Vlan(all)) => {
            for vlan in all {
                match vlan {
                    InfoVlan::Id(id) => link.vlan_id = Some(id),
                    InfoVlan::Protocol(protocol) => link.vlan_protocol = Some(protocol.to_string()),
                    _ => {}
                }
            }
        }
        // `IFLA_LINK` of vxlan is of 6.8.
        LinkInfo::Data(InfoData::Vxlan(all)) => {
            for vxlan in all {
                if let InfoVxlan::Link(index) = vxlan {
                    link.lower = link.lower.or((index != 0).then_some(index));
                }
            }
        }
        LinkInfo::Data(InfoData::Bond(all)) => {
            for bond in all {
                if let InfoBond::Mode(mode) = bond {
                    link.mode = Some(mode.to_string());
                }
            }
        }
        _ => {}
    }
}

fn altname(property: Prop) -> Option<String> {
    match property {
        Prop::AltIfName(name) => Some(name),
        _ => None,
    }
}

fn attached(xdp: &LinkXdp) -> bool {
    matches!(xdp, LinkXdp::Attached(how) if *how != XdpAttached::None)
}

/// A hardware address as text; none for one of zeros alone.
pub fn mac(bytes: &[u8]) -> Option<String> {
    let known = !bytes.is_empty() && bytes.iter().any(|byte| *byte != 0);
    known.then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":"))
}
