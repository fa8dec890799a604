//! Each manager's own configuration reaches the kernel: tests of the tools lean
//! on that when they look for who switched a feature off.
use crate::config::ConfigFile;
use crate::lab::{Link, feature, run, wait_until};

#[test]
fn lab_link_file_is_applied() {
    let _file =
        ConfigFile::link("10-lab", "[Match]\nOriginalName=card0\n\n[Link]\nTCPSegmentationOffload=no\n");
    let _card = Link::veth("card0", "far0");
    wait_until("udev applied the .link file", || feature("card0", "tx-tcp-segmentation") == "off");
    assert_eq!(feature("far0", "tx-tcp-segmentation"), "on");
}

#[test]
fn lab_ifupdown_stanza_and_hook_are_applied() {
    let _stanza = ConfigFile::interfaces(
        "card1",
        "iface card1 inet static\n    address 192.0.2.1/24\n    up ethtool -K card1 gso off\n",
    );
    let _hook =
        ConfigFile::if_up_hook("lab", "#!/bin/sh\n[ \"$IFACE\" != card1 ] || ethtool -K card1 sg off\n");
    let _card = Link::veth("card1", "far1");
    run("ifup", &["card1"]);
    assert_eq!(feature("card1", "generic-segmentation-offload"), "off");
    assert_eq!(feature("card1", "tx-scatter-gather"), "off");
    assert_eq!(feature("far1", "tx-scatter-gather"), "on");
    run("ifdown", &["card1"]);
}

#[test]
fn lab_keyfile_is_applied() {
    let _unmanaged = ConfigFile::write(
        "/etc/NetworkManager/conf.d/lab.conf",
        0o644,
        "[keyfile]\nunmanaged-devices=*,except:interface-name:card2\n",
    );
    let _keyfile = ConfigFile::keyfile(
        "card2",
        "[connection]\nid=card2\ntype=ethernet\ninterface-name=card2\nautoconnect=false\n\
         [ethtool]\nfeature-tso=false\nfeature-sg=false\n\
         [ipv4]\nmethod=manual\naddress1=192.0.2.2/24\n[ipv6]\nmethod=disabled\n",
    );
    let _card = Link::veth("card2", "far2");
    run("systemctl", &["start", "NetworkManager"]);
    run("nmcli", &["connection", "reload"]);
    run("nmcli", &["connection", "up", "card2"]);
    assert_eq!(feature("card2", "tx-scatter-gather"), "off");
    assert_eq!(feature("far2", "tx-scatter-gather"), "on");
    run("nmcli", &["connection", "down", "card2"]);
    run("systemctl", &["stop", "NetworkManager"]);
}
