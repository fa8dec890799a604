//! Counts calls by stack, bpf/stackcount.bpf.c.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use anyhow::Result;
use hostdiag_model::trace::{Accounting, Filter, Mechanism, Payload};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapHandle, OpenObject};

use self::skel::{StackcountSkel, StackcountSkelBuilder};
use super::attach::Programs;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::stack::{self, Collector, Options, Sources, Totals};
use super::targets::{Done, Targets};
use super::{quietly, refused};

skeleton!("stackcount");

/// The programs, for people.
const WHAT: &str = "the programs that count stacks";

/// Programs that count stacks, attached.
pub struct Counting<'a> {
    skel: StackcountSkel<'a>,
    stacks: Collector,
    /// Index of the function of each slot.
    indexes: HashMap<u32, usize>,
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
        mut targets: Targets,
        filter: &Filter,
        options: Options,
    ) -> Result<Self> {
        let (skel, warnings) = quietly(|| load(storage, &targets, filter, options));
        let skel = skel.map_err(|error| refused(WHAT, &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        let entries = targets.entries();
        let many = targets.want(Mechanism::KprobeMulti).then(|| skel.progs.many.insns());
        let user_many = targets.want(Mechanism::UprobeMulti).then(|| skel.progs.user_many.insns());
        let by_address = match targets.wants_by_address() {
            0 => None,
            _ => Some((skel.progs.by_address.insns(), MapHandle::try_from(&skel.maps.slots)?)),
        };
        let entries_of = Programs::entries(WHAT, skel.progs.one.insns(), many, user_many);
        let programs = Programs { by_address, ..entries_of };
        let done = targets.attach(&programs)?;
        let indexes = done.slots.iter().enumerate().map(|(index, slot)| (*slot, index)).collect();
        let stacks = Collector::new((&skel.maps.stacks, &skel.maps.data_hot), options, entries)?;
        Ok(Self { skel, stacks, indexes, done })
    }
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    targets: &Targets,
    filter: &Filter,
    options: Options,
) -> libbpf_rs::Result<StackcountSkel<'a>> {
    let (mut open, types) = skeleton::open!(StackcountSkelBuilder, storage);
    open.progs.many.set_autoload(targets.want(Mechanism::KprobeMulti));
    open.progs.user_many.set_autoload(targets.want(Mechanism::UprobeMulti));
    open.progs.by_address.set_autoload(targets.wants_by_address() > 0);
    open.maps.slots.set_max_entries(targets.address_room())?;
    let rows = targets.scratch_rows();
    skeleton::set_up!(open, targets, (filter, types.kfuncs));
    stack::set_up!(open, options, rows);
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.row_mask = rows - 1;
        let all = options.kernel && options.user && rodata.any_filter == 0 && rodata.pid_ns == 0;
        let apart = options.processes || options.names || targets.functions.len() > 1;
        rodata.plain = (all && !apart).into();
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
        let functions = self.done.attach.iter().flat_map(|attach| &attach.functions).collect();
        let sources = Sources { functions, indexes: &self.indexes };
        self.stacks.read(&self.skel.maps.counts, &sources, true).map(Payload::Stacks)
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        self.done.attached.programs().collect()
    }

    fn account(&self) -> Accounting {
        let totals = Totals::of(&self.skel.maps.scratch);
        let seen = totals.nested + skeleton::busy_missed(&self.skel.maps.busy);
        Accounting {
            entries: Some(totals.entries),
            recursion_missed: self.done.recursion_missed(seen),
            link_missed: self.done.attached.missed(),
            stack_lost: Some(totals.no_room + self.stacks.not_handed_over()),
            stack_cut: Some(self.stacks.cut()),
            ..Accounting::default()
        }
    }

    fn collector(&mut self) -> Option<&mut Collector> {
        Some(&mut self.stacks)
    }
}
