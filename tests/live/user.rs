//! Many functions of a program probed at once: those of the test itself.
use std::hint::black_box;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use hostdiag::kernel::facts::Attempt;

use crate::lab::latency::{between, complete, time};
use crate::lab::{Traced, Tracing, btf, user_ways};

const PAUSE: Duration = Duration::from_micros(300);

fn pattern(function: &str) -> String {
    format!("{}:*{function}*", std::env::current_exe().unwrap().display())
}

/// Different ones, or the compiler makes one of them.
#[inline(never)]
fn apart_first(number: u64) -> u64 {
    black_box(number) + 1
}

#[inline(never)]
fn apart_second(number: u64) -> u64 {
    black_box(number) + 2
}

#[inline(never)]
fn apart_third(number: u64) -> u64 {
    black_box(number) + 3
}

/// Calls of the function with this in its name.
fn calls(traced: &Traced, part: &str) -> u64 {
    let functions: Vec<_> = traced.trace().head.functions().filter(|one| one.name.contains(part)).collect();
    assert_eq!(functions.len(), 1, "{functions:?}");
    traced.calls(&functions[0].name)
}

/// Each call is counted as one of its function, whichever thread makes it.
#[test]
fn funccount_counts_many_functions_of_a_program() {
    let (process, pattern) = (std::process::id().to_string(), pattern("apart_"));
    for (way, mechanism) in user_ways() {
        let args = [&["funccount", "--format", "json", "--pid", &process, &pattern], way].concat();
        let tracing = Tracing::start(&args);
        let work = || {
            (0..1009).for_each(|number| assert_eq!(apart_first(number), number + 1));
            (0..503).for_each(|number| assert_eq!(apart_second(number), number + 2));
        };
        scope(|scope| (0..3).for_each(|_| drop(scope.spawn(work))));
        work();
        let traced = tracing.record();
        assert_eq!((traced.status, traced.mechanisms()), (Some(0), vec![mechanism]), "{}", traced.said);
        let counted = ["apart_first", "apart_second", "apart_third"].map(|part| calls(&traced, part));
        assert_eq!(counted, [4 * 1009, 4 * 503, 0], "{}", traced.said);
        assert_eq!(traced.accounting().losses().collect::<Vec<_>>(), []);
    }
    assert_eq!(apart_third(0), 3);
}

/// They call each other; least and most that each call below this one takes, in ns.
#[inline(never)]
fn climbs_even(levels: u64, times: &mut (Vec<u64>, Vec<u64>)) {
    climb(climbs_odd, levels, times);
    black_box(0);
}

#[inline(never)]
fn climbs_odd(levels: u64, times: &mut (Vec<u64>, Vec<u64>)) {
    climb(climbs_even, levels, times);
    black_box(1);
}

#[inline(always)]
fn climb(next: fn(u64, &mut (Vec<u64>, Vec<u64>)), levels: u64, times: &mut (Vec<u64>, Vec<u64>)) {
    if levels > 0 {
        let start = Instant::now();
        next(black_box(levels - 1), times);
        times.0.push(PAUSE.as_nanos() as u64 * levels);
        times.1.push(start.elapsed().as_nanos() as u64);
    }
    sleep(PAUSE);
}

/// Functions that call each other, 20 levels deep: every level by its own start.
#[test]
fn funclatency_times_functions_that_call_each_other() {
    for (way, mechanism) in user_ways() {
        let mut times = (Vec::new(), Vec::new());
        let traced = time(&[&[pattern("climbs_").as_str()], way].concat(), || {
            for _ in 0..5 {
                let start = Instant::now();
                climbs_even(19, &mut times);
                times.0.push(PAUSE.as_nanos() as u64 * 20);
                times.1.push(start.elapsed().as_nanos() as u64);
            }
        });
        assert_eq!(traced.mechanisms(), [mechanism], "{}", traced.said);
        between(&traced.latency(None), times.0, times.1);
        complete(&traced);
    }
}

/// Each stack begins with the function that was called.
#[test]
fn stackcount_counts_many_functions_of_a_program() {
    let thread = nix::unistd::gettid().to_string();
    for (way, mechanism) in user_ways() {
        let pattern = pattern("climbs_");
        let args = [&["stackcount", "--format", "json", "--tid", &thread, &pattern], way].concat();
        let tracing = Tracing::start(&args);
        (0..7).for_each(|_| climbs_even(2, &mut (Vec::new(), Vec::new())));
        let traced = tracing.record();
        assert_eq!((traced.status, traced.mechanisms()), (Some(0), vec![mechanism]), "{}", traced.said);
        let calls = |part: &str| {
            let stacks = traced.stacks().into_iter();
            let ours = stacks.filter(|stack| stack.user.as_ref().unwrap()[0].contains(part));
            ours.map(|stack| stack.count).sum::<u64>()
        };
        assert_eq!((calls("climbs_even"), calls("climbs_odd")), (14, 7), "{:#?}", traced.stacks());
        // The kernel has no part in them.
        assert!(traced.stacks().iter().all(|stack| stack.kernel.is_none()), "{:#?}", traced.stacks());
    }
}

/// Whatever the kernel names: of a process all threads are seen, or it is refused.
#[test]
fn doctor_knows_whether_all_threads_are_seen() {
    let attempt = hostdiag::probe::doctor::attempt(hostdiag_model::trace::Mechanism::UprobeMulti);
    assert_eq!(attempt == Attempt::Works, btf("bpf_uprobe_multi_link"), "{attempt:?}");
}
