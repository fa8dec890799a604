//! `hostdiag offload` finds each way to lose an offload, on a real kernel.
use hostdiag_model::audit::{Reason, Repair, Verdict};

use crate::lab::{
    Link, NetNs, PEER, Stack, audit, audit_unprivileged, ethtool, feature, ip, page, sendfile, wait_until,
};

const SG: &str = "tx-scatter-gather";
const CSUM: &str = "tx-checksum-ip-generic";

/// nic0 and nic1 with their peers as port0 and port1, in the current namespace.
fn nics() -> [Link; 2] {
    [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")]
}

#[track_caller]
fn wait_feature(device: &str, name: &str, state: &str) {
    wait_until(&format!("{name} of {device} is {state}"), || feature(device, name) == state);
}

#[test]
fn offload_healthy_stack_is_fine() {
    let _stack = Stack::new();
    let audited = audit(&[]);
    assert_eq!(audited.findings(), Vec::<String>::new());
    assert_eq!(audited.status, 0);
}

#[test]
fn offload_finds_the_state_of_the_article() {
    let stack = Stack::new();
    stack.break_offloads();
    wait_feature("vlan10", SG, "off");
    let audited = audit(&[]);
    assert_eq!(audited.status, 1);
    assert_eq!(audited.findings(), [format!("vlan10 {SG} lost-here"), format!("vlan10 {CSUM} lost-here")]);
    let entry = audited.entry("vlan10", SG);
    assert_eq!(entry.on_in, ["bond0", "nic0", "nic1"]);
    assert_eq!((&entry.reason, &entry.repair), (&Reason::NothingAsksForIt, &Repair::Set));
    let down: Vec<&str> = entry.takes_down.iter().map(|name| &**name).collect();
    for follower in ["tx-tcp-segmentation", "tx-tcp6-segmentation", "tx-generic-segmentation"] {
        assert!(down.contains(&follower), "{down:?}");
    }
    let text = page(&[]);
    assert!(text.contains("Next   sudo hostdiag offload --fix --dry-run vlan10\n"), "{text}");
    // By hand:
    ethtool(&["-K", "vlan10", SG, "on", CSUM, "on"]);
    wait_feature("vlan10", "tx-tcp-segmentation", "on");
    assert_eq!(audit(&[]).status, 0);
    let traffic = sendfile(stack.peer(), PEER, 1 << 20);
    assert_eq!(traffic.received, 1 << 20);
}

#[test]
fn offload_needs_no_root() {
    let stack = Stack::new();
    stack.break_offloads();
    wait_feature("vlan10", SG, "off");
    let audited = audit_unprivileged(&[]);
    assert_eq!(audited.findings(), [format!("vlan10 {SG} lost-here"), format!("vlan10 {CSUM} lost-here")]);
}

#[test]
fn offload_wants_only_the_named_interface() {
    let stack = Stack::new();
    stack.break_offloads();
    let _other = Link::dummy("other0");
    let text = page(&["vlan10"]);
    assert!(["nic0", "nic1", "bond0", "vlan10"].iter().all(|name| text.contains(name)), "{text}");
    assert!(!text.contains("other0"), "{text}");
    // What is recorded is whole all the same.
    assert!(audit(&["vlan10"]).data.namespaces[0].devices.iter().any(|device| device.name == "other0"));
    assert_eq!(audit(&["bond0"]).status, 0);
    assert_eq!(audit(&["vlan10"]).status, 1);
}

#[test]
fn offload_empty_bond_is_no_finding() {
    let namespace = NetNs::new("empty");
    let _entered = namespace.enter();
    let bond = Link::bond("bond0", "active-backup", &[]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    let audited = audit(&[]);
    assert_eq!(audited.status, 0, "{:?}", audited.findings());
    assert_eq!(audited.verdict("bond0", SG), (Verdict::NoMembers, false));
    assert_eq!(audited.verdict("vlan10", SG), (Verdict::NoMembers, false));
    assert_eq!(audited.entry("vlan10", SG).lost_at, ["bond0"]);
    // It heals by itself when the first port comes.
    let _nics = nics();
    bond.enslave_down(&["nic0"]);
    wait_feature("vlan10", SG, "on");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
}

#[test]
fn offload_lost_on_one_port_and_on_both() {
    let namespace = NetNs::new("ports");
    let _entered = namespace.enter();
    let _nics = nics();
    let _bond = Link::bond("bond0", "active-backup", &["nic0", "nic1"]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    ethtool(&["-K", "nic0", SG, "off"]);
    let audited = audit(&[]);
    assert_eq!(audited.findings(), Vec::<String>::new());
    assert_eq!(audited.verdict("nic0", SG), (Verdict::OffByWish, false));
    ethtool(&["-K", "nic1", SG, "off"]);
    wait_feature("vlan10", SG, "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.status, 1);
    assert_eq!(audited.findings(), [format!("bond0 {SG} lost-below"), format!("vlan10 {SG} lost-below")]);
    assert_eq!(audited.entry("vlan10", SG).lost_at, ["nic0", "nic1"]);
}

#[test]
fn offload_lost_on_the_bond_shows_above() {
    let namespace = NetNs::new("bond");
    let _entered = namespace.enter();
    let _nics = nics();
    let _bond = Link::bond("bond0", "active-backup", &["nic0", "nic1"]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    ethtool(&["-K", "bond0", SG, "off"]);
    wait_feature("vlan10", SG, "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.findings(), [format!("bond0 {SG} lost-here"), format!("vlan10 {SG} lost-below")]);
    assert_eq!(audited.entry("vlan10", SG).lost_at, ["bond0"]);
}

#[test]
fn offload_dummies_offer_nothing_to_vlans() {
    let namespace = NetNs::new("dummies");
    let _entered = namespace.enter();
    let _cards = ["card0", "card1"].map(Link::dummy);
    let _bond = Link::bond("bond0", "active-backup", &["card0", "card1"]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    wait_feature("vlan10", SG, "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.findings(), Vec::<String>::new());
    let entry = audited.entry("vlan10", SG);
    assert_eq!(entry.verdict, Verdict::DriverLimit);
    let Reason::NotOfferedToVlans { drivers, .. } = &entry.reason else { panic!("{entry:?}") };
    assert_eq!(drivers, &["dummy"]);
}

#[test]
fn offload_stale_vlan_in_vlan_is_to_be_recreated() {
    let namespace = NetNs::new("stale");
    let _entered = namespace.enter();
    let bond = Link::bond("bond0", "active-backup", &[]);
    let outer = Link::service_vlan("w10", "bond0", 10);
    let inner = Link::vlan("w10.20", "w10", 20);
    let _nics = nics();
    bond.enslave_down(&["nic0", "nic1"]);
    wait_feature("w10", SG, "on");
    assert_eq!(feature("w10.20", SG), "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.verdict("w10.20", SG), (Verdict::StaleCopy, true));
    assert_eq!(audited.entry("w10.20", SG).repair, Repair::Recreate { device: "w10".into() });
    // Without BPF the honest answer is that it cannot be told.
    assert_eq!(audit_unprivileged(&[]).verdict("w10.20", SG), (Verdict::StuckOrLimit, true));
    // The remedy that it names works.
    drop((inner, outer));
    let _outer = Link::service_vlan("w10", "bond0", 10);
    let _inner = Link::vlan("w10.20", "w10", 20);
    wait_feature("w10.20", SG, "on");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
}

#[test]
fn offload_bridge_lost_when_all_ports_lost_it() {
    let namespace = NetNs::new("bridge");
    let _entered = namespace.enter();
    let _nics = nics();
    let _bridge = Link::bridge("br0", &["nic0", "nic1"]);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    for nic in ["nic0", "nic1"] {
        ethtool(&["-K", nic, SG, "off"]);
    }
    wait_feature("br0", SG, "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.findings(), [format!("br0 {SG} lost-below")]);
    assert_eq!(audited.entry("br0", SG).lost_at, ["nic0", "nic1"]);
    // On a bridge itself features are switched off on purpose often enough.
    for nic in ["nic0", "nic1"] {
        ethtool(&["-K", nic, SG, "on"]);
    }
    wait_feature("br0", SG, "on");
    ethtool(&["-K", "br0", SG, "off"]);
    assert_eq!(audit(&[]).verdict("br0", SG), (Verdict::OffByWish, false));
}

#[test]
fn offload_team_is_judged_like_a_bond() {
    let namespace = NetNs::new("team");
    let _entered = namespace.enter();
    let _nics = nics();
    let _team = Link::team("team0", &["nic0", "nic1"]);
    let _vlan = Link::vlan("vlan10", "team0", 10);
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    ethtool(&["-K", "team0", SG, "off"]);
    wait_feature("vlan10", SG, "off [requested on]");
    let audited = audit(&[]);
    assert_eq!(audited.findings(), [format!("team0 {SG} lost-here"), format!("vlan10 {SG} lost-below")]);
}

#[test]
fn offload_macvlan_ipvlan_and_vxlan_follow_their_own_rules() {
    let namespace = NetNs::new("kinds");
    let _entered = namespace.enter();
    let _nics = nics();
    let _macvlan = Link::macvlan("macvlan0", "nic0");
    let _ipvlan = Link::ipvlan("ipvlan0", "nic1");
    let _vxlan = Link::vxlan("vxlan0", "nic1", "192.0.2.1");
    assert_eq!(audit(&[]).findings(), Vec::<String>::new());
    for nic in ["nic0", "nic1"] {
        ethtool(&["-K", nic, SG, "off"]);
    }
    // All three keep their own scatter-gather; the loss is on the cards.
    for upper in ["macvlan0", "ipvlan0", "vxlan0"] {
        assert!(feature(upper, SG).starts_with("on"), "{upper}");
    }
    let audited = audit(&[]);
    assert_eq!(audited.verdict("nic0", SG), (Verdict::OffByWish, false));
    // Segmentation of macvlan and ipvlan does follow the card below.
    assert_eq!(audited.verdict("macvlan0", "tx-generic-segmentation"), (Verdict::LostBelow, true));
    // Checksums of vxlan are switched off for a reason known well.
    ethtool(&["-K", "vxlan0", CSUM, "off"]);
    assert_eq!(audit(&[]).verdict("vxlan0", CSUM), (Verdict::HardwareQuirk, false));
}

#[test]
fn offload_veth_with_xdp_is_no_finding() {
    let namespace = NetNs::new("xdp");
    let _entered = namespace.enter();
    let _nics = nics();
    ip(&["link", "set", "port0", "xdp", "obj", "/lib/hostdiag/xdp_pass.o", "sec", "xdp"]);
    let audited = audit(&[]);
    assert_eq!(audited.findings(), Vec::<String>::new());
    let entry = audited.entry("nic0", "tx-tcp-segmentation");
    assert_eq!(entry.verdict, Verdict::DriverLimit);
    assert_eq!(entry.reason, Reason::Xdp { device: "port0".into() });
}

#[test]
fn offload_audits_other_namespaces() {
    let namespace = NetNs::new("far");
    {
        let _entered = namespace.enter();
        for nic in nics() {
            nic.keep();
        }
        Link::bond("bond0", "active-backup", &["nic0", "nic1"]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
        ethtool(&["-K", "vlan10", SG, "off"]);
        // The other end of this one is seen from outside.
        ip(&["link", "add", "inside", "type", "veth", "peer", "name", "outside", "netns", "1"]);
    }
    let audited = audit(&["--netns", namespace.name()]);
    assert_eq!(audited.findings(), [format!("vlan10 {SG} lost-here")]);
    let audited = audit(&["--all-netns"]);
    assert_eq!(audited.entry("vlan10", SG).netns.as_deref(), Some(namespace.name()));
    let devices = &audited.data.namespaces[0].devices;
    let outside = devices.iter().find(|device| device.name == "outside").unwrap().link.as_ref().unwrap();
    assert_eq!(outside.lower_netns.as_deref(), Some(namespace.name()));
    // Not a word of it without being asked.
    assert!(!audit(&[]).findings().iter().any(|finding| finding.contains("vlan10")));
}

#[test]
fn offload_prints_what_ethtool_prints() {
    let namespace = NetNs::new("texts");
    let _entered = namespace.enter();
    let _nics = nics();
    let _cards = ["card0", "card1", "card2"].map(Link::dummy);
    let _bond = Link::bond("bond0", "802.3ad", &["nic0", "nic1"]);
    let _team = Link::team("team0", &["card0", "card1"]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    let _outer = Link::service_vlan("outer", "bond0", 20);
    let _inner = Link::vlan("inner", "outer", 30);
    let _macvlan = Link::macvlan("macvlan0", "card2");
    let _bridge = Link::bridge("br0", &["port0"]);
    let _vxlan = Link::vxlan("vxlan0", "br0", "192.0.2.1");
    let _ipvlan = Link::ipvlan("ipvlan0", "port1");
    ethtool(&["-K", "vlan10", "sg", "off", "tx", "off"]);
    same_as_ethtool();
}

#[test]
fn offload_prints_what_ethtool_prints_of_the_cards() {
    same_as_ethtool();
}

/// Every interface of the current namespace by itself, and all of them at once.
#[track_caller]
fn same_as_ethtool() {
    let mut names: Vec<String> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name != "bonding_masters");
    assert!(names.len() > 1);
    for name in &names {
        assert_eq!(page(&["--format", "ethtool", name]), ethtool(&["-k", name]), "{name}");
    }
    assert_eq!(page(&["--format", "ethtool"]), ethtool(&["-k", "*"]));
}

#[test]
fn offload_ioctl_and_netlink_agree() {
    let _stack = Stack::new();
    let netlink = hostdiag::offload::gather::namespace(None).unwrap().namespace;
    let ioctl = hostdiag::net::ioctl::Ethtool::open().unwrap();
    let names = ioctl.names("lo").unwrap();
    for device in &netlink.devices {
        assert_eq!(Some(ioctl.features(&device.name, &names).unwrap()), device.features, "{}", device.name);
    }
}

#[test]
fn offload_survives_devices_that_come_and_go() {
    let namespace = NetNs::new("flux");
    let _entered = namespace.enter();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let link = Link::dummy("come0");
                link.down();
                ip(&["link", "set", "come0", "name", "gone0"]);
                ip(&["link", "del", "gone0"]);
            }
        });
        for _ in 0..20 {
            let audited = audit(&[]);
            assert_eq!(audited.status, 0);
            assert!(audited.data.namespaces[0].devices.iter().any(|device| device.name == "lo"));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
