//! How it was measured, what was lost, and how to get at all figures.

use hostdiag_model::Recording;
use hostdiag_model::trace::{Accounting, Filter, Head, Trace};
use maud::{Markup, html};

use super::table::{Kind, Table};
use super::{Place, Section};
use crate::markup::{LONGEST, bounded};
use crate::trace::{name, words};

/// How a tool traced.
pub(super) fn of_trace(recording: &Recording, trace: &Trace) -> Section {
    let head = &trace.head;
    // What was only listed counted nothing, and lost nothing.
    let notes = if trace.windows.is_empty() { Vec::new() } else { words::notes(trace) };
    let filter = filter(&head.asked.filter);
    let body = html! {
        p { (bounded(&words::traced(head), LONGEST)) }
        @if !filter.is_empty() { p { "Counted alone: " (bounded(&filter.join("; "), LONGEST)) } }
        (list(&notes))
        @if let Some(cost) = &trace.overhead { p { (words::cost(cost)) } }
        (lost(recording))
        @if let Some(accounting) = &trace.accounting { (account(accounting)) }
        (attached(head))
    };
    Section::new(Place::Method, "Method and trust", body)
}

/// Sentences, one below the other.
pub(super) fn list(sentences: &[String]) -> Markup {
    html! { @if !sentences.is_empty() {
        ul { @for sentence in sentences { li { (bounded(sentence, 2 * LONGEST)) } } }
    } }
}

/// What the recording itself says was lost.
pub(super) fn lost(recording: &Recording) -> Markup {
    let lost = |loss: &hostdiag_model::recording::Loss| format!("lost: {} {}", loss.count, loss.what);
    let mut all: Vec<String> = recording.loss.iter().map(lost).collect();
    if recording.elapsed_ms.is_none() {
        all.push("partial recording: it has no end".into());
    }
    list(&all)
}

fn filter(filter: &Filter) -> Vec<String> {
    let numbers = |what: &str, list: &[u32]| {
        let list: Vec<String> = list.iter().map(u32::to_string).collect();
        (!list.is_empty()).then(|| format!("{what} {}", list.join(", ")))
    };
    let all = [
        numbers("process", &filter.pids),
        numbers("thread", &filter.tids),
        filter.comm.as_ref().map(|comm| format!("command {comm}")),
        filter.cgroup.as_ref().map(|path| format!("cgroup {path}")),
        numbers("CPU", &filter.cpus),
    ];
    all.into_iter().flatten().collect()
}

/// What has a number of its own; what a kernel does not count is absent.
fn account(accounting: &Accounting) -> Markup {
    let mut table = Table::new("Events", &[("events", Kind::Fact), ("number", Kind::Number)]);
    let known = [
        ("counted when they began", accounting.entries),
        ("counted when they returned", accounting.returns),
        ("in flight at the end", accounting.in_flight),
        ("not counted: a BPF program was at work", accounting.recursion_missed),
        ("not counted: the probe was busy", accounting.link_missed),
        ("without a stack: no room", accounting.stack_lost),
        ("with a stack deeper than what is walked", accounting.stack_cut),
    ];
    for (what, number) in known.into_iter().filter_map(|(what, number)| Some((what, number?))) {
        table.row([what.into(), number.to_string().into()]);
    }
    html! { @if !table.is_empty() { (table) } }
}

/// Functions and how they were attached to, and those left out.
fn attached(head: &Head) -> Markup {
    let columns = [("function", Kind::Name), ("by", Kind::Text), ("because", Kind::Text)];
    let mut table = Table::new("Attached to", &columns);
    for attach in &head.attach {
        let because = words::because(&attach.reason);
        let because = because.trim_start_matches([':', ' ']);
        for function in &attach.functions {
            table.row([name(function).into(), attach.mechanism.as_str().into(), because.into()]);
        }
    }
    for one in &head.skipped {
        let module = one.module.as_ref().map_or(String::new(), |module| format!(" [{module}]"));
        let why = words::left_out(&one.reason);
        table.row([format!("{}{module}", one.name).into(), "left out".into(), why.into()]);
    }
    html! { @if !table.is_empty() { details { summary { "What it was attached to" } (table) } } }
}

/// What prints every figure.
pub(super) fn raw(commands: &[String]) -> Section {
    let body = html! {
        p { "Every figure, for programs:" }
        @for command in commands { pre tabindex="0" { code { (bounded(command, 10 * LONGEST)) } } }
    };
    Section::new(Place::Raw, "Raw data", body)
}

/// Text whose lines and blanks tell something.
pub(super) fn preformatted(text: &str) -> Markup {
    const LINES: usize = 2000;
    let lines: Vec<String> = text.lines().take(LINES).map(|line| bounded(line, 2 * LONGEST)).collect();
    html! {
        pre tabindex="0" { (lines.join("\n")) }
        @if text.lines().nth(LINES).is_some() { p.more { "The rest is left out here." } }
    }
}
