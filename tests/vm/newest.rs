//! What only the newest kernel does.
use crate::lab::{Stack, audit, feature, ip, wait_until};

/// A VLAN follows the features of the device below it from a work queue there:
/// tools that look at once see the old state.
#[test]
fn lab_vlan_follows_in_the_end() {
    let _stack = Stack::new();
    ip(&["link", "add", "link", "bond0", "name", "vlan11", "type", "vlan", "id", "11"]);
    crate::lab::ethtool(&["-K", "bond0", "sg", "off"]);
    wait_until("vlan11 follows", || feature("vlan11", "tx-scatter-gather") == "off [requested on]");
}

/// `tcp-segmentation-offload: on` says nothing there: the group is on while one
/// of its members, tx-tcp-accecn-segmentation, is.
#[test]
fn offload_is_not_deceived_by_the_segmentation_group() {
    let stack = Stack::new();
    stack.break_offloads();
    wait_until("segmentation is off", || feature("vlan10", "tx-tcp-segmentation") != "on");
    assert_eq!(feature("vlan10", "tcp-segmentation-offload"), "on");
    let audited = audit(&[]);
    assert_eq!(audited.findings().len(), 2, "{:?}", audited.findings());
    let down: Vec<&str> =
        audited.entry("vlan10", "tx-scatter-gather").takes_down.iter().map(|name| &**name).collect();
    assert!(down.contains(&"tx-tcp-segmentation"), "{down:?}");
}
