//! Reads what the audit needs from the kernel: one dump of links, one of
//! features, merged by interface index. Needs neither root nor BPF.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use anyhow::{Context, Result};
use hostdiag_model::offload::{Problem, Source};
use hostdiag_model::{Device, FeatureName, FeatureState, Features, Link, Namespace};
use netlink_packet_core::DecodeError;
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use crate::fail::{Code, Failure};
use crate::net::features::{self, FeaturesMessage};
use crate::net::ioctl::Ethtool;
use crate::net::link::{self, Found};
use crate::net::socket::Socket;
use crate::net::{address, netns, strings};

/// A namespace, and the kernel's names of its feature bits.
pub struct Gathered {
    /// The namespace.
    pub namespace: Namespace,
    /// Names by bit number; empty for an unused bit.
    pub strings: Vec<FeatureName>,
}

/// The devices of the namespace of the calling thread.
pub fn namespace(name: Option<String>) -> Result<Gathered> {
    let mut problems = Vec::new();
    let ethtool = Ethtool::open().ok();
    let mut devices = links(&mut problems)?;
    let (source, strings) = match by_netlink(&mut devices, &mut problems) {
        Ok(strings) => (Source::Netlink, strings),
        Err(error) => {
            let strings = by_ioctl(&mut devices, ethtool.as_ref(), &mut problems);
            (Source::Ioctl, strings.map_err(|ioctl| no_features(&error, &ioctl))?)
        }
    };
    if let Some(ethtool) = &ethtool {
        add_drivers(&mut devices, ethtool);
    }
    settle(&mut devices, ethtool.as_ref(), &mut problems);
    let namespace = Namespace { name, path: None, source, forwarding: forwarding(), devices, problems };
    Ok(Gathered { namespace, strings })
}

fn no_features(netlink: &io::Error, ioctl: &io::Error) -> anyhow::Error {
    let message = format!("features can be read neither by netlink ({netlink}) nor by ioctl ({ioctl})");
    let hint = "a seccomp filter or container policy may refuse both; run hostdiag outside of it";
    Failure::new(Code::NoFeatureApi, message).hint(hint).into()
}

/// Links by rtnetlink; where that is refused, the bare names of /proc/net/dev.
fn links(problems: &mut Vec<Problem>) -> Result<Vec<Device>> {
    match by_rtnetlink(problems) {
        Ok(devices) => Ok(devices),
        Err(error) => {
            let names = names_of_proc().map_err(|proc| no_links(&error, &proc))?;
            let message = format!("{error}: layers and addresses are not known, each device is judged alone");
            problems.push(Problem { subject: "rtnetlink".into(), message });
            Ok(names.into_iter().map(|name| device(name, None)).collect())
        }
    }
}

fn no_links(netlink: &io::Error, proc: &io::Error) -> anyhow::Error {
    let message =
        format!("interfaces can be listed neither by netlink ({netlink}) nor in /proc/net/dev ({proc})");
    let hint = "a seccomp filter or container policy may refuse both; run hostdiag outside of it";
    Failure::new(Code::NoNetlink, message).hint(hint).into()
}

fn by_rtnetlink(problems: &mut Vec<Problem>) -> io::Result<Vec<Device>> {
    let mut socket = Socket::open(NETLINK_ROUTE)?;
    let mut devices = Vec::new();
    for found in link::dump(&mut socket)? {
        match found {
            Found::Link(name, link) => devices.push(device(name, Some(*link))),
            Found::Problem(problem) => problems.push(problem),
        }
    }
    match address::dump(&mut socket) {
        Ok(addresses) => add_addresses(&mut devices, addresses),
        Err(error) => problems.push(Problem { subject: "addresses".into(), message: error.to_string() }),
    }
    devices.sort_by_key(|device| device.link.as_ref().map(|link| link.ifindex));
    name_namespaces(&mut socket, &mut devices);
    Ok(devices)
}

/// Names the namespaces that devices here lie on or are paired with. Without
/// root other users' namespaces stay unnamed.
fn name_namespaces(socket: &mut Socket, devices: &mut [Device]) {
    let links = || devices.iter().filter_map(|device| device.link.as_ref());
    if links().all(|link| link.lower_netnsid.is_none()) {
        return;
    }
    let names = netns::ids(socket);
    for link in devices.iter_mut().filter_map(|device| device.link.as_mut()) {
        link.lower_netns = link.lower_netnsid.and_then(|id| names.get(&id).cloned());
    }
}

fn device(name: String, link: Option<Link>) -> Device {
    Device { name, link, features: None, vlan_features: None }
}

fn add_addresses(devices: &mut [Device], addresses: Vec<(u32, String)>) {
    let mut by_index = by_index(devices);
    for (index, address) in addresses {
        if let Some(link) = by_index.get_mut(&index).and_then(|device| device.link.as_mut()) {
            link.addresses.push(address);
        }
    }
}

fn by_index(devices: &mut [Device]) -> HashMap<u32, &mut Device> {
    devices.iter_mut().filter_map(|device| Some((device.link.as_ref()?.ifindex, device))).collect()
}

/// Of the thread, whose namespace may be another than that of the process. The
/// lines below the two of the heading: `  eth0: 1234 …`.
fn names_of_proc() -> io::Result<Vec<String>> {
    let text = std::fs::read_to_string("/proc/thread-self/net/dev")?;
    Ok(text.lines().skip(2).filter_map(|line| Some(line.split_once(':')?.0.trim().to_owned())).collect())
}

fn by_netlink(devices: &mut [Device], problems: &mut Vec<Problem>) -> io::Result<Vec<FeatureName>> {
    let mut socket = Socket::open(NETLINK_GENERIC)?;
    let family = socket.family(features::FAMILY)?;
    let names: Vec<FeatureName> =
        strings::features(&mut socket, family)?.into_iter().map(Arc::from).collect();
    merge(devices, features::dump(&mut socket, family)?, &names, problems);
    Ok(names)
}

/// Puts the features to their devices: by index, because a name may change
/// between the two dumps; by name where links could not be read.
fn merge(
    devices: &mut [Device],
    messages: Vec<Result<FeaturesMessage, DecodeError>>,
    names: &[FeatureName],
    problems: &mut Vec<Problem>,
) {
    let links_known = devices.iter().any(|device| device.link.is_some());
    let mut by_index = by_index(devices);
    let mut by_name: HashMap<String, Features> = HashMap::new();
    for message in messages {
        let message = match message {
            Ok(message) => message,
            Err(error) => {
                let message = format!("a features reply cannot be read: {error}");
                problems.push(Problem { subject: "ethtool netlink".into(), message });
                continue;
            }
        };
        let (Some(index), Some(name)) = (message.header.index, message.header.name.clone()) else { continue };
        let Some(features) = named(&message, names) else { continue };
        match by_index.get_mut(&index) {
            Some(device) => {
                if device.name != name {
                    let message = format!("was renamed to {name} during the run");
                    problems.push(Problem { subject: std::mem::replace(&mut device.name, name), message });
                }
                device.features = Some(features);
            }
            // Its link could not be read, which was said.
            None if problems.iter().any(|problem| problem.subject == name) => {}
            None if links_known => {
                problems
                    .push(Problem { subject: name, message: "appeared during the run, not audited".into() });
            }
            None => drop(by_name.insert(name, features)),
        }
    }
    drop(by_index);
    for device in devices.iter_mut().filter(|device| device.link.is_none()) {
        device.features = by_name.remove(&device.name);
    }
}

/// Puts names to the bits. A bit without a name is unused; a name that this
/// program has never heard of is as good as any other.
fn named(message: &FeaturesMessage, names: &[FeatureName]) -> Option<Features> {
    let (hw, wanted) = (message.hw.as_ref()?, message.wanted.as_ref()?);
    let (active, nochange) = (message.active.as_ref()?, message.nochange.as_ref()?);
    let known = names.iter().enumerate().filter(|(_, name)| !name.is_empty());
    Some(
        known
            .map(|(bit, name)| {
                let changeable = hw.has(bit) && !nochange.has(bit);
                (name.clone(), FeatureState::from_bits(changeable, wanted.has(bit), active.has(bit)))
            })
            .collect(),
    )
}

fn by_ioctl(
    devices: &mut [Device],
    ethtool: Option<&Ethtool>,
    problems: &mut Vec<Problem>,
) -> io::Result<Vec<FeatureName>> {
    let ethtool = ethtool.ok_or_else(|| io::Error::from(io::ErrorKind::Unsupported))?;
    let mut names = Vec::new();
    let mut last = None;
    for device in devices.iter_mut() {
        if names.is_empty() {
            names = match ethtool.names(&device.name) {
                Ok(names) => names,
                Err(error) => {
                    last = Some(error);
                    continue;
                }
            };
        }
        match ethtool.features(&device.name, &names) {
            Ok(features) => device.features = Some(features),
            // Gone since the list was read: `settle` says so.
            Err(error) if error.raw_os_error() == Some(nix::libc::ENODEV) => {}
            Err(error) => problems.push(Problem { subject: device.name.clone(), message: error.to_string() }),
        }
    }
    match last {
        Some(error) if names.is_empty() => Err(error),
        _ => Ok(names),
    }
}

/// Drivers of what has no kind: hardware and what poses as it.
fn add_drivers(devices: &mut [Device], ethtool: &Ethtool) {
    for device in devices {
        let Some(link) = device.link.as_mut().filter(|link| link.kind.is_none() && !link.loopback) else {
            continue;
        };
        if let Ok(driver) = ethtool.driver(&device.name) {
            link.driver = (!driver.name.is_empty()).then_some(driver.name);
            link.bus = link.bus.take().or((!driver.bus.is_empty()).then_some(driver.bus));
        }
    }
}

/// A device whose features did not come was removed meanwhile, or has none.
fn settle(devices: &mut Vec<Device>, ethtool: Option<&Ethtool>, problems: &mut Vec<Problem>) {
    devices.retain(|device| {
        if device.features.is_some() {
            return true;
        }
        let gone = ethtool.is_some_and(|ethtool| {
            ethtool.driver(&device.name).is_err_and(|error| error.raw_os_error() == Some(nix::libc::ENODEV))
        });
        let message =
            if gone { "was removed during the run" } else { "the kernel has no feature information for it" };
        problems.push(Problem { subject: device.name.clone(), message: message.into() });
        !gone
    });
}

/// Whether this namespace forwards packets, which makes the kernel switch LRO
/// off (net/core/dev.c, `dev_disable_lro`).
fn forwarding() -> Option<bool> {
    let on = |path: &str| {
        let text = std::fs::read_to_string(format!("/proc/sys/net/{path}"));
        text.context("not there").ok().map(|text| text.trim() != "0")
    };
    let (v4, v6) = (on("ipv4/ip_forward"), on("ipv6/conf/all/forwarding"));
    if v4.is_none() && v6.is_none() { None } else { Some(v4 == Some(true) || v6 == Some(true)) }
}

#[cfg(test)]
mod tests {
    use hostdiag_model::FeatureState;

    use super::*;
    use crate::net::features::{Bitset, DeviceHeader};

    fn reply(index: u32, name: &str) -> Result<FeaturesMessage, DecodeError> {
        let set = || Some(Bitset { size: 1, value: vec![1], mask: None });
        let header = DeviceHeader { index: Some(index), name: Some(name.into()), flags: None };
        Ok(FeaturesMessage { header, hw: set(), wanted: set(), active: set(), nochange: set() })
    }

    #[test]
    fn what_changes_between_the_dumps_is_said_and_the_rest_answered() {
        let link = |ifindex| Some(Link { ifindex, ..Link::default() });
        let mut devices =
            [("a", 1), ("b", 2), ("c", 3)].map(|(name, index)| device(name.into(), link(index)));
        let replies =
            vec![reply(1, "a"), reply(2, "renamed"), reply(8, "odd"), reply(9, "new"), Err("broken".into())];
        let unread = "its RTM_NEWLINK message cannot be read";
        let mut problems = vec![Problem { subject: "odd".into(), message: unread.into() }];
        merge(&mut devices, replies, &[Arc::from("tx-scatter-gather")], &mut problems);
        let read: Vec<_> =
            devices.iter().map(|device| (device.name.as_str(), device.features.is_some())).collect();
        assert_eq!(read, [("a", true), ("renamed", true), ("c", false)]);
        let said: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.subject, p.message)).collect();
        assert_eq!(said[0], format!("odd: {unread}"));
        assert_eq!(said[1], "b: was renamed to renamed during the run");
        assert_eq!(said[2], "new: appeared during the run, not audited");
        assert!(said[3].contains("broken"), "{said:?}");
        assert_eq!(said.len(), 4);
    }

    #[test]
    fn bits_get_the_names_of_the_kernel() {
        let set = |word: u32| Some(Bitset { size: 4, value: vec![word], mask: None });
        let message = FeaturesMessage {
            hw: set(0b1001),
            wanted: set(0b1001),
            active: set(1),
            nochange: set(0),
            ..Default::default()
        };
        let names: Vec<FeatureName> =
            ["tx-scatter-gather", "", "rx-brand-new", "highdma"].map(Arc::from).into_iter().collect();
        let features = named(&message, &names).unwrap();
        assert_eq!(features.len(), 3);
        assert_eq!(features.get("tx-scatter-gather"), Some(FeatureState::On));
        assert_eq!(features.get("rx-brand-new"), Some(FeatureState::OffFixed));
        assert_eq!(features.get("highdma"), Some(FeatureState::OffRequestedOn));
    }
}
