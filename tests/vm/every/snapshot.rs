//! `hostdiag snapshot` where a kernel can be put into any state: bonds, drops, BPF
//! programs, a process that is killed for want of memory.
use std::fs;
use std::process::Command;

use crate::lab::{IntoDummy, Link, NetNs, Netem, Taken, Xdp, run};

#[test]
fn snapshot_has_bonds_vlans_and_programs() {
    let namespace = NetNs::new("snapshot");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _bond = Link::bond("bond0", "802.3ad", &["nic0", "nic1"]);
    fs::write("/sys/class/net/bond0/bonding/xmit_hash_policy", "layer3+4").unwrap();
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    let before = Taken::now(&["--interval", "0"]);
    let _xdp = Xdp::generic("port0");
    let after = Taken::now(&["--interval", "0"]);
    for (of, name, expected) in [
        ("bond0", "bond mode", "802.3ad 4"),
        ("bond0", "bond xmit_hash_policy", "layer3+4 1"),
        ("nic0", "master", "bond0"),
        ("vlan10", "lower", "bond0"),
        ("vlan10", "vlan id", "10"),
        ("port0", "xdp", "yes"),
    ] {
        assert_eq!(after.value(Some(of), name), expected, "{of} {name}");
    }
    let programs = |taken: &Taken| taken.value(None, "programs").parse::<u64>().unwrap();
    assert_eq!(programs(&after), programs(&before) + 1);
    assert_eq!(after.value(Some("xdp_pass"), "xdp"), "1");
}

#[test]
fn snapshot_counts_what_a_qdisc_drops() {
    let namespace = NetNs::new("drops");
    let _entered = namespace.enter();
    let dummy = IntoDummy::new();
    let _netem = Netem::on("d0", &["loss", "100%"]);
    let (taken, sent) = Taken::during("500ms", || dummy.send(1));
    let drops = taken.count(Some("d0"), "drops");
    assert!(drops > 0 && drops <= sent, "{drops} of {sent}");
    assert_eq!(taken.value(Some("d0"), "root"), "netem");
}

/// The kernel's own message, of a process in a group of its own.
#[test]
fn snapshot_counts_a_process_killed_for_want_of_memory() {
    let namespace = NetNs::new("oom");
    let _entered = namespace.enter();
    let folder = std::env::temp_dir().join("cgroup-of-snapshot");
    fs::create_dir_all(&folder).unwrap();
    let mounted = folder.to_str().unwrap();
    run("mount", &["-t", "cgroup2", "cgroup2", mounted]);
    fs::write(folder.join("cgroup.subtree_control"), "+memory").unwrap();
    let group = folder.join("small");
    fs::create_dir(&group).unwrap();
    fs::write(group.join("memory.max"), "8388608").unwrap();
    let ooms = |taken: &Taken| taken.value(None, "oom").parse::<u64>().unwrap();
    let before = ooms(&Taken::now(&["--interval", "0"]));
    let enter = format!(
        "echo $$ >{}/cgroup.procs; exec dd if=/dev/zero of=/dev/null bs=64M count=1",
        group.display()
    );
    let status = Command::new("sh").args(["-c", &enter]).status().unwrap();
    assert!(!status.success(), "it was not killed");
    let after = Taken::now(&["--interval", "0"]);
    fs::remove_dir(&group).unwrap();
    run("umount", &[mounted]);
    assert_eq!(ooms(&after), before + 1);
}
