//! What a host said of its network devices: links, features, configuration.
//! Facts only; what follows from them is in [`crate::audit`].

use serde::{Deserialize, Serialize};

use crate::features::{FeatureName, Features};

/// Everything `hostdiag offload` reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OffloadData {
    /// Network namespaces, the one hostdiag ran in first, then by name.
    pub namespaces: Vec<Namespace>,
    /// Lines of configuration that ask for a feature to be on or off; absent
    /// where the configuration was not searched.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub intents: Option<Vec<Intent>>,
    /// Part of the configuration could not be read or understood: that no line
    /// asks for something does not prove that nobody does.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub intents_incomplete: bool,
    /// What `hostdiag offload --watch` and `--fix` are to leave as it is, in the
    /// namespace hostdiag ran in.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub held: Vec<Held>,
}

/// A device, or a feature of one, that is not repaired until somebody releases it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Name of the interface.
    pub device: String,
    /// What somebody switched off while `--watch` ran; absent where `--hold` was
    /// said of the whole device.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub feature: Option<FeatureName>,
    /// Since when, in milliseconds since 1970, UTC.
    pub since_ms: u64,
    /// Until when; absent: until it is released, or the host boots.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until_ms: Option<u64>,
    /// What `--reason` said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// One network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name; absent for the one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// A file that holds it, for nsenter(1): `/run/netns/blue`; absent for the
    /// one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    /// How the features were read.
    pub source: Source,
    /// `net.ipv4.ip_forward` or any IPv6 forwarding is on, which switches LRO
    /// off; absent where it was not read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub forwarding: Option<bool>,
    /// Devices in the order of their index, or of the text.
    pub devices: Vec<Device>,
    /// What could not be read, and why.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub problems: Vec<Problem>,
}

impl Namespace {
    /// A namespace of which a text says only this much: its devices.
    pub fn of_text(devices: Vec<Device>) -> Self {
        let (name, path, forwarding, problems) = (None, None, None, Vec::new());
        Self { name, path, source: Source::Text, forwarding, devices, problems }
    }
}

/// How features were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Generic netlink family `ethtool`, Linux 5.6 and later.
    Netlink,
    /// ioctl `SIOCETHTOOL`, `ETHTOOL_GFEATURES`.
    Ioctl,
    /// The text of `ethtool -k`.
    Text,
}

/// Something that could not be read; the rest was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// The device or part it is about.
    pub subject: String,
    /// What happened.
    pub message: String,
}

/// One network device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Name of the interface.
    pub name: String,
    /// The rtnetlink side; absent where only features are known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub link: Option<Link>,
    /// Its features; absent where they could not be read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub features: Option<Features>,
    /// `net_device.vlan_features`: what it offers to VLANs on it. No user API
    /// has it, a BPF iterator reads it; absent where it was not read.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vlan_features: Option<Vec<FeatureName>>,
}

/// A device as rtnetlink (RTM_NEWLINK) describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Interface index, unique within its namespace.
    pub ifindex: u32,
    /// `IFLA_INFO_KIND`: `vlan`, `bond`, `veth`, …; absent for hardware.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub kind: Option<String>,
    /// Driver of a device without kind, from `ETHTOOL_GDRVINFO`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub driver: Option<String>,
    /// Bus address of a device without kind.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub bus: Option<String>,
    /// `IFF_LOOPBACK`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub loopback: bool,
    /// Administratively up, `IFF_UP`.
    pub up: bool,
    /// Bytes.
    pub mtu: u32,
    /// Hardware address, lower case with colons.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mac: Option<String>,
    /// Alternative names.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub altnames: Vec<String>,
    /// `IFLA_MASTER`: index of the bond, team, bridge it is a port of.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub master: Option<u32>,
    /// Kind of port, `IFLA_INFO_SLAVE_KIND`: `bond`, `bridge`, `openvswitch`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port_kind: Option<String>,
    /// `IFLA_LINK`: index of the device it lies on, or of a veth's peer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lower: Option<u32>,
    /// `IFLA_LINK_NETNSID`: the lower device lies in another namespace.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lower_netnsid: Option<i32>,
    /// Name of the namespace behind `lower_netnsid`, where it was found.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lower_netns: Option<String>,
    /// VLAN id.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vlan_id: Option<u16>,
    /// VLAN protocol, `802.1Q` or `802.1ad`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub vlan_protocol: Option<String>,
    /// Mode of a bond: `802.3ad`, `active-backup`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mode: Option<String>,
    /// An XDP program is attached, `IFLA_XDP_ATTACHED`.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub xdp: bool,
    /// `IFLA_GSO_MAX_SIZE`, bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gso_max_size: Option<u32>,
    /// `IFLA_GSO_MAX_SEGS`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gso_max_segs: Option<u32>,
    /// Addresses with prefix length, IPv4 first.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub addresses: Vec<String>,
}

/// A line of configuration that asks for features of a device.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Intent {
    /// Interface it applies to.
    pub device: String,
    /// Kernel names of the features it asks for.
    pub features: Vec<String>,
    /// What it asks for.
    pub on: bool,
    /// File, as found on the host.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// The line itself, without what surrounds it.
    pub text: String,
    /// Who reads that file: `systemd.link`, `NetworkManager`, `ifupdown`, …
    pub manager: String,
}
