//! How long calls took on both sides.

use hostdiag_model::diff::latency::{Latencies, Row};
use maud::{Markup, html};

use super::super::cell::Cell;
use super::super::table::{Kind, Table};
use super::super::{Place, Section};
use super::{differs, renamed, stands};
use crate::diff::latency::{Aligned, Of, aligned, apart, mean, quantile, title};
use crate::page::count;

/// As many functions are shown with their histograms.
const SHOWN: usize = 20;

pub(super) fn sections(latencies: &Latencies, what: Of) -> Vec<Section> {
    let told = latencies.rows.iter().flat_map(|row| told(row, what));
    let left = latencies.rows.len().saturating_sub(SHOWN);
    let body = html! {
        @for (at, row) in latencies.rows.iter().take(SHOWN).enumerate() { (of(row, what, at == 0)) }
        @if left > 0 { p.more { (count(left, "more function")) " took less time" } }
        (renamed(latencies.renamed))
    };
    let latency = match what {
        Of::Durations => Section::new(Place::Latency, "Latency", body),
        Of::Values => Section::new(Place::Values, "Values of calls", body),
    };
    differs(told).into_iter().chain([latency]).collect()
}

fn name(row: &Row) -> String {
    let title = title(row);
    if title.is_empty() { "all calls".into() } else { title }
}

fn told(row: &Row, what: Of) -> impl Iterator<Item = (Cell, String)> {
    let changes = row.quantiles.iter().filter_map(|one| Some((one, one.change?.verdict)));
    changes.filter(|(_, verdict)| stands(*verdict)).map(move |(one, verdict)| {
        let [quantile, a, b, change, ..] = quantile(one, what);
        (Cell::verdict(verdict), format!("{} {quantile}: {a} -> {b} ({change})", name(row)))
    })
}

fn of(row: &Row, what: Of, first: bool) -> Markup {
    let caption = if what == Of::Durations { "durations" } else { "values" };
    let mut table = Table::new(
        format!("{}: {caption}", name(row)),
        &[
            ("quantile", Kind::Fact),
            ("A", Kind::Number),
            ("B", Kind::Number),
            ("change", Kind::Number),
            ("95 %", Kind::Number),
            ("verdict", Kind::Text),
        ],
    );
    for one in &row.quantiles {
        let [name, a, b, change, interval, word] = quantile(one, what);
        let verdict = one.change.map_or(word.into(), |change| Cell::verdict(change.verdict));
        table.row([name, a, b, change, interval].map(Cell::from).into_iter().chain([verdict]));
    }
    table.row(mean(row, what).map(Cell::from));
    table.row(["n".into(), row.a.count().to_string().into(), row.b.count().to_string().into()]);
    html! {
        h3 { (Cell::from(name(row))) " " (Cell::verdict(row.verdict)) }
        (table)
        @if let Some(distance) = &row.distance { p { (apart(distance, what)) } }
        details open[first] { summary { "Both histograms, in the same rows" } (histograms(row, what)) }
    }
}

fn histograms(row: &Row, what: Of) -> Table {
    let Aligned { unit, rows, most } = aligned(row, what);
    let mut table = Table::new(
        format!("{}, {unit}", name(row)),
        &[
            ("from", Kind::Number),
            ("to", Kind::Number),
            ("A", Kind::Number),
            ("B", Kind::Number),
            ("share of A", Kind::Text),
            ("share of B", Kind::Text),
        ],
    );
    for ((low, high), [a, b]) in rows {
        let cells = [low, high, a, b].map(|number| Cell::from(number.to_string()));
        table.row(cells.into_iter().chain([Cell::share(a, most[0]), Cell::share(b, most[1])]));
    }
    table
}
