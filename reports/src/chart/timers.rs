//! Timers of the kernel: how often they are started, for when, and what comes of it.

use hostdiag_model::Histogram;
use hostdiag_model::trace::{Payload, Timer, TimerCount, Trace, timers};

use super::rates::{Counted, rates};
use super::spread::{Measured, together};
use super::{Axis, Chart};
use crate::trace::timers::short;

/// Starts over time and by delay, the most frequent first; where it is known, how late timers
/// expire and how long their handlers run, what took most in all first.
pub(super) fn charts(trace: &Trace) -> Vec<Chart> {
    let counted = Counted { title: "Timer starts a second", events: "starts", of: "timer" };
    let counts =
        |payload: &Payload| list(payload).iter().map(|one| (one.timer.clone(), one.started)).collect();
    let name = |timer: &Option<Timer>| short(timer.as_ref());
    let mut charts = vec![rates(trace, &counted, counts, name)];

    let measured = |events, what: &str| Measured { events, what: what.into(), axis: Axis::Duration };
    let all = timers::merged(trace.windows.iter().flat_map(|window| list(&window.payload)).cloned());
    charts.extend(spread(&measured("timers", "delay"), &all, |one| Some(&one.delay), Histogram::count));
    let late = measured("timers", "lateness");
    charts.extend(spread(&late, &all, |one| one.late.as_ref(), Histogram::sum));
    let lateness =
        late.over_time(trace, |payload| together(list(payload).iter().filter_map(|one| one.late.as_ref())));
    charts.extend(lateness.filter(|_| all.iter().any(|one| one.late.is_some())));
    charts.extend(spread(&measured("handlers", "run time"), &all, |one| one.run.as_ref(), Histogram::sum));
    charts
}

/// Absent where nothing was measured.
fn spread(
    measured: &Measured,
    all: &[TimerCount],
    of: impl Fn(&TimerCount) -> Option<&Histogram>,
    order: fn(&Histogram) -> u64,
) -> Option<Chart> {
    let mut rows: Vec<(String, Histogram)> = all
        .iter()
        .filter_map(|one| Some((short(one.timer.as_ref()), of(one)?.clone())))
        .filter(|(_, histogram)| histogram.count() > 0)
        .collect();
    rows.sort_by_key(|(_, histogram)| std::cmp::Reverse(order(histogram)));
    (!rows.is_empty()).then(|| measured.spread(&rows))
}

fn list(payload: &Payload) -> &[TimerCount] {
    if let Payload::Timers(list) = payload { list } else { &[] }
}
