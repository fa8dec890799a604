//! `hostdiag offload --fix` repairs each way to lose an offload that can be
//! repaired, changes nothing else, and can be undone. That what happened is
//! what was planned is asserted by `lab::fix` each time.
use std::sync::atomic::{AtomicBool, Ordering};

use hostdiag::offload::fix::compare;
use hostdiag_model::plan::{Action, Apart, Refusal, UndoResult};

use crate::lab::{
    Card, Link, NetNs, PEER, PolicyFile, Stack, audit, ethtool, feature, fix, hostdiag, ip, plan, repairs,
    run_fix, sendfile, snapshot, stick_lro, undo, wait_until,
};

const SG: &str = "tx-scatter-gather";
const CSUM: &str = "tx-checksum-ip-generic";
const TSO: &str = "tx-tcp-segmentation";
const GSO: &str = "tx-generic-segmentation";

/// What `ethtool -K sg off tx off` switches off beside [`SG`], [`CSUM`] and what
/// follows them.
const NOT_LISTED: [&str; 3] = ["tx-scatter-gather-fraglist", "tx-checksum-fcoe-crc", "tx-checksum-sctp"];

#[track_caller]
fn wait_feature(device: &str, name: &str, state: &str) {
    wait_until(&format!("{name} of {device} is {state}"), || feature(device, name) == state);
}

/// As much as goes through in about a second in emulation.
const LOAD: u64 = 64 << 20;

#[test]
fn fix_repairs_the_state_of_the_article_under_load() {
    let stack = Stack::new();
    let healthy = snapshot();
    stack.break_offloads();
    wait_feature("vlan10", TSO, "off [requested on]");
    let before = sendfile(stack.peer(), PEER, LOAD);
    let (peer, going) = (stack.peer(), &AtomicBool::new(true));
    let fixed = std::thread::scope(|scope| {
        let load = scope.spawn(move || {
            let mut received = 0;
            while going.load(Ordering::Relaxed) {
                received += sendfile(peer, PEER, 1 << 20).received;
            }
            received
        });
        let fixed = fix(&[]);
        going.store(false, Ordering::Relaxed);
        assert!(load.join().unwrap() > 0);
        fixed
    });
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    // One call, and the rest follows.
    assert_eq!(fixed.fix.plan.steps.len(), 1);
    assert_eq!(fixed.repaired(), [format!("vlan10 {SG}"), format!("vlan10 {CSUM}")]);
    wait_feature("vlan10", TSO, "on");
    let after = sendfile(stack.peer(), PEER, LOAD);
    println!(
        "sendfile through vlan10: {:.0} MB/s before, {:.0} MB/s after the repair",
        before.bytes_per_second() / 1e6,
        after.bytes_per_second() / 1e6
    );
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    // But for what `ethtool -K sg off tx off` takes along and no policy lists.
    let different: Vec<String> = compare::changes(&healthy, &snapshot())
        .iter()
        .map(|change| format!("{} {}", change.device, change.feature))
        .collect();
    assert_eq!(different, NOT_LISTED.map(|feature| format!("vlan10 {feature}")));
    let again = fix(&[]);
    assert_eq!((again.status, again.fix.plan.steps.len()), (0, 0));
    assert_eq!(again.happened, []);
}

#[test]
fn fix_dry_run_says_what_it_would_do() {
    let stack = Stack::new();
    assert_eq!(plan(&[]).1, 0);
    stack.break_offloads();
    wait_feature("vlan10", TSO, "off [requested on]");
    let (planned, status) = plan(&[]);
    assert_eq!(status, 1);
    assert_eq!(repairs(&planned), [format!("vlan10 {SG}"), format!("vlan10 {CSUM}")]);
    let text = hostdiag().args(["offload", "--fix", "--dry-run"]).output().unwrap();
    let text = String::from_utf8(text.stdout).unwrap();
    for part in [
        "1 device, software only, no physical device changes",
        "ethtool -K vlan10 tx-scatter-gather on",
        "nothing was changed",
    ] {
        assert!(text.contains(part), "no {part:?} in:\n{text}");
    }
}

#[test]
fn fix_undo_is_the_state_before() {
    let stack = Stack::new();
    stack.break_offloads();
    wait_feature("vlan10", TSO, "off [requested on]");
    let before = snapshot();
    assert_eq!(fix(&[]).status, 0);
    let (undone, status) = undo(&[]);
    assert_eq!(status, 0, "{undone:?}");
    assert!(undone[0].wishes.iter().all(|wish| wish.result == UndoResult::Restored), "{undone:?}");
    wait_feature("vlan10", TSO, "off [requested on]");
    assert_eq!(snapshot().devices, before.devices);
    // There is nothing more to undo, and that is no error.
    assert_eq!(undo(&[]).1, 0);
    assert_eq!(snapshot().devices, before.devices);
}

#[test]
fn fix_repairs_just_what_is_broken() {
    let _stack = Stack::new();
    let _second = Link::vlan("vlan20", "bond0", 20);
    for (lost, roots) in [
        (&["tx", "off"][..], &[CSUM][..]),
        (&[SG, "off"], &[SG]),
        (&[GSO, "off"], &[GSO]),
        (&[TSO, "off", "tx-tcp6-segmentation", "off"], &[TSO, "tx-tcp6-segmentation"]),
    ] {
        ethtool(&[&["-K", "vlan20"], lost].concat());
        wait_until("something is lost", || audit(&[]).status == 1);
        let fixed = fix(&[]);
        assert_eq!(fixed.status, 0, "{}", fixed.said);
        let expected: Vec<String> = roots.iter().map(|root| format!("vlan20 {root}")).collect();
        assert_eq!(fixed.repaired(), expected);
        wait_until("all is well", || audit(&[]).findings().is_empty());
    }
}

#[test]
fn fix_begins_at_the_bottom() {
    let _stack = Stack::new();
    let _inner = Link::vlan("vlan10.5", "vlan10", 5);
    for device in ["vlan10.5", "vlan10", "bond0"] {
        ethtool(&["-K", device, SG, "off"]);
    }
    wait_feature("vlan10.5", SG, "off");
    let (planned, _) = plan(&[]);
    let order: Vec<&str> = planned.steps.iter().map(|step| step.device.name.as_str()).collect();
    assert_eq!(order, ["bond0", "vlan10", "vlan10.5"]);
    let fixed = fix(&[]);
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    let before = snapshot();
    assert_eq!(undo(&[]).1, 0);
    wait_feature("vlan10.5", SG, "off");
    assert_eq!(fix(&["vlan10"]).repaired().len(), 2, "bond0 and vlan10, not what lies on them");
    assert_eq!(fix(&[]).status, 0);
    assert_eq!(snapshot().devices, before.devices);
}

#[test]
fn fix_bond_brings_back_what_lies_on_it() {
    let _stack = Stack::new();
    ethtool(&["-K", "bond0", SG, "off"]);
    wait_feature("vlan10", SG, "off [requested on]");
    let fixed = fix(&[]);
    assert_eq!(fixed.repaired(), [format!("bond0 {SG}")]);
    let above = |change: &hostdiag_model::plan::Change| change.device == "vlan10" && &*change.feature == SG;
    assert!(fixed.fix.plan.changes().any(above), "{:#?}", fixed.fix.plan);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
}

#[test]
fn fix_team_and_vlan_on_a_team() {
    let namespace = NetNs::new("team");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _team = Link::team("team0", &["nic0", "nic1"]);
    let _vlan = Link::vlan("vlan10", "team0", 10);
    wait_feature("vlan10", SG, "on");
    ethtool(&["-K", "team0", "sg", "off"]);
    ethtool(&["-K", "vlan10", "tx", "off"]);
    wait_feature("vlan10", SG, "off [requested on]");
    let fixed = fix(&[]);
    assert_eq!(fixed.repaired(), [format!("team0 {SG}"), format!("vlan10 {CSUM}")]);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
}

#[test]
fn fix_in_a_named_namespace() {
    let stack = Stack::new();
    let other = NetNs::new("other");
    let _nic = Link::create(Some(other.name()), "nic0", None, &["veth", "peer", "name", "port0"]);
    ip(&["-n", other.name(), "link", "set", "port0", "up"]);
    let _vlan = Link::create(Some(other.name()), "vlan7", Some("nic0"), &["vlan", "id", "7"]);
    ip(&["netns", "exec", other.name(), "ethtool", "-K", "vlan7", "sg", "off"]);
    stack.break_offloads();
    wait_feature("vlan10", TSO, "off [requested on]");
    let fixed = run_fix(&["--fix", "--observe", "300ms", "--netns", other.name()]);
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    assert_eq!(fixed.repaired(), [format!("vlan7 {SG}")]);
    assert_eq!(fixed.happened, [], "nothing here");
    assert_eq!(audit(&["--netns", other.name()]).findings(), Vec::<String>::new());
    // Undone from here as well: the journal knows where it was.
    assert_eq!(undo(&[]).1, 0);
    assert_eq!(audit(&["--netns", other.name()]).status, 1);
}

#[test]
fn fix_too_many_devices_is_refused() {
    let _stack = Stack::new();
    let _vlans: Vec<Link> =
        (0..3).map(|number| Link::vlan(&format!("v{number}"), "bond0", 100 + number)).collect();
    for number in 0..3 {
        ethtool(&["-K", &format!("v{number}"), SG, "off"]);
    }
    let output = hostdiag().args(["offload", "--fix", "--max-devices", "2"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--max-devices"));
    assert_eq!(feature("v0", SG), "off");
    assert_eq!(fix(&["--max-devices", "3"]).status, 0);
}

#[test]
fn fix_leaves_stale_copies_and_limits_and_explains_them() {
    let namespace = NetNs::new("stale");
    let _entered = namespace.enter();
    let bond = Link::bond("bond0", "active-backup", &[]);
    let _outer = Link::service_vlan("w10", "bond0", 10);
    let _inner = Link::vlan("w10.20", "w10", 20);
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    bond.enslave_down(&["nic0", "nic1"]);
    wait_feature("w10", SG, "on");
    let (planned, status) = plan(&[]);
    assert_eq!((planned.steps.len(), status), (0, 0), "{planned:#?}");
    assert!(planned.beyond.iter().any(|beyond| beyond.device == "w10.20" && &*beyond.feature == SG));
    let fixed = fix(&[]);
    assert_eq!((fixed.status, fixed.happened.len()), (0, 0), "{}", fixed.said);
    // A wish that would change nothing is not set.
    ethtool(&["-K", "w10.20", SG, "off"]);
    let (planned, _) = plan(&[]);
    assert_eq!(planned.steps, []);
    let left = planned.left.iter().find(|left| left.device == "w10.20").unwrap();
    assert_eq!(left.reason, Apart::NotOffered, "{planned:#?}");
}

#[test]
fn fix_stuck_lro_needs_a_line_and_the_card_by_name() {
    let cards = Card::all("vmxnet3");
    let card = cards[0].name();
    stick_lro(card);
    let policy = PolicyFile::lro(card);
    let with = ["--policy", policy.path()];
    let refused = |args: &[&str]| {
        let fixed = run_fix(&[&["--fix"], args].concat());
        assert_eq!((fixed.status, fixed.happened.len()), (1, 0), "{}", fixed.said);
        assert_eq!(feature(card, "large-receive-offload"), "off [requested on]");
        let plan = fixed.fix.plan;
        plan.refused.iter().find(|refused| refused.device == card).unwrap().reason.clone()
    };
    assert_eq!(refused(&[]), Refusal::NeedsDeviceLine);
    assert_eq!(refused(&["--physical", card]), Refusal::NeedsDeviceLine);
    assert!(matches!(refused(&with), Refusal::ChangesPhysical { .. }));
    let fixed = fix(&[&with[..], &["--physical", card]].concat());
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    assert_eq!(fixed.fix.plan.steps[0].action, Action::Recompute);
    assert_eq!(feature(card, "large-receive-offload"), "on");
    let (undone, status) = undo(&[]);
    assert_eq!((undone[0].recomputed.as_slice(), status), (&[card.to_owned()][..], 0));
}
