//! LRO on a real driver: held off for a reason, and stuck when that has gone.
use std::fs;
use std::process::Command;

use hostdiag_model::audit::{Reason, Verdict};

use crate::lab::{Link, audit, ethtool, feature, ip, vmxnet3, wait_until};

const LRO: &str = "rx-lro";

#[test]
fn offload_lro_suppressed_then_stuck() {
    let card = vmxnet3();
    let wait = |state: &str| {
        wait_until(&format!("{LRO} is {state}"), || feature(&card, "large-receive-offload") == state);
    };
    ip(&["link", "set", &card, "up"]);
    let vlan = Link::vlan("lro10", &card, 10);
    // A change of the wish makes the kernel compute anew: LRO is held off.
    ethtool(&["-K", &card, "lro", "off"]);
    // ethtool fails, because what it asked for did not come; the wish stays.
    Command::new("ethtool").args(["-K", &card, "lro", "on"]).status().unwrap();
    wait("off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.verdict(&card, LRO), (Verdict::Suppressed, false));
    assert_eq!(audited.entry(&card, LRO).reason, Reason::LroSuppressed { by: vec!["lro10".into()] });
    assert_eq!(audited.status, 0, "{:?}", audited.findings());
    // The VLAN goes, and nobody computes anew.
    drop(vlan);
    assert_eq!(feature(&card, "large-receive-offload"), "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.verdict(&card, LRO), (Verdict::Stuck, true));
    assert_eq!(audited.status, 1);
    // Forwarding takes even the wish away (dev_disable_lro): nothing is lost.
    fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
    assert_eq!(feature(&card, "large-receive-offload"), "off");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    fs::write("/proc/sys/net/ipv4/ip_forward", "0").unwrap();
    ethtool(&["-K", &card, "lro", "off"]);
    ethtool(&["-K", &card, "lro", "on"]);
    wait("on");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
}
