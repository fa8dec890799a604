//! Metrics of an audit, for the textfile collector of node_exporter: Prometheus' text format, with
//! a zero for what is fine, since an alert on an increase never sees a series that is born at 1.
//!
//! Only VLANs, bonds and teams with what lies below them, and only features that the policy is
//! about: no series for each container or for what nobody asks about. Devices whose names come to
//! the same text are one series.

use std::collections::{BTreeMap, BTreeSet};

use hostdiag_model::audit::Verdict;
use hostdiag_model::history::{HistoryEntry, What};
use hostdiag_model::stack::{Position, Role, Stack};
use hostdiag_model::{Audit, Namespace, OffloadData};

pub mod check;
mod family;

use self::family::{Family, Kind};

/// One look at a host.
pub struct Look<'a> {
    /// Version of hostdiag.
    pub version: &'a str,
    /// What was read.
    pub data: &'a OffloadData,
    /// What came of it.
    pub audit: &'a Audit,
    /// Whether the policy is about this feature (second) of this device (first).
    pub counts: &'a dyn Fn(&str, &str) -> bool,
    /// Every change of this host; absent where it may not be read.
    pub history: Option<&'a [HistoryEntry]>,
    /// Devices of this namespace that somebody keeps as they are; absent where that is not known.
    pub held: Option<&'a BTreeSet<String>>,
    /// When the look ended, in milliseconds since 1970.
    pub ended_ms: u64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

/// The text, families and series in one order. [`check::check`] accepts it.
pub fn text(look: &Look<'_>) -> String {
    let devices = devices(look.data);
    let families = [vec![build(look)], features(look, &devices), vec![findings(look.audit)], host(look)];
    let of_devices = [held(look, &devices), changes(look, &devices)];
    families.iter().chain(&of_devices).flatten().map(Family::to_string).collect()
}

/// A device that has series.
struct Stacked<'a> {
    namespace: &'a Namespace,
    at: Position,
}

impl<'a> Stacked<'a> {
    fn name(&self) -> &'a str {
        &self.namespace.devices[self.at].name
    }

    fn labels(&self) -> Vec<(&'a str, &'a str)> {
        let netns = self.namespace.name.as_deref().map(|name| ("netns", name));
        netns.into_iter().chain([("device", self.name())]).collect()
    }
}

fn devices(data: &OffloadData) -> Vec<Stacked<'_>> {
    let of = |namespace| {
        let stack = Stack::new(namespace);
        let all = 0..namespace.devices.len();
        let tops = all.filter(|at| matches!(stack.role(*at), Role::Vlan | Role::Aggregate));
        let within = tops.flat_map(|at| std::iter::once(at).chain(stack.below(at)));
        let within: BTreeSet<Position> = within.collect();
        within.into_iter().map(move |at| Stacked { namespace, at })
    };
    data.namespaces.iter().flat_map(of).collect()
}

fn build(look: &Look<'_>) -> Family {
    let mut build = Family::new("hostdiag_build_info", Kind::Gauge, "Version of hostdiag.");
    build.put(&[("version", look.version)], 1.0, f64::max);
    build
}

fn features(look: &Look<'_>, devices: &[Stacked<'_>]) -> Vec<Family> {
    let mut active = Family::new(
        "hostdiag_offload_feature_active",
        Kind::Gauge,
        "1 where the feature works on that device.",
    );
    let mut lost = Family::new(
        "hostdiag_offload_feature_lost",
        Kind::Gauge,
        "1 where the audit finds the feature lost; 0 too where it is off for a good reason.",
    );
    let is_lost = |netns: &Option<String>, device: &str, feature: &str| {
        let mut findings = look.audit.findings();
        findings.any(|entry| entry.netns == *netns && entry.device == device && *entry.feature == *feature)
    };
    for device in devices {
        let features = device.namespace.devices[device.at].features.iter().flat_map(|all| all.iter());
        for (feature, state) in features.filter(|(feature, _)| (look.counts)(device.name(), feature)) {
            let mut labels = device.labels();
            labels.push(("feature", feature));
            active.put(&labels, f64::from(u8::from(state.active())), f64::min);
            let found = is_lost(&device.namespace.name, device.name(), feature);
            lost.put(&labels, f64::from(u8::from(found)), f64::max);
        }
    }
    vec![active, lost]
}

/// Of all devices and features: what no policy repairs is a finding too.
fn findings(audit: &Audit) -> Family {
    let mut findings =
        Family::new("hostdiag_offload_findings", Kind::Gauge, "Findings of the audit by verdict.");
    for verdict in Verdict::ALL.into_iter().filter(|verdict| verdict.is_finding()) {
        findings.put(&[("verdict", verdict.as_str())], 0.0, f64::max);
    }
    for entry in audit.findings() {
        findings.put(&[("verdict", entry.verdict.as_str())], 1.0, |sum, one| sum + one);
    }
    findings
}

/// What is of the look as a whole.
fn host(look: &Look<'_>) -> Vec<Family> {
    let seconds = |ms: u64| ms as f64 / 1000.0;
    let unread: usize = look.data.namespaces.iter().map(|namespace| namespace.problems.len()).sum();
    let gauges = [
        ("hostdiag_offload_unread", "Parts of the host that the audit could not read.", unread as f64),
        (
            "hostdiag_offload_last_run_timestamp_seconds",
            "When the audit ended, since 1970.",
            seconds(look.ended_ms),
        ),
        ("hostdiag_offload_last_run_duration_seconds", "How long the audit took.", seconds(look.took_ms)),
    ];
    let family = |(name, help, value)| {
        let mut family = Family::new(name, Kind::Gauge, help);
        family.put(&[], value, f64::max);
        family
    };
    gauges.into_iter().map(family).collect()
}

fn held(look: &Look<'_>, devices: &[Stacked<'_>]) -> Vec<Family> {
    let Some(held) = look.held else { return Vec::new() };
    let mut family = Family::new(
        "hostdiag_offload_device_held",
        Kind::Gauge,
        "1 where somebody keeps the device as it is, so that it is not repaired.",
    );
    for device in devices {
        let is_held = device.namespace.name.is_none() && held.contains(device.name());
        family.put(&device.labels(), f64::from(u8::from(is_held)), f64::max);
    }
    vec![family]
}

/// Runs that changed a device, and those that had to take it back.
fn changes(look: &Look<'_>, devices: &[Stacked<'_>]) -> Vec<Family> {
    let Some(history) = look.history else { return Vec::new() };
    let family = |name, help, kinds: &[What]| {
        let runs = runs(history, kinds);
        let mut family = Family::new(name, Kind::Counter, help);
        for device in devices {
            let of_device = (device.namespace.name.as_deref(), device.name());
            let count = runs.get(&of_device).map_or(0, BTreeSet::len);
            family.put(&device.labels(), count as f64, |sum, more| sum + more);
        }
        family
    };
    vec![
        family(
            "hostdiag_offload_repairs_total",
            "Runs that repaired the device, as the history has them.",
            &[What::Set, What::Recompute],
        ),
        family(
            "hostdiag_offload_rollbacks_total",
            "Runs that set the device back, since something got worse.",
            &[What::Rollback],
        ),
    ]
}

/// Runs by network namespace and device.
fn runs<'a>(
    history: &'a [HistoryEntry],
    kinds: &[What],
) -> BTreeMap<(Option<&'a str>, &'a str), BTreeSet<&'a str>> {
    let mut runs: BTreeMap<_, BTreeSet<&str>> = BTreeMap::new();
    for entry in history.iter().filter(|entry| kinds.contains(&entry.what)) {
        runs.entry((entry.netns.as_deref(), entry.device.as_str())).or_default().insert(&entry.run);
    }
    runs
}

#[cfg(test)]
mod tests;
