//! Tables: a caption, headings that say what they are of, and bounded rows.

use maud::{Markup, Render, html};

use super::cell::Cell;
use crate::markup::{LONGEST, bounded};
use crate::page::count;

/// Rows of a table; what is beyond is counted.
const ROWS: usize = 400;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a row is about: its heading.
    Name,
    /// Numbers, to the right.
    Number,
    /// Anything else.
    Text,
}

/// A table, in the order in which rows are added.
#[derive(Clone, Debug)]
pub(super) struct Table {
    caption: String,
    columns: Vec<(String, Kind)>,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, columns: &[(&str, Kind)]) -> Self {
        let columns = columns.iter().map(|(title, kind)| ((*title).to_owned(), *kind));
        Self { caption: caption.into(), columns: columns.collect(), rows: Vec::new() }
    }

    pub(super) fn column(&mut self, title: impl Into<String>, kind: Kind) {
        self.columns.push((title.into(), kind));
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a column says anything.
    fn is_used(&self, column: usize) -> bool {
        self.columns[column].1 == Kind::Name
            || self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        let used: Vec<usize> = (0..self.columns.len()).filter(|column| self.is_used(*column)).collect();
        let columns = || used.iter().map(|at| (*at, &self.columns[*at]));
        let more = self.rows.len().saturating_sub(ROWS);
        let caption = bounded(&self.caption, LONGEST);
        html! {
            div.scroll tabindex="0" role="group" aria-label=(caption) {
                table {
                    caption { (caption) }
                    thead { tr { @for (_, (title, kind)) in columns() {
                        th scope="col" class=[class(*kind)] { (bounded(title, LONGEST)) }
                    } } }
                    tbody { @for row in self.rows.iter().take(ROWS) {
                        tr { @for (at, (_, kind)) in columns() { (cell(row.get(at), *kind)) } }
                    } }
                }
            }
            @if more > 0 { p.more { (count(more, "more row")) " with less" } }
        }
    }
}

fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Name => Some("name"),
        Kind::Number => Some("number"),
        Kind::Text => None,
    }
}

fn cell(cell: Option<&Cell>, kind: Kind) -> Markup {
    match kind {
        Kind::Name => html! { th scope="row" class=[class(kind)] { @if let Some(cell) = cell { (cell) } } },
        _ => html! { td class=[class(kind)] { @if let Some(cell) = cell { (cell) } } },
    }
}
