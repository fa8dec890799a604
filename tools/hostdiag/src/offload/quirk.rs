//! Hardware and drivers with a known fault, and drivers that offer nothing to
//! VLANs. A feature that is off there is off for a reason.

/// A known fault.
pub struct Quirk {
    /// Driver at the bottom of the stack, or kind of a software device.
    pub driver: &'static str,
    /// Features it concerns.
    pub features: &'static [&'static str],
    /// What happens with them on.
    pub problem: &'static str,
    /// Where that is documented.
    pub reference: &'static str,
}

const TSO: [&str; 3] = ["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-tcp-ecn-segmentation"];
const SG_TSO: [&str; 4] = ["tx-scatter-gather", TSO[0], TSO[1], TSO[2]];
const CSUM: [&str; 3] = ["tx-checksum-ip-generic", "tx-checksum-ipv4", "tx-checksum-ipv6"];

/// The table. Drivers as `ethtool -i` names them.
pub const QUIRKS: &[Quirk] = &[
    Quirk {
        driver: "r8169",
        features: &SG_TSO,
        problem: "the driver leaves them off on chips that corrupt or stall with them",
        reference: "drivers/net/ethernet/realtek/r8169_main.c, rtl_init_one: \"use at own risk\"",
    },
    Quirk {
        driver: "r8169",
        features: &CSUM,
        problem: "transmit hangs with VLAN tags",
        reference: "home-assistant/operating-system issue 5023",
    },
    Quirk {
        driver: "e1000e",
        features: &TSO,
        problem: "\"Detected Hardware Unit Hang\" on I217, I218, I219 and 82579",
        reference: "siderolabs/talos issues 8935 and 10200; drivers/net/ethernet/intel/e1000e/netdev.c",
    },
    Quirk {
        driver: "am65-cpsw-nuss",
        features: &CSUM,
        problem: "checksums are wrong, the driver leaves them off",
        reference: "drivers/net/ethernet/ti/am65-cpsw-nuss.c",
    },
    Quirk {
        driver: "vxlan",
        features: &CSUM,
        problem: "packets with wrong checksums behind some NICs and on VMware; flannel and calico switch it off",
        reference: "flannel-io/flannel issues 1279 and 1282; projectcalico/calico issues 4865 and 11435",
    },
];

/// The fault of a driver, or kind of software device, that concerns a feature.
pub fn find(driver: &str, feature: &str) -> Option<&'static Quirk> {
    QUIRKS.iter().find(|quirk| quirk.driver == driver && quirk.features.contains(&feature))
}

/// Whether a driver is known to refuse a feature above an MTU of 1500: r8169 on
/// most chips (`rtl8169_fix_features`), mvneta (`mvneta_fix_features`).
pub fn refuses_at_large_mtu(driver: &str, feature: &str) -> bool {
    match driver {
        "r8169" => CSUM.contains(&feature) || TSO.contains(&feature),
        "mvneta" => CSUM.contains(&feature),
        _ => false,
    }
}

/// Drivers that never set `vlan_features` in any kernel looked at: a VLAN on
/// them can have no scatter-gather, and so no segmentation. Found by searching
/// the drivers of Linux 7.2; dummy and gve were seen to behave so.
const NOTHING_FOR_VLANS: &[&str] = &[
    "alx",
    "atl1c",
    "atl1e",
    "cassini",
    "dummy",
    "forcedeth",
    "gve",
    "lan743x",
    "macb",
    "niu",
    "octeon_ep",
    "sungem",
    "tsnep",
    "via-rhine",
    "via-velocity",
];

/// Whether a driver, or kind of software device, is known to offer nothing.
pub fn offers_nothing_to_vlans(driver: &str) -> bool {
    NOTHING_FOR_VLANS.contains(&driver)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_feature_of_the_table_is_a_judged_one() {
        for quirk in QUIRKS {
            assert!(quirk.features.iter().all(|feature| super::super::watch::row(feature).is_some()));
        }
        assert!(find("e1000e", "tx-tcp6-segmentation").is_some());
        assert!(find("e1000e", "tx-scatter-gather").is_none());
    }
}
