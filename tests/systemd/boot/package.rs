//! The Debian package in the life of a host, whose guest has hostdiag from nowhere else: it
//! boots, gets the package and what README recommends, and boots again.
use std::fs;
use std::path::Path;
use std::process::Command;

use super::{POLICY, SG, UNIT as ONCE, WATCH, broken, property, said_by, says, wait_feature};
use crate::lab::{Link, feature, run, wait_long_until as wait_until};

const TIMER: &str = "hostdiag-audit.timer";
const AUDIT: &str = "hostdiag-audit.service";
const UNITS: [&str; 4] = [TIMER, AUDIT, WATCH, ONCE];
const PROGRAM: &str = "/usr/bin/hostdiag";
const HISTORY: &str = "/var/lib/hostdiag/changes.jsonl";
const METRICS: &str = "/var/lib/node-exporter/hostdiag.prom";

#[track_caller]
fn dpkg(args: &[&str]) {
    println!("{}", run("dpkg", args));
}

/// stdout, whatever the status.
fn said(program: &str, args: &[&str]) -> String {
    String::from_utf8(Command::new(program).args(args).output().unwrap().stdout).unwrap()
}

/// Whether the metrics have a device's loss.
#[track_caller]
fn metrics_say(device: &str, lost: u8) {
    let line = format!("hostdiag_offload_feature_lost{{device=\"{device}\",feature=\"{SG}\"}} {lost}");
    wait_until(&format!("metrics say {line}"), || {
        fs::read_to_string(METRICS).is_ok_and(|text| text.lines().any(|found| found == line))
    });
}

/// The drop-in of `hostdiag explain rollout`, as somebody copies it.
fn documented_metrics() -> String {
    let page = run(PROGRAM, &["explain", "rollout"]);
    let lines = page.lines().map(str::trim).skip_while(|line| *line != "[Service]");
    let mut drop_in: Vec<&str> = lines.take_while(|line| !line.is_empty() && *line != "```").collect();
    drop_in.retain(|line| *line == "[Service]" || line.contains('='));
    assert_eq!(drop_in.len(), 4, "{page}");
    drop_in.join("\n") + "\n"
}

#[track_caller]
fn drop_in(unit: &str, text: &str) {
    let folder = format!("/etc/systemd/system/{unit}.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(format!("{folder}/override.conf"), text).unwrap();
    run("systemctl", &["daemon-reload"]);
}

/// The first boot.
mod installed {
    use super::*;

    #[test]
    fn boot_with_the_package_changes_nothing_until_somebody_asks() {
        wait_feature("vlan20", "off");
        dpkg(&["--install", "/packages/older.deb"]);
        for unit in UNITS {
            let enabled = said("systemctl", &["is-enabled", unit]);
            let expected = if unit == AUDIT { "static" } else { "disabled" };
            assert_eq!((enabled.trim(), &*property(unit, "ActiveState")), (expected, "inactive"), "{unit}");
        }
        audits();
        run("systemctl", &["enable", "--now", WATCH]);
        says("vlan20: lost-here: tx-scatter-gather");
        assert_eq!(feature("vlan20", SG), "off");
        assert!(!Path::new(HISTORY).exists());
        // For the next boot.
        let policy = fs::read_to_string(POLICY).unwrap();
        let repair = policy.replace("\nmode = \"report\"\n", "\nmode = \"repair\"\n");
        assert_ne!(repair, policy);
        fs::write(POLICY, repair).unwrap();
        drop_in(WATCH, &documented_metrics().replace("offload ", "offload --watch "));
    }

    /// What is recommended first, with metrics: it finds the loss and fails visibly.
    fn audits() {
        run("systemctl", &["enable", "--now", TIMER]);
        fs::create_dir(Path::new(METRICS).parent().unwrap()).unwrap();
        drop_in(AUDIT, &documented_metrics());
        assert!(!Command::new("systemctl").args(["start", AUDIT]).status().unwrap().success());
        assert_eq!(property(AUDIT, "ExecMainStatus"), "1", "{}", said_by(AUDIT));
        assert!(run("systemctl", &["--failed", "--no-legend"]).contains(AUDIT));
        metrics_say("vlan20", 1);
    }
}

/// The second boot.
mod rebooted {
    use super::*;

    #[test]
    fn boot_with_the_package_repairs_and_the_package_can_be_upgraded_and_removed() {
        let vlans = [works(), keeps_what_somebody_switched_off_when_upgraded()];
        stays_stopped_when_upgraded();
        removed_it_stops_and_keeps_what_was_set();
        for vlan in &vlans {
            assert_eq!(feature(vlan.name(), SG), "on");
        }
        purged_it_leaves_nothing();
    }

    #[track_caller]
    fn works() -> Link {
        wait_feature("vlan20", "on");
        assert_eq!(property(WATCH, "ActiveState"), "active");
        assert_eq!(property(TIMER, "ActiveState"), "active");
        let later = broken("vlan40", 40);
        wait_feature("vlan40", "on");
        metrics_say("vlan40", 0);
        run("systemctl", &["start", AUDIT]);
        assert_eq!(property(AUDIT, "Result"), "success", "{}", said_by(AUDIT));
        later
    }

    /// The service goes on with the new program, which repairs what is new, and no more.
    #[track_caller]
    fn keeps_what_somebody_switched_off_when_upgraded() -> Link {
        run("ethtool", &["-K", "vlan20", "sg", "off"]);
        says("vlan20: somebody switched off tx-scatter-gather");
        let (main, policy) = (property(WATCH, "MainPID"), fs::read(POLICY).unwrap());
        let history = run(PROGRAM, &["offload", "--history"]);
        assert!(history.contains("vlan20") && history.contains("vlan40"), "{history}");
        dpkg(&["--install", "/packages/newer.deb"]);
        let restarted = property(WATCH, "MainPID");
        assert_ne!(restarted, main);
        assert_eq!(fs::read_link(format!("/proc/{restarted}/exe")).unwrap(), Path::new(PROGRAM));
        assert_eq!(property(WATCH, "ActiveState"), "active");
        assert_eq!(property(ONCE, "ActiveState"), "inactive");
        assert_eq!(run(PROGRAM, &["offload", "--history"]), history);
        let vlan = broken("vlan41", 41);
        // Stopped before that, it would set it back.
        says("vlan41: repaired tx-scatter-gather");
        assert_eq!(feature("vlan20", SG), "off");
        assert_eq!(fs::read(POLICY).unwrap(), policy);
        let notes = run(PROGRAM, &["offload", "--notes"]);
        assert!(notes.contains("switched off by somebody"), "{notes}");
        vlan
    }

    #[track_caller]
    fn stays_stopped_when_upgraded() {
        run("systemctl", &["stop", WATCH]);
        dpkg(&["--install", "/packages/newer.deb"]);
        assert_eq!(property(WATCH, "ActiveState"), "inactive");
        assert_eq!(said("systemctl", &["is-enabled", WATCH]).trim(), "enabled");
        run("systemctl", &["start", WATCH]);
    }

    #[track_caller]
    fn removed_it_stops_and_keeps_what_was_set() {
        let process = format!("/proc/{}", property(WATCH, "MainPID"));
        dpkg(&["--remove", "hostdiag"]);
        assert!(!Path::new(&process).exists());
        for unit in UNITS {
            assert_eq!(property(unit, "ActiveState"), "inactive", "{unit}");
            assert!(!Path::new("/usr/lib/systemd/system").join(unit).exists(), "{unit}");
        }
        assert!(!Path::new(PROGRAM).exists());
        assert!(Path::new(HISTORY).exists() && Path::new(POLICY).exists());
    }

    #[track_caller]
    fn purged_it_leaves_nothing() {
        // What the administrator made is the administrator's.
        run("systemctl", &["revert", AUDIT, WATCH]);
        fs::remove_file(METRICS).unwrap();
        dpkg(&["--purge", "hostdiag"]);
        // The lab's own helpers lie in /usr/lib/hostdiag.
        let left = said(
            "find",
            &["/", "/run", "-xdev", "-name", "*hostdiag*", "-not", "-path", "/usr/lib/hostdiag"],
        );
        assert_eq!(left, "");
        // Named by the lab's own units, for their order.
        let units = run("systemctl", &["list-units", "--all", "--plain", "--no-legend", "hostdiag*"]);
        assert!(units.lines().all(|line| line.contains(" not-found ")), "{units}");
        assert_eq!(said("systemctl", &["list-unit-files", "--no-legend", "hostdiag*"]), "");
    }
}
