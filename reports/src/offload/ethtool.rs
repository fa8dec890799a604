//! Exactly what `ethtool -k` prints (ethtool 6.1, netlink/features.c): groups
//! in the order of its table, then what is in no group.

use hostdiag_model::names::ALIASES;
use hostdiag_model::{Device, FeatureState, Features, glob};

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
    for alias in &ALIASES {
        let members: Vec<(&str, FeatureState)> = features
            .iter()
            .filter(|(name, _)| glob::matches(alias.kernel, name))
            .map(|(name, state)| (&**name, state))
            .collect();
        match members.as_slice() {
            [] => {}
            [(_, state)] if !alias.is_group() => text.push_str(&format!("{}: {state}\n", alias.long)),
            members => {
                let on = members.iter().any(|(_, state)| state.active());
                text.push_str(&format!("{}: {}\n", alias.long, if on { "on" } else { "off" }));
                for (name, state) in members {
                    text.push_str(&format!("\t{name}: {state}\n"));
                }
            }
        }
    }
    let grouped = |name: &str| ALIASES.iter().any(|alias| glob::matches(alias.kernel, name));
    for (name, state) in features.iter().filter(|(name, _)| !grouped(name)) {
        text.push_str(&format!("{name}: {state}\n"));
    }
}
