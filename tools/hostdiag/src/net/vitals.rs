//! Reads vitals: links, their error counters, bonds, TCP, gateways.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use netlink_packet_core::Parseable;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    BondAdInfo, InfoBond, InfoData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use nix::time::{ClockId, clock_gettime};

use super::detail;
use super::link::mac;
use super::socket::Socket;
use crate::offload::fix::vitals::{Device, Tcp, Vitals};

/// The clock of all vitals of this host, `CLOCK_MONOTONIC`.
///
/// # Errors
/// No such clock.
pub fn now() -> io::Result<Duration> {
    Ok(clock_gettime(ClockId::CLOCK_MONOTONIC)?.into())
}

/// Looks at the devices with these indices, in the namespace of the calling
/// thread. `at`: when, on the caller's clock.
///
/// # Errors
/// Links cannot be listed. What else cannot be read is absent.
pub fn read(devices: &[u32], at: Duration) -> io::Result<Vitals> {
    let mut socket = Socket::open(NETLINK_ROUTE)?;
    let mut devices: BTreeMap<u32, Device> =
        links(&mut socket)?.into_iter().filter(|(index, _)| devices.contains(index)).collect();
    for (index, device) in &mut devices {
        device.timeouts = transmit_timeouts(&device.name, *index);
    }
    let gateways = gateways(&mut socket, &devices).unwrap_or_default();
    Ok(Vitals { at, devices, tcp: tcp(), gateways })
}

/// What grows, of all devices: what a change is to be compared with, while it is not
/// known yet which devices are to be changed. Cheap: no files of devices, no routes.
///
/// # Errors
/// As [`read`].
pub fn growing() -> io::Result<Vitals> {
    let at = now()?;
    let devices = links(&mut Socket::open(NETLINK_ROUTE)?)?.into_iter().collect();
    Ok(Vitals { at, devices, tcp: tcp(), gateways: BTreeMap::new() })
}

fn links(socket: &mut Socket) -> io::Result<Vec<(u32, Device)>> {
    let request = RouteNetlinkMessage::GetLink(LinkMessage::default());
    socket.dump(request, |(_, payload)| decode(payload))
}

/// One `RTM_NEWLINK` message, without its netlink header.
fn decode(payload: &[u8]) -> Option<(u32, Device)> {
    let message = LinkMessage::parse(payload).ok()?;
    let carrier = message.header.flags.contains(LinkFlags::LowerUp);
    let mut device = Device { carrier, ..Device::default() };
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => device.name = name,
            LinkAttribute::CarrierChanges(count) => device.carrier_changes = Some(count),
            LinkAttribute::Stats64(stats) => {
                device.errors.extend([
                    ("transmit errors", stats.tx_errors),
                    ("receive errors", stats.rx_errors),
                    ("carrier errors", stats.tx_carrier_errors),
                ]);
            }
            LinkAttribute::LinkInfo(all) => all.iter().for_each(|info| add(&mut device, info)),
            _ => {}
        }
    }
    Some((message.header.index, device))
}

fn add(device: &mut Device, info: &LinkInfo) {
    if let Some(port) = detail::bond_port(info) {
        device.port_up = Some(port.up);
        device.lacp_in_sync = port.lacp.map(|_| port.in_sync());
    }
    let LinkInfo::Data(InfoData::Bond(all)) = info else { return };
    for attribute in all {
        match attribute {
            InfoBond::ActivePort(index) => device.active_port = Some(*index),
            InfoBond::AdInfo(all) => {
                let partner = all.iter().find_map(|info| match info {
                    BondAdInfo::PartnerMac(bytes) => mac(bytes),
                    _ => None,
                });
                device.partner = partner;
            }
            _ => {}
        }
    }
}

/// Transmit timeouts of all queues; absent where /sys shows another namespace.
fn transmit_timeouts(name: &str, index: u32) -> Option<u64> {
    let folder = Path::new("/sys/class/net").join(name);
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    if number(&folder.join("ifindex"))? != u64::from(index) {
        return None;
    }
    let queues = fs::read_dir(folder.join("queues")).ok()?;
    Some(queues.filter_map(|queue| number(&queue.ok()?.path().join("tx_timeout"))).sum())
}

/// TCP of the thread's namespace: /proc/net is the one of the process.
fn tcp() -> Option<Tcp> {
    parse_snmp(&fs::read_to_string("/proc/thread-self/net/snmp").ok()?)
}

/// Two lines `Tcp:`, names and values.
fn parse_snmp(text: &str) -> Option<Tcp> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Tcp: "));
    let names = lines.next()?.split_whitespace();
    let values: HashMap<&str, &str> = names.zip(lines.next()?.split_whitespace()).collect();
    let value = |name| values.get(name)?.parse().ok();
    Some(Tcp { sent: value("OutSegs")?, again: value("RetransSegs")? })
}

/// Gateways of routes over the devices, and whether they answer.
fn gateways(
    socket: &mut Socket,
    devices: &BTreeMap<u32, Device>,
) -> io::Result<BTreeMap<(String, u32), Option<bool>>> {
    let routes = RouteNetlinkMessage::GetRoute(RouteMessage::default());
    let found = socket.dump(routes, |(_, payload)| gateway(&RouteMessage::parse(payload).ok()?))?;
    let mut all: BTreeMap<(String, u32), Option<bool>> = found
        .into_iter()
        .filter(|(_, index)| devices.contains_key(index))
        .map(|(address, index)| ((address.to_string(), index), None))
        .collect();
    if all.is_empty() {
        return Ok(all);
    }
    let neighbours = RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default());
    let states =
        socket.dump(neighbours, |(_, payload)| neighbour(&NeighbourMessage::parse(payload).ok()?))?;
    for (address, index, answers) in states {
        if let Some(known) = all.get_mut(&(address.to_string(), index)) {
            *known = answers;
        }
    }
    Ok(all)
}

fn gateway(route: &RouteMessage) -> Option<(IpAddr, u32)> {
    let (mut address, mut device) = (None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Gateway(RouteAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            RouteAttribute::Gateway(RouteAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            RouteAttribute::Oif(index) => device = Some(*index),
            _ => {}
        }
    }
    address.zip(device)
}

fn neighbour(message: &NeighbourMessage) -> Option<(IpAddr, u32, Option<bool>)> {
    let answers = match message.header.state {
        NeighbourState::Reachable | NeighbourState::Stale | NeighbourState::Permanent => Some(true),
        NeighbourState::Failed => Some(false),
        // Being asked: nothing is known until the answer comes, or does not.
        _ => None,
    };
    let address = message.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => Some(IpAddr::V4(*ip)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => Some(IpAddr::V6(*ip)),
        _ => None,
    })?;
    Some((address, message.header.ifindex, answers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_found_by_name() {
        let text = "Ip: A B\nIp: 1 2\nTcp: RtoAlgorithm OutSegs RetransSegs InErrs\nTcp: 1 700 8 0\nUdp: A\n";
        assert_eq!(parse_snmp(text), Some(Tcp { sent: 700, again: 8 }));
        for broken in ["", "Tcp: OutSegs\n", "Tcp: OutSegs RetransSegs\nTcp: 1\n", "Tcp: OutSegs\nTcp: x\n"] {
            assert_eq!(parse_snmp(broken), None);
        }
    }
}
