//! Programs die where they are told to.
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::thread;

use nix::fcntl::{AT_FDCWD, renameat};

use super::offload_refused::{no_netlink, refusing};
use crate::lab::{Killed, Link, NetNs, Which, feature, kill_after};

const SG: &str = "tx-scatter-gather";

/// ethtool killed once it has switched a feature off; left alone, it makes one
/// such call, and none of the other kind.
#[track_caller]
fn killed_ethtool() {
    let ethtool = |state, which, nth| {
        let mut ethtool = Command::new("ethtool");
        kill_after(ethtool.args(["-K", "nic0", SG, state]), which, nth)
    };
    assert_eq!(feature("nic0", SG), "on");
    assert_eq!(ethtool("off", Which::Change, 1), Killed::AfterCall);
    assert_eq!(feature("nic0", SG), "off");
    assert_eq!(ethtool("on", Which::Change, 2), Killed::Ended(ExitStatus::default()));
    assert_eq!(feature("nic0", SG), "on");
    assert_eq!(ethtool("off", Which::Rename, 1), Killed::Ended(ExitStatus::default()));
}

#[test]
fn lab_killed_after_a_netlink_message() {
    let namespace = NetNs::new("killed");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    killed_ethtool();
}

#[test]
fn lab_killed_after_an_ioctl() {
    let namespace = NetNs::new("killed");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    refusing(vec![no_netlink()], killed_ethtool);
}

const FOLDER: &str = "/run/hostdiag/lab";
const NAMES: [&str; 3] = ["first", "second", "third"];

fn renamed() -> Vec<&'static str> {
    NAMES.into_iter().filter(|name| Path::new(FOLDER).join(name).exists()).collect()
}

/// Three files go to their folder, by a thread that is not the first: what the
/// test below kills in between.
#[test]
fn lab_renames_by_a_thread() {
    fs::create_dir_all(FOLDER).unwrap();
    let rename = || {
        let folder = File::open(FOLDER).unwrap();
        for name in NAMES {
            fs::write("/run/lab-file", "").unwrap();
            match name {
                "second" => renameat(AT_FDCWD, "/run/lab-file", &folder, name).unwrap(),
                _ => fs::rename("/run/lab-file", Path::new(FOLDER).join(name)).unwrap(),
            }
        }
    };
    thread::spawn(rename).join().unwrap();
    assert_eq!(renamed(), NAMES);
    fs::remove_dir_all(FOLDER).unwrap();
}

#[test]
fn lab_killed_between_renames_of_a_thread() {
    for done in 1..=NAMES.len() {
        let mut renames = Command::new(std::env::current_exe().unwrap());
        renames.args(["--exact", "every::killed::lab_renames_by_a_thread"]);
        assert_eq!(kill_after(&renames, Which::Rename, done), Killed::AfterCall);
        assert_eq!(renamed(), NAMES[..done]);
        fs::remove_dir_all(FOLDER).unwrap();
    }
}
