//! `probe::vlan_features` against what the kernel says elsewhere.

use std::{fs, thread};

use hostdiag::probe::vlan_features::{VlanFeatures, read};

use crate::lab::{Link, NetNs, ethtool, feature, ip, ip_batch};

/// `NETIF_F_SG`, bit 0 on every kernel so far:
/// include/linux/netdev_features.h.
const SCATTER_GATHER: u64 = 1;

fn ifindexes(devices: &[VlanFeatures]) -> Vec<u32> {
    devices.iter().map(|device| device.ifindex).collect()
}

fn ifindex(name: &str) -> u32 {
    // Not from /sys, which shows the namespace it was mounted in.
    let text = ip(&["-o", "link", "show", "dev", name]);
    text.split(':').next().and_then(|index| index.parse().ok()).expect("ip prints the index first")
}

fn device(name: &str) -> VlanFeatures {
    let index = ifindex(name);
    read().expect("read").into_iter().find(|device| device.ifindex == index).expect("listed")
}

#[test]
fn every_device_of_the_machine_is_listed() {
    let mut expected: Vec<u32> = fs::read_dir("/sys/class/net")
        .unwrap()
        .filter_map(|entry| fs::read_to_string(entry.unwrap().path().join("ifindex")).ok())
        .map(|text| text.trim().parse().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(ifindexes(&read().unwrap()), expected);
}

#[test]
fn the_namespace_of_the_calling_thread_is_read() {
    let namespace = NetNs::new("fresh");
    let _entered = namespace.enter();
    assert_eq!(ifindexes(&read().unwrap()), [1], "a fresh namespace has lo alone");
    let outside = thread::spawn(|| {
        let other = NetNs::new("other");
        let _entered = other.enter();
        let _link = Link::veth("v0", "v1");
        read().unwrap().len()
    });
    assert_eq!(outside.join().unwrap(), 3);
}

#[test]
fn a_veth_offers_scatter_gather_to_vlans_also_while_it_is_off() {
    let namespace = NetNs::new("offer");
    let _entered = namespace.enter();
    let _link = Link::veth("v0", "v1");
    assert_eq!(feature("v0", "tx-scatter-gather"), "on");
    let on = device("v0");
    assert_eq!(on.features & SCATTER_GATHER, SCATTER_GATHER);
    assert_eq!(on.vlan_features & SCATTER_GATHER, SCATTER_GATHER);
    ethtool(&["-K", "v0", "tx-scatter-gather", "off"]);
    let off = device("v0");
    assert_eq!(off.features & SCATTER_GATHER, 0);
    assert_eq!(off.vlan_features, on.vlan_features);
    assert_eq!(device("lo").vlan_features & SCATTER_GATHER, 0, "lo takes no VLANs");
}

#[test]
fn more_devices_than_one_run_writes_are_all_listed() {
    let namespace = NetNs::new("many");
    let _entered = namespace.enter();
    ip_batch((0..600).map(|i| format!("link add a{i} type veth peer name b{i}")));
    let expected: Vec<u32> = (1..=1201).collect();
    assert_eq!(ifindexes(&read().unwrap()), expected);
}
