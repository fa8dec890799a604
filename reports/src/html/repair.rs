//! What was changed, or is to be, and what was undone.

use hostdiag_model::Recording;
use hostdiag_model::history::History;
use hostdiag_model::offload::Problem;
use hostdiag_model::plan::{Done, Fix, Undo, Undone};
use maud::html;

use super::cell::{Tone, chip};
use super::method::preformatted;
use super::table::{Kind, Table};
use super::{Place, Section, method};
use crate::fix::{self, Options};
use crate::page::{Style, count};

const WHOLE: Options = Options { all: true, style: Style { color: false, unicode: false } };

/// A plan, and what came of it.
pub(super) fn fix(recording: &Recording, fix: &Fix) -> Vec<Section> {
    let changes = fix.plan.changes().count();
    let is = |is: fn(&Done) -> bool| fix.run.iter().flat_map(|run| &run.steps).any(is);
    let (tone, word) = match (&fix.run, fix.changed()) {
        (None, _) if changes == 0 => (Tone::Plain, "nothing to do"),
        (None, _) => (Tone::Unsure, "planned"),
        (Some(_), _) if is(|done| matches!(done, Done::RolledBack { .. })) => (Tone::Bad, "rolled back"),
        (Some(_), _) if is(|done| matches!(done, Done::Failed { .. })) => (Tone::Bad, "failed"),
        (Some(_), _) if is(|done| matches!(done, Done::Interrupted)) => (Tone::Unsure, "interrupted"),
        (Some(_), true) => (Tone::Good, "changed"),
        (Some(_), false) => (Tone::Plain, "unchanged"),
    };
    let columns = [
        ("device", Kind::Name),
        ("feature", Kind::Text),
        ("before", Kind::Text),
        ("after", Kind::Text),
        ("device is", Kind::Text),
    ];
    let mut table = Table::new("What the plan changes", &columns);
    for one in fix.plan.changes() {
        let after = if one.certain { one.after.to_string() } else { format!("{}, or as before", one.after) };
        let physical = if one.physical { "physical" } else { "software" };
        let cells = [&one.device, one.feature.as_ref(), &one.before.to_string(), &after, physical];
        table.row(cells.map(Into::into));
    }
    let sentence = format!("{} in {}", count(changes, "change"), count(fix.plan.steps.len(), "step"));
    let body = html! {
        @if !table.is_empty() { (table) }
        (preformatted(&fix::text(recording, fix, WHOLE)))
    };
    vec![result(recording, (tone, word), &sentence), Section::new(Place::Repairs, "Repair", body)]
}

/// What was set back.
pub(super) fn undo(recording: &Recording, undo: &Undo) -> Vec<Section> {
    let (tone, word) = match undo.changed() {
        _ if undo.runs.iter().any(Undone::conflicts) => (Tone::Bad, "conflict"),
        true => (Tone::Good, "undone"),
        false => (Tone::Plain, "unchanged"),
    };
    let columns =
        [("device", Kind::Name), ("feature", Kind::Text), ("result", Kind::Text), ("run", Kind::Text)];
    let mut table = Table::new("What became of each wish", &columns);
    for run in &undo.runs {
        let row =
            |device: &str, feature: &str, result: &str| [device, feature, result, &run.id].map(Into::into);
        for wish in &run.wishes {
            table.row(row(&fix::undo::device(wish), &wish.feature, &fix::undo::result(wish)));
        }
        run.recomputed.iter().for_each(|device| table.row(row(device, "recompute", fix::undo::RECOMPUTED)));
    }
    let not_kept = |one: &Problem| format!("{}{}: {}", fix::NOT_KEPT, one.subject, one.message);
    let problems: Vec<String> = undo.problems.iter().map(not_kept).collect();
    let body = html! {
        @if table.is_empty() { p { "nothing to undo" } } @else { (table) }
        (method::list(&problems))
    };
    let sentence = match undo.runs.as_slice() {
        [one] => format!("run {}{}", one.id, fix::undo::totals(one)),
        several => count(several.len(), "run"),
    };
    vec![result(recording, (tone, word), &sentence), Section::new(Place::Repairs, "Undo", body)]
}

/// Changes over time.
pub(super) fn history(recording: &Recording, history: &History) -> Vec<Section> {
    let columns = [
        ("time", Kind::Name),
        ("by", Kind::Text),
        ("what", Kind::Text),
        ("device", Kind::Text),
        ("feature", Kind::Text),
        ("change", Kind::Text),
        ("run", Kind::Text),
        ("reason", Kind::Text),
    ];
    let mut table = Table::new("Changes, the newest last", &columns);
    for entry in &history.entries {
        let more = [entry.run.to_string(), entry.reason.clone().unwrap_or_default()];
        table.row(fix::history::cells(entry).into_iter().chain(more).map(Into::into));
    }
    let sentence = count(history.entries.len(), "change");
    let body = html! { @if table.is_empty() { p { "no changes so far" } } @else { (table) } };
    vec![
        result(recording, (Tone::Plain, "history"), &sentence),
        Section::new(Place::Repairs, "History", body),
    ]
}

fn result(recording: &Recording, (tone, word): (Tone, &str), sentence: &str) -> Section {
    let body = html! {
        p.lead { (chip(tone, word)) " " (sentence) }
        (method::lost(recording))
    };
    Section::new(Place::Verdict, "Result", body)
}
