//! tuned: the active profile and those it includes; sections of type `net`
//! with `features=NAME on|off ...`.

use std::collections::BTreeSet;

use hostdiag_model::offload::Device;

use super::host::{Host, Place};
use super::ini::{self, Continuation, Entry};
use super::matching;

/// Where profiles lie, by falling priority.
const FOLDERS: [&str; 4] = ["/etc/tuned/profiles", "/etc/tuned", "/usr/lib/tuned/profiles", "/usr/lib/tuned"];

/// No chain of includes is longer.
const MAX_PROFILES: usize = 32;

pub(super) fn search(host: &mut Host<'_>) {
    let Some(active) = host.read("/etc/tuned/active_profile") else { return };
    let mut pending: Vec<String> = active.split_whitespace().map(str::to_owned).collect();
    let mut seen = BTreeSet::new();
    while let Some(name) = pending.pop() {
        // A name leads to a folder here, and nowhere else.
        if name.contains('/')
            || name.starts_with('.')
            || seen.len() >= MAX_PROFILES
            || !seen.insert(name.clone())
        {
            continue;
        }
        for folder in FOLDERS {
            let path = format!("{folder}/{name}/tuned.conf");
            if let Some(text) = host.read(&path) {
                let entries = ini::parse(&text, Continuation::None);
                profile(host, &path, &entries);
                let included = ini::last(&entries, "main", "include").unwrap_or_default();
                // "-name" is one that need not exist.
                let names = included.split([',', ';', ' ']).map(|name| name.trim().trim_start_matches('-'));
                pending.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
                break;
            }
        }
    }
}

fn profile(host: &mut Host<'_>, path: &str, entries: &[Entry]) {
    for entry in entries.iter().filter(|entry| entry.key == "features") {
        let value = |key| ini::last(entries, &entry.section, key);
        let enabled = value("enabled").and_then(ini::boolean).unwrap_or(true);
        if value("type").unwrap_or(&entry.section) != "net" || !enabled {
            continue;
        }
        let place = Place { file: path, line: entry.line, text: &entry.text, manager: "tuned" };
        let Some(devices) = devices(host, value("devices"), value("devices_udev_regex")) else {
            host.undecided(place, "its devices_udev_regex cannot be told");
            continue;
        };
        let words: Vec<&str> =
            entry.value.split([' ', '\t', ',', ':', '=']).filter(|word| !word.is_empty()).collect();
        for device in devices {
            for pair in words.chunks(2) {
                if let [feature, state @ ("on" | "off")] = pair {
                    host.ask(place, &device, (feature, *state == "on"));
                }
            }
        }
    }
}

/// The devices of a section; tuned takes hardware only. `None` when a regular
/// expression says more than the name of one.
fn devices(host: &Host<'_>, patterns: Option<&str>, regex: Option<&str>) -> Option<Vec<String>> {
    let by_regex = match regex.filter(|regex| !regex.is_empty()) {
        Some(regex) => Some(interfaces(regex)?),
        None => None,
    };
    let wanted = |device: &&Device| match (&by_regex, patterns) {
        (Some(names), _) => names.contains(&device.name),
        (None, patterns) => listed(patterns.unwrap_or("*"), device),
    };
    let hardware = host.devices.iter().filter(|device| matching::is_hardware(device));
    Some(hardware.filter(wanted).map(|device| device.name.clone()).collect())
}

/// `eth*, !eth1`: any of the patterns, none of those with `!`.
fn listed(patterns: &str, device: &Device) -> bool {
    let words = || patterns.split([',', ' ', ';']).filter(|word| !word.is_empty());
    let excluded =
        words().filter_map(|word| word.strip_prefix('!')).any(|word| matching::is_named(device, word));
    let mut included = words().filter(|word| !word.starts_with('!')).peekable();
    let all = included.peek().is_none();
    !excluded && (all || included.any(|word| matching::is_named(device, word)))
}

/// The names in `(^INTERFACE=eth0)|(^INTERFACE=eth1$)`.
fn interfaces(regex: &str) -> Option<Vec<String>> {
    let name = |part: &str| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        let name = part.strip_prefix('^').unwrap_or(part).strip_prefix("INTERFACE=")?;
        let name = name.strip_suffix('$').unwrap_or(name);
        let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_@".contains(c));
        plain.then(|| name.to_owned())
    };
    regex.split('|').map(name).collect()
}
