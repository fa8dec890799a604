//! An undo as text: what became of each wish.

use hostdiag_model::Recording;
use hostdiag_model::plan::{Undo, UndoResult, Undone, UndoneWish};

use super::{Options, line, not_kept, partial, words};
use crate::offload::words::devices;
use crate::page::{Ink, Page, count, harmless};

/// What becomes of a recompute.
pub(crate) const RECOMPUTED: &str = "computed anew, which has no state of its own: nothing to go back to";

/// The page for a recording of `hostdiag offload --undo`.
pub fn text(recording: &Recording, undo: &Undo, options: Options) -> String {
    let mut page = Page::new(options.style);
    for undone in &undo.runs {
        run(&mut page, "undone", undone, options);
    }
    if undo.runs.is_empty() {
        page.line("nothing to undo");
    }
    not_kept(&mut page, &undo.problems);
    page.finish() + &partial(recording, options)
}

/// One run: `how` it came to be undone, then its wishes.
pub(super) fn run(page: &mut Page, how: &str, undone: &Undone, options: Options) {
    page.ink(Ink::Bold, &format!("run {}", harmless(&undone.id))).line(&format!(" {how}{}", totals(undone)));
    let mut lines: Vec<[String; 3]> = Vec::new();
    let key = |(number, wish): (usize, &UndoneWish)| {
        (if options.all { number } else { 0 }, wish.feature.clone(), result(wish))
    };
    let named: Vec<String> = undone.wishes.iter().map(device).collect();
    let items = undone.wishes.iter().enumerate().map(key).zip(named.iter().map(String::as_str));
    for ((_, feature, result), names) in words::group(items) {
        lines.push([harmless(&devices(&names)), harmless(&feature), result]);
    }
    for device in &undone.recomputed {
        lines.push([harmless(device), "recompute".to_owned(), RECOMPUTED.to_owned()]);
    }
    let width = |at: usize| words::width(lines.iter().map(|cells| cells[at].as_str()));
    let (names, features) = (width(0), width(1));
    for [name, feature, result] in &lines {
        line(page, &format!("  {name:<names$}  {feature:<features$}  {result}"));
    }
}

/// The device, and what it was called in the run.
pub(crate) fn device(wish: &UndoneWish) -> String {
    wish.was.as_ref().map_or(wish.device.clone(), |was| format!("{} (was {was})", wish.device))
}

pub(crate) fn result(wish: &UndoneWish) -> String {
    let wanted = if wish.wanted { "on" } else { "off" };
    match &wish.result {
        UndoResult::Restored => format!("restored: wanted={wanted}"),
        UndoResult::AlreadySo => format!("already so: wanted={wanted}"),
        UndoResult::Conflict { why } => format!("conflict, left as it is: {why}"),
    }
}

/// `: 2 restored, 1 conflict`.
pub(crate) fn totals(undone: &Undone) -> String {
    let kind = |wish: &UndoneWish| match wish.result {
        UndoResult::Restored => "restored",
        UndoResult::AlreadySo => "already so",
        UndoResult::Conflict { .. } => "conflict",
    };
    let kinds = words::group(undone.wishes.iter().map(|wish| (kind(wish), ())));
    let parts = kinds.iter().map(|(kind, those)| match *kind {
        "conflict" => count(those.len(), kind),
        _ => format!("{} {kind}", those.len()),
    });
    let text = parts.collect::<Vec<_>>().join(", ");
    match (text.is_empty(), undone.recomputed.is_empty()) {
        (false, _) => format!(": {text}"),
        (true, false) => String::new(),
        (true, true) => ": it had changed nothing".to_owned(),
    }
}
