//! The words for repairs. All of them, so that they stay alike.

use std::collections::HashMap;
use std::hash::Hash;

use hostdiag_model::FeatureName;
use hostdiag_model::plan::{Apart, Change, Refusal};

use crate::offload::words::{self, short};
use crate::page::count;

/// As many names stand in one list.
const NAMED: usize = 8;
/// As many changes stand in one sentence.
const CHANGES: usize = 4;

/// Values by key, keys in the order of their first appearance.
pub(super) fn group<K: Clone + Eq + Hash, V>(items: impl Iterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut groups: Vec<(K, Vec<V>)> = Vec::new();
    let mut known: HashMap<K, usize> = HashMap::new();
    for (key, value) in items {
        let at = *known.entry(key.clone()).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, values)) => values.push(value),
            None => groups.push((key, vec![value])),
        }
    }
    groups
}

/// The width of a column: that of its widest text, however wide a recording's
/// names are.
pub(super) fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    const MAX: usize = 48;
    texts.map(|text| text.chars().count().min(MAX)).max().unwrap_or(0)
}

/// `eth2 eth3`, `veth1 … veth8 and 290 more`.
pub(super) fn names<S: AsRef<str>>(names: &[S], all: bool) -> String {
    let shown = if all { names.len() } else { names.len().min(NAMED) };
    let text = names[..shown].iter().map(AsRef::as_ref).collect::<Vec<_>>().join(" ");
    if shown < names.len() { format!("{text} and {} more", names.len() - shown) } else { text }
}

/// `tx-scatter-gather, tx-checksum-ip-generic`.
pub(super) fn features(names: &[FeatureName]) -> String {
    names.iter().map(|name| &**name).collect::<Vec<_>>().join(", ")
}

/// `off [requested on] -> on`.
pub(super) fn states(change: &Change) -> String {
    format!("{} -> {}", change.before, change.after)
}

/// Whether a feature begins to work.
pub(super) fn comes_on(change: &Change) -> bool {
    change.after.active() && !change.before.active()
}

/// Changes of one device: `gso, tso, rx-lro off`.
pub(super) fn bits(changes: &[&Change]) -> String {
    let word = |change: &&Change| {
        let name = short(&change.feature);
        match (change.before.active(), change.after.active()) {
            (false, true) => name.to_owned(),
            (true, false) => format!("{name} off"),
            _ => format!("{name} {}", states(change)),
        }
    };
    changes.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// What is put before the names of hardware that changes.
pub(super) const PHYSICAL: &str = "PHYSICAL ";

/// A device, shouted where it is hardware.
pub(super) fn name(device: &str, physical: bool) -> String {
    format!("{}{device}", if physical { PHYSICAL } else { "" })
}

/// Why a device is left alone, as a clause in brackets.
pub(super) fn apart(apart: &Apart) -> String {
    match apart {
        Apart::Physical => "physical".to_owned(),
        Apart::Kind { kind } => kind.clone(),
        Apart::LiesOn { device, kind } => format!("lies on {device}, {kind}"),
        Apart::BelowUnknown => "what lies below is not known, or elsewhere".to_owned(),
        Apart::CarriesGuests { bridge } => format!("carries guests, {bridge}"),
        Apart::OpenVswitch => "Open vSwitch".to_owned(),
        Apart::VirtualFunction { device } => format!("SR-IOV, virtual function {device}"),
        Apart::Representor { device } => format!("hardware switch, representor {device}"),
        Apart::Xdp => "XDP program attached".to_owned(),
        Apart::AfXdp => "AF_XDP socket bound".to_owned(),
        Apart::Container => "container network".to_owned(),
        Apart::Quirk { driver, problem } => format!("{driver}: {problem}"),
        Apart::AskedFor { lines } => {
            let lines: Vec<String> =
                lines.iter().map(|line| format!("{}:{}", line.file, line.line)).collect();
            format!("asked for by {}", words::list(&lines))
        }
        Apart::Held => "held".to_owned(),
        Apart::NotUnattended => "not while nobody watches".to_owned(),
        Apart::Policy => "policy".to_owned(),
        Apart::NotOffered => "not offered by what lies below".to_owned(),
    }
}

/// Why a repair is refused, as a sentence.
pub(super) fn refusal(refusal: &Refusal) -> String {
    match refusal {
        Refusal::ChangesPhysical { changes } if changes.is_empty() => {
            "It is a physical device, which only --physical with its name permits.".to_owned()
        }
        Refusal::ChangesPhysical { changes } => format!(
            "It would change hardware, which only --physical with its name permits: {}.",
            sentence(changes)
        ),
        Refusal::SwitchesOn { changes } => {
            format!("It would also switch on what is not to be repaired: {}.", sentence(changes))
        }
        Refusal::NeedsDeviceLine => {
            "It is never repaired without a line of the policy for just this device.".to_owned()
        }
        Refusal::LastActivePort { master } => format!("It carries the traffic of {master} alone."),
        Refusal::LacpOutOfSync { master } => format!("As a port of {master} it has no LACP partner in sync."),
        Refusal::HasVirtualFunctions { count: number } => {
            let were = if *number == 1 { "was" } else { "were" };
            format!("{} {were} made of it.", count(*number as usize, "virtual function"))
        }
    }
}

/// `eth0 rx-lro on -> off, eth1 rx-lro on -> off and 3 more`.
fn sentence(changes: &[Change]) -> String {
    let word = |change: &Change| format!("{} {} {}", change.device, change.feature, states(change));
    let shown = changes.iter().take(CHANGES).map(word).collect::<Vec<_>>().join(", ");
    match changes.len().saturating_sub(CHANGES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
