//! What a plan refuses and leaves alone on hardware that no guest has: virtual
//! functions, representors, ports by the state of their bond, known faults.

use std::collections::BTreeMap;
use std::sync::Arc;

use hostdiag_model::plan::{Action, Apart, Plan, Refusal};
use hostdiag_model::{Device, FeatureState, Link, Namespace};

use super::facts::{Facts, More, Port};
use super::plan::{Permit, plan};
use crate::offload::policy::Policy;

const SG: &str = "tx-scatter-gather";

fn device(
    name: &str,
    kind: Option<&str>,
    place: (u32, Option<u32>, Option<u32>),
    sg: FeatureState,
) -> Device {
    let (ifindex, lower, master) = place;
    let port_kind = master.map(|_| "bond".to_owned());
    let link = Link {
        ifindex,
        kind: kind.map(str::to_owned),
        driver: kind.is_none().then(|| "ixgbe".to_owned()),
        lower,
        master,
        port_kind,
        mode: (kind == Some("bond")).then(|| "active-backup".to_owned()),
        up: true,
        mtu: 1500,
        ..Link::default()
    };
    Device {
        name: name.to_owned(),
        link: Some(link),
        features: Some([(Arc::from(SG), sg)].into_iter().collect()),
        vlan_features: Some([Arc::from(SG)].into_iter().collect()),
    }
}

/// eth1 and eth2, bond3 of them, vlan4 on that. eth1 and vlan4 lack SG: eth1 is
/// stuck, vlan4 does not ask for it.
fn facts(more: [More; 2]) -> Facts {
    let mut namespace = Namespace::of_text(vec![
        device("eth1", None, (1, None, Some(3)), FeatureState::OffRequestedOn),
        device("eth2", None, (2, None, Some(3)), FeatureState::On),
        device("bond3", Some("bond"), (3, None, None), FeatureState::On),
        device("vlan4", Some("vlan"), (4, Some(3), None), FeatureState::Off),
    ]);
    namespace.forwarding = Some(false);
    let more: BTreeMap<u32, More> = std::iter::zip([1, 2], more).collect();
    Facts { namespace, more, intents: Vec::new(), intents_incomplete: false, held: Vec::new() }
}

fn planned(more: [More; 2], physical: Option<&str>) -> Plan {
    let policy = Policy::default();
    plan(
        &facts(more),
        &Permit { policy: &policy, accept: &|_, _| None, physical, only: &[], unattended: None },
    )
}

fn port(active: bool, lacp_in_sync: Option<bool>) -> More {
    More { port: Some(Port { active, lacp_in_sync }), ..More::default() }
}

/// Why the stuck card is not recomputed.
fn refused(plan: &Plan) -> Option<&Refusal> {
    plan.refused.iter().find(|refused| refused.device == "eth1").map(|refused| &refused.reason)
}

fn steps(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.device.name.as_str()).collect()
}

#[test]
fn a_card_is_changed_by_its_name_alone() {
    let ports = || [port(false, None), port(true, None)];
    for physical in [None, Some("eth2")] {
        let plan = planned(ports(), physical);
        assert!(matches!(refused(&plan), Some(Refusal::ChangesPhysical { .. })), "{plan:#?}");
        assert_eq!(steps(&plan), ["vlan4"]);
    }
    let plan = planned(ports(), Some("eth1"));
    assert_eq!((refused(&plan), steps(&plan)), (None, vec!["eth1", "vlan4"]));
    assert_eq!(plan.steps[0].action, Action::Recompute);
}

#[test]
fn a_busy_card_is_not_changed_even_by_its_name() {
    let bond = || "bond3".to_owned();
    let functions = More { virtual_functions: 2, ..port(true, None) };
    let cases = [
        (port(true, None), port(false, None), Refusal::LastActivePort { master: bond() }),
        (port(true, Some(false)), port(true, Some(true)), Refusal::LacpOutOfSync { master: bond() }),
        (functions, port(true, None), Refusal::HasVirtualFunctions { count: 2 }),
    ];
    for (eth1, eth2, reason) in cases {
        let plan = planned([eth1, eth2], Some("eth1"));
        assert_eq!((refused(&plan), steps(&plan)), (Some(&reason), vec!["vlan4"]));
    }
    for (eth1, eth2) in [
        (port(true, None), port(true, None)),
        (port(true, Some(true)), port(true, Some(true))),
        (port(false, None), port(false, None)),
    ] {
        assert_eq!(steps(&planned([eth1, eth2], Some("eth1"))), ["eth1", "vlan4"]);
    }
}

#[test]
fn what_lies_on_parts_of_a_greater_whole_is_left_alone() {
    let function = More { virtual_function: true, ..More::default() };
    let representor = More { representor: true, ..More::default() };
    let device = || "eth2".to_owned();
    for (eth2, reason) in [
        (function, Apart::VirtualFunction { device: device() }),
        (representor, Apart::Representor { device: device() }),
    ] {
        let plan = planned([More::default(), eth2], None);
        assert_eq!(steps(&plan), Vec::<&str>::new());
        for name in ["eth2", "bond3", "vlan4"] {
            let left = plan.left.iter().find(|left| left.device == name).unwrap();
            assert_eq!(left.reason, reason, "{name}");
        }
    }
}

#[test]
fn what_lies_on_hardware_with_a_fault_is_left_alone() {
    let mut facts = facts([More::default(), More::default()]);
    let driver = |name: &str| Some(name.to_owned());
    facts.namespace.devices[1].link.as_mut().unwrap().driver = driver("r8169");
    let policy = Policy::default();
    let permit =
        Permit { policy: &policy, accept: &|_, _| None, physical: None, only: &[], unattended: None };
    let faulty = plan(&facts, &permit);
    assert_eq!(steps(&faulty), Vec::<&str>::new());
    let left = faulty.left.iter().find(|left| left.device == "vlan4").unwrap();
    assert!(matches!(&left.reason, Apart::Quirk { driver, .. } if driver == "r8169"), "{left:#?}");
    facts.namespace.devices[1].link.as_mut().unwrap().driver = driver("ixgbe");
    assert_eq!(steps(&plan(&facts, &permit)), ["vlan4"]);
}
