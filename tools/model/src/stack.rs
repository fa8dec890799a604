//! How devices lie on one another. Pure; takes what a hostile file may say,
//! cycles and dangling indices included.

use std::collections::{HashMap, HashSet};

use crate::offload::{Device, Link, Namespace};

/// A stack is never followed deeper than this. The kernel's own limit for
/// nested devices is 8 (`MAX_NEST_DEV`, include/linux/netdevice.h).
pub const MAX_DEPTH: usize = 16;

/// As many devices below one are told; more ports has no bond or bridge
/// (`BR_MAX_PORTS` is 1024, net/bridge/br_private.h).
pub const MAX_BELOW: usize = 2048;

/// Position of a device in its namespace.
pub type Position = usize;

/// The devices of a namespace with their layers resolved.
pub struct Stack<'a> {
    /// The namespace.
    pub namespace: &'a Namespace,
    lowers: Vec<Vec<Position>>,
    uppers: Vec<Vec<Position>>,
}

/// What a device is, as far as offloads are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Hardware, or what poses as it (virtio): a link without kind.
    Physical,
    /// 802.1Q or 802.1ad on one device below.
    Vlan,
    /// Bond or team: the union of its ports.
    Aggregate,
    /// Bridge: the union of its ports, but features are switched off there on
    /// purpose often enough.
    Bridge,
    /// Another device on one below: macvlan, ipvlan, macsec, …
    Stacked,
    /// A pair of devices.
    Veth,
    /// Any other software device: tunnels, tun, dummy.
    Software,
    /// Only features are known.
    Unknown,
}

impl Role {
    /// The role of a device with this link.
    pub fn of(link: Option<&Link>) -> Self {
        let Some(link) = link else { return Self::Unknown };
        match link.kind.as_deref() {
            None => Self::Physical,
            Some("vlan") => Self::Vlan,
            Some("bond" | "team") => Self::Aggregate,
            Some("bridge") => Self::Bridge,
            Some("macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "macsec") => Self::Stacked,
            Some("veth") => Self::Veth,
            Some(_) => Self::Software,
        }
    }

    /// Kinds that lie on the device `IFLA_LINK` names.
    fn lies_on_one(self) -> bool {
        matches!(self, Self::Vlan | Self::Stacked)
    }

    /// Kinds whose features come from their ports.
    pub fn has_ports(self) -> bool {
        matches!(self, Self::Aggregate | Self::Bridge)
    }
}

impl<'a> Stack<'a> {
    /// Resolves the layers of a namespace.
    pub fn new(namespace: &'a Namespace) -> Self {
        let devices = &namespace.devices;
        let links =
            devices.iter().enumerate().filter_map(|(at, device)| Some((device.link.as_ref()?.ifindex, at)));
        let by_index: HashMap<u32, Position> = links.collect();
        let mut lowers = vec![Vec::new(); devices.len()];
        let mut uppers = vec![Vec::new(); devices.len()];
        for (at, device) in devices.iter().enumerate() {
            let Some(link) = &device.link else { continue };
            let below =
                link.lower.filter(|_| link.lower_netnsid.is_none() && Role::of(Some(link)).lies_on_one());
            if let Some(below) =
                below.and_then(|index| by_index.get(&index)).copied().filter(|below| *below != at)
            {
                lowers[at].push(below);
                uppers[below].push(at);
            }
            if let Some(master) =
                link.master.and_then(|index| by_index.get(&index)).copied().filter(|up| *up != at)
            {
                if Role::of(devices[master].link.as_ref()).has_ports() {
                    lowers[master].push(at);
                }
                uppers[at].push(master);
            }
        }
        Self { namespace, lowers, uppers }
    }

    /// The device at a position.
    pub fn device(&self, at: Position) -> &'a Device {
        &self.namespace.devices[at]
    }

    /// Its link.
    pub fn link(&self, at: Position) -> Option<&'a Link> {
        self.device(at).link.as_ref()
    }

    /// Its role.
    pub fn role(&self, at: Position) -> Role {
        Role::of(self.link(at))
    }

    /// Its name.
    pub fn name(&self, at: Position) -> &'a str {
        &self.device(at).name
    }

    /// The devices it lies on: one for a VLAN, the ports of a bond.
    pub fn lowers(&self, at: Position) -> &[Position] {
        &self.lowers[at]
    }

    /// The devices on it, its master among them.
    pub fn uppers(&self, at: Position) -> &[Position] {
        &self.uppers[at]
    }

    /// Whether a feature works on a device.
    pub fn active(&self, at: Position, feature: &str) -> bool {
        self.device(at).features.as_ref().is_some_and(|features| features.active(feature))
    }

    /// Every device below, nearest first, each once; at most [`MAX_BELOW`].
    pub fn below(&self, at: Position) -> Vec<Position> {
        let mut seen = HashSet::from([at]);
        let mut all: Vec<Position> = Vec::new();
        let mut layer = vec![at];
        for _ in 0..MAX_DEPTH {
            let next: Vec<Position> = layer.iter().flat_map(|at| self.lowers(*at)).copied().collect();
            layer = next.into_iter().filter(|below| seen.insert(*below)).collect();
            all.extend(&layer);
            if layer.is_empty() || all.len() > MAX_BELOW {
                break;
            }
        }
        all.truncate(MAX_BELOW);
        all
    }

    /// How many layers a device lies above the bottom.
    pub fn height(&self, at: Position) -> usize {
        let mut height = 0;
        let mut layer = vec![at];
        while height < MAX_DEPTH {
            layer = layer.iter().flat_map(|at| self.lowers(*at)).copied().collect();
            layer.sort_unstable();
            layer.dedup();
            if layer.is_empty() {
                break;
            }
            height += 1;
        }
        height
    }

    /// The devices grouped by which of them lie on one another, each group and
    /// the groups in the order of the devices.
    pub fn components(&self) -> Vec<Vec<Position>> {
        let mut seen = vec![false; self.namespace.devices.len()];
        let mut all = Vec::new();
        for start in 0..seen.len() {
            let mut component = Vec::new();
            let mut open = vec![start];
            while let Some(at) = open.pop() {
                if !std::mem::replace(&mut seen[at], true) {
                    component.push(at);
                    open.extend(self.lowers(at).iter().chain(self.uppers(at)));
                }
            }
            component.sort_unstable();
            all.extend((!component.is_empty()).then_some(component));
        }
        all
    }

    /// The other end of a veth, where it is in the same namespace.
    pub fn peer(&self, at: Position) -> Option<Position> {
        let link = self.link(at).filter(|link| link.lower_netnsid.is_none())?;
        let devices = self.namespace.devices.iter();
        devices
            .map(|device| device.link.as_ref().map(|link| link.ifindex))
            .position(|index| index == link.lower)
    }

    /// The position of a device by name or alternative name.
    pub fn find(&self, name: &str) -> Option<Position> {
        let devices = &self.namespace.devices;
        devices.iter().position(|device| device.name == name).or_else(|| {
            devices.iter().position(|device| {
                device.link.as_ref().is_some_and(|link| link.altnames.iter().any(|altname| altname == name))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::offload::Source;

    use super::*;

    #[test]
    fn cycles_end() {
        let device = |name: &str, ifindex, lower| Device {
            name: name.into(),
            link: Some(Link { ifindex, lower: Some(lower), kind: Some("vlan".into()), ..Link::default() }),
            features: None,
            vlan_features: None,
        };
        let namespace = Namespace {
            name: None,
            path: None,
            source: Source::Text,
            forwarding: None,
            devices: vec![device("a", 1, 2), device("b", 2, 3), device("c", 3, 1), device("d", 4, 4)],
            problems: Vec::new(),
        };
        let stack = Stack::new(&namespace);
        assert_eq!(stack.below(0), [1, 2]);
        assert_eq!(stack.below(3), Vec::<Position>::new());
    }
}
