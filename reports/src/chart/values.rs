//! Values of calls.

use hostdiag_model::trace::{Payload, Trace, ValueKey, latency};

use super::latency::{list, rows, together_of};
use super::rates::{Counted, rates};
use super::spread::Measured;
use super::{Axis, Chart};
use crate::trace::name;
use crate::trace::values::cells;

/// The distribution of one value, of what had most calls first; percentiles over time.
pub(super) fn distribution(trace: &Trace) -> Vec<Chart> {
    let columns = trace.head.asked.arguments.iter().flat_map(|arguments| &arguments.columns);
    let what = columns.map(|column| column.expression.clone()).next().unwrap_or_else(|| "value".into());
    let measured = Measured { events: "calls", axis: Axis::Value(what.clone()), what };
    let mut all = latency::merged(trace.windows.iter().flat_map(|window| list(&window.payload)).cloned());
    all.sort_by_key(|one| std::cmp::Reverse(one.histogram.count()));
    let spread = measured.spread(&rows(trace, all));
    std::iter::once(spread).chain(measured.over_time(trace, together_of)).collect()
}

/// Calls a second by their values.
pub(super) fn chart(trace: &Trace) -> Chart {
    let arguments = trace.head.asked.arguments.clone().unwrap_or_default();
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let title = match arguments.columns.as_slice() {
        [one] => format!("{} ", one.expression),
        _ => String::new(),
    };
    let counted = Counted { title: "Calls a second by value", events: "calls", of: "value" };
    let counts = |payload: &Payload| match payload {
        Payload::Values(list) => list.iter().map(|one| (one.key.clone(), one.count)).collect(),
        _ => Vec::new(),
    };
    let name = |key: &ValueKey| format!("{title}{}", cells(key, &arguments, &functions).join("  "));
    rates(trace, &counted, counts, name)
}
