//! Snapshots as text: what is unusual first, then how much there is, then what happened.

mod unusual;
mod words;

use std::collections::BTreeMap;

use hostdiag_model::snapshot::{Area, Setting};
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
    headline(&mut page, recording);
    unusual::put(&mut page, snapshot, options.all);
    if options.all {
        snapshot.settings.iter().for_each(|setting| line(&mut page, setting));
    } else {
        summary(&mut page, snapshot);
    }
    page.finish()
}

fn headline(page: &mut Page, recording: &Recording) {
    let host = &recording.host;
    page.ink(Ink::Bold, &host.name);
    if let Some(kernel) = &host.kernel {
        page.put(&format!("  Linux {kernel}"));
    }
    if let Some(os) = &host.os {
        page.put(&format!("  {os}"));
    }
    page.put("\n\n");
}

/// How many settings an area has.
fn summary(page: &mut Page, snapshot: &Snapshot) {
    let mut areas: BTreeMap<Area, usize> = BTreeMap::new();
    snapshot.settings.iter().for_each(|setting| *areas.entry(setting.area).or_default() += 1);
    let areas: Vec<String> =
        areas.into_iter().map(|(area, number)| format!("{} {number}", words::area(area))).collect();
    page.line(&format!("{} (--all): {}", count(snapshot.settings.len(), "setting"), areas.join(", ")));
}

fn line(page: &mut Page, setting: &Setting) {
    page.put(&format!("{:<9}", words::area(setting.area)));
    page.put(&words::name(setting)).put(" = ").put(&words::value(&setting.value));
    if let Some(origin) = &setting.origin {
        page.ink(Ink::Dim, &format!("  {origin}"));
    }
    if let Some(asked) = &setting.asked {
        page.put(&format!(" asks for {asked}"));
    }
    page.put("\n");
}
