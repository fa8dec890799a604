//! Guards take down what they put up, however a test ends.
use std::fs::read_to_string as read;
use std::panic::catch_unwind;

use crate::lab::{Card, Link, NetNs, ethtool, feature, ip, wait_until};

fn devices() -> Vec<String> {
    let text = ip(&["-brief", "link"]);
    text.lines().filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect()
}

/// Every kind of link that the tests build with, at once.
fn every_kind() -> Vec<Link> {
    let mut links = vec![Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    links.extend(["card0", "card1", "card2"].map(Link::dummy));
    links.push(Link::bond("bond0", "802.3ad", &["nic0", "nic1"]));
    links.push(Link::team("team0", &["card0", "card1"]));
    links.push(Link::vlan("vlan10", "bond0", 10));
    links.push(Link::service_vlan("outer", "bond0", 20));
    links.push(Link::vlan("inner", "outer", 30));
    links.push(Link::macvlan("macvlan0", "card2"));
    links.push(Link::bridge("br0", &["vlan10"]));
    links.push(Link::vxlan("vxlan0", "br0", "192.0.2.1"));
    links.push(Link::gre("gre1", "br0", "192.0.2.1"));
    links.extend([Link::wireguard("wg0"), Link::tuntap("tap0", "tap"), Link::tuntap("tun0", "tun")]);
    links.push(Link::veth("nic2", "port2"));
    links.push(Link::ipvlan("ipvlan0", "nic2"));
    links
}

#[test]
fn lab_links_go_with_their_guards() {
    let namespace = NetNs::new("links");
    let _entered = namespace.enter();
    let before = devices();
    let links = every_kind();
    let seen = std::fs::read_dir("/sys/class/net").unwrap().count();
    assert!(seen >= links.len(), "/sys shows another namespace");
    // In the order they were made: lower links take upper ones with them.
    drop(links);
    assert_eq!(devices(), before);
}

#[test]
fn lab_guards_survive_a_failing_test() {
    let before = devices();
    catch_unwind(|| {
        let namespace = NetNs::new("failing");
        let _entered = namespace.enter();
        let _links = every_kind();
        // Behind the guards' back, so that they find nothing to undo.
        ip(&["link", "del", "nic0"]);
        panic!("this panic is wanted");
    })
    .unwrap_err();
    assert_eq!(devices(), before);
    assert!(!ip(&["netns", "list"]).contains("failing"));
}

#[test]
fn lab_tracing_is_reachable_in_a_namespace() {
    let namespace = NetNs::new("tracing");
    let _entered = namespace.enter();
    assert!(std::fs::exists("/sys/kernel/tracing/kprobe_events").unwrap());
    assert!(std::fs::exists("/sys/kernel/btf/vmlinux").unwrap());
}

/// A bond takes LRO from its cards, and even their wish for it.
#[test]
fn lab_cards_are_given_back() {
    let cards = Card::all("vmxnet3");
    let names: Vec<String> = cards.iter().map(|card| card.name().to_owned()).collect();
    let [first, second] = [0, 1].map(|card| names[card].as_str());
    let states =
        || [first, second].map(|card| (ip(&["-brief", "link", "show", card]), ethtool(&["-k", card])));
    let before = states();
    let bond = Link::bond("bond0", "active-backup", &[first, second]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    wait_until("the bond has carrier", || read("/sys/class/net/bond0/carrier").unwrap() == "1\n");
    assert_eq!(feature(second, "large-receive-offload"), "off");
    drop(bond);
    drop(cards);
    assert_eq!(states(), before);
}
