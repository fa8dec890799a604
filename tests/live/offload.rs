//! `hostdiag offload` on the machine at hand, with what its kernel offers: veth
//! pairs and a bridge.
use hostdiag_model::audit::Verdict;

use crate::lab::{Link, NetNs, audit, audit_unprivileged, ethtool, feature, page, wait_until};

const SG: &str = "tx-scatter-gather";

#[test]
fn offload_of_this_machine_prints_what_ethtool_prints() {
    assert_eq!(page(&["--format", "ethtool"]), ethtool(&["-k", "*"]));
}

#[test]
fn offload_finds_a_bridge_whose_ports_have_lost_it() {
    let namespace = NetNs::new("bridge");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _bridge = Link::bridge("br0", &["nic0", "nic1"]);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    for nic in ["nic0", "nic1"] {
        ethtool(&["-K", nic, SG, "off"]);
    }
    wait_until("the bridge follows", || feature("br0", SG) == "off [requested on]");
    for audited in [audit(&[]), audit_unprivileged(&[])] {
        assert_eq!(audited.findings(), [format!("br0 {SG} lost-below")]);
        assert_eq!(audited.verdict("nic0", SG), (Verdict::OffByWish, false));
        assert_eq!(audited.status, 1);
    }
}

/// A check that was asked for every namespace and saw one is no green check.
#[test]
fn offload_says_when_a_namespace_could_not_be_entered() {
    let other = NetNs::new("closed");
    let here = NetNs::new("here");
    let _entered = here.enter();
    let audited = audit_unprivileged(&["--all-netns"]);
    assert_eq!(audited.status, 4);
    let subject = format!("netns {}", other.name());
    let problems = &audited.data.namespaces[0].problems;
    assert!(problems.iter().any(|problem| problem.subject == subject), "{problems:?}");
    assert_eq!(audit(&["--all-netns"]).status & !1, 0, "root enters them all");
}
