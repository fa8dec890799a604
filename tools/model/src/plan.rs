//! A repair of offloads: what would be set where, everything that will change
//! by it, what is left alone and why; and how a run of it went.
//!
//! Data only. `tools/hostdiag/src/offload/fix/` makes and carries out plans.

use serde::{Deserialize, Serialize};

use crate::audit::Verdict;
use crate::features::{FeatureName, FeatureState};
use crate::offload::{Intent, Problem};

/// What `hostdiag offload --fix` does to one network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Network namespace; absent for the one hostdiag runs in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub netns: Option<String>,
    /// In the order they are taken: a device never before one below it.
    pub steps: Vec<Step>,
    /// What could be repaired, and is not.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub refused: Vec<Refused>,
    /// Devices that are not on the allow list, in the order of their index.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub left: Vec<Left>,
    /// Findings that no step can repair: a device to be created anew, a card
    /// that was switched off.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub beyond: Vec<Beyond>,
}

impl Plan {
    /// Every change of every step.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.steps.iter().flat_map(|step| &step.changes)
    }
}

/// A finding that no step can repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beyond {
    /// The device.
    pub device: String,
    /// The feature.
    pub feature: FeatureName,
    /// The verdict of the audit, which says what would help.
    pub verdict: Verdict,
}

/// What makes a device the same one: the index is used again after a device
/// has gone, and a name can be given to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// Interface name.
    pub name: String,
    /// Interface index.
    pub ifindex: u32,
    /// `IFLA_INFO_KIND`; absent for hardware.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// `IFLA_PERM_ADDRESS`; absent for most software devices.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub permanent_address: Option<String>,
}

/// One call that changes something, and all that follows from it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The device that is called upon.
    pub device: Identity,
    /// What is done.
    pub action: Action,
    /// Features it is done for.
    pub repairs: Vec<FeatureName>,
    /// Every bit of every device that it will change, the device's own first.
    pub changes: Vec<Change>,
}

/// The two kinds of step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Action {
    /// Wanted is set to 1, as by `ethtool -K DEVICE FEATURE on`.
    Set {
        /// Features whose wish is off.
        features: Vec<FeatureName>,
    },
    /// The kernel computes the features of the device anew; no wish is written.
    Recompute,
}

/// A feature of a device, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Change {
    /// Interface name.
    pub device: String,
    /// Interface index.
    pub ifindex: u32,
    /// The feature.
    pub feature: FeatureName,
    /// State before.
    pub before: FeatureState,
    /// State after, where it changes.
    pub after: FeatureState,
    /// Whether that can be known. What is not certain may stay as it is, or
    /// only its wish may change.
    pub certain: bool,
    /// The device is hardware, or poses as it.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub physical: bool,
}

impl Change {
    /// Whether the feature may be in that state after the change.
    pub fn allows(&self, state: FeatureState) -> bool {
        let (before, after) = (self.before, self.after);
        let wanted = state.wanted() == before.wanted() || state.wanted() == after.wanted();
        let active = state.active() == before.active() || state.active() == after.active();
        state == after || !self.certain && wanted && active && state.changeable() == before.changeable()
    }
}

/// A repair that is not made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The device.
    pub device: String,
    /// What would have been repaired.
    pub features: Vec<FeatureName>,
    /// Why not.
    pub reason: Refusal,
}

/// Why a repair is not made. Each has an explain page of its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Refusal {
    /// These bits of physical devices would change, which only
    /// `--physical DEVICE` permits.
    ChangesPhysical {
        /// The bits.
        changes: Vec<Change>,
    },
    /// These bits, which are not among the repaired features, would come on.
    SwitchesOn {
        /// The bits.
        changes: Vec<Change>,
    },
    /// The feature is on the list of those that are never repaired without a
    /// line of the policy for just this device.
    NeedsDeviceLine,
    /// The port carries the traffic of its bond or team alone.
    LastActivePort {
        /// The bond or team.
        master: String,
    },
    /// The 802.3ad port has no partner in sync.
    LacpOutOfSync {
        /// The bond.
        master: String,
    },
    /// Virtual functions were made of the device.
    HasVirtualFunctions {
        /// How many.
        count: u32,
    },
}

impl Refusal {
    /// The stable name, as in JSON and `hostdiag explain`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::ChangesPhysical { .. } => "changes-physical",
            Self::SwitchesOn { .. } => "switches-on",
            Self::NeedsDeviceLine => "needs-device-line",
            Self::LastActivePort { .. } => "last-active-port",
            Self::LacpOutOfSync { .. } => "lacp-out-of-sync",
            Self::HasVirtualFunctions { .. } => "has-virtual-functions",
        }
    }

    /// Every name, for the test that each has a page.
    pub const ALL: [&'static str; 6] = [
        "changes-physical",
        "switches-on",
        "needs-device-line",
        "last-active-port",
        "lacp-out-of-sync",
        "has-virtual-functions",
    ];
}

/// A device that is not touched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// The device.
    pub device: String,
    /// Features it has lost and that stay so; empty where it has lost none.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub features: Vec<FeatureName>,
    /// Why.
    pub reason: Apart,
}

/// What keeps a device off the allow list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Apart {
    /// Hardware, or what poses as it.
    Physical,
    /// A kind that is not repaired: `vxlan`, `wireguard`, `tun`, `macvlan`,
    /// `bridge`, `veth`, …
    Kind {
        /// `IFLA_INFO_KIND`.
        kind: String,
    },
    /// A device below is of a kind that is not repaired.
    LiesOn {
        /// That device.
        device: String,
        /// Its kind.
        kind: String,
    },
    /// What lies below is not known, or in another network namespace.
    BelowUnknown,
    /// It is a port of a bridge that guests or containers are connected to.
    CarriesGuests {
        /// The bridge.
        bridge: String,
    },
    /// It belongs to a datapath of Open vSwitch.
    OpenVswitch,
    /// A virtual function of an SR-IOV card lies below it, or it is one.
    VirtualFunction {
        /// That device.
        device: String,
    },
    /// It stands for a port of a switch in hardware, or lies on what does.
    Representor {
        /// That device.
        device: String,
    },
    /// An XDP program is attached.
    Xdp,
    /// An AF_XDP socket is bound to it.
    AfXdp,
    /// Its name is that of a container network.
    Container,
    /// The hardware below has a known fault with these features.
    Quirk {
        /// Driver.
        driver: String,
        /// What happens with them on.
        problem: String,
    },
    /// Lines of configuration ask for that state.
    AskedFor {
        /// The lines.
        lines: Vec<Intent>,
    },
    /// It is held: by `--hold`, or because somebody switched it off while
    /// `--watch` ran.
    Held,
    /// `--watch` does not do it: what went off later somebody switched off, and
    /// what did not help once does not help again.
    NotUnattended,
    /// The policy leaves it, or this feature, alone.
    Policy,
    /// The layers below do not offer the feature: the wish alone would change
    /// nothing.
    NotOffered,
}

/// A repair as it was planned and, unless it was a dry run, carried out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// What was planned.
    pub plan: Plan,
    /// How it went; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub run: Option<Run>,
}

impl Fix {
    /// Whether features are other than before: something was repaired, or a
    /// run that had been interrupted was undone. A dry run changes nothing.
    pub fn changed(&self) -> bool {
        let Some(run) = &self.run else { return false };
        let by = |done: &Done| match done {
            Done::Repaired { changes } | Done::NotFollowed { changes, .. } => !changes.is_empty(),
            _ => false,
        };
        run.steps.iter().any(by) || run.recovered.iter().any(Undone::changed)
    }
}

/// A repair that was begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// For `--undo ID`; absent where the plan had no steps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub id: Option<String>,
    /// As long each changed device was watched, milliseconds.
    pub observe_ms: u64,
    /// One for each step of the plan.
    pub steps: Vec<Done>,
    /// Runs before this one that were interrupted, and what was undone of them.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recovered: Vec<Undone>,
    /// What is lost still and could be repaired: devices and features.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub remaining: Vec<String>,
    /// What could not be kept or told: the history, the system journal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<Problem>,
}

/// How a step went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Done {
    /// It happened, and nothing got worse. What is here did happen.
    Repaired {
        /// Every bit that changed.
        changes: Vec<Change>,
    },
    /// The kernel or driver did not follow; it was left as it then was.
    NotFollowed {
        /// Every bit that changed.
        changes: Vec<Change>,
        /// Features that did not come.
        missing: Vec<FeatureName>,
    },
    /// Something got worse, or changed that was not planned: undone.
    RolledBack {
        /// What.
        worse: Vec<String>,
    },
    /// Interrupted, and undone.
    Interrupted,
    /// Somebody removed the device meanwhile: there is nothing to set back.
    Removed,
    /// The call failed.
    Failed {
        /// Why.
        error: String,
    },
    /// Not begun.
    NotStarted {
        /// Why.
        why: String,
    },
}

/// What `hostdiag offload --undo` did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The runs it took back; none where there was nothing to undo.
    pub runs: Vec<Undone>,
    /// What could not be kept or told: the history, the system journal.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<Problem>,
}

impl Undo {
    /// Whether features are other than before.
    pub fn changed(&self) -> bool {
        self.runs.iter().any(Undone::changed)
    }
}

/// A run that was undone, or was tried to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undone {
    /// Of which run.
    pub id: String,
    /// One for each wish that the run wrote, last first.
    pub wishes: Vec<UndoneWish>,
    /// Devices whose features were only computed anew: there is no state to
    /// go back to.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub recomputed: Vec<String>,
}

/// What became of a wish.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoneWish {
    /// Interface name, as it is now.
    pub device: String,
    /// The name it had in the run, where it was renamed since.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub was: Option<String>,
    /// The feature.
    pub feature: FeatureName,
    /// What the wish is to be again.
    pub wanted: bool,
    /// How that went.
    pub result: UndoResult,
}

/// How undoing a wish went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum UndoResult {
    /// It is as before the run.
    Restored,
    /// It was already: the run did not come to it, or somebody undid it.
    AlreadySo,
    /// Not touched.
    Conflict {
        /// Why: the device has gone, or another one has its place.
        why: String,
    },
}

impl Undone {
    /// Whether a wish was restored.
    pub fn changed(&self) -> bool {
        self.wishes.iter().any(|wish| wish.result == UndoResult::Restored)
    }

    /// Whether something could not be undone.
    pub fn conflicts(&self) -> bool {
        self.wishes.iter().any(|wish| matches!(wish.result, UndoResult::Conflict { .. }))
    }
}
