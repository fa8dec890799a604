//! Features that are off because a manager really switched them off.
use hostdiag_model::audit::Verdict;

use crate::config::ConfigFile;
use crate::lab::{Link, audit, feature, page, run, wait_until};

const CSUM: &str = "tx-checksum-ip-generic";
const SG: &str = "tx-scatter-gather";

/// The entry is a note that shows this line of this file.
#[track_caller]
fn asked_by(device: &str, name: &str, file: &str, line: u32) {
    let audited = audit(&[]);
    assert_eq!(audited.verdict(device, name), (Verdict::OffOnPurpose, false), "{:#?}", audited.audit);
    let asked: Vec<_> =
        audited.entry(device, name).asked_by.iter().map(|i| (i.file.as_str(), i.line)).collect();
    assert_eq!(asked, [(file, line)]);
    let text = page(&["--notes", device]);
    assert!(text.contains(&format!("{file}:{line}")), "{text}");
}

#[test]
fn offload_sees_what_a_link_file_did() {
    let text = "[Match]\nOriginalName=vlan24\n\n[Link]\nTransmitChecksumOffload=no\n";
    let _file = ConfigFile::link("10-vlan24", text);
    let _vlan = Link::vlan("vlan24", "bond0", 24);
    wait_until("udev applied the .link file", || feature("vlan24", CSUM) == "off");
    asked_by("vlan24", CSUM, "/etc/systemd/network/10-vlan24.link", 5);
    // Another VLAN, that no file speaks of, with the same state.
    let _other = Link::vlan("vlan21", "bond0", 21);
    run("ethtool", &["-K", "vlan21", "tx", "off"]);
    assert_eq!(audit(&[]).verdict("vlan21", CSUM), (Verdict::LostHere, true));
}

#[test]
fn offload_sees_what_an_ifupdown_hook_did() {
    let _stanza = ConfigFile::interfaces("vlan22", "iface vlan22 inet manual\n");
    let script = "#!/bin/sh\nset -e\ncase $IFACE in\nvlan22) ethtool -K vlan22 sg off ;;\nesac\n";
    let _hook = ConfigFile::if_up_hook("offloads", script);
    let _vlan = Link::vlan("vlan22", "bond0", 22);
    run("ifup", &["vlan22"]);
    wait_until("the hook ran", || feature("vlan22", SG) == "off");
    asked_by("vlan22", SG, "/etc/network/if-up.d/offloads", 4);
    run("ifdown", &["vlan22"]);
}

#[test]
fn offload_sees_what_networkmanager_did() {
    let _unmanaged = ConfigFile::write(
        "/etc/NetworkManager/conf.d/lab.conf",
        0o644,
        "[keyfile]\nunmanaged-devices=*,except:interface-name:vlan23\n",
    );
    let _keyfile = ConfigFile::keyfile(
        "vlan23",
        "[connection]\nid=vlan23\ntype=vlan\ninterface-name=vlan23\nautoconnect=false\n\
         [vlan]\nid=23\nparent=bond0\n[ethtool]\nfeature-sg=false\n\
         [ipv4]\nmethod=disabled\n[ipv6]\nmethod=disabled\n",
    );
    run("systemctl", &["start", "NetworkManager"]);
    run("nmcli", &["connection", "reload"]);
    run("nmcli", &["connection", "up", "vlan23"]);
    wait_until("NetworkManager applied the keyfile", || feature("vlan23", SG) == "off");
    asked_by("vlan23", SG, "/etc/NetworkManager/system-connections/vlan23.nmconnection", 10);
    run("nmcli", &["connection", "down", "vlan23"]);
    run("systemctl", &["stop", "NetworkManager"]);
}
