//! NetworkManager's connection profiles in keyfile format
//! (nm-settings-keyfile(5)): `[ethtool]` with `feature-NAME=true|false`.

use hostdiag_model::offload::Device;

use super::host::{Host, Place};
use super::ini::{self, Continuation, Entry};
use super::matching::{self, Verdict};

/// By falling priority.
const FOLDERS: [&str; 3] = [
    "/etc/NetworkManager/system-connections",
    "/run/NetworkManager/system-connections",
    "/usr/lib/NetworkManager/system-connections",
];

pub(super) fn search(host: &mut Host<'_>) {
    for path in host.layered(&FOLDERS, "").into_values() {
        // NetworkManager skips what editors and package managers leave behind.
        if [".rpmnew", ".rpmsave", ".rpmorig", ".dpkg-dist", ".dpkg-old", ".bak"]
            .iter()
            .any(|end| path.ends_with(end))
        {
            continue;
        }
        if let Some(text) = host.read(&path) {
            profile(host, &path, &ini::parse(&text, Continuation::None));
        }
    }
}

fn profile(host: &mut Host<'_>, file: &str, entries: &[Entry]) {
    let settings: Vec<_> = entries.iter().filter_map(|entry| Some((entry, setting(entry)?))).collect();
    if settings.is_empty() {
        return;
    }
    let devices = host.devices;
    let matching: Vec<&Device> =
        devices.iter().filter(|device| verdict(entries, device) == Verdict::Yes).collect();
    let unknown =
        matching.is_empty() && devices.iter().any(|device| verdict(entries, device) == Verdict::Unknown);
    for (entry, setting) in settings {
        let place = Place { file, line: entry.line, text: &entry.text, manager: "NetworkManager" };
        if unknown {
            host.undecided(place, "the profile does not tell for which device");
        }
        for device in &matching {
            host.ask(place, &device.name, setting);
        }
    }
}

/// A line such as `feature-tx-scatter-gather=false`. NetworkManager's names
/// are those of ethtool: short aliases, else the kernel's.
fn setting(entry: &Entry) -> Option<(&str, bool)> {
    let feature = entry.key.strip_prefix("feature-").filter(|_| entry.section == "ethtool")?;
    Some((feature, ini::boolean(&entry.value)?))
}

fn verdict(entries: &[Entry], device: &Device) -> Verdict {
    let value = |sections: &[&str], key: &str| {
        let found = sections.iter().find_map(|section| ini::last(entries, section, key));
        found.filter(|value| !value.is_empty())
    };
    let ethernet = ["ethernet", "802-3-ethernet", "wifi", "802-11-wireless"];
    let virtual_device = ["vlan", "bond", "bridge", "team", "infiniband"];
    let mut conditions: Vec<Verdict> = Vec::new();
    let name = value(&["connection"], "interface-name").or_else(|| value(&virtual_device, "interface-name"));
    conditions.extend(name.map(|name| Verdict::from(matching::is_named(device, name))));
    conditions.extend(value(&["match"], "interface-name").map(|list| Verdict::from(matched(device, list))));
    conditions
        .extend(value(&ethernet, "mac-address").map(|mac| matching::has_mac(device, std::iter::once(mac))));
    conditions.extend(value(&["match"], "driver").map(|_| Verdict::Unknown));
    conditions.extend(value(&["match"], "path").map(|_| Verdict::Unknown));
    if let ([], Some((parent, id))) =
        (conditions.as_slice(), value(&["vlan"], "parent").zip(value(&["vlan"], "id")))
    {
        // Without a name NetworkManager makes one of the two.
        conditions.push(matching::is_named(device, &format!("{parent}.{id}")).into());
    }
    // A profile without a device is for whichever it is activated on.
    conditions.into_iter().min().unwrap_or(Verdict::Unknown)
}

/// `[match] interface-name`: shell patterns of which one must match; `!` in
/// front excludes, `&` and `|` say "and", "or" (the default).
fn matched(device: &Device, list: &str) -> bool {
    let mut optional: Option<bool> = None;
    for word in list.split([';', ',', ' ']).map(str::trim).filter(|word| !word.is_empty()) {
        let (mandatory, word) = match word.strip_prefix('&') {
            Some(word) => (true, word),
            None => (false, word.strip_prefix('|').unwrap_or(word)),
        };
        let (excluded, word) = match word.strip_prefix('!') {
            Some(word) => (true, word),
            None => (false, word.strip_prefix('\\').unwrap_or(word)),
        };
        let holds = matching::is_named(device, word) != excluded;
        if mandatory || excluded {
            if !holds {
                return false;
            }
        } else {
            optional = Some(optional.unwrap_or(false) || holds);
        }
    }
    optional.unwrap_or(true)
}
