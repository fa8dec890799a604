//! What to type next. Commands that can be pasted into a shell.

use std::collections::HashMap;

use hostdiag_model::audit::{Entry, Reason, Repair};
use hostdiag_model::offload::Source;
use hostdiag_model::stack::Role;
use hostdiag_model::{FeatureState, Namespace, OffloadData};

use super::words;
use crate::page::{count, harmless};

/// As many devices are named in one command.
const MAX_NAMED: usize = 32;
/// As many devices are named to `--fix`; for more of them it is for all.
const MAX_FIXED: usize = 4;
/// As many steps are shown.
const MAX_STEPS: usize = 4;

/// The next steps for the findings, lower devices first, as the findings are.
pub(crate) fn steps(data: &OffloadData, findings: &[&Entry]) -> Vec<String> {
    let mut steps = Vec::new();
    if findings.iter().any(|entry| entry.reason == Reason::VlanFeaturesUnknown) {
        steps
            .push("on the host, as root, hostdiag offload tells stuck from a limit of the driver".to_owned());
    }
    for namespace in &data.namespaces {
        let there: Vec<&Entry> =
            findings.iter().copied().filter(|entry| entry.netns == namespace.name).collect();
        add(&mut steps, namespace, &there);
    }
    if steps.len() > MAX_STEPS {
        let more = steps.split_off(MAX_STEPS).len();
        steps.push(format!("and {} for other devices", count(more, "step")));
    }
    steps
}

fn add(steps: &mut Vec<String>, namespace: &Namespace, entries: &[&Entry]) {
    let enter = namespace.path.as_ref().map(|path| words::enter(path)).unwrap_or_default();
    let (fixed, entries) = fixed(namespace, entries);
    steps.extend(fix(namespace, &fixed));
    let entries = entries.as_slice();
    for (devices, features) in by_features(entries, &Repair::Set) {
        let wishes: Vec<String> = features.iter().map(|feature| format!("{feature} on")).collect();
        steps.push(command(&enter, &devices, &[wishes.join(" ")]));
    }
    // A change of any wish makes the kernel compute all features anew, and this
    // one does nothing on a VLAN, bond or team: there and back again.
    for (devices, _) in by_features(entries, &Repair::Recompute) {
        for (from, to) in [("off", "on"), ("on", "off")] {
            let is = |device: &&str| if wanted(namespace, device, TOGGLE) { "on" } else { "off" };
            let those: Vec<&str> = devices.iter().copied().filter(|device| is(device) == from).collect();
            if !those.is_empty() {
                steps.push(command(&enter, &those, &[format!("{TOGGLE} {to}"), format!("{TOGGLE} {from}")]));
            }
        }
    }
    for (devices, features) in unknown(entries) {
        let wishes: Vec<String> = features.iter().map(|feature| format!("{feature} on")).collect();
        let names: Vec<&str> = devices.clone();
        let call = command(&enter, &devices, &[wishes.join(" ")]);
        steps.push(format!("if {} is a VLAN, bond or team: {call}", harmless(&words::devices(&names))));
    }
    for entry in entries {
        let step = match &entry.repair {
            Repair::Recreate { device } => format!("delete {} and create it anew", harmless(device)),
            Repair::Below { devices } => {
                let names: Vec<String> = devices.iter().map(|name| words::shell(&harmless(name))).collect();
                format!("{enter}hostdiag offload --notes {}", names.join(" "))
            }
            _ => continue,
        };
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
}

/// The findings that `--fix` takes on, and the rest: what was read on a live
/// host, where a wish or a recompute repairs a VLAN, bond or team.
fn fixed<'a>(namespace: &Namespace, entries: &[&'a Entry]) -> (Vec<&'a Entry>, Vec<&'a Entry>) {
    let devices = namespace.devices.iter();
    let roles: HashMap<&str, Role> =
        devices.map(|device| (device.name.as_str(), Role::of(device.link.as_ref()))).collect();
    let reached = match (&namespace.name, &namespace.path) {
        (None, _) => true,
        // Others than those of ip-netns(8) have no name to give to --netns.
        (Some(name), path) => path.as_deref() == Some(&format!("/run/netns/{name}")),
    };
    let live = reached && namespace.source != Source::Text;
    let takes = |entry: &&Entry| {
        live && matches!(entry.repair, Repair::Set | Repair::Recompute)
            && matches!(roles.get(entry.device.as_str()), Some(Role::Vlan | Role::Aggregate))
    };
    entries.iter().copied().partition(takes)
}

/// The command that shows the repair of these findings.
fn fix(namespace: &Namespace, entries: &[&Entry]) -> Option<String> {
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.device.as_str()).collect();
    names.dedup();
    let mut command = "sudo hostdiag offload --fix --dry-run".to_owned();
    if let Some(name) = &namespace.name {
        command.push_str(&format!(" --netns {}", words::shell(&harmless(name))));
    }
    // A name that reads as an option is not given.
    if names.len() <= MAX_FIXED && !names.iter().any(|name| name.starts_with('-')) {
        names.iter().for_each(|name| command.push_str(&format!(" {}", words::shell(&harmless(name)))));
    }
    (!names.is_empty()).then_some(command)
}

/// The feature whose wish is changed to make the kernel compute.
const TOGGLE: &str = "tx-nocache-copy";

fn wanted(namespace: &Namespace, name: &str, feature: &str) -> bool {
    let device = namespace.devices.iter().find(|device| device.name == name);
    device.and_then(|device| device.features.as_ref()?.get(feature)).is_some_and(FeatureState::wanted)
}

/// Devices whose wish is off, where nothing tells whether that is right.
fn unknown<'a>(entries: &[&'a Entry]) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let those = entries.iter().copied().filter(|entry| entry.reason == Reason::LayersUnknown);
    same_features(those)
}

/// Devices whose entries with this repair are of the same features.
fn by_features<'a>(entries: &[&'a Entry], repair: &Repair) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    same_features(entries.iter().copied().filter(|entry| entry.repair == *repair))
}

fn same_features<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let mut of_device: Vec<(&str, Vec<&str>)> = Vec::new();
    for entry in entries {
        // Entries of one device stand together.
        match of_device.last_mut() {
            Some((device, features)) if *device == entry.device => features.push(&entry.feature),
            _ => of_device.push((&entry.device, vec![&entry.feature])),
        }
    }
    let mut groups: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
    for (device, features) in of_device {
        match groups.iter_mut().find(|(devices, known)| *known == features && devices.len() < MAX_NAMED) {
            Some((devices, _)) => devices.push(device),
            None => groups.push((vec![device], features)),
        }
    }
    groups
}

/// `ethtool -K` of each wish in turn, for one device or in a loop.
fn command(enter: &str, devices: &[&str], wishes: &[String]) -> String {
    let names: Vec<String> = devices.iter().map(|name| words::shell(&harmless(name))).collect();
    let calls = |name: &str| {
        let calls: Vec<String> =
            wishes.iter().map(|wish| format!("{enter}ethtool -K {name} {wish}")).collect();
        calls.join("; ")
    };
    match names.as_slice() {
        [name] => calls(name),
        names => format!("for dev in {}; do {}; done", names.join(" "), calls("$dev")),
    }
}

#[cfg(test)]
mod tests {
    use hostdiag_model::audit::Verdict;
    use hostdiag_model::{Device, Link};

    use super::*;

    fn device(name: &str, kind: &str) -> Device {
        let link = Link { kind: Some(kind.into()), ..Link::default() };
        Device { name: name.into(), link: Some(link), features: None, vlan_features: None }
    }

    fn entry(device: &str, repair: Repair) -> Entry {
        Entry {
            netns: None,
            device: device.into(),
            feature: "tx-scatter-gather".into(),
            state: FeatureState::Off,
            verdict: Verdict::LostHere,
            finding: true,
            reason: Reason::NothingAsksForIt,
            lost_at: Vec::new(),
            on_in: Vec::new(),
            takes_down: Vec::new(),
            repair,
            asked_by: Vec::new(),
            accepted: None,
        }
    }

    fn next(namespace: Namespace, entries: Vec<Entry>) -> Vec<String> {
        let netns = namespace.name.clone();
        let entries: Vec<Entry> =
            entries.into_iter().map(|entry| Entry { netns: netns.clone(), ..entry }).collect();
        let data = OffloadData {
            namespaces: vec![namespace],
            intents: None,
            intents_incomplete: false,
            held: Vec::new(),
        };
        steps(&data, &entries.iter().collect::<Vec<_>>())
    }

    fn live(devices: Vec<Device>) -> Namespace {
        Namespace { source: Source::Netlink, ..Namespace::of_text(devices) }
    }

    fn vlans(names: &[&str]) -> (Namespace, Vec<Entry>) {
        let devices = names.iter().map(|name| device(name, "vlan")).collect();
        let twice = |name: &&str| [entry(name, Repair::Set), entry(name, Repair::Recompute)];
        (live(devices), names.iter().flat_map(twice).collect())
    }

    #[test]
    fn a_live_host_is_repaired_by_fix() {
        let (namespace, entries) = vlans(&["vlan10", "a'b"]);
        assert_eq!(next(namespace, entries), [r"sudo hostdiag offload --fix --dry-run vlan10 'a'\''b'"]);
        for names in [&["v1", "v2", "v3", "v4", "v5"][..], &["--help"]] {
            let (namespace, entries) = vlans(names);
            assert_eq!(next(namespace, entries), ["sudo hostdiag offload --fix --dry-run"]);
        }
    }

    #[test]
    fn what_fix_does_not_take_on_has_its_commands() {
        let (namespace, mut entries) = vlans(&["vlan10"]);
        entries.push(entry("br0", Repair::Recompute));
        let devices = [namespace.devices, vec![device("br0", "bridge")]].concat();
        let bridge = "ethtool -K br0 tx-nocache-copy on; ethtool -K br0 tx-nocache-copy off";
        let by_fix = "sudo hostdiag offload --fix --dry-run vlan10";
        assert_eq!(next(live(devices.clone()), entries.clone()), [by_fix, bridge]);
        let text = next(Namespace::of_text(devices), entries);
        assert_eq!(text[0], "ethtool -K vlan10 tx-scatter-gather on");
    }

    #[test]
    fn other_namespaces_are_named_where_they_have_a_name() {
        let other = |name: &str, path: &str| {
            let (namespace, entries) = vlans(&["vlan10"]);
            next(Namespace { name: Some(name.into()), path: Some(path.into()), ..namespace }, entries)
        };
        let named = other("blue", "/run/netns/blue");
        assert_eq!(named, ["sudo hostdiag offload --fix --dry-run --netns blue vlan10"]);
        let held = other("pid 7 (sh)", "/proc/7/ns/net");
        assert_eq!(held[0], "nsenter --net=/proc/7/ns/net ethtool -K vlan10 tx-scatter-gather on");
    }
}
