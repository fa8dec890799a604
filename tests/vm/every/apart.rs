//! Devices that tools leave alone are what they are to be, as the kernel sees it.
use crate::lab::{AfXdp, Datapath, Link, NetNs, Xdp, ip};

fn details(device: &str) -> String {
    ip(&["-details", "link", "show", device])
}

#[test]
fn lab_tunnels_and_guests_ports() {
    let namespace = NetNs::new("tunnels");
    let _entered = namespace.enter();
    let nic = Link::veth("nic0", "port0");
    nic.address("192.0.2.1/24");
    let _links = [
        Link::vxlan("vxlan0", "nic0", "192.0.2.2"),
        Link::gre("gre1", "nic0", "192.0.2.2"),
        Link::wireguard("wg0"),
        Link::tuntap("tap0", "tap"),
        Link::tuntap("tun0", "tun"),
        Link::vlan("vlan10", "nic0", 10),
        Link::bridge("br0", &["vlan10", "tap0"]),
    ];
    let kinds = [
        ("vxlan0", "vxlan id 42"),
        ("gre1", "gre remote 192.0.2.2"),
        ("wg0", "wireguard"),
        ("tap0", "tun type tap"),
        ("tun0", "tun type tun"),
        ("vlan10", "bridge_slave"),
        ("tap0", "bridge_slave"),
    ];
    for (device, kind) in kinds {
        assert!(details(device).contains(kind), "{}", details(device));
    }
}

#[test]
fn lab_member_of_open_vswitch() {
    let namespace = NetNs::new("ovs");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let _vlan = Link::vlan("vlan10", "nic0", 10);
    let datapath = Datapath::new("dp0");
    datapath.take("vlan10");
    assert!(details("dp0").contains("openvswitch"), "{}", details("dp0"));
    let vlan = details("vlan10");
    assert!(vlan.contains("master dp0") && vlan.contains("openvswitch_slave"), "{vlan}");
    drop(datapath);
    assert!(!details("vlan10").contains("openvswitch"));
    assert!(!ip(&["link"]).contains("dp0"));
}

#[test]
fn lab_xdp_on_software_devices() {
    let namespace = NetNs::new("xdp");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _bond = Link::bond("bond0", "active-backup", &["nic0", "nic1"]);
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    for device in ["vlan10", "bond0"] {
        let xdp = Xdp::generic(device);
        assert!(details(device).contains("prog/xdp"), "{}", details(device));
        drop(xdp);
        assert!(!details(device).contains("prog/xdp"));
    }
    drop(AfXdp::bind("vlan10"));
}
