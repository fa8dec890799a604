//! Charts of made-up recordings.

use hostdiag_model::Histogram;
use hostdiag_model::histogram::Resolution;
use hostdiag_model::trace::{
    Arguments, Asked, Attach, Column, Function, Group, Head, Latency, Mechanism, Owner, Reason, Timer,
    TimerCount, TimerKind, Value, ValueCount, ValueKey, Window,
};
use hostdiag_model::{Data, Host};

use super::*;

fn trace(functions: &[&str], windows: Vec<Payload>) -> Trace {
    let function = |name: &&str| Function { name: (*name).into(), ..Function::default() };
    let functions = functions.iter().map(function).collect();
    let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
    let window =
        |(second, payload)| Window { start_ms: second * 1000, end_ms: second * 1000 + 1000, payload };
    let windows = (0_u64..).zip(windows).map(window).collect();
    Trace { head: Head { attach, ..Head::default() }, windows, ..Trace::default() }
}

fn recording(trace: &Trace) -> Recording {
    Recording {
        tool: String::new(),
        command: "funccount".into(),
        host: Host { name: "web<17>".into(), ..Host::default() },
        started_ms: 0,
        elapsed_ms: None,
        side: None,
        loss: Vec::new(),
        data: Data::Trace(Box::new(trace.clone())),
    }
}

fn chart(trace: &Trace) -> String {
    svg(&recording(trace), trace).unwrap()
}

#[test]
fn rates_have_a_line_for_each_function_and_one_for_the_rest() {
    let names: Vec<String> = (0..10).map(|number| format!("function_{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let counts =
        |base: u64| Payload::Counts((0..10).map(|index| (index, base * u64::from(index + 1))).collect());
    let text = chart(&trace(&names, vec![counts(100), counts(300)]));
    assert_eq!(text.matches("<polyline class=\"line s").count(), 8 * 2, "{text}");
    assert!(text.contains("<title>function_9: 4000 calls, 2k a second</title>"), "{text}");
    assert!(text.contains(">3 other functions<") && text.contains("calls a second"), "{text}");
    assert!(text.contains("funccount of web&lt;17&gt;") && !text.contains("<17>"), "{text}");
}

#[test]
fn the_same_recording_makes_the_same_chart_whatever_its_names() {
    let hostile = trace(&["<script>\u{202e}\"&'"], vec![Payload::Counts(vec![(0, 7)])]);
    let text = chart(&hostile);
    assert_eq!(text, chart(&hostile));
    assert!(text.contains("&lt;script&gt;&quot;&amp;&#39;: 7 calls"), "{text}");
    assert!(!text.contains("<script") && !text.contains('\u{202e}'));
}

fn durations(list: &[u64]) -> Payload {
    let mut histogram = Histogram::new(Resolution::FINEST);
    list.iter().for_each(|ns| histogram.add(*ns, 1));
    Payload::Latency(vec![Latency { function: None, group: None, histogram }])
}

#[test]
fn durations_are_spread_and_go_over_time() {
    let text = chart(&trace(&["f"], vec![durations(&[1000, 2000, 5_000_000]), durations(&[70_000])]));
    assert!(
        text.contains("<title>all calls: 4 calls, p50 2.0 us, p90 5.0 ms, p99 5.0 ms, mean 1.3 ms</title>"),
        "{text}"
    );
    assert!(text.contains("<title>p50: 2.0 us to 70 us</title>"), "{text}");
    for label in ["1 us", "10 us", "100 us", "1 ms"] {
        assert!(text.contains(&format!(">{label}</text>")), "{label}: {text}");
    }
    let one = chart(&trace(&["f"], vec![durations(&[1000])]));
    assert!(!one.contains("Duration over time"), "there is no more than one window");
}

#[test]
fn every_line_of_the_distribution_begins_and_ends_at_nothing() {
    let trace = trace(&["f"], vec![durations(&[0, 1000, u64::MAX])]);
    let [chart] = &latency::charts(&trace)[..] else { panic!("one chart") };
    let points = &chart.series[0].points;
    assert_eq!((points[0].1, points[points.len() - 1].1), (0.0, 0.0));
    assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{points:?}");
}

fn histogram(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::new(Resolution::FINEST);
    values.iter().for_each(|value| histogram.add(*value, 1));
    histogram
}

fn timer(name: &str, started: u64, late: Option<&[u64]>) -> TimerCount {
    let function = |name: &str| Function { name: name.into(), ..Function::default() };
    TimerCount {
        timer: Some(Timer {
            kind: TimerKind::Timer,
            function: function("delayed_work_timer_fn"),
            owner: Some(Owner::Work(function(name))),
            group: Some(Group::Cpu(3)),
        }),
        started,
        removed: 0,
        expired: 0,
        rearmed: 0,
        delay: histogram(&[4_000_000]),
        late: late.map(histogram),
        run: late.map(histogram),
        stacks: None,
    }
}

#[test]
fn timers_are_counted_over_time_and_by_delay() {
    let windows = vec![
        Payload::Timers(vec![timer("often", 30, None), timer("rare", 1, None)]),
        Payload::Timers(vec![timer("often", 10, None)]),
    ];
    let text = chart(&trace(&[], windows));
    assert!(text.contains("<title>often  CPU 3: 40 starts, 20 a second</title>"), "{text}");
    assert!(text.contains("41 starts of 2 timers over time; most by often  CPU 3"), "{text}");
    assert!(text.contains("<title>often  CPU 3: 2 timers, p50 4.0 ms"), "{text}");
    assert!(text.contains(">Timers by delay</text>") && !text.contains("lateness"), "{text}");
    assert!(text.find("often  CPU 3<title>") < text.find("rare  CPU 3<title>"), "the most frequent is first");
}

#[test]
fn of_timers_that_expire_lateness_and_run_time_are_charted_too() {
    let one = || Payload::Timers(vec![timer("a", 9, Some(&[50_000])), timer("b", 1, Some(&[7, 900_000]))]);
    let titles = |windows: Vec<Payload>| {
        timers::charts(&trace(&[], windows)).into_iter().map(|chart| chart.title).collect::<Vec<_>>()
    };
    let [starts, delay, late, over_time, run] = [
        "Timer starts a second",
        "Timers by delay",
        "Timers by lateness",
        "Lateness over time",
        "Handlers by run time",
    ];
    assert_eq!(titles(vec![one()]), [starts, delay, late, run]);
    assert_eq!(titles(vec![one(), one()]), [starts, delay, late, over_time, run]);
    assert_eq!(titles(vec![Payload::Timers(Vec::new())]), [starts]);
    let charts = timers::charts(&trace(&[], vec![one()]));
    assert_eq!(charts[2].series[0].name, "b  CPU 3", "what was late longest in all is first");
}

/// Of calls of `f` with these expressions.
fn arguments(expressions: &[&str], windows: Vec<Payload>) -> Trace {
    let column = |text: &&str| Column { expression: (*text).into(), ..Column::default() };
    let columns = expressions.iter().map(column).collect();
    let mut trace = trace(&["f"], windows);
    trace.head.asked =
        Asked { arguments: Some(Arguments { columns, ..Arguments::default() }), ..Asked::default() };
    trace
}

#[test]
fn values_are_charted_by_number_or_over_time() {
    let list = Latency { function: None, group: None, histogram: histogram(&[0, 4096, 4096, 65_536]) };
    let windows = vec![Payload::Distribution(vec![list.clone()]), Payload::Distribution(vec![list])];
    let text = chart(&arguments(&["skb->len"], windows));
    assert!(text.contains(">Calls by skb-&gt;len</text>"), "{text}");
    assert!(text.contains("<title>all calls: 8 calls, p50 4223, p90 65536"), "{text}");
    assert!(text.contains(">10k</text>") && text.contains(">skb-&gt;len over time</text>"), "{text}");

    let seen = |values: &[u64], count| ValueCount {
        key: ValueKey {
            function: None,
            comm: None,
            values: values.iter().map(|value| Value::Unsigned(*value)).collect(),
        },
        count,
    };
    let text = chart(&arguments(&["size"], vec![Payload::Values(vec![seen(&[81], 3), seen(&[4096], 5)])]));
    assert!(text.contains("<title>size 4096: 5 calls, 5 a second</title>"), "{text}");
    let text = chart(&arguments(&["a", "b"], vec![Payload::Values(vec![seen(&[1, 2], 3)])]));
    assert!(text.contains("<title>1  2: 3 calls, 3 a second</title>"), "{text}");
}

#[test]
fn nothing_makes_no_chart() {
    let none = trace(&[], Vec::new());
    assert_eq!(svg(&recording(&none), &none), None);
    let empty = trace(&["f"], vec![Payload::Counts(Vec::new()), Payload::Counts(Vec::new())]);
    assert!(chart(&empty).contains("0 calls of 0 functions"));
}
