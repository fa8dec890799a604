//! What the units did at boot, each policy in a guest of its own: `every` holds the
//! files of all of these guests, beside those of `files`.
mod package;
mod repair;
mod report;
mod watch;

use crate::lab::run;

const UNIT: &str = "hostdiag-offload-once.service";
const SG: &str = "tx-scatter-gather";

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
