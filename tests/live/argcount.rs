//! `hostdiag argcount` on the machine at hand: functions of programs, of which there
//! are registers alone, and tracepoints.
use std::hint::black_box;

use crate::lab::arguments::values;
use crate::lab::{private_tracefs, refused_trace, user_ways};

fn pattern(function: &str) -> String {
    format!("{}:*{function}*", std::env::current_exe().unwrap().display())
}

#[inline(never)]
extern "C" fn is_given(first: u64, second: i64) -> u64 {
    black_box(first).wrapping_add(black_box(second).cast_unsigned())
}

/// Calls itself, and returns the sum of what its calls were given.
#[inline(never)]
extern "C" fn sums_up(number: u64) -> u64 {
    if number == 0 { 0 } else { black_box(number) + sums_up(black_box(number - 1)) }
}

#[test]
fn argcount_counts_registers_of_user_functions() {
    let work = || {
        (0..7).for_each(|_| assert_eq!(is_given(40, 2), 42));
        (0..5).for_each(|_| assert_eq!(is_given(40, -41), u64::MAX));
    };
    let function = pattern("is_given");
    for (way, _) in user_ways() {
        let count = |expressions: &[&str]| values(&[&[function.as_str()], expressions, way].concat(), work);
        let traced = count(&["arg1", "arg2"]);
        assert_eq!(traced.rows(), ["40 2: 7", "40 -41: 5"]);
        assert!(traced.said.contains("arg1, arg2: no type is known"), "{}", traced.said);
        assert_eq!(count(&["$ret"]).rows(), ["42: 7", "-1: 5"]);
        assert_eq!(count(&["arg2", "$ret"]).rows(), ["2 42: 7", "-41 -1: 5"]);
        let traced = count(&["arg2", "--where", "$ret < 0"]);
        assert_eq!(traced.rows(), ["-41: 5"]);
        assert_eq!(traced.accounting().losses().collect::<Vec<_>>(), []);
    }
}

/// Every level with its own argument.
#[test]
fn argcount_joins_a_function_that_calls_itself() {
    let traced = values(&[&pattern("sums_up"), "arg1", "$ret"], || {
        (0..3).for_each(|_| assert_eq!(sums_up(20), 210));
    });
    let sum = |number: u64| number * (number + 1) / 2;
    let expected: Vec<String> = (0..=20).map(|number| format!("{number} {}: 3", sum(number))).collect();
    assert_eq!(traced.rows(), expected);
}

#[test]
fn argcount_explains_what_is_not_known_of_a_program() {
    let function = pattern("is_given");
    for (expression, says) in
        [("first", "names of arguments are not known"), ("arg7", "is not in a register")]
    {
        let (status, said) = refused_trace(&["argcount", &function, expression]);
        assert!(status == Some(2) && said.contains("[bad-expression]") && said.contains(says), "{said}");
    }
}

/// That of this thread, as proc(5) has it: 20 where nobody was nice.
fn priority() -> i32 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    // The first is field 3, the priority field 18.
    fields[15].parse().unwrap()
}

#[test]
fn argcount_counts_fields_of_tracepoints() {
    private_tracefs();
    let traced =
        values(&["t:sched:sched_switch", "prev_comm", "prev_prio", "--where", "prev_pid > 0"], || {
            (0..9).for_each(|_| std::thread::sleep(std::time::Duration::from_millis(3)));
        });
    let ours: u64 = traced.values().iter().map(|one| one.count).sum();
    assert!(ours >= 9, "{:?}", traced.rows());
    let expected = format!("\"argworker\" {}: ", 100 + priority());
    assert!(traced.rows().iter().all(|row| row.starts_with(&expected)), "{:?}", traced.rows());
    let (status, said) = refused_trace(&["argcount", "t:sched:sched_switch", "prev_com"]);
    assert!(status == Some(2) && said.contains("did you mean prev_comm"), "{said}");
    let (status, said) = refused_trace(&["argcount", "t:sched:sched_switch", "$ret"]);
    assert!(status == Some(2) && said.contains("a tracepoint does not return"), "{said}");
}
