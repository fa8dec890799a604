//! Times calls, bpf/funclatency.bpf.c.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

use anyhow::{Context, Result};
use hostdiag_model::Histogram;
use hostdiag_model::trace::{
    Accounting, By, Filter, Group, Latency, Mechanism, Payload, Storage, Timing, latency,
};
use libbpf_rs::skel::{OpenSkel, SkelBuilder};
use libbpf_rs::{MapCore, MapFlags, OpenObject};

use self::skel::{FunclatencySkel, FunclatencySkelBuilder, OpenFunclatencySkel};
use super::attach::{Programs, Sides};
use super::records::Records;
use super::records::layout::Layout;
use super::run::Tool;
use super::skeleton::{self, skeleton};
use super::targets::{Done, Targets};
use super::{quietly, refused};
use crate::sys::Counters;

skeleton!("funclatency");

/// The programs, for people.
const WHAT: &str = "the programs that time calls";

/// Most groups with `--by`, the one of all others included.
const GROUPS: u32 = 1024;

/// Room for so many calls under way at a time, unless it is said otherwise.
pub const ACTIVE: u32 = 10_240;
/// Memory for histograms, likewise, in MiB.
pub const MEMORY_MIB: u64 = 64;

/// What is counted and in how much memory.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// What is counted apart.
    pub timing: Timing,
    /// Bytes that histograms may take.
    pub max_memory: u64,
    /// Calls under way at a time that there is room for.
    pub max_active: u32,
}

/// Programs that time calls, attached.
pub struct Timed<'a> {
    skel: FunclatencySkel<'a>,
    records: Records,
    accounts: Counters,
    options: Options,
    /// Each group's histogram at the last reading.
    before: HashMap<u32, Histogram>,
    /// The index of each function in the recording, by its slot.
    indexes: HashMap<u32, u32>,
    /// What was attached; taken by who wants to detach.
    pub done: Done,
}

impl<'a> Timed<'a> {
    /// Loads the programs and attaches them; they count once the gate is open.
    ///
    /// # Errors
    /// A [`crate::fail::Failure`]: the kernel refuses the programs, or every way
    /// to attach them, or there is too little memory for the histograms.
    pub fn start(
        storage: &'a mut MaybeUninit<OpenObject>,
        targets: Targets,
        filter: &Filter,
        options: Options,
    ) -> Result<Self> {
        let layout = Self::layout(&targets, options)?;
        let (skel, warnings) = quietly(|| load(storage, &targets, filter, (layout, options)));
        let skel = skel.map_err(|error| refused(WHAT, &error, &warnings))?;
        skeleton::fill!(skel, filter)?;
        skeleton::fill_unused(
            &skel.maps.unused,
            if options.timing.by.is_some() { layout.groups } else { 1 },
        )?;
        let records = Counters::map(skel.maps.records.as_fd(), layout.words())
            .context("failed to map the histograms")?;
        let accounts = Counters::map(skel.maps.accounts.as_fd(), layout.shards as usize * Account::WORDS)
            .context("failed to map the accounts")?;
        let programs = programs(&skel, &targets);
        let done = targets.attach(&programs)?;
        let indexes = (0..).zip(&done.slots).map(|(index, slot)| (*slot, index)).collect();
        let records = Records::new(records, layout);
        Ok(Self { skel, records, accounts, options, before: HashMap::new(), indexes, done })
    }

    /// The memory that histograms of these functions take.
    ///
    /// # Errors
    /// `too-many-functions` where there is too little.
    fn layout(targets: &Targets, options: Options) -> Result<Layout> {
        let functions = u32::try_from(targets.functions.len()).unwrap_or(u32::MAX);
        let groups = match (options.timing.by, options.timing.each_function) {
            (Some(_), _) => GROUPS,
            (None, true) => functions,
            (None, false) => 1,
        };
        Ok(Layout::of(groups, skeleton::possible_cpus(), options.max_memory)?)
    }

    /// What was chosen, for the recording.
    pub fn storage(&self) -> Storage {
        let layout = self.records.layout();
        Storage {
            shards: layout.shards,
            histograms: layout.groups,
            sub_bits: layout.resolution,
            bytes: layout.bytes(),
            max_active: self.options.max_active,
        }
    }

    /// Every histogram that may have something in it: its place and what it is of.
    fn groups(&self) -> Vec<(u32, Option<u32>, Option<Group>)> {
        let Timing { by, each_function, .. } = self.options.timing;
        let Some(by) = by else {
            let each = self.indexes.iter().map(|(slot, index)| (*slot, Some(*index), None));
            return if each_function { each.collect() } else { vec![(0, None, None)] };
        };
        let names = self.skel.maps.names.keys().filter_map(|key| {
            let group = self.skel.maps.names.lookup(&key, MapFlags::ANY).ok()??;
            let name = Name::of(&key)?;
            let function = each_function.then(|| self.indexes.get(&name.function).copied()).flatten();
            Some((u32::from_ne_bytes(group.try_into().ok()?), function, Some(name.group(by))))
        });
        names.chain([(0, None, Some(Group::Other))]).collect()
    }

    fn account_of(&self, term: Account) -> u64 {
        let shards = 0..self.records.layout().shards as usize;
        shards.map(|shard| self.accounts.get(shard * Account::WORDS + term as usize)).sum()
    }
}

/// `struct account` of bpf/funclatency.bpf.c.
#[derive(Clone, Copy)]
enum Account {
    Entries,
    StartLost,
    ReturnMissed,
}

impl Account {
    const WORDS: usize = 8;
}

/// `struct name` of bpf/funclatency.bpf.c.
struct Name {
    comm: [u8; 16],
    number: u32,
    function: u32,
}

impl Name {
    fn of(bytes: &[u8]) -> Option<Self> {
        let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self { comm: bytes.get(..16)?.try_into().ok()?, number: number(16)?, function: number(20)? })
    }

    fn group(&self, by: By) -> Group {
        match by {
            By::Cpu => Group::Cpu(self.number),
            By::Pid => Group::Pid(self.number),
            By::Comm => {
                let name = self.comm.split(|byte| *byte == 0).next().unwrap_or_default();
                Group::Comm(String::from_utf8_lossy(name).into_owned())
            }
        }
    }
}

fn programs<'a>(skel: &'a FunclatencySkel<'_>, targets: &Targets) -> Programs<'a> {
    let progs = &skel.progs;
    let many = targets.want(Mechanism::KprobeMulti);
    let user_many = targets.want(Mechanism::UprobeMulti);
    let user =
        || Sides { entry: Some(progs.enter_user_many.insns()), exit: Some(progs.exit_user_many.insns()) };
    Programs {
        what: WHAT,
        traced: Sides { entry: Some(progs.enter_traced.insns()), exit: Some(progs.exit_traced.insns()) },
        probed: Sides { entry: Some(progs.enter_probed.insns()), exit: Some(progs.exit_probed.insns()) },
        many: many
            .then(|| Sides { entry: Some(progs.enter_many.insns()), exit: Some(progs.exit_many.insns()) }),
        user_many: user_many.then(user),
        session: targets.want(Mechanism::KprobeSession).then(|| progs.session.insns()),
        by_address: None,
    }
}

/// Only the programs that may be attached are relocated.
fn choose(open: &mut OpenFunclatencySkel<'_>, targets: &Targets) {
    let traced = targets.want(Mechanism::Fentry);
    open.progs.enter_traced.set_autoload(traced);
    open.progs.exit_traced.set_autoload(traced);
    let probed = targets.want(Mechanism::Kprobe) || targets.want(Mechanism::Uprobe);
    open.progs.enter_probed.set_autoload(probed);
    open.progs.exit_probed.set_autoload(probed);
    let many = targets.want(Mechanism::KprobeMulti);
    open.progs.enter_many.set_autoload(many);
    open.progs.exit_many.set_autoload(many);
    let user_many = targets.want(Mechanism::UprobeMulti);
    open.progs.enter_user_many.set_autoload(user_many);
    open.progs.exit_user_many.set_autoload(user_many);
    open.progs.session.set_autoload(targets.want(Mechanism::KprobeSession));
}

fn load<'a>(
    storage: &'a mut MaybeUninit<OpenObject>,
    targets: &Targets,
    filter: &Filter,
    (layout, options): (Layout, Options),
) -> libbpf_rs::Result<FunclatencySkel<'a>> {
    let (mut open, types) = skeleton::open_filtered!(FunclatencySkelBuilder, storage, targets.kfuncs());
    choose(&mut open, targets);
    let by = options.timing.by;
    let named = if by.is_some() { layout.groups } else { 1 };
    open.maps.starts.set_max_entries(options.max_active.saturating_mul(2))?;
    open.maps.accounts.set_max_entries(layout.shards)?;
    open.maps.records.set_value_size(layout.record_bytes())?;
    open.maps.records.set_max_entries(layout.shards * layout.groups)?;
    open.maps.names.set_max_entries(named)?;
    open.maps.unused.set_max_entries(named)?;
    skeleton::set_up!(open, targets, (filter, types.kfuncs));
    if let Some(rodata) = open.maps.rodata_data.as_deref_mut() {
        rodata.shard_mask = layout.shards - 1;
        rodata.groups = layout.groups;
        rodata.sub_bits = layout.resolution.sub_bits().into();
        rodata.most_kept = options.max_active.into();
        rodata.each_function = options.timing.each_function.into();
        rodata.by = super::records::by_number(by);
    }
    skeleton::load!(open)
}

impl Tool for Timed<'_> {
    fn gate(&mut self, open: bool) {
        if let Some(data) = self.skel.maps.bss_data.as_deref_mut() {
            data.epoch = self.records.epoch();
            data.ready = open.into();
        }
    }

    fn read(&mut self) -> Result<Payload> {
        self.records.close_epoch(self.skel.maps.bss_data.as_deref_mut().map(|data| &mut data.epoch));
        let mut list = Vec::new();
        for (place, function, group) in self.groups() {
            let Some(now) = self.records.histogram(place) else { continue };
            let since = match self.before.get(&place) {
                Some(before) => now.since(before),
                None => Some(now.clone()),
            };
            if let Some(mut histogram) = since.filter(|histogram| histogram.count() > 0) {
                self.records.set_extremes(&mut histogram, place);
                list.push(Latency { function, group, histogram });
                self.before.insert(place, now);
            }
        }
        Ok(Payload::Latency(latency::merged(list)))
    }

    fn programs(&self) -> Vec<BorrowedFd<'_>> {
        self.done.attached.programs().collect()
    }

    fn account(&self) -> Accounting {
        let in_flight = self.has_table().then(|| self.under_way());
        let returns = self.before.values().map(Histogram::count).sum();
        Accounting { returns: Some(returns), in_flight, ..self.terms() }
    }

    fn lost(&self) -> u64 {
        self.terms().losses().map(|(_, lost)| lost).sum()
    }
}

impl Timed<'_> {
    /// A session has no table of starts, so that nothing can get lost in it.
    fn has_table(&self) -> bool {
        self.done.attach.iter().all(|attach| attach.mechanism != Mechanism::KprobeSession)
    }

    /// Calls that have a start: the place of one that is over holds 0.
    fn under_way(&self) -> u64 {
        let starts = &self.skel.maps.starts;
        let start = |key: Vec<u8>| starts.lookup(&key, MapFlags::ANY).ok().flatten();
        starts.keys().filter_map(start).filter(|start| start.iter().any(|byte| *byte != 0)).count() as u64
    }

    /// What is counted as it happens.
    fn terms(&self) -> Accounting {
        let in_table = |term| self.has_table().then(|| self.account_of(term));
        Accounting {
            entries: Some(self.account_of(Account::Entries)),
            start_lost: in_table(Account::StartLost),
            return_missed: in_table(Account::ReturnMissed),
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
    fn names_are_those_of_the_programs() {
        let mut key = [0; 24];
        key[..4].copy_from_slice(b"java");
        key[16..20].copy_from_slice(&7_u32.to_ne_bytes());
        key[20..].copy_from_slice(&3_u32.to_ne_bytes());
        let name = Name::of(&key).unwrap();
        assert_eq!(name.function, 3);
        assert_eq!(name.group(By::Comm), Group::Comm("java".into()));
        assert_eq!(name.group(By::Pid), Group::Pid(7));
        assert_eq!(name.group(By::Cpu), Group::Cpu(7));
        assert!(Name::of(&key[1..]).is_none());
    }
}
