//! Counts timers by what they call, bpf/timer_names.bpf.c.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use hostdiag_model::Histogram;
use hostdiag_model::stacks::{StackCounts, StackKey};
use hostdiag_model::trace::{
    Accounting, Asked, AskedTimers, Attach, Filter, Function, Head, Mechanism, Payload, Reason, Timer,
    TimerCount, timers,
};
use libbpf_rs::OpenObject;
use libbpf_rs::skel::{OpenSkel, Skel, SkelBuilder};
use nix::sys::time::TimeValLike;
use nix::time::{ClockId, clock_getres};

use self::name::{Name, Naming, Trampolines};
use self::skel::{TimerNamesSkel, TimerNamesSkelBuilder};
use super::records::Records;
use super::records::layout::Layout;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::stack::{self, At, Collector, Sources, Totals};
use super::{quietly, refused};
use crate::sys::{self, Counters};

mod name;

skeleton!("timer_names");

/// Most rows, the one of all others included.
const ROWS: u32 = 1024;
/// Bytes that the histograms of all rows may take.
const MAX_MEMORY: u64 = 64 << 20;
/// Bytes of a ring that nothing goes through: the least, a page.
const NO_RING: u32 = 4096;
/// The tracepoints that are attached to, in this order; the last only where expiry
/// is asked for.
const EVENTS: [&str; 8] = [
    "timer:timer_start",
    "timer:timer_cancel",
    "timer:timer_expire_entry",
    "timer:hrtimer_start",
    "timer:hrtimer_cancel",
    "timer:hrtimer_expire_entry",
    "timer:timer_expire_exit",
    "timer:hrtimer_expire_exit",
];

/// So many timers are followed at a time, unless it is said otherwise.
pub const MOST: u32 = 65_536;

/// What is counted, and of how many.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is counted apart, and whether expiry is looked at.
    pub asked: AskedTimers,
    /// Most timers whose fate is followed at a time.
    pub max_timers: u32,
    /// Most different stacks of starts, where they are asked for.
    pub max_stacks: u32,
}

/// Programs that count timers, attached.
pub struct Counting<'a> {
    skel: TimerNamesSkel<'a>,
    records: Records,
    rows: Counters,
    options: Options,
    naming: Naming,
    /// What each row is of, as far as it has been seen.
    known: HashMap<u32, Timer>,
    /// Each row at the last reading.
    before: HashMap<u32, Seen>,
    /// From where timers are started, by row; absent where it was not asked for.
    stacks: Option<Collector>,
}

/// All that was counted of a row so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Seen {
    started: u64,
    removed: u64,
    expired: u64,
    rearmed: u64,
    histograms: Vec<Histogram>,
}

/// `struct row` of bpf/timer_rows.bpf.h.
#[derive(Clone, Copy)]
enum Row {
    Started,
    Removed,
    Expired,
    Rearmed,
    Untracked,
}

impl Row {
    const WORDS: usize = 8;
}

impl<'a> Counting<'a> {
    /// Loads the programs and attaches them; they count once the gate is open.
    ///
    /// # Errors
    /// A [`crate::fail::Failure`]: the kernel refuses the programs, or to attach them.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        filter: &Filter,
        options: Options,
    ) -> Result<Self> {
        let mut naming = Naming::new(options.asked.by);
        let layout = Layout::of(ROWS * histograms(options), skeleton::possible_cpus(), MAX_MEMORY)?;
        let (skel, warnings) = quietly(|| {
            let mut skel = load(storage, filter, (layout, options), naming.trampolines())?;
            skel.attach()?;
            Ok(skel)
        });
        let skel: TimerNamesSkel<'a> = skel.map_err(|error: libbpf_rs::Error| {
            refused("the programs that count timers", &error, &warnings)
        })?;
        skeleton::fill!(skel, filter)?;
        skeleton::fill_unused(&skel.maps.unused, ROWS)?;
        let records = Counters::map(skel.maps.records.as_fd(), layout.words())
            .context("failed to map the histograms")?;
        let rows = Counters::map(skel.maps.rows.as_fd(), (layout.shards * ROWS) as usize * Row::WORDS)
            .context("failed to map the rows")?;
        let records = Records::new(records, layout);
        let (known, before) = (HashMap::new(), HashMap::new());
        let stacks = match options.asked.start_stacks {
            true => Some(Collector::new(
                (&skel.maps.stacks, &skel.maps.data_hot),
                of_stacks(options),
                HashMap::new(),
            )?),
            false => None,
        };
        Ok(Self { skel, records, rows, options, naming, known, before, stacks })
    }

    /// What a recording begins with.
    pub fn head(&self, asked: Asked) -> Head {
        let attached = if self.options.asked.expiry { EVENTS.len() } else { EVENTS.len() - 2 };
        let function = |name: &&str| Function { name: (*name).to_owned(), ..Function::default() };
        let functions = EVENTS.iter().take(attached).map(function).collect();
        let attach = Attach { mechanism: Mechanism::RawTracepoint, reason: Reason::OnlyWay, functions };
        Head {
            asked: Asked { timers: Some(self.options.asked), ..asked },
            attach: vec![attach],
            ..Head::default()
        }
    }

    /// Gives names to rows that are new.
    fn name(&mut self) -> Result<()> {
        let names = sys::map_entries::<{ Name::BYTES }, 4>(&self.skel.maps.names);
        for (name, row) in names.context("failed to read the rows")? {
            let row = u32::from_ne_bytes(row);
            if !self.known.contains_key(&row) {
                let timer = self.naming.timer(&Name::of(&name));
                self.known.insert(row, timer);
            }
        }
        Ok(())
    }

    fn count(&self, row: u32, counter: Row) -> u64 {
        let shards = 0..self.records.layout().shards;
        let word = |shard: u32| (shard * ROWS + row) as usize * Row::WORDS + counter as usize;
        shards.map(|shard| self.rows.get(word(shard))).sum()
    }

    /// What was counted of a row so far. First what can only be more than what it is
    /// part of when it is read later.
    fn seen(&self, row: u32) -> Option<Seen> {
        let [expired, rearmed] = [Row::Expired, Row::Rearmed].map(|counter| self.count(row, counter));
        let [removed, started] = [Row::Removed, Row::Started].map(|counter| self.count(row, counter));
        let first = row * histograms(self.options);
        let histograms = (first..first + histograms(self.options)).map(|group| self.records.histogram(group));
        Some(Seen { started, removed, expired, rearmed, histograms: histograms.collect::<Option<_>>()? })
    }

    /// The stacks of starts since the last reading, by row.
    fn stacks_since(&mut self) -> Result<HashMap<u32, StackCounts>> {
        let Some(stacks) = &mut self.stacks else { return Ok(HashMap::new()) };
        let indexes = (0..ROWS).map(|row| (row, row as usize)).collect();
        let sources = Sources { functions: Vec::new(), indexes: &indexes };
        let mut rows: HashMap<u32, StackCounts> = HashMap::new();
        for (key, count) in stacks.read(&self.skel.maps.counts, &sources, true)?.iter() {
            let row = rows.entry(key.function.unwrap_or(0)).or_default();
            row.add(StackKey { function: None, ..key.clone() }, count);
        }
        Ok(rows)
    }

    /// What was counted of a row since the last reading.
    fn since(&mut self, row: u32, stacks: Option<StackCounts>) -> Option<TimerCount> {
        let now = self.seen(row)?;
        let before = self.before.get(&row);
        let nothing = (now.started, now.removed) == (0, 0) || before == Some(&now);
        if nothing && stacks.is_none() {
            return None;
        }
        let first = row * histograms(self.options);
        let mut histograms = (0..).zip(&now.histograms).map(|(at, histogram)| {
            let before = before.and_then(|before| before.histograms.get(at as usize));
            let mut since =
                before.map_or_else(|| Some(histogram.clone()), |before| histogram.since(before))?;
            self.records.set_extremes(&mut since, first + at);
            Some(since)
        });
        let (delay, late, run) =
            (histograms.next()??, histograms.next().flatten(), histograms.next().flatten());
        let none = Seen::default();
        let before = before.unwrap_or(&none);
        let count = TimerCount {
            timer: self.known.get(&row).cloned(),
            started: now.started.saturating_sub(before.started),
            removed: now.removed.saturating_sub(before.removed),
            expired: now.expired.saturating_sub(before.expired),
            rearmed: now.rearmed.saturating_sub(before.rearmed),
            delay,
            late,
            run,
            stacks,
        };
        self.before.insert(row, now);
        Some(count)
    }

    fn total(&self, counter: Row) -> u64 {
        (0..ROWS).map(|row| self.count(row, counter)).sum()
    }
}

fn histograms(options: Options) -> u32 {
    if options.asked.expiry { 3 } else { 1 }
}

/// How starts are counted by stack.
fn of_stacks(options: Options) -> stack::Options {
    let max_stacks = if options.asked.start_stacks { options.max_stacks } else { 1 };
    stack::Options { causes: true, max_stacks, ..stack::Options::of_events(At::RawTracepoint) }
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    filter: &Filter,
    (layout, options): (Layout, Options),
    trampolines: Trampolines,
) -> libbpf_rs::Result<TimerNamesSkel<'a>> {
    let mut open = TimerNamesSkelBuilder::default().open(storage)?;
    open.progs.timer_expire_exit.set_autoload(options.asked.expiry);
    open.progs.hrtimer_expire_exit.set_autoload(options.asked.expiry);
    open.maps.armed.set_max_entries(options.max_timers)?;
    open.maps.records.set_value_size(layout.record_bytes())?;
    open.maps.records.set_max_entries(layout.shards * layout.groups)?;
    open.maps.rows.set_max_entries(layout.shards * ROWS)?;
    open.maps.names.set_max_entries(ROWS)?;
    open.maps.unused.set_max_entries(ROWS)?;
    skeleton::set_up_filter!(open, filter);
    // Timers are started without interrupts: one at a time on a CPU.
    stack::set_up!(open, of_stacks(options), 1);
    if !options.asked.start_stacks {
        open.maps.stacks.set_max_entries(NO_RING)?;
    }
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.shard_mask = layout.shards - 1;
        rodata.groups = layout.groups;
        rodata.sub_bits = layout.resolution.sub_bits().into();
        rodata.rows_of_shard = ROWS;
        rodata.histograms = histograms(options);
        rodata.with_stacks = options.asked.start_stacks.into();
        rodata.with_expiry = options.asked.expiry.into();
        rodata.tick_ns = tick_ns();
        rodata.delayed_work_timer_fn = trampolines.delayed_work_timer_fn;
        rodata.process_timeout = trampolines.process_timeout;
        rodata.hrtimer_wakeup = trampolines.hrtimer_wakeup;
        rodata.by = super::records::by_number(options.asked.by);
    }
    open.load()
}

/// Nanoseconds of a jiffy: the resolution of the coarse clocks is TICK_NSEC
/// (posix_get_coarse_res() in kernel/time/posix-timers.c).
fn tick_ns() -> u64 {
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE).ok();
    tick.and_then(|tick| u64::try_from(tick.num_nanoseconds()).ok()).unwrap_or(0)
}

impl Tool for Counting<'_> {
    fn gate(&mut self, open: bool) {
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.epoch = self.records.epoch();
            data.ready = open.into();
        }
    }

    fn read(&mut self) -> Result<Payload> {
        self.records.close_epoch(self.skel.maps.bss_data.as_deref_mut().map(|data| &mut data.epoch));
        // A start is counted before its stack is.
        let mut stacks = self.stacks_since()?;
        self.name()?;
        let mut rows: Vec<u32> = self.known.keys().copied().chain([0]).collect();
        rows.sort_unstable();
        let list: Vec<TimerCount> =
            rows.into_iter().filter_map(|row| self.since(row, stacks.remove(&row))).collect();
        Ok(Payload::Timers(timers::merged(list)))
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        let progs = &self.skel.progs;
        let mut programs = vec![
            progs.timer_start.as_fd(),
            progs.timer_cancel.as_fd(),
            progs.timer_expire_entry.as_fd(),
            progs.hrtimer_start.as_fd(),
            progs.hrtimer_cancel.as_fd(),
            progs.hrtimer_expire_entry.as_fd(),
        ];
        if self.options.asked.expiry {
            programs.extend([progs.timer_expire_exit.as_fd(), progs.hrtimer_expire_exit.as_fd()]);
        }
        programs
    }

    fn account(&self) -> Accounting {
        let [started, removed, untracked] =
            [Row::Started, Row::Removed, Row::Untracked].map(|counter| self.total(counter));
        let totals = Totals::of(&self.skel.maps.scratch);
        // Kernels that do not tell run the programs whatever else runs (before
        // 05b24ff9b2cf, Linux 6.1).
        let missed = |program| sys::program_use(program).ok()?.recursion_missed;
        Accounting {
            entries: Some(started),
            recursion_missed: Some(self.programs().into_iter().filter_map(missed).sum()),
            timer_untracked: Some(untracked),
            stack_lost: self
                .stacks
                .as_ref()
                .map(|stacks| totals.no_room + totals.nested + stacks.not_handed_over()),
            stack_cut: self.stacks.as_ref().map(Collector::cut),
            timer_pending: Some(started.saturating_sub(removed).saturating_sub(untracked)),
            ..Accounting::default()
        }
    }

    fn collector(&mut self) -> Option<&mut Collector> {
        self.stacks.as_mut()
    }
}
