//! The history of changes as text: one line each, the newest last.

use hostdiag_model::Recording;
use hostdiag_model::history::{History, HistoryEntry, Who};
use hostdiag_model::time::Utc;

use super::{Options, line, partial, words};
use crate::page::{Page, harmless};

/// The page for a recording of `hostdiag offload --history`.
pub fn text(recording: &Recording, history: &History, options: Options) -> String {
    let mut page = Page::new(options.style);
    let lines: Vec<[String; 6]> = history.entries.iter().map(cells).collect();
    let width = |at: usize| words::width(lines.iter().map(|cells| cells[at].as_str()));
    let widths = [0, 1, 2, 3, 4, 5].map(width);
    for (cells, entry) in lines.iter().zip(&history.entries) {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(&format!("run {}", entry.run));
        if let Some(reason) = &entry.reason {
            text.push_str(&format!("  \"{reason}\""));
        }
        line(&mut page, &text);
    }
    if lines.is_empty() {
        page.line("no changes so far");
    }
    page.finish() + &partial(recording, options)
}

/// When, by whom, what, on which device, which feature, from what to what.
pub(crate) fn cells(entry: &HistoryEntry) -> [String; 6] {
    let netns = entry.netns.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
    let states = match (&entry.before, &entry.after) {
        (None, None) => String::new(),
        (before, after) => {
            let state = |state: &Option<String>| state.as_deref().unwrap_or("?").to_owned();
            format!("{} -> {}", state(before), state(after))
        }
    };
    let feature = entry.feature.as_ref().map_or("all features", |feature| feature);
    [
        Utc::from_ms(entry.time_ms).to_string(),
        who(&entry.who),
        entry.what.as_str().to_owned(),
        format!("{netns}{}", entry.device),
        feature.to_owned(),
        states,
    ]
    .map(|cell| harmless(&cell))
}

/// The login that the kernel keeps, and the name that sudo claims.
fn who(who: &Who) -> String {
    let uid = who.loginuid.unwrap_or(who.uid);
    match (&who.sudo_user, who.loginuid) {
        (Some(name), _) => format!("uid {uid} ({name} via sudo)"),
        (None, Some(_)) => format!("uid {uid}"),
        (None, None) => format!("uid {uid} (no login)"),
    }
}
