//! The way back: rolled back when things get worse, undone on Ctrl-C; the way
//! back from `kill -9` is in `long`.
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use hostdiag_model::plan::{Done, UndoResult};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::lab::{
    Link, PEER, Stack, ethtool, feature, fix, hostdiag, ip, read_fix, run, run_fix, sendfile, snapshot, undo,
    wait_until,
};

const SG: &str = "tx-scatter-gather";
const TSO: &str = "tx-tcp-segmentation";

#[track_caller]
fn wait_feature(device: &str, name: &str, state: &str) {
    wait_until(&format!("{name} of {device} is {state}"), || feature(device, name) == state);
}

fn broken() -> Stack {
    let stack = Stack::new();
    stack.break_offloads();
    wait_feature("vlan10", TSO, "off [requested on]");
    stack
}

fn start(args: &[&str]) -> std::process::Child {
    let mut command = hostdiag();
    command.args(["offload", "--format", "json"]).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(child: &std::process::Child, signal: Signal) {
    kill(Pid::from_raw(child.id().cast_signed()), signal).unwrap();
}

#[test]
fn fix_rolls_back_when_packets_get_lost() {
    let stack = broken();
    let _second = Link::vlan("vlan20", "bond0", 20);
    ethtool(&["-K", "vlan20", "sg", "off"]);
    wait_feature("vlan20", SG, "off");
    let before = snapshot();
    let going = AtomicBool::new(true);
    let fixed = std::thread::scope(|scope| {
        let (peer, going) = (stack.peer(), &going);
        // One that loses the same segment again and again sends hardly any.
        for _ in 0..3 {
            scope.spawn(move || {
                while going.load(Ordering::Relaxed) {
                    sendfile(peer, PEER, 1 << 20);
                }
            });
        }
        scope.spawn(|| {
            wait_feature("vlan10", SG, "on");
            run("tc", &["qdisc", "add", "dev", "vlan10", "root", "netem", "loss", "30%"]);
        });
        let fixed = run_fix(&["--fix", "--observe", "20s"]);
        run("tc", &["qdisc", "del", "dev", "vlan10", "root"]);
        going.store(false, Ordering::Relaxed);
        fixed
    });
    assert_eq!(fixed.status, 3, "{} {:#?}", fixed.said, fixed.run().steps);
    let steps = &fixed.run().steps;
    let Done::RolledBack { worse } = &steps[0] else { panic!("{steps:#?}") };
    println!("rolled back: {worse:?}");
    assert!(matches!(steps[1], Done::NotStarted { .. }), "{steps:#?}");
    assert_eq!(snapshot().devices, before.devices);
}

#[test]
fn fix_is_undone_on_ctrl_c_and_on_sigterm() {
    let _stack = broken();
    let before = snapshot();
    for how in [Signal::SIGINT, Signal::SIGTERM] {
        let child = start(&["--fix", "--observe", "60s"]);
        wait_feature("vlan10", SG, "on");
        signal(&child, how);
        let fixed = read_fix(&child.wait_with_output().unwrap(), &before);
        assert_eq!(fixed.status, 130, "{}", fixed.said);
        assert_eq!(fixed.run().steps, [Done::Interrupted]);
        wait_feature("vlan10", TSO, "off [requested on]");
        assert_eq!(snapshot().devices, before.devices);
    }
    assert_eq!(fix(&[]).status, 0);
}

/// What goes with the device needs no way back, and is no harm that was done.
#[test]
fn fix_of_a_device_that_is_removed_meanwhile_is_no_harm() {
    let stack = broken();
    let before = snapshot();
    let child = start(&["--fix", "--observe", "60s"]);
    wait_feature("vlan10", SG, "on");
    ip(&["link", "del", "vlan10"]);
    let fixed = read_fix(&child.wait_with_output().unwrap(), &before);
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    assert_eq!(fixed.run().steps, [Done::Removed]);
    drop(stack);
    // What other tests left there may be undone.
    let id = fixed.run().id.clone().unwrap();
    let undone = undo(&[]).0;
    assert!(undone.iter().all(|run| run.id != id), "{undone:?}");
}

#[test]
fn fix_one_at_a_time() {
    let _stack = broken();
    let before = snapshot();
    let first = start(&["--fix", "--observe", "60s"]);
    wait_feature("vlan10", SG, "on");
    for args in [&["--fix"][..], &["--undo"]] {
        let second = hostdiag().arg("offload").args(args).output().unwrap();
        let said = String::from_utf8_lossy(&second.stderr).into_owned();
        assert_eq!(second.status.code(), Some(2), "{said}");
        assert!(said.contains("[busy]") && said.contains(&first.id().to_string()), "{said}");
    }
    signal(&first, Signal::SIGINT);
    assert_eq!(read_fix(&first.wait_with_output().unwrap(), &before).status, 130);
}

type Act = dyn Fn();

/// Each device is looked at again before it is touched.
#[test]
fn fix_stops_where_a_device_is_no_longer_the_same() {
    let _stack = broken();
    let changes: [(&str, Box<Act>); 3] = [
        ("gone", Box::new(|| drop(ip(&["link", "del", "vlan20"])))),
        (
            "renamed",
            Box::new(|| {
                ip(&["link", "set", "vlan20", "down"]);
                ip(&["link", "set", "vlan20", "name", "other20"]);
            }),
        ),
        ("decided by somebody", Box::new(|| drop(ethtool(&["-K", "vlan20", "gso", "off"])))),
    ];
    for (what, change) in changes {
        let _second = Link::vlan("vlan20", "bond0", 20).keep();
        ethtool(&["-K", "vlan20", "sg", "off"]);
        wait_feature("vlan20", SG, "off");
        let before = snapshot();
        let child = start(&["--fix", "--observe", "3s"]);
        wait_feature("vlan10", SG, "on");
        change();
        let fixed = read_fix(&child.wait_with_output().unwrap(), &before);
        let steps = &fixed.run().steps;
        assert!(matches!(steps[0], Done::Repaired { .. } | Done::RolledBack { .. }), "{what}: {steps:#?}");
        assert!(matches!(steps[1], Done::NotStarted { .. }), "{what}: {steps:#?}");
        println!("{what}: {steps:?}");
        undo(&[]);
        for name in ["vlan20", "other20"] {
            let _ = Command::new("ip").args(["link", "del", name]).output();
        }
    }
}

#[test]
fn fix_undo_tells_of_conflicts() {
    let _stack = broken();
    assert_eq!(fix(&[]).status, 0);
    ip(&["link", "del", "vlan10"]);
    let _other = Link::vlan("vlan10", "bond0", 10);
    let before = snapshot();
    let (undone, status) = undo(&[]);
    assert_eq!(status, 1);
    assert!(undone[0].wishes.iter().all(|wish| matches!(wish.result, UndoResult::Conflict { .. })));
    assert_eq!(snapshot().devices, before.devices);
}
