//! Features of network devices: what is lost where, the stacks, the matrix.

use hostdiag_model::audit::Entry;
use hostdiag_model::matrix::{Matrix, matrices};
use hostdiag_model::stack::Stack;
use hostdiag_model::{Audit, OffloadData, Recording};
use maud::{Markup, html};

use super::cell::{Cell, Tone, chip};
use super::method::{self, preformatted};
use super::table::{Kind, Table};
use super::{Place, Section};
use crate::markup::{LONGEST, bounded};
use crate::offload::matrix::{cell, head};
use crate::offload::{Options, headline, next, topology, words};
use crate::page::{Style, count};

/// As many pictures of stacks and matrices are shown.
const PICTURES: usize = 40;

/// An audit: what follows, findings, and all it is judged by.
pub(super) fn sections(recording: &Recording, data: &OffloadData, audit: &Audit) -> Vec<Section> {
    let mut sections = vec![verdict(recording, data, audit), features(data, audit)];
    if audit.findings().next().is_some() {
        let body = html! { (entries("What is lost, and where", audit.findings())) };
        sections.push(Section::new(Place::Differs, "Findings", body));
    }
    let problems = data.namespaces.iter().flat_map(|namespace| &namespace.problems);
    let problems: Vec<String> =
        problems.map(|problem| format!("not read: {}: {}", problem.subject, problem.message)).collect();
    let body = html! {
        p { "Read from the kernel and from configuration files; judged by " code { "hostdiag explain offload" } }
        (method::list(&problems))
        (method::lost(recording))
    };
    sections.push(Section::new(Place::Method, "Method and trust", body));
    sections
}

fn verdict(recording: &Recording, data: &OffloadData, audit: &Audit) -> Section {
    let findings: Vec<&Entry> = audit.findings().collect();
    let (tone, word) = if findings.is_empty() { (Tone::Good, "fine") } else { (Tone::Bad, "findings") };
    let expired = audit.expired.iter().map(|rule| format!("accept rule {rule} no longer holds"));
    let next = if findings.is_empty() { Vec::new() } else { next::steps(data, &findings) };
    let body = html! {
        p.lead { (chip(tone, word)) " " (headline(data, audit)) }
        (method::list(&expired.collect::<Vec<_>>()))
        (method::lost(recording))
        @if !next.is_empty() {
            h3 { "Next" }
            @for command in &next { pre tabindex="0" { code { (bounded(command, 2 * LONGEST)) } } }
        }
    };
    Section::new(Place::Verdict, "Result", body)
}

/// Findings or notes, a row each.
fn entries<'a>(caption: &str, entries: impl Iterator<Item = &'a Entry>) -> Table {
    let columns = [
        ("device", Kind::Name),
        ("verdict", Kind::Text),
        ("feature", Kind::Text),
        ("where", Kind::Text),
        ("takes down", Kind::Text),
        ("why", Kind::Text),
        ("repair", Kind::Text),
    ];
    let mut table = Table::new(caption, &columns);
    for entry in entries {
        let netns = entry.netns.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        let (word, ink) = words::label(entry.verdict);
        let down: Vec<&str> = entry.takes_down.iter().map(|name| words::short(name)).collect();
        table.row([
            format!("{netns}{}", entry.device).into(),
            Cell::Chip(ink.into(), format!("{word} ({})", entry.verdict.as_str())),
            entry.feature.to_string().into(),
            words::place(entry).into(),
            down.join(", ").into(),
            why(entry).into(),
            words::repair(entry).unwrap_or_default().into(),
        ]);
    }
    table
}

/// The reason, with what asked for it or accepts it.
fn why(entry: &Entry) -> String {
    let asked =
        entry.asked_by.iter().map(|intent| format!("{}:{} {}", intent.file, intent.line, intent.text));
    let accepted = entry.accepted.iter().map(|rule| format!("accepted: {}", rule.reason));
    std::iter::once(words::why(entry)).chain(asked).chain(accepted).collect::<Vec<_>>().join("; ")
}

/// Who lies on whom, what they can, and what is to be known beside.
pub(super) fn features(data: &OffloadData, audit: &Audit) -> Section {
    let options = Options { notes: true, all: true, style: Style { color: false, unicode: true } };
    let pictures = data.namespaces.iter().map(|namespace| {
        let lines = topology::lines(&Stack::new(namespace), audit, options);
        (namespace.name.clone(), lines.join("\n"))
    });
    let matrices = matrices(&data.namespaces, true).stacks;
    let notes = entries("Notes", audit.notes());
    let body = html! {
        @for (netns, picture) in pictures.filter(|(_, picture)| !picture.is_empty()).take(PICTURES) {
            @if let Some(netns) = netns { h3 { "netns " (bounded(&netns, LONGEST)) } }
            (preformatted(&picture))
        }
        @for one in matrices.iter().take(PICTURES) { (matrix(one)) }
        @if matrices.len() > PICTURES {
            p.more { (count(matrices.len() - PICTURES, "more stack")) " in hostdiag offload --matrix" }
        }
        @if !matrices.is_empty() {
            p.legend { "requested: asked for, not active; forced: active, not asked for; =: cannot be changed; -: not known" }
        }
        @if !notes.is_empty() { details { summary { "Notes" } (notes) } }
    };
    Section::new(Place::Offload, "Offload features", body)
}

/// Features by layer, from the bottom to the top.
fn matrix(matrix: &Matrix) -> Markup {
    let netns = matrix.netns.as_ref().map_or(String::new(), |name| format!(" in netns {name}"));
    let mut table = Table::new(format!("Features by layer{netns}"), &[("feature", Kind::Name)]);
    for column in &matrix.columns {
        let kind = column.kind.as_ref().map_or(String::new(), |kind| format!(" ({kind})"));
        table.column(format!("{}{kind}", head(column)), Kind::Text);
    }
    for row in &matrix.rows {
        let active = row.cells.iter().flatten().map(|state| state.active());
        let differs = active.clone().any(|one| one) && active.clone().any(|one| !one);
        let tone = |state: &Option<_>| match state {
            Some(state) if differs && !hostdiag_model::FeatureState::active(*state) => Some(Tone::Unsure),
            _ => None,
        };
        let cells = row.cells.iter().map(|state| match tone(state) {
            Some(tone) => Cell::Chip(tone, cell(*state).to_owned()),
            None => cell(*state).into(),
        });
        table.row(std::iter::once(Cell::from(row.feature.to_string())).chain(cells));
    }
    html! { details open[matrix.rows.len() <= 12] { summary { "Features by layer" (bounded(&netns, LONGEST)) } (table) } }
}
