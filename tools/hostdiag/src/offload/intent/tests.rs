use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use hostdiag_model::offload::Link;
use proptest::prelude::*;

use super::*;

/// Every manager has a folder of that name with a host's files, and beside it
/// `NAME.expected` with what is found there (`HOSTDIAG_BLESS=1` rewrites them).
const FIXTURES: [&str; 10] = [
    "dispatcher",
    "ifcfg",
    "ifupdown",
    "link",
    "netplan",
    "network-manager",
    "startup",
    "tuned",
    "udev",
    "units",
];

/// A device; hardware where `kind` is empty.
fn device(name: &str, kind: &str, mac: &str) -> Device {
    let kind = Some(kind.to_owned()).filter(|kind| !kind.is_empty());
    let driver = Some("igb".to_owned()).filter(|_| kind.is_none() && name != "lo");
    let mac = Some(mac.to_owned()).filter(|mac| !mac.is_empty());
    let link = Link { kind, driver, mac, loopback: name == "lo", ..Link::default() };
    Device { name: name.to_owned(), link: Some(link), features: None, vlan_features: None }
}

/// The devices of the host in the fixtures.
pub(super) fn devices() -> Vec<Device> {
    let mut devices = vec![
        device("lo", "", ""),
        device("eth0", "", "02:00:00:00:00:01"),
        device("eth1", "", "02:00:00:00:00:02"),
        device("enp3s0", "", "02:00:00:00:00:03"),
        device("bond0", "bond", "02:00:00:00:00:04"),
        device("vlan10", "vlan", "02:00:00:00:00:04"),
        device("br0", "bridge", "02:00:00:00:00:09"),
    ];
    if let Some(link) = devices[3].link.as_mut() {
        link.altnames = vec!["enx020000000003".to_owned()];
    }
    devices
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/offload/intent")
}

/// `eth0 off rx-gro  /etc/x:3 manager  the line`.
fn shown(search: &Search) -> String {
    let intents = search.intents.iter().map(|intent| {
        let Intent { device, features, on, file, line, text, manager } = intent;
        let state = if *on { "on" } else { "off" };
        format!("{device} {state} {}\n    {manager} {file}:{line}\n    {text}\n", features.join(" "))
    });
    let problems =
        search.problems.iter().map(|problem| format!("? {}\n    {}\n", problem.subject, problem.message));
    intents.chain(problems).collect()
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hostdiag-intent-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        let path = self.0.join(path.trim_start_matches('/'));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn every_manager_is_read_as_it_reads_itself() {
    for name in FIXTURES {
        let found = shown(&search(&fixtures().join(name), &devices()));
        let golden = fixtures().join(format!("{name}.expected"));
        if std::env::var_os("HOSTDIAG_BLESS").is_some() {
            fs::write(&golden, &found).unwrap();
        }
        let expected = fs::read_to_string(&golden).unwrap();
        assert_eq!(found, expected, "\n{name} finds:\n{found}");
    }
}

#[test]
fn no_fixture_is_forgotten() {
    let folders =
        fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let mut names: Vec<_> =
        folders.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, FIXTURES);
}

#[test]
fn a_host_without_configuration_is_fine() {
    assert_eq!(search(Path::new("/nonexistent"), &devices()), Search::default());
    let empty = Folder::new("empty");
    assert_eq!(search(&empty.0, &devices()), Search::default());
}

#[test]
fn links_stay_inside_the_root() {
    let host = Folder::new("links");
    host.write("/etc/crontab", b"@reboot root ethtool -K eth0 gro off\n");
    // Would lead to this machine's own /etc outside.
    symlink("/etc", host.0.join("etc/cron.d")).unwrap();
    symlink("../../../../../../etc/crontab", host.0.join("etc/rc.local")).unwrap();
    symlink("loop", host.0.join("etc/init.d")).unwrap();
    symlink("init.d", host.0.join("etc/loop")).unwrap();
    let found = search(&host.0, &devices());
    let files: Vec<_> = found.intents.iter().map(|intent| intent.file.as_str()).collect();
    assert_eq!(files, ["/etc/cron.d/crontab", "/etc/cron.d/rc.local", "/etc/crontab", "/etc/rc.local"]);
    let problems: Vec<_> = found.problems.iter().map(|problem| problem.subject.as_str()).collect();
    assert_eq!(problems, ["/etc/cron.d/init.d", "/etc/cron.d/loop", "/etc/init.d"]);
}

#[test]
fn what_cannot_be_read_is_a_problem() {
    let host = Folder::new("unreadable");
    host.write("/etc/crontab", &vec![b'#'; (1 << 20) + 1]);
    host.write("/etc/rc.local", b"#!/bin/sh\nethtool -K eth0 gro off\n\xff\xfe ethtool -K eth1 gro off\n");
    nix::unistd::mkfifo(&host.0.join("etc/init.d"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    nix::unistd::mkfifo(&host.0.join("etc/cron.d.fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("../cron.d.fifo", host.0.join("etc/netplan")).unwrap();
    let found = search(&host.0, &devices());
    assert_eq!(found.intents.len(), 2, "the rest is read: {found:?}");
    let [problem] = found.problems.as_slice() else { panic!("{:?}", found.problems) };
    assert_eq!(problem.subject, "/etc/crontab");
    assert!(problem.message.contains("1 MiB"), "{}", problem.message);
}

#[test]
fn lines_are_fit_to_be_shown() {
    let host = Folder::new("lines");
    let long = format!("\tethtool -K eth0 gro off # \u{1b}[31m\u{202e}{}\n", "x".repeat(400));
    host.write("/etc/rc.local", long.as_bytes());
    let found = search(&host.0, &devices());
    let text = &found.intents[0].text;
    assert!(text.starts_with("ethtool -K eth0 gro off # [31mxxx"), "{text}");
    assert_eq!(text.chars().count(), 200);
}

#[test]
fn devices_without_a_link_side_are_matched_by_name() {
    let host = Folder::new("text-only");
    host.write(
        "/etc/systemd/network/1.link",
        b"[Match]\nOriginalName=v*\n[Link]\nGenericReceiveOffload=no\n",
    );
    host.write("/etc/systemd/network/2.link", b"[Match]\nDriver=igb\n[Link]\nLargeReceiveOffload=no\n");
    let device = |name: &str| Device { name: name.into(), link: None, features: None, vlan_features: None };
    let found = search(&host.0, &[device("v1"), device("w1")]);
    assert_eq!(found.intents.len(), 1);
    assert_eq!(found.problems.len(), 1, "whether w1 has that driver is not known");
}

#[test]
fn the_result_is_the_same_each_time() {
    let host = fixtures().join("ifupdown");
    let mut reversed = devices();
    reversed.reverse();
    assert_eq!(search(&host, &devices()), search(&host, &reversed));
    // Root or not, a folder without permission never ends the search.
    let closed = Folder::new("closed");
    closed.write("/etc/cron.d/a", b"");
    fs::set_permissions(closed.0.join("etc/cron.d"), fs::Permissions::from_mode(0o0)).unwrap();
    let _ = search(&closed.0, &devices());
    fs::set_permissions(closed.0.join("etc/cron.d"), fs::Permissions::from_mode(0o700)).unwrap();
}

/// One file of every kind that is read.
const FILES: [&str; 15] = [
    "/etc/systemd/network/a.link",
    "/etc/systemd/network/a.link.d/b.conf",
    "/etc/netplan/a.yaml",
    "/etc/NetworkManager/system-connections/a",
    "/etc/sysconfig/network-scripts/ifcfg-eth0",
    "/etc/NetworkManager/dispatcher.d/a",
    "/etc/network/interfaces",
    "/etc/network/if-up.d/a",
    "/etc/tuned/active_profile",
    "/etc/tuned/a/tuned.conf",
    "/etc/udev/rules.d/a.rules",
    "/etc/systemd/system/a.service",
    "/etc/rc.local",
    "/etc/crontab",
    "/usr/local/bin/a",
];

/// Pieces that lead deep into the readers.
const PIECES: [&str; 24] = [
    "[Match]\n",
    "[Link]\n",
    "[net]\n",
    "[Service]\n",
    "[ethtool]\n",
    "OriginalName=eth*\n",
    "ScatterGather=no\n",
    "features=sg off\n",
    "feature-sg=false\n",
    "network:\n  ethernets:\n    eth0:\n",
    "      match: {name: \"*\"}\n",
    "iface eth0 inherits eth0\n",
    "source *\n",
    "offload-sg off\n",
    "ethtool -K $IFACE sg off\n",
    "SUBSYSTEM==\"net\", RUN+=\"ethtool -K %k sg off\"\n",
    "ExecStart=/usr/local/bin/a %i\n",
    "for A in $A; do\n",
    "A=$A$A\n",
    "\\\n",
    "\"",
    "'",
    "#!",
    "a",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn never_panics_on_anything(
        files in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..200),
                prop::collection::vec(prop::sample::select(PIECES.to_vec()), 0..12)
                    .prop_map(|pieces| pieces.concat().into_bytes()),
            ],
            FILES.len(),
        )
    ) {
        let host = Folder::new("anything");
        for (path, bytes) in FILES.iter().zip(&files) {
            host.write(path, bytes);
        }
        let found = search(&host.0, &devices());
        for intent in &found.intents {
            prop_assert!(intent.line > 0 && intent.file.starts_with('/'));
            prop_assert!(!intent.text.contains(char::is_control) && intent.text.chars().count() <= 200);
        }
    }
}
