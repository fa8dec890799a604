//! `kill -9` at any moment of a repair.
use std::process::Stdio;

use crate::lab::{
    Killed, Link, Stack, Which, audit, ethtool, feature, hostdiag, kill_after, run_fix, snapshot, undo,
    wait_until,
};

const SG: &str = "tx-scatter-gather";

/// `kill -9` after each call that changes features, and after each that keeps
/// the journal: what is left is put right by --undo, and by the next --fix.
#[test]
fn fix_killed_at_any_moment() {
    let stack = Stack::new();
    stack.break_offloads();
    let _second = Link::vlan("vlan20", "bond0", 20);
    ethtool(&["-K", "vlan20", "sg", "off"]);
    wait_until("both are broken", || ["vlan10", "vlan20"].iter().all(|vlan| feature(vlan, SG) == "off"));
    let before = snapshot();
    let mut command = hostdiag();
    command.args(["offload", "--fix", "--observe", "200ms"]).stdout(Stdio::null()).stderr(Stdio::null());
    for which in [Which::Change, Which::Rename] {
        for again in ["--undo", "--fix"] {
            let mut moments = 0;
            for nth in 1.. {
                let killed = kill_after(&command, which, nth);
                if killed != Killed::AfterCall {
                    assert!(matches!(killed, Killed::Ended(status) if status.success()), "{killed:?}");
                    break;
                }
                moments += 1;
                match again {
                    "--undo" => undo_all(),
                    _ => {
                        let fixed = run_fix(&["--fix", "--observe", "200ms"]);
                        assert_eq!(fixed.status, 0, "{}", fixed.said);
                        assert_eq!(audit(&[]).findings(), Vec::<String>::new());
                    }
                }
                undo_all();
                wait_until("all is as it was", || snapshot().devices == before.devices);
            }
            println!("killed at {moments} moments of {which:?}, then {again}");
            assert!(moments >= 2, "{which:?}");
            undo_all();
            wait_until("all is as it was", || snapshot().devices == before.devices);
        }
    }
}

/// Every run that has something to undo, the last first.
#[track_caller]
fn undo_all() {
    for _ in 0..10 {
        let (undone, status) = undo(&[]);
        assert_eq!(status, 0, "{undone:?}");
        if undone.is_empty() {
            return;
        }
    }
    panic!("there is always something more to undo");
}
