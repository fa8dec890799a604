//! A feature that is off because a file asks for it is no loss, and not repaired.
use std::fs;
use std::path::{Path, PathBuf};

use hostdiag_model::audit::Verdict;
use hostdiag_model::plan::Apart;

use crate::lab::{Link, NetNs, audit, ethtool, fix};

/// A file that goes with its guard.
pub(super) struct ConfigFile(PathBuf);

impl ConfigFile {
    pub(super) fn new(path: &str, text: &str) -> Self {
        fs::create_dir_all(Path::new(path).parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        ConfigFile(path.into())
    }
}

impl Drop for ConfigFile {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// A VLAN with `feature` off: lost without the file, on purpose with it.
#[track_caller]
fn on_purpose(feature: &str, path: &str, text: &str, line: u32) {
    let namespace = NetNs::new("intent");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let _vlan = Link::vlan("vlan10", "nic0", 10);
    ethtool(&["-K", "vlan10", feature, "off"]);
    let audited = audit(&[]);
    assert_eq!(audited.verdict("vlan10", feature), (Verdict::LostHere, true));
    let _file = ConfigFile::new(path, text);
    let audited = audit(&[]);
    assert_eq!(audited.verdict("vlan10", feature), (Verdict::OffOnPurpose, false));
    let asked: Vec<_> =
        audited.entry("vlan10", feature).asked_by.iter().map(|i| (i.file.as_str(), i.line)).collect();
    assert_eq!(asked, [(path, line)]);
    assert_eq!(audited.status, 0);
    let fixed = fix(&[]);
    assert_eq!((fixed.status, fixed.happened.len()), (0, 0), "{}", fixed.said);
    let left = fixed.fix.plan.left.iter().find(|left| left.device == "vlan10").unwrap();
    let Apart::AskedFor { lines } = &left.reason else { panic!("{left:#?}") };
    assert_eq!((lines[0].file.as_str(), lines[0].line), (path, line));
}

#[test]
fn offload_off_by_a_link_file() {
    let text = "[Match]\nOriginalName=vlan*\n\n[Link]\nTransmitChecksumOffload=no\n";
    on_purpose("tx-checksum-ip-generic", "/etc/systemd/network/10-vlan.link", text, 5);
}

#[test]
fn offload_off_by_an_ifupdown_hook() {
    let text = "#!/bin/sh\nset -e\n[ \"$IFACE\" = vlan10 ] || exit 0\nethtool -K \"$IFACE\" sg off\n";
    // Interfaces of ifupdown are those its file names.
    let _interfaces = ConfigFile::new("/etc/network/interfaces", "auto vlan10\niface vlan10 inet manual\n");
    on_purpose("tx-scatter-gather", "/etc/network/if-up.d/offloads", text, 4);
}

#[test]
fn offload_off_by_a_keyfile_of_networkmanager() {
    let text = "[connection]\nid=v\ntype=vlan\ninterface-name=vlan10\n\n[ethtool]\nfeature-sg=false\n";
    on_purpose("tx-scatter-gather", "/etc/NetworkManager/system-connections/v.nmconnection", text, 7);
}
