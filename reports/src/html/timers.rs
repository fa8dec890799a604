//! Timers of the kernel, and from where they are started.

use hostdiag_model::trace::timers::start_stacks;
use hostdiag_model::trace::{TimerCount, Trace};
use maud::html;

use super::cell::Cell;
use super::histogram::{Named, Scale, histograms};
use super::table::{Kind, Table};
use super::trace::charts;
use super::{Place, Section, stacks};
use crate::trace::duration::duration;
use crate::trace::timers::{columns, title};

/// Rows by what they call; what started them as stacks.
pub(super) fn sections(trace: &Trace, list: &[TimerCount], length_ms: u64) -> Vec<Section> {
    let asked = trace.head.asked.timers.unwrap_or_default();
    let mut rows: Vec<&TimerCount> = list.iter().collect();
    rows.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.timer.cmp(&b.timer)));
    let columns = columns(&rows, asked, length_ms);
    let mut table = Table::new("Timers by what they call", &[]);
    // What a row is of comes first.
    let is_name = |title: &str| title == "FUNCTION";
    let order = || {
        columns
            .iter()
            .filter(|one| is_name(one.title))
            .chain(columns.iter().filter(|one| !is_name(one.title)))
    };
    for column in order() {
        let kind = if column.left { Kind::Text } else { Kind::Number };
        table.column(column.title.to_lowercase(), if is_name(column.title) { Kind::Name } else { kind });
    }
    for row in 0..rows.len() {
        table.row(order().map(|column| Cell::from(column.cells.get(row).cloned().unwrap_or_default())));
    }
    let named: Vec<Named> = rows.iter().filter(|_| asked.histograms).flat_map(|row| of_row(row)).collect();
    let scale = Scale { show: duration, unit: Some(hostdiag_model::histogram::Unit::Us), of: String::new() };
    let body = html! { (table) (charts(trace)) (histograms(&named, &scale)) };
    let mut sections = vec![Section::new(Place::Timers, "Timers", body)];
    if let Some(counts) = start_stacks(list) {
        sections.push(stacks::section(trace, &counts, "Where timers are started"));
    }
    sections
}

/// Its histograms, by what they are of.
fn of_row(row: &TimerCount) -> Vec<Named> {
    let all = [("delay", Some(&row.delay)), ("late", row.late.as_ref()), ("run", row.run.as_ref())];
    let some = all.into_iter().filter_map(|(what, histogram)| Some((what, histogram?)));
    some.map(|(what, histogram)| Named {
        name: format!("{what} of {}", title(row)),
        histogram: histogram.clone(),
    })
    .collect()
}
