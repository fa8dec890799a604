//! Ways back from random states.

use hostdiag_model::offload::Source;
use hostdiag_model::plan::Action;
use hostdiag_model::{Device, FeatureState, Link, Namespace};
use proptest::prelude::*;

use super::*;
use crate::offload::fix::journal::{JournalStep, Space, VERSION};

const SG: &str = "tx-scatter-gather";
const LRO: &str = "rx-lro";

fn device(name: &str, link: Link, features: &[(&str, FeatureState)]) -> Device {
    let features = features.iter().map(|(name, state)| ((*name).into(), *state)).collect();
    Device { name: name.into(), link: Some(link), features: Some(features), vlan_features: None }
}

fn facts(devices: Vec<Device>) -> Facts {
    Facts {
        namespace: Namespace { source: Source::Netlink, ..Namespace::of_text(devices) },
        more: BTreeMap::new(),
        intents: Vec::new(),
        intents_incomplete: false,
        held: Vec::new(),
    }
}

fn link(ifindex: u32, kind: Option<&str>, lower: Option<u32>, master: Option<u32>) -> Link {
    Link { ifindex, kind: kind.map(str::to_owned), lower, master, ..Link::default() }
}

/// VLAN on a bond of two cards.
fn stack(lro: [FeatureState; 4], sg: FeatureState) -> Facts {
    let [vlan, bond, card0, card1] = lro;
    facts(vec![
        device("eth0", link(2, None, None, Some(4)), &[(LRO, card0)]),
        device("eth1", link(3, None, None, Some(4)), &[(LRO, card1)]),
        device("bond0", link(4, Some("bond"), None, None), &[(LRO, bond)]),
        device("vlan10", link(5, Some("vlan"), Some(4), None), &[(LRO, vlan), (SG, sg)]),
    ])
}

fn identity(now: &Facts, name: &str) -> Identity {
    let at = now.namespace.devices.iter().position(|device| device.name == name).unwrap();
    now.identity(at).unwrap()
}

fn wish(device: Identity, feature: &str, after: bool) -> Wish {
    Wish { device, feature: feature.into(), before: !after, after }
}

fn journal(steps: Vec<(Action, State, Vec<Wish>)>) -> Journal {
    let steps = steps.into_iter().map(|(action, state, wishes)| {
        let device = wishes[0].device.clone();
        JournalStep { device, action, state, wishes }
    });
    Journal {
        version: VERSION,
        id: "1a2b3c4d".into(),
        boot_id: String::new(),
        netns: Space { name: None, dev: 0, ino: 0, cookie: None },
        started_ms: 0,
        command: Vec::new(),
        reason: None,
        steps: steps.collect(),
    }
}

fn set() -> Action {
    Action::Set { features: vec![SG.into()] }
}

/// What is written where, in its order.
fn writes(way: &WayBack) -> Vec<(usize, &str, &str, bool)> {
    let write = |back: &'_ Back| back.write.is_some();
    let wishes = way.wishes.iter().filter(|back| write(back));
    wishes.map(|back| (back.step, &*back.wish.device, &*back.wish.feature, back.wish.wanted)).collect()
}

fn conflict(now: &Facts, wish: &Wish) -> String {
    let way = way_back(&journal(vec![(set(), State::Kept, vec![wish.clone()])]), Scope::Run, now);
    let [Back { write: None, wish: UndoneWish { result: UndoResult::Conflict { why }, .. }, .. }] =
        &way.wishes[..]
    else {
        panic!("no conflict: {way:?}")
    };
    why.clone()
}

#[test]
fn the_last_step_comes_first_and_in_it_the_uppermost_device() {
    use FeatureState::{Off, On};
    let now = stack([Off; 4], On);
    let of = |name| identity(&now, name);
    let lro = |name| wish(of(name), LRO, false);
    let journal = journal(vec![
        (Action::Recompute, State::Kept, vec![lro("eth0"), lro("bond0"), lro("eth1")]),
        (set(), State::Begun, vec![wish(of("vlan10"), SG, true)]),
        (set(), State::Planned, vec![lro("vlan10")]),
        (set(), State::Undone, vec![lro("vlan10")]),
    ]);
    let way = way_back(&journal, Scope::Run, &now);
    let last = (1, "vlan10", SG, false);
    let first = [(0, "bond0", LRO, true), (0, "eth0", LRO, true), (0, "eth1", LRO, true)];
    assert_eq!(writes(&way), [&[last][..], &first].concat());
    assert!(way.wishes.iter().all(|back| back.wish.result == UndoResult::Restored));
    assert_eq!(way.recomputed, ["eth0"]);
    let way = way_back(&journal, Scope::Begun, &now);
    assert_eq!((writes(&way), way.recomputed.len()), (vec![last], 0));
}

#[test]
fn what_is_as_before_is_left_so() {
    use FeatureState::{Off, OffRequestedOn};
    for (state, written) in [(Off, 0), (OffRequestedOn, 1)] {
        let now = stack([Off; 4], state);
        let journal = journal(vec![(set(), State::Begun, vec![wish(identity(&now, "vlan10"), SG, true)])]);
        let way = way_back(&journal, Scope::Run, &now);
        assert_eq!(writes(&way).len(), written, "{state}");
        assert_eq!(way.wishes[0].wish.result == UndoResult::AlreadySo, written == 0, "{state}");
    }
}

/// A step set it, and a later one of the same run took it away again.
#[test]
fn a_wish_that_changed_twice_goes_back_through_both() {
    let now = stack([FeatureState::Off; 4], FeatureState::Off);
    let of = |after| vec![wish(identity(&now, "vlan10"), SG, after)];
    let journal = journal(vec![(set(), State::Kept, of(true)), (set(), State::Kept, of(false))]);
    let way = way_back(&journal, Scope::Run, &now);
    assert_eq!(writes(&way), [(1, "vlan10", SG, true), (0, "vlan10", SG, false)]);
}

#[test]
fn a_renamed_device_is_the_same_and_told() {
    let now = stack([FeatureState::Off; 4], FeatureState::On);
    let then = Identity { name: "vlan77".into(), ..identity(&now, "vlan10") };
    let steps = vec![(Action::Recompute, State::Kept, vec![wish(then, SG, true)])];
    let way = way_back(&journal(steps), Scope::Run, &now);
    assert_eq!(way.wishes[0].write, Some(identity(&now, "vlan10")));
    assert_eq!(way.wishes[0].wish.device, "vlan10");
    assert_eq!(way.wishes[0].wish.was.as_deref(), Some("vlan77"));
    assert_eq!(way.recomputed, ["vlan10"]);
}

#[test]
fn what_is_not_the_same_any_more_is_a_conflict() {
    let now = stack([FeatureState::OffFixed; 4], FeatureState::On);
    let vlan = identity(&now, "vlan10");
    let of = |device: Identity| conflict(&now, &wish(device, SG, true));
    assert_eq!(of(Identity { ifindex: 9, ..vlan.clone() }), "the device was removed and created again");
    assert_eq!(of(Identity { ifindex: 9, name: "vlan9".into(), ..vlan.clone() }), "the device has gone");
    let another = "another device, vlan10, has its place (index 5)";
    assert_eq!(of(Identity { kind: Some("bond".into()), ..vlan.clone() }), another);
    assert_eq!(of(Identity { permanent_address: Some("02:00".into()), ..vlan.clone() }), another);
    let fixed = conflict(&now, &wish(vlan.clone(), LRO, true));
    assert_eq!(fixed, "it cannot be changed any more: off [fixed]");
    let unknown = conflict(&now, &wish(vlan.clone(), "rx-gro", true));
    assert_eq!(unknown, "the kernel no longer lists the feature for it");
    let mut unread = now.clone();
    unread.namespace.devices[3].features = None;
    assert_eq!(conflict(&unread, &wish(vlan, SG, true)), "its features could not be read");
}

const FEATURES: [&str; 3] = [SG, LRO, "rx-gro"];

/// Four devices, each missing, another, renamed or the same; any states.
fn worlds() -> impl Strategy<Value = Facts> {
    let state = prop::option::weighted(0.9, prop::sample::select(FeatureState::ALL.to_vec()));
    let one = (0..8_u8, prop::array::uniform3(state));
    prop::array::uniform4(one).prop_map(|all| {
        let devices = all.into_iter().zip(1..).filter(|((fate, _), _)| *fate != 0);
        let devices = devices.map(|((fate, states), ifindex)| {
            let kind = if fate == 1 { "bond" } else { "vlan" };
            let name = if fate == 2 { format!("new{ifindex}") } else { format!("vlan{ifindex}") };
            let known = FEATURES.into_iter().zip(states);
            let known: Vec<_> = known.filter_map(|(name, state)| Some((name, state?))).collect();
            device(&name, link(ifindex, Some(kind), None, None), &known)
        });
        facts(devices.collect())
    })
}

fn runs() -> impl Strategy<Value = Journal> {
    let state = prop::sample::select(vec![State::Planned, State::Begun, State::Kept, State::Undone]);
    let one = (1..=4_u32, prop::sample::select(FEATURES.to_vec()), any::<bool>(), state);
    prop::collection::vec(one, 0..12).prop_map(|all| {
        let steps = all.into_iter().map(|(ifindex, feature, after, state)| {
            let (name, kind) = (format!("vlan{ifindex}"), Some("vlan".to_owned()));
            let device = Identity { name, ifindex, kind, permanent_address: None };
            (set(), state, vec![wish(device, feature, after)])
        });
        journal(steps.collect())
    })
}

/// The wish of a feature in a world, where it has one.
fn wanted(world: &Facts, ifindex: u32, feature: &str) -> Option<bool> {
    let of = |device: &&Device| device.link.as_ref().is_some_and(|link| link.ifindex == ifindex);
    let state = world.namespace.devices.iter().find(of)?.features.as_ref()?.get(feature)?;
    state.changeable().then(|| state.wanted())
}

fn write(world: &mut Facts, ifindex: u32, feature: &str, wanted: bool) {
    let of = |device: &&mut Device| device.link.as_ref().is_some_and(|link| link.ifindex == ifindex);
    let device = world.namespace.devices.iter_mut().find(of).unwrap();
    let state = if wanted { FeatureState::OffRequestedOn } else { FeatureState::OnRequestedOff };
    let old = device.features.take().unwrap();
    let new = old.iter().map(|(name, old)| (name.clone(), if &**name == feature { state } else { old }));
    device.features = Some(new.collect());
}

proptest! {
    /// Written is only what is still as the run left it, on the same device.
    #[test]
    fn only_what_the_run_left_is_written(run in runs(), mut world in worlds(), all in any::<bool>()) {
        let scope = if all { Scope::Run } else { Scope::Begun };
        let way = way_back(&run, scope, &world);
        let expected = run.steps.iter().filter(|step| scope.takes(step.state)).count();
        prop_assert_eq!(way.wishes.len(), expected);
        for back in &way.wishes {
            prop_assert!(scope.takes(run.steps[back.step].state));
            let then = &run.steps[back.step].wishes[0];
            let Some(now) = &back.write else { continue };
            prop_assert_eq!((now.ifindex, &now.kind), (then.device.ifindex, &then.device.kind));
            prop_assert_eq!(wanted(&world, now.ifindex, &then.feature), Some(then.after));
            write(&mut world, now.ifindex, &then.feature, then.before);
        }
    }

    /// Wishes written in whatever order and taken back are as at the start, also
    /// when the undo was killed on its way: behind a write, before it was marked.
    #[test]
    fn undo_after_fix_is_the_start(
        start in worlds(),
        bits in prop::collection::vec((1..=4_u32, 0..3_usize), 0..12),
        killed_after in 0..12_usize,
    ) {
        let mut world = start.clone();
        let mut steps = Vec::new();
        for (ifindex, feature) in bits {
            let Some(before) = wanted(&world, ifindex, FEATURES[feature]) else { continue };
            write(&mut world, ifindex, FEATURES[feature], !before);
            let device = Present::new(&world).by_index[&ifindex].identity.clone();
            steps.push((set(), State::Kept, vec![wish(device, FEATURES[feature], !before)]));
        }
        let mut run = journal(steps);
        for (done, back) in way_back(&run, Scope::Run, &world).wishes.iter().enumerate() {
            if done > 0 && done == killed_after {
                break;
            }
            prop_assert_eq!(&back.wish.result, &UndoResult::Restored);
            write(&mut world, back.write.as_ref().unwrap().ifindex, &back.wish.feature, back.wish.wanted);
            if done + 1 != killed_after {
                run.steps[back.step].state = State::Undone;
            }
        }
        for back in way_back(&run, Scope::Run, &world).wishes {
            if let Some(device) = back.write {
                write(&mut world, device.ifindex, &back.wish.feature, back.wish.wanted);
            }
        }
        for (ifindex, feature) in (1..=4).flat_map(|ifindex| FEATURES.map(|feature| (ifindex, feature))) {
            prop_assert_eq!(wanted(&world, ifindex, feature), wanted(&start, ifindex, feature));
        }
    }
}
