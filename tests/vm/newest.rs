//! What only the newest kernel does.
use crate::lab::{Stack, feature, ip, wait_until};

/// A VLAN follows the features of the device below it from a work queue there:
/// tools that look at once see the old state.
#[test]
fn lab_vlan_follows_in_the_end() {
    let _stack = Stack::new();
    ip(&["link", "add", "link", "bond0", "name", "vlan11", "type", "vlan", "id", "11"]);
    crate::lab::ethtool(&["-K", "bond0", "sg", "off"]);
    wait_until("vlan11 follows", || feature("vlan11", "tx-scatter-gather") == "off [requested on]");
}
