//! Persistent configuration for what was repaired, as the site's manager reads
//! it. Pure; to be pasted, so every line that is none of the manager's is a
//! comment, which says where it belongs and what that manager cannot express.

use hostdiag_model::features::FeatureName;
use hostdiag_model::harmless::harmless;
use hostdiag_model::plan::Identity;

use crate::offload::intent::link;
use crate::offload::{glob, names};

/// Who configures the network of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Manager {
    /// A .link file, which udev applies; for systemd-networkd and netplan.
    NetworkdLink,
    /// Lines for /etc/network/interfaces.
    Ifupdown,
    /// A section of a keyfile.
    #[value(name = "networkmanager")]
    NetworkManager,
}

/// A repaired device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Which.
    pub device: Identity,
    /// The features that were switched on; none where they were only computed
    /// anew.
    pub features: Vec<FeatureName>,
}

/// What does it where a manager cannot.
const SERVICE: &str = "hostdiag-offload.service sets it (hostdiag explain watch)";

/// Configuration that keeps `devices` repaired: one block each, with a blank
/// line between. It ends with a line feed.
pub fn emit(manager: Manager, devices: &[Repaired]) -> String {
    let blocks: Vec<String> = devices.iter().map(|repaired| block(manager, repaired)).collect();
    if blocks.is_empty() {
        return "# Nothing was repaired: there is nothing to keep.\n".to_owned();
    }
    blocks.join("\n")
}

fn block(manager: Manager, repaired: &Repaired) -> String {
    let device = repaired.device.name.as_str();
    let shown = harmless(device);
    if repaired.features.is_empty() {
        return format!(
            "# {shown}: the kernel computed its features anew. No setting was changed, so there is none to\n\
             # keep; hostdiag-offload.service does the same (hostdiag explain watch).\n"
        );
    }
    if !is_plain(device) {
        return format!(
            "# {shown}: not written out, its name has characters that configuration files and shells take\n\
             # for something else. Give it another name, or configure it by hand.\n"
        );
    }
    let (odd, features): (Vec<&str>, Vec<&str>) =
        repaired.features.iter().map(|feature| &**feature).partition(|name| !is_plain(name));
    let mut text = match manager {
        Manager::NetworkdLink => link_file(&repaired.device, &features),
        Manager::Ifupdown => stanza(device, &features),
        Manager::NetworkManager => keyfile(device, &features),
    };
    for name in odd {
        text += &format!("# {}: not written out, no feature of a kernel has such a name\n", harmless(name));
    }
    text
}

/// Whether a name means itself in INI files, patterns and shells.
fn is_plain(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-@".contains(c);
    !name.is_empty() && !name.starts_with(['-', '.']) && name.chars().all(plain)
}

/// systemd.link(5).
fn link_file(device: &Identity, features: &[&str]) -> String {
    let mut written: Vec<&str> = Vec::new();
    let (mut lines, mut without) = (String::new(), String::new());
    for feature in features {
        let Some((key, _, since)) = link::KEYS.iter().find(|(_, alias, _)| names::covers(alias, feature))
        else {
            without += &format!("# {feature}: systemd has no key for it; {SERVICE}\n");
            continue;
        };
        if written.contains(key) {
            continue;
        }
        written.push(key);
        if let Some(version) = since {
            lines += &format!(
                "# {feature}: needs systemd {version}. One before warns, and ignores the line; then\n\
                 # {SERVICE}\n"
            );
        }
        lines += match *key {
            "TransmitChecksumOffload" => "# For every tx-checksum-* that the device has.\n",
            "TCPSegmentationOffload" => "# For IPv4 alone.\n",
            _ => "",
        };
        lines += &format!("{key}=yes\n");
    }
    if lines.is_empty() { without } else { link_head(device) + &lines + &without }
}

/// What comes before the features in a .link file.
fn link_head(device: &Identity) -> String {
    let name = &device.name;
    let (key, value) = match (&device.kind, &device.permanent_address) {
        // Hardware may have been named by a file such as this.
        (None, Some(address)) if is_address(address) => ("PermanentMACAddress", address),
        _ => ("OriginalName", name),
    };
    format!(
        "# {name}: /etc/systemd/network/10-{name}.link\n\
         # udev applies it once, when the device is created. Of all .link files that match a device\n\
         # only the first by name counts, so this one replaces 99-default.link for {name}; the first\n\
         # three lines of [Link] repeat that one (compare /usr/lib/systemd/network/99-default.link).\n\
         # Where `udevadm info /sys/class/net/{name}` shows another ID_NET_LINK_FILE already, add the\n\
         # other lines of [Link] to that file instead.\n\
         [Match]\n\
         {key}={value}\n\
         \n\
         [Link]\n\
         NamePolicy=keep kernel database onboard slot path\n\
         AlternativeNamesPolicy=database onboard slot path\n\
         MACAddressPolicy=persistent\n"
    )
}

fn is_address(text: &str) -> bool {
    let byte = |part: &str| part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit());
    text.split(':').count() == 6 && text.split(':').all(byte)
}

/// interfaces(5).
fn stanza(device: &str, features: &[&str]) -> String {
    let words: Vec<String> = features.iter().map(|feature| format!("{feature} on")).collect();
    format!(
        "# {device}: into its stanza (iface {device} ...) in /etc/network/interfaces or interfaces.d.\n\
         # ifup runs it each time it brings {device} up. It needs ethtool, and does not hold up the device\n\
         # on a kernel that lacks one of the features; then none of them is set.\n    \
         up ethtool -K \"$IFACE\" {} || true\n",
        words.join(" ")
    )
}

/// nm-settings-keyfile(5).
fn keyfile(device: &str, features: &[&str]) -> String {
    let (known, unknown): (Vec<_>, Vec<_>) =
        features.iter().map(|feature| (*feature, option(feature))).partition(|(_, option)| option.is_some());
    let unknown: String = unknown
        .iter()
        .map(|(feature, _)| format!("# {feature}: NetworkManager has no option for it; {SERVICE}\n"))
        .collect();
    let options: Vec<String> = known.into_iter().filter_map(|(_, option)| option).collect();
    if options.is_empty() {
        return unknown;
    }
    let set: Vec<String> = options.iter().map(|option| format!("ethtool.{option} on")).collect();
    let lines: String = options.iter().map(|option| format!("{option}=true\n")).collect();
    format!(
        "# {device}: into its profile, a file in /etc/NetworkManager/system-connections; or by\n\
         #   uuid=$(nmcli -g GENERAL.CON-UUID device show {device})\n\
         #   nmcli connection modify \"$uuid\" {}\n\
         # NetworkManager sets it whenever it activates the profile; `nmcli connection up` does that\n\
         # now, and interrupts the traffic of {device} for a moment.\n\
         [ethtool]\n{lines}{unknown}",
        set.join(" ")
    )
}

/// Features that NetworkManager has no option for, as of 1.52 (its
/// nm-ethtool-utils.h): the kernel never changes them, they are gone, or new.
const NOT_IN_NETWORK_MANAGER: [&str; 9] = [
    "vlan-challenged",
    "tx-lockless",
    "netns-local",
    "tx-udp-fragmentation",
    "tx-ipip-segmentation",
    "tx-sit-segmentation",
    "tx-tcp-accecn-segmentation",
    "busy-poll",
    "hsr-*",
];

/// NetworkManager's option for a kernel feature. It goes by ethtool's short
/// word where that means just this one.
fn option(feature: &str) -> Option<String> {
    let absent = NOT_IN_NETWORK_MANAGER.iter().any(|pattern| glob::matches(pattern, feature));
    let known = names::KERNEL.contains(&feature) && !absent;
    let alias = names::ALIASES.iter().find(|alias| !alias.is_group() && alias.kernel == feature);
    known.then(|| format!("feature-{}", alias.map_or(feature, |alias| alias.short)))
}

#[cfg(test)]
#[path = "emit_tests.rs"]
mod tests;
