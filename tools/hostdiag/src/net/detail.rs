//! What rtnetlink says of a link beyond what the audit needs: where it belongs
//! in hardware, and how it does as a port of a bond.

use std::io;

use netlink_packet_core::{DecodeError, Parseable};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondPortState, InfoBondPort, InfoPortData, LacpState, LinkAttribute, LinkExtentMask, LinkFlags, LinkInfo,
    LinkMessage, MiiStatus,
};

use super::link::mac;
use super::socket::Socket;

/// One link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Detail {
    /// Interface index.
    pub ifindex: u32,
    /// `IFLA_PERM_ADDRESS`, lower case with colons.
    pub permanent_address: Option<String>,
    /// It has an `IFLA_PHYS_SWITCH_ID`: it is a port of a switch in hardware.
    pub switch_port: bool,
    /// `IFLA_PHYS_PORT_NAME`: `p0`, `pf0vf1`, …
    pub port_name: Option<String>,
    /// Up and with carrier, `IFF_LOWER_UP`.
    pub carrier: bool,
    /// As a port of a bond.
    pub bond_port: Option<BondPort>,
}

/// `IFLA_INFO_SLAVE_DATA` of a port of a bond (drivers/net/bonding/bond_netlink.c,
/// `bond_fill_slave_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BondPort {
    /// The bond's own view of the link is "up": neither down nor waiting.
    pub up: bool,
    /// The bond does not use it.
    pub backup: bool,
    /// LACP port states of actor and partner (`LACP_STATE_*` of
    /// include/uapi/linux/if_bonding.h); absent for other modes than 802.3ad.
    pub lacp: Option<(u8, u8)>,
}

impl BondPort {
    /// Both ends are in sync, collecting and distributing.
    pub fn in_sync(&self) -> bool {
        let whole = LacpState::SYNCHRONIZATION | LacpState::COLLECTING | LacpState::DISTRIBUTING;
        self.lacp.is_some_and(|(actor, partner)| actor & partner & whole.bits() == whole.bits())
    }
}

/// Every link of the socket's namespace. One that cannot be read is left out:
/// `link::dump` tells of it.
pub fn dump(socket: &mut Socket) -> io::Result<Vec<Detail>> {
    let mut request = LinkMessage::default();
    request.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
    socket.dump(RouteNetlinkMessage::GetLink(request), |(_, payload)| decode(payload).ok())
}

/// One `RTM_NEWLINK` message, without its netlink header.
pub fn decode(payload: &[u8]) -> Result<Detail, DecodeError> {
    let message = LinkMessage::parse(payload)?;
    let mut detail = Detail {
        ifindex: message.header.index,
        carrier: message.header.flags.contains(LinkFlags::LowerUp),
        ..Detail::default()
    };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::PermAddress(bytes) => detail.permanent_address = mac(&bytes),
            LinkAttribute::PhysSwitchId(_) => detail.switch_port = true,
            LinkAttribute::PhysPortName(name) => detail.port_name = Some(name),
            LinkAttribute::LinkInfo(all) => detail.bond_port = all.iter().find_map(bond_port),
            _ => {}
        }
    }
    Ok(detail)
}

/// The data of a port of a bond, in `IFLA_LINKINFO`.
pub fn bond_port(info: &LinkInfo) -> Option<BondPort> {
    let LinkInfo::PortData(InfoPortData::BondPort(all)) = info else { return None };
    let mut port = BondPort::default();
    let (mut actor, mut partner) = (None, None);
    for attribute in all {
        match attribute {
            InfoBondPort::MiiStatus(status) => port.up = *status == MiiStatus::Up,
            InfoBondPort::BondPortState(state) => port.backup = *state != BondPortState::Active,
            InfoBondPort::AdActorOperPortState(state) => actor = Some(state.bits()),
            InfoBondPort::AdPartnerOperPortState(state) => partner = Some(state.bits()),
            _ => {}
        }
    }
    port.lacp = actor.zip(partner);
    Some(port)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};
    use proptest::prelude::*;

    use super::*;
    use crate::net::features::nest;

    /// A link with these attributes; numbers of include/uapi/linux/if_link.h.
    fn link(flags: u32, attributes: &[DefaultNla]) -> Vec<u8> {
        // struct ifinfomsg: family, pad, type, index, flags, change.
        let mut bytes = vec![0, 0, 1, 0];
        bytes.extend([7, flags, 0].iter().flat_map(|word| word.to_ne_bytes()));
        let start = bytes.len();
        bytes.resize(start + attributes.buffer_len(), 0);
        attributes.emit(&mut bytes[start..]);
        bytes
    }

    fn nla(kind: u16, value: &[u8]) -> DefaultNla {
        DefaultNla::new(kind, value.to_vec())
    }

    /// IFLA_LINKINFO of a port: its kind, then its data.
    fn port(kind: &str, data: &[DefaultNla]) -> DefaultNla {
        nest(18, &[nla(4, format!("{kind}\0").as_bytes()), nest(5, data)])
    }

    #[test]
    fn hardware_is_told() {
        let attributes = [nla(54, &[0, 0x0c, 0x29, 0xAB, 1, 2]), nla(36, &[1; 8]), nla(38, b"pf0vf1\0")];
        let detail = decode(&link(1 << 16, &attributes)).unwrap();
        let expected = Detail {
            ifindex: 7,
            permanent_address: Some("00:0c:29:ab:01:02".into()),
            switch_port: true,
            port_name: Some("pf0vf1".into()),
            carrier: true,
            bond_port: None,
        };
        assert_eq!(detail, expected);
        assert_eq!(decode(&link(1, &[])).unwrap(), Detail { ifindex: 7, ..Detail::default() });
    }

    #[test]
    fn the_state_of_a_bonds_port_is_told() {
        let state = |state: u8, mii: u8| [nla(1, &[state]), nla(2, &[mii])];
        let read = |kind: &str, data: &[DefaultNla]| decode(&link(1, &[port(kind, data)])).unwrap().bond_port;
        assert_eq!(read("bond", &state(0, 0)), Some(BondPort { up: true, backup: false, lacp: None }));
        assert_eq!(read("bond", &state(1, 0)), Some(BondPort { up: true, backup: true, lacp: None }));
        for mii in 1..=3 {
            assert!(!read("bond", &state(0, mii)).unwrap().up);
        }
        assert_eq!(read("bridge", &[]), None);
        assert_eq!(read("team", &state(0, 0)), None);
    }

    #[test]
    fn lacp_is_in_sync_where_both_ends_say_so() {
        let read = |actor: u8, partner: u16| {
            let data = [nla(1, &[0]), nla(2, &[0]), nla(7, &[actor]), nla(8, &partner.to_ne_bytes())];
            decode(&link(1, &[port("bond", &data)])).unwrap().bond_port.unwrap()
        };
        assert_eq!(read(0x3d, 0x3f).lacp, Some((0x3d, 0x3f)));
        assert!(read(0x3d, 0x3f).in_sync());
        // Alone: it believes in itself, and nobody answers.
        assert!(!read(0x4d | 0x30, 0x01).in_sync());
        for missing in [0x08, 0x10, 0x20] {
            assert!(!read(0x3d & !missing, 0x3f).in_sync());
            assert!(!read(0x3d, 0x3f & !u16::from(missing)).in_sync());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = decode(&bytes);
            // With a whole head, and as the data of a bond's port.
            let _ = decode(&link(1, &[nla(18, &bytes)]));
            let _ = decode(&link(1, &[nest(18, &[nla(4, b"bond\0"), nla(5, &bytes)])]));
        }
    }
}
