//! What a device offers to VLANs on it: `net_device.vlan_features`. Pure; the
//! values were read by BPF, or are unknown.
//!
//! A VLAN copies the field from its parent once, when it is made, and never
//! again (net/8021q/vlan_dev.c, `vlan_dev_init`); a bond computes it from its
//! ports.

use super::quirk;
use super::watch;
use hostdiag_model::stack::{MAX_DEPTH, Position, Role, Stack};

/// As many siblings of a VLAN are looked at.
const MAX_SIBLINGS: usize = 256;

/// As many devices at the bottom are looked at and named.
const MAX_BOTTOMS: usize = 32;

/// Whether the device below a VLAN offers it a feature.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// It does.
    Made,
    /// It does not, and neither do these devices at the bottom.
    None(Vec<Position>),
    /// This VLAN has a copy made before its own parent offered the feature.
    Stale(Position),
    /// The field could not be read, and nothing else tells.
    Unknown,
}

/// What the device below the VLAN at `vlan` offers it.
pub fn to_vlan(stack: &Stack<'_>, vlan: Position, feature: &str) -> Offer {
    let Some(below) = stack.lowers(vlan).first().copied() else { return Offer::Unknown };
    match offers(stack, below, feature) {
        Some(true) => Offer::Made,
        Some(false) => without(stack, below, feature),
        None => by_other_signs(stack, vlan, below, feature),
    }
}

/// `vlan_features` of a device; `None` where it was not read.
fn offers(stack: &Stack<'_>, at: Position, feature: &str) -> Option<bool> {
    stack.device(at).vlan_features.as_ref().map(|names| watch::listed(names, feature))
}

/// The device offers nothing: is its own parent to blame, or the hardware?
fn without(stack: &Stack<'_>, below: Position, feature: &str) -> Offer {
    if stack.role(below) != Role::Vlan {
        return Offer::None(bottoms(stack, below));
    }
    let mut stale = below;
    for _ in 0..MAX_DEPTH {
        let Some(parent) = stack.lowers(stale).first().copied() else { return Offer::Unknown };
        match offers(stack, parent, feature) {
            Some(true) => return Offer::Stale(stale),
            Some(false) if stack.role(parent) == Role::Vlan => stale = parent,
            Some(false) => return Offer::None(bottoms(stack, parent)),
            None => return Offer::Unknown,
        }
    }
    Offer::Unknown
}

/// Without the field: a sibling that has the feature proves the offer, a
/// driver that is known to offer nothing disproves it.
fn by_other_signs(stack: &Stack<'_>, vlan: Position, below: Position, feature: &str) -> Offer {
    let siblings = stack
        .uppers(below)
        .iter()
        .take(MAX_SIBLINGS)
        .filter(|up| **up != vlan && stack.role(**up) == Role::Vlan);
    if siblings.copied().any(|sibling| stack.active(sibling, feature)) {
        return Offer::Made;
    }
    if barren(stack, below) { Offer::None(bottoms(stack, below)) } else { Offer::Unknown }
}

/// Whether drivers that are known to offer nothing are all there is at the
/// bottom.
pub fn barren(stack: &Stack<'_>, at: Position) -> bool {
    bottoms(stack, at).into_iter().all(|at| {
        let link = stack.link(at);
        let driver = link.and_then(|link| link.driver.as_deref().or(link.kind.as_deref()));
        driver.is_some_and(quirk::offers_nothing_to_vlans)
    })
}

/// The devices at the bottom of a stack; the device itself where it is one.
fn bottoms(stack: &Stack<'_>, at: Position) -> Vec<Position> {
    let below = std::iter::once(at).chain(stack.below(at));
    below.filter(|at| stack.lowers(*at).is_empty()).take(MAX_BOTTOMS).collect()
}
