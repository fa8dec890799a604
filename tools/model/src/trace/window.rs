//! What was counted in stretches of time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::arguments::{self, ValueCount};
use super::latency::{self, Latency};
use super::timers::{self, TimerCount};
use crate::stacks::{StackCounts, StackTable};

/// Most windows of a recording. With one more, neighbours merge and each is twice
/// as long: sums are exact, only the times get coarser.
pub const MAX_WINDOWS: usize = 600;
/// Most counts of stacks or values in all windows of a recording together: some 100 MB.
const MAX_ROWS: usize = 1 << 20;

/// What was counted in one stretch of time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Milliseconds from the start of the recording to its own.
    pub start_ms: u64,
    /// Milliseconds from the start of the recording to its end.
    pub end_ms: u64,
    /// What was counted.
    #[serde(flatten)]
    pub payload: Payload,
}

/// What was counted, by the tool that counted it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Payload {
    /// Calls by function: its index and how many, sorted by index; without those
    /// that had none.
    Counts(Vec<(u32, u64)>),
    /// Calls by stack; with `Asked::profile` samples, or nanoseconds of waits.
    Stacks(StackCounts),
    /// Durations by what they are of, sorted by that; without those that had none.
    Latency(Vec<Latency>),
    /// Timers by what they call, sorted by that; without those that nothing was
    /// counted of.
    Timers(Vec<TimerCount>),
    /// Calls by their values, sorted by those.
    Values(Vec<ValueCount>),
    /// Values of calls, as durations are counted; without those that had none.
    Distribution(Vec<Latency>),
}

impl Payload {
    /// How many events were counted.
    pub fn events(&self) -> u64 {
        match self {
            Self::Counts(counts) => counts.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count)),
            Self::Stacks(counts) => counts.total(),
            Self::Values(counts) => counts.iter().fold(0, |sum, one| sum.saturating_add(one.count)),
            Self::Latency(list) | Self::Distribution(list) => {
                list.iter().fold(0, |sum, latency| sum.saturating_add(latency.histogram.count()))
            }
            Self::Timers(list) => list.iter().fold(0, |sum, count| sum.saturating_add(count.started)),
        }
    }

    /// How many counts of stacks or values it has.
    fn rows(&self) -> usize {
        match self {
            Self::Counts(_) | Self::Latency(_) | Self::Distribution(_) => 0,
            Self::Values(counts) => counts.len(),
            Self::Stacks(counts) => counts.iter().count(),
            Self::Timers(list) => {
                let stacks = list.iter().filter_map(|count| count.stacks.as_ref());
                stacks.map(|stacks| stacks.iter().count()).sum()
            }
        }
    }

    /// Its stacks and how often each was seen; of timers those that started them.
    /// Absent where it has none.
    pub fn stacks(&self) -> Option<Cow<'_, StackCounts>> {
        match self {
            Self::Counts(_) | Self::Latency(_) | Self::Values(_) | Self::Distribution(_) => None,
            Self::Stacks(counts) => Some(Cow::Borrowed(counts)),
            Self::Timers(list) => timers::start_stacks(list).map(Cow::Owned),
        }
    }

    /// Takes in what was counted later; of another tool, nothing.
    fn merge(&mut self, later: Self) {
        match (self, later) {
            (Self::Counts(mine), Self::Counts(theirs)) => {
                let mut sums: BTreeMap<u32, u64> = mine.iter().copied().collect();
                for (function, count) in theirs {
                    let sum = sums.entry(function).or_default();
                    *sum = sum.saturating_add(count);
                }
                *mine = sums.into_iter().collect();
            }
            (Self::Stacks(mine), Self::Stacks(theirs)) => mine.merge(&theirs),
            (Self::Values(mine), Self::Values(theirs)) => {
                *mine = arguments::merged(std::mem::take(mine).into_iter().chain(theirs));
            }
            (Self::Latency(mine), Self::Latency(theirs))
            | (Self::Distribution(mine), Self::Distribution(theirs)) => {
                *mine = latency::merged(std::mem::take(mine).into_iter().chain(theirs));
            }
            (Self::Timers(mine), Self::Timers(theirs)) => {
                *mine = timers::merged(std::mem::take(mine).into_iter().chain(theirs));
            }
            _ => {}
        }
    }

    /// What is wrong with it where there are so many functions and these stacks.
    fn check(&self, functions: usize, stacks: &StackTable) -> Result<(), String> {
        let attached = |function: u32| (function as usize) < functions;
        let fine = match self {
            Self::Counts(counts) => {
                counts.windows(2).all(|pair| pair[0].0 < pair[1].0)
                    && counts.iter().all(|(function, _)| attached(*function))
            }
            Self::Latency(list) | Self::Distribution(list) => return latency::check(list, functions),
            Self::Timers(list) => return timers::check(list, stacks),
            Self::Values(counts) => return arguments::check(counts, functions),
            Self::Stacks(counts) => {
                counts.check(stacks)?;
                counts.iter().all(|(key, _)| key.function.is_none_or(attached))
            }
        };
        if fine { Ok(()) } else { Err("a window with a function that was not attached".into()) }
    }
}

impl Window {
    /// Milliseconds from its start to its end.
    pub fn length_ms(&self) -> u64 {
        self.end_ms.saturating_sub(self.start_ms)
    }

    /// What is wrong with a window that was read: that before it ended at
    /// `before_ms`, and there are so many functions and these stacks.
    ///
    /// # Errors
    /// In words, for the reader of recordings.
    pub(crate) fn check(&self, before_ms: u64, functions: usize, stacks: &StackTable) -> Result<(), String> {
        // As long as the sun will shine; sums of such times do not overflow.
        const LONGEST_MS: u64 = 1 << 58;
        if self.start_ms < before_ms || self.end_ms < self.start_ms || self.end_ms > LONGEST_MS {
            return Err("a window that begins or ends at the wrong time".into());
        }
        self.payload.check(functions, stacks)
    }

    /// Takes in a later window.
    pub fn merge(&mut self, later: Self) {
        self.end_ms = self.end_ms.max(later.end_ms);
        self.payload.merge(later.payload);
    }

    /// Whether it is the last of its interval: the next would reach into the
    /// following interval by more than half.
    pub fn ends_interval(&self, interval_ms: u64) -> bool {
        let interval = interval_ms.max(1);
        let half = self.length_ms() / 2;
        let place = (self.start_ms + half) / interval;
        self.end_ms + half >= (place + 1).saturating_mul(interval)
    }
}

/// The windows of a recording, at most [`MAX_WINDOWS`], of stacks and values fewer if
/// they are many.
#[derive(Clone, Debug, Default)]
pub struct Windows {
    all: Vec<Window>,
    /// Into each go 2 to the power of this many of those that were added.
    doublings: u32,
    /// So many of those that were added are in the last one.
    in_last: u32,
    /// Counts of stacks or values in all of them.
    rows: usize,
}

impl Windows {
    /// Adds the next one.
    pub fn push(&mut self, window: Window) {
        let full = self.full();
        let before = self.rows;
        match self.all.last_mut() {
            Some(last) if self.in_last < full => {
                self.rows = before - last.payload.rows();
                last.merge(window);
                self.in_last += 1;
            }
            _ => {
                self.all.push(window);
                self.in_last = 1;
            }
        }
        self.rows += self.all.last().map_or(0, |last| last.payload.rows());
        while self.all.len() > MAX_WINDOWS || self.all.len() > 1 && self.rows > MAX_ROWS {
            self.halve();
        }
    }

    /// So many of those that were added go into each.
    fn full(&self) -> u32 {
        1_u32.checked_shl(self.doublings).unwrap_or(u32::MAX)
    }

    fn halve(&mut self) {
        // The last one has no neighbour if their number is odd.
        if self.all.len().is_multiple_of(2) {
            self.in_last += self.full();
        }
        let mut merged: Vec<Window> = Vec::with_capacity(MAX_WINDOWS);
        for (index, window) in std::mem::take(&mut self.all).into_iter().enumerate() {
            match merged.last_mut() {
                Some(last) if index % 2 == 1 => last.merge(window),
                _ => merged.push(window),
            }
        }
        self.all = merged;
        self.doublings += 1;
        self.rows = self.all.iter().map(|window| window.payload.rows()).sum();
    }

    /// In the order of time.
    pub fn iter(&self) -> std::slice::Iter<'_, Window> {
        self.all.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// As many blocks as were asked for: the windows of each interval as one;
    /// without an interval all of them.
    pub fn by_interval(&self, interval_ms: Option<u64>) -> Vec<Window> {
        let mut blocks: Vec<Window> = Vec::new();
        let mut open = false;
        for window in &self.all {
            let ends = interval_ms.is_some_and(|interval| window.ends_interval(interval));
            match blocks.last_mut() {
                Some(block) if open => block.merge(window.clone()),
                _ => blocks.push(window.clone()),
            }
            open = !ends;
        }
        blocks
    }
}

/// How they came to be does not matter.
impl PartialEq for Windows {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

impl Eq for Windows {}

impl FromIterator<Window> for Windows {
    fn from_iter<T: IntoIterator<Item = Window>>(windows: T) -> Self {
        let mut all = Self::default();
        windows.into_iter().for_each(|window| all.push(window));
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stacks::StackKey;

    fn window(start_ms: u64, end_ms: u64, counts: &[(u32, u64)]) -> Window {
        Window { start_ms, end_ms, payload: Payload::Counts(counts.to_vec()) }
    }

    #[test]
    fn neighbours_merge_when_there_are_too_many() {
        let seconds = |number: u64| (0..number).map(|s| window(s * 1000, (s + 1) * 1000, &[(0, s)]));
        let windows: Windows = seconds(600).collect();
        assert_eq!(windows.iter().count(), 600);
        let windows: Windows = seconds(603).collect();
        assert_eq!(windows.iter().count(), 302);
        let ends: Vec<_> = windows.iter().map(|window| (window.start_ms, window.end_ms)).collect();
        assert_eq!(ends[0], (0, 2000));
        assert_eq!(ends[300..], [(600_000, 602_000), (602_000, 603_000)]);
        let windows: Windows = seconds(5000).collect();
        assert!(windows.iter().all(|window| window.length_ms() <= 16_000));
        assert!(windows.iter().count() <= MAX_WINDOWS);
        let total: u64 = windows.by_interval(None).iter().map(sum).sum();
        assert_eq!(total, 4999 * 5000 / 2);
    }

    fn sum(window: &Window) -> u64 {
        window.payload.events()
    }

    #[test]
    fn windows_of_many_stacks_merge_sooner() {
        let key = |stack| StackKey { stack, function: None, pid: None, comm: None };
        let mut counts = StackCounts::new();
        (0..1 << 18).for_each(|stack| counts.add(key(stack), 1));
        let window = |at| Window { start_ms: at, end_ms: at + 1, payload: Payload::Stacks(counts.clone()) };
        // Four are as many as may be.
        let windows: Windows = (0..4).map(window).collect();
        assert_eq!(windows.iter().count(), 4);
        let windows: Windows = (0..11).map(window).collect();
        let lengths: Vec<u64> = windows.iter().map(Window::length_ms).collect();
        assert_eq!(lengths, [4, 4, 3]);
        assert_eq!(windows.iter().map(sum).sum::<u64>(), 11 << 18);
    }

    #[test]
    fn an_interval_takes_the_windows_whose_middle_is_in_it() {
        // The clock is never exact.
        let ends = [0, 1001, 2003, 2999, 4000, 4200];
        let windows: Windows = ends.windows(2).map(|pair| window(pair[0], pair[1], &[(1, 1)])).collect();
        let blocks = windows.by_interval(Some(2000));
        let found: Vec<_> = blocks.iter().map(|block| (block.end_ms, sum(block))).collect();
        assert_eq!(found, [(2003, 2), (4000, 2), (4200, 1)]);
        assert_eq!(windows.by_interval(None).len(), 1);
    }

    proptest! {
        #[test]
        fn nothing_is_lost_in_merging(
            counts in prop::collection::vec(prop::collection::btree_map(0_u32..4, 0_u64..9, 0..4), 0..2000),
            interval in prop::option::of(1_u64..5000),
        ) {
            let expected: u64 = counts.iter().flat_map(|counts| counts.values()).sum();
            let windows: Windows = counts
                .iter()
                .zip(0..)
                .map(|(counts, at)| {
                    let counts: Vec<_> = counts.iter().map(|(function, count)| (*function, *count)).collect();
                    window(at * 1000, (at + 1) * 1000, &counts)
                })
                .collect();
            prop_assert!(windows.iter().count() <= MAX_WINDOWS);
            prop_assert_eq!(windows.by_interval(interval).iter().map(sum).sum::<u64>(), expected);
        }
    }
}
