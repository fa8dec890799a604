//! What makes a plan refuse a step, whatever it would repair. Pure.
//!
//! A recompute is not limited to the features that are repaired: it was seen to
//! switch LRO on on a router's card, and LRO off on both cards below a bond.

use hostdiag_model::plan::{Change, Refusal};
use hostdiag_model::stack::{Position, Role, Stack};

use super::facts::Facts;
use super::plan::Permit;
use super::simulate::Outcome;
use crate::offload::policy::Allowed;

/// Features that may come back with others although they are not repaired:
/// they are wished for already, and cost CPU while they are off.
const FOLLOW: [&str; 5] =
    ["tx-tcp-mangleid-segmentation", "tx-udp-segmentation", "rx-gro", "rx-checksum", "highdma"];

/// Why a step with this outcome, at the device at `at`, is not taken.
pub fn reason(facts: &Facts, permit: &Permit<'_>, at: Position, outcome: &Outcome) -> Option<Refusal> {
    let stack = Stack::new(&facts.namespace);
    let of = |change: &Change| {
        let devices = facts.namespace.devices.iter();
        devices
            .map(|device| device.link.as_ref())
            .position(|link| link.is_some_and(|link| link.ifindex == change.ifindex))
    };
    let hardware = |change: &&Change| of(change).is_none_or(|at| stack.role(at) == Role::Physical);
    let named = |name: &str| permit.physical == Some(name);
    let forbidden: Vec<Change> =
        outcome.changes.iter().filter(hardware).filter(|change| !named(&change.device)).cloned().collect();
    let touches_hardware = stack.role(at) == Role::Physical;
    if !forbidden.is_empty() || touches_hardware && !named(stack.name(at)) {
        return Some(Refusal::ChangesPhysical { changes: forbidden });
    }
    let switched_on: Vec<Change> = outcome
        .changes
        .iter()
        .filter(|change| unwelcome(permit, change, hardware(change)))
        .cloned()
        .collect();
    if !switched_on.is_empty() {
        return Some(Refusal::SwitchesOn { changes: switched_on });
    }
    let mut touched: Vec<Position> = outcome.changes.iter().filter(hardware).filter_map(of).collect();
    touched.extend(touches_hardware.then_some(at));
    touched.into_iter().find_map(|at| busy(facts, &stack, at))
}

/// A bit that comes on and that nobody asked to be repaired. What may come on
/// on a software device, and cannot be known, is the kernel's own pending work.
fn unwelcome(permit: &Permit<'_>, change: &Change, hardware: bool) -> bool {
    let comes_on = change.after.active() && !change.before.active();
    let listed = FOLLOW.contains(&&*change.feature)
        || permit.policy.repairs(&change.device, &change.feature) == Allowed::Yes;
    comes_on && !listed && (change.certain || hardware)
}

/// Hardware that is not changed even where that is permitted.
fn busy(facts: &Facts, stack: &Stack<'_>, at: Position) -> Option<Refusal> {
    let link = stack.link(at)?;
    let more = facts.more.get(&link.ifindex)?;
    if more.virtual_functions > 0 {
        return Some(Refusal::HasVirtualFunctions { count: more.virtual_functions });
    }
    let master = stack.uppers(at).iter().copied().find(|up| {
        stack.role(*up) == Role::Aggregate && stack.link(*up).map(|link| link.ifindex) == link.master
    })?;
    let name = stack.name(master).to_owned();
    let port = more.port.as_ref()?;
    if port.lacp_in_sync == Some(false) {
        return Some(Refusal::LacpOutOfSync { master: name });
    }
    let active = |at: &Position| {
        let port = stack.link(*at).and_then(|link| facts.more.get(&link.ifindex)?.port.as_ref());
        port.is_some_and(|port| port.active)
    };
    let others = stack.lowers(master).iter().filter(|other| **other != at && active(other)).count();
    (port.active && others == 0).then_some(Refusal::LastActivePort { master: name })
}
