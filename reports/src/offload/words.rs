//! The words for what the audit found. All of them, so that they stay alike.

use hostdiag_model::audit::{Entry, Reason, Repair, Verdict};
use hostdiag_model::time::Utc;

use crate::page::{Ink, count, harmless};

/// The word in front of an entry, and its colour.
pub fn label(verdict: Verdict) -> (&'static str, Ink) {
    match verdict {
        Verdict::LostHere | Verdict::LostBelow => ("LOST", Ink::Red),
        Verdict::Stuck => ("STUCK", Ink::Red),
        Verdict::StuckOrLimit => ("STUCK?", Ink::Yellow),
        Verdict::StaleCopy => ("STALE", Ink::Red),
        Verdict::OffByWish => ("OFF", Ink::Yellow),
        Verdict::OffOnPurpose => ("CONFIG", Ink::Dim),
        Verdict::Held => ("HELD", Ink::Dim),
        Verdict::DriverLimit => ("LIMIT", Ink::Dim),
        Verdict::HardwareQuirk => ("QUIRK", Ink::Dim),
        Verdict::NoMembers => ("EMPTY", Ink::Dim),
        Verdict::Suppressed => ("LRO", Ink::Dim),
        Verdict::Fixed => ("FIXED", Ink::Dim),
    }
}

/// Where a feature is off and where it is on.
pub fn place(entry: &Entry) -> String {
    let here = if entry.state.changeable() && entry.state.wanted() {
        "requested here, not active"
    } else {
        "off here"
    };
    let here = if entry.state.changeable() { here } else { "off here, fixed" };
    match (entry.lost_at.is_empty(), entry.on_in.is_empty()) {
        (true, true) => here.to_owned(),
        (true, false) => format!("{here}; on in {}", list(&entry.on_in)),
        (false, _) => format!("{here}; lost at {}", list(&entry.lost_at)),
    }
}

/// Why, as a clause.
pub fn why(entry: &Entry) -> String {
    match &entry.reason {
        Reason::NothingAsksForIt => "wanted=off here, and no configuration file asks for it".to_owned(),
        Reason::NothingReadableAsksForIt => {
            "wanted=off here; no configuration file that could be read and understood asks for it".to_owned()
        }
        Reason::ConfigurationNotSearched => "wanted=off here; the configuration was not searched".to_owned(),
        Reason::LayersUnknown => "wanted=off here (off by wish); the device below is not known, or in another namespace".to_owned(),
        Reason::AskedFor => "wanted=off, as a line of configuration asks".to_owned(),
        Reason::SwitchedOff { since_ms } => {
            format!("switched off by somebody, seen {}; left so until it is on again or released", Utc::from_ms(*since_ms))
        }
        Reason::Held { until_ms, reason } => {
            let until = until_ms.map_or_else(|| "until it is released".to_owned(), |until| format!("until {}", Utc::from_ms(until)));
            let reason = reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            format!("held {until} (--hold){reason}")
        }
        Reason::DefaultOrByHand => "wanted=off: by default of the driver, or switched off by hand".to_owned(),
        Reason::NotRecomputed => "wanted and possible; the kernel missed a recompute".to_owned(),
        Reason::VlanFeaturesUnknown => {
            "wanted, and on below: stuck, or not offered by the device below (its vlan_features could not be read)"
                .to_owned()
        }
        Reason::NotOfferedToVlans { devices, drivers } => {
            format!("{} ({}) does not offer it to devices on it", list(devices), list(drivers))
        }
        Reason::CopiedTooEarly { recreate } => {
            format!("{recreate} copied what its parent offered before its parent offered this")
        }
        Reason::Below if entry.state.wanted() => "wanted here; the layer below does not have it".to_owned(),
        Reason::Below => "switched off here too; the layer below does not have it either".to_owned(),
        Reason::BelowInAnotherNetns => {
            "wanted; the device below, which decides, is in another network namespace".to_owned()
        }
        Reason::BelowUnknown => "wanted; the features of the device below are not known".to_owned(),
        Reason::NoMembers { device } => format!("{device} has no ports yet"),
        Reason::Mtu { device, mtu } => format!("wanted; the driver of {device} refuses it at MTU {mtu}"),
        Reason::Xdp { device } => format!("an XDP program on {device} takes it away"),
        Reason::DriverRefuses { mtu: None } => "wanted; the driver refuses it and does not say why".to_owned(),
        Reason::DriverRefuses { mtu: Some(mtu) } => format!("wanted; the driver refuses it, perhaps for its MTU of {mtu}"),
        Reason::HolderDecides => "the process that holds the device (a virtual machine, a VPN) did not ask for it".to_owned(),
        Reason::NotSupported => "the device cannot do it".to_owned(),
        Reason::Quirk { driver, problem, reference } => format!("{driver}: {problem} ({reference})"),
        Reason::LroSuppressed { by } => format!("the kernel switches LRO off below {}", list(by)),
    }
}

/// What would repair it, where there is something to say that the commands at
/// the end do not.
pub fn repair(entry: &Entry) -> Option<String> {
    match &entry.repair {
        _ if entry.verdict == Verdict::Held => {
            Some("hostdiag offload --release DEVICE, or once: --fix DEVICE".to_owned())
        }
        Repair::Recompute => Some(
            "a recompute; ethtool -K of the feature itself does none, since it is already asked for"
                .to_owned(),
        ),
        Repair::Recreate { device } => {
            Some(format!("delete {device} and create it anew; nothing else helps"))
        }
        Repair::Below { devices } if entry.state.wanted() => Some(format!("at {}", list(devices))),
        Repair::Below { devices } => Some(format!("at {}, then switch it on here", list(devices))),
        Repair::ByHand | Repair::Set | Repair::None => None,
    }
}

/// A name as a shell takes it: an interface name may hold what a shell obeys.
pub fn shell(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "./_-:@".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        return name.to_owned();
    }
    format!("'{}'", name.replace('\'', "'\\''"))
}

/// The call that wishes for features of a device; `enter` is put before it.
pub fn set<S: AsRef<str>>(enter: &str, device: &str, features: &[S]) -> String {
    let wishes = features.iter().map(|feature| format!(" {} on", shell(&harmless(feature.as_ref()))));
    format!("{enter}ethtool -K {device}{}", wishes.collect::<String>())
}

/// What runs a command inside the namespace that this file holds, with a blank
/// behind it.
pub fn enter(path: &str) -> String {
    format!("nsenter --net={} ", shell(&harmless(path)))
}

/// `a, b, c and 7 more`.
pub fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// The short names of `ethtool -K`, where they mean just this feature.
pub fn short(feature: &str) -> &str {
    match feature {
        "tx-tcp-segmentation" => "tso",
        "tx-tcp6-segmentation" => "tso6",
        "tx-tcp-ecn-segmentation" => "tso-ecn",
        "tx-tcp-mangleid-segmentation" => "tso-mangleid",
        "tx-udp-fragmentation" => "ufo",
        "tx-udp-segmentation" => "uso",
        "tx-generic-segmentation" => "gso",
        other => other,
    }
}

/// Whether connections that are open must be made anew after a repair. Since
/// 4.17 TCP has scatter-gather and segmentation whatever the device says
/// (commit 0a6b2a1dc2a2, "tcp: switch to GSO being always on").
pub fn restart(kernel: &str) -> &'static str {
    let mut numbers =
        kernel.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (4, 17) {
        "No service restart is needed after a repair on this kernel (TCP, 4.17 and later; hostdiag explain restart)."
    } else {
        "After a repair services must reconnect on this kernel (before 4.17; hostdiag explain restart)."
    }
}

/// `vlan10`, `vlan10, vlan11 and 198 more`.
pub fn devices(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first, second] => format!("{first}, {second}"),
        [first, rest @ ..] => format!("{first} and {}", count(rest.len(), "more device")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_would_obey_are_quoted() {
        assert_eq!(shell("bond0.10"), "bond0.10");
        assert_eq!(shell("$(reboot)"), "'$(reboot)'");
        assert_eq!(shell("a'b"), "'a'\\''b'");
    }

    #[test]
    fn connections_need_a_restart_before_4_17() {
        assert!(restart("4.9.43-cloudflare").starts_with("After"));
        assert!(restart("4.16.0").starts_with("After"));
        assert!(restart("4.17.0-rc1").starts_with("No service"));
        assert!(restart("6.12.117+deb12-cloud-amd64").starts_with("No service"));
    }
}
