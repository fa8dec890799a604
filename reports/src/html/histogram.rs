//! Durations and values: percentiles of each row, and log2 histograms.

use hostdiag_model::Histogram;
use hostdiag_model::histogram::Unit;
use maud::{Markup, html};

use super::cell::Cell;
use super::table::{Kind, Table};
use crate::page::count;
use crate::trace::log2::{bounds, label};

/// As many histograms are shown of what has one each.
const HISTOGRAMS: usize = 12;

/// What is counted apart, with its name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) histogram: Histogram,
}

/// How values are read, and what they are of.
pub(super) struct Scale {
    pub(super) show: fn(u64) -> String,
    /// Of the histograms' rows; absent: the values are numbers of this.
    pub(super) unit: Option<Unit>,
    pub(super) of: String,
}

impl Scale {
    /// In tables of histograms.
    fn label(&self) -> String {
        self.unit.map_or(self.of.clone(), |unit| label(unit).to_owned())
    }
}

/// A row for each.
pub(super) fn percentiles(caption: &str, rows: &[Named], scale: &Scale) -> Table {
    let mut table = Table::new(caption, &[("of", Kind::Name), ("calls", Kind::Number)]);
    for title in ["p50", "p90", "p99", "p99.9", "max", "mean"] {
        table.column(title, Kind::Number);
    }
    for Named { name, histogram } in rows {
        let at = |hundredths| {
            let bounds = histogram.percentile(hundredths);
            bounds.map_or(String::new(), |bounds| {
                let open = if bounds.high.is_none() { ">= " } else { "" };
                format!("{open}{}", (scale.show)(bounds.middle()))
            })
        };
        let known = |value: Option<u64>| value.map_or(String::new(), scale.show);
        let name = if name.is_empty() { "all calls".to_owned() } else { name.clone() };
        let mut cells: Vec<Cell> = vec![name.into(), histogram.count().to_string().into()];
        cells.extend([5000, 9000, 9900, 9990].map(|hundredths| at(hundredths).into()));
        cells.extend([known(histogram.max).into(), known(histogram.mean()).into()]);
        table.row(cells);
    }
    table
}

/// Each as a table with bars, the first one open.
pub(super) fn histograms(rows: &[Named], scale: &Scale) -> Markup {
    let filled: Vec<&Named> = rows.iter().filter(|row| row.histogram.count() > 0).collect();
    html! {
        @for (at, row) in filled.iter().take(HISTOGRAMS).enumerate() {
            details open[at == 0] {
                summary { "Histogram" @if !row.name.is_empty() { ": " (Cell::from(row.name.as_str())) } }
                (log2(row, scale))
            }
        }
        @if filled.len() > HISTOGRAMS {
            p.more { (count(filled.len() - HISTOGRAMS, "more histogram")) " in the recording" }
        }
    }
}

fn log2(row: &Named, scale: &Scale) -> Markup {
    let counts = row.histogram.log2(scale.unit.unwrap_or(Unit::Ns));
    let most = counts.iter().copied().max().unwrap_or(0);
    let name = if row.name.is_empty() { "all calls" } else { &row.name };
    let of = scale.label();
    let columns =
        [("from", Kind::Number), ("to", Kind::Number), ("count", Kind::Number), ("share", Kind::Text)];
    let mut table = Table::new(format!("{name}, {of}"), &columns);
    let first = counts.iter().take_while(|count| **count == 0).count();
    for (at, count) in counts.iter().enumerate().skip(first) {
        let (low, high) = bounds(at);
        let cells = [low.to_string(), high.to_string(), count.to_string()].map(Cell::from);
        table.row(cells.into_iter().chain([Cell::share(*count, most)]));
    }
    html! { (table) }
}
