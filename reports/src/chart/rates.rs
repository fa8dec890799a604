//! Counts over time.

use std::collections::BTreeMap;

use hostdiag_model::trace::{Payload, Trace};

use super::axis::number;
use super::{Axis, Chart, MOST, Series};
use crate::page::count;
use crate::trace::name;

/// What is counted by what.
pub(super) struct Counted {
    pub(super) title: &'static str,
    /// Such as "calls".
    pub(super) events: &'static str,
    /// One of what they are counted by, such as "function".
    pub(super) of: &'static str,
}

/// Calls a second by function.
pub(super) fn chart(trace: &Trace) -> Chart {
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let counted = Counted { title: "Calls a second", events: "calls", of: "function" };
    let counts = |payload: &Payload| match payload {
        Payload::Counts(counts) => counts.clone(),
        _ => Vec::new(),
    };
    let name = |function: &u32| functions.get(*function as usize).cloned().unwrap_or_default();
    rates(trace, &counted, counts, name)
}

/// Events a second by key: a line for each of the most frequent, and the rest together.
pub(super) fn rates<K: Clone + Ord>(
    trace: &Trace,
    counted: &Counted,
    counts: impl Fn(&Payload) -> Vec<(K, u64)>,
    name: impl Fn(&K) -> String,
) -> Chart {
    let windows: Vec<BTreeMap<K, u64>> =
        trace.windows.iter().map(|window| counts(&window.payload).into_iter().collect()).collect();
    let mut totals: BTreeMap<&K, u64> = BTreeMap::new();
    for (key, count) in windows.iter().flatten() {
        let total = totals.entry(key).or_default();
        *total = total.saturating_add(*count);
    }
    let mut order: Vec<(&K, u64)> = totals.into_iter().filter(|(_, total)| *total > 0).collect();
    order.sort_by_key(|(_, total)| std::cmp::Reverse(*total));
    let shown = if order.len() > MOST + 1 { MOST } else { order.len() };
    let (most, rest) = order.split_at(shown);
    let line = |name: String, keys: &[(&K, u64)]| {
        let per_window =
            windows.iter().map(|counts| sum(keys.iter().filter_map(|(key, _)| counts.get(key).copied())));
        line(trace, counted.events, name, &per_window.collect::<Vec<_>>())
    };
    let mut series: Vec<Series> =
        most.iter().map(|one| line(name(one.0), std::slice::from_ref(one))).collect();
    if !rest.is_empty() {
        series.push(line(format!("{} other {}s", rest.len(), counted.of), rest));
    }
    let all = sum(order.iter().map(|(_, total)| *total));
    let top = series.first().map_or(String::new(), |first| format!("; most by {}", first.about));
    let (events, keys) = (counted.events, count(order.len(), counted.of));
    Chart {
        title: counted.title.into(),
        description: format!("{all} {events} of {keys} over time{top}."),
        x: Axis::Time,
        y: Axis::Rate(events),
        series,
    }
}

fn sum(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// A step for each window: its rate from its start to its end.
fn line(trace: &Trace, events: &str, name: String, counts: &[u64]) -> Series {
    let mut points = Vec::new();
    for (window, count) in trace.windows.iter().zip(counts).filter(|(window, _)| window.length_ms() > 0) {
        let rate = *count as f64 * 1000.0 / window.length_ms() as f64;
        points.extend([window.start_ms, window.end_ms].map(|ms| (ms as f64 / 1000.0, rate)));
    }
    let seconds = trace.windows.iter().fold(0, |sum, window| sum + window.length_ms()) as f64 / 1000.0;
    let total = sum(counts.iter().copied());
    let rate = number(total as f64 / seconds.max(1e-3));
    Series { about: format!("{name}: {total} {events}, {rate} a second"), name, points }
}
