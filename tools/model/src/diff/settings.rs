//! Settings that differ between two hosts, or that all hosts of one group have and none
//! of the other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::offload::{self, Paired};
use crate::features::FeatureState;
use crate::host::Host;
use crate::offload::{Device, OffloadData};
use crate::snapshot::{Area, Setting, Snapshot, Value};

mod class;

pub use class::Class;

/// A host and what is known of how it is set up.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its settings and devices.
    pub snapshot: &'a Snapshot,
}

/// What differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Differences {
    /// By area and name; what differs in the same way in several places is one row.
    pub rows: Vec<Difference>,
    /// How many settings both sides have.
    pub compared: usize,
    /// How many could not be read on a side, and are left out.
    pub unread: usize,
}

/// One setting that differs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// What kind of thing it is; features of devices are of the network cards.
    pub area: Area,
    /// Its name.
    pub name: String,
    /// Of which devices, CPUs, packages; empty where it is the host's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<Place>,
    /// On A; absent where the host does not have it, which is not the same as off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<String>,
    /// On B, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<String>,
    /// The files that set it on A and on B, where one does.
    pub origins: [Option<String>; 2],
    /// Whose doing it is.
    pub class: Class,
}

/// What a setting is of, on both sides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    /// Its name on A.
    pub a: String,
    /// Its name on B.
    pub b: String,
    /// Of a device its place in the stack: `vlan 10 on bond`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// What is looked up on every host: area, of what by its name on the first host, name.
type Key = (Area, Option<String>, String);

/// A setting as it is compared.
#[derive(Clone, Debug)]
struct Entry {
    /// As the host has it, or why it could not be read.
    value: Value,
    origin: Option<String>,
    /// Of a feature its state.
    feature: Option<FeatureState>,
    /// The host judged that the feature is lost, and nobody asked for that.
    lost: bool,
}

/// One host with the names of the first host.
struct Flat<'a> {
    facts: Facts<'a>,
    entries: BTreeMap<Key, Entry>,
    /// Devices by their name here, with their name on the first host.
    devices: Vec<Paired>,
}

/// Compares the hosts of A with those of B, at least one each. Devices go by their place
/// in the stack of devices, everything else by name.
pub fn differences(a: &[Facts<'_>], b: &[Facts<'_>]) -> Differences {
    let Some(first) = a.first() else { return Differences::default() };
    let sides = [a, b].map(|side| side.iter().map(|host| Flat::of(*host, *first)).collect::<Vec<_>>());
    let keys: BTreeSet<&Key> = sides.iter().flatten().flat_map(|host| host.entries.keys()).collect();
    let mut found = Differences::default();
    let mut rows: BTreeMap<Difference, Vec<Place>> = BTreeMap::new();
    for key in keys {
        if sides.iter().flatten().any(|host| host.is_alone(key)) {
            continue;
        }
        let values = sides.each_ref().map(|side| side.iter().map(|host| host.entries.get(key)).collect());
        match compare(&values) {
            Outcome::Unread => found.unread += 1,
            Outcome::Same => found.compared += 1,
            Outcome::Differs => {
                found.compared += 1;
                let difference = difference(key, &values, &sides);
                let places = rows.entry(difference).or_default();
                places.extend(key.1.as_ref().map(|of| place(of, &sides)));
            }
        }
    }
    found.rows = rows.into_iter().map(|(row, places)| Difference { places, ..row }).collect();
    found.rows.extend(alone(&sides));
    found
}

enum Outcome {
    Unread,
    Same,
    Differs,
}

/// A difference is what all hosts of one side have and none of the other.
fn compare(values: &[Vec<Option<&Entry>>; 2]) -> Outcome {
    let unread = |entry: &&Entry| matches!(entry.value, Value::Unreadable(_));
    if values.iter().flatten().flatten().any(unread) {
        return Outcome::Unread;
    }
    let compared = values.each_ref().map(|side| side.iter().map(|one| one.map(Entry::compared)));
    let [a, b] = compared.map(Iterator::collect::<Vec<_>>);
    let all = |side: &[Option<String>], other: &[Option<String>]| {
        side.first().is_some_and(|first| side.iter().all(|one| one == first) && !other.contains(first))
    };
    if all(&a, &b) || all(&b, &a) { Outcome::Differs } else { Outcome::Same }
}

fn difference(key: &Key, values: &[Vec<Option<&Entry>>; 2], sides: &[Vec<Flat<'_>>; 2]) -> Difference {
    let (area, of, name) = key.clone();
    let [a, b] = values.each_ref().map(|side| {
        let shown: BTreeSet<String> = side.iter().flatten().map(|entry| entry.shown()).collect();
        (!shown.is_empty()).then(|| shown.into_iter().collect::<Vec<_>>().join(" or "))
    });
    let origins = values.each_ref().map(|side| side.iter().flatten().find_map(|entry| entry.origin.clone()));
    let first = |side: usize| sides[side].first().map(|host| host.facts.host);
    let same_system = first(0).zip(first(1)).is_some_and(|(a, b)| (&a.kernel, &a.os) == (&b.kernel, &b.os));
    let features = values.each_ref().map(|side| side.iter().flatten().find_map(|entry| entry.feature));
    let lost = values.iter().flatten().flatten().any(|entry| entry.lost);
    let class = match features {
        [Some(a), Some(b)] => class::of_feature([a, b], lost, same_system),
        _ => class::of((area, of.as_deref(), &name), [a.as_deref(), b.as_deref()], &origins, same_system),
    };
    Difference { area, name, places: Vec::new(), a, b, origins, class }
}

fn place(of: &str, sides: &[Vec<Flat<'_>>; 2]) -> Place {
    let on_b = sides[1].first().and_then(|host| host.devices.iter().find(|pair| pair.a == of));
    match on_b {
        Some(pair) => Place { a: of.to_owned(), b: pair.b.clone(), role: pair.role.clone() },
        None => Place { a: of.to_owned(), b: of.to_owned(), role: None },
    }
}

/// Devices without a counterpart, a row for each place.
fn alone(sides: &[Vec<Flat<'_>>; 2]) -> Vec<Difference> {
    let [Some(a), Some(b)] = sides.each_ref().map(|side| side.first()) else { return Vec::new() };
    let [on_a, on_b] = [a, b].map(|host| offload::places(&host.facts.snapshot.offload));
    let row = |name: &str, role: &Option<String>, side: usize| {
        let what = role.clone().unwrap_or_else(|| "device".into());
        Difference {
            area: Area::Link,
            name: "device".into(),
            places: vec![Place { a: name.into(), b: name.into(), role: role.clone() }],
            a: (side == 0).then(|| what.clone()),
            b: (side == 1).then(|| what.clone()),
            origins: [None, None],
            class: Class::Set,
        }
    };
    if on_a.is_empty() || on_b.is_empty() {
        return Vec::new();
    }
    let of_a = on_a.iter().filter(|(name, _)| !b.devices.iter().any(|pair| pair.a == *name));
    let of_b = on_b.iter().filter(|(name, _)| !b.devices.iter().any(|pair| pair.b == *name));
    let of_a: Vec<_> = of_a.map(|(name, role)| row(name, role, 0)).collect();
    of_a.into_iter().chain(of_b.map(|(name, role)| row(name, role, 1))).collect()
}

impl<'a> Flat<'a> {
    fn of(facts: Facts<'a>, first: Facts<'_>) -> Self {
        let devices = offload::paired(&first.snapshot.offload, &facts.snapshot.offload);
        let mut flat = Self { facts, entries: BTreeMap::new(), devices };
        for setting in &facts.snapshot.settings {
            let of = setting.of.as_deref().map(|of| flat.on_first(of));
            flat.entries.insert((setting.area, of, setting.name.clone()), Entry::of(setting));
        }
        flat.add_devices(&facts.snapshot.offload);
        flat
    }

    /// The name that the first host has for what is called so here. Queues of a device
    /// are named behind it: `eth0 rx-0`, `eth0/rx-0`.
    fn on_first(&self, of: &str) -> String {
        let end = of.find([' ', '/']).unwrap_or(of.len());
        let (device, rest) = of.split_at(end);
        let found = self.devices.iter().find(|pair| pair.b == device);
        found.map_or_else(|| self.own(of, device), |pair| format!("{}{rest}", pair.a))
    }

    /// A device of this host alone must not meet another one of the same name.
    fn own(&self, of: &str, device: &str) -> String {
        let taken = self.devices.iter().any(|pair| pair.a == device);
        if taken { format!("{of} (of {})", self.facts.host.name) } else { of.to_owned() }
    }

    /// Features, and of links what no setting says.
    fn add_devices(&mut self, data: &OffloadData) {
        for (name, device) in offload::named(data) {
            let of = Some(self.on_first(&name));
            for (key, value) in link_settings(device) {
                let entry = Entry { value: Value::Value(value), origin: None, feature: None, lost: false };
                self.entries.entry((Area::Link, of.clone(), key.into())).or_insert(entry);
            }
            for (feature, state) in device.features.iter().flat_map(|features| features.iter()) {
                let entries = &self.facts.snapshot.audit.entries;
                let lost = entries
                    .iter()
                    .any(|entry| entry.finding && entry.device == device.name && entry.feature == *feature);
                let value = Value::Value(state.as_str().into());
                let entry = Entry { value, origin: None, feature: Some(state), lost };
                self.entries.insert((Area::Nic, of.clone(), feature.to_string()), entry);
            }
        }
    }

    /// Whether it is of a device that has no counterpart on this host.
    fn is_alone(&self, key: &Key) -> bool {
        let device = matches!(key.0, Area::Link | Area::Nic | Area::Qdisc);
        let of = key.1.as_deref().filter(|_| device).map(|of| of.split([' ', '/']).next().unwrap_or(of));
        let known = !self.devices.is_empty();
        of.is_some_and(|of| known && !self.devices.iter().any(|pair| pair.a == of))
    }
}

impl Entry {
    fn of(setting: &Setting) -> Self {
        let (value, origin) = (setting.value.clone(), setting.origin.clone());
        Self { value, origin, feature: None, lost: false }
    }

    /// With one space where the kernel has tabs.
    fn shown(&self) -> String {
        match &self.value {
            Value::Value(value) => value.split_whitespace().collect::<Vec<_>>().join(" "),
            Value::Unreadable(_) => String::new(),
        }
    }

    /// A feature is compared by whether it works.
    fn compared(&self) -> String {
        match self.feature {
            Some(state) => if state.active() { "on" } else { "off" }.into(),
            None => self.shown(),
        }
    }
}

/// What is said of a link beside its features.
fn link_settings(device: &Device) -> impl Iterator<Item = (&'static str, String)> {
    let link = device.link.as_ref();
    let number = |value: Option<u32>| value.map(|value| value.to_string());
    let all = [
        ("mtu", link.map(|link| link.mtu.to_string())),
        ("mode", link.and_then(|link| link.mode.clone())),
        ("driver", link.and_then(|link| link.driver.clone())),
        ("gso_max_size", link.and_then(|link| number(link.gso_max_size))),
        ("gso_max_segs", link.and_then(|link| number(link.gso_max_segs))),
        ("xdp", link.filter(|link| link.xdp).map(|_| "on".into())),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?)))
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
