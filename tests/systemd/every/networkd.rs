//! What networkd built at boot from files/.
use std::fs::read_to_string;

use crate::lab::{feature, ip, wait_until};

#[test]
fn lab_networkd_built_the_stack() {
    wait_until("vlan10 has its address", || ip(&["-4", "address"]).contains("10.10.0.1/24"));
    let members = read_to_string("/sys/class/net/bond0/bonding/slaves").unwrap();
    let mut members: Vec<_> = members.split_whitespace().collect();
    members.sort_unstable();
    assert_eq!(members, ["nic0", "nic1"]);
    assert!(ip(&["-details", "link", "show", "vlan10"]).contains("vlan protocol 802.1Q id 10"));
    wait_until("the VLAN offers what the cards do", || feature("vlan10", "tx-scatter-gather") == "on");
}
