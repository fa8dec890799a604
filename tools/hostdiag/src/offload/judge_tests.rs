//! Verdicts on hosts that no guest can be: real cards, configuration, policy.

use std::sync::Arc;

use hostdiag_model::audit::{Accepted, Entry, Reason, Repair, Verdict};
use hostdiag_model::offload::{Held, Intent, Source};
use hostdiag_model::{Device, FeatureState, Features, Link, Namespace};

use super::{Searched, namespace};
use crate::offload::watch::{CSUM, CSUM4, CSUM6, SG};

const TSO: &str = "tx-tcp-segmentation";
const NAMES: [&str; 7] = [SG, CSUM4, CSUM, CSUM6, TSO, "tx-tcp6-segmentation", "tx-generic-segmentation"];

/// A device with everything on but the given; checksums are generic ones.
fn device(ifindex: u32, name: &str, kind: Option<&str>, not_on: &[(&str, FeatureState)]) -> Device {
    let state = |name: &str| {
        let given = not_on.iter().find(|(given, _)| *given == name).map(|(_, state)| *state);
        let fixed = [CSUM4, CSUM6].contains(&name);
        given.unwrap_or(if fixed { FeatureState::OffFixed } else { FeatureState::On })
    };
    let features: Features = NAMES.iter().map(|name| (Arc::from(*name), state(name))).collect();
    let link = Link { ifindex, kind: kind.map(str::to_owned), up: true, mtu: 1500, ..Link::default() };
    Device { name: name.to_owned(), link: Some(link), features: Some(features), vlan_features: None }
}

/// A card, a bond on it and a VLAN on that, with what each lacks.
struct Host {
    devices: Vec<Device>,
    intents: Vec<Intent>,
    accepted: Option<(&'static str, &'static str)>,
    held: Vec<Held>,
}

impl Host {
    fn new(
        card: &[(&str, FeatureState)],
        bond: &[(&str, FeatureState)],
        vlan: &[(&str, FeatureState)],
    ) -> Self {
        let mut devices = vec![
            device(2, "eth2", None, card),
            device(3, "bond0", Some("bond"), bond),
            device(4, "vlan10", Some("vlan"), vlan),
        ];
        Self::link(&mut devices[0]).master = Some(3);
        Self::link(&mut devices[2]).lower = Some(3);
        Host { devices, intents: Vec::new(), accepted: None, held: Vec::new() }
    }

    fn link(device: &mut Device) -> &mut Link {
        device.link.as_mut().unwrap()
    }

    fn driver(mut self, driver: &str) -> Self {
        Self::link(&mut self.devices[0]).driver = Some(driver.into());
        self
    }

    fn asks(mut self, device: &str, feature: &str, on: bool) -> Self {
        self.intents.push(Intent {
            device: device.into(),
            features: vec![feature.into()],
            on,
            file: "/etc/x".into(),
            line: 7,
            text: "x".into(),
            manager: "ifupdown".into(),
        });
        self
    }

    fn judged(self) -> Vec<Entry> {
        let there = Namespace {
            name: None,
            path: None,
            source: Source::Netlink,
            forwarding: None,
            devices: self.devices,
            problems: Vec::new(),
        };
        let accept = |device: &str, feature: &str| {
            let rule = self.accepted.filter(|rule| *rule == (device, feature))?;
            Some(Accepted { reason: rule.0.to_owned(), until: None })
        };
        namespace(&there, Some(Searched { lines: &self.intents, complete: true, held: &self.held }), &accept)
    }
}

fn lines(entries: &[Entry]) -> Vec<String> {
    let mark = |entry: &Entry| if entry.finding { "!" } else { "" };
    entries.iter().map(|e| format!("{} {} {}{}", e.device, e.feature, e.verdict.as_str(), mark(e))).collect()
}

#[test]
fn what_follows_from_another_loss_is_folded_in() {
    let off = FeatureState::Off;
    let follows = FeatureState::OffRequestedOn;
    let vlan = [(SG, off), (CSUM, off), (TSO, follows), ("tx-tcp6-segmentation", follows)];
    let entries = Host::new(&[], &[], &vlan).judged();
    assert_eq!(lines(&entries), [format!("vlan10 {SG} lost-here!"), format!("vlan10 {CSUM} lost-here!")]);
    assert_eq!(entries[0].takes_down.len(), 2);
    assert_eq!(entries[0].on_in, ["bond0", "eth2"]);
}

#[test]
fn a_wish_off_is_a_loss_of_its_own_even_where_its_need_is_lost() {
    let entries = Host::new(&[], &[], &[(SG, FeatureState::Off), (TSO, FeatureState::Off)]).judged();
    assert_eq!(lines(&entries), [format!("vlan10 {SG} lost-here!"), format!("vlan10 {TSO} lost-here!")]);
}

#[test]
fn configuration_makes_a_note_here_and_above() {
    let bond = [(SG, FeatureState::Off)];
    let vlan = [(SG, FeatureState::OffRequestedOn)];
    let entries = Host::new(&[], &bond, &vlan).asks("bond0", SG, false).judged();
    assert_eq!(
        lines(&entries),
        [format!("bond0 {SG} off-on-purpose"), format!("vlan10 {SG} off-on-purpose")]
    );
    assert_eq!(entries[1].lost_at, ["bond0"]);
    assert_eq!((entries[1].asked_by[0].line, &entries[1].repair), (7, &Repair::None));
    // A line that asks for it to be on, or of another device, explains nothing.
    for (device, on) in [("bond0", true), ("vlan10", false)] {
        let entries = Host::new(&[], &bond, &vlan).asks(device, SG, on).judged();
        assert_eq!(entries[0].verdict, Verdict::LostHere);
    }
}

#[test]
fn what_is_held_is_a_note_here_and_above() {
    let of = |feature: Option<&str>, state: FeatureState| {
        let (device, feature) = ("bond0".to_owned(), feature.map(Arc::from));
        let held = vec![Held { device, feature, since_ms: 7, until_ms: Some(9), reason: None }];
        let host = Host::new(&[], &[(SG, state)], &[(SG, FeatureState::OffRequestedOn)]);
        Host { held, ..host }.judged()
    };
    let entries = of(Some(SG), FeatureState::Off);
    assert_eq!(lines(&entries), [format!("bond0 {SG} held"), format!("vlan10 {SG} held")]);
    assert_eq!(entries[0].reason, Reason::SwitchedOff { since_ms: 7 });
    assert_eq!(entries[1].lost_at, ["bond0"]);
    // Another feature than the one that was switched off, and one that is asked for again.
    assert_eq!(of(Some(TSO), FeatureState::Off)[0].verdict, Verdict::LostHere);
    assert_eq!(of(Some(SG), FeatureState::OffRequestedOn)[0].verdict, Verdict::Stuck);
    // A device as a whole, whatever it lacks.
    for state in [FeatureState::Off, FeatureState::OffRequestedOn] {
        let entry = &of(None, state)[0];
        assert_eq!((entry.verdict, entry.finding), (Verdict::Held, false));
        assert_eq!(entry.reason, Reason::Held { until_ms: Some(9), reason: None });
    }
}

#[test]
fn an_accepted_loss_is_accepted_above_too() {
    let host = Host::new(&[], &[(SG, FeatureState::Off)], &[(SG, FeatureState::OffRequestedOn)]);
    let entries = Host { accepted: Some(("bond0", SG)), ..host }.judged();
    assert_eq!(lines(&entries), [format!("bond0 {SG} lost-here"), format!("vlan10 {SG} lost-below")]);
    assert!(entries.iter().all(|entry| entry.accepted.is_some()));
}

#[test]
fn a_fault_of_the_card_excuses_the_devices_on_it() {
    let card = [(TSO, FeatureState::Off)];
    let entries = Host::new(&card, &[], &[]).driver("e1000e").judged();
    assert_eq!(lines(&entries), [format!("eth2 {TSO} hardware-quirk")]);
    // The driver itself drops the wish, at 10 and 100 Mbit/s.
    let card = [(TSO, FeatureState::OffRequestedOn)];
    let entries = Host::new(&card, &[], &[]).driver("e1000e").judged();
    assert_eq!(lines(&entries), [format!("eth2 {TSO} hardware-quirk")]);
    // But a card that has it on is no excuse for a VLAN that has not.
    let entries = Host::new(&[], &[], &[(CSUM, FeatureState::Off)]).driver("r8169").judged();
    assert_eq!(lines(&entries), [format!("vlan10 {CSUM} lost-here!")]);
}

#[test]
fn a_driver_that_refuses_is_a_limit_unless_its_twin_does_not() {
    let refused = [(SG, FeatureState::OffRequestedOn)];
    let mut host = Host::new(&refused, &[], &[]).driver("ixgbe");
    Host::link(&mut host.devices[0]).mtu = 9000;
    let entries = host.judged();
    assert_eq!(lines(&entries), [format!("eth2 {SG} driver-limit")]);
    assert_eq!(entries[0].reason, Reason::DriverRefuses { mtu: Some(9000) });
    let mut host = Host::new(&refused, &[], &[]).driver("ixgbe");
    let mut twin = device(5, "eth3", None, &[]);
    Host::link(&mut twin).driver = Some("ixgbe".into());
    host.devices.push(twin);
    assert_eq!(lines(&host.judged()), [format!("eth2 {SG} stuck-or-limit!")]);
}

#[test]
fn nothing_is_said_of_devices_whose_features_are_not_known() {
    // The text of one device, with the links of all.
    let with = |state| {
        let mut host = Host::new(&[], &[], &[(SG, state)]);
        host.devices.iter_mut().take(2).for_each(|device| device.features = None);
        host.judged()
    };
    let entries = with(FeatureState::Off);
    assert_eq!(lines(&entries), [format!("vlan10 {SG} off-by-wish!")]);
    assert_eq!((&entries[0].reason, &entries[0].repair), (&Reason::LayersUnknown, &Repair::ByHand));
    let entries = with(FeatureState::OffRequestedOn);
    assert_eq!(entries[0].reason, Reason::BelowUnknown);
}

#[test]
fn a_parent_in_another_namespace_is_no_finding() {
    let mut host = Host::new(&[], &[], &[(SG, FeatureState::OffRequestedOn)]);
    host.devices.drain(..2);
    Host::link(&mut host.devices[0]).lower_netnsid = Some(0);
    let entries = host.judged();
    assert_eq!(lines(&entries), [format!("vlan10 {SG} stuck-or-limit")]);
    assert_eq!(entries[0].reason, Reason::BelowInAnotherNetns);
}

#[test]
fn software_below_that_cannot_is_no_finding() {
    let requested = [(SG, FeatureState::OffRequestedOn)];
    let mut host = Host::new(&[], &[], &requested);
    host.devices[1] = device(3, "bat0", Some("batadv"), &[(SG, FeatureState::OffFixed)]);
    assert_eq!(lines(&host.judged()), [format!("vlan10 {SG} fixed")]);
}

#[test]
fn the_last_line_of_a_file_counts() {
    let mut host =
        Host::new(&[], &[], &[(SG, FeatureState::Off)]).asks("vlan10", SG, false).asks("vlan10", SG, true);
    host.intents[1].line = 9;
    assert_eq!(lines(&host.judged()), [format!("vlan10 {SG} lost-here!")]);
}

#[test]
fn a_card_that_cannot_is_no_loss_anywhere() {
    let requested = [(SG, FeatureState::OffRequestedOn)];
    let entries = Host::new(&[(SG, FeatureState::OffFixed)], &requested, &requested).judged();
    let expected = ["eth2", "bond0", "vlan10"].map(|name| format!("{name} {SG} fixed"));
    assert_eq!(lines(&entries), expected);
    assert_eq!(entries[2].lost_at, ["eth2"]);
}

#[test]
fn a_driver_is_known_to_refuse_at_a_large_mtu() {
    let mut host = Host::new(&[(CSUM, FeatureState::OffRequestedOn)], &[], &[]).driver("mvneta");
    Host::link(&mut host.devices[0]).mtu = 9000;
    let entries = host.judged();
    assert_eq!(lines(&entries), [format!("eth2 {CSUM} driver-limit")]);
    assert_eq!(entries[0].reason, Reason::Mtu { device: "eth2".into(), mtu: 9000 });
}

#[test]
fn checksums_of_the_old_kind_below_count_as_generic_ones() {
    // A card with IPv4 checksums alone, as 8139cp has.
    let card = [(CSUM, FeatureState::OffFixed), (CSUM4, FeatureState::On)];
    assert_eq!(lines(&Host::new(&card, &[], &[]).judged()), Vec::<String>::new());
    let entries = Host::new(&card, &[], &[(CSUM, FeatureState::Off)]).judged();
    assert_eq!(lines(&entries), [format!("vlan10 {CSUM} lost-here!")]);
    // Switched off there, the bond has none to pass on.
    let card = [(CSUM, FeatureState::OffFixed), (CSUM4, FeatureState::Off)];
    let requested = [(CSUM, FeatureState::OffRequestedOn)];
    let entries = Host::new(&card, &requested, &requested).judged();
    let expected = [
        format!("eth2 {CSUM4} off-by-wish"),
        format!("bond0 {CSUM} lost-below!"),
        format!("vlan10 {CSUM} lost-below!"),
    ];
    assert_eq!(lines(&entries), expected);
}

#[test]
fn stuck_needs_an_offer() {
    let stuck = [(SG, FeatureState::OffRequestedOn)];
    let verdict = |vlan_features: Option<&[&str]>| {
        let mut host = Host::new(&[], &[], &stuck).driver("ixgbe");
        host.devices[1].vlan_features =
            vlan_features.map(|names| names.iter().map(|name| Arc::from(*name)).collect());
        host.judged()[0].verdict
    };
    assert_eq!(verdict(Some(&[SG])), Verdict::Stuck);
    assert_eq!(verdict(Some(&[CSUM])), Verdict::DriverLimit);
    assert_eq!(verdict(None), Verdict::StuckOrLimit);
    // A sibling that has it proves the offer without BPF.
    let mut host = Host::new(&[], &[], &stuck);
    let mut sibling = device(5, "vlan11", Some("vlan"), &[]);
    Host::link(&mut sibling).lower = Some(3);
    host.devices.push(sibling);
    assert_eq!(lines(&host.judged()), [format!("vlan10 {SG} stuck!")]);
}

/// Two VLANs on each bond, both of them ports of the next: every layer doubles
/// the ways down. Without what was judged before this would not end.
#[test]
fn a_ladder_of_bonds_is_judged_once() {
    let requested = [(SG, FeatureState::OffRequestedOn)];
    let mut devices = vec![device(1, "bond0", Some("bond"), &[(SG, FeatureState::Off)])];
    for layer in 0..60_u32 {
        let (below, above) = (1 + layer * 3, 4 + layer * 3);
        for index in [below + 1, below + 2] {
            let mut vlan = device(index, &format!("vlan{index}"), Some("vlan"), &requested);
            let link = Host::link(&mut vlan);
            (link.lower, link.master) = (Some(below), Some(above));
            devices.push(vlan);
        }
        devices.push(device(above, &format!("bond{}", layer + 1), Some("bond"), &requested));
    }
    let entries = Host { devices, intents: Vec::new(), accepted: None, held: Vec::new() }.judged();
    assert_eq!(entries.len(), 60 * 3 + 1);
    assert!(entries.iter().all(|entry| entry.on_in.len() <= 32 && entry.lost_at.len() <= 32));
}

#[test]
fn devices_below_themselves_end() {
    let requested = [(SG, FeatureState::OffRequestedOn)];
    let mut host = Host::new(&[], &requested, &requested);
    Host::link(&mut host.devices[2]).master = Some(3);
    assert_eq!(
        host.judged().iter().map(|entry| entry.device.as_str()).collect::<Vec<_>>(),
        ["bond0", "vlan10"]
    );
}
