//! Stacks of both sides: two flame graphs in one scale, paths of one side alone, frames.

use hostdiag_model::diff::stacks::{Amount, Paths, Stacks};
use hostdiag_model::diff::{Comparison, Side, Which};
use maud::{Markup, html};

use super::super::cell::{Cell, Tone};
use super::super::flame::{self, Frame};
use super::super::table::{Kind, Table};
use super::super::{Place, Section};
use super::{differs, renamed, stands};
use crate::diff::Options;
use crate::diff::number::{of_unit, short, step};
use crate::diff::stacks::{explains, row, shown};
use crate::diff::svg::{LEGEND, about, class};
use crate::page::count;

const WHOLE: Options = Options { all: true, style: crate::Style { color: false, unicode: false } };

pub(super) fn sections(comparison: &Comparison, stacks: &Stacks) -> Vec<Section> {
    let path = stacks.most.iter().map(|path| {
        // A sentence that somebody reads to its end.
        let options = Options { all: path.frames.len() <= 20, ..Options::default() };
        (Cell::Chip(Tone::Plain, "most of it".into()), explains(stacks, path, options))
    });
    let frames = stacks.frames.iter().filter(|row| !row.name.is_empty());
    let changed = frames.filter(|row| stands(row.change.verdict));
    let told = changed.map(|row| {
        (Cell::verdict(row.change.verdict), format!("{}: {}", row.name, step(row.total, stacks.unit)))
    });
    let body = html! {
        p.lead { "All: " (step(stacks.total, stacks.unit)) }
        (panel(Which::A, &comparison.a, stacks))
        (panel(Which::B, &comparison.b, stacks))
        p.legend { "Both in one scale; colour: change of a frame with what it calls." @for (class, words) in LEGEND { span class={ "swatch " (class) } {} " " (words) " " } }
        (alone(Which::B, &stacks.new, stacks))
        (alone(Which::A, &stacks.gone, stacks))
        (by_change(stacks))
        (renamed(stacks.renamed))
    };
    let section = Section::new(Place::Stacks, "Stacks", body);
    differs(path.chain(told)).into_iter().chain([section]).collect()
}

/// Both have one scale: the side with more fills the page.
fn panel(which: Which, side: &Side, stacks: &Stacks) -> Markup {
    let most = stacks.total.a.max(stacks.total.b);
    let of = |amount: Amount| if which == Which::A { amount.a } else { amount.b };
    let width = |node: u32| if most > 0.0 { of(stacks.amount(node)) / most } else { 0.0 };
    let spots = flame::spots(|node| stacks.tree.children(node).collect(), width);
    let frame = |node: u32| {
        let amount = stacks.amount(node);
        let name = if node == 0 { "all" } else { stacks.tree.name(node) };
        Frame {
            name: name.to_owned(),
            class: class(amount, stacks.is_noise(amount)),
            about: about(amount, stacks.unit),
        }
    };
    let letter = if which == Which::A { "A" } else { "B" };
    flame::picture(&format!("{letter}: {}", side.files.join(" ")), &spots, frame)
}

fn alone(which: Which, paths: &Paths, stacks: &Stacks) -> Markup {
    let title = if which == Which::A { "Gone: on A alone" } else { "New: on B alone" };
    let columns = [("path, from the last frame that both have", Kind::Name), ("amount", Kind::Number)];
    let mut table = Table::new(title, &columns);
    for path in &paths.paths {
        let from = path.shared.saturating_sub(1);
        table.row([
            shown(path, from, WHOLE).into(),
            of_unit(path.amount.a + path.amount.b, stacks.unit, short).into(),
        ]);
    }
    html! {
        @if !table.is_empty() { (table) }
        @if paths.more > 0 { p.more { "and " (count(paths.more, "more path")) " with " (paths.more_count) " in all" } }
    }
}

fn by_change(stacks: &Stacks) -> Table {
    let mut table = Table::new(
        "Frames by change",
        &[
            ("frame", Kind::Name),
            ("A", Kind::Number),
            ("B", Kind::Number),
            ("change", Kind::Number),
            ("ratio", Kind::Number),
            ("95 %", Kind::Number),
            ("itself", Kind::Number),
            ("verdict", Kind::Text),
        ],
    );
    for one in stacks.frames.iter().filter(|row| !row.name.is_empty()) {
        let cells = row(one, stacks).into_iter().map(Cell::from);
        table.row(cells.chain([Cell::verdict(one.change.verdict)]));
    }
    table
}
