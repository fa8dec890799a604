//! Features that no list and no pattern of the policy covers: each needs a line
//! for just one device, `[[repair.device]]`. Some are off for a reason that no
//! tool sees, others belong to a program that switches them itself.

use crate::offload::glob;

/// Shell patterns of kernel features, and why they are here.
const NEVER: [(&[&str], &str); 14] = [
    (&["rx-lro"], "merged packets cannot be forwarded or bridged, and a router's kernel does not refuse it"),
    (&["rx-gro-hw"], "it may reset the card, and excludes XDP and LRO"),
    (&["rx-fcs"], "it is for diagnosis, and leaves four more bytes on every packet"),
    (&["rx-all"], "it is for diagnosis, and lets damaged frames in"),
    (&["loopback"], "it cuts the link"),
    (&["rx-ntuple-filter"], "the filters in the card go away when it changes"),
    (
        &["hw-tc-offload", "l2-fwd-offload", "hsr-*", "macsec-*", "esp-*", "tx-esp-*", "tls-hw-*"],
        "it is for the owner of the data path to decide: tc, Open vSwitch, IPsec, TLS",
    ),
    (&["tx-nocache-copy"], "it goes around the processor's cache, and is off by default"),
    (
        &[
            "tx-gso-partial",
            "tx-udp_tnl-*",
            "tx-gre-*",
            "tx-ip*",
            "tx-sit-*",
            "tx-tunnel-*",
            "rx-udp_tunnel-*",
        ],
        "some cards and hypervisors damage tunnelled packets with it",
    ),
    (
        &["tx-scatter-gather-fraglist", "tx-gso-list", "rx-gro-list", "rx-udp-gro-forwarding"],
        "it is for forwarding, and off by default for a reason",
    ),
    (&["tx-tcp-mangleid-segmentation"], "it changes the identification of IP packets, and is off by default"),
    (&["rx-vlan-filter", "*-vlan-stag-*", "vlan-challenged"], "it decides which VLANs the card lets in"),
    (&["fcoe-*", "tx-fcoe-*", "tx-checksum-fcoe-crc"], "it is for Fibre Channel over Ethernet alone"),
    (&["tx-checksum-sctp", "tx-sctp-*"], "it is for SCTP alone"),
];

/// Why a kernel feature is repaired only by a line for just one device; nothing
/// for one that a list may cover.
pub fn reason(feature: &str) -> Option<&'static str> {
    let covers = |patterns: &[&str]| patterns.iter().any(|pattern| glob::matches(pattern, feature));
    NEVER.iter().find(|(patterns, _)| covers(patterns)).map(|(_, reason)| *reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offload::names;
    use crate::offload::policy::REPAIRED;
    use crate::pages::{Page, markdown};

    #[test]
    fn what_a_list_may_cover_is_little() {
        let free: Vec<&str> = names::KERNEL.into_iter().filter(|name| reason(name).is_none()).collect();
        let others = [
            "highdma",
            "tx-vlan-hw-insert",
            "rx-vlan-hw-parse",
            "tx-lockless",
            "netns-local",
            "rx-gro",
            "tx-udp-fragmentation",
            "tx-gso-robust",
            "tx-udp-segmentation",
            "rx-hashing",
            "rx-checksum",
            "busy-poll",
        ];
        let (listed, rest): (Vec<&str>, Vec<&str>) = free.iter().partition(|name| REPAIRED.contains(name));
        assert_eq!(listed.len(), REPAIRED.len());
        assert_eq!(rest, others);
    }

    #[test]
    fn every_pattern_is_of_a_feature() {
        for pattern in NEVER.iter().flat_map(|(patterns, _)| *patterns) {
            assert!(names::KERNEL.iter().any(|name| glob::matches(pattern, name)), "{pattern}");
        }
    }

    #[test]
    fn the_page_has_every_pattern() {
        let page = markdown::plain(&Page::find("needs-device-line").unwrap().body());
        let words: Vec<&str> = page.split([' ', '\n', ',', ':']).collect();
        for pattern in NEVER.iter().flat_map(|(patterns, _)| *patterns) {
            assert!(words.contains(pattern), "{pattern}");
        }
    }
}
