//! `--matrix` as text: features by layer.

use hostdiag_model::FeatureState;
use hostdiag_model::matrix::{Column, Matrices, Matrix};

use super::words;
use crate::page::{Ink, Page, Style, harmless};

/// The tables, and what their words mean.
pub fn text(matrices: &Matrices, style: Style) -> String {
    let mut page = Page::new(style);
    for (index, matrix) in matrices.stacks.iter().enumerate() {
        page.put(if index == 0 { "" } else { "\n" });
        table(&mut page, matrix);
    }
    if matrices.stacks.is_empty() {
        page.line("No device lies on another one.");
    } else {
        page.line("\nrequested: asked for, not active   forced: active, not asked for   =: cannot be changed   -: not known");
    }
    page.finish()
}

fn table(page: &mut Page, matrix: &Matrix) {
    if let Some(netns) = &matrix.netns {
        page.ink(Ink::Bold, &format!("netns {netns}\n"));
    }
    let heads: Vec<String> = matrix.columns.iter().map(head).collect();
    let kinds: Vec<&str> = matrix.columns.iter().map(|column| column.kind.as_deref().unwrap_or("")).collect();
    let width =
        |index: usize| heads[index].chars().count().max(kinds[index].chars().count()).max("requested".len());
    let first = matrix.rows.iter().map(|row| row.feature.chars().count()).max().unwrap_or(0);
    let row = |name: &str, cells: Vec<&str>| {
        let mut line = format!("{name:<first$}");
        for (index, cell) in cells.iter().enumerate() {
            line.push_str(&format!("  {cell:<width$}", width = width(index)));
        }
        line.trim_end().to_owned()
    };
    page.ink(Ink::Bold, &row("", heads.iter().map(String::as_str).collect())).put("\n");
    page.line(&row("", kinds.clone()));
    for line in &matrix.rows {
        page.line(&row(&line.feature, line.cells.iter().map(|state| cell(*state)).collect()));
    }
}

pub(crate) fn head(column: &Column) -> String {
    let names: Vec<&str> = column.devices.iter().map(String::as_str).collect();
    harmless(&words::devices(&names))
}

pub(crate) fn cell(state: Option<FeatureState>) -> &'static str {
    match state {
        None => "-",
        Some(FeatureState::On) => "on",
        Some(FeatureState::Off) => "off",
        Some(FeatureState::OnFixed) => "on =",
        Some(FeatureState::OffFixed) => "off =",
        Some(FeatureState::OffRequestedOn) => "requested",
        Some(FeatureState::OnRequestedOff) => "forced",
    }
}
