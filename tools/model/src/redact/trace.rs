//! The texts of a trace, of which windows and stacks are too many for a detour.

use super::{Change, Rule, shared};
use crate::stacks::{Mark, StackCounts, StackKey, StackTable, Symbol};
use crate::trace::timers::{self, Owner};
use crate::trace::{
    Asked, Attach, Group, Head, Latency, Payload, Reason, SkipReason, TimerCount, Trace, Value, ValueCount,
    arguments, latency,
};

pub(super) fn visit(trace: &mut Trace, change: Change<'_>) {
    head(&mut trace.head, change);
    stacks(&mut trace.stacks, change);
    let windows = std::mem::take(&mut trace.windows);
    let mut window = |mut window: crate::trace::Window| {
        window.payload = payload(window.payload, change);
        window
    };
    trace.windows = windows.iter().cloned().map(&mut window).collect();
}

fn head(head: &mut Head, change: Change<'_>) {
    asked(&mut head.asked, change);
    for Attach { reason, functions, .. } in &mut head.attach {
        if let Reason::Refused { error, .. } = reason {
            change(Rule::Text, error);
        }
        functions.iter_mut().filter_map(|one| one.module.as_mut()).for_each(|one| change(Rule::Text, one));
    }
    for skipped in &mut head.skipped {
        if let SkipReason::Unfit(words) | SkipReason::Refused(words) = &mut skipped.reason {
            change(Rule::Text, words);
        }
        skipped.module.iter_mut().for_each(|module| change(Rule::Text, module));
    }
}

fn asked(asked: &mut Asked, change: Change<'_>) {
    asked.patterns.iter_mut().for_each(|pattern| change(Rule::Text, pattern));
    asked.filter.comm.iter_mut().for_each(|comm| change(Rule::Text, comm));
    asked.filter.cgroup.iter_mut().for_each(|path| change(Rule::Cgroup, path));
    if let Some(arguments) = &mut asked.arguments {
        let columns = arguments.columns.iter_mut().map(|column| &mut column.expression);
        columns.chain(&mut arguments.condition).for_each(|text| change(Rule::Expression, text));
    }
}

/// Names of functions stay, the files that they are in tell of users.
fn stacks(table: &mut StackTable, change: Change<'_>) {
    let mut all = table.since(Mark::default());
    for frame in &mut all.frames {
        let mut new = (**frame).clone();
        new.module.iter_mut().for_each(|module| shared(module, Rule::Text, change));
        if let Symbol::Unknown(why) = &mut new.symbol {
            shared(why, Rule::Text, change);
        }
        if new != **frame {
            *frame = new.into();
        }
    }
    for stack in &mut all.stacks {
        let mut new = (**stack).clone();
        let parts = new.kernel.iter_mut().chain(&mut new.user);
        parts.filter_map(|part| part.gap.as_mut()).for_each(|gap| shared(gap, Rule::Text, change));
        if new != **stack {
            *stack = new.into();
        }
    }
    let mut redacted = StackTable::new();
    // It has the frames that it had, so that this does not fail.
    if redacted.append(all).is_ok() {
        *table = redacted;
    }
}

fn payload(payload: Payload, change: Change<'_>) -> Payload {
    match payload {
        Payload::Counts(counts) => Payload::Counts(counts),
        Payload::Stacks(counts) => Payload::Stacks(stack_counts(&counts, change)),
        Payload::Latency(list) => Payload::Latency(histograms(list, change)),
        Payload::Distribution(list) => Payload::Distribution(histograms(list, change)),
        Payload::Timers(list) => {
            let row = |row: TimerCount| timer(row, &mut *change);
            Payload::Timers(timers::merged(list.into_iter().map(row).collect::<Vec<_>>()))
        }
        Payload::Values(mut list) => {
            list.iter_mut().for_each(|count| values(count, change));
            Payload::Values(arguments::merged(list))
        }
    }
}

fn stack_counts(counts: &StackCounts, change: Change<'_>) -> StackCounts {
    let mut redacted = StackCounts::new();
    for (key, count) in counts.iter() {
        let mut key: StackKey = key.clone();
        key.comm.iter_mut().for_each(|comm| shared(comm, Rule::Text, change));
        redacted.add(key, count);
    }
    redacted
}

fn histograms(mut list: Vec<Latency>, change: Change<'_>) -> Vec<Latency> {
    list.iter_mut().for_each(|one| group(one.group.as_mut(), change));
    latency::merged(list)
}

fn group(group: Option<&mut Group>, change: Change<'_>) {
    if let Some(Group::Comm(comm)) = group {
        change(Rule::Text, comm);
    }
}

fn timer(mut row: TimerCount, change: Change<'_>) -> TimerCount {
    if let Some(timer) = &mut row.timer {
        if let Some(Owner::Process(comm)) = &mut timer.owner {
            change(Rule::Text, comm);
        }
        group(timer.group.as_mut(), change);
    }
    row.stacks = row.stacks.map(|stacks| stack_counts(&stacks, change));
    row
}

fn values(count: &mut ValueCount, change: Change<'_>) {
    count.key.comm.iter_mut().for_each(|comm| change(Rule::Text, comm));
    for value in &mut count.key.values {
        if let Value::Text(text) | Value::Cut { cut: text } = value {
            change(Rule::Whole, text);
        }
    }
}
