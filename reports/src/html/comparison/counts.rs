//! Rates of functions on both sides.

use hostdiag_model::diff::counts::{Counts, Row};
use maud::html;

use super::super::cell::Cell;
use super::super::table::{Kind, Table};
use super::super::{Place, Section};
use super::{differs, renamed, stands};
use crate::diff::counts::row;

pub(super) fn sections(counts: &Counts) -> Vec<Section> {
    let changed = counts.rows.iter().filter(|row| stands(row.change.verdict));
    let told = changed.map(|one| (Cell::verdict(one.change.verdict), sentence(one)));
    let mut table = Table::new(
        "Calls a second by function",
        &[
            ("function", Kind::Name),
            ("A", Kind::Number),
            ("B", Kind::Number),
            ("change", Kind::Number),
            ("95 %", Kind::Number),
            ("verdict", Kind::Text),
        ],
    );
    for one in &counts.rows {
        let [name, a, b, change, interval, _] = row(one);
        let cells = [name, a, b, change, interval].map(Cell::from);
        table.row(cells.into_iter().chain([Cell::verdict(one.change.verdict)]));
    }
    let rates = Section::new(Place::Rates, "Rates", html! { (table) (renamed(counts.renamed)) });
    differs(told).into_iter().chain([rates]).collect()
}

fn sentence(one: &Row) -> String {
    let [name, a, b, change, ..] = row(one);
    format!("{name}: {a}/s -> {b}/s ({change})")
}
