//! What is watched during a repair, on real devices.
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hostdiag::net::events::{Settled, settle};
use hostdiag::net::vitals::read;
use hostdiag::offload::fix::vitals::{Vitals, worse};
use hostdiag::stop::Stop;

use crate::lab::{PEER, Stack, ethtool, ip, sendfile, snapshot, wait_until};

/// All devices of the namespace.
fn look(seconds: u64) -> Vitals {
    let indices = snapshot().devices.into_iter().filter_map(|device| Some(device.link?.ifindex));
    read(&indices.collect::<Vec<_>>(), Duration::from_secs(seconds)).unwrap()
}

#[test]
fn vitals_of_traffic_that_flows_get_no_worse() {
    let stack = Stack::new();
    let first = look(0);
    sendfile(stack.peer(), PEER, 8 << 20);
    let before = look(1);
    assert!(before.tcp.unwrap().sent > first.tcp.unwrap().sent);
    sendfile(stack.peer(), PEER, 8 << 20);
    assert_eq!(worse(&first, &before, &look(2)), Vec::<String>::new());
}

#[test]
fn vitals_see_ports_and_carriers_go() {
    let stack = Stack::new();
    let bond = |vitals: &Vitals| vitals.devices.values().find(|device| device.name == "bond0").cloned();
    let before = look(0);
    let active = bond(&before).unwrap().active_port.expect("active-backup has an active port");
    let name = before.devices[&active].name.clone();
    let far = if name == "nic0" { "port0" } else { "port1" };
    ip(&["-n", stack.peer().name(), "link", "set", far, "down"]);
    wait_until("the bond changes over", || {
        let said = worse(&before, &before, &look(1));
        said.iter().any(|line| line.contains(&format!("{name} lost its carrier")))
            && said.iter().any(|line| line.contains("the active port of bond0 changed"))
    });
}

#[test]
fn vitals_see_a_gateway_fall_silent() {
    let stack = Stack::new();
    ip(&["route", "add", "198.51.100.0/24", "via", PEER]);
    let before = look(0);
    assert!(before.gateways.values().any(|answers| *answers == Some(true)), "{before:?}");
    ip(&["-n", stack.peer().name(), "link", "set", "vlan10", "down"]);
    ip(&["neigh", "flush", "dev", "vlan10"]);
    wait_until("the gateway does not answer", || {
        let _ = std::net::TcpStream::connect_timeout(
            &"198.51.100.1:9".parse().unwrap(),
            Duration::from_millis(200),
        );
        worse(&before, &before, &look(1)).iter().any(|line| line.contains("no longer answers"))
    });
}

#[test]
fn settling_waits_for_links_and_features() {
    let _stack = Stack::new();
    let stop = Stop::new().unwrap();
    let wait = |quiet, cap| settle(Duration::from_millis(quiet), Duration::from_millis(cap), &stop).unwrap();
    assert_eq!(wait(200, 60_000), Settled::Quiet);
    let going = AtomicBool::new(true);
    let changes: [fn(&str); 2] = [
        |word| drop(ethtool(&["-K", "vlan10", "gso", word])),
        |word| drop(ip(&["link", "set", "vlan10", "mtu", if word == "on" { "1500" } else { "1400" }])),
    ];
    for change in changes {
        going.store(true, Ordering::Relaxed);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while going.load(Ordering::Relaxed) {
                    for word in ["off", "on"] {
                        change(word);
                    }
                }
            });
            assert_eq!(wait(1_000, 2_000), Settled::Restless);
            going.store(false, Ordering::Relaxed);
        });
    }
    assert_eq!(wait(200, 60_000), Settled::Quiet);
}
