//! Counts values of arguments and returns, bpf/argcount.bpf.c.

use std::collections::{BTreeMap, HashMap};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;

use anyhow::{Context, Result};
use hostdiag_model::Histogram;
use hostdiag_model::histogram::Resolution;
use hostdiag_model::trace::{
    Accounting, Apart, Filter, Group, Latency, Mechanism, Payload, ValueCount, ValueKey, arguments, latency,
};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, MapHandle, OpenObject};

use self::layout::{FEW_WORDS, Key, WORDS};
use self::plan::Bound;
use self::skel::{ArgcountSkel, ArgcountSkelBuilder, OpenArgcountSkel};
use super::attach::{self, Programs};
use super::plan::Sides;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::targets::{Done, Targets};
use super::{quietly, refused};
use crate::sys;

mod layout;
mod plan;

pub use plan::Wanted;

skeleton!("argcount");

/// The programs, for people.
const WHAT: &str = "the programs that count values";

/// Programs that count values, attached.
pub struct Counting<'a> {
    skel: ArgcountSkel<'a>,
    bound: Bound,
    /// Count and sum of each key at the last reading.
    before: HashMap<Key, [u64; 2]>,
    /// The index of each function in the recording, by its slot.
    indexes: HashMap<u32, u32>,
    /// What was attached; taken by who wants to detach.
    pub done: Done,
}

impl<'a> Counting<'a> {
    /// Loads the programs and attaches them; they count once the gate is open.
    ///
    /// # Errors
    /// A [`crate::fail::Failure`]: the kernel refuses the programs, or every way to
    /// attach them.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        targets: Targets,
        filter: &Filter,
        (bound, max_active): (Bound, u32),
    ) -> Result<Self> {
        let (skel, warnings) = quietly(|| load(storage, &targets, filter, (&bound, max_active)));
        let skel = skel.map_err(|error| refused(WHAT, &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        for (slot, plan) in (0_u32..).zip(&bound.plans) {
            let updated = skel.maps.plans.update(&slot.to_ne_bytes(), &plan.bytes(), MapFlags::ANY);
            updated.context("failed to hand over what to fetch")?;
        }
        let programs = programs(&skel, &targets, bound.sides)?;
        let done = targets.attach(&programs)?;
        let indexes = (0..).zip(&done.slots).map(|(index, slot)| (*slot, index)).collect();
        Ok(Self { skel, bound, before: HashMap::new(), indexes, done })
    }

    /// What was counted since the last reading: of each key how often, and the sum of
    /// its values.
    fn counted(&mut self) -> Result<Vec<(Key, [u64; 2])>> {
        let map = &self.skel.maps.counts;
        let read = "failed to read the counts";
        let entries: Vec<(Key, [u8; 16])> = match self.bound.layout.words {
            FEW_WORDS => {
                let entries = sys::map_entries::<{ FEW_WORDS * 8 }, 16>(map).context(read)?;
                entries.into_iter().map(|(key, value)| (Key::of(&key), value)).collect()
            }
            _ => {
                let entries = sys::map_entries::<{ WORDS * 8 }, 16>(map).context(read)?;
                entries.into_iter().map(|(key, value)| (Key::of(&key), value)).collect()
            }
        };
        let mut counted = Vec::new();
        for (key, value) in entries {
            let [count, sum] = value.as_chunks().0 else { continue };
            let now = [*count, *sum].map(u64::from_ne_bytes);
            let before = self.before.insert(key, now).unwrap_or_default();
            if now[0] > before[0] {
                counted.push((key, [now[0] - before[0], now[1].wrapping_sub(before[1])]));
            }
        }
        Ok(counted)
    }

    /// What a key is of, beside its values.
    fn apart(&self, key: &Key) -> (Option<u32>, Option<String>) {
        match self.bound.arguments.by {
            None => (None, None),
            Some(Apart::Func) => (self.indexes.get(&key.slot()).copied(), None),
            Some(Apart::Comm) => (None, Some(key.comm())),
        }
    }

    fn values(&self, counted: &[(Key, [u64; 2])]) -> Vec<ValueCount> {
        let columns = &self.bound.arguments.columns;
        arguments::merged(counted.iter().map(|(key, [count, _])| {
            let values = self.bound.layout.places.iter().zip(columns).zip(&self.bound.signed);
            let values = values.map(|((place, column), signed)| key.value(*place, column, *signed));
            let (function, comm) = self.apart(key);
            ValueCount { key: ValueKey { function, comm, values: values.collect() }, count: *count }
        }))
    }

    fn distribution(&self, counted: &[(Key, [u64; 2])]) -> Vec<Latency> {
        let slots = Resolution::FINEST.slots() as usize;
        let mut groups: BTreeMap<_, (Vec<u64>, u64)> = BTreeMap::new();
        for (key, [count, sum]) in counted {
            let (counts, total) = groups.entry(self.apart(key)).or_insert_with(|| (vec![0; slots], 0));
            let slot = self.bound.layout.places.first().map_or(0, |place| key.word(*place));
            if let Some(place) = usize::try_from(slot).ok().and_then(|slot| counts.get_mut(slot)) {
                *place += count;
                *total = total.saturating_add(*sum);
            }
        }
        latency::merged(groups.into_iter().filter_map(|((function, comm), (counts, sum))| {
            let histogram = Histogram::from_counts(Resolution::FINEST, &counts, sum)?;
            Some(Latency { function, group: comm.map(Group::Comm), histogram })
        }))
    }

    /// Sums of what each CPU has in its scratch memory.
    fn terms(&self) -> [u64; Term::COUNT] {
        let map = &self.skel.maps.scratch;
        let rows = 0..map.max_entries();
        let row = |row: u32| map.lookup_percpu(&row.to_ne_bytes(), MapFlags::ANY).ok().flatten();
        let mut sums = [0; Term::COUNT];
        for scratch in rows.filter_map(row).flatten() {
            for (sum, word) in sums.iter_mut().zip(scratch.as_chunks().0) {
                *sum += u64::from_ne_bytes(*word);
            }
        }
        sums
    }
}

/// The first words of `struct scratch` of bpf/steps.bpf.h.
#[derive(Clone, Copy)]
enum Term {
    Entries,
    Returns,
    StartLost,
    ReturnMissed,
    ValuesLost,
    Unmatched,
    Undecided,
    Unreadable,
    BelowZero,
    Nested,
}

impl Term {
    const COUNT: usize = Self::Nested as usize + 1;
}

fn programs<'a>(skel: &'a ArgcountSkel<'_>, targets: &Targets, sides: Sides) -> Result<Programs<'a>> {
    let progs = &skel.progs;
    let many = targets.want(Mechanism::KprobeMulti);
    let user_many = targets.want(Mechanism::UprobeMulti);
    let by_address = match targets.wants_by_address() {
        number if number > 0 && sides == Sides::Entry => {
            Some((progs.by_address.insns(), MapHandle::try_from(&skel.maps.slots)?))
        }
        _ => None,
    };
    Ok(Programs {
        what: WHAT,
        traced: attach::Sides::of(sides, progs.enter_traced.insns(), progs.exit_traced.insns()),
        probed: attach::Sides::of(sides, progs.enter_probed.insns(), progs.exit_probed.insns()),
        many: many.then(|| attach::Sides::of(sides, progs.enter_many.insns(), progs.exit_many.insns())),
        user_many: user_many
            .then(|| attach::Sides::of(sides, progs.enter_user_many.insns(), progs.exit_user_many.insns())),
        session: targets.want(Mechanism::KprobeSession).then(|| progs.session.insns()),
        by_address,
    })
}

/// Only the programs that may be attached are relocated.
fn choose(open: &mut OpenArgcountSkel<'_>, targets: &Targets, sides: Sides) {
    let (entry, exit) = (sides != Sides::Return, sides != Sides::Entry);
    let progs = &mut open.progs;
    let traced = targets.want(Mechanism::Fentry);
    progs.enter_traced.set_autoload(traced && entry);
    progs.exit_traced.set_autoload(traced && exit);
    let probed = [Mechanism::Kprobe, Mechanism::Uprobe, Mechanism::Tracepoint];
    let probed = probed.into_iter().any(|mechanism| targets.want(mechanism));
    progs.enter_probed.set_autoload(probed && entry);
    progs.exit_probed.set_autoload(probed && exit);
    let many = targets.want(Mechanism::KprobeMulti);
    progs.enter_many.set_autoload(many && entry);
    progs.exit_many.set_autoload(many && exit);
    let user_many = targets.want(Mechanism::UprobeMulti);
    progs.enter_user_many.set_autoload(user_many && entry);
    progs.exit_user_many.set_autoload(user_many && exit);
    progs.session.set_autoload(targets.want(Mechanism::KprobeSession));
    progs.by_address.set_autoload(targets.wants_by_address() > 0 && sides == Sides::Entry);
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    targets: &Targets,
    filter: &Filter,
    (bound, max_active): (&Bound, u32),
) -> libbpf_rs::Result<ArgcountSkel<'a>> {
    let (mut open, types) = skeleton::open!(ArgcountSkelBuilder, storage);
    choose(&mut open, targets, bound.sides);
    open.maps.slots.set_max_entries(targets.address_room())?;
    let rows = targets.scratch_rows();
    let joined = bound.sides == Sides::Both;
    open.maps.plans.set_max_entries(bound.plans.len().max(1).try_into().unwrap_or(u32::MAX))?;
    open.maps.counts.set_key_size((bound.layout.words * 8) as u32)?;
    open.maps.counts.set_max_entries(bound.arguments.max_values.max(1))?;
    open.maps.starts.set_max_entries(if joined { max_active } else { 1 })?;
    open.maps.scratch.set_max_entries(rows)?;
    skeleton::set_up!(open, targets, (filter, types.kfuncs));
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.records = bound.records.into();
        rodata.only_returns = (bound.sides == Sides::Return).into();
        rodata.joined = joined.into();
        let sides = bound.plans.iter().flat_map(|plan| [plan.entry.len(), plan.exit.len()]);
        rodata.most_steps = sides.max().unwrap_or(0) as u32;
        rodata.by_function = (bound.arguments.by == Some(Apart::Func)).into();
        rodata.by_command = bound.layout.by_command.into();
        rodata.row_mask = rows - 1;
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
        let counted = self.counted()?;
        Ok(match self.bound.arguments.histogram {
            true => Payload::Distribution(self.distribution(&counted)),
            false => Payload::Values(self.values(&counted)),
        })
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        self.done.attached.programs().collect()
    }

    fn account(&self) -> Accounting {
        let terms = self.terms();
        let term = |term: Term| terms[term as usize];
        let when = |is: bool, of: Term| is.then(|| term(of));
        let (sides, arguments) = (self.bound.sides, &self.bound.arguments);
        let (joined, condition) = (sides == Sides::Both, arguments.condition.is_some());
        let seen = term(Term::Nested) + skeleton::busy_missed(&self.skel.maps.busy);
        Accounting {
            entries: when(sides != Sides::Return, Term::Entries),
            returns: when(sides != Sides::Entry, Term::Returns),
            start_lost: when(joined, Term::StartLost),
            return_missed: when(joined, Term::ReturnMissed),
            in_flight: joined.then(|| self.skel.maps.starts.keys().count() as u64),
            recursion_missed: self.done.recursion_missed(seen),
            link_missed: self.done.attached.missed(),
            values_lost: Some(term(Term::ValuesLost)),
            unmatched: when(condition, Term::Unmatched),
            undecided: when(condition, Term::Undecided),
            unreadable: when(arguments.histogram, Term::Unreadable),
            below_zero: when(arguments.histogram, Term::BelowZero),
            ..Accounting::default()
        }
    }
}
