//! Cards and what poses as them: driver, firmware, what ethtool shows, their statistics.

use std::io;

use hostdiag_model::snapshot::Area;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use super::found::{Found, Key};
use super::rates::Counts;
use crate::net::ethtool::{self, GROUPS};
use crate::net::features;
use crate::net::ioctl::Ethtool;
use crate::net::link::{self, Found as Reply};
use crate::net::socket::Socket;

/// Adds them, of the namespace of the calling thread.
pub(super) fn gather(found: &mut Found<'_>) {
    let key = |name| Key { area: Area::Nic, of: None, name };
    match Ethtool::open().and_then(|ethtool| Ok((cards()?, ethtool))) {
        Ok((cards, ethtool)) => cards.iter().for_each(|card| driver(found, &ethtool, card)),
        Err(error) => found.unreadable(key("drivers"), &error),
    }
    let socket = Socket::open(NETLINK_GENERIC).and_then(|mut socket| {
        let family = socket.family(features::FAMILY)?;
        Ok((socket, family))
    });
    let (mut socket, family) = match socket {
        Ok(opened) => opened,
        Err(error) => return found.unreadable(key("ethtool netlink"), &error),
    };
    for (group, settings) in GROUPS.iter().zip(ethtool::dump(&mut socket, family)) {
        match settings {
            Ok(settings) => settings.iter().for_each(|one| {
                found.value(Key { area: Area::Nic, of: Some(&one.device), name: one.name }, &one.value);
            }),
            Err(error) => found.unreadable(key(group), &error),
        }
    }
}

fn driver(found: &mut Found<'_>, ethtool: &Ethtool, card: &str) {
    let key = |name| Key { area: Area::Nic, of: Some(card), name };
    match ethtool.driver(card) {
        Ok(driver) => {
            let fields =
                [("driver", driver.name), ("driver version", driver.version), ("firmware", driver.firmware)];
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty() && value != "N/A") {
                found.value(key(name), value);
            }
        }
        Err(error) => found.unreadable(key("driver"), &error),
    }
}

/// What drivers count.
pub(super) fn count(counts: &mut Counts) {
    let Ok(ethtool) = Ethtool::open() else { return };
    for card in cards().unwrap_or_default() {
        for (name, count) in ethtool.statistics(&card).unwrap_or_default() {
            counts.add((Area::Nic, Some(&card), &name), count);
        }
    }
}

/// Devices without a kind: hardware and what poses as it.
fn cards() -> io::Result<Vec<String>> {
    let replies = link::dump(&mut Socket::open(NETLINK_ROUTE)?)?;
    let card = |reply| match reply {
        Reply::Link(name, link) if link.kind.is_none() && !link.loopback => Some(name),
        _ => None,
    };
    Ok(replies.into_iter().filter_map(card).collect())
}
