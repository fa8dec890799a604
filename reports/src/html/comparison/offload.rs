//! Features of devices on both sides.

use hostdiag_model::diff::Verdict;
use hostdiag_model::diff::offload::{Features, Pair, Setting};
use maud::html;

use super::super::cell::Cell;
use super::super::table::{Kind, Table};
use super::super::{Place, Section, method};
use super::differs;
use crate::page::count;

pub(super) fn sections(features: &Features) -> Vec<Section> {
    let active = features.pairs.iter().flat_map(|pair| pair.active.iter().map(move |one| (pair, one)));
    let told = active.map(|(pair, one)| {
        (
            Cell::verdict(Verdict::Differs),
            format!("{}: {}   A {}, B {}", name(pair), one.feature, one.a, one.b),
        )
    });
    let mut table = Table::new(
        "Features that differ",
        &[
            ("device", Kind::Name),
            ("place", Kind::Text),
            ("feature", Kind::Text),
            ("A", Kind::Text),
            ("B", Kind::Text),
            ("verdict", Kind::Text),
        ],
    );
    for pair in &features.pairs {
        pair.active.iter().for_each(|one| table.row(row(pair, one, Cell::verdict(Verdict::Differs))));
        pair.wish.iter().for_each(|one| table.row(row(pair, one, "as active".into())));
    }
    let names =
        |what: &str, names: &[String]| (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")));
    let words =
        |names: &[hostdiag_model::FeatureName]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    let beside = [
        names("only on A", &features.only_a),
        names("only on B", &features.only_b),
        names("not known to the kernel of B, which is not off", &words(&features.unknown_on_b)),
        names("not known to the kernel of A, which is not off", &words(&features.unknown_on_a)),
    ];
    let beside: Vec<String> = beside.into_iter().flatten().collect();
    let body = html! {
        p { (count(features.compared, "pair")) " of devices compared" }
        @if !table.is_empty() { (table) }
        (method::list(&beside))
    };
    let offload = Section::new(Place::Offload, "Offload features", body);
    differs(told).into_iter().chain([offload]).collect()
}

fn name(pair: &Pair) -> String {
    if pair.a == pair.b { pair.a.clone() } else { format!("{} on A is {} on B", pair.a, pair.b) }
}

fn row(pair: &Pair, one: &Setting, verdict: Cell) -> Vec<Cell> {
    let place = pair.role.clone().unwrap_or_default();
    let cells = [name(pair), place, one.feature.to_string(), one.a.to_string(), one.b.to_string()];
    cells.map(Cell::from).into_iter().chain([verdict]).collect()
}
