//! How a host is set up, and what happened on it.

use hostdiag_model::Recording;
use hostdiag_model::snapshot::{Snapshot, Unit, Value};
use maud::html;

use super::cell::{Tone, chip};
use super::table::{Kind, Table};
use super::{Place, Section, method, offload};
use crate::page::count;

/// Settings, rates, and the host's network devices.
pub(super) fn sections(recording: &Recording, snapshot: &Snapshot) -> Vec<Section> {
    let (settings, rates) = (count(snapshot.settings.len(), "setting"), count(snapshot.rates.len(), "rate"));
    let result = html! {
        p.lead { (chip(Tone::Plain, "read")) " " (settings) " and " (rates) }
        (method::lost(recording))
    };
    let mut sections = vec![
        Section::new(Place::Verdict, "Result", result),
        Section::new(Place::Environment, "Settings", html! { (set(snapshot)) }),
    ];
    if !snapshot.rates.is_empty() {
        sections.push(Section::new(Place::Rates, "Rates", html! { (counted(snapshot)) }));
    }
    if !snapshot.offload.namespaces.is_empty() {
        sections.push(offload::features(&snapshot.offload, &snapshot.audit));
    }
    sections
}

fn set(snapshot: &Snapshot) -> Table {
    let columns = [
        ("setting", Kind::Name),
        ("area", Kind::Text),
        ("of", Kind::Text),
        ("value", Kind::Text),
        ("set by", Kind::Text),
    ];
    let mut table = Table::new("Settings", &columns);
    for one in &snapshot.settings {
        let value = match &one.value {
            Value::Value(value) => value.clone(),
            Value::Unreadable(why) => format!("not read: {why}"),
        };
        let area = format!("{:?}", one.area).to_lowercase();
        let known = |text: &Option<String>| text.clone().unwrap_or_default();
        let cells = [one.name.clone(), area, known(&one.of), value, known(&one.origin)];
        table.row(cells.map(Into::into));
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
    let mut table = Table::new("What happened", &columns);
    for one in &snapshot.rates {
        let unit = if one.unit == Unit::Microseconds { " us" } else { "" };
        let rate = one.count as f64 * 1000.0 / snapshot.interval_ms.max(1) as f64;
        let cells = [
            one.name.clone(),
            format!("{:?}", one.area).to_lowercase(),
            one.of.clone().unwrap_or_default(),
            format!("{}{unit}", one.count),
            format!("{rate:.1}{unit}"),
        ];
        table.row(cells.map(Into::into));
    }
    table
}
