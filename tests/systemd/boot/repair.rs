//! mode = "repair"
use super::{SG, UNIT, property, said, was_broken};
use crate::lab::{audit, ethtool, feature, hostdiag, run};

/// Status and stdout of `hostdiag offload` with these options.
fn offload(options: &[&str]) -> (Option<i32>, String) {
    let output = hostdiag().arg("offload").args(options).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn boot_made_the_broken_vlan_whole() {
    was_broken();
    assert_eq!(property(UNIT, "Result"), "success", "{}", said());
    // Each feature of it is as on the VLAN beside, which nobody broke, but for what
    // `ethtool -K sg off tx off` takes along and no policy lists.
    let features = |device| {
        let text = ethtool(&["-k", device]);
        text.lines().skip(1).map(|line| line.trim().to_owned()).collect::<Vec<_>>()
    };
    let (repaired, healthy) = (features("vlan20"), features("vlan10"));
    let different: Vec<&str> = std::iter::zip(&repaired, &healthy)
        .filter(|(here, there)| here != there)
        .filter_map(|(here, _)| here.split_once(':').map(|(name, _)| name))
        .collect();
    assert_eq!(different, ["tx-checksum-fcoe-crc", "tx-checksum-sctp", "tx-scatter-gather-fraglist"]);
    assert_eq!(feature("vlan20", SG), "on");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    let said = said();
    assert!(said.contains("vlan20") && said.contains(SG), "{said}");
    assert!(!said.contains("vlan10"), "{said}");
}

/// Each change is a message of its own in the system journal.
#[test]
fn boot_repair_is_in_the_system_journal() {
    run("journalctl", &["--sync"]);
    let id = "MESSAGE_ID=65bc3c8783bd44b7ba0314983e06e7bf";
    let fields = ["HOSTDIAG_DEVICE=vlan20", "HOSTDIAG_FEATURE=tx-scatter-gather", "HOSTDIAG_NEW=on"];
    let message = run("journalctl", &[&["--boot", "--output=cat", id][..], &fields].concat());
    assert!(message.starts_with("vlan20: tx-scatter-gather off -> on (set, run "), "{message}");
}

/// The journal of repairs outlives the unit, and root's own run finds it.
#[test]
fn boot_repair_is_in_the_history_and_can_be_undone() {
    let (status, history) = offload(&["--history"]);
    assert_eq!(status, Some(0));
    assert!(history.contains("vlan20") && history.contains(SG), "{history}");
    assert_eq!(offload(&["--undo"]).0, Some(0));
    assert_eq!(feature("vlan20", SG), "off");
    // As at the next boot, by the unit in the running system.
    run("systemctl", &["start", UNIT]);
    assert_eq!(feature("vlan20", SG), "on");
}
