//! hostdiag-offload.service with mode = "repair": it runs on.
// Not in the folder `watch`, whose files are those of the guest.
#[path = "watch_long.rs"]
mod long;

use std::process::Command;

use super::{POLICY, SG, WATCH as UNIT, broken, property, said_by, says, wait_feature};
use crate::config::ConfigFile;
use crate::lab::{ethtool, feature, run, wait_long_until as wait_until};

#[test]
fn boot_made_the_broken_vlan_whole_and_goes_on() {
    wait_feature("vlan20", "on");
    assert_eq!(property(UNIT, "ActiveState"), "active");
    assert_eq!(property(UNIT, "Type"), "notify");
    says("vlan20: repaired");
    wait_until("its status is of the host", || {
        property(UNIT, "StatusText").starts_with("repairs; devices: ")
    });
    let name = repaired_since_created();
    // What monitoring looks for.
    let device = format!("HOSTDIAG_DEVICE={name}");
    let fields = ["HOSTDIAG_EVENT=repaired", &device, "HOSTDIAG_FEATURE=tx-scatter-gather"];
    let message = run("journalctl", &[&["--boot", "--output=json", "--unit", UNIT][..], &fields].concat());
    let line = message.lines().next().unwrap_or_default();
    let message: serde_json::Value =
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {message}"));
    assert_eq!((&message["PRIORITY"], &message["SYSLOG_IDENTIFIER"]), (&"5".into(), &"hostdiag".into()));
    assert!(message["HOSTDIAG_CAUSE"].as_str().unwrap().starts_with("created "), "{message}");
    assert_eq!(message["HOSTDIAG_RUN"].as_str().unwrap().len(), 8);
    let verdict = ["HOSTDIAG_EVENT=found", &device, "HOSTDIAG_VERDICT=lost-here"];
    let found = run("journalctl", &[&["--boot", "--output=cat", "--unit", UNIT][..], &verdict].concat());
    assert!(found.starts_with(&format!("{name}: lost-here: tx-scatter-gather: off here")), "{found}");
}

/// A device whose repair says that it was created. It does not where the service saw the
/// device whole before ethtool broke it, as happens on a busy machine.
fn repaired_since_created() -> String {
    let created = |id: u16| {
        let name = format!("vlan{id}");
        let _vlan = broken(&name, id);
        wait_feature(&name, "on");
        let repaired = format!("{name}: repaired tx-scatter-gather");
        says(&repaired);
        said_by(UNIT).contains(&format!("{repaired} (created ")).then_some(name)
    };
    (50..55).find_map(created).expect("a device that was created is repaired")
}

#[test]
fn boot_watch_does_nothing_under_a_broken_policy_and_is_not_started_again() {
    wait_feature("vlan20", "on");
    let main = property(UNIT, "MainPID");
    std::fs::write(POLICY, "mode = \"repare\"\n").unwrap();
    run("systemctl", &["reload", UNIT]);
    says("nothing is repaired until the policy is mended");
    wait_until("its status says so", || property(UNIT, "StatusText").starts_with("nothing is repaired"));
    std::fs::write(POLICY, "mode = \"repair\"\n").unwrap();
    run("systemctl", &["reload", UNIT]);
    says("policy read anew: it repairs");
    let _vlan = broken("vlan41", 41);
    wait_feature("vlan41", "on");
    assert_eq!((property(UNIT, "MainPID"), property(UNIT, "NRestarts")), (main, "0".to_owned()));
}

#[test]
fn boot_watch_lives_under_its_watchdog_and_comes_back_when_it_is_killed() {
    wait_feature("vlan20", "on");
    let short = ConfigFile::write(
        format!("/run/systemd/system/{UNIT}.d/short.conf"),
        0o644,
        "[Service]\nWatchdogSec=5s\nRestartSec=100ms\n",
    );
    run("systemctl", &["daemon-reload"]);
    run("systemctl", &["restart", UNIT]);
    std::thread::sleep(std::time::Duration::from_secs(8));
    assert_eq!((property(UNIT, "ActiveState"), property(UNIT, "NRestarts")), ("active".into(), "0".into()));
    // Repaired before; whoever switches it off now wants it so.
    ethtool(&["-K", "vlan20", "sg", "off"]);
    says("vlan20: somebody switched off tx-scatter-gather");
    run("systemctl", &["kill", "--signal=KILL", UNIT]);
    wait_until("systemd starts it again", || {
        property(UNIT, "NRestarts") == "1" && property(UNIT, "ActiveState") == "active"
    });
    let _vlan = broken("vlan42", 42);
    wait_feature("vlan42", "on");
    assert_eq!(feature("vlan20", SG), "off");
    let audit = Command::new("/usr/bin/hostdiag").args(["offload", "--notes"]).output().unwrap();
    let text = String::from_utf8_lossy(&audit.stdout);
    assert!(audit.status.success() && text.contains("switched off by somebody"), "{text}");
    ethtool(&["-K", "vlan20", "sg", "on"]);
    drop(short);
    run("systemctl", &["daemon-reload"]);
}
