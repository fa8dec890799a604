//! What to type next. Commands that can be pasted into a shell.

use hostdiag_model::audit::{Entry, Reason, Repair};
use hostdiag_model::{FeatureState, Namespace, OffloadData};

use super::words;
use crate::page::{count, harmless};

/// As many devices are named in one command.
const MAX_NAMED: usize = 32;
/// As many steps are shown.
const MAX_STEPS: usize = 4;

/// The next steps for the findings, lower devices first, as the findings are.
pub(super) fn steps(data: &OffloadData, findings: &[&Entry]) -> Vec<String> {
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
    let enter = match &namespace.path {
        Some(path) => format!("nsenter --net={} ", words::shell(&harmless(path))),
        None => String::new(),
    };
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
