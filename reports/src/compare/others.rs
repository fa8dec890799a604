//! What differs without a symptom, and what nothing explains.

use std::collections::BTreeMap;

use hostdiag_model::compare::{Other, Report};
use hostdiag_model::diff::Verdict;
use hostdiag_model::diff::settings::Class;
use hostdiag_model::snapshot::Area;

use super::Options;
use super::causes::{alike, lines, some, symptom_of_rate, title};
use crate::diff::number::signed;
use crate::page::{Page, count};
use crate::snapshot::words::area;

/// As many settings are told on one screen.
const SETTINGS: usize = 4;
/// As many counters.
const COUNTERS: usize = 3;

pub(super) fn text(page: &mut Page, report: &Report, (mut number, options): (usize, Options)) {
    let told = alike(report.others.iter().filter(|other| is_told(other)).map(|other| &other.difference));
    let most = if options.all { usize::MAX } else { SETTINGS };
    for (row, names) in told.iter().take(most) {
        let names = if options.all { names.join(", ") } else { some(names) };
        page.line(&format!("{number}. {}   {}", title(row, &names), class(row.class)));
        number += 1;
    }
    let untold = told.iter().skip(most).map(|(row, names)| (row.area, names.len()));
    let mut left: BTreeMap<Area, usize> = BTreeMap::new();
    untold.for_each(|(area, more)| *left.entry(area).or_default() += more);
    for (kind, rows) in kinds(report.others.iter().filter(|other| !is_told(other))) {
        if options.all {
            all_of(page, (number, kind), &rows);
            number += 1;
        } else {
            *left.entry(kind.1).or_default() += rows.len();
        }
    }
    let parts: Vec<String> = more(&left).into_iter().chain(unexplained(report)).collect();
    if !parts.is_empty() {
        page.line(&format!("{number}. {}", parts.join("   ")));
    }
    rates(page, report, options);
}

/// `41 more differences without a symptom: 30 package, 11 sysctl (--all)`.
fn more(left: &BTreeMap<Area, usize>) -> Option<String> {
    let all: usize = left.values().sum();
    let mut each: Vec<(&Area, &usize)> = left.iter().collect();
    each.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
    let each: Vec<String> = each.iter().map(|(of, number)| format!("{number} {}", area(**of))).collect();
    let words = count(all, "more difference");
    (all > 0).then(|| format!("{words} without a symptom: {} (--all)", each.join(", ")))
}

/// Settings of a kind, below one heading.
fn all_of(page: &mut Page, (number, kind): (usize, (Class, Area)), rows: &[&Other]) {
    page.line(&format!("{number}. {} of {}   {}", count(rows.len(), "setting"), area(kind.1), class(kind.0)));
    for (row, names) in alike(rows.iter().map(|other| &other.difference)) {
        page.line(&format!("     {}", title(row, &names.join(", "))));
    }
}

/// By whose doing they are, and by what they are of.
pub(crate) fn kinds<'a>(others: impl Iterator<Item = &'a Other>) -> BTreeMap<(Class, Area), Vec<&'a Other>> {
    let mut kinds: BTreeMap<(Class, Area), Vec<&Other>> = BTreeMap::new();
    for other in others {
        kinds.entry((other.difference.class, other.difference.area)).or_default().push(other);
    }
    kinds
}

/// What somebody set, and what comes with the OS where a rule knows what it could cause.
fn is_told(other: &Other) -> bool {
    match other.difference.class {
        Class::Set => true,
        Class::Os => other.rule.is_some(),
        Class::Follows | Class::Hardware | Class::Volatile => false,
    }
}

pub(crate) fn class(class: Class) -> &'static str {
    match class {
        Class::Set => "set by someone, no symptom found",
        Class::Os => "comes with the OS, no symptom found",
        Class::Follows => "follows from others",
        Class::Hardware => "follows from the hardware",
        Class::Volatile => "another on every host",
    }
}

/// `unexplained: +2.5 cores, mostly shrink_node +1.9`.
fn unexplained(report: &Report) -> Option<String> {
    let changed = report.cores.is_some_and(|cores| cores.change.verdict != Verdict::Same);
    let rest = report.unexplained.as_ref().filter(|rest| changed && !rest.mostly.is_empty())?;
    let mostly: Vec<String> =
        rest.mostly.iter().map(|frame| format!("{} {}", frame.name, signed(frame.cores))).collect();
    let mostly = if mostly.is_empty() { String::new() } else { format!(", mostly {}", mostly.join(", ")) };
    Some(format!("unexplained: {} cores{mostly}", signed(rest.cores)))
}

/// Counters that moved, beside those that are a symptom.
fn rates(page: &mut Page, report: &Report, options: Options) {
    let most = if options.all { usize::MAX } else { COUNTERS };
    for line in lines(report.rates.iter().take(most).map(symptom_of_rate)) {
        page.line(&format!("counters   {line}"));
    }
}
