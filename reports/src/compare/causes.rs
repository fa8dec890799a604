//! Likely causes: which settings, what they carry, what was seen, what to do.

use std::collections::BTreeMap;

use hostdiag_model::compare::{Cause, HostOf, Measured, RateChange, Report, Symptom};
use hostdiag_model::diff::Which;
use hostdiag_model::diff::settings::{Class, Difference, Place};
use hostdiag_model::snapshot::Unit;

use super::Options;
use crate::diff::number::{short, signed};
use crate::offload::words::shell;
use crate::page::{Ink, Page};
use crate::trace::duration::duration;

/// As many causes are told on one screen.
const CAUSES: usize = 4;
/// As many settings of a cause, and as many lines of symptoms.
const LINES: usize = 3;
/// As wide a line of symptoms gets.
const WIDTH: usize = 96;

/// Tells them and returns the number of the next point.
pub(super) fn text(page: &mut Page, report: &Report, options: Options) -> usize {
    let most = if options.all { usize::MAX } else { CAUSES };
    for (number, cause) in (1..).zip(report.causes.iter().take(most)) {
        one(page, report, (number, cause), options);
    }
    report.causes.len().min(most) + 1
}

fn one(page: &mut Page, report: &Report, (number, cause): (usize, &Cause), options: Options) {
    let mut titles = of(cause);
    let first = titles.remove(0);
    let carried = carried(report, cause);
    let fits = first.len() + carried.len() <= WIDTH;
    page.put(&format!("{number}. ")).ink(Ink::Bold, &first);
    page.line(if fits { &carried } else { "" });
    if !fits && !carried.is_empty() {
        page.line(&format!("  {carried}"));
    }
    let most = if options.all { usize::MAX } else { LINES };
    for title in titles.iter().take(most) {
        page.line(&format!("     {title}"));
    }
    if titles.len() > most {
        page.line(&format!("     and {} more (--all)", titles.len() - most));
    }
    if !cause.settings.is_empty() {
        page.line(&format!("     {}", cause.rule.what));
    }
    symptoms(page, &cause.symptoms, most);
    page.put("     check  ").line(&check(report, cause));
}

/// Its settings, or what happens where there are none.
pub(crate) fn of(cause: &Cause) -> Vec<String> {
    let titles = titles(&cause.settings);
    if titles.is_empty() { vec![cause.rule.what.to_owned()] } else { titles }
}

/// `   explains 9.9 of 12.4 cores`.
pub(crate) fn carried(report: &Report, cause: &Cause) -> String {
    let class = if cause.settings.iter().any(|row| row.class == Class::Set) {
        ""
    } else if cause.settings.iter().any(|row| row.class == Class::Os) {
        "   comes with the OS"
    } else {
        ""
    };
    let cores = part_of(cause.cores, report.cores.map(|cores| cores.difference()));
    format!("{class}{cores}")
}

/// What a cause carries, beside the change in all; another change may go against it.
fn part_of(cores: Option<f64>, total: Option<f64>) -> String {
    match (cores, total) {
        (Some(cores), Some(total)) if cores * total > total * total => {
            let [cores, total] = [cores, total].map(signed);
            format!("   explains {cores} cores, more than the change of {total} in all")
        }
        (Some(cores), Some(total)) if cores * total > 0.0 => {
            format!("   explains {} of {} cores", short(cores.abs()), short(total.abs()))
        }
        (Some(cores), Some(_)) => format!("   {} cores, against the change", signed(cores)),
        (Some(cores), None) => format!("   {} cores", signed(cores)),
        _ => String::new(),
    }
}

/// Settings that differ in the same way in the same places together: the first of them, and
/// the names of all.
pub(super) fn alike<'a>(
    settings: impl Iterator<Item = &'a Difference>,
) -> Vec<(&'a Difference, Vec<&'a str>)> {
    let mut groups: Vec<(&Difference, Vec<&str>)> = Vec::new();
    // Where each of those stands that may have others like it.
    let mut known: BTreeMap<_, usize> = BTreeMap::new();
    for row in settings {
        let alike = (&row.places, row.class, &row.a, &row.b);
        match known.get(&alike).filter(|_| !row.places.is_empty()) {
            Some(at) => groups[*at].1.push(row.name.as_str()),
            None => {
                known.insert(alike, groups.len());
                groups.push((row, vec![row.name.as_str()]));
            }
        }
    }
    groups
}

/// Settings in words.
fn titles(settings: &[Difference]) -> Vec<String> {
    let groups = alike(settings.iter().filter(|row| row.class != Class::Follows));
    let follow: Vec<&str> =
        settings.iter().filter(|row| row.class == Class::Follows).map(|row| row.name.as_str()).collect();
    let mut titles: Vec<String> = groups.iter().map(|(row, names)| title(row, &some(names))).collect();
    if titles.is_empty() {
        return settings.first().map(|row| title(row, &some(&follow))).into_iter().collect();
    }
    if !follow.is_empty() {
        titles.push(format!("follow: {}", some(&follow)));
    }
    titles
}

/// `vlan10 (vlan 10 on bond): tx-scatter-gather on -> off`.
pub(super) fn title(row: &Difference, names: &str) -> String {
    let value = |value: &Option<String>| value.as_deref().map_or("n/a".into(), cut);
    let places = places(&row.places);
    let change = format!("{names} {} -> {}", value(&row.a), value(&row.b));
    let origin =
        row.origins.iter().flatten().next().map_or(String::new(), |file| format!("   set in {file}"));
    format!("{places}{change}{origin}")
}

/// As many names are told.
const NAMES: usize = 3;

/// `sg, tso, gso and 4 more`.
pub(super) fn some(names: &[&str]) -> String {
    match names.get(..NAMES).filter(|_| names.len() > NAMES) {
        Some(first) => format!("{} and {} more", first.join(", "), names.len() - NAMES),
        None => names.join(", "),
    }
}

/// A value is told by its beginning.
pub(crate) fn cut(value: &str) -> String {
    match value.char_indices().nth(60) {
        Some((at, _)) => format!("{}...", &value[..at]),
        None => value.to_owned(),
    }
}

pub(crate) fn places(places: &[Place]) -> String {
    let name = |place: &Place| match place.a == place.b {
        true => place.a.clone(),
        false => format!("{} on A, {} on B", place.a, place.b),
    };
    let role = |place: &Place| place.role.as_ref().map_or(String::new(), |role| format!(" ({role})"));
    match places {
        [] => String::new(),
        [one] => format!("{}{}: ", name(one), role(one)),
        [first, rest @ ..] => format!("{}{} and {} more: ", name(first), role(first), rest.len()),
    }
}

fn symptoms(page: &mut Page, symptoms: &[Symptom], most: usize) {
    for line in lines(symptoms.iter().map(symptom)).iter().take(most) {
        page.line(&format!("     {line}"));
    }
}

/// Words side by side, as many as fit on a line.
pub(super) fn lines(words: impl Iterator<Item = String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in words {
        match lines.last_mut().filter(|line| line.len() + word.len() + 3 <= WIDTH) {
            Some(line) => {
                line.push_str("   ");
                line.push_str(&word);
            }
            None => lines.push(word),
        }
    }
    lines
}

/// `do_sendfile p99 248 us -> 7.3 ms`.
pub(crate) fn symptom(symptom: &Symptom) -> String {
    let name = &symptom.name;
    let rate = |value: f64| if value == 0.0 { "none".into() } else { format!("{}/s", short(value)) };
    let [a, b] = [symptom.a, symptom.b];
    match symptom.measured {
        Measured::Cores => format!("{name} {} -> {} cores", short(a), short(b)),
        Measured::Stacks => format!("via {name} {} -> {}", rate(a), rate(b)),
        Measured::Counter(Unit::Microseconds) => {
            format!("{name} {} -> {} cores", short(a / 1e6), short(b / 1e6))
        }
        Measured::Calls | Measured::Timers | Measured::Counter(Unit::Events) => {
            format!("{name} {} -> {}", rate(a), rate(b))
        }
        Measured::Duration(hundredths) => {
            let quantile = match hundredths {
                whole if whole % 100 == 0 => format!("p{}", whole / 100),
                tenths => format!("p{}.{}", tenths / 100, tenths / 10 % 10),
            };
            let [a, b] = [a, b].map(|ns| duration(ns as u64));
            format!("{name} {quantile} {a} -> {b}")
        }
    }
}

/// `TcpRetransSegs 3/s -> 410/s`.
pub(super) fn symptom_of_rate(rate: &RateChange) -> String {
    let measured = Measured::Counter(rate.unit);
    symptom(&Symptom { measured, name: rate.name.clone(), a: rate.a, b: rate.b })
}

/// The command that looks at it, on the host that is worse off.
pub(crate) fn check(report: &Report, cause: &Cause) -> String {
    let side = if cause.worse == Which::A { &report.a } else { &report.b };
    let place = cause.settings.first().and_then(|row| row.places.first());
    let of = place.map_or("", |place| if cause.worse == Which::A { &place.a } else { &place.b });
    let command = cause.rule.check.replace("{of}", &shell(of));
    let command = format!("hostdiag {}", command.trim_end());
    side.hosts.first().map_or(command.clone(), |host| on(host, &command))
}

fn on(host: &HostOf, command: &str) -> String {
    match &host.remote {
        Some(target) => format!("ssh {} sudo {command}", shell(target)),
        None => format!("on {}: sudo {command}", host.host.name),
    }
}

#[cfg(test)]
mod tests {
    use super::part_of;

    #[test]
    fn a_part_is_told_beside_the_whole() {
        assert_eq!(part_of(Some(2.0), Some(8.0)), "   explains 2 of 8 cores");
        assert_eq!(part_of(Some(-2.0), Some(-8.0)), "   explains 2 of 8 cores");
        let more = "   explains +3 cores, more than the change of +2 in all";
        assert_eq!(part_of(Some(3.0), Some(2.0)), more);
        assert_eq!(part_of(Some(-1.0), Some(8.0)), "   -1 cores, against the change");
        assert_eq!(part_of(Some(1.0), None), "   +1 cores");
        assert_eq!(part_of(None, Some(8.0)), "");
    }
}
