//! Findings and notes as paragraphs. What is alike on many devices is one.

use std::collections::HashMap;

use hostdiag_model::audit::Entry;

use super::{Options, words};
use crate::page::{Ink, Page, harmless};

/// Paragraphs for the entries, in their order.
pub fn list<'a>(page: &mut Page, entries: impl Iterator<Item = &'a Entry>, options: Options) {
    let groups = groups(entries, options.all);
    let name = |group: &Group<'_>| {
        let netns = group.entry.netns.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
        harmless(&format!("{netns}{}", words::devices(&group.devices)))
    };
    let names = groups.iter().map(|group| name(group).chars().count()).max().unwrap_or(0);
    let features = groups.iter().map(|group| group.entry.feature.chars().count()).max().unwrap_or(0);
    let mut before: Option<(&[&str], String)> = None;
    for group in &groups {
        if before.is_none() {
            page.put("\n");
        }
        let entry = group.entry;
        let (label, ink) = words::label(entry.verdict);
        page.ink(ink, &format!("{label:<6}"));
        let (device, feature) = (name(group), &entry.feature);
        page.line(&format!("  {device:<names$}  {feature:<features$}  {}", words::place(entry)));
        if !entry.takes_down.is_empty() {
            let down: Vec<&str> = entry.takes_down.iter().map(|name| words::short(name)).collect();
            detail(page, "takes down", &down.join(", "));
        }
        let why = words::why(entry);
        let same = before.as_ref().is_some_and(|(devices, last)| *devices == group.devices && *last == why);
        detail(page, "why", if same { "the same" } else { &why });
        if !same {
            more(page, entry);
        }
        before = Some((&group.devices, why));
    }
}

/// Repair, evidence, accept rule: what not every entry has.
fn more(page: &mut Page, entry: &Entry) {
    for intent in &entry.asked_by {
        detail(page, "asked by", &format!("{}:{}  {}", intent.file, intent.line, intent.text));
    }
    if let Some(repair) = words::repair(entry) {
        detail(page, "repair", &repair);
    }
    if let Some(accepted) = &entry.accepted {
        let until = accepted.until.as_ref().map(|day| format!(" (until {day})")).unwrap_or_default();
        detail(page, "accepted", &format!("{}{until}", accepted.reason));
    }
}

fn detail(page: &mut Page, what: &str, text: &str) {
    page.put("        ").ink(Ink::Dim, &format!("{what:<10}")).line(&format!("  {text}"));
}

/// Entries that differ in nothing but their device.
struct Group<'a> {
    entry: &'a Entry,
    devices: Vec<&'a str>,
}

fn groups<'a>(entries: impl Iterator<Item = &'a Entry>, all: bool) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for entry in entries {
        let alike = if all { None } else { known.get(&shape(entry)).copied() };
        match alike {
            Some(group) => groups[group].devices.push(&entry.device),
            None => {
                known.insert(shape(entry), groups.len());
                groups.push(Group { entry, devices: vec![&entry.device] });
            }
        }
    }
    groups
}

/// Everything of an entry but its device.
fn shape(entry: &Entry) -> String {
    let nameless = Entry { device: String::new(), ..entry.clone() };
    // All keys are strings, so that it cannot fail; if it did, nothing is alike.
    serde_json::to_string(&nameless).unwrap_or_else(|_| entry.device.clone())
}
