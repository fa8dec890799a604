//! How much work both sides did: only then do busy cores say something.

use serde::Serialize;

use super::gather::{Counted, Gathered};
use crate::offload::Device;
use crate::snapshot::{Area, Rate, Snapshot};
use crate::stack::Role;

/// Work that differs by less is the same.
const SAME: f64 = 0.10;
/// Work that differs by more has no unit in common.
const COMPARABLE: f64 = 20.0;
/// Less than this in a second is no work of the network: 1 Mbit/s.
const LEAST_BYTES: f64 = 125_000.0;

/// What both sides did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    /// How they are compared.
    pub basis: Basis,
    /// What was done in a second, on a host of each side.
    pub measures: Vec<Measure>,
}

/// How busy cores and rates of both sides are compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// As they are: the same work was done.
    Same(WorkKind),
    /// Those of B at the work that A did: so many times as much was done on B.
    PerUnit(WorkKind, f64),
    /// As they are: nobody knows what was done.
    Unknown,
    /// Not at all: next to nothing was done on a side.
    NotComparable,
}

/// What work is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkKind {
    /// Bytes sent by the network cards.
    BytesSent,
    /// Bytes received by them.
    BytesReceived,
    /// Packets sent.
    PacketsSent,
    /// Packets received.
    PacketsReceived,
    /// Context switches.
    ContextSwitches,
    /// What the user said.
    Given,
    /// What a counter of the user's counts.
    Counted,
}

/// Work done in a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Measure {
    /// What is counted.
    pub kind: WorkKind,
    /// On A.
    pub a: f64,
    /// On B.
    pub b: f64,
}

impl Work {
    /// What rates of A and B are divided by; absent where they are not.
    pub(super) fn scale(&self) -> Option<[f64; 2]> {
        match self.basis {
            Basis::PerUnit(_, times) => Some([1.0, times]),
            _ => None,
        }
    }
}

pub(super) fn of(sides: [&Gathered; 2], given: Option<[f64; 2]>) -> Work {
    if let Some([a, b]) = given {
        let kind = WorkKind::Given;
        return Work { basis: basis(kind, [a, b]), measures: vec![Measure { kind, a, b }] };
    }
    let kinds = [
        WorkKind::BytesSent,
        WorkKind::BytesReceived,
        WorkKind::PacketsSent,
        WorkKind::PacketsReceived,
        WorkKind::ContextSwitches,
    ];
    let measure = |kind: WorkKind| {
        let [a, b] = sides.map(|side| measured(side, kind));
        Some(Measure { kind, a: a?, b: b? })
    };
    let counted = counted(sides);
    let measures: Vec<Measure> = counted.into_iter().chain(kinds.into_iter().filter_map(measure)).collect();
    if let Some(counted) = counted {
        return Work { basis: basis(counted.kind, [counted.a, counted.b]), measures };
    }
    let bytes =
        measures.iter().filter(|one| matches!(one.kind, WorkKind::BytesSent | WorkKind::BytesReceived));
    let most = bytes.max_by(|one, other| one.a.max(one.b).total_cmp(&other.a.max(other.b)));
    let basis = match most {
        Some(most) if most.a.max(most.b) >= LEAST_BYTES => basis(most.kind, [most.a, most.b]),
        _ => Basis::Unknown,
    };
    Work { basis, measures }
}

/// Where it was counted on both sides.
fn counted(sides: [&Gathered; 2]) -> Option<Measure> {
    let of = |side: &Gathered| side.done.map(|done| done.thousandths as f64 * 1e3 / done.over_us as f64);
    let [a, b] = sides.map(of);
    Some(Measure { kind: WorkKind::Counted, a: a?, b: b? })
}

fn basis(kind: WorkKind, [a, b]: [f64; 2]) -> Basis {
    let times = b / a;
    match () {
        () if !times.is_finite() || !(1.0 / COMPARABLE..=COMPARABLE).contains(&times) => Basis::NotComparable,
        () if times.ln().abs() < SAME.ln_1p() => Basis::Same(kind),
        () => Basis::PerUnit(kind, times),
    }
}

/// By second and snapshot, of the cards; where next to nothing went through those, of what
/// stands for them. `None` where nothing of it was counted.
fn measured(side: &Gathered, kind: WorkKind) -> Option<f64> {
    let seconds: f64 = side.rates.iter().map(|one: &Counted| one.seconds).sum();
    let rates =
        || side.rates.iter().flat_map(|one| &one.rates).filter(|rate| is(rate.area, &rate.name, kind));
    if kind == WorkKind::ContextSwitches {
        let mut counts = rates().map(|rate| rate.count as f64);
        return counts.next().map(|first| (first + counts.sum::<f64>()) / seconds);
    }
    rates().next()?;
    let role = role_of_cards(side);
    let cards: Vec<String> =
        side.snapshots.iter().flat_map(|(_, snapshot)| devices(snapshot, role)).collect();
    let is_card = |rate: &&Rate| rate.of.as_ref().is_some_and(|of| cards.contains(of));
    Some(rates().filter(is_card).map(|rate| rate.count as f64).sum::<f64>() / seconds)
}

/// Cards do the work, unless nothing goes through them: a byte goes through each layer of
/// a stack, and counts once.
fn role_of_cards(side: &Gathered) -> Role {
    let cards: Vec<String> =
        side.snapshots.iter().flat_map(|(_, snapshot)| devices(snapshot, Role::Physical)).collect();
    let bytes = |rate: &Rate| {
        is(rate.area, &rate.name, WorkKind::BytesSent) || is(rate.area, &rate.name, WorkKind::BytesReceived)
    };
    let used = side.rates.iter().any(|one| {
        let card = |rate: &&Rate| rate.of.as_ref().is_some_and(|of| cards.contains(of)) && bytes(rate);
        one.rates.iter().filter(card).any(|rate| rate.count as f64 >= LEAST_BYTES * one.seconds)
    });
    if used { Role::Physical } else { Role::Veth }
}

/// As snapshots name the columns of `/proc/net/dev`, and `ctxt` of `/proc/stat`.
fn is(area: Area, name: &str, kind: WorkKind) -> bool {
    let names: &[&str] = match kind {
        WorkKind::BytesSent => &["tx_bytes"],
        WorkKind::BytesReceived => &["rx_bytes"],
        WorkKind::PacketsSent => &["tx_packets"],
        WorkKind::PacketsReceived => &["rx_packets"],
        WorkKind::ContextSwitches => return area == Area::Cpu && name == "context switches",
        WorkKind::Given | WorkKind::Counted => &[],
    };
    area == Area::Link && names.contains(&name)
}

/// Devices of a role in the namespace of the host itself.
fn devices(snapshot: &Snapshot, role: Role) -> Vec<String> {
    let own = snapshot.offload.namespaces.iter().find(|namespace| namespace.name.is_none());
    let devices = own.map_or(&[][..], |namespace| &namespace.devices);
    let is = |device: &&Device| {
        let loopback = device.link.as_ref().is_some_and(|link| link.loopback);
        !loopback && Role::of(device.link.as_ref()) == role
    };
    devices.iter().filter(is).map(|device| device.name.clone()).collect()
}
