//! Counts of functions on both sides.

use hostdiag_model::diff::counts::{Counts, Row};

use super::number::{interval, ratio, short};
use super::{Options, left_out, renamed, table};
use crate::page::Page;

pub(super) fn text(page: &mut Page, counts: &Counts, options: Options) {
    let rows: Vec<Vec<String>> =
        counts.rows.iter().take(options.rows()).map(|one| row(one).to_vec()).collect();
    table(page, &["FUNC", "A/s", "B/s", "CHANGE", "95 %", ""], &rows);
    left_out(page, counts.rows.len(), rows.len(), "function");
    renamed(page, counts.renamed);
}

/// Name, A, B, ratio, interval, verdict.
pub(crate) fn row(row: &Row) -> [String; 6] {
    let module = row.module.as_ref().map_or(String::new(), |module| format!(" [{module}]"));
    [
        format!("{}{module}", row.name),
        short(row.a.rate),
        short(row.b.rate),
        ratio(row.change.ratio, row.a.rate, row.b.rate),
        interval(&row.change),
        row.change.verdict.as_str().into(),
    ]
}
