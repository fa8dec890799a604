//! The policy, `/etc/hostdiag/offload.toml`: which lost or switched-off
//! features of which devices are as they should be, why, and until when; and
//! what `--fix` may do.
//!
//! ```toml
//! mode = "report"                # of the boot-time unit: "report" or "repair"
//!
//! [repair]
//! features = ["sg", "tso"]       # in place of the default list
//! include = ["vlan*"]            # only these devices
//! leave = ["vlan200"]            # never these
//!
//! [[repair.device]]
//! device = "eth0"                # one device, no pattern
//! features = ["rx-lro"]          # on top of the list, also what is never repaired else
//!
//! [[accept]]
//! device = "vlan*"               # shell pattern of interface names
//! feature = "tx-scatter-gather"  # kernel name, alias of ethtool (sg), or pattern
//! reason = "Firmware drops fragments, ticket NET-123"
//! until = 2027-01-31             # last day it counts; without it, for ever
//! ```
//!
//! Pure: text in, decisions out; the day is given by the caller. A policy that
//! cannot be read as a whole is an error, because half a policy would accept,
//! report or repair the wrong things in silence.

use std::fmt;

use anyhow::{Result, bail};

use super::fix::never;
use super::{glob, names};

mod read;

/// What `--fix` repairs where the policy has no list of its own.
pub const REPAIRED: [&str; 9] = [
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv4",
    "tx-checksum-ipv6",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-accecn-segmentation",
    "tx-generic-segmentation",
];

/// What `/etc/hostdiag/offload.toml` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Name of the file, for messages.
    pub file: String,
    /// The entries in the order of the file.
    pub accepts: Vec<Accept>,
    mode: Mode,
    repairs: Repairs,
}

/// What the boot-time unit does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It audits, and fails where something is lost.
    #[default]
    Report,
    /// It repairs.
    Repair,
}

/// What `--fix` may do, by `[repair]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// In place of [`REPAIRED`].
    pub features: Option<Vec<Feature>>,
    /// Shell patterns of the only devices; empty for all.
    pub include: Vec<String>,
    /// Shell patterns of devices that are left alone, whatever else is said.
    pub leave: Vec<String>,
    /// Each `[[repair.device]]`.
    pub devices: Vec<DeviceLine>,
}

/// A feature as the policy names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kernel name, alias of ethtool, or shell pattern of kernel names.
    pub name: String,
    /// Its line, from 1.
    pub line: usize,
}

/// One `[[repair.device]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceLine {
    /// Interface name; no pattern.
    pub device: String,
    /// What is repaired there beyond the list.
    pub features: Vec<Feature>,
}

/// Whether the policy lets a feature of a device be repaired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// It does.
    Yes,
    /// It is not on the list, or the device is left alone.
    NotListed,
    /// Only a line for just this device would; why so.
    NeedsDeviceLine(&'static str),
}

/// One `[[accept]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accept {
    /// Shell pattern of interface names.
    pub device: String,
    /// Kernel name, alias of ethtool, or shell pattern of kernel names.
    pub feature: String,
    /// Why that is right; one line, never empty.
    pub reason: String,
    /// The last day on which it counts.
    pub until: Option<Date>,
    /// Line of its `[[accept]]`, from 1.
    pub line: usize,
}

/// A day of the Gregorian calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date {
    /// Year.
    pub year: u16,
    /// Month, 1 to 12.
    pub month: u8,
    /// Day of the month, from 1.
    pub day: u8,
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }
}

impl Accept {
    /// Whether it no longer counts on `day`.
    pub fn expired(&self, day: Date) -> bool {
        self.until.is_some_and(|until| until < day)
    }

    /// Whether it is about that feature of that device, on any day.
    pub fn covers(&self, device: &str, feature: &str) -> bool {
        glob::matches(&self.device, device) && names::covers(&self.feature, feature)
    }
}

impl Feature {
    /// Whether it lets a kernel feature be repaired. One that is never repaired
    /// by a pattern or a group has to be named.
    fn covers(&self, feature: &str) -> bool {
        match never::reason(feature) {
            Some(_) => self.only() == feature,
            None => names::covers(&self.name, feature),
        }
    }

    /// The one kernel feature that an alias such as `lro` stands for; else the
    /// name itself.
    fn only(&self) -> &str {
        match names::alias(&self.name) {
            Some(alias) if !alias.is_group() => alias.kernel,
            _ => &self.name,
        }
    }
}

impl Policy {
    /// Reads the text of a policy; `name` is the file's name for messages.
    ///
    /// # Errors
    ///
    /// Text that is not TOML, keys and words that do not exist (the nearest one
    /// is named), missing or empty values, values of the wrong type, features in
    /// `[repair]` that need a line for just one device, a device that is both
    /// left alone and given a line; each with file and line.
    pub fn parse(text: &str, name: &str) -> Result<Self> {
        read::policy(text, name)
    }

    /// What the boot-time unit is to do.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Whether a lost kernel feature of a device may be repaired.
    pub fn repairs(&self, device: &str, feature: &str) -> Allowed {
        if self.leaves_alone(device) {
            return Allowed::NotListed;
        }
        let mut lines = self.repairs.devices.iter().filter(|line| line.device == device);
        if lines.any(|line| line.features.iter().any(|named| named.covers(feature))) {
            return Allowed::Yes;
        }
        if let Some(reason) = never::reason(feature) {
            return Allowed::NeedsDeviceLine(reason);
        }
        let listed = match &self.repairs.features {
            Some(features) => features.iter().any(|named| named.covers(feature)),
            None => REPAIRED.contains(&feature),
        };
        if listed { Allowed::Yes } else { Allowed::NotListed }
    }

    /// Whether a device is not to be touched. One with a line of its own
    /// belongs to those included.
    pub fn leaves_alone(&self, device: &str) -> bool {
        let Repairs { include, leave, devices, .. } = &self.repairs;
        let among = |patterns: &[String]| patterns.iter().any(|pattern| glob::matches(pattern, device));
        let included = include.is_empty() || among(include) || devices.iter().any(|one| one.device == device);
        among(leave) || !included
    }

    /// Looks for features of `[repair]` that no kernel has: neither those that
    /// hostdiag knows, nor `live`, the names that this one has.
    ///
    /// # Errors
    ///
    /// The first of them, with file, line and the nearest name.
    pub fn check_features(&self, live: &[&str]) -> Result<()> {
        let known: Vec<&str> = names::KERNEL.iter().copied().chain(live.iter().copied()).collect();
        let of_devices = self.repairs.devices.iter().flat_map(|line| &line.features);
        for Feature { name, line } in self.repairs.features.iter().flatten().chain(of_devices) {
            if known.iter().any(|feature| names::covers(name, feature)) {
                continue;
            }
            let hint = match nearest(name, &with_aliases(&known)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`ethtool -k` prints the names".to_owned(),
            };
            bail!("{}, line {line}: no kernel has a feature `{name}`; {hint}", self.file);
        }
        Ok(())
    }

    /// The first entry that accepts this kernel feature on this device to be
    /// off on `day`. Expired entries accept nothing.
    pub fn accepts(&self, device: &str, feature: &str, day: Date) -> Option<&Accept> {
        self.accepts.iter().find(|accept| !accept.expired(day) && accept.covers(device, feature))
    }

    /// The entries that no longer count on `day`.
    pub fn expired(&self, day: Date) -> impl Iterator<Item = &Accept> {
        self.accepts.iter().filter(move |accept| accept.expired(day))
    }

    /// The entries whose feature none of `known` (kernel names) is, each with
    /// the nearest name: a misspelling, or a feature of another kernel.
    pub fn unknown_features<'a>(&'a self, known: &[&'a str]) -> Vec<(&'a Accept, Option<&'a str>)> {
        let candidates = with_aliases(known);
        self.accepts
            .iter()
            .filter(|accept| names::alias(&accept.feature).is_none())
            .filter(|accept| !known.iter().any(|name| names::covers(&accept.feature, name)))
            .map(|accept| (accept, nearest(&accept.feature, &candidates)))
            .collect()
    }
}

/// Names of features and ethtool's short words for them.
fn with_aliases<'a>(known: &[&'a str]) -> Vec<&'a str> {
    known.iter().copied().chain(names::ALIASES.iter().map(|alias| alias.short)).collect()
}

/// How alike two words must be for one to be a misspelling of the other.
const ALIKE: f64 = 0.75;

/// The word most like `word`, if any is like it.
fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let scored = candidates.iter().map(|candidate| (strsim::jaro_winkler(word, candidate), *candidate));
    scored.filter(|(score, _)| *score >= ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
