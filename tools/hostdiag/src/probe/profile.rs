//! Samples what CPUs do, by stack: bpf/profile.bpf.c.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Result;
use hostdiag_model::trace::{
    Accounting, Asked, Attach, Filter, Function, Head, Mechanism, Payload, Profile, Reason, Samples,
};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, OpenObject};

use self::cpus::Cpus;
use self::skel::{ProfileSkel, ProfileSkelBuilder};
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::stack::{self, Collector, Options, Sources, Totals};
use super::{quietly, reason, refused};
use crate::fail::{Code, Failure, as_root};
use crate::sys::Clock;

mod cpus;

skeleton!("profile");

/// The most samples a second that the kernel allows; it lowers that where they take
/// too long (Documentation/admin-guide/sysctl/kernel.rst).
const MOST: &str = "/proc/sys/kernel/perf_event_max_sample_rate";
const NS: u64 = 1_000_000_000;

/// Samples a second on each CPU, unless it is said otherwise.
pub const HZ: u32 = 49;

/// CPUs that are sampled.
pub struct Sampling<'a> {
    skel: ProfileSkel<'a>,
    stacks: Collector,
    cpus: Cpus,
    hz: u32,
    /// Whether idle CPUs count.
    idle: bool,
    /// Samples a second that the kernel allowed at first.
    most: Option<u32>,
    /// Whether samples count.
    open: bool,
    /// Samples at the last reading.
    before: u64,
    /// What is sampled by.
    pub attach: Attach,
}

impl<'a> Sampling<'a> {
    /// Loads the program and samples so many times a second; it counts once the gate
    /// is open.
    ///
    /// # Errors
    /// `rate-too-high`, `no-such-cpu`; a [`Failure`] where the kernel refuses the
    /// program or the events.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        filter: &Filter,
        (hz, idle): (u32, bool),
        options: Options,
    ) -> Result<Self> {
        let most = most();
        if let Some(most) = most.filter(|most| hz > *most) {
            return Err(too_high(hz, most).into());
        }
        let (skel, warnings) = quietly(|| load(storage, filter, idle, options));
        let skel = skel.map_err(|error| refused("the program that samples", &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        let stacks = Collector::new((&skel.maps.stacks, &skel.maps.data_hot), options, HashMap::new())?;
        let opened = Cpus::open(skel.progs.sample.as_fd(), hz, &filter.cpus);
        let (cpus, why) = opened.map_err(|error| not_sampled(&error))?;
        let attach = attach(cpus.clock(), why);
        Ok(Self { skel, stacks, cpus, hz, idle, most, open: false, before: 0, attach })
    }

    /// What a recording of it begins with.
    pub fn head(&self, asked: Asked) -> Head {
        let cpus = u32::try_from(self.cpus.count()).unwrap_or(u32::MAX);
        let profile = Profile::OnCpu { hz: self.hz, cpus, idle: self.idle };
        Head {
            asked: Asked { profile: Some(profile), ..asked },
            attach: vec![self.attach.clone()],
            ..Head::default()
        }
    }

    /// Of each CPU, by its number, the samples that came and of these those while it
    /// was idle.
    fn seen(&self) -> Vec<[u64; 2]> {
        let rows = self.skel.maps.samples.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY);
        let word = |row: &[u8], index: usize| {
            row.as_chunks().0.get(index).map_or(0, |word| u64::from_ne_bytes(*word))
        };
        rows.ok().flatten().iter().flatten().map(|row| [word(row, 0), word(row, 1)]).collect()
    }
}

fn attach(clock: Clock, why: Option<io::Error>) -> Attach {
    let name = if clock == Clock::Cycles { "cycles" } else { "cpu-clock" };
    let refused = |error: io::Error| Reason::Refused {
        tried: Mechanism::PerfEvent,
        error: reason(&error.to_string()).to_owned(),
    };
    Attach {
        mechanism: Mechanism::PerfEvent,
        reason: why.map_or(Reason::OnlyWay, refused),
        functions: vec![Function { name: name.into(), ..Function::default() }],
    }
}

fn most() -> Option<u32> {
    std::fs::read_to_string(MOST).ok()?.trim().parse().ok()
}

fn too_high(hz: u32, most: u32) -> Failure {
    Failure::new(Code::RateTooHigh, format!("{hz} samples a second are more than this kernel allows, {most}"))
        .hint(format!("sysctl kernel.perf_event_max_sample_rate={hz}, or a lower -F"))
}

fn not_sampled(error: &io::Error) -> Failure {
    let why = reason(&error.to_string()).to_owned();
    match error.kind() {
        io::ErrorKind::NotFound => Failure::new(Code::NoSuchCpu, "none of these CPUs is online")
            .hint("cat /sys/devices/system/cpu/online lists those that are"),
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::NoPrivilege, format!("to sample CPUs takes CAP_PERFMON: {why}"))
                .hint(as_root())
        }
        _ => Failure::new(Code::NoBpf, format!("the kernel refused to sample CPUs: {why}"))
            .hint("hostdiag doctor tells what this kernel allows"),
    }
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    filter: &Filter,
    idle: bool,
    options: Options,
) -> libbpf_rs::Result<ProfileSkel<'a>> {
    let (mut open, _types) = skeleton::open!(ProfileSkelBuilder, storage);
    skeleton::set_up_filter!(open, filter);
    stack::set_up!(open, options, 1);
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.with_idle = idle.into();
    }
    open.load()
}

impl Tool for Sampling<'_> {
    fn gate(&mut self, open: bool) {
        // The time that samples are due for lies within that in which they count.
        if !open {
            self.cpus.refresh();
        }
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.ready = open.into();
        }
        if open {
            self.cpus.start();
        }
        self.open = open;
    }

    fn read(&mut self) -> Result<Payload> {
        if self.open {
            self.cpus.refresh();
        }
        let sources = Sources { functions: self.attach.functions.iter().collect(), indexes: &HashMap::new() };
        self.stacks.read(&self.skel.maps.counts, &sources, !self.open).map(Payload::Stacks)
    }

    fn events(&mut self, _: &Payload) -> u64 {
        let now = self.seen().iter().map(|[seen, _]| seen).sum();
        now - std::mem::replace(&mut self.before, now)
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.skel.progs.sample.as_fd()]
    }

    fn account(&self) -> Accounting {
        let (totals, seen) = (Totals::of(&self.skel.maps.scratch), self.seen());
        let of = |cpu: u32| seen.get(cpu as usize).copied().unwrap_or_default();
        let (mut time, mut missed) = (0, 0_u64);
        for (cpu, sampled) in self.cpus.sampled() {
            let due = u128::from(sampled.time) * u128::from(self.hz) / u128::from(NS);
            // Where in its period an event begins and ends is up to chance.
            let came = of(cpu)[0] + sampled.events;
            missed += u64::try_from(due).unwrap_or(u64::MAX).saturating_sub(came);
            time += sampled.time;
        }
        // Cycles stand still while a CPU is idle, and nobody says how long that was.
        let steady = self.cpus.clock() == Clock::Cpu;
        let sum = |index: usize| seen.iter().map(|seen| seen[index]).sum();
        Accounting {
            entries: Some(totals.entries),
            recursion_missed: Some(totals.nested),
            stack_lost: Some(totals.no_room + self.stacks.not_handed_over()),
            stack_cut: Some(self.stacks.cut()),
            sample_missed: steady.then_some(missed),
            samples: Some(Samples {
                cpu_ms: time / 1_000_000,
                seen: sum(0),
                idle: steady.then(|| sum(1)),
                lowered_hz: most().filter(|most| self.most.is_some_and(|before| *most < before)),
            }),
            ..Accounting::default()
        }
    }

    fn collector(&mut self) -> Option<&mut Collector> {
        Some(&mut self.stacks)
    }
}
