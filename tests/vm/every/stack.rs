//! The lab's own stack does what the tests of the tools build on.
use crate::lab::{PEER, Stack, Traffic, feature, sendfile, wait_until};

const BYTES: u64 = 32 << 20;

#[test]
fn lab_stack_carries_traffic() {
    let stack = Stack::new();
    let traffic = sendfile(stack.peer(), PEER, BYTES);
    assert_eq!((traffic.sent, traffic.received), (BYTES, BYTES));
}

#[test]
fn lab_article_state_is_slower() {
    let stack = Stack::new();
    let (mut healthy, mut bad) = (Traffic::default(), Traffic::default());
    // Alternating, so that what else the machine does hits both alike.
    for _ in 0..3 {
        stack.mend_offloads();
        wait_until("sg is on", || feature("vlan10", "tx-scatter-gather") == "on");
        healthy += sendfile(stack.peer(), PEER, BYTES);
        stack.break_offloads();
        wait_until("sg is off", || feature("vlan10", "tx-scatter-gather") == "off");
        bad += sendfile(stack.peer(), PEER, BYTES);
    }
    let [healthy, bad] = [healthy, bad].map(|traffic| traffic.bytes_per_second() / 1e6);
    println!("healthy {healthy:.0} MB/s, bad {bad:.0} MB/s, ratio {:.2}", healthy / bad);
    assert!(bad < healthy);
}

/// The text that stands in the article, line for line where it matters.
#[test]
fn lab_article_state_reads_as_in_the_article() {
    let stack = Stack::new();
    stack.break_offloads();
    wait_until("sg is off", || feature("vlan10", "tx-scatter-gather") == "off");
    assert_eq!(feature("vlan10", "tx-checksum-ip-generic"), "off");
    assert_eq!(feature("vlan10", "tx-tcp-segmentation"), "off [requested on]");
    assert_eq!(feature("vlan10", "generic-segmentation-offload"), "off [requested on]");
}
