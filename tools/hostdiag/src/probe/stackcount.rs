//! Counts calls by stack, bpf/stackcount.bpf.c.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use anyhow::{Context, Result};
use hostdiag_model::stacks::{Additions, Mark, StackCounts, StackKey, StackTable};
use hostdiag_model::trace::{Accounting, Filter, Function, Mechanism, Payload};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject, RingBuffer, RingBufferBuilder};

use self::frames::{Named, Naming};
use self::record::{Key, Record};
use self::skel::{StackcountSkel, StackcountSkelBuilder};
use super::attach::Programs;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::targets::{Done, Targets};
use super::{quietly, refused};
use crate::sys;

mod frames;
pub mod record;

skeleton!("stackcount");

/// Frames of a part of a stack, at most: MAX_FRAMES of bpf/hostdiag.h.
const MAX_FRAMES: usize = 127;
/// Bytes of the ring that stacks come through: two thousand of the deepest.
const RING: u32 = 4 << 20;
/// Most rows of scratch memory, of which each fentry program has its own; with
/// more of them some share, and may miss an event, which is counted.
const MAX_ROWS: usize = 512;

/// How stacks are to be counted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The kernel's part.
    pub kernel: bool,
    /// The process's part.
    pub user: bool,
    /// Each process has its own.
    pub processes: bool,
    /// So many different ones at most.
    pub max_stacks: u32,
}

/// Programs that count stacks, attached.
pub struct Counting<'a> {
    skel: StackcountSkel<'a>,
    ring: RingBuffer<'a>,
    /// What came through the ring and has no names yet.
    arrived: Rc<RefCell<Vec<Record>>>,
    options: Options,
    naming: Naming,
    table: StackTable,
    /// As far as the table was handed on.
    mark: Mark,
    known: HashMap<Key, (StackKey, bool)>,
    /// Each stack's count at the last reading.
    before: HashMap<Key, u64>,
    /// Calls with a stack that has not been handed over.
    not_handed_over: u64,
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
        let skel = skel.map_err(|error| refused("the programs that count stacks", &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        let arrived: Rc<RefCell<Vec<Record>>> = Rc::default();
        let ring = ring(&skel.maps.stacks, arrived.clone()).context("failed to open the ring of stacks")?;
        let entries = targets.entries();
        let many = targets.want(Mechanism::KprobeMulti).then(|| skel.progs.many.as_fd());
        let user_many = targets.want(Mechanism::UprobeMulti).then(|| skel.progs.user_many.as_fd());
        let by_address = match targets.wants_by_address() {
            0 => None,
            _ => Some((skel.progs.by_address.as_fd(), MapHandle::try_from(&skel.maps.slots)?)),
        };
        let programs = Programs { by_address, ..Programs::entries(skel.progs.one.insns(), many, user_many) };
        let done = targets.attach(&programs)?;
        let indexes = done.slots.iter().enumerate().map(|(index, slot)| (*slot, index)).collect();
        let mut naming = Naming::new(options.kernel, options.user, entries);
        // Not while stacks wait: it takes longest of all.
        naming.symbols.table();
        let table = StackTable::new();
        Ok(Self {
            mark: table.mark(),
            known: HashMap::new(),
            before: HashMap::new(),
            not_handed_over: 0,
            skel,
            ring,
            arrived,
            options,
            naming,
            table,
            indexes,
            done,
        })
    }

    /// Gives names to the stacks that have come. That takes long enough for other
    /// processes to end, so what comes meanwhile is taken in between.
    fn name_arrived(&mut self) {
        let mut records = std::mem::take(&mut *self.arrived.borrow_mut());
        records.retain(|record| !self.known.contains_key(&record.key));
        records.sort_by_key(|record| record.pid);
        for records in records.chunk_by(|one, next| one.pid == next.pid) {
            self.name(records);
            self.drain();
        }
    }

    fn name(&mut self, records: &[Record]) {
        let functions: Vec<&Function> =
            self.done.attach.iter().flat_map(|attach| &attach.functions).collect();
        let function = |slot: u32| functions.get(*self.indexes.get(&slot)?).copied();
        let named = self.naming.name(records, &function, &mut self.table);
        let several = functions.len() > 1;
        for (record, Named { stack, cut }) in records.iter().zip(named) {
            let index = self.indexes.get(&record.slot).filter(|_| several);
            let key = StackKey {
                stack,
                function: index.and_then(|index| u32::try_from(*index).ok()),
                pid: self.options.processes.then_some(record.pid),
                comm: self.options.processes.then(|| record.comm.as_str().into()),
            };
            self.known.insert(record.key, (key, cut));
        }
    }

    /// Sums of what each CPU has in its scratch memory: events, those whose stack
    /// found no room, those that came while another had the memory.
    fn totals(&self) -> [u64; 3] {
        let map = &self.skel.maps.scratch;
        let rows = 0..map.max_entries();
        let row = |row: u32| map.lookup_percpu(&row.to_ne_bytes(), MapFlags::ANY).ok().flatten();
        let mut sums = [0; 3];
        for scratch in rows.filter_map(row).flatten() {
            for (sum, word) in sums.iter_mut().zip(scratch.as_chunks().0) {
                *sum += u64::from_ne_bytes(*word);
            }
        }
        sums
    }
}

fn ring<'a>(map: &dyn MapCore, arrived: Rc<RefCell<Vec<Record>>>) -> libbpf_rs::Result<RingBuffer<'a>> {
    let mut builder = RingBufferBuilder::new();
    builder.add(map, move |bytes| {
        arrived.borrow_mut().extend(record::decode(bytes));
        0
    })?;
    builder.build()
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    targets: &Targets,
    filter: &Filter,
    options: Options,
) -> libbpf_rs::Result<StackcountSkel<'a>> {
    let mut open = StackcountSkelBuilder::default().open(storage)?;
    open.progs.many.set_autoload(targets.want(Mechanism::KprobeMulti));
    open.progs.user_many.set_autoload(targets.want(Mechanism::UprobeMulti));
    let by_address = targets.wants_by_address();
    open.progs.by_address.set_autoload(by_address > 0);
    // A function has two addresses, see attach.rs.
    open.maps.slots.set_max_entries((2 * by_address).max(1).try_into().unwrap_or(u32::MAX))?;
    // Other programs never run one within another.
    let rows = if targets.wants_fentry() { targets.functions.len().next_power_of_two() } else { 1 };
    let rows = rows.min(MAX_ROWS) as u32;
    open.maps.counts.set_max_entries(options.max_stacks.max(1))?;
    open.maps.stacks.set_max_entries(RING)?;
    open.maps.scratch.set_max_entries(rows)?;
    skeleton::set_up!(open, targets, filter);
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        let random = RandomState::new();
        rodata.seeds = [random.hash_one(0), random.hash_one(1)];
        rodata.with_kernel = options.kernel.into();
        rodata.with_user = options.user.into();
        rodata.by_process = options.processes.into();
        rodata.row_mask = rows - 1;
    }
    open.load()
}

impl Tool for Counting<'_> {
    fn gate(&mut self, open: bool) {
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.ready = open.into();
        }
    }

    fn read(&mut self) -> Result<Payload> {
        self.drain();
        self.name_arrived();
        self.naming.symbols.forget_ended();
        let mut counts = StackCounts::new();
        self.not_handed_over = 0;
        let entries = sys::map_entries::<16, 16>(&self.skel.maps.counts);
        for (hash, value) in entries.context("failed to read the counts")? {
            let now = value.first_chunk().map_or(0, |count| u64::from_ne_bytes(*count));
            let Some((key, _)) = self.known.get(&hash) else {
                // It may still be.
                self.not_handed_over += now;
                continue;
            };
            let before = self.before.insert(hash, now).unwrap_or(0);
            if now > before {
                counts.add(key.clone(), now - before);
            }
        }
        Ok(Payload::Stacks(counts))
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        let progs = &self.skel.progs;
        self.done.programs(&[
            ("many", progs.many.as_fd()),
            ("user_many", progs.user_many.as_fd()),
            ("by_address", progs.by_address.as_fd()),
        ])
    }

    fn account(&self) -> Accounting {
        let [entries, no_room, nested] = self.totals();
        let seen = nested + skeleton::busy_missed(&self.skel.maps.busy);
        let cut = |(key, count): (&Key, &u64)| self.known.get(key).filter(|(_, cut)| *cut).map(|_| *count);
        Accounting {
            entries: Some(entries),
            recursion_missed: self.done.recursion_missed(self.programs(), seen),
            link_missed: self.done.attached.missed(),
            stack_lost: Some(no_room + self.not_handed_over),
            stack_cut: Some(self.before.iter().filter_map(cut).sum()),
            ..Accounting::default()
        }
    }

    fn arrivals(&self) -> Option<BorrowedFd<'_>> {
        Some(self.skel.maps.stacks.as_fd())
    }

    fn drain(&mut self) {
        let before = self.arrived.borrow().len();
        // It fails only where a callback does.
        let _ = self.ring.consume();
        if self.options.user {
            for record in self.arrived.borrow().iter().skip(before) {
                self.naming.symbols.hold(record.pid);
            }
        }
    }

    fn stacks(&mut self) -> Additions {
        let before = std::mem::replace(&mut self.mark, self.table.mark());
        self.table.since(before)
    }
}
