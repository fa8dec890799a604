//! The model of the kernel (`offload::fix::simulate`) against the kernel itself:
//! stacks of every kind, a series of changes on each, and after each change the
//! features of every device as they were foretold.
//!
//! The series are random and always the same.
use std::fmt::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use hostdiag::offload::fix::simulate::{Operation, Outcome, after};
use hostdiag::offload::{gather, live};
use hostdiag_model::plan::Change;
use hostdiag_model::{Device, FeatureName, FeatureState, Features, Namespace};

use crate::lab::{Link, NetNs, ip, vmxnet3};

/// Changes made to each stack.
const ROUNDS: usize = 150;

/// From 7.2 on VLANs follow a moment later; this much only a hang takes.
const HANG: Duration = Duration::from_secs(5);

/// Chosen more often than any other feature.
const ROOTS: &[&str] = &["tx-scatter-gather", "tx-checksum-ip-generic", "tx-nocache-copy", "rx-lro"];

/// The kernel refuses to be asked for them.
const NEVER: &[&str] = &["vlan-challenged", "tx-lockless", "netns-local"];

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % end
    }

    fn one_of<'a, T>(&mut self, list: &'a [T]) -> &'a T {
        &list[self.below(list.len())]
    }
}

fn read() -> Namespace {
    let gathered = gather::namespace(None).unwrap();
    assert_eq!(gathered.namespace.problems, []);
    gathered.namespace
}

fn read_with_offers() -> Namespace {
    let mut gathered = gather::namespace(None).unwrap();
    live::add_vlan_features(&mut gathered);
    assert_eq!(gathered.namespace.problems, []);
    gathered.namespace
}

/// A few wishes of a device turned round; none makes it a mere recomputation.
fn choose(random: &mut Random, namespace: &Namespace) -> (usize, Vec<(FeatureName, bool)>) {
    let at = 1 + random.below(namespace.devices.len() - 1);
    let features = namespace.devices[at].features.as_ref().unwrap();
    let changeable: Vec<_> = features.iter().filter(|(_, state)| state.changeable()).collect();
    let roots: Vec<_> = changeable.iter().copied().filter(|(name, _)| ROOTS.contains(&&***name)).collect();
    let mut wishes: Vec<(FeatureName, bool)> = Vec::new();
    for _ in 0..random.below(5) {
        let from = if random.below(2) == 0 && !roots.is_empty() { &roots } else { &changeable };
        let (name, state) = random.one_of(from);
        if wishes.iter().all(|(known, _)| known != *name) {
            wishes.push(((*name).clone(), !state.wanted()));
        }
    }
    (at, wishes)
}

/// To ask for what is fixed changes no wish, and makes the kernel compute anew.
fn recompute(device: &Device) {
    let mut fixed = device.features.iter().flat_map(Features::iter);
    let fixed = fixed.find(|(name, state)| *state == FeatureState::OffFixed && !NEVER.contains(&&***name));
    ethtool(&device.name, &[(fixed.unwrap().0.clone(), true)]);
}

fn ethtool(device: &str, wishes: &[(FeatureName, bool)]) {
    let mut command = Command::new("ethtool");
    command.args(["-K", device]);
    for (name, on) in wishes {
        command.args([&**name, if *on { "on" } else { "off" }]);
    }
    // It fails where not all came as asked, and says what did.
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
}

/// What is not as foretold, a line each.
fn differences(start: &Namespace, outcome: &Outcome, now: &Namespace) -> String {
    let mut lines = String::new();
    for (before, device) in start.devices.iter().zip(&now.devices) {
        assert_eq!(before.name, device.name);
        let known = before.features.as_ref().unwrap();
        for (feature, is) in device.features.iter().flat_map(Features::iter) {
            let of = |change: &&Change| change.device == device.name && change.feature == *feature;
            let change = outcome.changes.iter().find(of);
            let before = known.get(feature).unwrap();
            if !change.map_or(is == before, |change| change.allows(is)) {
                let after = change.map_or("nothing", |change| change.after.as_str());
                writeln!(lines, "  {} {feature}: was {before}, foretold {after}, is {is}", device.name)
                    .unwrap();
            }
        }
    }
    lines
}

/// Changes at random, and what was not as foretold.
fn series(seed: u64) -> String {
    let mut random = Random(seed);
    let mut start = read_with_offers();
    let offers: Vec<_> = start.devices.iter().map(|device| device.vlan_features.clone()).collect();
    let mut wrong = String::new();
    let (mut certain, mut doubtful) = (0, 0);
    for round in 0..ROUNDS {
        let (at, wishes) = choose(&mut random, &start);
        let outcome = if wishes.is_empty() {
            recompute(&start.devices[at]);
            after(&start, at, &Operation::Recompute)
        } else {
            ethtool(&start.devices[at].name, &wishes);
            after(&start, at, &Operation::Set(&wishes))
        };
        let begun = Instant::now();
        let mut now = read();
        let mut differ = differences(&start, &outcome, &now);
        while !differ.is_empty() && begun.elapsed() < HANG {
            std::thread::sleep(Duration::from_millis(10));
            now = read();
            differ = differences(&start, &outcome, &now);
        }
        if !differ.is_empty() {
            let device = &start.devices[at].name;
            writeln!(wrong, "round {round}, {device} {wishes:?}:\n{differ}").unwrap();
        }
        let sure = outcome.changes.iter().filter(|change| change.certain).count();
        (certain, doubtful) = (certain + sure, doubtful + outcome.changes.len() - sure);
        for (device, offer) in now.devices.iter_mut().zip(&offers) {
            device.vlan_features.clone_from(offer);
        }
        start = now;
    }
    let end = read_with_offers();
    assert_eq!(end.devices, start.devices, "nothing changed later, vlan_features not at all");
    println!("{certain} changes foretold, {doubtful} possible ones");
    assert!(certain + doubtful > ROUNDS, "the series was no test");
    wrong
}

/// Builds a stack in a namespace of its own and checks it.
fn check(name: &str, build: impl FnOnce()) {
    let namespace = NetNs::new(name);
    let _entered = namespace.enter();
    build();
    check_here(name);
}

/// Checks what is in the current namespace.
fn check_here(name: &str) {
    let seed =
        name.bytes().fold(88_172_645_463_325_252_u64, |seed, byte| seed.rotate_left(7) ^ u64::from(byte));
    let wrong = series(seed);
    assert!(wrong.is_empty(), "{name}:\n{wrong}");
}

fn cards() {
    for (nic, port) in [("nic0", "port0"), ("nic1", "port1")] {
        Link::veth(nic, port).keep();
    }
}

#[test]
fn offload_model_of_vlans() {
    check("vlans", || {
        cards();
        Link::vlan("vlan10", "nic0", 10).keep();
        Link::vlan("vlan11", "nic0", 11).keep();
        Link::service_vlan("outer", "nic1", 20).keep();
        Link::vlan("inner", "outer", 21).keep();
    });
}

#[test]
fn offload_model_of_bonds() {
    check("bond", || {
        cards();
        Link::bond("bond0", "active-backup", &["nic0", "nic1"]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
        Link::vlan("inner", "vlan10", 21).keep();
    });
    check("lacp", || {
        cards();
        let policy = ["bond", "mode", "802.3ad", "miimon", "100", "xmit_hash_policy", "layer3+4"];
        let bond = Link::add("bond0", &policy).keep();
        bond.enslave_down(&["nic0", "nic1"]);
        Link::vlan("vlan10", "bond0", 10).keep();
    });
    check("lacp2", || {
        cards();
        Link::bond("bond0", "802.3ad", &["nic0"]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
    });
    check("dummies", || {
        Link::dummy("dummy0").keep();
        Link::dummy("dummy1").keep();
        Link::bond("bond0", "balance-rr", &["dummy0", "dummy1"]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
    });
}

/// A VLAN that was made before the bond had ports, and one in it.
#[test]
fn offload_model_of_stale_vlans() {
    check("stale", || {
        cards();
        let bond = Link::bond("bond0", "active-backup", &[]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
        Link::vlan("inner", "vlan10", 21).keep();
        Link::bond("empty", "active-backup", &[]).keep();
        Link::vlan("vlan12", "empty", 12).keep();
        bond.enslave_down(&["nic0", "nic1"]);
    });
}

#[test]
fn offload_model_of_teams() {
    check("team", || {
        cards();
        Link::team("team0", &["nic0", "nic1"]).keep();
        Link::vlan("vlan10", "team0", 10).keep();
    });
}

#[test]
fn offload_model_of_bridges() {
    check("bridge", || {
        cards();
        Link::bond("bond0", "active-backup", &["nic0"]).keep();
        Link::vlan("vlan10", "bond0", 10).keep();
        Link::bridge("br0", &["vlan10", "nic1"]).keep();
        Link::vlan("vlan11", "br0", 11).keep();
        Link::bridge("lonely", &[]).keep();
        Link::vlan("vlan12", "lonely", 12).keep();
    });
}

/// What lies on the stack and has a law of its own.
#[test]
fn offload_model_of_guests() {
    check("guests", || {
        cards();
        Link::bond("bond0", "active-backup", &["nic0"]).keep();
        Link::macvlan("mac0", "bond0").keep();
        Link::ipvlan("ip0", "nic1").keep();
        Link::vxlan("vx0", "bond0", "192.0.2.1").keep();
        Link::vlan("vlan10", "mac0", 10).keep();
    });
}

#[test]
fn offload_model_of_programs() {
    check("xdp", || {
        cards();
        ip(&["link", "set", "port0", "xdp", "obj", "/lib/hostdiag/xdp_pass.o", "sec", "xdp"]);
        Link::vlan("vlan10", "nic0", 10).keep();
        Link::vlan("vlan11", "port0", 11).keep();
    });
}

/// LRO on a real driver: what a master or anything else on a card takes away.
#[test]
fn offload_model_of_lro() {
    let card = vmxnet3();
    let before = read();
    let device = before.devices.iter().find(|device| device.name == card).unwrap();
    let features: Vec<(FeatureName, bool)> = device
        .features
        .iter()
        .flat_map(Features::iter)
        .filter(|(_, state)| state.changeable())
        .map(|(name, state)| (name.clone(), state.wanted()))
        .collect();
    // A master that goes leaves its ports down.
    let restore = || {
        ethtool(&card, &features);
        ip(&["link", "set", &card, "up"]);
    };
    {
        let _bond = Link::bond("bond0", "active-backup", &[&card]);
        check_here("lro-bond");
        restore();
        let _vlan = Link::vlan("vlan10", "bond0", 10);
        check_here("lro-bond-vlan");
    }
    restore();
    {
        let _vlan = Link::vlan("vlan10", &card, 10);
        check_here("lro-vlan");
    }
    restore();
    {
        let _macvlan = Link::macvlan("mac0", &card);
        check_here("lro-macvlan");
    }
    restore();
    let _team = Link::team("team0", &[&card]);
    let _vxlan = Link::vxlan("vx0", &card, "192.0.2.1");
    check_here("lro-team");
    restore();
}
