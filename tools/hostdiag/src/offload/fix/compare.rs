//! A plan against what is there: before a step, and after it. Pure.

use std::collections::BTreeSet;

use hostdiag_model::plan::{Change, Step};
use hostdiag_model::stack::{Role, Stack};
use hostdiag_model::{Device, Link, Namespace};

/// Every bit that differs between two readings of a namespace, for devices
/// that are in both.
pub fn changes(before: &Namespace, after: &Namespace) -> Vec<Change> {
    let mut all = Vec::new();
    for device in &before.devices {
        let Some(now) = same(device, after) else { continue };
        let (Some(old), Some(new)) = (&device.features, &now.features) else { continue };
        let ifindex = index(device);
        let physical = Role::of(device.link.as_ref()) == Role::Physical;
        all.extend(old.iter().filter_map(|(feature, before)| {
            let after = new.get(feature).filter(|after| *after != before)?;
            let (device, feature) = (now.name.clone(), feature.clone());
            Some(Change { device, ifindex, feature, before, after, certain: true, physical })
        }));
    }
    all
}

/// What happened that the plan does not have.
pub fn surprises(step: &Step, happened: &[Change]) -> Vec<Change> {
    let planned = |change: &&Change| {
        step.changes.iter().any(|plan| {
            plan.ifindex == change.ifindex && plan.feature == change.feature && plan.after == change.after
        })
    };
    happened.iter().filter(|change| !planned(change)).cloned().collect()
}

/// Whether all that is certain in the plan has happened.
pub fn complete(step: &Step, happened: &[Change]) -> bool {
    step.changes.iter().filter(|plan| plan.certain).all(|plan| {
        happened.iter().any(|change| {
            plan.ifindex == change.ifindex && plan.feature == change.feature && plan.after == change.after
        })
    })
}

/// The namespace as the plan has it after a step.
pub fn after(namespace: &mut Namespace, step: &Step) {
    for device in &mut namespace.devices {
        let ifindex = index(device);
        let Some(features) = &mut device.features else { continue };
        let new = |name: &str| {
            let of = |change: &&Change| change.ifindex == ifindex && &*change.feature == name;
            step.changes.iter().find(of).map(|change| change.after)
        };
        *features = features.iter().map(|(name, old)| (name.clone(), new(name).unwrap_or(old))).collect();
    }
}

/// The first fact about the stack of a step that is not as the plan has it.
/// Bits in `unsure` may be either way.
pub fn changed(expected: &Namespace, now: &Namespace, step: &Step, unsure: &[Change]) -> Option<String> {
    let planned = stack_of(expected, step.device.ifindex);
    let present = stack_of(now, step.device.ifindex);
    for device in expected.devices.iter().filter(|device| planned.contains(&index(device))) {
        let Some(other) = same(device, now) else {
            return Some(format!("{} is gone", device.name));
        };
        if let Some(what) = fact(device, other) {
            return Some(what);
        }
        if let Some(what) = bit(device, other, unsure) {
            return Some(what);
        }
    }
    let new = now
        .devices
        .iter()
        .find(|device| present.contains(&index(device)) && same(device, expected).is_none());
    new.map(|device| format!("{} has appeared in the stack of {}", device.name, step.device.name))
}

/// Indices of the devices that lie on one another with this one.
pub fn stack_of(namespace: &Namespace, ifindex: u32) -> BTreeSet<u32> {
    let indices = |positions: &[usize]| -> BTreeSet<u32> {
        positions.iter().map(|at| index(&namespace.devices[*at])).collect()
    };
    let components = Stack::new(namespace).components();
    components.iter().map(|all| indices(all)).find(|all| all.contains(&ifindex)).unwrap_or_default()
}

/// Indices of a device, of those below it and of those on it.
pub fn above_and_below(namespace: &Namespace, ifindex: u32) -> Vec<u32> {
    let stack = Stack::new(namespace);
    let Some(at) = namespace.devices.iter().position(|device| index(device) == ifindex) else {
        return Vec::new();
    };
    let mut all = BTreeSet::from([at]);
    let mut open = vec![at];
    while let Some(at) = open.pop() {
        open.extend(stack.uppers(at).iter().filter(|up| all.insert(**up)));
    }
    all.extend(stack.below(at));
    all.into_iter().map(|at| index(&namespace.devices[at])).collect()
}

fn index(device: &Device) -> u32 {
    device.link.as_ref().map_or(0, |link| link.ifindex)
}

fn same<'a>(device: &Device, namespace: &'a Namespace) -> Option<&'a Device> {
    namespace.devices.iter().find(|other| index(other) == index(device))
}

/// What to say where it differs, and what is compared.
type Fact = (&'static str, fn(&Link) -> String);

fn fact(before: &Device, now: &Device) -> Option<String> {
    let name = &before.name;
    if *name != now.name {
        return Some(format!("{name} is called {} now", now.name));
    }
    let (old, new) = (before.link.as_ref()?, now.link.as_ref()?);
    let differs = |what: fn(&Link) -> String| what(old) != what(new);
    let facts: [Fact; 6] = [
        ("is of another kind", |link| format!("{:?}", link.kind)),
        ("is a port of something else", |link| format!("{:?} {:?}", link.master, link.port_kind)),
        ("lies on something else", |link| format!("{:?} {:?}", link.lower, link.lower_netnsid)),
        ("has got, or lost, an XDP program", |link| link.xdp.to_string()),
        ("has another MTU", |link| link.mtu.to_string()),
        ("went up or down", |link| link.up.to_string()),
    ];
    facts.iter().find(|(_, what)| differs(*what)).map(|(text, _)| format!("{name} {text}"))
}

fn bit(before: &Device, now: &Device, unsure: &[Change]) -> Option<String> {
    let (old, new) = (before.features.as_ref()?, now.features.as_ref()?);
    let open = |feature: &str| {
        unsure.iter().any(|change| change.ifindex == index(before) && &*change.feature == feature)
    };
    let other = old.iter().find(|(name, state)| new.get(name) != Some(*state) && !open(name))?;
    let is = new.get(other.0).map_or("not known", |state| state.as_str());
    Some(format!("{} {} is {is}, planned was {}", before.name, other.0, other.1))
}
