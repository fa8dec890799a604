//! Who lies on whom, in the sense of `netdev_upper_dev_link`: more than the
//! layers of `stack`, which are those that traffic takes.

use std::collections::HashMap;

use hostdiag_model::Device;
use hostdiag_model::stack::{Position, Role};

/// How two devices hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tie {
    /// The upper one is the master of the lower one.
    Port,
    /// The upper one lies on the lower one.
    On,
    /// `IFLA_LINK` names the lower one, of which the kernel may know nothing.
    Doubtful,
}

/// The devices below and above each.
pub(super) struct Layers {
    lowers: Vec<Vec<(Position, Tie)>>,
    uppers: Vec<Vec<(Position, Tie)>>,
}

impl Layers {
    /// Finds them by `IFLA_MASTER` and `IFLA_LINK`.
    pub(super) fn of(devices: &[Device]) -> Self {
        let index = |device: &Device| device.link.as_ref().map(|link| link.ifindex);
        let by_index: HashMap<u32, Position> =
            devices.iter().enumerate().filter_map(|(at, device)| Some((index(device)?, at))).collect();
        let mut layers =
            Self { lowers: vec![Vec::new(); devices.len()], uppers: vec![Vec::new(); devices.len()] };
        for (at, device) in devices.iter().enumerate() {
            let Some(link) = &device.link else { continue };
            let found = |index: Option<u32>| index.and_then(|index| by_index.get(&index)).copied();
            let here = link.lower_netnsid.is_none() && Role::of(Some(link)) != Role::Veth;
            if let Some(below) = found(link.lower.filter(|_| here)) {
                layers.tie(at, below, lies_on(link.kind.as_deref()));
            }
            if let Some(master) = found(link.master) {
                layers.tie(master, at, Tie::Port);
            }
        }
        layers
    }

    fn tie(&mut self, upper: Position, lower: Position, tie: Tie) {
        if upper != lower {
            self.lowers[upper].push((lower, tie));
            self.uppers[lower].push((upper, tie));
        }
    }

    /// The devices below one.
    pub(super) fn lowers(&self, at: Position) -> &[(Position, Tie)] {
        &self.lowers[at]
    }

    /// The devices on top of one.
    pub(super) fn uppers(&self, at: Position) -> &[(Position, Tie)] {
        &self.uppers[at]
    }

    /// The ports of a master.
    pub(super) fn ports(&self, at: Position) -> impl Iterator<Item = Position> {
        self.lowers[at].iter().filter(|(_, tie)| *tie == Tie::Port).map(|(port, _)| *port)
    }

    /// The device a VLAN lies on.
    pub(super) fn below(&self, at: Position) -> Option<Position> {
        self.lowers[at].iter().find(|(_, tie)| *tie == Tie::On).map(|(below, _)| *below)
    }
}

/// The tie of a device of a kind to the one it lies on. Of the tunnels the
/// kernel ties only vxlan, to limit the depth (drivers/net/vxlan, since 5.4).
fn lies_on(kind: Option<&str>) -> Tie {
    match kind {
        Some("vlan" | "macvlan" | "macvtap" | "ipvlan" | "ipvtap" | "macsec" | "vxlan") => Tie::On,
        _ => Tie::Doubtful,
    }
}
