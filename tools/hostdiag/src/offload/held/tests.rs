use std::collections::BTreeMap;

use hostdiag_model::offload::Source;
use hostdiag_model::{Device, FeatureName, FeatureState, Link, Namespace};

use super::seen::{SETTING_UP, Seen, Wish, may, observe, stack};
use super::*;

const SG: &str = "tx-scatter-gather";
const TSO: &str = "tx-tcp-segmentation";
/// When a device of these tests was made, in milliseconds since boot.
const MADE: u64 = 50_000;
const LATER: u64 = MADE + SETTING_UP.as_millis() as u64 + 1;

use FeatureState::{Off, OffRequestedOn, On};

fn at(boot_ms: u64) -> Now {
    Now { boot_ms, wall_ms: 1_795_478_400_000 + boot_ms }
}

/// vlan10, number 4, on eth0.
fn vlan(sg: FeatureState, tso: FeatureState) -> Namespace {
    let device = |name: &str, link: Link, states: [FeatureState; 2]| Device {
        name: name.into(),
        link: Some(link),
        features: Some(std::iter::zip([SG, TSO].map(FeatureName::from), states).collect()),
        vlan_features: None,
    };
    let card = Link { ifindex: 2, mtu: 1500, ..Link::default() };
    let kind = Some("vlan".into());
    let vlan = Link { ifindex: 4, kind, lower: Some(2), mtu: 1500, ..Link::default() };
    let devices = vec![device("eth0", card, [On, On]), device("vlan10", vlan, [sg, tso])];
    Namespace { source: Source::Netlink, ..Namespace::of_text(devices) }
}

/// Looks again and again; what was decided each time, and what may be repaired at last.
fn looks(all: &[(u64, FeatureState)]) -> (Vec<Seen>, Vec<bool>, bool) {
    let mut devices = Vec::new();
    let mut decided = Vec::new();
    for (boot_ms, sg) in all {
        let found = observe(&mut devices, &vlan(*sg, On), at(*boot_ms), *boot_ms);
        decided.push(!found.is_empty());
    }
    let last = all.last().map_or(On, |(_, sg)| *sg);
    let may = may(&devices, &vlan(last, On), 1, SG);
    (devices, decided, may)
}

#[test]
fn what_was_off_from_the_start_may_be_repaired_once_and_at_any_time() {
    assert!(looks(&[(MADE, Off)]).2);
    assert!(looks(&[(MADE, Off), (LATER, Off)]).2);
    // Switched off while it was set up, as by a script.
    assert!(looks(&[(MADE, On), (MADE + 2000, Off)]).2);
    assert!(looks(&[(MADE, On), (MADE + 2000, Off), (LATER, Off)]).2);
    let (mut devices, _, _) = looks(&[(MADE, Off)]);
    devices[0].wishes.insert(SG.into(), Wish::Repaired);
    let found = observe(&mut devices, &vlan(On, On), at(MADE + 1000), 0);
    assert_eq!(found, []);
    // Off again right after: whoever did it knew.
    let found = observe(&mut devices, &vlan(Off, On), at(MADE + 2000), 0);
    assert_eq!(found[0].features, [FeatureName::from(SG)]);
    assert!(!may(&devices, &vlan(Off, On), 1, SG));
    // And again after somebody had it on, though it is still young.
    assert_eq!(observe(&mut devices, &vlan(On, On), at(MADE + 3000), 0), []);
    let found = observe(&mut devices, &vlan(Off, On), at(MADE + 4000), 0);
    assert_eq!(found[0].features, [FeatureName::from(SG)]);
}

#[test]
fn what_goes_off_later_is_a_decision_and_said_once() {
    let (devices, decided, may) = looks(&[(MADE, On), (LATER, Off), (LATER + 1, Off)]);
    assert_eq!((decided, may), (vec![false, true, false], false));
    assert_eq!(devices[0].wishes[SG], Wish::SwitchedOff { since_ms: at(LATER).wall_ms });
    // On again ends it; the next time is another one.
    let again = looks(&[(MADE, On), (LATER, Off), (LATER + 1, On), (LATER + 2, Off)]);
    assert_eq!((again.1, again.2), (vec![false, true, false, true], false));
    // A person had it on, and then off: that was no setting up either.
    assert!(!looks(&[(MADE, Off), (LATER, On), (LATER + 1, Off)]).2);
}

#[test]
fn a_loss_below_is_no_decision() {
    let (devices, decided, may) = looks(&[(MADE, On), (LATER, OffRequestedOn)]);
    assert_eq!((decided, may), (vec![false, false], true));
    assert_eq!(devices[0].wishes, BTreeMap::new());
}

#[test]
fn what_was_in_vain_is_tried_again_when_the_stack_has_changed() {
    let (mut devices, _, _) = looks(&[(MADE, OffRequestedOn)]);
    let mut now = vlan(OffRequestedOn, On);
    devices[0].wishes.insert(SG.into(), Wish::InVain { stack: stack(&now, 1), wanted: true });
    assert_eq!(observe(&mut devices, &now, at(LATER), 0), []);
    assert!(!may(&devices, &now, 1, SG));
    now.devices[0].link.as_mut().unwrap().mtu = 9000;
    assert!(may(&devices, &now, 1, SG));
    // Switched off meanwhile, it is somebody's.
    assert_eq!(observe(&mut devices, &vlan(Off, On), at(LATER), 0).len(), 1);
    assert!(!may(&devices, &vlan(Off, On), 1, SG));
}

#[test]
fn another_device_of_the_same_name_is_another_one() {
    let (mut devices, _, _) = looks(&[(MADE, On), (LATER, Off)]);
    let mut now = vlan(Off, On);
    now.devices[1].link.as_mut().unwrap().ifindex = 9;
    assert_eq!(observe(&mut devices, &now, at(LATER + 5), LATER + 5), []);
    assert_eq!((devices.len(), devices[0].ifindex), (1, 9));
    assert!(may(&devices, &now, 1, SG));
    // A card is none of it: nobody repairs it unasked.
    assert!(!may(&devices, &now, 0, SG));
}

fn space() -> InSpace {
    let (devices, _, _) = looks(&[(MADE, On), (LATER, Off)]);
    let until_boot_ms = Some(LATER + 7_200_000);
    let hold = Hold { device: "bond0".into(), since_ms: 1, until_boot_ms, reason: Some("NET-1".into()) };
    InSpace { holds: vec![hold], devices, ..InSpace::new(Space { name: None, dev: 4, ino: 5, cookie: None }) }
}

#[test]
fn holds_and_decisions_are_held_until_they_end() {
    let space = space();
    let held = space.held(at(LATER));
    let (by_option, switched) = (&held[0], &held[1]);
    assert_eq!((by_option.device.as_str(), &by_option.feature), ("bond0", &None));
    assert_eq!(by_option.until_ms, Some(at(LATER + 7_200_000).wall_ms));
    assert_eq!((switched.device.as_str(), switched.feature.as_deref()), ("vlan10", Some(SG)));
    assert_eq!(space.held(at(LATER + 7_200_000)).len(), 1);
    // The clock of the wall is set: what is left is the same.
    let now = Now { boot_ms: LATER + 7_199_000, wall_ms: 5 };
    assert_eq!(space.held(now)[0].until_ms, Some(1005));
}

#[test]
fn released_is_what_was_held_and_may_be_repaired() {
    let mut space = space();
    assert!(space.release("vlan10") && space.release("bond0") && !space.release("vlan10"));
    assert_eq!(space.held(at(LATER)), []);
    assert!(may(&space.devices, &vlan(Off, On), 1, SG));
}

#[test]
fn a_file_is_read_as_it_was_written() {
    let state = State { version: VERSION, boot_id: "b".into(), spaces: vec![space()] };
    let bytes = serde_json::to_vec(&state).unwrap();
    assert_eq!(parse(&bytes, "x").unwrap(), state);
    for bad in [&bytes[..bytes.len() - 1], b"{\"version\":2}", b""] {
        let error = parse(bad, "x").unwrap_err();
        assert_eq!(error.downcast_ref::<Failure>().unwrap().code, Code::BadJournal);
    }
}
