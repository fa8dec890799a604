//! Charts of made-up recordings.

use hostdiag_model::Histogram;
use hostdiag_model::histogram::Resolution;
use hostdiag_model::trace::{Attach, Function, Head, Latency, Mechanism, Reason, Window};
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

#[test]
fn nothing_makes_no_chart() {
    let none = trace(&[], Vec::new());
    assert_eq!(svg(&recording(&none), &none), None);
    let empty = trace(&["f"], vec![Payload::Counts(Vec::new()), Payload::Counts(Vec::new())]);
    assert!(chart(&empty).contains("0 calls of 0 functions"));
}
