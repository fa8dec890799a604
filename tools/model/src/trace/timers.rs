//! What `timer-names` was asked for and what it counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::attach::Function;
use super::latency::{By, Group};
use crate::histogram::Histogram;
use crate::stacks::{self, StackCounts, StackTable};

/// What is to be shown of timers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedTimers {
    /// Rows apart by who started the timer, or where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// How late timers expire, and how long their handlers run.
    #[serde(skip_serializing_if = "is_false")]
    pub expiry: bool,
    /// Histograms of each row.
    #[serde(skip_serializing_if = "is_false")]
    pub histograms: bool,
    /// From where timers of each row are started.
    #[serde(skip_serializing_if = "is_false")]
    pub start_stacks: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The two kinds of timers of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimerKind {
    /// `struct timer_list`: of the timer wheel, in jiffies.
    Timer,
    /// `struct hrtimer`: in nanoseconds.
    Hrtimer,
}

/// For whom a timer is whose callback serves many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// The work that `delayed_work_timer_fn` queues.
    Work(Function),
    /// The process whose thread `process_timeout` or `hrtimer_wakeup` wakes, by its
    /// command name.
    Process(String),
}

/// Timers that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Timer {
    /// Of which kind they are.
    pub kind: TimerKind,
    /// What they call when they expire; where it has no name, `0x` and its address.
    pub function: Function,
    /// For whom, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<Owner>,
    /// By whom or where they were started, where that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
}

/// How often timers were started, and what became of them.
///
/// What ended is not always what was started in the same stretch of time. A timer is
/// removed before its handler runs, so that a stretch can lie in between: there
/// `expired` can be more than `removed`, and only the sum of all is right. A start is
/// counted before its stack is, likewise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerCount {
    /// Which; absent: all those that there was no row left for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<Timer>,
    /// Starts.
    pub started: u64,
    /// Times that one was removed, for whatever reason.
    pub removed: u64,
    /// Of these, to run its handler.
    pub expired: u64,
    /// Of these, to be started anew.
    pub rearmed: u64,
    /// From the start to the time it was started for.
    pub delay: Histogram,
    /// From that time to its handler; absent where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Histogram>,
    /// How long its handler ran; absent where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Histogram>,
    /// The stacks that started them: as many as `started`, but for those that were
    /// lost; absent where they were not asked for, or there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stacks: Option<StackCounts>,
}

impl TimerCount {
    /// Times that one was removed without expiring or being started anew.
    pub fn cancelled(&self) -> u64 {
        self.removed.saturating_sub(self.expired).saturating_sub(self.rearmed)
    }

    fn add(&mut self, other: Self) {
        let sums = [
            (&mut self.started, other.started),
            (&mut self.removed, other.removed),
            (&mut self.expired, other.expired),
            (&mut self.rearmed, other.rearmed),
        ];
        sums.into_iter().for_each(|(sum, count)| *sum = sum.saturating_add(count));
        self.delay.merge(&other.delay);
        let extra = [(&mut self.late, other.late), (&mut self.run, other.run)];
        for (mine, other) in extra {
            match (mine.as_mut(), other) {
                (Some(mine), Some(other)) => mine.merge(&other),
                (None, Some(other)) => *mine = Some(other),
                (_, None) => {}
            }
        }
        if let Some(stacks) = other.stacks {
            self.stacks.get_or_insert_default().merge(&stacks);
        }
    }
}

/// Those of all lists, added where they are of the same timers, sorted by these.
pub fn merged(lists: impl IntoIterator<Item = TimerCount>) -> Vec<TimerCount> {
    let mut sums: BTreeMap<Option<Timer>, TimerCount> = BTreeMap::new();
    for count in lists {
        match sums.entry(count.timer.clone()) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(count);
            }
            std::collections::btree_map::Entry::Occupied(mut sum) => sum.get_mut().add(count),
        }
    }
    sums.into_values().collect()
}

/// The stacks of all rows together; absent where none has any.
pub fn start_stacks(list: &[TimerCount]) -> Option<StackCounts> {
    let mut rows = list.iter().filter_map(|count| count.stacks.as_ref());
    let mut all = rows.next()?.clone();
    rows.for_each(|stacks| all.merge(stacks));
    Some(all)
}

/// What is wrong with a list that was read, where there are these stacks.
///
/// # Errors
/// In words, for the reader of recordings.
pub(super) fn check(list: &[TimerCount], table: &StackTable) -> Result<(), String> {
    let counts = || list.iter().filter_map(|count| count.stacks.as_ref());
    stacks::check(counts(), table)?;
    if counts().flat_map(StackCounts::iter).any(|(key, _)| key.function.is_some()) {
        return Err("a stack of a timer with a function of its own".into());
    }

    let sorted = list.windows(2).all(|pair| pair[0].timer < pair[1].timer);
    if sorted { Ok(()) } else { Err("timers that are not in their order".into()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::histogram::Resolution;
    use crate::stacks::{Stack, StackKey};

    fn timer(name: &str) -> Option<Timer> {
        let function = Function { name: name.into(), ..Function::default() };
        Some(Timer { kind: TimerKind::Timer, function, owner: None, group: None })
    }

    fn count(timer: Option<Timer>, [started, removed, expired, rearmed]: [u64; 4]) -> TimerCount {
        let mut delay = Histogram::new(Resolution::FINEST);
        delay.add(7, started);
        TimerCount { timer, started, removed, expired, rearmed, delay, late: None, run: None, stacks: None }
    }

    #[test]
    fn what_is_left_was_cancelled_in_the_sum_of_all() {
        // Removed in one window, expired in the next.
        let windows = [count(timer("f"), [5, 4, 1, 1]), count(timer("f"), [0, 0, 1, 0])];
        assert_eq!(windows.each_ref().map(TimerCount::cancelled), [2, 0]);
        let all = merged(windows);
        assert_eq!(all, [count(timer("f"), [5, 4, 2, 1])]);
        assert_eq!(all[0].cancelled(), 1);
    }

    #[test]
    fn rows_are_kept_apart_and_sorted() {
        let mut other = timer("a");
        if let Some(timer) = &mut other {
            timer.kind = TimerKind::Hrtimer;
        }
        let rows = [other.clone(), timer("b"), None, timer("a")].map(|timer| count(timer, [1, 0, 0, 0]));
        let list = merged(rows);
        let order: Vec<_> = list.iter().map(|count| count.timer.clone()).collect();
        assert_eq!(order, [None, timer("a"), timer("b"), other]);
        assert_eq!(check(&list, &StackTable::new()), Ok(()));
        assert!(check(&[list[1].clone(), list[1].clone()], &StackTable::new()).is_err());
    }

    #[test]
    fn stacks_are_added_by_row_and_are_those_of_the_table() {
        let key = |stack, function| StackKey { stack, function, pid: None, comm: None };
        let row = |name, key: StackKey, starts| {
            let mut counts = StackCounts::new();
            counts.add(key, starts);
            TimerCount { stacks: Some(counts), ..count(timer(name), [starts, 0, 0, 0]) }
        };
        let mut table = StackTable::new();
        table.add_stack(Stack::default());
        let list = merged([row("f", key(0, None), 2), row("f", key(0, None), 3), row("g", key(0, None), 4)]);
        let totals: Vec<_> = list.iter().map(|row| row.stacks.as_ref().unwrap().total()).collect();
        assert_eq!(totals, [5, 4]);
        assert_eq!(start_stacks(&list).unwrap().iter().collect::<Vec<_>>(), [(&key(0, None), 9)]);
        assert_eq!(start_stacks(&[count(timer("f"), [1, 0, 0, 0])]), None);
        assert_eq!(check(&list, &table), Ok(()));
        assert_eq!(check(&[row("f", key(1, None), 1)], &table), Err("there is no stack 1".into()));
        assert!(check(&[row("f", key(0, Some(0)), 1)], &table).is_err());
        let text = serde_json::to_string(&list[1]).unwrap();
        assert!(text.ends_with(r#","stacks":{"counts":[{"stack":0,"count":4}]}}"#), "{text}");
        assert_eq!(serde_json::from_str::<TimerCount>(&text).unwrap(), list[1]);
    }

    #[test]
    fn a_row_is_read_as_it_is_written() {
        let process = Owner::Process("java".into());
        let mut timer = timer("process_timeout").unwrap();
        timer.owner = Some(process);
        let row = TimerCount { late: None, ..count(Some(timer), [0, 1, 1, 0]) };
        let text = serde_json::to_string(&row).unwrap();
        let histogram = r#"{"sub_bits":4,"count":0,"sum":0,"slots":[]}"#;
        let expected = format!(
            r#"{{"timer":{{"kind":"timer","function":{{"name":"process_timeout"}},"owner":{{"process":"java"}}}},"started":0,"removed":1,"expired":1,"rearmed":0,"delay":{histogram}}}"#
        );
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<TimerCount>(&text).unwrap(), row);
    }
}
