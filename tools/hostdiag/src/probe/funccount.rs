//! Counts calls, bpf/funccount.bpf.c.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use hostdiag_model::trace::{Accounting, Filter, Mechanism, Payload};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapHandle, OpenObject};

use self::skel::{FunccountSkel, FunccountSkelBuilder};
use super::attach::{Programs, Sides};
use super::kfunc::Kfuncs;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::targets::{Done, Targets};
use super::{quietly, refused};
use crate::sys::Counters;

skeleton!("funccount");

/// The programs, for people.
const WHAT: &str = "the programs that count";

/// The memory of all counters together is no more than this; with more CPUs and
/// functions than go into it, CPUs share counters, which are atomic.
const MAX_MEMORY: usize = 64 << 20;

/// Where the counter of a function is: a shard is a row of counters, which CPUs
/// share as few of as there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Layout {
    /// A power of two.
    shards: usize,
    /// Counters from a shard to the next: whole cache lines of 64 bytes.
    stride: usize,
}

impl Layout {
    fn of(functions: usize, cpus: usize) -> Self {
        let stride = functions.next_multiple_of(8).max(8);
        let mut shards = cpus.max(1).next_power_of_two();
        while shards > 1 && shards * stride * size_of::<u64>() > MAX_MEMORY {
            shards /= 2;
        }
        Self { shards, stride }
    }

    fn counters(self) -> usize {
        self.shards * self.stride
    }
}

/// Programs that count, attached.
pub struct Counting<'a> {
    skel: FunccountSkel<'a>,
    counters: Counters,
    layout: Layout,
    /// Each function's count at the last reading.
    before: Vec<u64>,
    /// What was attached; taken by who wants to detach.
    pub done: Done,
}

impl<'a> Counting<'a> {
    /// Loads the programs and attaches them; they count once the gate is open.
    ///
    /// # Errors
    /// A [`crate::fail::Failure`]: the kernel refuses the programs, or every way
    /// to attach them.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        targets: Targets,
        filter: &Filter,
    ) -> Result<Self> {
        let layout = Layout::of(targets.functions.len(), skeleton::possible_cpus() as usize);
        let (skel, warnings) = quietly(|| load(storage, &targets, filter, layout));
        let skel = skel.map_err(|error| refused(WHAT, &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        let counters = Counters::map(skel.maps.counts.as_fd(), layout.counters())
            .context("failed to map the counters")?;
        let many = targets.want(Mechanism::KprobeMulti).then(|| skel.progs.many.insns());
        let user_many = targets.want(Mechanism::UprobeMulti).then(|| skel.progs.user_many.insns());
        let by_address = match targets.wants_by_address() {
            0 => None,
            _ => Some((skel.progs.by_address.insns(), MapHandle::try_from(&skel.maps.slots)?)),
        };
        let traced = if guarded(&targets, filter) { &skel.progs.traced } else { &skel.progs.probed };
        let traced = Sides { entry: Some(traced.insns()), exit: None };
        let entries = Programs::entries(WHAT, skel.progs.probed.insns(), many, user_many);
        let programs = Programs { traced, by_address, ..entries };
        let done = targets.attach(&programs)?;
        let before = vec![0; done.slots.len()];
        Ok(Self { skel, counters, layout, before, done })
    }

    fn count(&self, slot: u32) -> u64 {
        let shards = 0..self.layout.shards;
        shards.map(|shard| self.counters.get(shard * self.layout.stride + slot as usize)).sum()
    }
}

/// Whether programs look if they are entered again: where the kernel does not keep that
/// from them, and they call what may be traced, for a filter. Without one they call the
/// CPU's number alone, which is denied, and who counts bears another in between.
fn guarded(targets: &Targets, filter: &Filter) -> bool {
    targets.reentrant && *filter != Filter::default()
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    targets: &Targets,
    filter: &Filter,
    layout: Layout,
) -> libbpf_rs::Result<FunccountSkel<'a>> {
    let (mut open, types) = skeleton::open_filtered!(FunccountSkelBuilder, storage, Kfuncs::default());
    open.progs.traced.set_autoload(targets.wants_fentry() && guarded(targets, filter));
    open.progs.many.set_autoload(targets.want(Mechanism::KprobeMulti));
    open.progs.user_many.set_autoload(targets.want(Mechanism::UprobeMulti));
    open.progs.by_address.set_autoload(targets.wants_by_address() > 0);
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    open.maps.counts.set_max_entries(number(layout.counters()))?;
    open.maps.slots.set_max_entries(targets.address_room())?;
    skeleton::set_up!(open, targets, (filter, types.kfuncs));
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.shard_mask = number(layout.shards - 1);
        rodata.stride = number(layout.stride);
    }
    skeleton::load!(open)
}

impl Tool for Counting<'_> {
    fn gate(&mut self, open: bool) {
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.ready = open.into();
        }
    }

    fn read(&mut self) -> Result<Payload> {
        let mut counts = Vec::new();
        for index in 0..self.before.len() {
            let now = self.done.slots.get(index).map_or(0, |slot| self.count(*slot));
            let since = now.wrapping_sub(std::mem::replace(&mut self.before[index], now));
            if since > 0 {
                counts.push((u32::try_from(index).unwrap_or(u32::MAX), since));
            }
        }
        Ok(Payload::Counts(counts))
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        self.done.attached.programs().collect()
    }

    fn account(&self) -> Accounting {
        Accounting {
            entries: Some(self.before.iter().sum()),
            recursion_missed: self.done.recursion_missed(skeleton::busy_missed(&self.skel.maps.busy)),
            link_missed: self.done.attached.missed(),
            ..Accounting::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cpu_has_counters_of_its_own_while_there_is_room() {
        assert_eq!(Layout::of(1, 2), Layout { shards: 2, stride: 8 });
        assert_eq!(Layout::of(9, 6), Layout { shards: 8, stride: 16 });
        let many = Layout::of(60_000, 512);
        assert_eq!(many, Layout { shards: 128, stride: 60_000 });
        assert!(many.counters() * 8 <= MAX_MEMORY);
        // Too many for one row: it stays one.
        assert_eq!(Layout::of(MAX_MEMORY, 4).shards, 1);
    }
}
