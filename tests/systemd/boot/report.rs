//! mode = "report"
use std::process::Command;

use super::{SG, UNIT, property, said, was_broken};
use crate::lab::feature;

#[test]
fn boot_left_the_broken_vlan_and_says_why_the_unit_failed() {
    was_broken();
    assert_eq!(property(UNIT, "ActiveState"), "failed", "{}", said());
    assert_eq!(property(UNIT, "ExecMainStatus"), "1", "{}", said());
    assert_eq!(feature("vlan20", SG), "off");
    // What an administrator types first. Its own status is 3: not active.
    let status = Command::new("systemctl").args(["status", "--no-pager", "--lines=1000", UNIT]).output();
    let status = String::from_utf8(status.unwrap().stdout).unwrap();
    for word in ["vlan20", SG, "status=1/FAILURE"] {
        assert!(status.contains(word), "no {word} in:\n{status}");
    }
}
