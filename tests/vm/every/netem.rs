//! Faults come when they are called, and go with their guards.
use std::net::UdpSocket;

use crate::lab::{Netem, PEER, Stack, ip, on_change, run};

fn lost(device: &str) -> u64 {
    let text = run("tc", &["-s", "qdisc", "show", "dev", device, "root"]);
    // Sent 0 bytes 0 pkt (dropped 10, overlimits 0 requeues 0)
    let (_, count) = text.split_once("(dropped ").unwrap_or_else(|| panic!("no count in: {text}"));
    count.split(',').next().unwrap().parse().unwrap()
}

#[test]
fn lab_netem_loses_what_is_sent() {
    let _stack = Stack::new();
    let discipline = || run("tc", &["qdisc", "show", "dev", "vlan10"]);
    let before = discipline();
    let netem = Netem::on("vlan10", &["loss", "100%"]);
    // The kernel may look for neighbours by itself.
    let before_ours = lost("vlan10");
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    for _ in 0..10 {
        socket.send_to(b"lost", (PEER, 9)).unwrap();
    }
    assert!(lost("vlan10") >= before_ours + 10);
    drop(netem);
    assert_eq!(discipline(), before);
}

#[test]
fn lab_loss_begins_with_a_change() {
    let stack = Stack::new();
    let never = on_change("vlan10", "tx-scatter-gather", "off [fixed]", || ());
    let loss = on_change("vlan10", "tx-scatter-gather", "off", || Netem::on("vlan10", &["loss", "100%"]));
    assert!(!ip(&["link", "show", "vlan10"]).contains("netem"));
    stack.break_offloads();
    // The newest kernel may need a moment.
    crate::lab::wait_until("the loss began", || ip(&["link", "show", "vlan10"]).contains("netem"));
    assert!(loss.end().is_some());
    assert!(!ip(&["link", "show", "vlan10"]).contains("netem"));
    assert!(never.end().is_none());
}
