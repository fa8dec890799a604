//! Values of calls on both sides, by how much their rates changed.

use hostdiag_model::diff::values::{Row, Values};
use hostdiag_model::trace::Apart;

use super::number::{interval, ratio, short};
use super::{Options, left_out, table};
use crate::page::{Page, count};
use crate::trace::values::{shown, titles};

pub(super) fn text(page: &mut Page, values: &Values, options: Options) {
    let titles = titles(values.by, &values.columns);
    let head: Vec<&str> =
        titles.iter().map(String::as_str).chain(["A/s", "B/s", "CHANGE", "95 %", ""]).collect();
    let rows: Vec<Vec<String>> =
        values.rows.iter().take(options.rows()).map(|one| row(one, values)).collect();
    table(page, &head, &rows);
    left_out(page, values.rows.len(), rows.len(), "row");
    if values.small > 0 {
        let small = count(values.small, "row");
        page.line(&format!("{small} with less than 0.1 % of the calls on both sides, not judged"));
    }
}

/// As many as there are titles, then the rates of both, ratio, interval and verdict.
pub(crate) fn row(row: &Row, values: &Values) -> Vec<String> {
    let apart = values.by.map(|by| match by {
        Apart::Func => row.function.clone().unwrap_or_default(),
        Apart::Comm => row.comm.clone().unwrap_or_default(),
    });
    let cells = (0..).zip(&values.columns).map(|(at, column): (usize, _)| {
        row.values.get(at).map_or(String::new(), |value| shown(value, &column.form))
    });
    let figures = [
        short(row.a.rate),
        short(row.b.rate),
        ratio(row.change.ratio, row.a.rate, row.b.rate),
        interval(&row.change),
        row.change.verdict.as_str().into(),
    ];
    apart.into_iter().chain(cells).chain(figures).collect()
}
