//! Plans for random hosts, carried out on the model of the kernel: nothing is
//! touched that is not on the allow list, what happens is what was planned, and
//! the way back leads to the start.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::offload::Source;
use hostdiag_model::plan::{Action, Done, Identity, Plan, Refusal, Undone};
use hostdiag_model::{Device, FeatureName, FeatureState, Features, Link, Namespace};
use proptest::prelude::*;

use super::apply::{Kernel, Run};
use super::back;
use super::compare;
use super::facts::{Facts, More};
use super::journal::folder::Folder;
use super::journal::lock::Lock;
use super::journal::{self, Journal, Space};
use super::plan::{Permit, plan};
use super::scratch::Scratch;
use super::simulate::{self, Operation};
use super::undo::Scope;
use super::vitals::{Tcp, Vitals};
use crate::offload::policy::Policy;

/// Features, and whether hardware, software devices and VLANs can change them.
const NAMES: [&str; 16] = [
    "tx-scatter-gather",
    "tx-checksum-ipv4",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv6",
    "highdma",
    "tx-scatter-gather-fraglist",
    "tx-generic-segmentation",
    "rx-gro",
    "rx-lro",
    "tx-tcp-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-tcp6-segmentation",
    "tx-udp_tnl-segmentation",
    "tx-udp-segmentation",
    "tx-nocache-copy",
];

/// Features that a default plan may switch on, by the words of the manual.
const MAY_COME_ON: [&str; 14] = [
    "tx-scatter-gather",
    "tx-checksum-ip-generic",
    "tx-checksum-ipv4",
    "tx-checksum-ipv6",
    "tx-tcp-segmentation",
    "tx-tcp6-segmentation",
    "tx-tcp-ecn-segmentation",
    "tx-tcp-accecn-segmentation",
    "tx-tcp-mangleid-segmentation",
    "tx-generic-segmentation",
    "tx-udp-segmentation",
    "rx-gro",
    "rx-checksum",
    "highdma",
];

/// Kind, and which of the devices before it lies below (or is its master).
#[derive(Clone, Debug)]
struct Part {
    kind: Option<&'static str>,
    below: prop::sample::Index,
    /// Bits of the features: changeable, wanted.
    bits: (u16, u16),
    offers: Option<u16>,
    name: &'static str,
    special: u8,
}

fn part() -> impl Strategy<Value = Part> {
    let kinds = prop_oneof![
        3 => Just(None),
        5 => Just(Some("vlan")),
        3 => Just(Some("bond")),
        1 => Just(Some("team")),
        1 => Just(Some("bridge")),
        2 => Just(Some("veth")),
        1 => Just(Some("tun")),
        1 => Just(Some("dummy")),
        1 => Just(Some("vxlan")),
        1 => Just(Some("macvlan")),
    ];
    let names = prop_oneof![8 => Just("dev"), 1 => Just("cali"), 1 => Just("docker")];
    let offers = prop_oneof![4 => any::<u16>().prop_map(Some), 1 => Just(None)];
    // Most hosts have most features.
    let mostly = || prop_oneof![2 => Just(u16::MAX), 1 => any::<u16>(), 2 => (any::<u16>(), any::<u16>()).prop_map(|(a, b)| a | b)];
    let bits = (mostly(), mostly());
    (kinds, any::<prop::sample::Index>(), bits, offers, names, 0_u8..40).prop_map(
        |(kind, below, bits, offers, name, special)| Part { kind, below, bits, offers, name, special },
    )
}

/// A namespace built of parts, every device as the kernel would compute it.
fn facts(parts: &[Part]) -> Facts {
    let names: Vec<FeatureName> = NAMES.iter().map(|name| Arc::from(*name)).collect();
    let mut devices: Vec<Device> = Vec::new();
    let mut more: BTreeMap<u32, More> = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        let ifindex = at as u32 + 1;
        let has = |bits: u16, bit: usize| bits >> bit & 1 == 1;
        let features: Features = names
            .iter()
            .enumerate()
            .map(|(bit, name)| {
                let wanted = has(part.bits.1, bit);
                (name.clone(), FeatureState::from_bits(has(part.bits.0, bit), wanted, wanted))
            })
            .collect();
        let offered = part.offers.map(|bits| {
            names
                .iter()
                .enumerate()
                .filter(|(bit, _)| has(bits, *bit))
                .map(|(_, name)| name.clone())
                .collect()
        });
        let below = (at > 0).then(|| part.below.index(at));
        let mut link = Link {
            ifindex,
            kind: part.kind.map(str::to_owned),
            driver: part.kind.is_none().then(|| "ixgbe".to_owned()),
            up: true,
            mtu: 1500,
            xdp: part.special == 1,
            ..Link::default()
        };
        if matches!(part.kind, Some("vlan" | "macvlan")) {
            link.lower = below.map(|below| below as u32 + 1);
            link.lower_netnsid = (part.special == 2).then_some(7);
        }
        // A master takes some of what was there before it as its ports.
        if matches!(part.kind, Some("bond" | "team" | "bridge")) {
            for (port, device) in devices.iter_mut().enumerate() {
                let Some(port_link) = &mut device.link else { continue };
                if port_link.master.is_none() && part.bits.1.rotate_left(port as u32) & 3 == 3 {
                    port_link.master = Some(ifindex);
                    port_link.port_kind = part.kind.map(str::to_owned);
                }
            }
        }
        if part.special == 3 {
            more.insert(ifindex, More { af_xdp: true, ..More::default() });
        }
        if part.special == 4 {
            more.insert(ifindex, More { virtual_function: true, ..More::default() });
        }
        let name = format!("{}{at}", part.name);
        devices.push(Device { name, link: Some(link), features: Some(features), vlan_features: offered });
    }
    let namespace = Namespace {
        name: None,
        path: None,
        source: Source::Netlink,
        forwarding: Some(false),
        devices,
        problems: Vec::new(),
    };
    let namespace = computed(namespace);
    Facts { namespace, more, intents: Vec::new(), intents_incomplete: false, held: Vec::new() }
}

/// Every device computed until nothing changes any more.
fn computed(mut namespace: Namespace) -> Namespace {
    for _ in 0..8 {
        let before = namespace.clone();
        for at in 0..namespace.devices.len() {
            namespace = simulate::after(&namespace, at, &Operation::Recompute).namespace;
        }
        if namespace == before {
            break;
        }
    }
    namespace
}

/// The model as the kernel under repair.
struct Model {
    namespace: Namespace,
    /// Calls that changed something.
    touched: BTreeSet<String>,
    /// The call that fails.
    fails: Option<usize>,
    /// The pause that a signal ends.
    signal: Option<usize>,
    /// When TCP begins to lose what it sends.
    collapse: Option<Duration>,
    calls: usize,
    pauses: usize,
    clock: Duration,
    /// When something was changed first.
    began: Option<Duration>,
}

impl Model {
    fn new(namespace: Namespace) -> Self {
        let (touched, clock) = (BTreeSet::new(), Duration::ZERO);
        let (fails, signal, collapse, began) = (None, None, None, None);
        Self { namespace, touched, fails, signal, collapse, calls: 0, pauses: 0, clock, began }
    }

    fn run(&mut self, device: &Identity, operation: &Operation<'_>) -> io::Result<()> {
        self.calls += 1;
        self.began.get_or_insert(self.clock);
        if self.fails == Some(self.calls) {
            return Err(io::Error::from(io::ErrorKind::Unsupported));
        }
        let index = |device: &Device| device.link.as_ref().map(|link| link.ifindex);
        let at =
            self.namespace.devices.iter().position(|other| index(other) == Some(device.ifindex)).unwrap();
        self.touched.insert(device.name.clone());
        self.namespace = simulate::after(&self.namespace, at, operation).namespace;
        Ok(())
    }
}

impl Kernel for Model {
    fn read(&mut self) -> Result<Namespace> {
        Ok(self.namespace.clone())
    }
    fn set(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()> {
        self.run(device, &Operation::Set(wishes))
    }
    fn recompute(&mut self, device: &Identity) -> io::Result<()> {
        self.run(device, &Operation::Recompute)
    }
    fn vitals(&mut self, _: &[u32]) -> io::Result<Vitals> {
        let collapse = self.collapse.unwrap_or(Duration::MAX);
        let (well, badly) = (self.clock.min(collapse), self.clock.saturating_sub(collapse));
        let count = |a_second: u128, time: Duration| (a_second * time.as_millis() / 1000) as u64;
        let tcp = Tcp { sent: count(20_000, well) + count(100, badly), again: count(40, badly) };
        Ok(Vitals { at: self.clock, tcp: Some(tcp), ..Vitals::default() })
    }
    fn wait(&mut self, time: Duration) -> bool {
        self.clock += time;
        self.pauses += usize::from(!time.is_zero());
        self.signal.is_some_and(|nth| self.pauses >= nth)
    }
}

fn planned(facts: &Facts) -> Plan {
    let policy = Policy::default();
    plan(
        facts,
        &Permit { policy: &policy, accept: &|_, _| None, physical: None, only: &[], unattended: None },
    )
}

fn wishes(namespace: &Namespace) -> Vec<(String, Vec<(FeatureName, bool)>)> {
    let of = |device: &Device| {
        let features = device.features.iter().flat_map(Features::iter);
        (device.name.clone(), features.map(|(name, state)| (name.clone(), state.wanted())).collect())
    };
    namespace.devices.iter().map(of).collect()
}

/// The allow list in other words than those of the program: from the top down,
/// everything below is hardware, veth, VLAN, bond or team.
fn allowed(facts: &Facts, name: &str) -> bool {
    let find =
        |index: u32| facts.namespace.devices.iter().find(|d| d.link.as_ref().unwrap().ifindex == index);
    let device = facts.namespace.devices.iter().find(|device| device.name == *name).unwrap();
    let link = device.link.as_ref().unwrap();
    let special = |index: u32| facts.more.get(&index).cloned().unwrap_or_default();
    if !matches!(link.kind.as_deref(), Some("vlan" | "bond" | "team")) || link.xdp || !name.starts_with("dev")
    {
        return false;
    }
    let mut open = vec![device];
    let mut seen = BTreeSet::new();
    while let Some(device) = open.pop() {
        let link = device.link.as_ref().unwrap();
        if !seen.insert(link.ifindex) {
            continue;
        }
        match link.kind.as_deref() {
            None if special(link.ifindex).virtual_function => return false,
            None | Some("veth") => continue,
            Some("vlan") if link.lower_netnsid.is_some() || link.lower.is_none() => return false,
            Some("vlan") => open.push(find(link.lower.unwrap()).unwrap()),
            Some("bond" | "team") => open.extend(
                facts
                    .namespace
                    .devices
                    .iter()
                    .filter(|d| d.link.as_ref().unwrap().master == Some(link.ifindex)),
            ),
            _ => return false,
        }
    }
    !special(link.ifindex).af_xdp
}

/// The journal of a run, in a folder of its own.
fn start(facts: &Facts, plan: &Plan, lock: &Lock) -> Journal {
    let at = |index| facts.namespace.devices.iter().position(|d| d.link.as_ref().unwrap().ifindex == index);
    let steps = journal::steps(plan, &|index| facts.identity(at(index)?)).unwrap();
    let journal = Journal::new(Space::here(None).unwrap(), Vec::new(), None, steps).unwrap();
    lock.create(&journal).unwrap();
    journal
}

/// Takes a run back.
fn back(lock: &Lock, mut journal: Journal, facts: &Facts, model: &mut Model) -> Undone {
    let now = Facts { namespace: model.namespace.clone(), ..facts.clone() };
    back::take(lock, &mut journal, Scope::Run, (model, &now)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_plan_touches_only_what_is_allowed(parts in prop::collection::vec(part(), 1..12)) {
        let facts = facts(&parts);
        let plan = planned(&facts);
        for step in &plan.steps {
            prop_assert!(allowed(&facts, &step.device.name), "{step:#?}");
            if let Action::Set { features } = &step.action {
                prop_assert!(features.iter().all(|name| MAY_COME_ON[..10].contains(&&**name)), "{step:#?}");
            }
            for change in &step.changes {
                let device = facts.namespace.devices.iter().find(|d| d.name == change.device).unwrap();
                prop_assert!(device.link.as_ref().unwrap().kind.is_some(), "hardware: {change:#?}");
                let comes_on = change.after.active() && !change.before.active();
                prop_assert!(!comes_on || !change.certain || MAY_COME_ON.contains(&&*change.feature), "{change:#?}");
            }
        }
        for refused in &plan.refused {
            prop_assert!(!plan.steps.iter().any(|step| step.device.name == refused.device
                && step.repairs.iter().any(|name| refused.features.contains(name))
                && !matches!(refused.reason, Refusal::NeedsDeviceLine)));
        }
    }

    #[test]
    fn what_happens_is_what_was_planned_and_can_be_undone(parts in prop::collection::vec(part(), 1..12)) {
        let facts = facts(&parts);
        let plan = planned(&facts);
        let folder = Scratch::new("model-whole");
        let lock = Folder::open(folder.path()).unwrap().lock().unwrap();
        let mut model = Model::new(facts.namespace.clone());
        let mut run = Run {
            kernel: &mut model,
            facts: &facts,
            journal: start(&facts, &plan, &lock),
            lock: &lock,
            observe: Duration::ZERO,
            earlier: None,
            interrupted: false,
        };
        let mut done = Vec::new();
        run.steps(&plan, &mut |_, how| done.push(how.clone()));
        let journal = run.journal;
        for (step, how) in plan.steps.iter().zip(&done) {
            prop_assert!(matches!(how, Done::Repaired { .. } | Done::NotFollowed { .. }), "{step:#?} {how:#?}");
        }
        let names: BTreeSet<String> = plan.steps.iter().map(|step| step.device.name.clone()).collect();
        prop_assert_eq!(&model.touched, &names);
        let later = planned(&Facts { namespace: model.namespace.clone(), ..facts.clone() });
        prop_assert!(later.steps.is_empty(), "{:#?} {done:#?} {:#?}", plan.steps, later.steps);
        back(&lock, journal, &facts, &mut model);
        prop_assert_eq!(wishes(&model.namespace), wishes(&facts.namespace));
    }

    /// Also where it went well for seconds, so that of all that was sent little is lost; and
    /// where the look at what was before had begun before there was a plan.
    #[test]
    fn a_change_under_which_tcp_collapses_is_taken_back(
        parts in prop::collection::vec(part(), 1..12),
        collapse in 1500_u64..4000,
        earlier in 0_u64..=1500,
    ) {
        let facts = facts(&parts);
        let plan = planned(&facts);
        if plan.steps.is_empty() {
            return Ok(());
        }
        let folder = Scratch::new("model-collapse");
        let lock = Folder::open(folder.path()).unwrap().lock().unwrap();
        let mut model = Model::new(facts.namespace.clone());
        model.collapse = Some(Duration::from_millis(collapse));
        let first = model.vitals(&[]).unwrap();
        model.clock = Duration::from_millis(earlier);
        let mut run = Run {
            kernel: &mut model,
            facts: &facts,
            journal: start(&facts, &plan, &lock),
            lock: &lock,
            observe: Duration::from_secs(8),
            earlier: (earlier > 0).then_some(first),
            interrupted: false,
        };
        let mut done = Vec::new();
        run.steps(&plan, &mut |_, how| done.push(how.clone()));
        prop_assert!(matches!(done[0], Done::RolledBack { .. }), "{done:#?}");
        prop_assert_eq!(wishes(&model.namespace), wishes(&facts.namespace));
        // A second is looked at what was, not more than that for no reason.
        prop_assert_eq!(model.began, Some(Duration::from_millis(earlier.max(1000))));
    }

    #[test]
    fn a_failure_or_a_signal_leaves_no_device_half_changed(
        parts in prop::collection::vec(part(), 1..12),
        nth in 1_usize..6,
        signal in any::<bool>(),
    ) {
        let facts = facts(&parts);
        let plan = planned(&facts);
        let folder = Scratch::new("model-cut");
        let lock = Folder::open(folder.path()).unwrap().lock().unwrap();
        let mut model = Model::new(facts.namespace.clone());
        if signal { model.signal = Some(nth) } else { model.fails = Some(nth) }
        let mut run = Run {
            kernel: &mut model,
            facts: &facts,
            journal: start(&facts, &plan, &lock),
            lock: &lock,
            observe: Duration::from_millis(500),
            earlier: None,
            interrupted: false,
        };
        let mut done = Vec::new();
        run.steps(&plan, &mut |_, how| done.push(how.clone()));
        let journal = run.journal;
        model.fails = None;
        // Whatever was not kept has the wishes it had.
        let mut expected = facts.namespace.clone();
        for (step, how) in plan.steps.iter().zip(&done) {
            if matches!(how, Done::Repaired { .. } | Done::NotFollowed { .. }) {
                compare::after(&mut expected, step);
            }
        }
        prop_assert_eq!(wishes(&model.namespace), wishes(&expected), "{:#?}", done);
        back(&lock, journal, &facts, &mut model);
        prop_assert_eq!(wishes(&model.namespace), wishes(&facts.namespace));
    }
}
