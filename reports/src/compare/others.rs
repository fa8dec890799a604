//! What differs without a symptom, and what nothing explains.

use hostdiag_model::compare::{Other, Report};
use hostdiag_model::diff::settings::Class;

use super::Options;
use super::causes::{symptom_of_rate, title};
use crate::diff::number::signed;
use crate::page::{Page, count};

/// As many settings are told on one screen.
const SETTINGS: usize = 4;
/// As many counters.
const COUNTERS: usize = 3;

pub(super) fn text(page: &mut Page, report: &Report, (mut number, options): (usize, Options)) {
    let told = |other: &&Other| options.all || other.difference.class == Class::Set || other.rule.is_some();
    let told = |other: &&Other| told(other) && (options.all || is_told(other.difference.class));
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

/// What is another on each host is no news.
fn is_told(class: Class) -> bool {
    matches!(class, Class::Set | Class::Os)
}

fn class(class: Class) -> &'static str {
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
    let rest = report.unexplained.as_ref()?;
    let mostly: Vec<String> =
        rest.mostly.iter().map(|frame| format!("{} {}", frame.name, signed(frame.cores))).collect();
    let mostly = if mostly.is_empty() { String::new() } else { format!(", mostly {}", mostly.join(", ")) };
    Some(format!("unexplained: {} cores{mostly}", signed(rest.cores)))
}

/// Counters that moved, beside those that are a symptom.
fn rates(page: &mut Page, report: &Report, options: Options) {
    let most = if options.all { usize::MAX } else { COUNTERS };
    let words: Vec<String> = report.rates.iter().take(most).map(symptom_of_rate).collect();
    if !words.is_empty() {
        page.put("counters   ").line(&words.join("   "));
    }
}
