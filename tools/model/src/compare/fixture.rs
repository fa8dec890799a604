//! Hosts for tests: a service that sends, with what a case adds.

use super::gather::{Group, Member};
use crate::capture::Capture;
use crate::diff::Which;
use crate::features::{FeatureName, FeatureState};
use crate::histogram::{Histogram, Resolution};
use crate::host::Host;
use crate::offload::{Device, Link, Namespace, OffloadData};
use crate::recording::{Data, Recording};
use crate::snapshot::{Area, Rate, Setting, Snapshot, Unit, Value};
use crate::stacks::{Frame, Part, Stack, StackCounts, StackKey, StackTable, Symbol};
use crate::trace::timers::{Owner, Timer, TimerCount, TimerKind};
use crate::trace::{
    Accounting, Attach, Function, Head, Latency, Mechanism, Payload, Profile, Reason, Trace, Window,
};

/// Samples of one busy core, in ten seconds at 100 Hz.
pub(super) const CORE: u64 = 1000;

/// A setting: `area, of, name, value, origin`.
type Set = (Area, Option<&'static str>, &'static str, &'static str, Option<&'static str>);

/// What is recorded of a host.
#[derive(Clone, Debug, Default)]
pub(super) struct Fixture {
    pub(super) kernel: &'static str,
    /// Settings.
    pub(super) settings: Vec<Set>,
    /// Counts in a second.
    pub(super) rates: Vec<(Area, Option<&'static str>, &'static str, u64)>,
    /// Stacks from the outermost function on, and their samples.
    pub(super) profile: Vec<(&'static str, u64)>,
    /// Timers, for whom, and their starts in ten seconds.
    pub(super) timers: Vec<(&'static str, Option<&'static str>, u64)>,
    /// Functions and how long each of 1000 calls took, in ns.
    pub(super) latency: Vec<(&'static str, u64)>,
    /// Devices.
    pub(super) devices: Vec<Device>,
}

/// 4.1 Gbit/s through eth2, 3 cores, and two timers that go on.
pub(super) fn service() -> Fixture {
    Fixture {
        kernel: "6.12.0",
        settings: Vec::new(),
        rates: vec![
            (Area::Link, Some("eth2"), "tx_bytes", 512_000_000),
            (Area::Cpu, None, "context switches", 9000),
        ],
        profile: vec![
            ("main;process;parse", CORE),
            ("main;write;sys_sendfile64;do_sendfile;tcp_sendmsg;tcp_write_xmit;__dev_queue_xmit", CORE),
            ("main;read;sys_read;vfs_read;page_cache_read", CORE),
        ],
        timers: vec![("tcp_write_timer", None, 16_900), ("tcp_delack_timer", None, 500)],
        latency: vec![("do_sendfile", 17_000)],
        devices: stack(&[("eth2", "bond0", "vlan10")], FeatureState::On),
    }
}

/// A card below a bond with VLAN 10, whose scatter-gather is so.
pub(super) fn stack(names: &[(&str, &str, &str)], state: FeatureState) -> Vec<Device> {
    names.iter().flat_map(|names| one(*names, state)).collect()
}

fn one((card, bond, vlan): (&str, &str, &str), state: FeatureState) -> Vec<Device> {
    let device = |name: &str, link: Link, state: FeatureState| Device {
        name: name.into(),
        link: Some(link),
        features: Some([(FeatureName::from("tx-scatter-gather"), state)].into_iter().collect()),
        vlan_features: None,
    };
    let link = |ifindex: u32| Link { ifindex, up: true, mtu: 1500, ..Link::default() };
    vec![
        device(card, Link { driver: Some("ixgbe".into()), master: Some(2), ..link(1) }, FeatureState::On),
        device(bond, Link { kind: Some("bond".into()), ..link(2) }, FeatureState::On),
        device(vlan, Link { kind: Some("vlan".into()), vlan_id: Some(10), lower: Some(2), ..link(3) }, state),
    ]
}

impl Fixture {
    /// The group of this host alone.
    pub(super) fn group(&self, which: Which) -> Group {
        let (name, host) = if which == Which::A { ("A", "jessie-7") } else { ("B", "stretch-7") };
        Group { name: name.into(), members: vec![self.member(host)] }
    }

    pub(super) fn member(&self, host: &str) -> Member {
        let recordings = vec![
            self.recording("snapshot", Data::Snapshot(Box::new(self.snapshot())), host),
            self.recording("profile", Data::Trace(Box::new(self.profile())), host),
            self.recording("timer-names", Data::Trace(Box::new(self.timers())), host),
            self.recording("funclatency", Data::Trace(Box::new(self.latency())), host),
        ];
        Member { target: format!("{host}.hd"), remote: None, capture: Capture { recordings } }
    }

    fn recording(&self, command: &str, data: Data, host: &str) -> Recording {
        let kernel = Some(self.kernel.to_owned());
        Recording {
            tool: "0".into(),
            command: command.into(),
            host: Host { name: host.into(), kernel, ..Host::default() },
            started_ms: 1_787_000_000_000,
            elapsed_ms: Some(10_000),
            side: None,
            loss: Vec::new(),
            data,
        }
    }

    fn snapshot(&self) -> Snapshot {
        let setting =
            |(area, of, name, value, origin): &(_, Option<&str>, &str, &str, Option<&str>)| Setting {
                area: *area,
                of: of.map(str::to_owned),
                name: (*name).to_owned(),
                value: Value::Value((*value).to_owned()),
                origin: origin.map(str::to_owned),
                asked: None,
            };
        let rate = |(area, of, name, count): &(_, Option<&str>, &str, u64)| Rate {
            area: *area,
            of: of.map(str::to_owned),
            name: (*name).to_owned(),
            count: *count,
            unit: Unit::Events,
        };
        let namespace = Namespace::of_text(self.devices.clone());
        Snapshot {
            settings: self.settings.iter().map(setting).collect(),
            interval_ms: 1000,
            rates: self.rates.iter().map(rate).collect(),
            offload: OffloadData { namespaces: vec![namespace], ..OffloadData::default() },
            ..Snapshot::default()
        }
    }

    fn profile(&self) -> Trace {
        let mut stacks = StackTable::new();
        let mut counts = StackCounts::new();
        for (path, samples) in &self.profile {
            let frames = path.split(';').rev().map(|name| {
                let symbol = Symbol::Name(name.into());
                stacks.add_frame(Frame { address: 1, symbol, offset: None, module: None, inlined: false })
            });
            let part = Part { frames: frames.collect(), gap: None };
            let stack = stacks.add_stack(Stack { kernel: Some(part), user: None });
            counts.add(StackKey { stack, function: None, pid: None, comm: None }, *samples);
        }
        let mut trace = trace(&[], Payload::Stacks(counts));
        trace.stacks = stacks;
        trace.head.asked.profile = Some(Profile::OnCpu { hz: 100, cpus: 32, idle: false });
        trace
    }

    fn timers(&self) -> Trace {
        let count = |(name, owner, started): &(&str, Option<&str>, u64)| {
            let mut delay = Histogram::new(Resolution::FINEST);
            delay.add(1_000_000, *started);
            let owner = owner.map(|owner| Owner::Process(owner.into()));
            let timer = Timer { kind: TimerKind::Timer, function: function(name), owner, group: None };
            TimerCount {
                timer: Some(timer),
                started: *started,
                removed: *started,
                expired: *started,
                rearmed: 0,
                delay,
                late: None,
                run: None,
                stacks: None,
            }
        };
        let mut list: Vec<TimerCount> = self.timers.iter().map(count).collect();
        list.sort_by(|one, other| one.timer.cmp(&other.timer));
        trace(&[], Payload::Timers(list))
    }

    fn latency(&self) -> Trace {
        let names: Vec<&str> = self.latency.iter().map(|(name, _)| *name).collect();
        let list = self.latency.iter().zip(0..).map(|((_, ns), at)| {
            let mut histogram = Histogram::new(Resolution::FINEST);
            (0..1000).for_each(|call: u64| histogram.add(ns + ns * call / 2000, 1));
            Latency { function: Some(at), group: None, histogram }
        });
        trace(&names, Payload::Latency(list.collect()))
    }
}

fn function(name: &str) -> Function {
    Function { name: name.into(), ..Function::default() }
}

fn trace(functions: &[&str], payload: Payload) -> Trace {
    let functions = functions.iter().map(|name| function(name)).collect();
    let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
    Trace {
        head: Head { attach, ..Head::default() },
        windows: [Window { start_ms: 0, end_ms: 10_000, payload }].into_iter().collect(),
        accounting: Some(Accounting::default()),
        ..Trace::default()
    }
}
