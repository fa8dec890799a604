use hostdiag_model::histogram::Resolution;
use hostdiag_model::stacks::{Frame, Part, Stack, StackCounts, StackKey, Symbol};
use hostdiag_model::trace::{Asked, Function, TimerKind};

use super::*;

fn row(function: &str, owner: Option<Owner>, [started, expired, rearmed, cancelled]: [u64; 4]) -> TimerCount {
    let function = Function { name: function.into(), ..Function::default() };
    let histogram = |value, count| {
        let mut histogram = Histogram::new(Resolution::FINEST);
        histogram.add(value, count);
        histogram
    };
    TimerCount {
        timer: Some(Timer { kind: TimerKind::Timer, function, owner, group: None }),
        started,
        removed: expired + rearmed + cancelled,
        expired,
        rearmed,
        delay: histogram(204_000_000, started),
        late: Some(histogram(1_900_000, expired)),
        run: Some(histogram(870, expired)),
        stacks: None,
    }
}

fn rows() -> Vec<TimerCount> {
    let work = Owner::Work(Function { name: "vmstat_update".into(), ..Function::default() });
    let process = Owner::Process("java".into());
    vec![
        row("tcp_write_timer", None, [1_983_978, 4, 1_983_900, 60]),
        row("delayed_work_timer_fn", Some(work), [12, 12, 0, 0]),
        row("process_timeout", Some(process), [4622, 22, 0, 4600]),
    ]
}

fn head(timers: AskedTimers, top: Option<u32>) -> Head {
    Head { asked: Asked { timers: Some(timers), top, ..Asked::default() }, ..Head::default() }
}

#[test]
fn the_table_is_that_of_the_article_and_what_became_of_them() {
    let expected = "    COUNT    RATE/s  EXPIRED RE-ARMED CANCELLED  DELAY  FUNCTION               OWNER
       12       1.2       12        0         0 204 ms  delayed_work_timer_fn  vmstat_update
     4622     462.2       22        0      4600 204 ms  process_timeout        java
  1983978  198397.8        4  1983900        60 204 ms  tcp_write_timer
";
    let text = block(&head(AskedTimers::default(), None), &StackTable::new(), &rows(), 10_000);
    assert_eq!(text, expected);
    assert!(text.lines().all(|line| line.len() <= 100));
}

#[test]
fn the_largest_remain() {
    let text = block(&head(AskedTimers::default(), Some(1)), &StackTable::new(), &rows(), 10_000);
    assert_eq!(text.lines().count(), 2);
    // No owner, no column.
    assert!(text.ends_with("tcp_write_timer\n") && !text.contains("OWNER"), "{text}");
}

#[test]
fn delays_without_end_are_shown_as_such() {
    let mut row = row("tcp_keepalive_timer", None, [1, 0, 0, 0]);
    row.delay = Histogram::new(Resolution::FINEST);
    row.delay.add(1 << 40, 1);
    let text = block(&head(AskedTimers::default(), None), &StackTable::new(), &[row], 1000);
    assert!(text.contains(" >=1100 s  tcp_keepalive_timer"), "{text}");
}

#[test]
fn expiry_has_a_table_of_its_own() {
    let asked = AskedTimers { expiry: true, ..AskedTimers::default() };
    let expected = "    COUNT  EXPIRED LATE p50    p99    max RUN p50    p99    max  FUNCTION
  1983978        4   1.9 ms 1.9 ms 1.9 ms  870 ns 870 ns 870 ns  tcp_write_timer
";
    assert_eq!(block(&head(asked, Some(1)), &StackTable::new(), &rows(), 10_000), expected);
}

#[test]
fn rows_apart_say_by_what() {
    let asked = AskedTimers { by: Some(By::Comm), ..AskedTimers::default() };
    let mut rows = rows();
    rows.truncate(1);
    rows[0].timer.as_mut().unwrap().group = Some(Group::Comm("cu\x1brl".into()));
    rows.push(TimerCount { timer: None, ..row("", None, [1, 0, 0, 0]) });
    let text = block(&head(asked, None), &StackTable::new(), &rows, 1000);
    let ends: Vec<&str> = text.lines().map(|line| line.split_at(54).1).collect();
    assert_eq!(ends, ["  COMM  FUNCTION", "        (all others)", "  curl  tcp_write_timer"], "{text}");
}

#[test]
fn each_row_has_its_histograms() {
    let asked = AskedTimers { histograms: true, ..AskedTimers::default() };
    let text = block(&head(asked, None), &StackTable::new(), &rows()[2..], 1000);
    assert!(text.contains("\n\ndelay of process_timeout  java\n     msecs"), "{text}");
    assert!(text.contains("\nlate of process_timeout") && text.contains("n 4622\n"), "{text}");
}

#[test]
fn each_row_has_the_stacks_that_started_it() {
    let mut table = StackTable::new();
    let mut part = |names: &[&str]| {
        let frame = |name: &&str| Frame {
            address: name.len() as u64,
            symbol: Symbol::Name((*name).into()),
            offset: Some(1),
            module: None,
            inlined: false,
        };
        Part { frames: names.iter().map(|name| table.add_frame(frame(name))).collect(), gap: None }
    };
    let long = ["__mod_timer", "sk_reset_timer", "tcp_write_xmit", "__tcp_push_pending_frames"];
    let long = [&long[..], &["tcp_sendmsg_locked", "tcp_sendmsg", "sock_sendmsg"]].concat();
    let kernel = [part(&long), part(&["__mod_timer", "tcp_rearm_rto"]), part(&["add_timer_on"])];
    let user = [part(&["send", "main"]), Part::default(), Part::default()];
    let mut counts = StackCounts::new();
    for ((kernel, user), count) in kernel.into_iter().zip(user).zip([7, 1, 2]) {
        let stack = table.add_stack(Stack { kernel: Some(kernel), user: Some(user) });
        counts.add(StackKey { stack, function: None, pid: None, comm: None }, count);
    }
    let asked = AskedTimers { start_stacks: true, ..AskedTimers::default() };
    let mut rows = rows();
    rows[0].stacks = Some(counts);
    let all = "
starts of tcp_write_timer
        1  __mod_timer < tcp_rearm_rto
        2  add_timer_on
        7  __mod_timer < sk_reset_timer < tcp_write_xmit < __tcp_push_pending_frames
           < tcp_sendmsg_locked < tcp_sendmsg < sock_sendmsg
           send < main
";
    let text = block(&head(asked, None), &table, &rows, 1000);
    assert!(text.ends_with(&format!("tcp_write_timer\n{all}")), "{text}");
    let text = block(&head(asked, Some(1)), &table, &rows, 1000);
    assert!(text.contains("timer\n        3  2 other stacks\n        7  __mod_timer"), "{text}");
}
