//! Values of calls.

use hostdiag_model::trace::{Latency, Trace, ValueCount};
use maud::html;

use super::cell::Cell;
use super::histogram::{Named, Scale, histograms, percentiles};
use super::table::{Kind, Table};
use super::trace::charts;
use super::{Place, Section};
use crate::trace::latency::title;
use crate::trace::name;
use crate::trace::values::{cells, share, sum, titles};

/// Values by how often they were seen, the most frequent first.
pub(super) fn table(trace: &Trace, counts: &[ValueCount]) -> Section {
    let arguments = trace.head.asked.arguments.clone().unwrap_or_default();
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let mut sorted: Vec<&ValueCount> = counts.iter().collect();
    sorted.sort_by(|a, b| (b.count, &a.key).cmp(&(a.count, &b.key)));
    let mut table = Table::new("Calls by value", &[]);
    for (at, title) in titles(arguments.by, &arguments.columns).into_iter().enumerate() {
        table.column(title, if at == 0 { Kind::Name } else { Kind::Text });
    }
    [("calls", Kind::Number), ("of all", Kind::Number), ("share", Kind::Text)]
        .into_iter()
        .for_each(|(title, kind)| table.column(title, kind));
    let all = sum(counts);
    for one in sorted {
        let values = cells(&one.key, &arguments, &functions).into_iter().map(Cell::from);
        let figures =
            [one.count.to_string().into(), share(one.count, all).into(), Cell::share(one.count, all)];
        table.row(values.chain(figures));
    }
    let condition = &arguments.condition;
    let body = html! {
        @if let Some(condition) = condition { p { "Calls where " code { (Cell::from(condition.as_str())) } } }
        (charts(trace))
        (table)
    };
    Section::new(Place::Values, "Values", body)
}

/// One value of each call, as durations are told.
pub(super) fn distribution(trace: &Trace, list: &[Latency]) -> Section {
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let of = trace.head.asked.arguments.iter().flat_map(|arguments| &arguments.columns);
    let of = of.map(|column| column.expression.clone()).next().unwrap_or_else(|| "value".into());
    let mut list: Vec<&Latency> = list.iter().collect();
    list.sort_by_key(|one| std::cmp::Reverse(one.histogram.count()));
    let named = |one: &&Latency| Named { name: title(one, &functions), histogram: one.histogram.clone() };
    let rows: Vec<Named> = list.iter().map(named).collect();
    let scale = Scale { show: |value| value.to_string(), unit: None, of };
    let body = html! {
        (charts(trace))
        (percentiles(&format!("Values of {}", scale.of), &rows, &scale))
        (histograms(&rows, &scale))
    };
    Section::new(Place::Values, "Values", body)
}
