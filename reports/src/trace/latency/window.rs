//! A window of durations, as it was asked for.

use hostdiag_model::time::TimeOfDay;
use hostdiag_model::trace::{Function, Group, Head, Latency, Timing, latency::merged};

use super::super::{Layout, name};
use super::{Block, Form, Key, own_key, text};
use crate::page::Style;

/// The histograms of an interval: all functions in one unless each was asked for,
/// of which `--top` leaves those that took longest in all.
pub(in super::super) fn block(head: &Head, list: &[Latency], time: Option<TimeOfDay>) -> String {
    let timing = head.asked.timing.unwrap_or_default();
    let functions: Vec<String> = head.functions().map(name).collect();
    let list = shown(list, timing, head.asked.top);
    let blocks: Vec<Block<'_>> = list
        .iter()
        .map(|latency| Block { keys: keys(latency, &functions), histogram: &latency.histogram })
        .collect();
    let form = Form { layout: layout(timing), unit: timing.unit, style: Style::default() };
    let text = text(time, &blocks, form);
    if form.layout == Layout::Own { format!("\n{text}") } else { text }
}

fn layout(timing: Timing) -> Layout {
    if timing.compat_bcc { Layout::Bcc } else { Layout::Own }
}

fn shown(list: &[Latency], timing: Timing, top: Option<u32>) -> Vec<Latency> {
    let mut list = list.to_vec();
    if !timing.each_function {
        list = merged(list.into_iter().map(|latency| Latency { function: None, ..latency }));
    }
    if let Some(top) = top {
        let mut sums: Vec<u64> = list.iter().map(|latency| latency.histogram.sum()).collect();
        sums.sort_unstable_by(|a, b| b.cmp(a));
        let least = sums.get((top as usize).wrapping_sub(1)).copied();
        list.retain(|latency| top > 0 && latency.histogram.sum() >= least.unwrap_or(0));
        list.truncate(top as usize);
    }
    list
}

fn keys<'a>(latency: &'a Latency, functions: &'a [String]) -> Vec<Key<'a>> {
    let function = latency.function.and_then(|index| functions.get(index as usize));
    let group = latency.group.as_ref().map(|group| match group {
        Group::Cpu(cpu) => Key::Cpu(*cpu),
        Group::Comm(comm) => Key::Comm(comm),
        Group::Pid(pid) => Key::Pid(*pid),
        Group::Other => Key::Other,
    });
    function.map(|name| Key::Function(name)).into_iter().chain(group).collect()
}

/// What a histogram is of; empty where it is of everything.
pub(crate) fn title(latency: &Latency, functions: &[String]) -> String {
    keys(latency, functions).iter().map(own_key).collect::<Vec<_>>().join("  ")
}

/// bcc's first line, which stands on stdout with it.
pub(in super::super) fn tracing(head: &Head) -> Option<String> {
    let patterns = head.asked.patterns.join(" ");
    let functions: Vec<&Function> = head.functions().collect();
    let line = || format!("Tracing {} functions for \"{patterns}\"... Hit Ctrl-C to end.\n", functions.len());
    head.asked.timing.filter(|timing| timing.compat_bcc).map(|_| line())
}

/// bcc's last line.
pub(in super::super) fn detaching(head: &Head) -> Option<&'static str> {
    head.asked.timing.filter(|timing| timing.compat_bcc).map(|_| "Detaching...\n")
}

#[cfg(test)]
mod tests {
    use hostdiag_model::Histogram;
    use hostdiag_model::histogram::{Resolution, Unit};
    use hostdiag_model::trace::{Asked, Attach, Mechanism, Reason};

    use super::*;

    fn latency(function: u32, group: Option<Group>, values: &[u64]) -> Latency {
        let mut histogram = Histogram::new(Resolution::FINEST);
        values.iter().for_each(|value| histogram.add(*value, 1));
        Latency { function: Some(function), group, histogram }
    }

    fn head(timing: Timing) -> Head {
        let function = |name: &str| Function { name: name.into(), ..Function::default() };
        let functions = vec![function("vfs_read"), function("vfs_write"), function("vfs_open")];
        let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
        let asked = Asked { patterns: vec!["vfs_*".into()], timing: Some(timing), ..Asked::default() };
        Head { asked, attach, ..Head::default() }
    }

    fn titles(timing: Timing, top: Option<u32>, list: &[Latency]) -> Vec<String> {
        let mut head = head(Timing { unit: Some(Unit::Ns), ..timing });
        head.asked.top = top;
        let text = block(&head, list, None);
        let title = |line: &&str| line.starts_with(|c: char| c.is_ascii_lowercase());
        text.lines().filter(title).map(|line| line.split("   ").last().unwrap().to_owned()).collect()
    }

    #[test]
    fn functions_are_one_unless_each_is_asked_for() {
        let list = [latency(0, None, &[5, 6]), latency(1, None, &[7]), latency(2, None, &[90])];
        assert_eq!(titles(Timing::default(), None, &list), ["n 4"]);
        let each = Timing { each_function: true, ..Timing::default() };
        let all = ["function vfs_read", "n 2", "function vfs_write", "n 1", "function vfs_open", "n 1"];
        assert_eq!(titles(each, None, &list), all);
        assert_eq!(titles(each, Some(2), &list), [&all[..2], &all[4..]].concat());
        assert_eq!(titles(each, Some(0), &list), ["no calls"]);
        assert_eq!(titles(each, Some(9), &list), all);
    }

    #[test]
    fn groups_stay_apart() {
        let list = [
            latency(0, Some(Group::Pid(7)), &[5]),
            latency(1, Some(Group::Pid(7)), &[6]),
            latency(1, Some(Group::Other), &[7]),
        ];
        let expected = ["pid 7", "n 2", "all others together", "n 1"];
        assert_eq!(titles(Timing::default(), None, &list), expected);
    }

    #[test]
    fn bcc_says_what_it_traces_on_stdout() {
        let bcc = head(Timing { compat_bcc: true, ..Timing::default() });
        let line = "Tracing 3 functions for \"vfs_*\"... Hit Ctrl-C to end.\n";
        assert_eq!((tracing(&bcc).as_deref(), detaching(&bcc)), (Some(line), Some("Detaching...\n")));
        let own = head(Timing::default());
        assert_eq!((tracing(&own), detaching(&own)), (None, None));
    }
}
