//! The watch beside each network manager, through storms, and over a while.
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use hostdiag::offload::held::seen::SETTING_UP;

use crate::boot::{BREAKS, SG, WATCH as UNIT, broken, property, said_by, says, wait_feature};
use crate::config::ConfigFile;
use crate::lab::{Link, ethtool, feature, ip, ip_batch, run, wait_long_until as wait_until};

const TSO: &str = "tx-tcp-segmentation";

/// Once a device is set up, somebody switches TSO off there.
#[track_caller]
fn decide(device: &str) {
    sleep(SETTING_UP + Duration::from_secs(2));
    ethtool(&["-K", device, "tso", "off"]);
    says(&format!("{device}: somebody switched off tx-tcp-segmentation"));
}

/// What the watch did before is over once it has repaired a VLAN that is made now.
#[track_caller]
fn has_looked(id: u16) {
    let name = format!("marker{id}");
    let _marker = broken(&name, id);
    wait_feature(&name, "on");
}

/// What a manager made is whole; what somebody then decides stays, whatever the manager
/// does with `again`.
#[track_caller]
fn looked_after(device: &str, id: u16, again: impl Fn()) {
    wait_feature(device, "on");
    says(&format!("{device}: repaired {SG}"));
    decide(device);
    again();
    has_looked(id);
    assert_eq!((feature(device, TSO), feature(device, SG)), ("off".into(), "on".into()));
}

fn carrier_changes(device: &str) -> u64 {
    let path = Path::new("/sys/class/net").join(device).join("carrier_changes");
    std::fs::read_to_string(path).unwrap().trim().parse().unwrap()
}

#[test]
fn watch_looks_after_what_networkd_makes_later() {
    let folder = "/etc/systemd/network";
    let vlan = "[NetDev]\nName=vlan50\nKind=vlan\n\n[VLAN]\nId=50\n";
    let _device = ConfigFile::write(format!("{folder}/35-vlan50.netdev"), 0o644, vlan);
    let network = "[Match]\nName=vlan50\n\n[Network]\nAddress=10.50.0.1/24\n";
    let _network = ConfigFile::write(format!("{folder}/65-vlan50.network"), 0o644, network);
    let above = "[Network]\nVLAN=vlan50\n";
    let _above = ConfigFile::write(format!("{folder}/50-bond0.network.d/vlan50.conf"), 0o644, above);
    run("networkctl", &["reload"]);
    run("networkctl", &["reconfigure", "bond0"]);
    wait_until("networkd made it", || Path::new("/sys/class/net/vlan50").exists());
    run(BREAKS, &["-K", "vlan50", "sg", "off"]);
    looked_after("vlan50", 4050, || drop(run("networkctl", &["reconfigure", "vlan50"])));
    ip(&["link", "del", "vlan50"]);
}

#[test]
fn watch_looks_after_what_ifupdown_makes_later() {
    let stanza = format!(
        "iface vlan51 inet manual\n    pre-up ip link add link bond0 name vlan51 type vlan id 51\n    \
         up ip link set vlan51 up\n    up {BREAKS} -K vlan51 sg off\n    post-down ip link del vlan51\n"
    );
    let _stanza = ConfigFile::interfaces("vlan51", &stanza);
    let bond = || std::fs::read_to_string("/sys/class/net/bond0/operstate");
    wait_until("networkd brought the bond up", || bond().is_ok_and(|state| state.trim() == "up"));
    run("ifup", &["vlan51"]);
    looked_after("vlan51", 4051, || {
        ip(&["link", "set", "vlan51", "down"]);
        ip(&["link", "set", "vlan51", "up"]);
    });
    run("ifdown", &["vlan51"]);
}

#[test]
fn watch_looks_after_what_networkmanager_makes_later() {
    let folder = "/etc/NetworkManager";
    let unmanaged = "[keyfile]\nunmanaged-devices=*,except:interface-name:vlan52\n";
    let _unmanaged = ConfigFile::write(format!("{folder}/conf.d/lab.conf"), 0o644, unmanaged);
    run("systemctl", &["start", "NetworkManager"]);
    let add = "connection add type vlan con-name vlan52 ifname vlan52 dev bond0 id 52 autoconnect no \
               ipv4.method manual ipv4.addresses 10.52.0.1/24 ipv6.method disabled";
    run("nmcli", &add.split_whitespace().collect::<Vec<_>>());
    run("nmcli", &["connection", "up", "vlan52"]);
    run(BREAKS, &["-K", "vlan52", "sg", "off"]);
    looked_after("vlan52", 4052, || drop(run("nmcli", &["device", "reapply", "vlan52"])));
    run("nmcli", &["connection", "down", "vlan52"]);
    run("nmcli", &["connection", "delete", "vlan52"]);
    run("systemctl", &["stop", "NetworkManager"]);
}

#[test]
fn watch_repairs_a_q_in_q_and_a_vlan_whose_bond_gets_its_port_later() {
    let _outer = Link::service_vlan("outer", "bond0", 60);
    let _inner = Link::vlan("inner", "outer", 61);
    for device in ["outer", "inner"] {
        run(BREAKS, &["-K", device, "sg", "off"]);
    }
    wait_feature("inner", "on");
    wait_feature("outer", "on");
    let _late = Link::veth("nic2", "port2");
    let bond = Link::bond("bond1", "active-backup", &[]);
    let _above = Link::vlan("vlan62", "bond1", 62);
    run(BREAKS, &["-K", "vlan62", "sg", "off"]);
    has_looked(4062);
    bond.enslave_down(&["nic2"]);
    wait_feature("vlan62", "on");
}

/// In the middle of which devices are made, and the watch is started again and killed.
#[test]
fn watch_through_a_storm_ends_in_the_right_state() {
    let _stir = Link::dummy("stir");
    let storm = || {
        // Carriers too, but not so often that networkd is busy for minutes.
        ip_batch((0..10_000).map(|number| match number % 40 {
            0 => "link set dev port0 down".to_owned(),
            20 => "link set dev port0 up".to_owned(),
            _ => format!("link set dev stir mtu {}", 1400 + number % 2),
        }));
    };
    run("systemctl", &["reset-failed", UNIT]);
    run("systemctl", &["restart", UNIT]);
    let _decided = broken("vlan70", 70);
    wait_feature("vlan70", "on");
    decide("vlan70");
    let later = std::thread::scope(|scope| {
        let before = carrier_changes("nic0");
        scope.spawn(storm);
        wait_until("it storms", || carrier_changes("nic0") > before + 4);
        let later = [71, 72, 73].map(|id| broken(&format!("vlan{id}"), id));
        run("systemctl", &["restart", UNIT]);
        later
    });
    for name in ["vlan71", "vlan72", "vlan73"] {
        wait_feature(name, "on");
    }
    run("systemctl", &["kill", "--signal=KILL", UNIT]);
    wait_until("systemd starts it again", || {
        property(UNIT, "NRestarts") == "1" && property(UNIT, "ActiveState") == "active"
    });
    storm();
    has_looked(4070);
    assert_eq!((feature("vlan70", TSO), feature("vlan70", SG)), ("off".into(), "on".into()));
    for vlan in &later {
        assert_eq!(feature(vlan.name(), SG), "on");
    }
    // It was said once, whatever happened since.
    let said = said_by(UNIT);
    assert_eq!(said.matches("vlan70: somebody switched off").count(), 1, "{said}");
}
