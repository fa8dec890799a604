//! Interface files of the network scripts: `ETHTOOL_OPTS="-K eth0 gso off"` in
//! ifcfg-NAME of Red Hat, `ETHTOOL_OPTIONS_x='-K iface gso off'` of SUSE.

use super::host::{Host, Place};
use super::matching::{self, Verdict};
use super::script::{self, Scope};

const FOLDERS: [&str; 2] = ["/etc/sysconfig/network-scripts", "/etc/sysconfig/network"];

pub(super) fn search(host: &mut Host<'_>) {
    for folder in FOLDERS {
        for name in host.list(folder) {
            let Some(interface) = name.strip_prefix("ifcfg-") else { continue };
            let path = format!("{folder}/{name}");
            if let Some(text) = host.read(&path) {
                file(host, &path, (interface, &text));
            }
        }
    }
}

fn file(host: &mut Host<'_>, path: &str, (interface, text): (&str, &str)) {
    let value =
        |key: &str| text.lines().filter_map(assignment).rfind(|(name, _)| *name == key).map(|(_, v)| v);
    let devices = match (value("DEVICE"), value("HWADDR")) {
        (Some(device), _) => host.named(device),
        (None, Some(mac)) => {
            let has_mac =
                |mac| move |device: &&_| matching::has_mac(device, std::iter::once(mac)) == Verdict::Yes;
            host.devices.iter().filter(has_mac(mac)).map(|device| device.name.clone()).collect()
        }
        (None, None) => host.named(interface),
    };
    let scope = Scope { variables: &["DEVICE", "REALDEVICE", "iface"], devices, arguments: Vec::new() };
    for (line, text) in (1..).zip(text.lines()) {
        let Some((key, options)) = assignment(text) else { continue };
        if key != "ETHTOOL_OPTS" && !key.starts_with("ETHTOOL_OPTIONS") {
            continue;
        }
        let place = Place { file: path, line, text, manager: "ifcfg" };
        // Several calls of ethtool are separated by semicolons.
        for options in options.split(';') {
            // SUSE writes the word iface, or nothing, for the device.
            let options = options.replace("-K iface ", "-K $iface ");
            script::run(host, place, (&format!("ethtool {options}"), &scope));
        }
    }
}

/// `KEY=value`, without quotes around the value.
fn assignment(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.trim().split_once('=').filter(|(key, _)| !key.starts_with('#'))?;
    let value = value.trim();
    let quoted = ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.split(*quote).next());
    Some((key.trim(), quoted.unwrap_or(value)))
}
