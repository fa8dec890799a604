//! Counts over time.

use std::collections::BTreeMap;

use hostdiag_model::trace::{Payload, Trace};

use super::axis::number;
use super::{Axis, Chart, MOST, Series};
use crate::trace::name;

/// Calls a second, by function: the most frequent, and the rest together.
pub(super) fn chart(trace: &Trace) -> Chart {
    let functions: Vec<_> = trace.head.functions().collect();
    let mut totals: BTreeMap<u32, u64> = BTreeMap::new();
    for (function, count) in trace.windows.iter().flat_map(|window| counts(&window.payload)) {
        let total = totals.entry(*function).or_default();
        *total = total.saturating_add(*count);
    }
    let mut order: Vec<(u32, u64)> = totals.into_iter().collect();
    order.sort_by_key(|(function, total)| (std::cmp::Reverse(*total), *function));
    let shown = if order.len() > MOST + 1 { MOST } else { order.len() };
    let (most, rest) = order.split_at(shown);
    let mut series: Vec<Series> = most
        .iter()
        .map(|(function, total)| {
            let name = functions.get(*function as usize).map_or(String::new(), |function| name(function));
            line(trace, name, *total, |other| other == *function)
        })
        .collect();
    if !rest.is_empty() {
        let total = rest.iter().fold(0u64, |sum, (_, total)| sum.saturating_add(*total));
        let name = format!("{} other functions", rest.len());
        series.push(line(trace, name, total, |function| rest.iter().any(|(other, _)| *other == function)));
    }
    let all = order.iter().fold(0u64, |sum, (_, total)| sum.saturating_add(*total));
    let top = series.first().map_or(String::new(), |first| format!("; most by {}", first.about));
    Chart {
        title: "Calls a second".into(),
        description: format!("{all} calls of {} functions over time{top}.", order.len()),
        x: Axis::Time,
        y: Axis::Number("calls a second"),
        series,
    }
}

fn counts(payload: &Payload) -> &[(u32, u64)] {
    if let Payload::Counts(counts) = payload { counts } else { &[] }
}

/// A step for each window: its rate from its start to its end.
fn line(trace: &Trace, name: String, total: u64, is: impl Fn(u32) -> bool) -> Series {
    let mut points = Vec::new();
    for window in trace.windows.iter().filter(|window| window.length_ms() > 0) {
        let calls = counts(&window.payload).iter().filter(|(function, _)| is(*function));
        let calls: u64 = calls.fold(0, |sum, (_, count)| sum.saturating_add(*count));
        let rate = calls as f64 * 1000.0 / window.length_ms() as f64;
        points.extend([window.start_ms, window.end_ms].map(|ms| (ms as f64 / 1000.0, rate)));
    }
    let seconds = trace.windows.iter().fold(0, |sum, window| sum + window.length_ms()) as f64 / 1000.0;
    let rate = number(total as f64 / seconds.max(1e-3));
    Series { about: format!("{name}: {total} calls, {rate} a second"), name, points }
}
