//! What happened to a device, or to one below it, before something was lost. Pure.

use std::collections::BTreeSet;

use hostdiag_model::stack::{Position, Stack};
use hostdiag_model::{Link, Namespace};

/// A device as it was when it was last looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Before {
    name: String,
    link: Link,
}

/// The devices of a namespace, to be compared with the next look at it.
pub(super) fn remember(namespace: &Namespace) -> Vec<Before> {
    let devices = namespace.devices.iter();
    devices
        .filter_map(|device| Some(Before { name: device.name.clone(), link: device.link.clone()? }))
        .collect()
}

/// What happened to a device since `before`, or to the nearest one below it;
/// `age_ms` is how old the device is. `None`: nothing that can be seen but its
/// features.
pub(super) fn of(before: &[Before], stack: &Stack<'_>, at: Position, age_ms: u64) -> Option<String> {
    let now = stack.namespace;
    let of = |at: Position| stack.link(at).and_then(|link| happened(before, now, stack.name(at), link));
    let itself = stack.link(at)?;
    if find(before, itself.ifindex).is_none() {
        return Some(format!("created {} s ago", age_ms.div_ceil(1000)));
    }
    std::iter::once(at).chain(stack.below(at)).find_map(of)
}

fn find(before: &[Before], ifindex: u32) -> Option<&Before> {
    before.iter().find(|before| before.link.ifindex == ifindex)
}

fn happened(before: &[Before], now: &Namespace, name: &str, link: &Link) -> Option<String> {
    let Some(then) = find(before, link.ifindex) else { return Some(format!("{name} was created")) };
    if let Some(what) = ports(before, now, name, link) {
        return Some(what);
    }
    let then = &then.link;
    if then.lower != link.lower {
        return Some(format!("{name} lies on another device"));
    }
    if then.mtu != link.mtu {
        return Some(format!("MTU of {name} {} -> {}", then.mtu, link.mtu));
    }
    match (then.xdp, link.xdp) {
        (false, true) => return Some(format!("an XDP program was attached to {name}")),
        (true, false) => return Some(format!("an XDP program was taken from {name}")),
        _ => {}
    }
    match (then.up, link.up) {
        (false, true) => Some(format!("{name} went up")),
        (true, false) => Some(format!("{name} went down")),
        _ => None,
    }
}

/// Ports of a bond, team or bridge that came and went.
fn ports(before: &[Before], now: &Namespace, name: &str, link: &Link) -> Option<String> {
    let of = |other: &Link| other.master == Some(link.ifindex);
    let then: BTreeSet<u32> =
        before.iter().filter(|before| of(&before.link)).map(|before| before.link.ifindex).collect();
    let links = now.devices.iter().filter_map(|device| Some((device.name.as_str(), device.link.as_ref()?)));
    let ports: Vec<(&str, u32)> =
        links.filter(|(_, link)| of(link)).map(|(name, link)| (name, link.ifindex)).collect();
    if let Some((port, _)) = ports.iter().find(|(_, index)| !then.contains(index)) {
        return Some(format!("{port} became a port of {name}"));
    }
    let gone = then.into_iter().find(|index| !ports.iter().any(|(_, port)| port == index))?;
    let port = find(before, gone).map_or("a device", |before| before.name.as_str());
    Some(format!("{port} is no port of {name} any more"))
}

#[cfg(test)]
mod tests {
    use hostdiag_model::Device;

    use super::*;

    fn device(name: &str, link: Link) -> Device {
        Device { name: name.into(), link: Some(link), features: None, vlan_features: None }
    }

    fn link(ifindex: u32) -> Link {
        Link { ifindex, mtu: 1500, up: true, ..Link::default() }
    }

    /// vlan10 on bond0 of eth0; what is told after `change`.
    fn told(change: impl Fn(&mut Vec<Device>)) -> Option<String> {
        let bond = Link { kind: Some("bond".into()), ..link(3) };
        let vlan = Link { kind: Some("vlan".into()), lower: Some(3), ..link(4) };
        let card = Link { master: Some(3), ..link(2) };
        let mut now =
            Namespace::of_text(vec![device("eth0", card), device("bond0", bond), device("vlan10", vlan)]);
        let before = remember(&now);
        change(&mut now.devices);
        let at = now.devices.iter().position(|device| device.name == "vlan10").unwrap();
        of(&before, &Stack::new(&now), at, 1400)
    }

    fn change(name: &str, change: fn(&mut Link)) -> Option<String> {
        told(|devices| {
            let device = devices.iter_mut().find(|device| device.name == name).unwrap();
            change(device.link.as_mut().unwrap());
        })
    }

    #[test]
    fn the_nearest_change_is_told() {
        let text = Some;
        assert_eq!(told(|_| {}), None);
        assert_eq!(change("vlan10", |link| link.ifindex = 9).as_deref(), text("created 2 s ago"));
        assert_eq!(change("bond0", |link| link.mtu = 9000).as_deref(), text("MTU of bond0 1500 -> 9000"));
        let xdp = change("bond0", |link| link.xdp = true);
        assert_eq!(xdp.as_deref(), text("an XDP program was attached to bond0"));
        let left = change("eth0", |link| link.master = None);
        assert_eq!(left.as_deref(), text("eth0 is no port of bond0 any more"));
        assert_eq!(change("eth0", |link| link.up = false).as_deref(), text("eth0 went down"));
        let joined = told(|devices| devices.push(device("eth1", Link { master: Some(3), ..link(7) })));
        assert_eq!(joined.as_deref(), text("eth1 became a port of bond0"));
    }
}
