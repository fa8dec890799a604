//! What a repair reads beyond the audit.
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use hostdiag::offload::fix::facts::{self, Facts, More, Port};

use super::offload_intent::ConfigFile;
use crate::lab::{Card, Link, NetNs, Stack, ethtool, ip, wait_until};

fn gather() -> Facts {
    facts::gather(None).unwrap()
}

/// What is special about a device.
#[track_caller]
fn more(facts: &Facts, name: &str) -> More {
    let device = facts.namespace.devices.iter().find(|device| device.name == name);
    let index = device.unwrap_or_else(|| panic!("no {name}")).link.as_ref().unwrap().ifindex;
    facts.more.get(&index).cloned().unwrap_or_default()
}

#[track_caller]
fn port(facts: &Facts, name: &str) -> Port {
    more(facts, name).port.unwrap_or_else(|| panic!("{name} is no port"))
}

#[test]
fn facts_of_a_card_have_its_permanent_address() {
    let cards = Card::all("vmxnet3");
    let card = cards[0].name();
    let text = ethtool(&["-P", card]);
    let address = text.trim().strip_prefix("Permanent address: ").unwrap();
    let facts = gather();
    let expected = More { permanent_address: Some(address.to_owned()), ..More::default() };
    assert_eq!(more(&facts, card), expected);
    assert_eq!(more(&facts, "lo"), More::default());
    let at = facts.namespace.devices.iter().position(|device| device.name == card).unwrap();
    let identity = facts.identity(at).unwrap();
    assert_eq!((identity.name, identity.permanent_address), (card.to_owned(), Some(address.to_owned())));
}

#[test]
fn facts_of_a_whole_stack_have_vlan_features() {
    let _stack = Stack::new();
    let facts = gather();
    assert!(!facts.namespace.devices.is_empty());
    for device in &facts.namespace.devices {
        assert!(device.vlan_features.is_some(), "{}", device.name);
    }
    assert_eq!(facts.namespace.problems, []);
    assert_eq!((facts.intents, facts.intents_incomplete), (vec![], false));
}

#[test]
fn facts_have_the_lines_that_ask_for_what_is_off() {
    let namespace = NetNs::new("asked");
    let text = "[Match]\nOriginalName=vlan*\n\n[Link]\nTransmitChecksumOffload=no\n";
    let file = "/etc/systemd/network/10-vlan.link";
    let _file = ConfigFile::new(file, text);
    {
        let _entered = namespace.enter();
        Link::veth("nic0", "port0").keep();
        Link::vlan("vlan10", "nic0", 10).keep();
        assert_eq!(gather().intents, []);
        ethtool(&["-K", "vlan10", "tx-checksum-ip-generic", "off"]);
        let intents = gather().intents;
        let lines: Vec<_> =
            intents.iter().map(|line| (&*line.device, &*line.file, line.line, line.on)).collect();
        assert_eq!(lines, [("vlan10", file, 5, false)]);
    }
    // The files speak of the devices of the first namespace.
    assert_eq!(facts::gather(Some(namespace.name())).unwrap().intents, []);
}

#[test]
fn facts_say_which_port_a_bond_uses() {
    let namespace = NetNs::new("ports");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _bond = Link::bond("bond0", "active-backup", &["nic0", "nic1"]);
    let active = || {
        let facts = gather();
        ["nic0", "nic1"].map(|name| port(&facts, name)).map(|port| {
            assert_eq!(port.lacp_in_sync, None);
            port.active
        })
    };
    let path = "/sys/class/net/bond0/bonding/active_slave";
    let says = || {
        let name = fs::read_to_string(path).unwrap();
        ["nic0", "nic1"].map(|nic| name.trim() == nic)
    };
    let one_is_active = || active() == says() && says().contains(&true);
    wait_until("a port is active", one_is_active);
    let first = says();
    let peer = if first[0] { "port0" } else { "port1" };
    ip(&["link", "set", peer, "down"]);
    wait_until("the other port has taken over", || one_is_active() && says() != first);
    for peer in ["port0", "port1"] {
        ip(&["link", "set", peer, "down"]);
    }
    wait_until("no port is active", || active() == [false, false]);
}

#[test]
fn facts_say_whether_lacp_is_in_sync() {
    let (here, there) = (NetNs::new("actor"), NetNs::new("partner"));
    {
        let _entered = here.enter();
        for (nic, port) in [("nic0", "port0"), ("nic1", "port1")] {
            ip(&["link", "add", nic, "type", "veth", "peer", "name", port, "netns", there.name()]);
            ip(&["-n", there.name(), "link", "set", port, "up"]);
        }
        let kind = ["bond", "mode", "802.3ad", "miimon", "100", "lacp_rate", "fast"];
        let bond = Link::create(None, "bond0", None, &kind).keep();
        bond.enslave_down(&["nic0", "nic1"]);
        let synced = || {
            let facts = gather();
            ["nic0", "nic1"].map(|name| port(&facts, name).lacp_in_sync)
        };
        // A switch that does not speak LACP: there is nobody to be in sync with.
        wait_until("a port believes in itself", || {
            ["nic0", "nic1"].iter().any(|nic| {
                let path = format!("/sys/class/net/{nic}/bonding_slave/ad_actor_oper_port_state");
                // No number before it has an aggregator; then its own view,
                // LACP_STATE_SYNCHRONIZATION.
                let state: u8 = fs::read_to_string(path).unwrap().trim().parse().unwrap_or(0);
                state & 0x08 != 0
            })
        });
        assert_eq!(synced(), [Some(false); 2]);
        let partner = Link::create(Some(there.name()), "bond1", None, &kind).keep();
        partner.enslave_down(&["port0", "port1"]);
        wait_until("both ports are in sync", || synced() == [Some(true); 2]);
        let facts = gather();
        assert!(port(&facts, "nic0").active && port(&facts, "nic1").active);
    }
    // The same seen from outside.
    let facts = facts::gather(Some(there.name())).unwrap();
    assert_eq!(facts.namespace.name.as_deref(), Some(there.name()));
    assert_eq!(facts.namespace.path.as_deref(), there.path().to_str());
    wait_until("the partner is in sync", || {
        let facts = facts::gather(Some(there.name())).unwrap();
        ["port0", "port1"].iter().all(|name| port(&facts, name).lacp_in_sync == Some(true))
    });
}

#[test]
fn facts_of_a_teams_ports_say_which_have_carrier() {
    let namespace = NetNs::new("team");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let _team = Link::team("team0", &["nic0", "nic1"]);
    let active = || {
        let facts = gather();
        ["nic0", "nic1"].map(|name| port(&facts, name).active)
    };
    wait_until("both ports have carrier", || active() == [true, true]);
    ip(&["link", "set", "port0", "down"]);
    wait_until("one port has carrier", || active() == [false, true]);
    assert_eq!(more(&gather(), "team0").port, None);
}

/// A process that is ended with its guard.
struct Held(Child);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Binds an AF_XDP socket to a device.
fn bind_af_xdp(device: &str) -> Held {
    let mut command = Command::new("/lib/hostdiag/af_xdp");
    let mut held = Held(command.arg(device).stdout(Stdio::piped()).spawn().unwrap());
    let mut said = String::new();
    BufReader::new(held.0.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "bound\n");
    held
}

#[test]
fn facts_name_the_device_of_an_af_xdp_socket() {
    let namespace = NetNs::new("afxdp");
    let _entered = namespace.enter();
    let _nics = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let bound = |facts: &Facts| ["nic0", "nic1"].map(|name| more(facts, name).af_xdp);
    let problems = |facts: &Facts| -> Vec<String> {
        facts.namespace.problems.iter().map(|problem| problem.subject.clone()).collect()
    };
    let facts = gather();
    assert_eq!((bound(&facts), problems(&facts)), ([false, false], vec![]));
    let held = bind_af_xdp("nic1");
    let facts = gather();
    let diag = Command::new("modprobe").args(["-q", "--dry-run", "xsk_diag"]).status().unwrap();
    if diag.success() {
        assert_eq!((bound(&facts), problems(&facts)), ([false, true], vec![]));
    } else {
        // The kernel counts such sockets and does not say where they are.
        assert_eq!((bound(&facts), problems(&facts)), ([true, true], vec!["AF_XDP sockets".to_owned()]));
    }
    // Another namespace has none.
    let other = NetNs::new("other");
    assert_eq!(facts::gather(Some(other.name())).unwrap().namespace.problems, []);
    drop(held);
    wait_until("the socket has gone", || bound(&gather()) == [false, false]);
}
