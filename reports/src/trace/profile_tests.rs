use std::sync::Arc;

use hostdiag_model::stacks::StackCounts;
use hostdiag_model::trace::{Attach, Function, Mechanism};

use super::*;

const ON: Profile = Profile::OnCpu { hz: 50, cpus: 4, idle: false };
const OFF: Profile = Profile::OffCpu { waiting: Vec::new() };

fn frame(name: &str, module: Option<&str>) -> Frame {
    Frame {
        address: 16,
        symbol: Symbol::Name(name.into()),
        offset: Some(1),
        module: module.map(Arc::from),
        inlined: false,
    }
}

/// Stacks of functions of the kernel and of /bin/x, the innermost first.
fn stacks(all: &[(&[&str], &[&str], u64)]) -> (StackTable, StackCounts) {
    let (mut table, mut counts) = (StackTable::new(), StackCounts::new());
    for (kernel, user, count) in all {
        let kernel = kernel.iter().map(|name| table.add_frame(frame(name, None))).collect();
        let user = user.iter().map(|name| table.add_frame(frame(name, Some("/bin/x")))).collect();
        let part = |frames| Some(Part { frames, gap: None });
        let stack = table.add_stack(Stack { kernel: part(kernel), user: part(user) });
        let key = StackKey { stack, function: None, pid: Some(7), comm: Some("x".into()) };
        counts.add(key, *count);
    }
    (table, counts)
}

fn shown(profile: &Profile, asked: &Asked, all: &[(&[&str], &[&str], u64)]) -> String {
    let (table, counts) = stacks(all);
    block((profile, asked), None, 2000, Stacks { table: &table, counts: &counts })
}

#[test]
fn functions_come_first_then_stacks_as_bcc_has_them() {
    let all: [(&[&str], &[&str], u64); 3] =
        [(&[], &["work", "main"], 60), (&["copy", "read"], &["main"], 30), (&[], &["main"], 10)];
    let expected = "\
100 samples in 2.0 s: 1.00 of 4 CPUs busy

    SELF    TOTAL   FUNCTION
 60.00 %  60.00 %   work [x]
 30.00 %  30.00 %   copy
 10.00 % 100.00 %   main [x]

    main [x]
    -                x (7)
        10

    copy
    read
    main [x]
    -                x (7)
        30

    work [x]
    main [x]
    -                x (7)
        60

";
    assert_eq!(shown(&ON, &Asked::default(), &all), expected);
}

#[test]
fn a_function_that_calls_itself_counts_once() {
    let text = shown(&ON, &Asked::default(), &[(&[], &["f", "f", "f"], 5)]);
    assert!(text.contains("\n100.00 % 100.00 %   f [x]\n"), "{text}");
}

#[test]
fn an_interval_has_its_functions_alone() {
    let asked = Asked { interval_ms: Some(2000), top: Some(1), ..Asked::default() };
    let text = shown(&ON, &asked, &[(&["a"], &[], 3), (&["b"], &[], 1)]);
    let expected = "\
4 samples in 2.0 s: 0.04 of 4 CPUs busy

    SELF    TOTAL   FUNCTION
 75.00 %  75.00 %   a

";
    assert_eq!(text, expected);
}

#[test]
fn rarer_stacks_are_summed_up() {
    let asked = Asked { top: Some(1), ..Asked::default() };
    let text = shown(&ON, &asked, &[(&["a"], &[], 3), (&["b"], &[], 2), (&["c"], &[], 1)]);
    assert!(text.contains("    [2 rarer stacks, 3 samples in all: --top]\n\n    a\n"), "{text}");
}

#[test]
fn waits_are_those_of_the_function_that_waits() {
    let sleep: &[&str] = &["__schedule", "schedule", "schedule_timeout", "do_nanosleep", "entry"];
    let text = shown(&OFF, &Asked::default(), &[(sleep, &["main"], 1_500_000)]);
    assert!(text.starts_with("1.5 ms of waits that ended in 2.0 s\n"), "{text}");
    assert!(text.contains("\n100.00 % 100.00 %   do_nanosleep\n\n    __schedule\n"), "{text}");
    assert!(text.ends_with("\n        1.5 ms\n\n"), "{text}");
}

#[test]
fn a_part_that_is_not_there_is_said() {
    let stack = |kernel, user| Stack { kernel, user };
    let whole = Some(Part::default());
    let cut = Some(Part { gap: Some("could not be walked".into()), ..Part::default() });
    assert_eq!(without_frames(&stack(whole.clone(), None)), "[not in the kernel]");
    assert_eq!(without_frames(&stack(None, whole.clone())), "[in the kernel alone]");
    assert_eq!(without_frames(&stack(cut, None)), "[no stack]");
    assert_eq!(without_frames(&stack(whole.clone(), whole)), "[no stack]");
}

#[test]
fn the_choice_of_the_clock_is_said() {
    let head = |reason| Head {
        attach: vec![Attach {
            mechanism: Mechanism::PerfEvent,
            reason,
            functions: vec![Function { name: "cycles".into(), ..Function::default() }],
        }],
        ..Head::default()
    };
    let line = "Sampling 4 CPUs at 50 Hz (cycles, in hardware)";
    assert_eq!(traced(&head(Reason::OnlyWay), &ON), line);
    let refused = Reason::Refused { tried: Mechanism::PerfEvent, error: "No such device".into() };
    assert!(traced(&head(refused), &ON).contains("(cycles: no hardware cycles, No such device)"));
    let waits = Profile::OffCpu { waiting: vec![Waiting::Cpu] };
    assert!(traced(&head(Reason::OnlyWay), &waits).starts_with("Timing waits of state R ("));
}

#[test]
fn what_came_of_the_rate_is_said() {
    let samples = Samples { cpu_ms: 4000, seen: 196, idle: Some(49), lowered_hz: Some(40) };
    let accounting = Accounting { samples: Some(samples), ..Accounting::default() };
    let lines = delivered(&ON, &accounting);
    assert_eq!(lines[0], "49.0 samples a second and CPU of 50 asked for; idle 25.00 %");
    assert!(lines[1].contains("perf_event_max_sample_rate to 40 meanwhile"), "{lines:?}");
    assert_eq!(delivered(&OFF, &accounting), Vec::<String>::new());
}
