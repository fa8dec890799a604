//! Snapshots as text: what is unusual first, then what happened, then how much there is.

mod rates;
mod unusual;
pub(crate) mod words;

use std::collections::BTreeMap;

use hostdiag_model::snapshot::{Area, Setting};
use hostdiag_model::time::Utc;
use hostdiag_model::{Recording, Snapshot};

use crate::page::{Ink, Page, Style, count};

/// How to show it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Every setting and every count.
    pub all: bool,
    /// Colours.
    pub style: Style,
}

/// One screen, or with [`Options::all`] everything.
pub fn text(recording: &Recording, snapshot: &Snapshot, options: Options) -> String {
    let mut page = Page::new(options.style);
    headline(&mut page, recording, snapshot);
    unusual::put(&mut page, snapshot, options.all);
    rates::put(&mut page, snapshot);
    if options.all {
        heading(&mut page, "Settings");
        snapshot.settings.iter().for_each(|setting| line(&mut page, setting, usize::MAX));
        rates::put_all(&mut page, snapshot);
    } else {
        summary(&mut page, snapshot);
    }
    page.finish()
}

fn headline(page: &mut Page, recording: &Recording, snapshot: &Snapshot) {
    let host = &recording.host;
    page.ink(Ink::Bold, &host.name);
    if let Some(kernel) = &host.kernel {
        page.put(&format!("  Linux {kernel}"));
    }
    if let Some(os) = &host.os {
        page.put(&format!("  {os}"));
    }
    page.put(&format!("\n{}", Utc::from_ms(recording.started_ms)));
    match snapshot.interval_ms {
        0 => page.line(", nothing was counted"),
        ms => page.line(&format!(", counted for {}.{:03} s", ms / 1000, ms % 1000)),
    };
    if recording.elapsed_ms.is_none() {
        page.ink(Ink::Yellow, "partial: its end is missing\n");
    }
}

fn heading(page: &mut Page, text: &str) {
    page.put("\n").ink(Ink::Bold, text).put("\n");
}

/// How many settings an area has.
fn summary(page: &mut Page, snapshot: &Snapshot) {
    let mut areas: BTreeMap<Area, usize> = BTreeMap::new();
    snapshot.settings.iter().for_each(|setting| *areas.entry(setting.area).or_default() += 1);
    let areas: Vec<String> =
        areas.into_iter().map(|(area, number)| format!("{} {number}", words::area(area))).collect();
    let number = count(snapshot.settings.len(), "setting");
    page.line(&format!("\n{number}, {} (--all)", count(snapshot.rates.len(), "counter")));
    for line in words::wrapped(&areas) {
        page.ink(Ink::Dim, &format!("  {line}\n"));
    }
}

/// `  area      of name = value  FILE:LINE`, a longer value cut.
fn line(page: &mut Page, setting: &Setting, longest: usize) {
    page.put(&format!("  {:<9} ", words::area(setting.area)));
    page.put(&words::name(setting)).put(" = ").put(&words::cut(&words::value(&setting.value), longest));
    if let Some(origin) = &setting.origin {
        page.ink(Ink::Dim, &format!("  {origin}"));
    }
    if let Some(asked) = &setting.asked {
        page.ink(Ink::Yellow, &format!(" asks for {asked}"));
    }
    page.put("\n");
}

#[cfg(test)]
#[path = "snapshot_tests.rs"]
mod tests;
