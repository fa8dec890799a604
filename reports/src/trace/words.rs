//! What stands beside the result of a tracing tool: what is traced and how, what
//! was lost, what it cost.

use hostdiag_model::trace::{
    Accounting, Attach, Ended, Form, Gone, Group, Head, Mechanism, Overhead, Payload, Reason, SkipReason,
    Skipped, Trace, Window,
};

use super::profile;
use crate::offload::words::shell;
use crate::page::count;

/// `Tracing 1 function for "mod_timer" (fentry: in BTF, unique)... Hit Ctrl-C to end.`
pub fn tracing(head: &Head) -> String {
    format!("{}... Hit Ctrl-C to end.", traced(head))
}

/// The same without what is to be done meanwhile.
pub fn traced(head: &Head) -> String {
    if let Some(profile) = &head.asked.profile {
        return profile::traced(head, profile);
    }
    let ways: Vec<String> = head
        .attach
        .iter()
        .map(|attach| {
            let number =
                if head.attach.len() > 1 { format!("{} by ", attach.functions.len()) } else { String::new() };
            format!("{number}{}{}", attach.mechanism.as_str(), because(&attach.reason))
        })
        .collect();
    let patterns: Vec<String> = head.asked.patterns.iter().map(|pattern| format!("\"{pattern}\"")).collect();
    let of_events = [Mechanism::Tracepoint, Mechanism::RawTracepoint];
    let events = head.attach.iter().all(|attach| of_events.contains(&attach.mechanism));
    let what = count(head.functions().count(), if events { "tracepoint" } else { "function" });
    let wanted = if patterns.is_empty() { String::new() } else { format!(" for {}", patterns.join(", ")) };
    format!("Tracing {what}{wanted} ({}{})", ways.join("; "), not_traced(&head.skipped))
}

/// What matched and is not traced: `--list` knows nothing of what the kernel
/// refused when it was attached.
fn not_traced(skipped: &[Skipped]) -> String {
    let refusal = |one: &&Skipped| matches!(one.reason, SkipReason::Refused(_));
    let refused = skipped.iter().filter(refusal).count();
    let known = match skipped.len() - refused {
        0 => String::new(),
        number => format!(", {number} left out (--list tells why)"),
    };
    match skipped.iter().find(refusal) {
        Some(Skipped { name, reason: SkipReason::Refused(error), .. }) => {
            format!("{known}, {refused} refused by the kernel ({name}: {error})")
        }
        _ => known,
    }
}

/// `  12 s   10260 calls   855/s   lost 0   cost >= 0.01 % of CPU`, while it goes
/// on: all so far, and the rate of the last window.
pub fn live(trace: &Trace, last: &Window, lost: u64, overhead: Option<Overhead>) -> String {
    let all = trace.windows.iter().fold(0_u64, |sum, window| sum.saturating_add(window.payload.events()));
    let rate = last.payload.events().saturating_mul(1000) / last.length_ms().max(1);
    let cost = overhead.map_or(String::new(), |overhead| format!("   cost >= {} of CPU", share(&overhead)));
    let (all, rate) = match &trace.head.asked.profile {
        None => (count(all as usize, event(&trace.head)), format!("{rate}/s")),
        Some(profile) => {
            (profile::amount(profile, all), format!("{} a second", profile::amount(profile, rate)))
        }
    };
    format!("  {} s   {all}   {rate}   lost {lost}{cost}", last.end_ms / 1000)
}

/// What to do next: look where the calls come from, keep the recording unless it
/// is. Nothing beside the layout of another tool.
pub fn next(head: &Head, kept: bool) -> Option<String> {
    if let Some(timers) = head.asked.timers {
        let next = if timers.start_stacks { "--expire" } else { "--start-stacks" };
        let keep = if kept { "" } else { "     Keep   --output timers.hd" };
        return Some(format!("Next   hostdiag timer-names {next}{keep}"));
    }
    if head.asked.profile.is_some() {
        return (!head.asked.stacks.folded).then(|| profile::next(kept));
    }
    let timing = head.asked.timing.filter(|timing| !timing.compat_bcc)?;
    let patterns: Vec<String> = head.asked.patterns.iter().map(|pattern| shell(pattern)).collect();
    let name = head.functions().next().map_or("trace", |function| &function.name);
    let keep = format!("     Keep   --output {}", shell(&format!("{name}.hd")));
    let each = if timing.each_function || head.functions().count() < 2 { "" } else { "     Each   -F" };
    let keep = if kept { "" } else { &keep };
    Some(format!("Next   hostdiag stackcount {}{each}{keep}", patterns.join(" ")))
}

/// Why a mechanism was chosen, behind its name.
pub fn because(reason: &Reason) -> String {
    match reason {
        Reason::Asked => ": asked for".into(),
        Reason::Few => ": in BTF, unique".into(),
        Reason::Stacks => ": least to walk for a stack".into(),
        Reason::Many => ": all in one go".into(),
        Reason::NotInBtf => ": not in BTF, or not unique".into(),
        Reason::NoMulti => ": this kernel has no kprobe.multi".into(),
        Reason::NoUprobeMulti => ": this kernel has no uprobe.multi".into(),
        Reason::OneThread => ": uprobe.multi of this kernel sees one thread of a process".into(),
        Reason::OnlyWay => String::new(),
        Reason::Refused { tried, error } => format!(": the kernel refused {}, {error}", tried.as_str()),
        Reason::NoEvent { error } => format!(": one by one, as one event the kernel refused them, {error}"),
    }
}

/// Why a function was left out.
pub fn left_out(reason: &SkipReason) -> String {
    match reason {
        SkipReason::Asked => "--skip".into(),
        SkipReason::Denied => "a BPF program calls it itself: the host would hang".into(),
        SkipReason::Ambiguous => "one of several of that name, of which not all can be traced".into(),
        SkipReason::NoAddress => "the kernel does not show its address".into(),
        SkipReason::NotInBtf => "fentry cannot have it: not in BTF, or not the only one of its name".into(),
        SkipReason::Unfit(why) => why.clone(),
        SkipReason::Refused(error) => format!("the kernel refused it: {error}"),
    }
}

/// What is to be known beside the result, a line each: why it ended early, what
/// was lost, what could not be counted. Nothing where all is well.
pub fn notes(trace: &Trace) -> Vec<String> {
    let Some(accounting) = &trace.accounting else {
        return vec!["the recording was cut off: what follows is missing".into()];
    };
    let ended = match accounting.ended {
        Ended::Duration | Ended::Signal => None,
        Ended::Processes => Some("ended early: what was traced has ended".to_owned()),
        Ended::Overhead => {
            Some("ended early: it took more of the CPUs than --max-overhead allows".to_owned())
        }
    };
    let gone = accounting.gone.iter().map(|gone| went_away(&trace.head, gone));
    let values = trace.head.asked.arguments.is_some();
    let event = event(&trace.head);
    let losses = accounting.losses().map(|(name, number)| lost((event, values), name, number));
    let pending = accounting.timer_pending.filter(|number| *number > 0);
    let pending = pending.map(|number| format!("{} still armed", count(number as usize, "timer")));
    let below = accounting.below_zero.filter(|number| *number > 0);
    let below = below
        .map(|number| format!("{} not in a histogram: the value is below 0", count(number as usize, "call")));
    let in_flight = in_flight(&trace.head, accounting);
    let deep = accounting.stack_cut.filter(|number| *number > 0);
    let deep = deep
        .map(|number| format!("{} had a stack deeper than what is walked", count(number as usize, event)));
    let others = without_group(trace);
    let profile = trace.head.asked.profile.as_ref();
    let delivered = profile.map(|profile| profile::delivered(profile, accounting)).unwrap_or_default();
    let notes = ended.into_iter().chain(gone).chain(others).chain(delivered).chain(losses);
    let notes = notes.chain(in_flight).chain(pending).chain(deep).chain(below).chain(untyped(&trace.head));
    notes.chain(uncounted(&trace.head, accounting)).chain(unbalanced(accounting)).collect()
}

/// Registers may have more in them than their argument.
fn untyped(head: &Head) -> Option<String> {
    let columns = head.asked.arguments.iter().flat_map(|arguments| &arguments.columns);
    let raw: Vec<&str> =
        columns.filter(|column| column.form == Form::Raw).map(|column| column.expression.as_str()).collect();
    (!raw.is_empty()).then(|| {
        format!("{}: no type is known, so it is the whole register, as a signed number", raw.join(", "))
    })
}

/// What one of the counted is called.
fn event(head: &Head) -> &'static str {
    let other = if head.asked.timers.is_some() { "timer" } else { "call" };
    head.asked.profile.as_ref().map_or(other, profile::event)
}

/// Functions of the kernel have nothing to do with the program of a process.
fn went_away(head: &Head, gone: &Gone) -> String {
    let of_user = [Mechanism::Uprobe, Mechanism::UprobeMulti];
    let user = head.attach.iter().any(|attach| of_user.contains(&attach.mechanism));
    match gone {
        Gone::Module(name) => {
            format!("module {name} was unloaded meanwhile: its functions were traced until then")
        }
        Gone::Program(pid) => {
            let until = if user { ": functions of the one before were traced until then" } else { "" };
            format!("process {pid} began another program meanwhile (exec){until}")
        }
    }
}

/// Where there are more commands or processes than groups, those that came last are
/// together: `all others together`.
fn without_group(trace: &Trace) -> Option<String> {
    let latencies = trace.windows.iter().filter_map(|window| match &window.payload {
        Payload::Latency(list) => Some(list),
        Payload::Counts(_)
        | Payload::Stacks(_)
        | Payload::Timers(_)
        | Payload::Values(_)
        | Payload::Distribution(_) => None,
    });
    let others = latencies.flatten().filter(|latency| latency.group == Some(Group::Other));
    let calls = others.fold(0_u64, |sum, latency| sum.saturating_add(latency.histogram.count()));
    let room = trace.head.storage?.histograms.saturating_sub(1);
    let calls = count(usize::try_from(calls).ok().filter(|calls| *calls > 0)?, "call");
    Some(format!("{calls} timed, but not apart: there is room for {room} groups, and others came first"))
}

/// Kprobes see no more returns at a time than they have room for, and any program
/// can be left out at a return: such a call looks like one that has not returned.
fn in_flight(head: &Head, accounting: &Accounting) -> Option<String> {
    let number = accounting.in_flight.filter(|number| *number > 0)?;
    let returns =
        |attach: &Attach| ![Mechanism::Fentry, Mechanism::RawTracepoint].contains(&attach.mechanism);
    let kprobes = head.attach.iter().any(returns);
    let unsure = kprobes || accounting.recursion_missed != Some(0);
    let or = if unsure { ", or their returns were missed" } else { "" };
    Some(format!("{} still in flight, not counted{or}", count(number as usize, event(head))))
}

/// Every call that began has one fate; if not, we are wrong.
fn unbalanced(accounting: &Accounting) -> Option<String> {
    let balance = accounting.balance().filter(|balance| balance.entries != balance.accounted)?;
    Some(format!(
        "the accounting is wrong: {} calls began, the fate of {} is known; please report this",
        balance.entries, balance.accounted
    ))
}

/// `event`: what is counted; `joined`: calls are not timed, but their values counted.
fn lost((event, joined): (&str, bool), name: &str, number: u64) -> String {
    let what = match name {
        "start_lost" if joined => "not counted: the table of calls under way was full (--max-active)",
        "return_missed" if joined => "not counted: the return was not seen",
        "sample_missed" => "due and not come (hostdiag explain profile)",
        "return_missed" if event == "wait" => "not timed: the end was not seen",
        "start_lost" => "not timed: the table of starts was full",
        "return_missed" => "not timed: the return was not seen",
        "recursion_missed" => "not counted: a BPF program was at work, or preempted, on that CPU",
        "link_missed" => "not counted: the probe was busy",
        "values_lost" => "not counted: the table of values was full (--max-values)",
        "undecided" => "not counted: what --where asks for could not be read",
        "unreadable" => "not in a histogram: the value could not be read",
        "stack_lost" => "without a stack: there was no room to keep it (--max-stacks)",
        "timer_untracked" => "whose fate is not known: there was no room to follow them (--max-timers)",
        other => other,
    };
    format!("lost: {} {what}", count(number as usize, event))
}

/// What this kernel does not count, where it can happen.
fn uncounted(head: &Head, accounting: &Accounting) -> Option<String> {
    let by = |wanted: &[Mechanism]| head.attach.iter().any(|attach| wanted.contains(&attach.mechanism));
    let kprobes = by(&[Mechanism::Kprobe, Mechanism::KprobeMulti, Mechanism::KprobeSession]);
    let recursion = accounting.recursion_missed.is_none();
    match (recursion, kprobes && accounting.link_missed.is_none()) {
        (false, false) => None,
        _ => Some("missed calls are not counted by this kernel: some may be lost unseen".into()),
    }
}

/// `cost at least 0.01 % of CPU`, as far as it was measured.
pub fn cost(overhead: &Overhead) -> String {
    let nanoseconds = overhead.run_time_ns.checked_div(overhead.runs);
    let each = nanoseconds.map_or(String::new(), |ns| format!(", {ns} ns an event"));
    format!("cost at least {} of all CPUs{each}", share(overhead))
}

fn share(overhead: &Overhead) -> String {
    let ppm = overhead.share_ppm();
    format!("{}.{:02} %", ppm / 10_000, ppm / 100 % 100)
}

#[cfg(test)]
mod tests {
    use hostdiag_model::trace::{Asked, AskedTimers, Attach, Function, Timing};

    use super::*;

    fn head(mechanism: Mechanism, reason: Reason) -> Head {
        let attach = vec![Attach { mechanism, reason, functions: vec![Function::default()] }];
        Head { asked: Asked { patterns: vec!["f".into()], ..Asked::default() }, attach, ..Head::default() }
    }

    fn trace(mechanism: Mechanism, accounting: Accounting) -> Trace {
        Trace { head: head(mechanism, Reason::Few), accounting: Some(accounting), ..Trace::default() }
    }

    #[test]
    fn what_is_traced_is_said_with_the_reason() {
        assert_eq!(
            tracing(&head(Mechanism::Fentry, Reason::Few)),
            "Tracing 1 function for \"f\" (fentry: in BTF, unique)... Hit Ctrl-C to end."
        );
        assert!(
            tracing(&head(Mechanism::Uprobe, Reason::OneThread))
                .contains("(uprobe: uprobe.multi of this kernel sees one thread of a process)")
        );
        let refused = Reason::Refused { tried: Mechanism::Fentry, error: "Operation not permitted".into() };
        assert!(
            tracing(&head(Mechanism::Kprobe, refused))
                .contains("(kprobe: the kernel refused fentry, Operation")
        );
        let alone = Reason::NoEvent { error: "Invalid argument".into() };
        assert!(
            tracing(&head(Mechanism::Kprobe, alone))
                .contains("(kprobe: one by one, as one event the kernel refused them, Invalid argument)")
        );
    }

    #[test]
    fn what_is_left_out_is_told_from_what_was_refused() {
        let one = |name: &str, reason| Skipped { name: name.into(), module: None, reason };
        let asked = one("f", SkipReason::Asked);
        let refused = |name| one(name, SkipReason::Refused("Invalid argument".into()));
        assert_eq!(not_traced(std::slice::from_ref(&asked)), ", 1 left out (--list tells why)");
        assert_eq!(
            not_traced(&[asked, refused("g"), refused("h")]),
            ", 1 left out (--list tells why), 2 refused by the kernel (g: Invalid argument)"
        );
    }

    #[test]
    fn nothing_is_said_where_all_is_well() {
        let fine = Accounting { entries: Some(1), recursion_missed: Some(0), ..Accounting::default() };
        assert_eq!(notes(&trace(Mechanism::Fentry, fine.clone())), Vec::<String>::new());
        assert_eq!(
            notes(&trace(Mechanism::Kprobe, fine)),
            ["missed calls are not counted by this kernel: some may be lost unseen"]
        );
    }

    #[test]
    fn losses_are_said() {
        let accounting = Accounting {
            ended: Ended::Processes,
            recursion_missed: Some(1),
            link_missed: Some(2),
            in_flight: Some(3),
            stack_lost: Some(4),
            stack_cut: Some(5),
            ..Accounting::default()
        };
        assert_eq!(
            notes(&trace(Mechanism::KprobeMulti, accounting)),
            [
                "ended early: what was traced has ended",
                "lost: 1 call not counted: a BPF program was at work, or preempted, on that CPU",
                "lost: 2 calls not counted: the probe was busy",
                "lost: 4 calls without a stack: there was no room to keep it (--max-stacks)",
                "3 calls still in flight, not counted, or their returns were missed",
                "5 calls had a stack deeper than what is walked"
            ]
        );
    }

    #[test]
    fn what_went_away_is_said() {
        let gone = vec![Gone::Module("dummy".into()), Gone::Program(7)];
        let accounting = Accounting { gone, recursion_missed: Some(0), ..Accounting::default() };
        let unloaded = "module dummy was unloaded meanwhile: its functions were traced until then";
        let other = "process 7 began another program meanwhile (exec)";
        assert_eq!(notes(&trace(Mechanism::Fentry, accounting.clone())), [unloaded, other]);
        let until = format!("{other}: functions of the one before were traced until then");
        assert_eq!(notes(&trace(Mechanism::Uprobe, accounting)), [unloaded, &until]);
    }

    #[test]
    fn the_next_step_can_be_typed() {
        let mut head = head(Mechanism::Fentry, Reason::Few);
        assert_eq!(next(&head, false), None);
        head.asked =
            Asked { patterns: vec!["vfs_*".into()], timing: Some(Timing::default()), ..Asked::default() };
        head.attach[0].functions = vec![Function { name: "vfs_read".into(), ..Function::default() }; 2];
        let line = "Next   hostdiag stackcount 'vfs_*'     Each   -F     Keep   --output vfs_read.hd";
        assert_eq!(next(&head, false).as_deref(), Some(line));
        head.asked.timing = Some(Timing { each_function: true, ..Timing::default() });
        assert_eq!(next(&head, true).as_deref(), Some("Next   hostdiag stackcount 'vfs_*'"));
    }

    #[test]
    fn timers_have_words_of_their_own() {
        let mut head = head(Mechanism::RawTracepoint, Reason::OnlyWay);
        head.asked = Asked { timers: Some(AskedTimers::default()), ..Asked::default() };
        assert_eq!(tracing(&head), "Tracing 1 tracepoint (raw-tracepoint)... Hit Ctrl-C to end.");
        let next = "Next   hostdiag timer-names --start-stacks     Keep   --output timers.hd";
        assert_eq!(super::next(&head, false).as_deref(), Some(next));
        let accounting = Accounting {
            recursion_missed: Some(0),
            timer_untracked: Some(1),
            timer_pending: Some(2),
            ..Accounting::default()
        };
        let trace = Trace { head, accounting: Some(accounting), ..Trace::default() };
        let lost = "lost: 1 timer whose fate is not known: there was no room to follow them (--max-timers)";
        assert_eq!(notes(&trace), [lost, "2 timers still armed"]);
    }

    #[test]
    fn every_call_has_its_fate() {
        let whole = |returns| Accounting {
            entries: Some(10),
            returns: Some(returns),
            start_lost: Some(0),
            return_missed: Some(0),
            in_flight: Some(1),
            recursion_missed: Some(0),
            ..Accounting::default()
        };
        let notes = |accounting| notes(&trace(Mechanism::Fentry, accounting));
        assert_eq!(notes(whole(9)), ["1 call still in flight, not counted"]);
        let wrong = "the accounting is wrong: 10 calls began, the fate of 9 is known; please report this";
        assert_eq!(notes(whole(8))[1..], [wrong]);
        assert_eq!(notes(Accounting { start_lost: None, ..whole(8) }).len(), 1);
    }

    #[test]
    fn cost_is_a_share_of_all_cpus() {
        let overhead = Overhead { run_time_ns: 2_000_000, runs: 40_000, over_ms: 1000, cpus: 2 };
        assert_eq!(cost(&overhead), "cost at least 0.10 % of all CPUs, 50 ns an event");
    }
}
