//! A run as text: what became of each step, and what to do next.

use hostdiag_model::FeatureName;
use hostdiag_model::plan::{Action, Change, Done, Fix, Run, Step, Undone};

use super::{Options, line, not_kept, undo, words};
use crate::offload::words::{devices, shell};
use crate::page::{Ink, Page, count, harmless};

/// As many things that got worse, or remain, stand in one line.
const SHOWN: usize = 8;

/// Runs that were interrupted before this one, and what was undone of them.
pub fn recovered(runs: &[Undone], options: Options) -> String {
    let mut page = Page::new(options.style);
    for undone in runs {
        undo::run(&mut page, "was interrupted and is undone", undone, options);
    }
    page.finish()
}

/// The line of a step; `observe_ms`: as long it was watched. Nothing for a step
/// that was not begun: [`end`] has those.
pub fn step(step: &Step, done: &Done, observe_ms: u64, options: Options) -> String {
    let mut page = Page::new(options.style);
    let watched = match observe_ms {
        0 => "not watched".to_owned(),
        ms if ms % 1000 == 0 => format!("watched {} s, nothing worse", ms / 1000),
        ms => format!("watched {ms} ms, nothing worse"),
    };
    let (ink, word, text) = match done {
        Done::Repaired { changes } => (Ink::Green, "repaired", happened(step, &[], changes, &watched)),
        Done::NotFollowed { changes, missing } => {
            let text = happened(step, missing, changes, &watched);
            (Ink::Yellow, "not followed", format!("{} stayed off; {text}", words::features(missing)))
        }
        Done::RolledBack { worse } => {
            let worse = some(worse, options.all);
            (Ink::Red, "rolled back", if worse.is_empty() { "something got worse".to_owned() } else { worse })
        }
        Done::Interrupted => (Ink::Yellow, "interrupted", "undone".to_owned()),
        Done::Removed => (Ink::Yellow, "removed", "meanwhile, by somebody; nothing to set back".to_owned()),
        Done::Failed { error } => (Ink::Red, "failed", error.clone()),
        Done::NotStarted { .. } => return String::new(),
    };
    page.ink(ink, word);
    line(&mut page, &format!(" {}: {text}", step.device.name));
    page.finish()
}

/// Every bit that changed: the repaired ones, what followed, other devices.
fn happened(step: &Step, missing: &[FeatureName], changes: &[Change], watched: &str) -> String {
    let repaired: Vec<_> =
        step.repairs.iter().filter(|feature| !missing.contains(feature)).cloned().collect();
    let mut parts = Vec::new();
    if !repaired.is_empty() {
        parts.push(format!("{} on", words::features(&repaired)));
    }
    let (own, others): (Vec<&Change>, Vec<&Change>) =
        changes.iter().partition(|change| change.ifindex == step.device.ifindex);
    let followed: Vec<&Change> = own
        .into_iter()
        .filter(|change| !(repaired.contains(&change.feature) && words::comes_on(change)))
        .collect();
    if !followed.is_empty() {
        parts.push(format!("followed: {}", words::bits(&followed)));
    }
    let by_device = words::group(others.into_iter().map(|change| ((change.ifindex, &change.device), change)));
    let alike = by_device.into_iter().map(|((_, device), changes)| {
        let physical = changes.iter().any(|change| change.physical);
        ((physical, words::bits(&changes)), device.as_str())
    });
    let others: Vec<String> = words::group(alike)
        .into_iter()
        .map(|((physical, bits), names)| format!("{} ({bits})", words::name(&devices(&names), physical)))
        .collect();
    if !others.is_empty() {
        parts.push(format!("also {}", others.join(", ")));
    }
    parts.push(watched.to_owned());
    parts.join("; ")
}

/// What comes behind the plan of a dry run, or behind the last step.
pub fn end(fix: &Fix, options: Options) -> String {
    let mut page = Page::new(options.style);
    let Some(run) = &fix.run else {
        if !fix.plan.steps.is_empty() {
            let keep = if fix.plan.netns.is_none() {
                ": hostdiag-offload.service, or the snippet from hostdiag offload --emit"
            } else {
                ""
            };
            page.line(&format!("not kept over a reboot{keep}"));
        }
        page.line("nothing was changed");
        return page.finish();
    };
    not_started(&mut page, fix, run, options.all);
    totals(&mut page, run);
    if !run.remaining.is_empty() {
        page.ink(Ink::Yellow, "still to repair: ");
        line(&mut page, &some(&run.remaining, options.all));
    }
    not_kept(&mut page, &run.problems);
    next(&mut page, fix, run);
    page.finish()
}

fn not_started(page: &mut Page, fix: &Fix, run: &Run, all: bool) {
    let items = fix.plan.steps.iter().zip(&run.steps).filter_map(|(step, done)| match done {
        Done::NotStarted { why } => Some((why, step.device.name.as_str())),
        _ => None,
    });
    for (why, devices) in words::group(items) {
        page.ink(Ink::Yellow, "not started");
        line(page, &format!(" {}: {why}", words::names(&devices, all)));
    }
}

/// `3 repairs: 1 done, 1 rolled back, 1 not started; run 7`.
fn totals(page: &mut Page, run: &Run) {
    let id = run.id.as_ref().map(|id| format!("; run {id}")).unwrap_or_default();
    let kinds = words::group(run.steps.iter().map(|done| (kind(done), ())));
    let all = count(run.steps.len(), "repair");
    match kinds.as_slice() {
        [] => line(page, "nothing was changed"),
        [(kind, _)] => line(page, &format!("{all} {kind}{id}")),
        kinds => {
            let parts: Vec<String> =
                kinds.iter().map(|(kind, those)| format!("{} {kind}", those.len())).collect();
            line(page, &format!("{all}: {}{id}", parts.join(", ")));
        }
    }
}

fn kind(done: &Done) -> &'static str {
    match done {
        Done::Repaired { .. } => "done",
        Done::NotFollowed { .. } => "not followed",
        Done::RolledBack { .. } => "rolled back",
        Done::Interrupted => "interrupted",
        Done::Removed => "removed",
        Done::Failed { .. } => "failed",
        Done::NotStarted { .. } => "not started",
    }
}

/// How to take it back and how to keep it, where there is something.
fn next(page: &mut Page, fix: &Fix, run: &Run) {
    let stays = |done: &Done| matches!(done, Done::Repaired { .. } | Done::NotFollowed { .. });
    if let Some(id) = run.id.as_ref().filter(|_| run.steps.iter().any(stays)) {
        let id = shell(&harmless(id));
        page.ink(Ink::Bold, "Undo   ").line(&format!("sudo hostdiag offload --undo {id}"));
    }
    let wish = |(step, done): (&Step, &Done)| {
        matches!((&step.action, done), (Action::Set { .. }, Done::Repaired { .. }))
    };
    // A namespace that a reboot ends has no configuration.
    if fix.plan.netns.is_none() && fix.plan.steps.iter().zip(&run.steps).any(wish) {
        page.ink(Ink::Bold, "Keep   ").line(
            "hostdiag offload --emit networkd-link|ifupdown|networkmanager, or hostdiag-offload.service",
        );
    }
}

fn some(texts: &[String], all: bool) -> String {
    let shown = if all { texts.len() } else { texts.len().min(SHOWN) };
    let text = texts[..shown].join("; ");
    if shown < texts.len() { format!("{text} and {} more", texts.len() - shown) } else { text }
}
