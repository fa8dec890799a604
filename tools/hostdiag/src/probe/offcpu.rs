//! Times waits by the stack that they begin with: bpf/offcpu.bpf.c.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use hostdiag_model::trace::{Accounting, Attach, Filter, Function, Mechanism, Payload, Reason, Waiting};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{Link, MapCore, MapFlags, OpenObject};

use self::skel::{OffcpuSkel, OffcpuSkelBuilder};
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::stack::{self, Collector, Options, Sources, Totals};
use super::{not_attached, quietly, reason, refused};
use crate::sys;

skeleton!("offcpu");

/// Threads that may wait at a time.
const MOST_WAITING: u32 = 1 << 16;
/// Waits but those for a CPU: the bits of bpf/offcpu.bpf.c.
const BLOCKED: u32 = 2 | 4 | 8;

/// Waits that are timed.
pub struct Waits<'a> {
    skel: OffcpuSkel<'a>,
    stacks: Collector,
    /// Waits that had begun at the last reading.
    before: u64,
    /// What they are timed by.
    pub attach: Attach,
    _link: Link,
}

impl<'a> Waits<'a> {
    /// Loads the program and attaches it; it counts once the gate is open.
    ///
    /// # Errors
    /// A [`crate::fail::Failure`]: the kernel refuses the program.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        filter: &Filter,
        waiting: &[Waiting],
        options: Options,
    ) -> Result<Self> {
        let (skel, warnings) = quietly(|| load(storage, filter, waiting, options));
        let skel = skel.map_err(|error| refused("the program that times waits", &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        let stacks = Collector::new((&skel.maps.stacks, &skel.maps.data_hot), options, HashMap::new())?;
        let attach = Attach {
            mechanism: Mechanism::RawTracepoint,
            reason: Reason::OnlyWay,
            functions: vec![Function { name: "sched:sched_switch".into(), ..Function::default() }],
        };
        let (link, _) = quietly(|| skel.progs.switched.attach_raw_tracepoint("sched_switch"));
        let link =
            link.map_err(|error| not_attached(Mechanism::RawTracepoint, reason(&error.to_string())))?;
        Ok(Self { skel, stacks, before: 0, attach, _link: link })
    }

    /// Waits that found no room in the table, and those whose end was missed.
    fn lost(&self) -> [u64; 2] {
        let rows = self.skel.maps.waits.lookup_percpu(&0_u32.to_ne_bytes(), MapFlags::ANY);
        let mut sums = [0; 2];
        for row in rows.ok().flatten().iter().flatten() {
            for (sum, word) in sums.iter_mut().zip(row.as_chunks().0) {
                *sum += u64::from_ne_bytes(*word);
            }
        }
        sums
    }
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    filter: &Filter,
    waiting: &[Waiting],
    options: Options,
) -> libbpf_rs::Result<OffcpuSkel<'a>> {
    let (mut open, _types) = skeleton::open!(OffcpuSkelBuilder, storage);
    skeleton::set_up_filter!(open, filter);
    stack::set_up!(open, options, 1);
    open.maps.waiting.set_max_entries(MOST_WAITING)?;
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        let bits = waiting.iter().map(|waiting| match waiting {
            Waiting::Cpu => 1,
            Waiting::Sleeping => 2,
            Waiting::Uninterruptible => 4,
        });
        rodata.reasons = if waiting.is_empty() { BLOCKED } else { bits.fold(0, |all, bit| all | bit) };
    }
    open.load()
}

impl Tool for Waits<'_> {
    fn gate(&mut self, open: bool) {
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.ready = open.into();
        }
    }

    fn read(&mut self) -> Result<Payload> {
        let sources = Sources { functions: self.attach.functions.iter().collect(), indexes: &HashMap::new() };
        let closed = self.skel.maps.bss_data.as_deref().is_some_and(|data| data.ready == 0);
        self.stacks.read(&self.skel.maps.counts, &sources, closed).map(Payload::Stacks)
    }

    fn events(&mut self, _: &Payload) -> u64 {
        let now = Totals::of(&self.skel.maps.scratch).entries;
        now - std::mem::replace(&mut self.before, now)
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        vec![self.skel.progs.switched.as_fd()]
    }

    fn account(&self) -> Accounting {
        let (totals, [start_lost, end_missed]) = (Totals::of(&self.skel.maps.scratch), self.lost());
        let waiting = sys::map_entries::<4, 24>(&self.skel.maps.waiting).context("failed to read the waits");
        Accounting {
            // Without those that have no stack.
            entries: Some(totals.entries - totals.no_room),
            returns: Some(self.stacks.events()),
            start_lost: Some(start_lost),
            return_missed: Some(end_missed),
            in_flight: waiting.ok().map(|waiting| waiting.len() as u64),
            recursion_missed: Some(totals.nested),
            stack_lost: Some(totals.no_room + self.stacks.not_handed_over()),
            stack_cut: Some(self.stacks.cut()),
            ..Accounting::default()
        }
    }

    fn collector(&mut self) -> Option<&mut Collector> {
        Some(&mut self.stacks)
    }
}
