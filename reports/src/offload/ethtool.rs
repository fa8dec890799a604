//! Exactly what `ethtool -k` prints (ethtool 6.1, netlink/features.c): groups
//! in the order of its table, then what is in no group.

use hostdiag_model::{Device, FeatureState, Features};

/// One line of ethtool's table: its long name and the pattern of the kernel's
/// names it stands for.
const GROUPS: [(&str, &str); 12] = [
    ("rx-checksumming", "rx-checksum"),
    ("tx-checksumming", "tx-checksum-*"),
    ("scatter-gather", "tx-scatter-gather*"),
    ("tcp-segmentation-offload", "tx-tcp*-segmentation"),
    ("udp-fragmentation-offload", "tx-udp-fragmentation"),
    ("generic-segmentation-offload", "tx-generic-segmentation"),
    ("generic-receive-offload", "rx-gro"),
    ("large-receive-offload", "rx-lro"),
    ("rx-vlan-offload", "rx-vlan-hw-parse"),
    ("tx-vlan-offload", "tx-vlan-hw-insert"),
    ("ntuple-filters", "rx-ntuple-filter"),
    ("receive-hashing", "rx-hashing"),
];

/// The text for some devices, with a blank line in front of all but a single
/// one, as ethtool does it.
pub fn text(devices: &[&Device]) -> String {
    let mut text = String::new();
    for device in devices {
        if devices.len() > 1 {
            text.push('\n');
        }
        text.push_str(&format!("Features for {}:\n", device.name));
        if let Some(features) = &device.features {
            add(&mut text, features);
        }
    }
    text
}

fn add(text: &mut String, features: &Features) {
    for (long, pattern) in GROUPS {
        let members: Vec<(&str, FeatureState)> = features
            .iter()
            .filter(|(name, _)| matches(pattern, name))
            .map(|(name, state)| (&**name, state))
            .collect();
        match members.as_slice() {
            [] => {}
            [(_, state)] if !pattern.contains('*') => text.push_str(&format!("{long}: {state}\n")),
            members => {
                let on = members.iter().any(|(_, state)| state.active());
                text.push_str(&format!("{long}: {}\n", if on { "on" } else { "off" }));
                for (name, state) in members {
                    text.push_str(&format!("\t{name}: {state}\n"));
                }
            }
        }
    }
    let grouped = |name: &str| GROUPS.iter().any(|(_, pattern)| matches(pattern, name));
    for (name, state) in features.iter().filter(|(name, _)| !grouped(name)) {
        text.push_str(&format!("{name}: {state}\n"));
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
    }
}
