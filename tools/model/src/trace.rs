//! What a tracing tool was asked for, what it attached to, and what it counted.
//!
//! In a recording (`recording.rs`) a [`Trace`] is a line `trace`, a line `window`
//! for each stretch of time, and at the end a line `accounting` and, where it was
//! measured, a line `overhead`. Stacks that windows name are in lines `stacks`
//! before them.

use serde::{Deserialize, Serialize};

use crate::stacks::StackTable;

pub mod arguments;
mod attach;
pub mod latency;
mod profile;
pub mod timers;
mod window;

pub use arguments::{Apart, Arguments, Column, Form, Value, ValueCount, ValueKey};
pub use attach::{Attach, Function, Mechanism, Reason, SkipReason, Skipped};
pub use latency::{By, Group, Latency, Storage, Timing};
pub use profile::{Profile, Samples, Waiting};
pub use timers::{AskedTimers, Owner, Timer, TimerCount, TimerKind};
pub use window::{MAX_WINDOWS, Payload, Window, Windows};

/// Everything of one run of a tracing tool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// What was asked for and what was attached.
    pub head: Head,
    /// The stacks that were counted; empty where they were not asked for.
    pub stacks: StackTable,
    /// What was counted, in the order of time. Empty where nothing was attached
    /// (`--list`).
    pub windows: Windows,
    /// What was counted and lost in all; absent where the run did not end.
    pub accounting: Option<Accounting>,
    /// What our own programs cost; absent where it was not measured.
    pub overhead: Option<Overhead>,
}

/// The line `trace`: known before anything is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// What was asked for.
    pub asked: Asked,
    /// What was attached, by mechanism. A function's index in the windows is its
    /// place in these lists, one behind the other.
    pub attach: Vec<Attach>,
    /// What matched and was not attached.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// What durations were counted in; only `funclatency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Storage>,
}

impl Head {
    /// Every attached function, by its index.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.attach.iter().flat_map(|attach| &attach.functions)
    }
}

/// What was typed, as far as a renderer needs it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Patterns as typed; none where a tool takes none.
    pub patterns: Vec<String>,
    /// Milliseconds between two blocks of the result; absent: one block at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval_ms: Option<u64>,
    /// Each block begins with the time.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timestamp: bool,
    /// Counts are shown as rates too.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rate: bool,
    /// How stacks are shown.
    #[serde(default, skip_serializing_if = "is_default")]
    pub stacks: AskedStacks,
    /// Only so many rows, the largest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top: Option<u32>,
    /// What is to be shown of durations; only `funclatency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timing: Option<Timing>,
    /// What is to be shown of timers; only `timer-names`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timers: Option<AskedTimers>,
    /// What is counted of calls; only `argcount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arguments: Option<Arguments>,
    /// What stacks are of; only `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// The host's time zone when the run began, seconds east of UTC.
    #[serde(default, skip_serializing_if = "is_default")]
    pub utc_offset_s: i32,
    /// Which events were counted.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filter: Filter,
}

/// How stacks are to be counted and shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedStacks {
    /// Each process has its own.
    #[serde(skip_serializing_if = "is_default")]
    pub processes: bool,
    /// Offsets behind the names of functions.
    #[serde(skip_serializing_if = "is_default")]
    pub offsets: bool,
    /// Addresses before them.
    #[serde(skip_serializing_if = "is_default")]
    pub addresses: bool,
    /// A line between the kernel's part and the process's.
    #[serde(skip_serializing_if = "is_default")]
    pub delimiter: bool,
    /// One line a stack.
    #[serde(skip_serializing_if = "is_default")]
    pub folded: bool,
    /// As bcc's stackcount has it.
    #[serde(skip_serializing_if = "is_default")]
    pub bcc: bool,
}

/// Which events count; what is empty or absent does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Processes, by their PID where hostdiag ran: on the host, or in a container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pids: Vec<u32>,
    /// Threads likewise.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tids: Vec<u32>,
    /// Command name of the thread, at most 15 bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// Path of a cgroup (version 2); those below it count too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// CPUs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u32>,
}

/// What was counted and what was lost in all. Each term is counted on its own;
/// an absent one is not counted by this kernel or does not occur with this tool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accounting {
    /// Why the run ended.
    pub ended: Ended,
    /// What was traced and went away while the run went on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Gone>,
    /// Calls that were counted when they began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Calls that were counted when they returned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<u64>,
    /// Calls whose start could not be kept: the table was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_lost: Option<u64>,
    /// Calls whose return was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_missed: Option<u64>,
    /// Calls that had not returned at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u64>,
    /// Times the kernel did not run our program because one was running on that
    /// CPU already (`bpf_prog_info.recursion_misses`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recursion_missed: Option<u64>,
    /// Calls that the probe itself missed (`missed` of `bpf_link_info`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_missed: Option<u64>,
    /// Calls whose stack could not be kept: they are counted in `entries` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_lost: Option<u64>,
    /// Calls with a stack that is deeper than what is walked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack_cut: Option<u64>,
    /// Timers whose fate is not known: the table of those that are armed was full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_untracked: Option<u64>,
    /// Timers that were still armed at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer_pending: Option<u64>,
    /// Calls whose values found no room in the table; only `argcount`, as the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_lost: Option<u64>,
    /// Calls that did not meet the condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unmatched: Option<u64>,
    /// Calls of which could not be read whether they meet it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<u64>,
    /// Calls whose value is in no histogram because it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<u64>,
    /// Calls whose value is in no histogram because it is below 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below_zero: Option<u64>,
    /// Samples that were due and did not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_missed: Option<u64>,
    /// What came of sampling; only `profile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<Samples>,
}

impl Accounting {
    /// Everything that was lost, with its name in the recording; not calls in
    /// flight, deep stacks and values below 0, which are counted.
    pub fn losses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        [
            ("start_lost", self.start_lost),
            ("return_missed", self.return_missed),
            ("recursion_missed", self.recursion_missed),
            ("link_missed", self.link_missed),
            ("stack_lost", self.stack_lost),
            ("timer_untracked", self.timer_untracked),
            ("values_lost", self.values_lost),
            ("undecided", self.undecided),
            ("unreadable", self.unreadable),
            ("sample_missed", self.sample_missed),
        ]
        .into_iter()
        .filter_map(|(name, count)| Some((name, count.filter(|count| *count > 0)?)))
    }
}

/// Of calls that began, those whose fate is known: each of them has just one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balance {
    /// Calls that were counted when they began.
    pub entries: u64,
    /// Those that returned, were lost, or had not returned at the end.
    pub accounted: u64,
}

impl Accounting {
    /// Absent where one of the terms is not counted.
    pub fn balance(&self) -> Option<Balance> {
        let ends = [self.returns?, self.start_lost?, self.return_missed?, self.in_flight?];
        let accounted = ends.into_iter().fold(0, u64::saturating_add);
        Some(Balance { entries: self.entries?, accounted })
    }
}

/// Why a run ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// Its time was over.
    #[default]
    Duration,
    /// Ctrl-C, or another signal that ends.
    Signal,
    /// None of the processes that were asked for exists any more.
    Processes,
    /// Our programs took more of the CPUs than `--max-overhead`.
    Overhead,
}

/// What goes away while it is traced, and does not end the run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gone {
    /// A kernel module of this name was unloaded, with its functions.
    Module(String),
    /// The process of this number runs another program (execve(2)).
    Program(u32),
}

/// How long our own programs ran, by the kernel's BPF statistics. A lower bound
/// of what tracing costs: getting into a program and out is not in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overhead {
    /// Nanoseconds in our programs.
    pub run_time_ns: u64,
    /// How often they ran.
    pub runs: u64,
    /// Over how many milliseconds this was measured.
    pub over_ms: u64,
    /// CPUs that were online.
    pub cpus: u32,
}

impl Overhead {
    /// The share of all CPUs, in millionths.
    pub fn share_ppm(&self) -> u64 {
        let available_us = u128::from(self.over_ms) * 1000 * u128::from(self.cpus);
        let used = u128::from(self.run_time_ns) * 1000;
        used.checked_div(available_us).map_or(0, |ppm| u64::try_from(ppm).unwrap_or(u64::MAX))
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_of_all_cpus() {
        // 2 ms of 4 CPUs in 1 s: half a thousandth.
        let overhead = Overhead { run_time_ns: 2_000_000, runs: 1, over_ms: 1000, cpus: 4 };
        assert_eq!(overhead.share_ppm(), 500);
        assert_eq!(Overhead::default().share_ppm(), 0);
    }

    #[test]
    fn what_is_in_flight_is_no_loss() {
        let accounting = Accounting {
            in_flight: Some(2),
            link_missed: Some(0),
            recursion_missed: Some(3),
            ..Accounting::default()
        };
        assert_eq!(accounting.losses().collect::<Vec<_>>(), [("recursion_missed", 3)]);
    }
}
