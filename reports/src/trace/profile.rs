//! `hostdiag profile` as text: the busiest functions, then stacks as bcc's profile
//! has them.

use std::collections::HashMap;

use hostdiag_model::stacks::{Frame, Part, Stack, StackKey, StackTable, Symbol};
use hostdiag_model::time::TimeOfDay;
use hostdiag_model::trace::{Accounting, Asked, Head, Profile, Reason, Samples, Waiting};

use super::duration::duration;
use super::stacks::{Form, Stacks, by_count, frame_line, function};
use crate::page::{Page, Style, count, harmless};

/// Functions that are listed where nobody asked for another number.
const FUNCTIONS: usize = 20;
/// Stacks likewise.
const STACKS: usize = 10;

/// `Sampling 2 CPUs at 49 Hz (cpu-clock: no hardware cycles, ...)`
pub(super) fn traced(head: &Head, profile: &Profile) -> String {
    let (what, way) = match profile {
        Profile::OnCpu { hz, cpus, .. } => {
            (format!("Sampling {} at {hz} Hz", count(*cpus as usize, "CPU")), clock(head))
        }
        Profile::OffCpu { waiting } => {
            let kinds: Vec<&str> = waiting.iter().map(|kind| Waiting::as_str(*kind)).collect();
            let kinds =
                if kinds.is_empty() { String::new() } else { format!(" of state {}", kinds.join(", ")) };
            (format!("Timing waits{kinds}"), "at each switch of tasks".to_owned())
        }
    };
    format!("{what} ({way})")
}

/// What samples are timed by, and why.
fn clock(head: &Head) -> String {
    let attach = head.attach.first();
    let name = head.functions().next().map_or("", |function| &function.name);
    match attach.map(|attach| &attach.reason) {
        Some(Reason::Refused { error, .. }) => {
            format!("{}: no hardware cycles, {}", harmless(name), harmless(error))
        }
        _ => format!("{}, in hardware", harmless(name)),
    }
}

/// What one of the counted is called.
pub fn event(profile: &Profile) -> &'static str {
    match profile {
        Profile::OnCpu { .. } => "sample",
        Profile::OffCpu { .. } => "wait",
    }
}

/// An amount as counts of stacks have it, for people: samples, or a time.
pub fn amount(profile: &Profile, number: u64) -> String {
    match profile {
        Profile::OnCpu { .. } => count(usize::try_from(number).unwrap_or(usize::MAX), "sample"),
        Profile::OffCpu { .. } => duration(number),
    }
}

/// What to do next.
pub fn next(kept: bool) -> String {
    let keep = if kept { "" } else { "     Keep   --output cpu.hd" };
    format!("Next   a flame graph: --format svg{keep}")
}

/// What came of sampling, where it ended as it should.
pub fn delivered(profile: &Profile, accounting: &Accounting) -> Vec<String> {
    let (Profile::OnCpu { hz, .. }, Some(samples)) = (profile, accounting.samples) else { return Vec::new() };
    let Samples { cpu_ms, seen, idle, lowered_hz } = samples;
    let rate = seen.saturating_mul(10_000) / cpu_ms.max(1);
    let idle = match idle {
        Some(idle) => format!("; idle {} %", percent(idle, seen)),
        None => "; none while a CPU is idle".into(),
    };
    let rate = format!("{}.{} samples a second and CPU of {hz} asked for{idle}", rate / 10, rate % 10);
    let lowered = lowered_hz.map(|hz| {
        format!(
            "the kernel lowered kernel.perf_event_max_sample_rate to {hz} meanwhile: samples took too long"
        )
    });
    std::iter::once(rate).chain(lowered).collect()
}

/// The result of one stretch of time: of an interval the functions alone.
pub fn block(
    (profile, asked): (&Profile, &Asked),
    time: Option<TimeOfDay>,
    length_ms: u64,
    stacks: Stacks<'_>,
) -> String {
    let mut page = Page::new(Style::default());
    super::head(&mut page, super::Layout::Own, time);
    let total = stacks.counts.total();
    page.line(&summary(profile, total, length_ms)).put("\n");
    busiest(&mut page, profile, asked, stacks);
    if asked.interval_ms.is_none() {
        page.put("\n");
        stack_blocks(&mut page, profile, asked, stacks);
    } else {
        page.put("\n");
    }
    page.finish()
}

/// `490 samples in 10.0 s: 1.00 of 2 CPUs busy`
pub(crate) fn summary(profile: &Profile, total: u64, length_ms: u64) -> String {
    let over = format!("{}.{} s", length_ms / 1000, length_ms / 100 % 10);
    match profile {
        Profile::OnCpu { idle: true, .. } => format!("{} in {over}", amount(profile, total)),
        Profile::OnCpu { hz, cpus, .. } => {
            let due = u64::from(*hz).saturating_mul(length_ms).max(1);
            let busy = total.saturating_mul(100_000) / due;
            let of = count(*cpus as usize, "CPU");
            format!("{} in {over}: {}.{:02} of {of} busy", amount(profile, total), busy / 100, busy % 100)
        }
        Profile::OffCpu { .. } => format!("{} of waits that ended in {over}", amount(profile, total)),
    }
}

/// A function, with what it has of its own and with what it called.
#[derive(Clone, Default)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) own: u64,
    pub(crate) total: u64,
}

/// The functions with the most of their own: where the CPU was, or what waited.
fn busiest(page: &mut Page, profile: &Profile, asked: &Asked, stacks: Stacks<'_>) {
    let total = stacks.counts.total();
    let mut rows = rows(matches!(profile, Profile::OffCpu { .. }), stacks);
    rows.sort_by(|a, b| (b.own, b.total, &a.name).cmp(&(a.own, a.total, &b.name)));
    let most = asked.top.map_or(FUNCTIONS, |top| top as usize);
    let own = if matches!(profile, Profile::OnCpu { .. }) { "SELF" } else { "WAIT" };
    page.line(&format!("{own:>8} {:>8}   FUNCTION", "TOTAL"));
    for row in rows.iter().filter(|row| row.own > 0).take(most) {
        let (own, all) = (percent(row.own, total), percent(row.total, total));
        page.line(&format!("{own:>6} % {all:>6} %   {}", row.name));
    }
}

/// Each function with what it has of its own, and with what it called: once for each
/// stack, however often it is in there.
pub(crate) fn rows(waits: bool, stacks: Stacks<'_>) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let (mut by_name, mut by_frame) = (HashMap::<String, usize>::new(), HashMap::<u32, usize>::new());
    let mut row = |name: String, rows: &mut Vec<Row>| {
        *by_name.entry(name.clone()).or_insert_with(|| {
            rows.push(Row { name, ..Row::default() });
            rows.len() - 1
        })
    };
    for (key, count) in stacks.counts.iter() {
        let Some(stack) = stacks.table.stack(key.stack) else { continue };
        let mut seen: Vec<usize> = Vec::new();
        let mut own = None;
        for (number, frame) in frames(stacks.table, stack) {
            let index =
                *by_frame.entry(number).or_insert_with(|| row(function(frame, Form::default()), &mut rows));
            if own.is_none() && !(waits && schedules(frame)) {
                own = Some(index);
            }
            seen.push(index);
        }
        let own = own.unwrap_or_else(|| row(without_frames(stack).into(), &mut rows));
        rows[own].own = rows[own].own.saturating_add(count);
        seen.push(own);
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().for_each(|index| rows[index].total = rows[index].total.saturating_add(count));
    }
    rows
}

/// Where something was whose stack has nothing of what was asked for.
fn without_frames(stack: &Stack) -> &'static str {
    let whole = |part: &Option<Part>| part.as_ref().is_some_and(|part| part.gap.is_none());
    match (whole(&stack.kernel), whole(&stack.user)) {
        (true, false) if stack.user.is_none() => "[not in the kernel]",
        (false, true) if stack.kernel.is_none() => "[in the kernel alone]",
        _ => "[no stack]",
    }
}

/// The frames of a stack with their numbers, the innermost first.
fn frames<'a>(table: &'a StackTable, stack: &'a Stack) -> impl Iterator<Item = (u32, &'a Frame)> {
    let parts = stack.kernel.iter().chain(&stack.user);
    parts.flat_map(|part: &Part| part.frames.iter().copied().zip(table.frames(part)))
}

/// Whether it is the scheduler's: every wait begins with it, and none because of it.
fn schedules(frame: &Frame) -> bool {
    let Symbol::Name(name) = &frame.symbol else { return false };
    let name = name.trim_start_matches('_');
    frame.module.is_none()
        && ["schedule", "io_schedule", "preempt_schedule"].iter().any(|known| name.starts_with(known))
}

/// The most frequent stacks, the most frequent last, as bcc's profile prints them.
fn stack_blocks(page: &mut Page, profile: &Profile, asked: &Asked, stacks: Stacks<'_>) {
    let form = Form::of(asked);
    let all = by_count(stacks, None, |key, stack| stack_block(stacks.table, key, stack, form));
    let most = asked.top.map_or(STACKS, |top| top as usize);
    let (rest, shown) = all.split_at(all.len().saturating_sub(most));
    if !rest.is_empty() {
        let sum = rest.iter().fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
        let stacks = count(rest.len(), "rarer stack");
        page.line(&format!("    [{stacks}, {} in all: --top]\n", amount(profile, sum)));
    }
    for (number, stack) in shown {
        let number = match profile {
            Profile::OnCpu { .. } => number.to_string(),
            Profile::OffCpu { .. } => duration(*number),
        };
        page.put(stack).line(&format!("        {number}\n"));
    }
}

fn stack_block(table: &StackTable, key: &StackKey, stack: &Stack, form: Form) -> String {
    let mut text = String::new();
    let lines = |part: &Part, text: &mut String| {
        for frame in table.frames(part) {
            *text += &format!("    {}\n", frame_line(frame, form));
        }
        if let Some(gap) = &part.gap {
            *text += &format!("    [{}]\n", harmless(gap));
        }
    };
    stack.kernel.iter().for_each(|part| lines(part, &mut text));
    if form.delimiter && stack.kernel.is_some() && stack.user.is_some() {
        text += "    --\n";
    }
    stack.user.iter().for_each(|part| lines(part, &mut text));
    let comm = harmless(key.comm.as_deref().unwrap_or_default());
    let pid = key.pid.map_or(String::new(), |pid| format!(" ({pid})"));
    text + &format!("    {:<16} {comm}{pid}\n", "-")
}

/// With two decimals, without the sign.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    let share = u128::from(part) * 10_000 / u128::from(whole.max(1));
    format!("{}.{:02}", share / 100, share % 100)
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
