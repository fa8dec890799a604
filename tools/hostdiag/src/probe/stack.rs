//! Stacks as they come from bpf/stack.bpf.h, and how often each was seen: for
//! every tool that counts by stack.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, Result};
use hostdiag_model::stacks::{Additions, Mark, StackCounts, StackKey, StackTable};
use hostdiag_model::trace::Function;
use libbpf_rs::{MapCore, MapFlags, RingBuffer, RingBufferBuilder};

use self::frames::{Named, Naming};
use self::hot::Hot;
use self::record::{Arrived, Key, Record};
use super::skeleton;
use crate::sys;

mod frames;
mod hot;
pub mod record;

/// Frames of a part of a stack, at most: MAX_FRAMES of bpf/hostdiag.h.
const MAX_FRAMES: usize = 127;

/// How stacks are to be counted.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// The kernel's part.
    pub kernel: bool,
    /// The process's part.
    pub user: bool,
    /// Each process has its own.
    pub processes: bool,
    /// Threads of other names have their own, and these are the names.
    pub names: bool,
    /// What is counted.
    pub measure: Measure,
    /// Where they begin.
    pub at: At,
    /// Only what led to an event: not the process that an interrupt came upon.
    pub causes: bool,
    /// It is told where in its function a frame is. Else all frames of one are the same.
    pub places: bool,
    /// It is told when events were. Else they are counted all at once, at the end.
    pub times: bool,
    /// So many different ones at most.
    pub max_stacks: u32,
}

/// So many different stacks are kept, unless it is said otherwise.
pub const MOST: u32 = 65_536;

impl Options {
    /// Events by what led to them, in the kernel and in the process.
    pub fn of_events(at: At) -> Self {
        Self {
            kernel: true,
            user: true,
            processes: false,
            names: false,
            measure: Measure::Events,
            at,
            causes: false,
            places: true,
            times: true,
            max_stacks: MOST,
        }
    }

    /// What CPUs do, by process and name of the thread.
    pub fn of_samples() -> Self {
        Self { processes: true, names: true, ..Self::of_events(At::Sample) }
    }
}

/// Where stacks begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// At a function, or an event of the kernel.
    Function,
    /// Wherever a CPU is, also outside of the kernel.
    Sample,
    /// At a raw tracepoint, whose stacks have our program in them.
    RawTracepoint,
}

/// What is counted of a stack.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Measure {
    /// How often it was seen.
    #[default]
    Events,
    /// Nanoseconds.
    Time,
}

/// Sets up bpf/stack.bpf.h in a skeleton that is open, with so many rows of scratch
/// memory for each CPU.
macro_rules! set_up {
    ($open:expr, $options:expr, $rows:expr) => {{
        $open.maps.counts.set_max_entries($options.max_stacks.max(1))?;
        $open.maps.stacks.set_max_entries($crate::probe::stack::ring_bytes())?;
        let cpus = $crate::probe::skeleton::possible_cpus();
        $open.maps.scratch.set_max_entries($rows * cpus)?;
        if let Some(rodata) = $open.maps.rodata_data.as_deref_mut() {
            rodata.secrets = $crate::probe::stack::secrets();
            rodata.possible_cpus = cpus;
            rodata.with_kernel = $options.kernel.into();
            rodata.with_user = $options.user.into();
            rodata.by_process = $options.processes.into();
            rodata.by_name = $options.names.into();
        }
    }};
}
pub(crate) use set_up;

/// Bytes of the ring that stacks come through: so many CPUs see new ones at a time.
/// It is mapped twice, one behind the other, all of it at once.
pub(crate) fn ring_bytes() -> u32 {
    skeleton::possible_cpus().clamp(2, 64).next_power_of_two() << 18
}

/// Numbers that nobody else knows, two for each word of a stack.
pub(crate) fn secrets<const WORDS: usize>() -> [[u64; 2]; WORDS] {
    use std::hash::{BuildHasher, RandomState};
    let random = RandomState::new();
    std::array::from_fn(|word| [0, 1].map(|side| random.hash_one((word, side))))
}

/// What stacks were counted at, by slot.
pub struct Sources<'a> {
    /// Functions and events, by their index; none where stacks are of something else.
    pub functions: Vec<&'a Function>,
    /// The index of each slot.
    pub indexes: &'a HashMap<u32, usize>,
}

impl Sources<'_> {
    fn function(&self, slot: u32) -> Option<&Function> {
        self.functions.get(*self.indexes.get(&slot)?).copied()
    }

    /// The index as counts have it: nothing where there is but one.
    fn index(&self, slot: u32) -> Option<u32> {
        let index = self.indexes.get(&slot).filter(|_| self.indexes.len() > 1);
        index.and_then(|index| u32::try_from(*index).ok())
    }
}

/// `struct stack_count` of bpf/hostdiag.h.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    events: u64,
    time: u64,
}

impl Counted {
    fn decode(value: &[u8]) -> Self {
        let word = |index: usize| value.as_chunks().0.get(index).map_or(0, |word| u64::from_ne_bytes(*word));
        Self { events: word(0), time: word(1) }
    }
}

/// A stack that has its names.
struct Known {
    key: StackKey,
    /// It is deeper than what is walked.
    cut: bool,
    /// What was measured of it at the last reading.
    before: u64,
}

/// What a reading comes to.
#[derive(Default)]
struct Reading {
    measure: Measure,
    more: StackCounts,
    events: Events,
}

impl Reading {
    /// What is counted now of a stack, which may be deeper than what is walked.
    fn take(&mut self, (key, cut): (&StackKey, bool), now: Counted, before: &mut u64) {
        self.events.known += now.events;
        self.events.cut += if cut { now.events } else { 0 };
        let measured = match self.measure {
            Measure::Events => now.events,
            Measure::Time => now.time,
        };
        let since = measured.saturating_sub(std::mem::replace(before, measured));
        if since > 0 {
            self.more.add(key.clone(), since);
        }
    }
}

/// Stacks that have come, with their names.
pub struct Collector {
    ring: RingBuffer<'static>,
    /// The map that the ring is of.
    map: OwnedFd,
    /// What came through the ring and has no names yet.
    arrived: Rc<RefCell<Vec<Arrived>>>,
    options: Options,
    naming: Naming,
    table: StackTable,
    /// As far as the table was handed on.
    mark: Mark,
    known: foldhash::HashMap<Key, Known>,
    hot: Hot,
    /// Names of processes and threads, each once.
    comms: foldhash::HashSet<Arc<str>>,
    /// Events that were read: with which stacks.
    events: Events,
}

/// Events by what is known of their stacks.
#[derive(Clone, Copy, Debug, Default)]
struct Events {
    known: u64,
    /// Of these those with a stack that is deeper than what is walked.
    cut: u64,
    /// With a stack that has not been handed over. It may still be.
    not_handed_over: u64,
}

impl Collector {
    /// Of the maps `stacks` and `.data.hot`. `entries`: where the traced functions begin, by slot.
    ///
    /// # Errors
    /// The ring cannot be opened.
    pub fn new(
        (stacks, hot): (&dyn MapCore, &dyn MapCore),
        options: Options,
        entries: HashMap<u32, u64>,
    ) -> Result<Self> {
        let arrived: Rc<RefCell<Vec<Arrived>>> = Rc::default();
        let ring = ring(stacks, arrived.clone()).context("failed to open the ring of stacks")?;
        let mut naming = Naming::new(options, entries);
        // Not while stacks wait.
        if options.kernel {
            naming.symbols.prepare_kernel();
        }
        let table = StackTable::new();
        Ok(Self {
            mark: table.mark(),
            known: foldhash::HashMap::default(),
            hot: Hot::of(hot).context("failed to map the stacks that are seen most")?,
            comms: foldhash::HashSet::default(),
            events: Events::default(),
            ring,
            map: stacks.as_fd().try_clone_to_owned().context("failed to keep the ring of stacks")?,
            arrived,
            options,
            naming,
            table,
        })
    }

    /// Can be read when there is something for [`Self::drain`].
    pub fn arrivals(&self) -> BorrowedFd<'_> {
        self.map.as_fd()
    }

    /// Takes what has come, and what its processes need for names.
    pub fn drain(&mut self) {
        let before = self.arrived.borrow().len();
        // It fails only where a callback does.
        let _ = self.ring.consume();
        let arrived = self.arrived.borrow();
        for record in arrived.iter().skip(before).filter_map(Arrived::record) {
            self.hot.add(&record.key);
            if self.options.user {
                self.naming.symbols.hold(record.program, record.place());
            }
        }
    }

    /// What the map `counts` has more than at the last call; `last`: it grows no more.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(&mut self, counts: &impl MapCore, sources: &Sources<'_>, last: bool) -> Result<StackCounts> {
        // First: to give names takes time, in which more is counted.
        let all = self.options.times || last;
        let entries = match all {
            true => sys::map_entries::<16, 24>(counts).context("failed to read the counts")?,
            false => Vec::new(),
        };
        self.drain();
        self.name_arrived(sources);
        self.naming.symbols.forget_ended();
        let mut reading = Reading { measure: self.options.measure, ..Reading::default() };
        for (hash, value) in entries {
            let now = Counted::decode(&value);
            match self.known.get_mut(&hash) {
                Some(Known { key, cut, before }) => reading.take((key, *cut), now, before),
                None => reading.events.not_handed_over += now.events,
            }
        }
        for (hash, now, before) in self.hot.stacks().filter(|_| all) {
            if let Some(Known { key, cut, .. }) = self.known.get(hash) {
                reading.take((key, *cut), now, before);
            }
        }
        self.events = reading.events;
        Ok(reading.more)
    }

    /// Gives names to the stacks that have come. That takes long enough for other
    /// processes to end, so what comes meanwhile is taken in between.
    fn name_arrived(&mut self, sources: &Sources<'_>) {
        let mut records = std::mem::take(&mut *self.arrived.borrow_mut());
        records
            .retain(|arrived| arrived.record().is_some_and(|record| !self.known.contains_key(&record.key)));
        // The last first, which then take no memory any more.
        records.sort_by_key(|record| Reverse(record.pid));
        while let Some(pid) = records.last().map(|record| record.pid) {
            let of_process = records.split_off(records.partition_point(|record| record.pid > pid));
            let of_process: Vec<Record<'_>> = of_process.iter().filter_map(Arrived::record).collect();
            self.name(&of_process, sources);
            self.drain();
        }
    }

    fn name(&mut self, records: &[Record<'_>], sources: &Sources<'_>) {
        let named = self.naming.name(records, &|slot| sources.function(slot), &mut self.table);
        for (record, Named { stack, cut }) in records.iter().zip(named) {
            let key = StackKey {
                stack,
                function: sources.index(record.slot),
                pid: self.options.processes.then_some(record.program.pid),
                comm: self.options.processes.then(|| self.comm(&String::from_utf8_lossy(record.comm))),
            };
            self.known.insert(record.key, Known { key, cut, before: 0 });
        }
    }

    fn comm(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.comms.get(name) {
            return known.clone();
        }
        let new: Arc<str> = name.into();
        self.comms.insert(new.clone());
        new
    }

    /// The stacks that were named since the last call, where they are new.
    pub fn additions(&mut self) -> Additions {
        let before = std::mem::replace(&mut self.mark, self.table.mark());
        self.table.since(before)
    }

    /// Events that were counted, as far as they were read.
    pub fn events(&self) -> u64 {
        self.events.known + self.events.not_handed_over
    }

    /// Events that were counted with a stack that user space was not given.
    pub fn not_handed_over(&self) -> u64 {
        self.events.not_handed_over
    }

    /// Events with a stack that is deeper than what is walked.
    pub fn cut(&self) -> u64 {
        self.events.cut
    }
}

fn ring(map: &dyn MapCore, arrived: Rc<RefCell<Vec<Arrived>>>) -> libbpf_rs::Result<RingBuffer<'static>> {
    let mut builder = RingBufferBuilder::new();
    builder.add(map, move |bytes| {
        arrived.borrow_mut().extend(Arrived::of(bytes));
        0
    })?;
    builder.build()
}

/// What each CPU has counted in the map `scratch`, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events.
    pub entries: u64,
    /// Those whose stack found no room.
    pub no_room: u64,
    /// Those that came while another had the memory, not among the events.
    pub nested: u64,
}

impl Totals {
    /// Reads the map `scratch`.
    pub fn of(scratch: &impl MapCore) -> Self {
        let row = |row: u32| scratch.lookup(&row.to_ne_bytes(), MapFlags::ANY).ok().flatten();
        let mut sums = [0; 3];
        for scratch in (0..scratch.max_entries()).filter_map(row) {
            for (sum, word) in sums.iter_mut().zip(scratch.as_chunks().0) {
                *sum += u64::from_ne_bytes(*word);
            }
        }
        let [entries, no_room, nested] = sums;
        Self { entries, no_room, nested }
    }
}
