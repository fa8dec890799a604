//! What stands out in a snapshot: what an administrator set, what is not as asked, what is
//! known to cost time, what could not be read.

use std::collections::BTreeMap;

use hostdiag_model::Snapshot;
use hostdiag_model::snapshot::{Area, Setting, Value};

use super::{heading, line, words};
use crate::page::{Ink, Page, count};

/// More are named with `--all`.
const MAX_ROWS: usize = 20;
/// Characters of a value; with `--all` the whole.
const MAX_VALUE: usize = 60;
/// Reasons for which settings could not be read.
const MAX_REASONS: usize = 4;
/// Configurations that look for faults in the kernel, at the cost of its speed.
const DEBUGGING: [&str; 11] = [
    "CONFIG_DEBUG_KMEMLEAK",
    "CONFIG_DEBUG_OBJECTS",
    "CONFIG_DEBUG_PAGEALLOC_ENABLE_DEFAULT",
    "CONFIG_DEBUG_SPINLOCK",
    "CONFIG_DEBUG_VM",
    "CONFIG_KASAN",
    "CONFIG_KCSAN",
    "CONFIG_LOCK_STAT",
    "CONFIG_PROVE_LOCKING",
    "CONFIG_SLUB_DEBUG_ON",
    "CONFIG_UBSAN_TRAP",
];

/// Whether a setting is worth a line by itself.
pub(crate) fn is_unusual(setting: &Setting) -> bool {
    let Value::Value(value) = &setting.value else { return false };
    let by_hand = setting.origin.as_deref().is_some_and(|origin| origin.starts_with("/etc/"));
    let telling = match (setting.area, setting.name.as_str()) {
        (Area::Kernel, "taint") => value != "not tainted",
        (Area::Kernel, "current_tracer") => value != "nop",
        (Area::Kernel, "kprobe_events") => !value.is_empty(),
        (Area::Kernel, "livepatch") => value == "1",
        (Area::Kernel, name) => name.starts_with("mitigation ") && value.starts_with("Vulnerable"),
        (Area::Config, name) => value == "y" && DEBUGGING.contains(&name),
        // What the kernel prints of a set of CPUs that was never made.
        (Area::Cpu, "offline" | "isolated" | "nohz_full") => !["", "(null)"].contains(&value.as_str()),
        (Area::Cpu, "idle disable") => value != "0",
        (Area::Cpu, "clocksource") => {
            ["acpi_pm", "hpet", "jiffies", "refined-jiffies"].contains(&value.as_str())
        }
        (Area::Log, "overwritten") => false,
        (Area::Log, _) => value != "0",
        _ => false,
    };
    telling || by_hand || setting.asked.is_some()
}

/// Puts them.
pub(super) fn put(page: &mut Page, snapshot: &Snapshot, all: bool) {
    let rows: Vec<&Setting> = snapshot.settings.iter().filter(|setting| is_unusual(setting)).collect();
    let findings = snapshot.audit.findings().count();
    if !rows.is_empty() || findings > 0 {
        heading(page, "Unusual");
    }
    if findings > 0 {
        page.put("  offload   ").ink(Ink::Red, &count(findings, "finding")).line(": hostdiag offload");
    }
    let shown = if all { rows.len() } else { rows.len().min(MAX_ROWS) };
    let longest = if all { usize::MAX } else { MAX_VALUE };
    rows[..shown].iter().for_each(|setting| line(page, setting, longest));
    if shown < rows.len() {
        page.ink(Ink::Dim, &format!("  ... {} more (--all)\n", rows.len() - shown));
    }
    let reasons = unread(snapshot);
    if !reasons.is_empty() {
        heading(page, "Not read");
    }
    for (why, areas) in reasons.iter().take(MAX_REASONS) {
        page.ink(Ink::Yellow, &format!("  {why}")).line(&format!(": {areas}"));
    }
    if reasons.len() > MAX_REASONS {
        page.ink(Ink::Dim, &format!("  ... for {} more reasons (--all)\n", reasons.len() - MAX_REASONS));
    }
}

/// Why settings could not be read, the most frequent reason first, and how many of which
/// areas.
pub(crate) fn unread(snapshot: &Snapshot) -> Vec<(&str, String)> {
    let mut reasons: BTreeMap<&str, BTreeMap<Area, usize>> = BTreeMap::new();
    for setting in &snapshot.settings {
        if let Value::Unreadable(why) = &setting.value {
            *reasons.entry(why).or_default().entry(setting.area).or_default() += 1;
        }
    }
    let mut reasons: Vec<_> = reasons.into_iter().collect();
    reasons.sort_by_key(|(_, areas)| std::cmp::Reverse(areas.values().sum::<usize>()));
    let named = |(area, number): (Area, usize)| format!("{} {number}", words::area(area));
    let joined = |areas: BTreeMap<Area, usize>| areas.into_iter().map(named).collect::<Vec<_>>().join(", ");
    reasons.into_iter().map(|(why, areas)| (why, joined(areas))).collect()
}
