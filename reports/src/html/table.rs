//! Tables: a caption, headings that say what they are of, and bounded rows.

use maud::{Markup, Render, html};

use super::cell::Cell;
use crate::markup::{LONGEST, bounded};
use crate::page::count;

/// Rows of a table where nothing else is said; what is beyond is counted.
const ROWS: usize = 400;

/// How a column is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What a row is about: its heading.
    Name,
    /// The same of a table whose order tells something, and is not to be changed.
    Fact,
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
    most: usize,
}

impl Table {
    pub(super) fn new(caption: impl Into<String>, columns: &[(&str, Kind)]) -> Self {
        let columns = columns.iter().map(|(title, kind)| ((*title).to_owned(), *kind));
        Self { caption: caption.into(), columns: columns.collect(), rows: Vec::new(), most: ROWS }
    }

    pub(super) fn column(&mut self, title: impl Into<String>, kind: Kind) {
        self.columns.push((title.into(), kind));
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// With so many rows at most.
    pub(super) fn at_most(self, most: usize) -> Self {
        Self { most, ..self }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether a column says anything.
    fn is_used(&self, column: usize) -> bool {
        matches!(self.columns[column].1, Kind::Name | Kind::Fact)
            || self.rows.iter().any(|row| row.get(column).is_some_and(|cell| !cell.is_empty()))
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        let used: Vec<usize> = (0..self.columns.len()).filter(|column| self.is_used(*column)).collect();
        let columns = || used.iter().map(|at| (*at, &self.columns[*at]));
        let more = self.rows.len().saturating_sub(self.most);
        let caption = bounded(&self.caption, LONGEST);
        html! {
            div.scroll tabindex="0" role="group" aria-label=(caption) {
                table {
                    caption { (caption) }
                    thead { tr { @for (_, (title, kind)) in columns() {
                        th scope="col" class=[class(*kind)] { (bounded(title, LONGEST)) }
                    } } }
                    tbody { @for row in self.rows.iter().take(self.most) {
                        tr { @for (at, (_, kind)) in columns() { (cell(row.get(at), *kind)) } }
                    } }
                }
            }
            @if more > 0 { p.more { (count(more, "more row")) " in the recording" } }
        }
    }
}

fn class(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Name => Some("name"),
        Kind::Fact => Some("fact"),
        Kind::Number => Some("number"),
        Kind::Text => None,
    }
}

fn cell(cell: Option<&Cell>, kind: Kind) -> Markup {
    match kind {
        Kind::Name | Kind::Fact => {
            html! { th scope="row" class=[class(kind)] { @if let Some(cell) = cell { (cell) } } }
        }
        _ => html! { td class=[class(kind)] { @if let Some(cell) = cell { (cell) } } },
    }
}
