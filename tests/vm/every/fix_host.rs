//! Hosts that stand in the way of a repair: without privileges, with a broken
//! policy, without room for the journal.
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use nix::mount::{MsFlags, mount, umount};

use crate::lab::{Stack, Unprivileged, feature, fix, hostdiag, snapshot, wait_until};

const SG: &str = "tx-scatter-gather";

fn broken() -> Stack {
    let stack = Stack::new();
    stack.break_offloads();
    wait_until("it is broken", || feature("vlan10", SG) == "off");
    stack
}

/// Status and stderr of `hostdiag offload ARGS`, which must change nothing.
#[track_caller]
fn changes_nothing(mut command: std::process::Command, args: &[&str]) -> (i32, String) {
    let before = snapshot();
    let output = command.arg("offload").args(args).output().unwrap();
    assert_eq!(snapshot().devices, before.devices);
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn fix_without_privilege_names_the_command() {
    let _stack = broken();
    let user = Unprivileged::new();
    let (status, said) = changes_nothing(user.command(), &["--fix", "--reason", "slow web", "vlan10"]);
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("[no-privilege]") && said.contains("CAP_NET_ADMIN"), "{said}");
    assert!(said.contains("offload --fix --reason 'slow web' vlan10") && said.contains("sudo "), "{said}");
    // The plan is for everyone.
    let (status, said) = changes_nothing(user.command(), &["--fix", "--dry-run"]);
    assert_eq!(status, 1, "{said}");
}

#[test]
fn fix_wrong_policies_change_nothing() {
    let _stack = broken();
    let path = Path::new("/run/hostdiag-test-policy.toml");
    let cases = [
        ("[repair]\nfeatures = [\"tx-scater-gather\"]\n", "line 2", "tx-scatter-gather"),
        ("[repar]\n", "line 1", "repair"),
        ("mode = \"repare\"\n", "line 1", "repair"),
        ("[repair]\nfeatures = [\"rx-lro\"]\n", "line 2", "[[repair.device]]"),
    ];
    for (text, line, near) in cases {
        fs::write(path, text).unwrap();
        let (status, said) = changes_nothing(hostdiag(), &["--fix", "--policy", path.to_str().unwrap()]);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains(line) && said.contains(near) && said.contains("[bad-policy]"), "{said}");
    }
    fs::write(path, "mode = \"repair\"\n").unwrap();
    for (mode, owner) in [(0o666, 0), (0o620, 0), (0o644, 65534)] {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        chown(path, Some(owner), None).unwrap();
        let (status, said) = changes_nothing(hostdiag(), &["--fix", "--policy", path.to_str().unwrap()]);
        assert_eq!(status, 2, "{said}");
        assert!(said.contains("[unsafe-policy]"), "{said}");
    }
    fs::remove_file(path).unwrap();
}

#[test]
fn fix_without_room_for_the_journal_changes_nothing() {
    let _stack = broken();
    let full = "/run/hostdiag/full";
    fs::write(full, vec![0; 1 << 16]).unwrap();
    mount(None::<&str>, "/run/hostdiag", None::<&str>, MsFlags::MS_REMOUNT, Some("size=64k,mode=700"))
        .unwrap();
    let (status, said) = changes_nothing(hostdiag(), &["--fix"]);
    assert_eq!(status, 2, "{said}");
    assert!(said.contains("[no-journal]"), "{said}");
    fs::remove_file(full).unwrap();
    assert_eq!(fix(&[]).status, 0);
}

#[test]
fn fix_on_a_read_only_root_repairs_and_says_what_is_not_kept() {
    let _stack = broken();
    umount("/var/lib/hostdiag").unwrap();
    let flags = MsFlags::MS_BIND;
    mount(Some("/var/lib/hostdiag"), "/var/lib/hostdiag", None::<&str>, flags, None::<&str>).unwrap();
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&str>, "/var/lib/hostdiag", None::<&str>, flags, None::<&str>).unwrap();
    let fixed = fix(&[]);
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    assert!(fixed.run().problems.iter().any(|problem| problem.message.contains("Read-only")), "{fixed:?}");
}
