use std::sync::Arc;

use hostdiag_model::{Device, FeatureState, Link};
use proptest::prelude::*;

use super::*;

const SG: &str = "tx-scatter-gather";
const CSUM: &str = "tx-checksum-ip-generic";
const LRO: &str = "rx-lro";
const RX_CSUM: &str = "rx-checksum";
const USO: &str = "tx-udp-segmentation";
const NOCACHE: &str = "tx-nocache-copy";
const ESP_CSUM: &str = "esp-tx-csum-hw-offload";

/// What a stacked device has, in the order of the kernel.
const USUAL: &[&str] = &[
    SG,
    CSUM,
    "highdma",
    "tx-generic-segmentation",
    "rx-gro",
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    USO,
];

/// The other names that matter.
const OTHERS: &[&str] =
    &["tx-checksum-ipv4", "tx-checksum-ipv6", LRO, RX_CSUM, NOCACHE, "esp-hw-offload", ESP_CSUM];

fn names() -> impl Iterator<Item = &'static str> {
    USUAL.iter().chain(OTHERS).copied()
}

/// A device of a kind, on the one with index `lower`, a port of `master`; the
/// usual features are on.
fn device(kind: &str, ifindex: u32, lower: Option<u32>, master: Option<u32>) -> Device {
    let kind = (kind != "card").then(|| kind.to_owned());
    let mode = (kind.as_deref() == Some("bond")).then(|| "active-backup".to_owned());
    let mut device = Device {
        name: format!("{}{ifindex}", kind.as_deref().unwrap_or("card")),
        link: Some(Link { ifindex, kind, lower, master, mode, ..Link::default() }),
        features: Some(names().map(|name| (Arc::from(name), FeatureState::OffFixed)).collect()),
        vlan_features: Some(names().filter(|name| *name != LRO).map(Arc::from).collect()),
    };
    USUAL.iter().for_each(|name| put(&mut device, name, FeatureState::On));
    put(&mut device, NOCACHE, FeatureState::Off);
    device
}

fn put(device: &mut Device, name: &str, state: FeatureState) {
    let word = |(known, old): (&FeatureName, FeatureState)| {
        (known.clone(), if &**known == name { state } else { old })
    };
    device.features = Some(device.features.take().unwrap().iter().map(word).collect());
}

/// `nic1` and `nic2`, `bond3` of them, `vlan4` on that.
fn stack() -> Namespace {
    Namespace::of_text(vec![
        device("veth", 1, None, Some(3)),
        device("veth", 2, None, Some(3)),
        device("bond", 3, None, None),
        device("vlan", 4, Some(3), None),
    ])
}

fn wishes(features: &[&str], on: bool) -> Vec<(FeatureName, bool)> {
    features.iter().map(|name| (Arc::from(*name), on)).collect()
}

/// Carries out and checks that everything of it is certain.
fn set(namespace: &Namespace, at: Position, features: &[&str], on: bool) -> (Namespace, Vec<String>) {
    let outcome = after(namespace, at, &Operation::Set(&wishes(features, on)));
    assert!(outcome.changes.iter().all(|change| change.certain), "{:#?}", outcome.changes);
    (outcome.namespace, told(&outcome.changes))
}

/// Each change as `vlan4 tx-scatter-gather: off -> on`, with a `?` at the end
/// where it is not certain.
fn told(changes: &[Change]) -> Vec<String> {
    let line = |change: &Change| {
        let doubt = if change.certain { "" } else { "?" };
        format!("{} {}: {} -> {}{doubt}", change.device, change.feature, change.before, change.after)
    };
    changes.iter().map(line).collect()
}

fn state(namespace: &Namespace, at: Position, feature: &str) -> FeatureState {
    namespace.devices[at].features.as_ref().and_then(|features| features.get(feature)).unwrap()
}

#[test]
fn a_whole_stack_stays_as_it_is() {
    let whole = stack();
    for at in 0..whole.devices.len() {
        let outcome = after(&whole, at, &Operation::Recompute);
        assert_eq!(told(&outcome.changes), Vec::<String>::new());
        assert_eq!(outcome.namespace, whole);
    }
}

/// The state of the article, and its remedy.
#[test]
fn the_article() {
    let (bad, _) = set(&stack(), 3, &[SG, CSUM], false);
    assert_eq!(state(&bad, 3, SG), FeatureState::Off);
    assert_eq!(state(&bad, 3, "tx-tcp-segmentation"), FeatureState::OffRequestedOn);
    assert_eq!(state(&bad, 3, "tx-generic-segmentation"), FeatureState::OffRequestedOn);
    assert_eq!(bad.devices[..3], stack().devices[..3]);
    // What is asked for comes back, and what follows from it, and no more.
    let (good, changes) = set(&bad, 3, &[SG, CSUM], true);
    assert_eq!(good, stack());
    let follow = USUAL.iter().filter(|name| ![SG, CSUM, "highdma", "rx-gro"].contains(name));
    let follow = follow.map(|name| format!("vlan4 {name}: off [requested on] -> on"));
    let roots = [SG, CSUM].map(|name| format!("vlan4 {name}: off -> on"));
    assert_eq!(changes, roots.into_iter().chain(follow).collect::<Vec<_>>());
    // One root alone: what needs both stays off.
    let (half, changes) = set(&bad, 3, &[SG], true);
    assert_eq!(
        changes,
        ["vlan4 tx-scatter-gather: off -> on", "vlan4 tx-generic-segmentation: off [requested on] -> on",]
    );
    assert_eq!(set(&half, 3, &[CSUM], true).0, stack());
}

/// Before 6.12 it cannot always be known whether USO needs checksums.
#[test]
fn uso_without_checksums() {
    let older = |mut namespace: Namespace| {
        for device in &mut namespace.devices {
            let all = device.features.take().unwrap();
            let lockless = [(Arc::from("tx-lockless"), FeatureState::OnFixed)];
            let all = all.iter().map(|(name, state)| (name.clone(), state)).chain(lockless);
            device.features = Some(all.collect());
        }
        namespace
    };
    let off = |namespace: &Namespace, at| after(namespace, at, &Operation::Set(&wishes(&[CSUM], false)));
    let outcome = off(&older(stack()), 3);
    let doubtful: Vec<String> =
        told(&outcome.changes).into_iter().filter(|line| line.ends_with('?')).collect();
    assert_eq!(doubtful, [format!("vlan4 {USO}: on -> off [requested on]?")]);
    // Another device shows it.
    for (shown, doubts) in [(FeatureState::On, None), (FeatureState::OffRequestedOn, Some(true))] {
        let mut shows = stack();
        shows.devices.push(device("veth", 9, None, None));
        put(&mut shows.devices[4], CSUM, FeatureState::Off);
        put(&mut shows.devices[4], USO, shown);
        let changes = off(&older(shows), 3).changes;
        let uso = changes.iter().find(|change| &*change.feature == USO);
        assert_eq!(uso.map(|change| change.certain), doubts);
    }
}

/// Measured on 5.10: a VLAN that is computed anew switches LRO off on the bond
/// below it and on both cards.
#[test]
fn lro_goes_all_the_way_down() {
    let mut lro = stack();
    for at in 0..3 {
        put(&mut lro.devices[at], LRO, FeatureState::On);
    }
    let outcome = after(&lro, 3, &Operation::Recompute);
    let lines = ["veth1", "veth2", "bond3"].map(|name| format!("{name} {LRO}: on -> off"));
    assert_eq!(told(&outcome.changes), lines);
    // The same for cards, whose drivers follow in this.
    for at in 0..2 {
        lro.devices[at].link.as_mut().unwrap().kind = None;
    }
    assert_eq!(told(&after(&lro, 3, &Operation::Recompute).changes), lines);
    // What merely lies on a card counts; its peer does not.
    for (kind, changes) in [("macvlan", 1), ("vxlan", 1), ("veth", 0)] {
        let mut lro = Namespace::of_text(vec![device("veth", 1, None, None), device(kind, 2, Some(1), None)]);
        put(&mut lro.devices[0], LRO, FeatureState::On);
        assert_eq!(after(&lro, 0, &Operation::Recompute).changes.len(), changes, "{kind}");
    }
}

/// LRO that was held off by a VLAN that has gone comes on: it is stuck, not off.
#[test]
fn stuck_lro_may_come() {
    let mut card = Namespace::of_text(vec![device("card", 1, None, None)]);
    put(&mut card.devices[0], LRO, FeatureState::OffRequestedOn);
    put(&mut card.devices[0], RX_CSUM, FeatureState::On);
    let told = told(&after(&card, 0, &Operation::Recompute).changes);
    assert_eq!(told, [format!("card1 {LRO}: off [requested on] -> on?")]);
}

/// Measured with vmxnet3.
#[test]
fn lro_may_go_with_the_checks_of_what_is_received() {
    let mut card = Namespace::of_text(vec![device("card", 1, None, None)]);
    for name in [LRO, RX_CSUM] {
        put(&mut card.devices[0], name, FeatureState::On);
    }
    let off = after(&card, 0, &Operation::Set(&wishes(&[RX_CSUM], false)));
    let lines = [format!("card1 {LRO}: on -> off [requested on]?"), format!("card1 {RX_CSUM}: on -> off?")];
    assert_eq!(told(&off.changes), lines);
}

#[test]
fn a_card_that_offers_nothing_keeps_its_vlan_without() {
    let stuck = |offers: Option<&[&str]>| {
        let mut stuck =
            Namespace::of_text(vec![device("card", 1, None, None), device("vlan", 2, Some(1), None)]);
        let names = |offers: &[&str]| offers.iter().map(|name| Arc::from(*name)).collect();
        stuck.devices[0].vlan_features = offers.map(names);
        for name in USUAL.iter().filter(|name| ![CSUM, "highdma", "rx-gro", USO].contains(name)) {
            put(&mut stuck.devices[1], name, FeatureState::OffRequestedOn);
        }
        stuck
    };
    assert_eq!(after(&stuck(Some(&[CSUM, "highdma"])), 1, &Operation::Recompute).changes, []);
    let offered = after(&stuck(Some(&[CSUM, "highdma", SG])), 1, &Operation::Recompute).changes;
    assert_eq!(offered.len(), 6);
    assert!(offered.iter().all(|change| change.certain));
    // Not known: it may come. What is there stays.
    let unknown = after(&stuck(None), 1, &Operation::Recompute).changes;
    assert_eq!(unknown.len(), 6);
    assert!(!unknown.iter().any(|change| change.certain));
    // Not known, but another VLAN has it.
    let mut sibling = stuck(None);
    sibling.devices.push(device("vlan", 3, Some(1), None));
    assert_eq!(after(&sibling, 1, &Operation::Recompute).changes, offered);
    // Not known, but the driver offers nothing.
    let mut barren = stuck(None);
    barren.devices[0].link.as_mut().unwrap().driver = Some("gve".into());
    assert_eq!(after(&barren, 1, &Operation::Recompute).changes, []);
}

/// The copy of `vlan_features` in the outer VLAN is what counts for the inner.
#[test]
fn stale_vlan_in_a_vlan() {
    let mut stale = stack();
    stale.devices[3].vlan_features = Some(vec![Arc::from("highdma")]);
    stale.devices.push(device("vlan", 5, Some(4), None));
    let changes = after(&stale, 4, &Operation::Recompute).changes;
    assert!(told(&changes).contains(&format!("vlan5 {SG}: on -> off [requested on]")), "{changes:#?}");
    let lost = after(&stale, 4, &Operation::Recompute).namespace;
    for at in [2, 3] {
        assert_eq!(after(&lost, at, &Operation::Recompute).changes, []);
    }
    stale.devices[3].vlan_features = stale.devices[2].vlan_features.clone();
    assert_eq!(after(&stale, 4, &Operation::Recompute).changes, []);
}

/// A bond is the union of its ports.
#[test]
fn one_port_without_is_not_missed() {
    let (one, changes) = set(&stack(), 0, &[SG], false);
    assert!(changes.iter().all(|line| line.starts_with("veth1 ")), "{changes:?}");
    let (none, changes) = set(&one, 1, &[SG], false);
    let above =
        changes.iter().filter(|line| line.starts_with("bond3 ") || line.starts_with("vlan4 ")).count();
    // SG, GSO and the four TSO of both.
    assert_eq!(above, 12, "{changes:?}");
    assert_eq!(state(&none, 3, SG), FeatureState::OffRequestedOn);
    assert_eq!(set(&none, 0, &[SG], true).0, set(&stack(), 1, &[SG], false).0);
}

#[test]
fn a_wish_is_needed_on_every_layer() {
    let (off, _) = set(&stack(), 2, &[SG], false);
    let (off, _) = set(&off, 3, &[SG], false);
    assert_eq!(state(&off, 3, SG), FeatureState::Off);
    let (vlan_first, changes) = set(&off, 3, &[SG], true);
    assert_eq!(changes, [format!("vlan4 {SG}: off -> off [requested on]")]);
    assert_eq!(set(&vlan_first, 2, &[SG], true).0, stack());
    let (bond_first, changes) = set(&off, 2, &[SG], true);
    assert!(changes.iter().all(|line| line.starts_with("bond3 ")), "{changes:?}");
    assert_eq!(set(&bond_first, 3, &[SG], true).0, stack());
}

/// `tx-nocache-copy` of a bond is that of its ports, whatever is wanted; older
/// kernels always take it away.
#[test]
fn what_all_ports_have() {
    let mut all = stack();
    put(&mut all.devices[0], NOCACHE, FeatureState::On);
    let changes = after(&all, 1, &Operation::Set(&wishes(&[NOCACHE], true))).changes;
    let certain = format!("veth2 {NOCACHE}: off -> on");
    assert_eq!(told(&changes), [certain.clone(), format!("bond3 {NOCACHE}: off -> on [requested off]?")]);
    // Another bond shows which kernel it is.
    for (shown, more) in [(FeatureState::Off, false), (FeatureState::OnRequestedOff, true)] {
        let mut shows = all.clone();
        shows.devices.extend([device("bond", 7, None, None), device("veth", 8, None, Some(7))]);
        put(&mut shows.devices[4], NOCACHE, shown);
        put(&mut shows.devices[5], NOCACHE, FeatureState::On);
        let changes = after(&shows, 1, &Operation::Set(&wishes(&[NOCACHE], true))).changes;
        let bond = format!("bond3 {NOCACHE}: off -> on [requested off]");
        assert_eq!(told(&changes), [vec![certain.clone()], vec![bond; usize::from(more)]].concat());
    }
}

/// A macvlan may follow; a device with a program may do anything.
#[test]
fn what_is_not_known_is_not_certain() {
    let gso = "tx-generic-segmentation";
    let two = |kind| Namespace::of_text(vec![device("veth", 1, None, None), device(kind, 2, Some(1), None)]);
    let changes = after(&two("macvlan"), 0, &Operation::Set(&wishes(&[gso], false))).changes;
    let own = format!("veth1 {gso}: on -> off");
    assert_eq!(told(&changes), [own.clone(), format!("macvlan2 {gso}: on -> off [requested on]?")]);
    let changes = after(&two("vxlan"), 0, &Operation::Set(&wishes(&[gso], false))).changes;
    assert_eq!(told(&changes), [own]);
    let mut program = two("veth");
    program.devices[0].link.as_mut().unwrap().xdp = true;
    let changes = after(&program, 0, &Operation::Set(&wishes(&[gso], false))).changes;
    assert_eq!(told(&changes), [format!("veth1 {gso}: on -> off?")]);
}

/// Measured: with one feature of ESP and not the other the kernel tells nobody
/// of changes, and the VLAN stays as it was.
#[test]
fn a_silent_bond() {
    let mut silent = stack();
    put(&mut silent.devices[2], ESP_CSUM, FeatureState::On);
    let (stuck, changes) = set(&silent, 2, &[SG], false);
    assert_eq!((changes.len(), state(&stuck, 3, SG)), (6, FeatureState::On));
    let (_, changes) = set(&stuck, 2, &[ESP_CSUM], false);
    assert_eq!(changes.len(), 7, "{changes:?}");
}

#[test]
fn what_is_not_there_changes_nothing() {
    let whole = stack();
    assert_eq!(after(&whole, 99, &Operation::Recompute).changes, []);
    assert_eq!(set(&whole, 3, &["no-such-feature", LRO], true).1, Vec::<String>::new());
    let mut blind = stack();
    blind.devices[3].features = None;
    assert_eq!(after(&blind, 3, &Operation::Set(&wishes(&[SG], false))).changes, []);
    assert_eq!(after(&blind, 0, &Operation::Recompute).changes, []);
}

const KINDS: &[&str] = &["card", "veth", "vlan", "bond", "team", "bridge", "macvlan", "gre", "vrf"];

/// Anything, cycles included.
fn any_device(ifindex: u32) -> impl Strategy<Value = Device> {
    let word = prop::sample::select(FeatureState::ALL.to_vec());
    let words = prop::collection::vec(word, names().count());
    let other = || prop::option::of(1..8_u32);
    (prop::sample::select(KINDS.to_vec()), other(), other(), words, any::<[bool; 3]>()).prop_map(
        move |(kind, lower, master, words, [offers, knows, xdp])| {
            let mut device = device(kind, ifindex, lower, master);
            device.features = knows.then(|| names().map(Arc::from).zip(words).collect());
            device.vlan_features = device.vlan_features.filter(|_| offers);
            device.link.as_mut().unwrap().xdp = xdp;
            device
        },
    )
}

fn any_namespace() -> impl Strategy<Value = Namespace> {
    let devices: Vec<_> = (1..8).map(any_device).collect();
    devices.prop_map(Namespace::of_text)
}

/// Real layers in the state they come to by themselves, LRO apart.
fn settled() -> impl Strategy<Value = Namespace> {
    let flips = prop::collection::vec((0..7_usize, 0..USUAL.len()), 0..12);
    (flips, prop::sample::select(vec!["bond", "team", "bridge"])).prop_map(|(flips, master)| {
        let mut namespace = Namespace::of_text(vec![
            device("veth", 1, None, Some(3)),
            device("veth", 2, None, Some(3)),
            device(master, 3, None, None),
            device("vlan", 4, Some(3), None),
            device("vlan", 5, Some(4), None),
            device("vlan", 6, Some(3), Some(7)),
            device("bridge", 7, None, None),
        ]);
        for (at, feature) in flips {
            let on = state(&namespace, at, USUAL[feature]).wanted();
            namespace = after(&namespace, at, &Operation::Set(&wishes(&[USUAL[feature]], !on))).namespace;
        }
        namespace
    })
}

proptest! {
    #[test]
    fn anything_ends(namespace in any_namespace(), at in 0..9_usize, set in any::<bool>(), on in any::<bool>()) {
        let wishes = wishes(&[SG, LRO, CSUM], on);
        let operation = if set { Operation::Set(&wishes) } else { Operation::Recompute };
        let outcome = after(&namespace, at, &operation);
        // The namespace is the start with the changes made.
        for (start, end) in namespace.devices.iter().zip(&outcome.namespace.devices) {
            let changed = |feature: &str| {
                outcome.changes.iter().find(|change| change.device == start.name && &*change.feature == feature)
            };
            let (Some(before), Some(after)) = (&start.features, &end.features) else {
                prop_assert_eq!(&start.features, &end.features);
                continue;
            };
            for ((feature, before), (_, after)) in before.iter().zip(after.iter()) {
                prop_assert_eq!(changed(feature).map_or(before, |change| change.after), after);
                prop_assert!(changed(feature).is_none_or(|change| change.before == before && before != after));
            }
        }
    }

    #[test]
    fn what_was_computed_stays(namespace in settled(), at in 0..7_usize) {
        prop_assert_eq!(after(&namespace, at, &Operation::Recompute).changes, []);
    }

    #[test]
    fn wishes_undone_are_the_start(namespace in settled(), at in 0..7_usize, picks in any::<[bool; 10]>()) {
        let picked: Vec<&str> = USUAL.iter().zip(picks).filter(|(_, pick)| *pick).map(|(name, _)| *name).collect();
        let wanted = |name: &&str| (Arc::from(*name), state(&namespace, at, name).wanted());
        let start: Vec<(FeatureName, bool)> = picked.iter().map(wanted).collect();
        let turned: Vec<(FeatureName, bool)> = start.iter().map(|(name, on)| (name.clone(), !on)).collect();
        let end = after(&namespace, at, &Operation::Set(&turned)).namespace;
        prop_assert_eq!(after(&end, at, &Operation::Set(&start)).namespace, namespace);
    }
}
