//! What differs without a symptom, and what nothing explains.

use hostdiag_model::compare::{Other, Report};
use hostdiag_model::diff::Verdict;
use hostdiag_model::diff::settings::Class;

use super::Options;
use super::causes::{lines, symptom_of_rate, title};
use crate::diff::number::signed;
use crate::page::{Page, count};

/// As many settings are told on one screen.
const SETTINGS: usize = 4;
/// As many counters.
const COUNTERS: usize = 3;

pub(super) fn text(page: &mut Page, report: &Report, (mut number, options): (usize, Options)) {
    let told = |other: &&Other| options.all || is_told(other);
    let most = if options.all { usize::MAX } else { SETTINGS };
    let shown: Vec<&Other> = report.others.iter().filter(told).take(most).collect();
    for other in &shown {
        let difference = &other.difference;
        let words = title(difference, &[&difference.name]);
        page.line(&format!("{number}. {words}   {}", class(difference.class)));
        number += 1;
    }
    let left = report.others.len() - shown.len();
    let left = (left > 0).then(|| format!("{} without a symptom (--all)", count(left, "more difference")));
    let parts: Vec<String> = left.into_iter().chain(unexplained(report)).collect();
    if !parts.is_empty() {
        page.line(&format!("{number}. {}", parts.join("   ")));
    }
    rates(page, report, options);
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
