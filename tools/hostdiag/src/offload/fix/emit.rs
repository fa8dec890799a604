//! Persistent configuration for what was repaired, as the site's manager reads it.

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
