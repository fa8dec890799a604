//! Scripts that NetworkManager and networkd-dispatcher run for every device
//! when it comes up.

use super::host::Host;
use super::script::{self, Scope, Source};

struct Dispatcher {
    manager: &'static str,
    folders: &'static [&'static str],
    /// The variables that hold the device's name.
    variables: &'static [&'static str],
}

const DISPATCHERS: [Dispatcher; 2] = [
    Dispatcher {
        manager: "NetworkManager-dispatcher",
        folders: &[
            "/etc/NetworkManager/dispatcher.d",
            "/etc/NetworkManager/dispatcher.d/pre-up.d",
            "/etc/NetworkManager/dispatcher.d/no-wait.d",
            "/usr/lib/NetworkManager/dispatcher.d",
            "/usr/lib/NetworkManager/dispatcher.d/pre-up.d",
            "/usr/lib/NetworkManager/dispatcher.d/no-wait.d",
        ],
        variables: &["1", "DEVICE_IFACE", "DEVICE_IP_IFACE"],
    },
    Dispatcher {
        manager: "networkd-dispatcher",
        folders: &[
            "/etc/networkd-dispatcher/carrier.d",
            "/etc/networkd-dispatcher/configured.d",
            "/etc/networkd-dispatcher/configuring.d",
            "/etc/networkd-dispatcher/degraded.d",
            "/etc/networkd-dispatcher/routable.d",
            "/usr/lib/networkd-dispatcher/carrier.d",
            "/usr/lib/networkd-dispatcher/configured.d",
            "/usr/lib/networkd-dispatcher/configuring.d",
            "/usr/lib/networkd-dispatcher/degraded.d",
            "/usr/lib/networkd-dispatcher/routable.d",
        ],
        variables: &["IFACE"],
    },
];

pub(super) fn search(host: &mut Host<'_>) {
    // They are not run for the loopback device.
    let devices: Vec<String> =
        host.devices.iter().map(|device| device.name.clone()).filter(|name| name != "lo").collect();
    for dispatcher in &DISPATCHERS {
        let scope =
            Scope { variables: dispatcher.variables, devices: devices.clone(), arguments: Vec::new() };
        for folder in dispatcher.folders {
            for name in host.list(folder) {
                let path = format!("{folder}/{name}");
                if let Some(text) = host.read(&path) {
                    script::scan(
                        host,
                        Source { file: &path, text: &text, manager: dispatcher.manager },
                        &scope,
                    );
                }
            }
        }
    }
}
