//! Does a pattern of a configuration file mean this device? Three answers,
//! because what held at boot cannot always be read from the devices of now.

use hostdiag_model::offload::{Device, Link};

use crate::offload::glob;

/// `No` is weaker than `Unknown`, which is weaker than `Yes`: the least of
/// conditions that must all hold, the greatest of alternatives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    No,
    Unknown,
    Yes,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

impl Verdict {
    pub(super) fn negate(self) -> Self {
        match self {
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
            Self::Yes => Self::No,
        }
    }
}

/// Whether the device has that name now, or an alternative one.
pub(super) fn is_named(device: &Device, pattern: &str) -> bool {
    let altnames = device.link.iter().flat_map(|link| &link.altnames);
    std::iter::once(&device.name).chain(altnames).any(|name| glob::matches(pattern, name))
}

/// Whether the kernel gave the device that name, before udev renamed it.
/// Hardware that is no longer called `eth…` may have been.
pub(super) fn was_named(device: &Device, pattern: &str) -> Verdict {
    if is_named(device, pattern) {
        return Verdict::Yes;
    }
    let renamed = is_hardware(device) && !device.name.starts_with("eth") && pattern.starts_with("eth");
    if renamed { Verdict::Unknown } else { Verdict::No }
}

/// Hardware, as far as is known: no kind, and not the loopback.
pub(super) fn is_hardware(device: &Device) -> bool {
    device.name != "lo" && device.link.as_ref().is_none_or(|link| link.kind.is_none() && !link.loopback)
}

/// Whether the hardware address is one of these, in any notation.
pub(super) fn has_mac<'a>(device: &Device, mut addresses: impl Iterator<Item = &'a str>) -> Verdict {
    let Some(mac) = device.link.as_ref().and_then(|link| link.mac.as_deref()) else {
        return Verdict::Unknown;
    };
    let digits = |text: &str| text.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    let mac = digits(mac);
    addresses.any(|address| digits(address) == mac).into()
}

/// The driver as `ethtool -i` names it, where it is known.
pub(super) fn driver(device: &Device) -> Option<&str> {
    let link = device.link.as_ref()?;
    match link.kind.as_deref() {
        None => link.driver.as_deref(),
        Some("bond") => Some("bonding"),
        Some("vlan") => Some("802.1Q VLAN Support"),
        // The others are named as their kind is.
        kind => kind,
    }
}

/// The type of a device in udev's sense: DEVTYPE, else that of ARPHRD_*.
pub(super) fn device_type(device: &Device) -> Option<&str> {
    match device.link.as_ref()? {
        Link { loopback: true, .. } => Some("loopback"),
        Link { kind: None, .. } => Some("ether"),
        // Of the kinds only these set DEVTYPE.
        Link { kind: Some(kind), .. } => {
            let typed = ["vlan", "bond", "bridge", "vxlan", "geneve", "macvlan", "ppp", "wireguard"];
            Some(if typed.contains(&kind.as_str()) { kind } else { "ether" })
        }
    }
}
