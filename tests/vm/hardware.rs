//! Drivers of real cards, on the full kernel.
use std::fs;

use crate::lab::{Link, audit, ip};

#[test]
fn lab_nics_present() {
    let mut drivers: Vec<_> = fs::read_dir("/sys/class/net")
        .unwrap()
        .filter_map(|device| fs::read_link(device.unwrap().path().join("device/driver")).ok())
        .filter_map(|driver| Some(driver.file_name()?.to_str()?.to_owned()))
        .collect();
    drivers.sort();
    assert_eq!(drivers, ["8139cp", "e1000", "e1000e", "virtio_net", "vmxnet3", "vmxnet3"]);
}

/// What these cards cannot do, or do not offer to VLANs, is a note with the
/// driver's name: a fresh VLAN on a fresh card has lost nothing.
#[test]
fn offload_vlans_on_real_cards_have_lost_nothing() {
    let devices = fs::read_dir("/sys/class/net").unwrap().map(|device| device.unwrap());
    let cards: Vec<String> = devices
        .filter(|device| device.path().join("device/driver").exists())
        .map(|device| device.file_name().into_string().unwrap())
        .collect();
    assert_eq!(cards.len(), 6);
    let vlans: Vec<Link> = cards
        .iter()
        .enumerate()
        .map(|(number, card)| {
            ip(&["link", "set", card, "up"]);
            Link::vlan(&format!("hw{number}"), card, 10)
        })
        .collect();
    let audited = audit(&[]);
    assert_eq!(audited.findings(), Vec::<String>::new());
    let drivers =
        audited.data.namespaces[0].devices.iter().filter_map(|device| device.link.as_ref()?.driver.clone());
    assert_eq!(drivers.count(), 6);
    drop(vlans);
}
