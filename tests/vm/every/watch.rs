//! `hostdiag offload --watch`: what comes later is repaired, what somebody decided is not.
use std::fs;

use hostdiag_model::audit::{Reason, Verdict};
use hostdiag_model::plan::Apart;
use nix::sys::signal::Signal;

use crate::lab::{
    Link, PolicyFile, Watch, audit, bonded, ethtool, feature, hostdiag, ip_batch, page, plan, run_fix,
    wait_long_until,
};

const SG: &str = "tx-scatter-gather";
const REPAIR: &str = "mode = \"repair\"\n";

#[track_caller]
fn wait_feature(device: &str, name: &str, state: &str) {
    wait_long_until(&format!("{name} of {device} is {state}"), || feature(device, name) == state);
}

#[track_caller]
fn sg_off(device: &str) {
    ethtool(&["-K", device, "sg", "off"]);
}

/// What the watch did before is over once it has repaired a VLAN that is made now.
#[track_caller]
fn has_looked(watch: &Watch, id: u16) {
    let name = format!("marker{id}");
    let _marker = Link::vlan(&name, "bond0", id);
    sg_off(&name);
    watch.says(&format!("{name}: repaired"));
}

/// `hostdiag offload` with these options; its exit status.
#[track_caller]
fn offload(options: &[&str]) -> Option<i32> {
    hostdiag().arg("offload").args(options).output().unwrap().status.code()
}

#[test]
fn watch_leaves_what_somebody_switched_off() {
    let _host = bonded();
    let policy = PolicyFile::new(REPAIR);
    let watch = Watch::start(policy.path());
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    sg_off("vlan10");
    watch.says("vlan10: repaired tx-scatter-gather");
    // By whoever wants it so; that holds whatever happens then.
    wait_long_until("the run is over", || offload(&["--undo"]) == Some(0));
    watch.says("vlan10: somebody switched off tx-scatter-gather; left so");
    ip_batch((0..300).map(|number| format!("link set dev port0 {}", ["down", "up"][number % 2])));
    has_looked(&watch, 4001);
    assert_eq!(watch.said().matches("somebody switched off").count(), 1, "{}", watch.said());
    watch.end(Signal::SIGKILL);
    let watch = Watch::start(policy.path());
    has_looked(&watch, 4002);
    assert_eq!(feature("vlan10", SG), "off");
    assert!(!watch.said().contains("somebody"), "{}", watch.said());
    let audited = audit(&[]);
    assert_eq!((audited.status, audited.verdict("vlan10", SG)), (0, (Verdict::Held, false)));
    assert!(matches!(audited.entry("vlan10", SG).reason, Reason::SwitchedOff { .. }));
    let text = page(&["--notes"]);
    assert!(text.contains("switched off by somebody") && text.contains("--release DEVICE"), "{text}");
    // Nor does a repair by hand undo it, unless the device is named.
    let (left, status) = plan(&[]);
    assert!(left.left.iter().any(|left| left.device == "vlan10" && left.reason == Apart::Held), "{left:#?}");
    assert_eq!((left.steps.len(), status), (0, 0));
    assert_eq!(run_fix(&["--fix", "--observe", "200ms", "vlan10"]).status, 0);
    assert_eq!(feature("vlan10", SG), "on");
    // A decision ends when it is on again; the next one is released.
    has_looked(&watch, 4003);
    sg_off("vlan10");
    watch.says("somebody switched off");
    assert_eq!(offload(&["--release", "vlan10"]), Some(0));
    wait_feature("vlan10", SG, "on");
}

#[test]
fn watch_obeys_a_hold_until_it_ends() {
    let _host = bonded();
    let _vlans = [Link::vlan("vlan10", "bond0", 10), Link::vlan("vlan20", "bond0", 20)];
    ["vlan10", "vlan20"].into_iter().for_each(sg_off);
    assert_eq!(offload(&["--hold", "vlan10", "--reason", "NET-1"]), Some(0));
    assert_eq!(offload(&["--hold", "vlan1O"]), Some(2));
    let policy = PolicyFile::new(REPAIR);
    let watch = Watch::start(policy.path());
    wait_feature("vlan20", SG, "on");
    has_looked(&watch, 4004);
    assert_eq!(feature("vlan10", SG), "off");
    assert_eq!(audit(&[]).verdict("vlan10", SG), (Verdict::Held, false));
    let text = page(&["--notes"]);
    assert!(text.contains("held until it is released (--hold): NET-1"), "{text}");
    // In the place of the other; then nothing else wakes the watch.
    assert_eq!(offload(&["--hold", "vlan10", "--for", "2s"]), Some(0));
    wait_feature("vlan10", SG, "on");
    assert_eq!(offload(&["--release", "vlan10"]), Some(0));
}

#[test]
fn watch_does_nothing_under_a_broken_policy_and_goes_on_with_a_mended_one() {
    let _host = bonded();
    let policy = PolicyFile::new("mode = \"repare\"\n");
    let watch = Watch::start(policy.path());
    watch.says("nothing is repaired until the policy is mended");
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    sg_off("vlan10");
    // Read again it is as broken, and said once.
    watch.signal(Signal::SIGHUP);
    watch.tells("RELOADING=1");
    watch.tells("READY=1");
    assert_eq!(watch.said().matches("nothing is repaired").count(), 1, "{}", watch.said());
    assert_eq!(feature("vlan10", SG), "off");
    fs::write(policy.path(), "mode = \"report\"\n").unwrap();
    watch.signal(Signal::SIGHUP);
    watch.says("vlan10: lost-here: tx-scatter-gather: off here; on in bond0");
    assert_eq!(feature("vlan10", SG), "off");
    fs::write(policy.path(), REPAIR).unwrap();
    watch.signal(Signal::SIGHUP);
    wait_feature("vlan10", SG, "on");
    // A second one would do everything twice.
    assert_eq!(offload(&["--watch", "--policy", policy.path()]), Some(2));
}

/// Each device is told of when it is done with, not when all are.
#[test]
fn watch_goes_on_where_a_device_is_removed_meanwhile() {
    let _host = bonded();
    let _first = Link::vlan("vlan10", "bond0", 10);
    let second = Link::vlan("vlan20", "bond0", 20);
    let _third = Link::vlan("vlan30", "bond0", 30);
    ["vlan10", "vlan20", "vlan30"].into_iter().for_each(sg_off);
    let policy = PolicyFile::new(REPAIR);
    let watch = Watch::with(policy.path(), &["--observe", "3s"]);
    watch.says("vlan10: repaired tx-scatter-gather");
    wait_feature("vlan20", SG, "on");
    drop(second);
    watch.says("vlan20: removed while it was repaired");
    watch.says("repairs are put off: vlan20 was removed");
    wait_feature("vlan30", SG, "on");
}

/// What takes long.
mod long {
    use super::*;

    #[test]
    fn watch_repairs_what_is_made_later() {
        let _host = bonded();
        let policy = PolicyFile::new(REPAIR);
        let watch = Watch::start(policy.path());
        let _vlan = Link::vlan("vlan10", "bond0", 10);
        sg_off("vlan10");
        watch.tells("WATCHDOG=1");
        wait_feature("vlan10", SG, "on");
        watch.says("vlan10: repaired tx-scatter-gather (created ");
        let _outer = Link::service_vlan("outer", "bond0", 20);
        let _inner = Link::vlan("inner", "outer", 21);
        ["outer", "inner"].into_iter().for_each(sg_off);
        wait_feature("inner", SG, "on");
        wait_feature("outer", SG, "on");
        // A VLAN above a bond that gets its ports later.
        let _late = Link::veth("nic2", "port2");
        let empty = Link::bond("bond1", "active-backup", &[]);
        let _above = Link::vlan("vlan30", "bond1", 30);
        sg_off("vlan30");
        has_looked(&watch, 4000);
        empty.enslave_down(&["nic2"]);
        wait_feature("vlan30", SG, "on");
        assert_eq!(audit(&[]).findings(), Vec::<String>::new());
        let history = hostdiag().args(["offload", "--history"]).output().unwrap();
        let history = String::from_utf8(history.stdout).unwrap();
        assert!(history.contains("vlan10") && history.contains("created "), "{history}");
        assert!(watch.end(Signal::SIGTERM).success());
    }

    #[test]
    fn watch_reads_all_anew_when_notifications_were_lost() {
        let _host = bonded();
        let policy = PolicyFile::new(REPAIR);
        let watch = Watch::start(policy.path());
        watch.signal(Signal::SIGSTOP);
        ip_batch((0..300).map(|number| format!("link set dev port0 {}", ["down", "up"][number % 2])));
        let _vlan = Link::vlan("vlan10", "bond0", 10);
        sg_off("vlan10");
        watch.signal(Signal::SIGCONT);
        watch.says("notifications were lost");
        wait_feature("vlan10", SG, "on");
    }

    #[test]
    fn watch_killed_in_the_middle_undoes_and_repairs_at_its_next_start() {
        let _host = bonded();
        let policy = PolicyFile::new(REPAIR);
        let watch = Watch::with(policy.path(), &["--observe", "1m"]);
        let _vlan = Link::vlan("vlan10", "bond0", 10);
        sg_off("vlan10");
        wait_feature("vlan10", SG, "on");
        watch.end(Signal::SIGKILL);
        let watch = Watch::start(policy.path());
        watch.says("was killed in the middle of a step, which was undone");
        watch.says("vlan10: repaired tx-scatter-gather");
        assert_eq!(feature("vlan10", SG), "on");
    }
}
