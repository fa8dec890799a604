//! `probe::vlan_features` against what the kernel says elsewhere.

use std::io::Write;
use std::process::{Command, Stdio};
use std::{fs, thread};

use hostdiag::probe::vlan_features::{VlanFeatures, read};

use crate::netns::{in_fresh_netns, sh};

/// `NETIF_F_SG`, bit 0 on every kernel so far:
/// include/linux/netdev_features.h.
const SCATTER_GATHER: u64 = 1;

fn ifindexes(devices: &[VlanFeatures]) -> Vec<u32> {
    devices.iter().map(|device| device.ifindex).collect()
}

fn ifindex(name: &str) -> u32 {
    // Not from /sys, which shows the namespace it was mounted in.
    let text = sh(&format!("ip -o link show dev {name}"));
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
    in_fresh_netns(|| {
        assert_eq!(ifindexes(&read().unwrap()), [1], "a fresh namespace has lo alone");
        let outside = thread::spawn(|| in_fresh_netns(|| read().unwrap().len())).join().unwrap();
        assert_eq!(outside, 1);
    });
}

#[test]
fn a_veth_offers_scatter_gather_to_vlans_also_while_it_is_off() {
    in_fresh_netns(|| {
        sh("ip link add v0 type veth peer name v1");
        assert!(sh("ethtool -k v0").contains("\ttx-scatter-gather: on"));
        let on = device("v0");
        assert_eq!(on.features & SCATTER_GATHER, SCATTER_GATHER);
        assert_eq!(on.vlan_features & SCATTER_GATHER, SCATTER_GATHER);
        sh("ethtool -K v0 tx-scatter-gather off");
        let off = device("v0");
        assert_eq!(off.features & SCATTER_GATHER, 0);
        assert_eq!(off.vlan_features, on.vlan_features);
        assert_eq!(device("lo").vlan_features & SCATTER_GATHER, 0, "lo takes no VLANs");
    });
}

#[test]
fn more_devices_than_one_run_writes_are_all_listed() {
    in_fresh_netns(|| {
        let lines: String = (0..600).map(|i| format!("link add a{i} type veth peer name b{i}\n")).collect();
        let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
        ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
        assert!(ip.wait().unwrap().success());
        let expected: Vec<u32> = (1..=1201).collect();
        assert_eq!(ifindexes(&read().unwrap()), expected);
    });
}
