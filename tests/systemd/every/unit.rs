//! The units: sound, hardened, and no more than a repair, or an audit, can do with.
use std::fs::{self, File};
use std::io::BufReader;
use std::path::Path;
use std::process::Command;

use hostdiag_model::audit::Verdict;
use hostdiag_model::recording::Data;
use hostdiag_model::{Audit, OffloadData, Recording};

use crate::config::ConfigFile;
use crate::lab::{Link, audit, feature, run, wait_until};

/// Of the two that repair the one whose command ends by itself.
const UNIT: &str = "hostdiag-offload-once.service";
const WATCH: &str = "hostdiag-offload.service";
const AUDIT: &str = "hostdiag-audit.service";

#[test]
fn unit_is_sound() {
    let units = [UNIT, WATCH, AUDIT, "hostdiag-audit.timer"];
    let output = Command::new("systemd-analyze").arg("verify").args(units).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&said), "");
    assert!(output.status.success());
}

#[test]
fn unit_is_hardened() {
    // In tenths: status 1 above that.
    for (unit, most) in [(UNIT, 16), (WATCH, 16), (AUDIT, 16)] {
        let file = format!("/etc/systemd/system/{unit}");
        let offline = ["security", "--no-pager", "--offline=true", &file];
        let text = run("systemd-analyze", &offline);
        let exposure = text.lines().find(|line| line.contains("Overall exposure level")).unwrap();
        println!("{unit}: {exposure}");
        run("systemd-analyze", &[&offline[..], &[&format!("--threshold={most}")]].concat());
    }
}

/// What is tested of the one holds for the other.
#[test]
fn units_that_repair_are_hardened_alike() {
    let hardening = |unit| {
        let text = fs::read_to_string(format!("/etc/systemd/system/{unit}")).unwrap();
        text[text.find("# Root, for files").unwrap()..].to_owned()
    };
    assert_eq!(hardening(UNIT), hardening(WATCH));
}

/// By its timer, which is what somebody switches on first.
#[test]
fn unit_that_audits_fails_visibly() {
    let _soon = ConfigFile::write(
        "/run/systemd/system/hostdiag-audit.timer.d/soon.conf",
        0o644,
        "[Timer]\nOnBootSec=\nOnCalendar=\nOnActiveSec=1s\nRandomizedDelaySec=0\nAccuracySec=1ms\n",
    );
    run("systemctl", &["daemon-reload"]);
    let _card = Link::veth("card7", "far7");
    let _vlan = Link::vlan("vlan70", "card7", 70);
    run("ethtool", &["-K", "vlan70", "sg", "off"]);
    run("systemctl", &["start", "hostdiag-audit.timer"]);
    let show = |name| run("systemctl", &["show", "--value", "--property", name, AUDIT]).trim().to_owned();
    wait_until("the audit failed", || show("ActiveState") == "failed");
    assert_eq!(show("ExecMainStatus"), "1");
    assert!(run("systemctl", &["--failed", "--no-legend"]).contains(AUDIT));
    run("journalctl", &["--sync"]);
    let said = run("journalctl", &["--boot", "--output=cat", "--unit", AUDIT]);
    let lost = |line: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some("LOST") && words.any(|word| word == "vlan70")
    };
    assert!(said.lines().any(lost), "{said}");
    run("systemctl", &["stop", "hostdiag-audit.timer"]);
    run("systemctl", &["reset-failed", AUDIT]);
}

/// The unit with other commands, for one test's time.
struct Sandbox(Option<ConfigFile>);

impl Sandbox {
    fn of(commands: &[&str]) -> Self {
        let lines: Vec<String> = commands.iter().map(|command| format!("ExecStart={command}")).collect();
        Self::with(UNIT, &lines.join("\n"))
    }

    /// A unit with other lines.
    fn with(unit: &str, lines: &str) -> Self {
        let path = format!("/run/systemd/system/{unit}.d/commands.conf");
        let file = ConfigFile::write(path, 0o644, &format!("[Service]\nExecStart=\n{lines}\n"));
        run("systemctl", &["daemon-reload"]);
        Sandbox(Some(file))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.0 = None;
        for command in ["daemon-reload", "reset-failed"] {
            Command::new("systemctl").arg(command).status().unwrap();
        }
    }
}

/// Recorded inside as outside: devices, features, and the files of all managers,
/// also those that root alone may read.
#[test]
fn unit_reads_what_an_audit_reads() {
    let _keyfile = ConfigFile::keyfile(
        "card5",
        "[connection]\nid=card5\ntype=ethernet\ninterface-name=card5\nautoconnect=false\n\
         [ethtool]\nfeature-sg=false\n",
    );
    let _card = Link::veth("card5", "far5");
    run("ethtool", &["-K", "card5", "sg", "off"]);
    let path = "/run/hostdiag/inside.hd";
    let _sandbox = Sandbox::of(&[&format!("-/usr/bin/hostdiag offload --output {path}")]);
    run("systemctl", &["start", UNIT]);
    let (inside, outside) = (taken(path).0, audit(&[]).data);
    let devices = |data: &OffloadData| {
        let devices = data.namespaces[0].devices.iter();
        devices.map(|device| (device.name.clone(), device.features.clone())).collect::<Vec<_>>()
    };
    assert_eq!(devices(&inside), devices(&outside));
    let asks = |data: &OffloadData| {
        data.intents.as_ref().unwrap().iter().any(|intent| intent.file.ends_with("/card5.nmconnection"))
    };
    assert!(asks(&outside));
    assert_eq!(inside.intents, outside.intents);
    assert_eq!(inside.intents_incomplete, outside.intents_incomplete);
}

/// What a driver never offers to VLANs is no finding, which takes BPF to know: without it
/// the unit would fail for ever.
#[test]
fn unit_that_audits_knows_a_limit_of_a_driver() {
    let _card = Link::dummy("card8");
    let _vlan = Link::vlan("vlan80", "card8", 80);
    let path = "/run/hostdiag-audited.hd";
    let json = "ExecStart=-/usr/bin/hostdiag offload --format json";
    let _sandbox = Sandbox::with(AUDIT, &format!("{json}\nStandardOutput=truncate:{path}"));
    run("systemctl", &["start", AUDIT]);
    let (_, audited) = taken(path);
    let of = |feature: &str| {
        audited.entries.iter().find(|entry| entry.device == "vlan80" && &*entry.feature == feature)
    };
    assert_eq!(of("tx-scatter-gather").unwrap().verdict, Verdict::DriverLimit);
}

/// What a recording has, which is removed.
fn taken(path: &str) -> (OffloadData, Audit) {
    let recording = Recording::read(&mut BufReader::new(File::open(path).unwrap())).unwrap();
    fs::remove_file(path).unwrap();
    let Data::Offload(data, audit) = recording.data else { panic!("another kind of recording") };
    (data, audit)
}

/// By netlink and by ioctl; what journal and plan need of the host; and nothing
/// else is writable.
#[test]
fn unit_permits_a_repair_and_no_more() {
    let _policy = ConfigFile::write("/etc/hostdiag/lab", 0o644, "");
    let _card = Link::veth("card6", "far6");
    let read = "/var/lib/hostdiag/read";
    let refused = |path: &str| format!("/bin/sh -c '! touch {path}/hostdiag-was-here'");
    let _sandbox = Sandbox::of(&[
        "/usr/sbin/ethtool -K card6 sg off",
        "/bin/sh -c 'echo run >/run/hostdiag/new && mv /run/hostdiag/new /run/hostdiag/lab'",
        &format!(
            "/bin/sh -c 'cat /proc/sys/kernel/random/boot_id /proc/thread-self/net/dev \
             /proc/sys/net/ipv4/ip_forward /proc/self/loginuid >{read}'"
        ),
        &refused("/etc"),
        &refused("/etc/hostdiag"),
        &refused("/usr"),
        &refused("/root"),
        &refused("/run"),
        // The capability would permit it.
        "/bin/sh -c '! echo hostdiag >/sys/class/net/card6/ifalias'",
        "/bin/sh -c '! echo 1 >/proc/sys/net/ipv4/ip_forward'",
    ]);
    run("systemctl", &["start", UNIT]);
    assert_eq!(feature("card6", "tx-scatter-gather"), "off");
    assert!(fs::read_to_string(read).unwrap().contains("card6"));
    // What undoing needs is there after the unit has ended.
    assert_eq!(fs::read_to_string("/run/hostdiag/lab").unwrap(), "run\n");
    assert!(!Path::new("/etc/hostdiag-was-here").exists());
    fs::remove_file("/run/hostdiag/lab").unwrap();
    fs::remove_file(read).unwrap();
}
