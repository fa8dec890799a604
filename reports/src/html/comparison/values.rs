//! Values of calls on both sides.

use hostdiag_model::diff::values::Values;
use maud::html;

use super::super::cell::Cell;
use super::super::table::{Kind, Table};
use super::super::{Place, Section};
use super::{differs, stands};
use crate::diff::values::row;
use crate::page::count;
use crate::trace::values::titles;

pub(super) fn sections(values: &Values) -> Vec<Section> {
    let titles = titles(values.by, &values.columns);
    let changed = values.rows.iter().filter(|row| stands(row.change.verdict));
    let told = changed.map(|one| {
        let cells = row(one, values);
        let named = titles.iter().zip(&cells).map(|(title, cell)| format!("{title} {cell}"));
        let named = named.collect::<Vec<_>>().join(", ");
        let [a, b, change] = [0, 1, 2].map(|at| cells.get(titles.len() + at).map_or("", String::as_str));
        (Cell::verdict(one.change.verdict), format!("{named}: {a}/s -> {b}/s ({change})"))
    });
    let mut table = Table::new("Calls a second by value", &[]);
    for (at, title) in titles.iter().enumerate() {
        table.column(title.clone(), if at == 0 { Kind::Name } else { Kind::Text });
    }
    for title in ["A", "B", "change", "95 %"] {
        table.column(title.to_owned(), Kind::Number);
    }
    table.column("verdict".to_owned(), Kind::Text);
    for one in &values.rows {
        let mut cells: Vec<Cell> = row(one, values).into_iter().map(Cell::from).collect();
        cells.pop();
        table.row(cells.into_iter().chain([Cell::verdict(one.change.verdict)]));
    }
    let body = html! {
        (table)
        @if values.small > 0 {
            p.more { (count(values.small, "row")) " with less than 0.1 % of the calls on both sides, not judged" }
        }
    };
    differs(told).into_iter().chain([Section::new(Place::Values, "Values of calls", body)]).collect()
}
