//! Who switched a feature off: nobody, or somebody. Pure.
//!
//! A wish (`wanted_features`) that is off when a device is made, or first seen since
//! boot, or within [`SETTING_UP`] of that, is how the device was set up, and may be
//! repaired, once. One that goes off later is a decision: a loss in a layer below
//! never changes the wishes of a device, it arrives as `off [requested on]`.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use hostdiag_model::stack::{Position, Role, Stack};
use hostdiag_model::{Device, FeatureName, FeatureState, Namespace};
use serde::{Deserialize, Serialize};

use super::Now;

/// As long after it was made, or first seen, what is switched off on a device is part
/// of its being set up.
pub const SETTING_UP: Duration = Duration::from_secs(30);

/// A VLAN, bond or team that was seen. Its index is not given again until all are
/// used up (net/core/dev.c, `dev_index_reserve`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Interface index.
    pub ifindex: u32,
    /// `IFLA_INFO_KIND`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// Name of the interface, when it was last seen.
    pub name: String,
    /// When it was first seen, in milliseconds since boot (`CLOCK_BOOTTIME`).
    pub since_boot_ms: u64,
    /// Features there is something to say of; all others were asked for when the
    /// device was last seen, or cannot be.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub wishes: BTreeMap<FeatureName, Wish>,
}

/// What is known of a feature of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Wish {
    /// Off since the device was set up.
    Lost,
    /// On again: repaired by the watch, or after somebody had switched it off. Off once
    /// more is a decision.
    Repaired,
    /// A repair did not help, or did harm, while the stack of the device was such.
    InVain {
        /// What [`stack`] says of it.
        stack: u64,
        /// It was asked for: only a recompute was tried.
        wanted: bool,
    },
    /// Off later on: somebody switched it off.
    SwitchedOff {
        /// When that was seen, in milliseconds since 1970, UTC.
        since_ms: u64,
    },
}

/// What somebody switched off, found just now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Index of the device.
    pub ifindex: u32,
    /// Its name.
    pub device: String,
    /// The features.
    pub features: Vec<FeatureName>,
}

/// Takes in how the devices of a namespace are now. `since_boot_ms` is when a device
/// that is new is taken to have been made.
pub fn observe(
    devices: &mut Vec<Seen>,
    namespace: &Namespace,
    now: Now,
    since_boot_ms: u64,
) -> Vec<Decision> {
    let ours = namespace.devices.iter().filter(|device| is_ours(device));
    let mut present = Vec::new();
    let mut decisions = Vec::new();
    for device in ours {
        let (Some(link), Some(_)) = (&device.link, &device.features) else { continue };
        let known = devices.iter().position(|seen| seen.ifindex == link.ifindex && seen.kind == link.kind);
        let mut seen = known.map_or_else(
            || Seen {
                ifindex: link.ifindex,
                kind: link.kind.clone(),
                name: device.name.clone(),
                since_boot_ms,
                wishes: BTreeMap::new(),
            },
            |at| devices.swap_remove(at),
        );
        seen.name.clone_from(&device.name);
        let features = seen.take_in(device, now);
        if !features.is_empty() {
            decisions.push(Decision { ifindex: seen.ifindex, device: seen.name.clone(), features });
        }
        present.push(seen);
    }
    present.sort_by_key(|seen| seen.ifindex);
    // One whose features could not be read is there all the same.
    let unread = |seen: &Seen| {
        namespace.devices.iter().any(|device| {
            device.features.is_none() && device.link.as_ref().is_some_and(|link| link.ifindex == seen.ifindex)
        })
    };
    present.extend(devices.drain(..).filter(unread));
    *devices = present;
    decisions
}

fn is_ours(device: &Device) -> bool {
    matches!(Role::of(device.link.as_ref()), Role::Vlan | Role::Aggregate)
}

impl Seen {
    /// Takes in how the device is; what somebody switched off since.
    fn take_in(&mut self, device: &Device, now: Now) -> Vec<FeatureName> {
        let mut decided = Vec::new();
        let setting_up = now.boot_ms.saturating_sub(self.since_boot_ms) <= SETTING_UP.as_millis() as u64;
        for (feature, state) in device.features.iter().flat_map(|features| features.iter()) {
            let known = self.wishes.get(feature).copied();
            let off = state.changeable() && !state.wanted();
            let is = match known {
                Some(Wish::InVain { wanted, .. }) if !state.active() && state.wanted() == wanted => continue,
                Some(Wish::Lost | Wish::SwitchedOff { .. }) if off => continue,
                Some(Wish::Repaired) | None if !off => continue,
                Some(Wish::SwitchedOff { .. }) if !off => Some(Wish::Repaired),
                Some(_) if !off => None,
                None if setting_up => Some(Wish::Lost),
                _ => {
                    decided.push(feature.clone());
                    Some(Wish::SwitchedOff { since_ms: now.wall_ms })
                }
            };
            match is {
                Some(wish) => self.wishes.insert(feature.clone(), wish),
                None => self.wishes.remove(feature),
            };
        }
        decided
    }

    /// What is off counts as lost again; whether something was held, or in vain.
    pub(super) fn release(&mut self) -> bool {
        let mut any = false;
        for wish in self.wishes.values_mut() {
            any |= matches!(wish, Wish::SwitchedOff { .. } | Wish::InVain { .. });
            match wish {
                Wish::SwitchedOff { .. } | Wish::InVain { wanted: false, .. } => *wish = Wish::Lost,
                // Nothing in the way of a recompute.
                Wish::InVain { wanted: true, .. } => *wish = Wish::Repaired,
                Wish::Lost | Wish::Repaired => {}
            }
        }
        any
    }
}

/// Whether the watch may repair a feature of a device, given what it has seen: set a
/// wish that was off from the start, or recompute one that there is.
pub fn may(devices: &[Seen], namespace: &Namespace, at: Position, feature: &str) -> bool {
    let device = &namespace.devices[at];
    let state = device.features.as_ref().and_then(|features| features.get(feature));
    let index = device.link.as_ref().map(|link| link.ifindex);
    let wish = devices.iter().find(|seen| Some(seen.ifindex) == index).map(|seen| seen.wishes.get(feature));
    match (wish, state) {
        (Some(Some(Wish::InVain { stack: then, .. })), _) => *then != stack(namespace, at),
        (Some(Some(Wish::Lost)), Some(FeatureState::Off)) => true,
        (Some(_), Some(FeatureState::OffRequestedOn)) => true,
        _ => false,
    }
}

/// A number that changes with what a repair of a device depends on: links and features
/// of it and of what lies below it.
pub fn stack(namespace: &Namespace, at: Position) -> u64 {
    let mut hasher = DefaultHasher::new();
    for at in std::iter::once(at).chain(Stack::new(namespace).below(at)) {
        let device = &namespace.devices[at];
        if let Some(link) = &device.link {
            (link.ifindex, link.mtu, link.master, link.lower, link.xdp).hash(&mut hasher);
        }
        for (feature, state) in device.features.iter().flat_map(|features| features.iter()) {
            (feature, state.as_str()).hash(&mut hasher);
        }
    }
    hasher.finish()
}
