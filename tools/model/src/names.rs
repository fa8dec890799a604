//! What ethtool(8) calls offload features, and what the kernel calls them.
//!
//! Sources: `netdev_features_strings` of net/ethtool/common.c (Linux 4.4 to
//! 7.2, the union) and `off_flag_def` of ethtool's common.c.

use crate::glob;

/// A word of ethtool for one or more features of the kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct Alias {
    /// As typed in `ethtool -K eth0 sg off`.
    pub short: &'static str,
    /// As printed by `ethtool -k`; `ethtool -K` takes it too.
    pub long: &'static str,
    /// The kernel's names it stands for, as a shell pattern.
    pub kernel: &'static str,
}

impl Alias {
    /// The known kernel features it stands for.
    pub fn features(&self) -> impl Iterator<Item = &'static str> {
        KERNEL.iter().copied().filter(|name| glob::matches(self.kernel, name))
    }

    /// Whether it can stand for more than one feature, so that `ethtool -k`
    /// prints it as the head of a group.
    pub fn is_group(&self) -> bool {
        glob::is_pattern(self.kernel)
    }
}

/// All aliases, in the order in which `ethtool -k` prints them.
pub const ALIASES: [Alias; 12] = [
    Alias { short: "rx", long: "rx-checksumming", kernel: "rx-checksum" },
    Alias { short: "tx", long: "tx-checksumming", kernel: "tx-checksum-*" },
    Alias { short: "sg", long: "scatter-gather", kernel: "tx-scatter-gather*" },
    Alias { short: "tso", long: "tcp-segmentation-offload", kernel: "tx-tcp*-segmentation" },
    Alias { short: "ufo", long: "udp-fragmentation-offload", kernel: "tx-udp-fragmentation" },
    Alias { short: "gso", long: "generic-segmentation-offload", kernel: "tx-generic-segmentation" },
    Alias { short: "gro", long: "generic-receive-offload", kernel: "rx-gro" },
    Alias { short: "lro", long: "large-receive-offload", kernel: "rx-lro" },
    Alias { short: "rxvlan", long: "rx-vlan-offload", kernel: "rx-vlan-hw-parse" },
    Alias { short: "txvlan", long: "tx-vlan-offload", kernel: "tx-vlan-hw-insert" },
    Alias { short: "ntuple", long: "ntuple-filters", kernel: "rx-ntuple-filter" },
    Alias { short: "rxhash", long: "receive-hashing", kernel: "rx-hashing" },
];

/// Every feature name a kernel from 4.4 to 7.2 has, in the order of the bits.
#[rustfmt::skip]
pub const KERNEL: [&str; 67] = [
    "tx-scatter-gather", "tx-checksum-ipv4", "tx-checksum-ip-generic", "tx-checksum-ipv6", "highdma",
    "tx-scatter-gather-fraglist", "tx-vlan-hw-insert", "rx-vlan-hw-parse", "rx-vlan-filter",
    "tx-vlan-stag-hw-insert", "rx-vlan-stag-hw-parse", "rx-vlan-stag-filter", "vlan-challenged",
    "tx-generic-segmentation", "tx-lockless", "netns-local", "rx-gro", "rx-gro-hw", "rx-lro",
    "tx-tcp-segmentation", "tx-udp-fragmentation", "tx-gso-robust", "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-fcoe-segmentation", "tx-gre-segmentation",
    "tx-gre-csum-segmentation", "tx-ipip-segmentation", "tx-sit-segmentation", "tx-ipxip4-segmentation",
    "tx-ipxip6-segmentation", "tx-udp_tnl-segmentation", "tx-udp_tnl-csum-segmentation", "tx-gso-partial",
    "tx-tunnel-remcsum-segmentation", "tx-sctp-segmentation", "tx-esp-segmentation", "tx-udp-segmentation",
    "tx-gso-list", "tx-tcp-accecn-segmentation", "tx-checksum-fcoe-crc", "tx-checksum-sctp", "fcoe-mtu",
    "rx-ntuple-filter", "rx-hashing", "rx-checksum", "tx-nocache-copy", "loopback", "rx-fcs", "rx-all",
    "l2-fwd-offload", "busy-poll", "hw-tc-offload", "esp-hw-offload", "esp-tx-csum-hw-offload",
    "rx-udp_tunnel-port-offload", "tls-hw-record", "tls-hw-tx-offload", "tls-hw-rx-offload", "rx-gro-list",
    "macsec-hw-offload", "rx-udp-gro-forwarding", "hsr-tag-ins-offload", "hsr-tag-rm-offload",
    "hsr-fwd-offload", "hsr-dup-offload",
];

/// The alias of that short or long name.
pub fn alias(name: &str) -> Option<&'static Alias> {
    ALIASES.iter().find(|alias| alias.short == name || alias.long == name)
}

/// The kernel features that `ethtool -K` changes for `name`: those of the
/// alias, or the one of that name. Empty where no known kernel has it.
pub fn expand(name: &str) -> Vec<&'static str> {
    match alias(name) {
        Some(alias) => alias.features().collect(),
        None => KERNEL.iter().copied().filter(|known| *known == name).collect(),
    }
}

/// Whether `wanted`, an alias or a shell pattern of kernel names, covers the
/// kernel feature `feature`. Works for features newer than [`KERNEL`] too.
pub fn covers(wanted: &str, feature: &str) -> bool {
    glob::matches(alias(wanted).map_or(wanted, |alias| alias.kernel), feature)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn groups_expand_as_ethtool_does() {
        assert_eq!(expand("sg"), ["tx-scatter-gather", "tx-scatter-gather-fraglist"]);
        assert_eq!(
            expand("tx-checksumming"),
            [
                "tx-checksum-ipv4",
                "tx-checksum-ip-generic",
                "tx-checksum-ipv6",
                "tx-checksum-fcoe-crc",
                "tx-checksum-sctp"
            ]
        );
        assert_eq!(
            expand("tso"),
            [
                "tx-tcp-segmentation",
                "tx-tcp-ecn-segmentation",
                "tx-tcp-mangleid-segmentation",
                "tx-tcp6-segmentation",
                "tx-tcp-accecn-segmentation"
            ]
        );
        assert_eq!(expand("rx-gro"), ["rx-gro"]);
        assert!(expand("tx-warp-drive").is_empty());
        assert!(expand("").is_empty());
    }

    #[test]
    fn single_aliases_name_one_known_feature() {
        for alias in ALIASES.iter().filter(|alias| !alias.is_group()) {
            assert_eq!(alias.features().count(), 1, "{}", alias.long);
        }
    }

    #[test]
    fn no_name_stands_twice() {
        let mut seen = BTreeSet::new();
        assert!(KERNEL.iter().all(|name| seen.insert(*name)));
        assert!(ALIASES.iter().all(|alias| seen.insert(alias.short) && seen.insert(alias.long)));
    }

    #[test]
    fn covers_aliases_patterns_and_features_to_come() {
        assert!(covers("tso", "tx-tcp-quic-segmentation"));
        assert!(covers("tx-scatter-gather", "tx-scatter-gather"));
        assert!(!covers("tx-scatter-gather", "tx-scatter-gather-fraglist"));
        assert!(covers("tx-*", "tx-scatter-gather"));
        assert!(!covers("gso", "rx-gro"));
    }
}
