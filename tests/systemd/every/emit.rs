//! What `--emit` prints is taken by the manager it is for, and repairs.
use std::process::Command;

use hostdiag::offload::fix::emit::{Manager, Repaired, emit};
use hostdiag_model::features::FeatureName;
use hostdiag_model::plan::Identity;

use crate::config::ConfigFile;
use crate::lab::{Link, feature, run, wait_until};

/// What a repair of a VLAN switches on, of what `BREAK` switched off.
const FEATURES: [&str; 6] = [
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-generic-segmentation",
];
const BREAK: &str = "sg off tx off tso off gso off";

fn emitted(manager: Manager) -> String {
    let kind = Some("vlan".to_owned());
    let device = Identity { name: "vlan30".to_owned(), ifindex: 0, kind, permanent_address: None };
    let features = FEATURES.map(FeatureName::from).to_vec();
    emit(manager, &[Repaired { device, features }])
}

/// ethtool's group for GSO has no line of its own in `ethtool -k`.
fn state(name: &str) -> String {
    let group = name == "tx-generic-segmentation";
    feature("vlan30", if group { "generic-segmentation-offload" } else { name })
}

/// The VLAN, on the bond that networkd makes.
fn vlan() -> Link {
    let state = || std::fs::read_to_string("/sys/class/net/bond0/operstate");
    wait_until("networkd brought the bond up", || state().is_ok_and(|state| state.trim() == "up"));
    Link::vlan("vlan30", "bond0", 30)
}

fn break_it() {
    let words: Vec<&str> = ["-K", "vlan30"].into_iter().chain(BREAK.split(' ')).collect();
    run("ethtool", &words);
    assert_eq!(FEATURES.map(state), ["off"; 6]);
}

#[test]
fn offload_emits_a_link_file_that_udev_applies_at_creation() {
    // Something breaks the VLAN whenever it is created; scatter-gather apart,
    // without which nothing else would come.
    let program = "/usr/sbin/ethtool -K vlan30 tx off tso off gso off";
    let rule = format!("ACTION==\"add\", SUBSYSTEM==\"net\", KERNEL==\"vlan30\", PROGRAM=\"{program}\"\n");
    let _rule = ConfigFile::write("/etc/udev/rules.d/10-lab.rules", 0o644, &rule);
    run("udevadm", &["control", "--reload"]);
    {
        let _vlan = vlan();
        wait_until("the rule ran", || state("tx-checksum-ip-generic") == "off");
        run("udevadm", &["settle"]);
        assert_eq!(state("tx-tcp-segmentation"), "off");
    }
    let _file = ConfigFile::link("10-vlan30", &emitted(Manager::NetworkdLink));
    let _vlan = vlan();
    for name in
        ["tx-checksum-ip-generic", "tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-generic-segmentation"]
    {
        wait_until("udev applied the .link file", || state(name) == "on");
    }
    let test = ["test-builtin", "net_setup_link", "/sys/class/net/vlan30"];
    let output = Command::new("udevadm").args(test).env("SYSTEMD_LOG_LEVEL", "debug").output().unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(said.contains("10-vlan30.link"), "{said}");
    let version = run("udevadm", &["--version"]);
    let version: u32 = version.split_whitespace().next().unwrap().parse().unwrap();
    // What the text itself says that it needs.
    let new = if version < 260 { &["ScatterGather", "TCPECNSegmentationOffload"][..] } else { &[] };
    let unknown: Vec<&str> = said.lines().filter(|line| line.contains("nknown key")).collect();
    assert_eq!(unknown.len(), new.len(), "systemd {version}: {said}");
    assert!(new.iter().all(|key| unknown.iter().any(|line| line.contains(key))), "{unknown:?}");
    assert!(!said.to_lowercase().contains("failed"), "{said}");
}

#[test]
fn offload_emits_a_line_that_ifup_runs() {
    let text = emitted(Manager::Ifupdown);
    let _stanza = ConfigFile::interfaces("vlan30", &format!("iface vlan30 inet manual\n{text}"));
    let _vlan = vlan();
    break_it();
    run("ifup", &["vlan30"]);
    assert_eq!(FEATURES.map(state), ["on"; 6]);
    run("ifdown", &["vlan30"]);
}

#[test]
fn offload_emits_what_networkmanager_takes_as_a_file_and_as_a_command() {
    let _unmanaged = ConfigFile::write(
        "/etc/NetworkManager/conf.d/lab.conf",
        0o644,
        "[keyfile]\nunmanaged-devices=*,except:interface-name:vlan30\n",
    );
    let text = emitted(Manager::NetworkManager);
    let profile = "[connection]\nid=vlan30\ntype=vlan\ninterface-name=vlan30\nautoconnect=false\n\
                   [vlan]\nid=30\nparent=bond0\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod=disabled\n";
    let up = |keyfile: &str| {
        let file = ConfigFile::keyfile("vlan30", keyfile);
        run("nmcli", &["connection", "reload"]);
        run("nmcli", &["connection", "up", "vlan30"]);
        file
    };
    run("systemctl", &["start", "NetworkManager"]);
    {
        let _file = up(profile);
        break_it();
        let commands: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("#   ")).collect();
        assert_eq!(commands.len(), 2, "{text}");
        run("sh", &["-ec", &commands.join("\n")]);
        run("nmcli", &["connection", "up", "vlan30"]);
        assert_eq!(FEATURES.map(state), ["on"; 6]);
        run("nmcli", &["connection", "down", "vlan30"]);
    }
    {
        let _vlan = vlan();
        break_it();
        let _file = up(&format!("{profile}{text}"));
        wait_until("NetworkManager applied the keyfile", || FEATURES.map(state) == ["on"; 6]);
        run("nmcli", &["connection", "down", "vlan30"]);
    }
    run("systemctl", &["stop", "NetworkManager"]);
}
