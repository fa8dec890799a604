//! What follows from [`crate::offload`]: one entry for each root loss of a
//! device, with its verdict. Data only; renderers put it into words.

use serde::{Deserialize, Serialize};

use crate::features::{FeatureName, FeatureState};
use crate::offload::Intent;

/// The result of judging a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Root losses by namespace, then in the order of the devices.
    pub entries: Vec<Entry>,
    /// Accept rules of the policy whose day has passed: device and feature
    /// patterns, with that day.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub expired: Vec<String>,
}

impl Audit {
    /// Entries that count: exit status 1.
    pub fn findings(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.finding)
    }

    /// Entries that explain but do not count.
    pub fn notes(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.finding)
    }
}

/// One root loss. What follows from it on the same device is folded in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Network namespace; absent for the one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub netns: Option<String>,
    /// The device that lacks the feature.
    pub device: String,
    /// The feature.
    pub feature: FeatureName,
    /// Its state there.
    pub state: FeatureState,
    /// What it comes to.
    pub verdict: Verdict,
    /// Whether it counts. Verdict, policy and what is known decide together.
    pub finding: bool,
    /// Why.
    pub reason: Reason,
    /// Devices where the cause lies; empty where it is this one.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lost_at: Vec<String>,
    /// Devices below, nearest first, that have it on.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub on_in: Vec<String>,
    /// Features of the same device that are asked for and off only because
    /// this one is.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub takes_down: Vec<FeatureName>,
    /// What would repair it.
    pub repair: Repair,
    /// Lines of configuration that ask for it to be off.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub asked_by: Vec<Intent>,
    /// The accept rule that made a note of it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accepted: Option<Accepted>,
}

/// What a loss comes to. Each has an explain page of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Wanted off on a VLAN, bond or team whose layer below has it, and nothing
    /// asks for that.
    LostHere,
    /// Wanted, possible, not active: the kernel missed a recompute.
    Stuck,
    /// Wanted and not active; `vlan_features`, which tells stuck from limit,
    /// could not be read.
    StuckOrLimit,
    /// The VLAN below copied `vlan_features` before its own parent had them.
    StaleCopy,
    /// A layer below lost it.
    LostBelow,
    /// Wanted off and nothing found asks for it, where that may be a default.
    OffByWish,
    /// Wanted off, and a line of configuration asks for it.
    OffOnPurpose,
    /// Lost, and held: by `--hold`, or because somebody switched it off while
    /// `--watch` ran.
    Held,
    /// The driver refuses it, or does not offer it to VLANs.
    DriverLimit,
    /// Off because of a known fault of this hardware.
    HardwareQuirk,
    /// A bond, team or bridge without ports has nothing to pass on.
    NoMembers,
    /// LRO, switched off by the kernel for good reason.
    Suppressed,
    /// The device cannot do it.
    Fixed,
}

impl Verdict {
    /// All verdicts, for the test that each has a page.
    pub const ALL: [Self; 13] = [
        Self::LostHere,
        Self::Stuck,
        Self::StuckOrLimit,
        Self::StaleCopy,
        Self::LostBelow,
        Self::OffByWish,
        Self::OffOnPurpose,
        Self::Held,
        Self::DriverLimit,
        Self::HardwareQuirk,
        Self::NoMembers,
        Self::Suppressed,
        Self::Fixed,
    ];

    /// The stable name, as in JSON and `hostdiag explain`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LostHere => "lost-here",
            Self::Stuck => "stuck",
            Self::StuckOrLimit => "stuck-or-limit",
            Self::StaleCopy => "stale-copy",
            Self::LostBelow => "lost-below",
            Self::OffByWish => "off-by-wish",
            Self::OffOnPurpose => "off-on-purpose",
            Self::Held => "held",
            Self::DriverLimit => "driver-limit",
            Self::HardwareQuirk => "hardware-quirk",
            Self::NoMembers => "no-members",
            Self::Suppressed => "suppressed",
            Self::Fixed => "fixed",
        }
    }

    /// Whether it counts as a finding where nothing else is known.
    pub fn is_finding(self) -> bool {
        matches!(self, Self::LostHere | Self::Stuck | Self::StuckOrLimit | Self::StaleCopy | Self::LostBelow)
    }
}

/// Why a feature is not active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Reason {
    /// Wanted is off, and the configuration was searched without result.
    NothingAsksForIt,
    /// Wanted is off, and none of the files that could be read asks for that;
    /// some could not be read, or were not understood.
    NothingReadableAsksForIt,
    /// Wanted is off; the configuration was not searched.
    ConfigurationNotSearched,
    /// Wanted is off, and the layers of the device are not known.
    LayersUnknown,
    /// Wanted is off, as a line of configuration asks.
    AskedFor,
    /// Wanted is off: somebody switched it off while `--watch` ran.
    SwitchedOff {
        /// When that was seen, in milliseconds since 1970, UTC.
        since_ms: u64,
    },
    /// `--hold` was said of the device.
    Held {
        /// Until when, in milliseconds since 1970, UTC; absent: until it is
        /// released, or the host boots.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        until_ms: Option<u64>,
        /// What `--reason` said.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        reason: Option<String>,
    },
    /// Wanted is off, by default of the driver or by hand.
    DefaultOrByHand,
    /// Everything below has it and offers it.
    NotRecomputed,
    /// Everything below has it; whether it is offered to VLANs is not known.
    VlanFeaturesUnknown,
    /// These devices do not offer it to VLANs on them.
    NotOfferedToVlans {
        /// The devices at the bottom.
        devices: Vec<String>,
        /// Their drivers or kinds.
        drivers: Vec<String>,
    },
    /// The parent VLAN copied what its parent offered too early.
    CopiedTooEarly {
        /// The VLAN to be created anew.
        recreate: String,
    },
    /// Devices below lack it.
    Below,
    /// Wanted, and the device below, which decides, is in another network
    /// namespace.
    BelowInAnotherNetns,
    /// Wanted, and the features of the device below are not known.
    BelowUnknown,
    /// Nothing is enslaved to this device.
    NoMembers {
        /// The bond, team or bridge.
        device: String,
    },
    /// The driver refuses it at this MTU.
    Mtu {
        /// The device.
        device: String,
        /// Its MTU in bytes.
        mtu: u32,
    },
    /// An XDP program forbids it.
    Xdp {
        /// The device it is attached to.
        device: String,
    },
    /// The driver refuses it and does not say why.
    DriverRefuses {
        /// The MTU in bytes where it is large, which may be why.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        mtu: Option<u32>,
    },
    /// The process that holds this tun or tap device did not ask for it
    /// (drivers/net/tun.c, `TUNSETOFFLOAD`).
    HolderDecides,
    /// The device has no such feature.
    NotSupported,
    /// A known fault.
    Quirk {
        /// Driver or kind.
        driver: String,
        /// What happens with the feature on.
        problem: String,
        /// Where that is documented.
        reference: String,
    },
    /// What holds LRO off.
    LroSuppressed {
        /// Devices above and conditions.
        by: Vec<String>,
    },
}

/// What would repair a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case")]
pub enum Repair {
    /// `ethtool -K DEVICE FEATURE on`.
    Set,
    /// A recompute, which a plain `ethtool -K` does not cause.
    Recompute,
    /// Creating this device anew.
    Recreate {
        /// The device.
        device: String,
    },
    /// Repairing the devices below.
    Below {
        /// The devices.
        devices: Vec<String>,
    },
    /// A decision of its owner: physical device, or configured so.
    ByHand,
    /// Nothing: it cannot be, or should not.
    None,
}

/// An accept rule of the policy that applies.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// The reason its author gave.
    pub reason: String,
    /// The last day it holds, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until: Option<String>,
}
