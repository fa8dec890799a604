//! What to type next. Commands that can be pasted into a shell.

use hostdiag_model::audit::{Entry, Repair, Verdict};
use hostdiag_model::{Namespace, OffloadData};

use super::words;
use crate::page::{count, harmless};

/// As many devices are named in one command.
const MAX_NAMED: usize = 32;
/// As many steps are shown.
const MAX_STEPS: usize = 4;

/// The next steps for the findings, lower devices first, as the findings are.
pub(super) fn steps(data: &OffloadData, findings: &[&Entry]) -> Vec<String> {
    let mut steps = Vec::new();
    if findings.iter().any(|entry| entry.verdict == Verdict::StuckOrLimit) {
        steps.push("run it as root: then stuck can be told from a limit of the driver".to_owned());
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
    // Its wish is met by no driver, so that changing it costs nothing, and a
    // change of any wish makes the kernel compute all features anew.
    for (devices, _) in by_features(entries, &Repair::Recompute) {
        let toggle = ["tx-nocache-copy on".to_owned(), "tx-nocache-copy off".to_owned()];
        steps.push(command(&enter, &devices, &toggle));
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

/// Devices whose entries with this repair are of the same features.
fn by_features<'a>(entries: &[&'a Entry], repair: &Repair) -> Vec<(Vec<&'a str>, Vec<&'a str>)> {
    let mut of_device: Vec<(&str, Vec<&str>)> = Vec::new();
    for entry in entries.iter().filter(|entry| entry.repair == *repair) {
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
