//! Results of the tracing tools as text.

use hostdiag_model::time::TimeOfDay;
use hostdiag_model::trace::{Head, Payload, Profile, Trace, Window};
use hostdiag_model::{Recording, harmless::harmless};

use crate::flame;
use crate::page::Page;

pub mod duration;
pub mod latency;
pub mod list;
pub mod log2;
pub mod profile;
pub mod stacks;
pub mod words;

mod counts;
mod timers;
pub(crate) mod values;

/// Whose layout it is to have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layout {
    /// Ours.
    #[default]
    Own,
    /// That of the bcc tool of the same name, byte for byte: `--compat bcc`.
    Bcc,
}

/// What stands above the results of an interval: bcc has an empty line there,
/// ours come without one. The time only where it is asked for.
pub fn head(page: &mut Page, layout: Layout, time: Option<TimeOfDay>) {
    if layout == Layout::Bcc {
        page.put("\n");
    }
    if let Some(time) = time {
        page.line(&time.to_string());
    }
}

/// All blocks of a recording, as they were printed while it was made.
pub fn text(recording: &Recording, trace: &Trace) -> String {
    let blocks = trace.windows.by_interval(trace.head.asked.interval_ms);
    let blocks = blocks.iter().map(|window| block(recording.started_ms, trace, window));
    before(&trace.head).into_iter().chain(blocks).chain(after(&trace.head)).collect()
}

/// A flame graph of all stacks of a recording; absent where it has none.
pub fn svg(recording: &Recording, trace: &Trace) -> Option<String> {
    let window = trace.windows.by_interval(None).into_iter().next()?;
    let Payload::Stacks(counts) = &window.payload else { return None };
    let asked = &trace.head.asked;
    let (title, count_name, factor) = match &asked.profile {
        Some(Profile::OnCpu { .. }) => ("Where CPUs were".to_owned(), "samples", 1.0),
        Some(Profile::OffCpu { .. }) => ("What tasks waited for".to_owned(), "us", 0.001),
        None => (format!("Calls of {}", asked.patterns.join(", ")), "calls", 1.0),
    };
    let kernel = recording.host.kernel.as_deref().map_or(String::new(), |kernel| format!(", Linux {kernel}"));
    let seconds = window.length_ms() / 100;
    let options = flame::Options {
        title,
        subtitle: Some(format!("{}{kernel}, {}.{} s", recording.host.name, seconds / 10, seconds % 10)),
        count_name: count_name.into(),
        factor,
        ..flame::Options::default()
    };
    let form = stacks::Form { top: None, layout: Layout::Own, ..stacks::Form::of(asked) };
    let lines = stacks::folded(stacks::Stacks { table: &trace.stacks, counts }, form);
    flame::svg(lines.lines(), &options)
}

/// What stands above all blocks: bcc has a line there.
pub fn before(head: &Head) -> Option<String> {
    latency::tracing(head)
}

/// What stands below them.
pub fn after(head: &Head) -> Option<String> {
    latency::detaching(head).map(String::from)
}

/// One block: what was counted in this stretch of time of a run that began so
/// many milliseconds after 1970.
pub fn block(started_ms: u64, trace: &Trace, window: &Window) -> String {
    let asked = &trace.head.asked;
    let time = TimeOfDay::new(started_ms + window.end_ms, asked.utc_offset_s);
    let time = Some(time).filter(|_| asked.timestamp);
    let above = time.map_or("\n".into(), |time| format!("\n{time:8}\n"));
    match &window.payload {
        Payload::Counts(counts) => {
            format!("{above}{}", counts::table(&trace.head, counts, window.length_ms()))
        }
        Payload::Timers(list) => {
            format!("{above}{}", timers::block(&trace.head, &trace.stacks, list, window.length_ms()))
        }
        Payload::Latency(list) => latency::block(&trace.head, list, time),
        Payload::Values(counts) => values::table(&trace.head, counts, time),
        Payload::Distribution(list) => values::distribution(&trace.head, list, time),
        Payload::Stacks(counts) => {
            let (stacks, form) = (stacks::Stacks { table: &trace.stacks, counts }, stacks::Form::of(asked));
            match &asked.profile {
                _ if asked.stacks.folded => stacks::folded(stacks, form),
                Some(profile) => profile::block((profile, asked), time, window.length_ms(), stacks),
                None => stacks::text(time, stacks, form),
            }
        }
    }
}

/// A name as it is printed: with the module and, where the name alone does not
/// tell, the address.
pub(crate) fn name(function: &hostdiag_model::trace::Function) -> String {
    let mut name = harmless(&function.name);
    if let Some(module) = &function.module {
        name.push_str(&format!(" [{}]", harmless(module)));
    }
    if let Some(address) = function.address {
        name.push_str(&format!(" @{address:x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use hostdiag_model::trace::{Asked, Attach, Function, Mechanism, Reason};

    use super::*;

    fn trace() -> Trace {
        let function = |name: &str| Function { name: name.into(), ..Function::default() };
        let functions = vec![function("mod_timer"), function("lock_timer_base"), function("never")];
        let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
        let asked =
            Asked { interval_ms: Some(1000), timestamp: true, utc_offset_s: 3600, ..Asked::default() };
        Trace { head: Head { asked, attach, ..Head::default() }, ..Trace::default() }
    }

    fn window(start_ms: u64, counts: &[(u32, u64)]) -> Window {
        Window { start_ms, end_ms: start_ms + 1000, payload: Payload::Counts(counts.to_vec()) }
    }

    #[test]
    fn a_block_is_as_the_article_has_it() {
        let expected = "\n00:33:36\n\
                        FUNC                                    COUNT\n\
                        lock_timer_base                         15962\n\
                        mod_timer                               60482\n";
        // 1970-01-01 23:33:35 UTC
        let started_ms = 84_815_000;
        let found = block(started_ms, &trace(), &window(0, &[(0, 60_482), (1, 15_962)]));
        assert_eq!(found, expected);
    }

    #[test]
    fn rates_are_by_the_windows_own_length() {
        let mut trace = trace();
        trace.head.asked.timestamp = false;
        trace.head.asked.rate = true;
        let window = Window { end_ms: 1250, ..window(0, &[(0, 10)]) };
        let expected = "\nFUNC                                    COUNT     RATE/s\n\
                        mod_timer                                  10        8.0\n";
        assert_eq!(block(0, &trace, &window), expected);
    }

    #[test]
    fn long_names_and_numbers_keep_the_columns() {
        let mut trace = trace();
        trace.head.asked.timestamp = false;
        trace.head.asked.top = Some(2);
        trace.head.attach[0].functions[1].name = "a_name_that_is_longer_than_bcc_has_room_for".into();
        let expected = "\nFUNC                                               COUNT\n\
                        a_name_that_is_longer_than_bcc_has_room_for            2\n\
                        mod_timer                                   123456789012\n";
        assert_eq!(block(0, &trace, &window(0, &[(0, 123_456_789_012), (1, 2), (2, 1)])), expected);
    }

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        let function = Function { name: "a\x1b[2J".into(), module: Some("m\n".into()), address: Some(16) };
        assert_eq!(name(&function), "a[2J [m] @10");
    }
}
