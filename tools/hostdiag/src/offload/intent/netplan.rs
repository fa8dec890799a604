//! netplan's YAML (netplan-yaml(5)): `...-offload: true|false` of a device
//! definition. netplan turns them into .link files for networkd.

use hostdiag_model::offload::Device;

use super::host::{Host, Place};
use super::ini;
use super::matching::{self, Verdict};
use super::yaml::{self, Item, Node};
use crate::offload::glob;

/// By falling priority.
const FOLDERS: [&str; 4] = ["/run/netplan", "/etc/netplan", "/usr/lib/netplan", "/lib/netplan"];

/// Keys of a definition, and the features they set.
const KEYS: [(&str, &str); 7] = [
    ("receive-checksum-offload", "rx"),
    ("transmit-checksum-offload", "tx"),
    ("tcp-segmentation-offload", "tx-tcp-segmentation"),
    ("tcp6-segmentation-offload", "tx-tcp6-segmentation"),
    ("generic-segmentation-offload", "gso"),
    ("generic-receive-offload", "gro"),
    ("large-receive-offload", "lro"),
];

/// A file as read: path, text, documents.
struct File {
    path: String,
    text: String,
    documents: Vec<Node>,
}

pub(super) fn search(host: &mut Host<'_>) {
    let mut files = Vec::new();
    for path in host.layered(&FOLDERS, ".yaml").into_values() {
        let Some(text) = host.read(&path) else { continue };
        match yaml::parse(&text) {
            Ok(documents) => files.push(File { path, text, documents }),
            Err(error) if text.contains("-offload") => host.problem(&path, &format!("not YAML: {error}")),
            Err(_) => {}
        }
    }
    for file in &files {
        for (kind, item) in definitions(file) {
            definition(host, &files, (file, kind, item));
        }
    }
}

/// The definitions of a file, with the section they stand in.
fn definitions(file: &File) -> impl Iterator<Item = (&str, &Item)> {
    let networks = file.documents.iter().filter_map(|document| document.get("network"));
    let sections = networks.flat_map(Node::items);
    sections.flat_map(|section| section.value.items().iter().map(|item| (section.key.as_str(), item)))
}

fn definition(host: &mut Host<'_>, files: &[File], (file, kind, item): (&File, &str, &Item)) {
    let settings: Vec<_> =
        item.value.items().iter().filter_map(|item| Some((item, setting(item)?))).collect();
    if settings.is_empty() {
        return;
    }
    // A definition may be spread over files: its match can stand in another.
    let same =
        files.iter().flat_map(definitions).filter(|(other, same)| *other == kind && same.key == item.key);
    let parts: Vec<&Node> = same.map(|(_, item)| &item.value).collect();
    let devices = host.devices;
    let verdicts: Vec<_> =
        devices.iter().map(|device| (verdict(&item.key, &parts, device), device)).collect();
    let known = verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Yes);
    for (setting, (feature, on)) in settings {
        let index = usize::try_from(setting.line.saturating_sub(1)).unwrap_or(usize::MAX);
        let text = file.text.lines().nth(index).unwrap_or_default();
        let place = Place { file: &file.path, line: setting.line, text, manager: "netplan" };
        if !known && verdicts.iter().any(|(verdict, _)| *verdict == Verdict::Unknown) {
            host.undecided(place, "the device that its match means cannot be told");
        }
        for (_, device) in verdicts.iter().filter(|(verdict, _)| *verdict == Verdict::Yes) {
            host.ask(place, &device.name, (feature, on));
        }
    }
}

fn setting(item: &Item) -> Option<(&'static str, bool)> {
    let (_, feature) = KEYS.iter().find(|(key, _)| *key == item.key)?;
    let Node::Scalar(value) = &item.value else { return None };
    Some((feature, ini::boolean(value)?))
}

/// Whether the definition of that name, in these parts, means the device.
fn verdict(id: &str, parts: &[&Node], device: &Device) -> Verdict {
    let words = |path: &[&str]| -> Vec<&str> {
        let nodes = parts.iter().filter_map(|part| path.iter().try_fold(*part, |node, key| node.get(key)));
        nodes.flat_map(Node::words).collect()
    };
    if parts.iter().all(|part| part.get("match").is_none()) {
        return matching::is_named(device, id).into();
    }
    let mut conditions = Vec::new();
    let (names, macs, drivers) =
        (words(&["match", "name"]), words(&["match", "macaddress"]), words(&["match", "driver"]));
    let renamed = words(&["set-name"]).first().map(|name| matching::is_named(device, name));
    if !names.is_empty() {
        let matching = names.iter().map(|name| matching::was_named(device, name)).max();
        conditions.push(if renamed == Some(true) { Verdict::Yes } else { matching.unwrap_or(Verdict::No) });
    }
    if !macs.is_empty() {
        conditions.push(matching::has_mac(device, macs.into_iter()));
    }
    if !drivers.is_empty() {
        let driver = matching::driver(device);
        let matching = |driver: &str| drivers.iter().any(|pattern| glob::matches(pattern, driver));
        conditions.push(driver.map_or(Verdict::Unknown, |driver| matching(driver).into()));
    }
    // An empty match means every device of the section; netplan's ethernets
    // are hardware.
    conditions.into_iter().min().unwrap_or_else(|| matching::is_hardware(device).into())
}
