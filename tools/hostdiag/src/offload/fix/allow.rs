//! What may be touched: an allow list. Pure.
//!
//! A device is repaired only where it is a VLAN, bond or team all of whose
//! layers below are hardware, veth or these kinds. Everything else is left
//! alone, with the first reason that applies.

use hostdiag_model::plan::Apart;
use hostdiag_model::stack::{Position, Role, Stack};
use hostdiag_model::{Link, glob};

use super::facts::{Facts, More};

/// Names that container networks give to their devices: calico, cilium,
/// flannel, LXC and lxd, CNI bridges, docker.
const CONTAINERS: [&str; 6] = ["cali*", "cilium*", "flannel*", "lxc*", "cni*", "docker*"];

/// Why a device is not to be touched; `None` where it may be repaired.
pub fn apart(facts: &Facts, stack: &Stack<'_>, at: Position) -> Option<Apart> {
    let Some(link) = stack.link(at) else { return Some(Apart::BelowUnknown) };
    match stack.role(at) {
        Role::Physical => return Some(hardware(facts, stack, at).unwrap_or(Apart::Physical)),
        Role::Vlan | Role::Aggregate => {}
        _ => return Some(Apart::Kind { kind: kind(link) }),
    }
    if CONTAINERS.iter().any(|pattern| glob::matches(pattern, stack.name(at))) {
        return Some(Apart::Container);
    }
    if link.xdp {
        return Some(Apart::Xdp);
    }
    if more(facts, link).is_some_and(|more| more.af_xdp) {
        return Some(Apart::AfXdp);
    }
    port(stack, at, link).or_else(|| below(facts, stack, at))
}

/// Hardware that is part of a greater whole.
fn hardware(facts: &Facts, stack: &Stack<'_>, at: Position) -> Option<Apart> {
    let more = more(facts, stack.link(at)?)?;
    let device = || stack.name(at).to_owned();
    if more.representor {
        return Some(Apart::Representor { device: device() });
    }
    more.virtual_function.then(|| Apart::VirtualFunction { device: device() })
}

/// What the device is a port of.
fn port(stack: &Stack<'_>, at: Position, link: &Link) -> Option<Apart> {
    let openvswitch = |kind: &Option<String>| kind.as_deref() == Some("openvswitch");
    if openvswitch(&link.port_kind) {
        return Some(Apart::OpenVswitch);
    }
    let masters = || stack.uppers(at).iter().copied().filter(|up| Some(index(stack, *up)) == link.master);
    if masters().any(|master| stack.link(master).is_some_and(|link| openvswitch(&link.kind))) {
        return Some(Apart::OpenVswitch);
    }
    let bridges = masters().filter(|master| stack.role(*master) == Role::Bridge);
    let mut busy = bridges.filter(|bridge| stack.lowers(*bridge).iter().any(|port| guest(stack, *port)));
    busy.next().map(|bridge| Apart::CarriesGuests { bridge: stack.name(bridge).to_owned() })
}

fn index(stack: &Stack<'_>, at: Position) -> u32 {
    stack.link(at).map_or(0, |link| link.ifindex)
}

/// A bridge port with a guest or container behind it: taps of virtual machines,
/// veths whose other end is in another network namespace.
fn guest(stack: &Stack<'_>, port: Position) -> bool {
    let Some(link) = stack.link(port) else { return false };
    match link.kind.as_deref() {
        Some("tun" | "macvtap" | "ipvtap" | "vhost" | "netkit") => true,
        Some("veth") => link.lower_netnsid.is_some(),
        _ => false,
    }
}

/// The layers below: known, here, and of kinds that are understood.
fn below(facts: &Facts, stack: &Stack<'_>, at: Position) -> Option<Apart> {
    let all = stack.below(at);
    for device in std::iter::once(at).chain(all) {
        let Some(link) = stack.link(device) else { return Some(Apart::BelowUnknown) };
        let known = stack.device(device).features.is_some();
        let missing = stack.role(device) == Role::Vlan && stack.lowers(device).is_empty();
        if !known || missing || link.ifindex == 0 {
            return Some(Apart::BelowUnknown);
        }
        match stack.role(device) {
            Role::Physical => {
                if let Some(apart) = hardware(facts, stack, device) {
                    return Some(apart);
                }
            }
            Role::Vlan | Role::Aggregate | Role::Veth => {}
            _ => return Some(Apart::LiesOn { device: stack.name(device).to_owned(), kind: kind(link) }),
        }
    }
    None
}

fn kind(link: &Link) -> String {
    let loopback = || if link.loopback { "loopback" } else { "hardware" }.to_owned();
    link.kind.clone().unwrap_or_else(loopback)
}

fn more<'a>(facts: &'a Facts, link: &Link) -> Option<&'a More> {
    facts.more.get(&link.ifindex)
}
