//! How a host is set up, and what happened on it.

use std::collections::BTreeMap;

use hostdiag_model::Recording;
use hostdiag_model::snapshot::{Area, Setting, Snapshot, Unit};
use maud::{Markup, html};

use super::cell::{Cell, Tone, chip};
use super::table::{Kind, Table};
use super::{Place, Section, method, offload};
use crate::page::count;
use crate::snapshot::unusual::{is_unusual, unread};
use crate::snapshot::words::{area, value};

/// As many rows of a kind are shown: a host has some thousand.
const ROWS: usize = 4000;

/// What is unusual, settings, rates, and the host's network devices.
pub(super) fn sections(recording: &Recording, snapshot: &Snapshot) -> Vec<Section> {
    let (settings, rates) = (count(snapshot.settings.len(), "setting"), count(snapshot.rates.len(), "rate"));
    let result = html! {
        p.lead { (chip(Tone::Plain, "read")) " " (settings) " and " (rates) }
        (method::lost(recording))
    };
    let mut sections = vec![
        Section::new(Place::Verdict, "Result", result),
        Section::new(Place::Environment, "Settings", by_area(snapshot)),
    ];
    sections.extend(unusual(snapshot));
    if !snapshot.rates.is_empty() {
        sections.push(Section::new(Place::Rates, "Rates", html! { (counted(snapshot)) }));
    }
    if !snapshot.offload.namespaces.is_empty() {
        sections.push(offload::features(&snapshot.offload, &snapshot.audit));
    }
    sections
}

/// What stands out; absent where nothing does.
fn unusual(snapshot: &Snapshot) -> Option<Section> {
    let rows: Vec<&Setting> = snapshot.settings.iter().filter(|setting| is_unusual(setting)).collect();
    let findings = snapshot.audit.findings().count();
    let unread: Vec<String> =
        unread(snapshot).iter().map(|(why, areas)| format!("not read: {why}: {areas}")).collect();
    if rows.is_empty() && findings == 0 && unread.is_empty() {
        return None;
    }
    let table = table("Set by somebody, or known to matter", true, rows);
    let body = html! {
        @if findings > 0 {
            p { (chip(Tone::Bad, "offload")) " " (count(findings, "finding")) ": " code { "hostdiag offload" } }
        }
        @if !table.is_empty() { (table) }
        (method::list(&unread))
    };
    Some(Section::new(Place::Differs, "Unusual", body))
}

/// A table an area, to be opened.
fn by_area(snapshot: &Snapshot) -> Markup {
    let mut areas: BTreeMap<Area, Vec<&Setting>> = BTreeMap::new();
    snapshot.settings.iter().for_each(|setting| areas.entry(setting.area).or_default().push(setting));
    html! { @for (of, settings) in areas {
        details {
            summary { (area(of)) ": " (count(settings.len(), "setting")) }
            (table(area(of), false, settings))
        }
    } }
}

/// `with_area`: they are of several.
fn table(caption: &str, with_area: bool, settings: Vec<&Setting>) -> Table {
    let columns = [
        ("setting", Kind::Name),
        ("area", Kind::Text),
        ("of", Kind::Text),
        ("value", Kind::Text),
        ("set by", Kind::Text),
        ("which asks for", Kind::Text),
    ];
    let mut table = Table::new(caption, &columns).at_most(ROWS);
    let known = |text: &Option<String>| text.clone().unwrap_or_default();
    for one in settings {
        let area = if with_area { area(one.area) } else { "" };
        let cells = [known(&one.of), value(&one.value), known(&one.origin), known(&one.asked)];
        table.row([one.name.as_str().into(), area.into()].into_iter().chain(cells.map(Cell::from)));
    }
    table
}

fn counted(snapshot: &Snapshot) -> Table {
    let columns = [
        ("rate", Kind::Name),
        ("area", Kind::Text),
        ("of", Kind::Text),
        ("number", Kind::Number),
        ("a second", Kind::Number),
    ];
    let mut table = Table::new("What happened", &columns).at_most(ROWS);
    for one in &snapshot.rates {
        let unit = if one.unit == Unit::Microseconds { " us" } else { "" };
        let rate = one.count as f64 * 1000.0 / snapshot.interval_ms.max(1) as f64;
        let cells = [
            one.name.clone(),
            area(one.area).to_owned(),
            one.of.clone().unwrap_or_default(),
            format!("{}{unit}", one.count),
            format!("{rate:.1}{unit}"),
        ];
        table.row(cells.map(Into::into));
    }
    table
}
