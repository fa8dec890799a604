//! Network devices of any kind; settings of bonds and bridges are in the table.

use hostdiag_model::snapshot::Area;
use hostdiag_model::{Device, Link};
use netlink_sys::protocols::NETLINK_ROUTE;

use super::found::{Found, Key};
use crate::net::limits;
use crate::net::socket::Socket;

/// Adds limits of all links of the namespace of the calling thread.
pub(super) fn gather(found: &mut Found<'_>) {
    match Socket::open(NETLINK_ROUTE).and_then(|mut socket| limits::dump(&mut socket)) {
        Ok(links) => {
            for (device, limits) in &links {
                for (name, number) in limits {
                    found.value(Key { area: Area::Link, of: Some(device), name }, &number.to_string());
                }
            }
        }
        Err(error) => found.unreadable(Key { area: Area::Link, of: None, name: "links" }, &error),
    }
}

/// Adds what the audit read of the devices.
pub(super) fn add(found: &mut Found<'_>, devices: &[Device]) {
    for device in devices {
        let Some(link) = &device.link else { continue };
        let mut add = |name, value: &str| {
            found.value(Key { area: Area::Link, of: Some(&device.name), name }, value);
        };
        let flags = [("up", link.up), ("xdp", link.xdp)];
        flags.iter().for_each(|(name, on)| add(name, if *on { "yes" } else { "no" }));
        let texts = [("kind", &link.kind), ("mode", &link.mode), ("vlan protocol", &link.vlan_protocol)];
        for (name, text) in texts {
            text.iter().for_each(|text| add(name, text));
        }
        link.vlan_id.iter().for_each(|id| add("vlan id", &id.to_string()));
        for (name, index) in [("master", link.master), ("lower", link.lower)] {
            // In another namespace the index means another device.
            let here = name == "master" || link.lower_netnsid.is_none();
            let other = index.filter(|_| here).and_then(|index| named(devices, index));
            other.into_iter().for_each(|other| add(name, other));
        }
    }
}

fn named(devices: &[Device], index: u32) -> Option<&str> {
    let has = |link: &Link| link.ifindex == index;
    devices.iter().find(|device| device.link.as_ref().is_some_and(has)).map(|device| device.name.as_str())
}
