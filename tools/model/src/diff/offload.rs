//! Features of network devices: each device with the one that has its place on the
//! other host, each feature by its name.

use std::collections::BTreeMap;

use serde::Serialize;

use super::judge::Verdict;
use crate::features::{FeatureName, FeatureState};
use crate::offload::{Device, Namespace, OffloadData};
use crate::stack::{MAX_DEPTH, Position, Role, Stack};

/// What differs between two hosts, or two devices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Features {
    /// Devices whose features differ, in the order of A.
    pub pairs: Vec<Pair>,
    /// How many pairs there are, these and those that are alike.
    pub compared: usize,
    /// Devices of A that have no counterpart.
    pub only_a: Vec<String>,
    /// Devices of B that have none.
    pub only_b: Vec<String>,
    /// Features that the kernel of A alone knows: they are not off on B.
    pub unknown_on_b: Vec<FeatureName>,
    /// Those that the kernel of B alone knows.
    pub unknown_on_a: Vec<FeatureName>,
}

/// Two devices that have the same place, and differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// The name on A.
    pub a: String,
    /// The name on B.
    pub b: String,
    /// What the place is: `vlan 10 on bond`; absent where only features are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Features that work on one side alone.
    pub active: Vec<Setting>,
    /// Features that are as active on both, and not as changeable or as asked for.
    pub wish: Vec<Setting>,
}

/// A feature on both sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Which.
    pub feature: FeatureName,
    /// On A.
    pub a: FeatureState,
    /// On B.
    pub b: FeatureState,
}

impl Features {
    /// Whether nothing differs, not even which devices and features there are.
    pub fn is_empty(&self) -> bool {
        let names = self.only_a.is_empty() && self.only_b.is_empty();
        self.pairs.is_empty() && names && self.unknown_on_a.is_empty() && self.unknown_on_b.is_empty()
    }

    /// A feature that works on one side alone differs; a wish, a device or a kernel's
    /// vocabulary does not.
    pub(super) fn verdict(&self) -> Verdict {
        let differs = self.pairs.iter().any(|pair| !pair.active.is_empty());
        if differs { Verdict::Differs } else { Verdict::Same }
    }
}

/// Compares two hosts. Namespaces are paired by name, the one hostdiag ran in with
/// its like.
pub(super) fn compare(a: &OffloadData, b: &OffloadData) -> Features {
    let mut found = Features::default();
    let mut vocabulary: [Vec<FeatureName>; 2] = Default::default();
    for namespace in &a.namespaces {
        let other = b.namespaces.iter().find(|other| other.name == namespace.name);
        let devices = other.map_or(&[][..], |other| &other.devices);
        let pairs = other.map_or(Vec::new(), |other| pairs(namespace, other));
        let paired =
            |side: fn(&(Position, Position)) -> Position, at| pairs.iter().any(|pair| side(pair) == at);
        let alone = |namespace: &Namespace, of: fn(&(Position, Position)) -> Position| -> Vec<String> {
            let devices = namespace.devices.iter().enumerate().filter(|(at, _)| !paired(of, *at));
            devices.map(|(_, device)| in_namespace(namespace, device)).collect()
        };
        found.only_a.extend(alone(namespace, |pair| pair.0));
        found.only_b.extend(other.iter().flat_map(|other| alone(other, |pair| pair.1)));
        let stack = Stack::new(namespace);
        for (at, with) in &pairs {
            let Some((one, two)) = namespace.devices.get(*at).zip(devices.get(*with)) else { continue };
            found.compared += 1;
            found.pairs.extend(pair(one, two, place(&stack, *at, Detail::Kind)));
            learn(&mut vocabulary[0], one);
            learn(&mut vocabulary[1], two);
        }
    }
    for namespace in &b.namespaces {
        if !a.namespaces.iter().any(|other| other.name == namespace.name) {
            found.only_b.extend(namespace.devices.iter().map(|device| in_namespace(namespace, device)));
        }
    }
    let [known_a, known_b] = vocabulary;
    let missing = |of: &[FeatureName], from: &[FeatureName]| {
        of.iter().filter(|name| !from.contains(name)).cloned().collect::<Vec<_>>()
    };
    if !known_a.is_empty() && !known_b.is_empty() {
        (found.unknown_on_b, found.unknown_on_a) = (missing(&known_a, &known_b), missing(&known_b, &known_a));
    }
    found
}

/// Two devices that have the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Paired {
    /// The name on A; behind it the namespace, where it has one.
    pub(super) a: String,
    /// The name on B, likewise.
    pub(super) b: String,
    /// What the place is; absent where only features are known.
    pub(super) role: Option<String>,
}

/// Every device that has a counterpart, whether they differ or not.
pub(super) fn paired(a: &OffloadData, b: &OffloadData) -> Vec<Paired> {
    let mut all = Vec::new();
    for one in &a.namespaces {
        let Some(other) = b.namespaces.iter().find(|other| other.name == one.name) else { continue };
        let stack = Stack::new(one);
        all.extend(pairs(one, other).into_iter().map(|(at, with)| Paired {
            a: in_namespace(one, &one.devices[at]),
            b: in_namespace(other, &other.devices[with]),
            role: place(&stack, at, Detail::Kind),
        }));
    }
    all
}

/// Every device by its name.
pub(super) fn named(data: &OffloadData) -> impl Iterator<Item = (String, &Device)> {
    data.namespaces.iter().flat_map(|namespace| {
        namespace.devices.iter().map(|device| (in_namespace(namespace, device), device))
    })
}

/// The place of every device by its name.
pub(super) fn places(data: &OffloadData) -> Vec<(String, Option<String>)> {
    let mut all = Vec::new();
    for namespace in &data.namespaces {
        let stack = Stack::new(namespace);
        let devices = namespace.devices.iter().enumerate();
        all.extend(
            devices.map(|(at, device)| (in_namespace(namespace, device), place(&stack, at, Detail::Kind))),
        );
    }
    all
}

fn in_namespace(namespace: &Namespace, device: &Device) -> String {
    match &namespace.name {
        Some(name) => format!("{} in {name}", device.name),
        None => device.name.clone(),
    }
}

fn learn(known: &mut Vec<FeatureName>, device: &Device) {
    for (name, _) in device.features.iter().flat_map(|features| features.iter()) {
        if !known.contains(name) {
            known.push(name.clone());
        }
    }
}

/// What differs between two devices; `None` where nothing does.
fn pair(a: &Device, b: &Device, role: Option<String>) -> Option<Pair> {
    let (of_a, of_b) = (a.features.as_ref()?, b.features.as_ref()?);
    let settings = of_a.iter().filter_map(|(feature, a)| {
        let b = of_b.get(feature)?;
        (a != b).then(|| Setting { feature: feature.clone(), a, b })
    });
    let (active, wish): (Vec<_>, Vec<_>) = settings.partition(|one| one.a.active() != one.b.active());
    let differs = !active.is_empty() || !wish.is_empty();
    differs.then(|| Pair { a: a.name.clone(), b: b.name.clone(), role, active, wish })
}

/// How exactly two places are to be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// Down to the drivers.
    Driver,
    /// Kinds of devices, whatever the hardware.
    Kind,
    /// The device alone, whatever lies below and above.
    Alone,
}

/// What is tried one after the other: how exact the place is to be, and whether the
/// name is to be the same too.
const ROUNDS: [(Detail, bool); 5] = [
    (Detail::Driver, true),
    (Detail::Driver, false),
    (Detail::Kind, true),
    (Detail::Kind, false),
    (Detail::Alone, true),
];

/// Which device of A is which of B. Of the same place they go in their order. Two
/// single devices of which only features are known are one with the other.
fn pairs(a: &Namespace, b: &Namespace) -> Vec<(Position, Position)> {
    let single = |namespace: &Namespace| namespace.devices.len() == 1 && namespace.devices[0].link.is_none();
    if single(a) && single(b) {
        return vec![(0, 0)];
    }
    let stacks = [Stack::new(a), Stack::new(b)];
    let mut left: [Vec<Position>; 2] = [(0..a.devices.len()).collect(), (0..b.devices.len()).collect()];
    let mut all: BTreeMap<Position, Position> = BTreeMap::new();
    for (detail, named) in ROUNDS {
        let key = |side: usize, at: Position| {
            let place = place(&stacks[side], at, detail);
            let name = (named || place.is_none()).then(|| stacks[side].name(at).to_owned());
            (place, name)
        };
        let mut there: BTreeMap<_, Vec<Position>> = BTreeMap::new();
        left[1].iter().rev().for_each(|at| there.entry(key(1, *at)).or_default().push(*at));
        let found = |at: &Position| Some((*at, there.get_mut(&key(0, *at))?.pop()?));
        all.extend(left[0].iter().filter_map(found));
        left[0].retain(|at| !all.contains_key(at));
        left[1] = there.into_values().flatten().collect();
        left[1].sort_unstable();
    }
    all.into_iter().collect()
}

/// The place of a device in its stack, without names: `vlan 10 on bond`. `None` where
/// only its features are known.
fn place(stack: &Stack<'_>, at: Position, detail: Detail) -> Option<String> {
    let mut words = Vec::new();
    let mut at = at;
    for _ in 0..MAX_DEPTH {
        words.push(device(stack, at, detail)?);
        match (stack.role(at), stack.lowers(at)) {
            (Role::Vlan | Role::Stacked, [below]) if detail != Detail::Alone => at = *below,
            _ => break,
        }
    }
    Some(words.join(" on "))
}

fn device(stack: &Stack<'_>, at: Position, detail: Detail) -> Option<String> {
    let link = stack.link(at)?;
    Some(match (stack.role(at), &link.driver) {
        (Role::Vlan, _) => link.vlan_id.map_or("vlan".into(), |id| format!("vlan {id}")),
        (Role::Physical, _) if link.loopback => "loopback".into(),
        (Role::Physical, _) if detail == Detail::Alone => "hardware".into(),
        (Role::Physical, driver) => {
            let driver = driver.as_deref().filter(|_| detail == Detail::Driver).unwrap_or("hardware");
            let master = stack.uppers(at).iter().find(|up| stack.role(**up).has_ports());
            let kind = master.and_then(|master| stack.link(*master)?.kind.as_deref());
            kind.map_or(driver.into(), |kind| format!("{driver} below {kind}"))
        }
        _ => link.kind.clone().unwrap_or_else(|| "device".into()),
    })
}
