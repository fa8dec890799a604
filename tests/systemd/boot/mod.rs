//! What the units did at boot, each policy in a guest of its own: `every` holds the
//! files of all of these guests, beside those of `files`.
mod package;
mod repair;
mod report;
mod watch;

use std::path::Path;
use std::time::Duration;

use crate::lab::{Link, feature, run, wait_long_until, wait_within};

const UNIT: &str = "hostdiag-offload-once.service";
const WATCH: &str = "hostdiag-offload.service";
const POLICY: &str = "/etc/hostdiag/offload.toml";
const SG: &str = "tx-scatter-gather";
/// ethtool by another name, of which hostdiag cannot know that it sets features.
const BREAKS: &str = "/usr/local/sbin/configure-nic";
/// In which the watch has repaired what came off.
const LIMIT: Duration = Duration::from_secs(60);

fn property(unit: &str, name: &str) -> String {
    run("systemctl", &["show", "--value", "--property", name, unit]).trim().to_owned()
}

/// vlan20 was broken before hostdiag looked, and by nobody else's wish.
#[track_caller]
fn was_broken() {
    let breaks = "break-vlan20.service";
    assert_eq!(property(breaks, "Result"), "success");
    let moment = |unit, name| property(unit, name).parse::<u64>().unwrap();
    let broken = moment(breaks, "ExecMainExitTimestampMonotonic");
    let looked = moment(UNIT, "ExecMainStartTimestampMonotonic");
    assert!(0 < broken && broken < looked, "broken at {broken} us, {UNIT} began at {looked} us");
}

/// What the unit said, as the system journal has it.
fn said() -> String {
    said_by(UNIT)
}

fn said_by(unit: &str) -> String {
    run("journalctl", &["--sync"]);
    run("journalctl", &["--boot", "--no-pager", "--output=cat", "--unit", unit])
}

/// Waits until scatter-gather of a device is so, within the time that the watch has for it.
#[track_caller]
fn wait_feature(device: &str, state: &str) {
    // networkd makes it when it gets to that.
    let there = Path::new("/sys/class/net").join(device);
    wait_within(LIMIT, &format!("{SG} of {device} is {state}; {}", said_by(WATCH)), || {
        there.exists() && feature(device, SG) == state
    });
}

/// Waits until the watch has said so.
#[track_caller]
fn says(what: &str) {
    wait_long_until(&format!("{WATCH} says {what}"), || said_by(WATCH).contains(what));
}

/// A VLAN that somebody's program broke right when it was made.
fn broken(name: &str, id: u16) -> Link {
    let vlan = Link::vlan(name, "bond0", id);
    run(BREAKS, &["-K", name, "sg", "off"]);
    vlan
}
