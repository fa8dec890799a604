//! How long calls took.

use hostdiag_model::Histogram;
use hostdiag_model::trace::{Latency, Payload, Trace, latency};

use super::spread::{Measured, together};
use super::{Axis, Chart};
use crate::trace::latency::title;
use crate::trace::name;

/// The distribution by function or group, what took longest in all first; percentiles of all
/// over time.
pub(super) fn charts(trace: &Trace) -> Vec<Chart> {
    let measured = Measured { events: "calls", what: "duration".into(), axis: Axis::Duration };
    let mut all = latency::merged(trace.windows.iter().flat_map(|window| list(&window.payload)).cloned());
    all.sort_by_key(|one| std::cmp::Reverse(one.histogram.sum()));
    let spread = measured.spread(&rows(trace, all));
    std::iter::once(spread).chain(measured.over_time(trace, together_of)).collect()
}

/// With their names.
pub(super) fn rows(trace: &Trace, list: Vec<Latency>) -> Vec<(String, Histogram)> {
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let named = |one: Latency| match title(&one, &functions) {
        all if all.is_empty() => ("all calls".into(), one.histogram),
        name => (name, one.histogram),
    };
    list.into_iter().map(named).collect()
}

/// All calls of a window.
pub(super) fn together_of(payload: &Payload) -> Option<Histogram> {
    together(list(payload).iter().map(|one| &one.histogram))
}

/// Durations, or values that are counted likewise.
pub(super) fn list(payload: &Payload) -> &[Latency] {
    match payload {
        Payload::Latency(list) | Payload::Distribution(list) => list,
        _ => &[],
    }
}
