//! What the tracing tools count.

use hostdiag_model::Recording;
use hostdiag_model::trace::latency::merged;
use hostdiag_model::trace::{Latency, Payload, Trace, Window};
use maud::{Markup, PreEscaped, html};

use super::cell::{Cell, Tone, chip};
use super::environment::seconds;
use super::histogram::{Named, Scale, histograms, percentiles};
use super::table::{Kind, Table};
use super::{Place, Section, method, stacks, timers, values};
use crate::chart;
use crate::page::count;
use crate::trace::duration::duration;
use crate::trace::latency::{title, unit};
use crate::trace::{self, name, profile, words};

/// What was counted, how, and what was lost.
pub(super) fn sections(recording: &Recording, trace: &Trace) -> Vec<Section> {
    let windows = trace.windows.by_interval(None);
    let mut sections = vec![verdict(recording, trace, windows.first())];
    if let Some(window) = windows.first() {
        sections.extend(of_payload(trace, window));
    }
    sections.push(method::of_trace(recording, trace));
    sections
}

fn of_payload(trace: &Trace, window: &Window) -> Vec<Section> {
    match &window.payload {
        Payload::Counts(counts) => vec![rates(trace, counts, window.length_ms())],
        Payload::Latency(list) => vec![latency(trace, list)],
        Payload::Stacks(counts) => {
            vec![stacks::section(trace, counts, &trace::stacks_title(&trace.head.asked))]
        }
        Payload::Timers(list) => timers::sections(trace, list, window.length_ms()),
        Payload::Values(counts) => vec![values::table(trace, counts)],
        Payload::Distribution(list) => vec![values::distribution(trace, list)],
    }
}

fn verdict(recording: &Recording, trace: &Trace, all: Option<&Window>) -> Section {
    let lost = trace.accounting.as_ref().is_none_or(|accounting| accounting.losses().next().is_some());
    let doubt = lost || !recording.loss.is_empty() || recording.elapsed_ms.is_none();
    let (tone, word) = match (all, doubt) {
        (None, _) => (Tone::Plain, "a list"),
        (_, true) => (Tone::Unsure, "incomplete"),
        (_, false) => (Tone::Good, "complete"),
    };
    let sentence = all.map_or_else(|| listed(trace), |window| sentence(trace, window));
    let notes = if doubt && all.is_some() { words::notes(trace) } else { Vec::new() };
    let body = html! {
        p.lead { (chip(tone, word)) " " (sentence) }
        (method::list(&notes))
    };
    Section::new(Place::Verdict, "Result", body)
}

/// What would be attached to, and what not.
fn listed(trace: &Trace) -> String {
    let (functions, left) = (trace.head.functions().count(), trace.head.skipped.len());
    format!("{} would be traced, {left} would not", count(functions, "function"))
}

/// What was counted in all, in a sentence.
fn sentence(trace: &Trace, window: &Window) -> String {
    if let (Some(asked), Payload::Stacks(counts)) = (&trace.head.asked.profile, &window.payload) {
        return profile::summary(asked, counts.total(), window.length_ms());
    }
    let events = window.payload.events();
    let what = if trace.head.asked.timers.is_some() { "timer start" } else { "call" };
    let rate = events.saturating_mul(1000) / window.length_ms().max(1);
    let functions = trace.head.functions().count();
    let of = if trace.head.asked.timers.is_some() {
        String::new()
    } else {
        format!(" of {}", count(functions, "function"))
    };
    let events = count(usize::try_from(events).unwrap_or(usize::MAX), what);
    format!("{events}{of} in {}, {rate} a second", seconds(window.length_ms()))
}

/// Charts, which the tables beside them tell too.
pub(super) fn charts(trace: &Trace) -> Markup {
    html! { @for figure in chart::figures(trace) {
        div.scroll tabindex="0" role="group" aria-label="Chart" { (PreEscaped(figure)) }
    } }
}

fn rates(trace: &Trace, counts: &[(u32, u64)], length_ms: u64) -> Section {
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let mut rows: Vec<(u64, &str)> = counts
        .iter()
        .filter_map(|(index, count)| Some((*count, functions.get(*index as usize)?.as_str())))
        .collect();
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let most = rows.first().map_or(0, |row| row.0);
    let columns = [
        ("function", Kind::Name),
        ("calls", Kind::Number),
        ("a second", Kind::Number),
        ("share", Kind::Text),
    ];
    let mut table = Table::new("Calls by function", &columns);
    for (count, name) in rows {
        let rate = count as f64 * 1000.0 / length_ms.max(1) as f64;
        table.row([
            name.into(),
            count.to_string().into(),
            format!("{rate:.1}").into(),
            Cell::share(count, most),
        ]);
    }
    Section::new(Place::Rates, "Rates", html! { (charts(trace)) (table) })
}

fn latency(trace: &Trace, list: &[Latency]) -> Section {
    let functions: Vec<String> = trace.head.functions().map(name).collect();
    let rows = named(list, &functions, trace.head.asked.timing.unwrap_or_default().each_function);
    let mut all = hostdiag_model::Histogram::new(hostdiag_model::histogram::Resolution::FINEST);
    rows.iter().for_each(|row| all.merge(&row.histogram));
    let forced = trace.head.asked.timing.and_then(|timing| timing.unit);
    let scale = Scale { show: duration, unit: Some(forced.unwrap_or_else(|| unit(&all))), of: String::new() };
    let body = html! {
        (charts(trace))
        (percentiles("How long calls took", &rows, &scale))
        (histograms(&rows, &scale))
    };
    Section::new(Place::Latency, "Latency", body)
}

/// By what took longest in all; functions are one unless each was asked for.
fn named(list: &[Latency], functions: &[String], each: bool) -> Vec<Named> {
    let mut list = list.to_vec();
    if !each {
        list = merged(list.into_iter().map(|latency| Latency { function: None, ..latency }));
    }
    list.sort_by_key(|one| std::cmp::Reverse(one.histogram.sum()));
    let named = |latency: Latency| Named { name: title(&latency, functions), histogram: latency.histogram };
    list.into_iter().map(named).collect()
}
