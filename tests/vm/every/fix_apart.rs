//! What `--fix` leaves alone: every kind of the list, broken as the article's
//! VLAN was, is as it was after a repair, and the plan says why.
use hostdiag_model::plan::Apart;

use crate::lab::{
    AfXdp, Card, Datapath, Link, NetNs, PolicyFile, Stack, Xdp, ethtool, feature, fix, ip, plan, run_fix,
    snapshot, stick_lro, wait_until,
};

const SG: &str = "tx-scatter-gather";

/// Switches off what can be, and repairs: the device keeps its state, and the
/// plan gives this reason.
#[track_caller]
fn left_alone(device: &str, reason: &Apart) {
    for name in ["sg", "tx", "gso"] {
        // A fixed feature cannot be switched off, and need not be.
        let _ = std::process::Command::new("ethtool").args(["-K", device, name, "off"]).output();
    }
    let before = snapshot();
    let (planned, _) = plan(&[]);
    assert!(planned.steps.iter().all(|step| step.device.name != device), "{planned:#?}");
    let of: Vec<&Apart> =
        planned.left.iter().filter(|left| left.device == device).map(|left| &left.reason).collect();
    assert!(!of.is_empty() && of.iter().all(|is| *is == reason), "{device}: {of:?}\n{planned:#?}");
    let fixed = fix(&[]);
    assert_eq!(fixed.happened, [], "{device}");
    assert_eq!(snapshot().devices, before.devices);
}

fn kind(kind: &str) -> Apart {
    Apart::Kind { kind: kind.to_owned() }
}

#[test]
fn fix_leaves_software_devices_alone() {
    let namespace = NetNs::new("kinds");
    let _entered = namespace.enter();
    let nic = Link::veth("nic0", "port0");
    nic.address("192.0.2.1/24");
    left_alone("nic0", &kind("veth"));
    ethtool(&["-K", "nic0", "sg", "on", "tx", "on", "gso", "on"]);
    left(Link::vxlan("vx0", "nic0", "192.0.2.2"), "vxlan");
    left(Link::add("gen0", &["geneve", "id", "42", "remote", "192.0.2.2"]), "geneve");
    left(Link::gre("gre1", "nic0", "192.0.2.2"), "gre");
    left(Link::wireguard("wg0"), "wireguard");
    left(Link::dummy("dummy1"), "dummy");
    left(Link::bridge("br0", &[]), "bridge");
    left(Link::tuntap("tap0", "tap"), "tun");
    left(Link::tuntap("tun0", "tun"), "tun");
    left(Link::macvlan("mac0", "nic0"), "macvlan");
}

#[track_caller]
fn left(link: Link, is: &str) {
    left_alone(link.name(), &kind(is));
}

#[test]
fn fix_leaves_ipvlan_alone() {
    let namespace = NetNs::new("ipvlan");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let _ipvlan = Link::ipvlan("ipv0", "nic0");
    left_alone("ipv0", &kind("ipvlan"));
}

#[test]
fn fix_leaves_what_lies_on_others_alone() {
    let namespace = NetNs::new("lies-on");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let _bridge = Link::bridge("br0", &["nic0"]);
    let on = |device: &str, kind: &str| Apart::LiesOn { device: device.into(), kind: kind.into() };
    let _on_bridge = Link::vlan("vlan10", "br0", 10);
    left_alone("vlan10", &on("br0", "bridge"));
    let _card = Link::dummy("card0");
    let _on_dummy = Link::vlan("vlan11", "card0", 11);
    left_alone("vlan11", &on("card0", "dummy"));
    let _bond = Link::bond("bond0", "active-backup", &["card0"]);
    let _on_bond = Link::vlan("vlan12", "bond0", 12);
    left_alone("vlan12", &on("card0", "dummy"));
}

#[test]
fn fix_leaves_ports_beside_guests_alone() {
    let stack = Stack::new();
    let _carrier = Link::vlan("vlan200", "bond0", 200);
    let _bridge = Link::bridge("vmbr0", &["vlan200"]);
    ethtool(&["-K", "vlan200", "sg", "off"]);
    // A bridge alone is no reason.
    assert_eq!(fix(&[]).repaired(), [format!("vlan200 {SG}")]);
    let tap = Link::tuntap("tap7", "tap");
    ip(&["link", "set", "tap7", "master", "vmbr0"]);
    left_alone("vlan200", &Apart::CarriesGuests { bridge: "vmbr0".into() });
    drop(tap);
    // A container's veth: its other end is elsewhere.
    ip(&["link", "add", "veth7", "type", "veth", "peer", "name", "eth0", "netns", stack.peer().name()]);
    ip(&["link", "set", "veth7", "master", "vmbr0"]);
    left_alone("vlan200", &Apart::CarriesGuests { bridge: "vmbr0".into() });
}

#[test]
fn fix_leaves_container_networks_alone() {
    let _stack = Stack::new();
    for (id, name) in ["cali0", "cilium_x", "flannel.1", "lxc0", "cni0", "docker0"].iter().enumerate() {
        let _vlan = Link::vlan(name, "bond0", 300 + id as u16);
        left_alone(name, &Apart::Container);
    }
}

#[test]
fn fix_leaves_xdp_alone() {
    let _stack = Stack::new();
    let xdp = Xdp::generic("vlan10");
    left_alone("vlan10", &Apart::Xdp);
    drop(xdp);
    let socket = AfXdp::bind("vlan10");
    left_alone("vlan10", &Apart::AfXdp);
    drop(socket);
    let fixed = fix(&[]);
    assert!(fixed.repaired().contains(&format!("vlan10 {SG}")), "{:?}", fixed.repaired());
}

#[test]
fn fix_leaves_members_of_open_vswitch_alone() {
    let _stack = Stack::new();
    let datapath = Datapath::new("dp0");
    datapath.take("vlan10");
    left_alone("vlan10", &Apart::OpenVswitch);
    drop(datapath);
    assert!(!fix(&[]).repaired().is_empty());
}

#[test]
fn fix_leaves_hardware_alone() {
    let cards = Card::all("vmxnet3");
    left_alone(cards[0].name(), &Apart::Physical);
}

#[test]
fn fix_leaves_a_parent_in_another_namespace_alone() {
    let stack = Stack::new();
    ip(&["link", "add", "link", "bond0", "name", "vlan30", "type", "vlan", "id", "30"]);
    ip(&["link", "set", "vlan30", "netns", stack.peer().name()]);
    let fixed = run_fix(&["--fix", "--netns", stack.peer().name()]);
    assert_eq!(fixed.status, 0, "{}", fixed.said);
    let left = fixed.fix.plan.left.iter().find(|left| left.device == "vlan30").unwrap();
    assert_eq!(left.reason, Apart::BelowUnknown);
}

/// A router's card has lost LRO for good reason; nothing that is repaired on a
/// VLAN may bring it back, whatever is permitted.
#[test]
fn fix_router_stays_without_lro() {
    let cards = Card::all("vmxnet3");
    let card = cards[0].name();
    let lro = || feature(card, "large-receive-offload");
    stick_lro(card);
    let _forwarding = Forwarding::on();
    let _vlan = Link::vlan("vlan10", card, 10);
    ethtool(&["-K", "vlan10", "sg", "off"]);
    wait_until("the VLAN has lost it", || feature("vlan10", SG) == "off");
    assert!(lro().starts_with("off"), "{}", lro());
    let policy = PolicyFile::lro(card);
    for more in [&[][..], &["--physical", card]] {
        let before = lro();
        let fixed = fix(&[&["--policy", policy.path()], more].concat());
        assert_eq!(lro(), before, "{:#?}", fixed.fix);
    }
    assert_eq!(feature("vlan10", SG), "on");
}

/// IPv4 forwarding, off again when the guard drops.
struct Forwarding;

impl Forwarding {
    fn on() -> Self {
        std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
        Forwarding
    }
}

impl Drop for Forwarding {
    fn drop(&mut self) {
        let _ = std::fs::write("/proc/sys/net/ipv4/ip_forward", "0");
    }
}

/// On 5.10 a recompute of the VLAN takes LRO away from the bond and both cards
/// below it; on later kernels that happened when the VLAN was made.
#[test]
fn fix_never_changes_the_cards_below() {
    let cards = Card::all("vmxnet3");
    let names: Vec<&str> = cards.iter().map(Card::name).collect();
    assert_eq!(names.len(), 2);
    let _bond = Link::bond("bond0", "active-backup", &names);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    let sys = |name: &str, what: &str| std::fs::read_to_string(format!("/sys/class/net/{name}/{what}"));
    wait_until("the bond has a carrier", || sys("bond0", "carrier").is_ok_and(|text| text.trim() == "1"));
    ethtool(&["-K", "vlan10", "sg", "off"]);
    wait_until("the VLAN has lost it", || feature("vlan10", SG) == "off");
    // Whatever of LRO the kernel lets come back is there to be lost.
    for name in names.iter().chain(&["bond0"]) {
        let _ = std::process::Command::new("ethtool").args(["-K", name, "lro", "on"]).output();
    }
    let state = || -> Vec<_> {
        let of = |name: &&str| {
            let device = snapshot().devices.into_iter().find(|device| device.name == **name).unwrap();
            (device.features, sys(name, "carrier_changes").unwrap())
        };
        names.iter().map(of).collect()
    };
    let before = state();
    let fixed = run_fix(&["--fix", "--observe", "300ms"]);
    fixed.as_planned();
    assert_eq!(state(), before, "{:#?}", fixed.fix);
    println!(
        "bond of two cards, LRO {}: {} steps, refused {:?}",
        feature(names[0], "large-receive-offload"),
        fixed.fix.plan.steps.len(),
        fixed.fix.plan.refused
    );
}
