//! What holds for every comparison, and recordings to compare.

use proptest::prelude::*;

use super::*;
use crate::histogram::{Histogram, Resolution};
use crate::recording::{Data, Recording};
use crate::stacks::{Frame, Part, Stack, StackCounts, StackKey, StackTable, Symbol};
use crate::trace::{
    Accounting, Arguments, Attach, Column, Form, Function, Head, Latency, Mechanism, Payload, Reason, Trace,
    Value, ValueCount, ValueKey, Window,
};

/// Random numbers by a fixed rule (SplitMix64).
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d).wrapping_add(1))
    }

    /// Evenly from 0 to 1.
    fn even(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ bits >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Normally, with mean 0 and variance 1 (Box and Muller).
    fn normal(&mut self) -> f64 {
        let (one, other) = (self.even().max(1e-300), self.even());
        (-2.0 * one.ln()).sqrt() * (2.0 * std::f64::consts::PI * other).cos()
    }

    /// A factor for each second: neighbours are alike, a run as a whole is off by 5 %.
    fn windows(&mut self, seconds: usize) -> Vec<f64> {
        let run = 0.05 * self.normal();
        let mut state = self.normal();
        let mut next = || {
            state = 0.5 * state + 0.75_f64.sqrt() * self.normal();
            (run + 0.08 * state).exp()
        };
        (0..seconds).map(|_| next()).collect()
    }
}

fn function(name: &str) -> Function {
    Function { name: name.into(), ..Function::default() }
}

pub(super) fn recording(functions: &[&str], stacks: StackTable, payloads: Vec<Payload>) -> Recording {
    let functions = functions.iter().map(|name| function(name)).collect();
    let attach = vec![Attach { mechanism: Mechanism::Fentry, reason: Reason::Few, functions }];
    let window =
        |(at, payload): (u64, Payload)| Window { start_ms: at * 1000, end_ms: (at + 1) * 1000, payload };
    let trace = Trace {
        head: Head { attach, ..Head::default() },
        stacks,
        windows: (0..).zip(payloads).map(window).collect(),
        accounting: Some(Accounting::default()),
        overhead: None,
    };
    Recording {
        tool: "0".into(),
        command: "test".into(),
        host: Host::default(),
        started_ms: 0,
        elapsed_ms: Some(0),
        side: None,
        loss: Vec::new(),
        data: Data::Trace(Box::new(trace)),
    }
}

pub(super) fn source(recording: Recording) -> Source<'static> {
    Source { name: "x".into(), what: What::Recording(Box::new(recording)) }
}

/// 30 s of calls that take a millisecond, more or less.
pub(super) fn latency(noise: &mut Noise, factor: f64) -> Recording {
    let windows = noise.windows(30);
    let payload = |window: f64| {
        let mut counts = vec![0; Resolution::FINEST.slots() as usize];
        let mut sum = 0;
        for _ in 0..120 {
            let value = (1e6 * factor * window * (0.8 * noise.normal()).exp()) as u64;
            counts[Resolution::FINEST.slot(value) as usize] += 1;
            sum += value;
        }
        let histogram = Histogram::from_counts(Resolution::FINEST, &counts, sum).unwrap();
        Payload::Latency(vec![Latency { function: Some(0), group: None, histogram }])
    };
    let payloads = windows.into_iter().map(payload).collect();
    recording(&["do_sendfile"], StackTable::new(), payloads)
}

/// 30 s of a thousand calls each, whose variance is several times their mean.
pub(super) fn counts(noise: &mut Noise, factor: f64) -> Recording {
    let windows = noise.windows(30);
    let payload = |window: f64| {
        let mean = 1000.0 * factor * window;
        Payload::Counts(vec![(0, (mean + mean.sqrt() * noise.normal()).max(0.0) as u64)])
    };
    let payloads = windows.into_iter().map(payload).collect();
    recording(&["mod_timer"], StackTable::new(), payloads)
}

/// Calls of three hundred stacks of ten frames: each of those is off by 15 % in each run.
pub(super) fn stacks(noise: &mut Noise, factor: f64) -> Recording {
    some_stacks(noise, |_| factor)
}

/// The same where one in four of what the outermost function calls is changed.
pub(super) fn quarter(noise: &mut Noise, factor: f64) -> Recording {
    some_stacks(noise, |path| if path % 31 < 8 { factor } else { 1.0 })
}

fn some_stacks(noise: &mut Noise, factor: impl Fn(u32) -> f64) -> Recording {
    let paths = (0..300).map(|path: u32| {
        let names: Vec<String> =
            (0..10).map(|depth| format!("f{}_{depth}", path % (1 + depth * 30))).collect();
        let usual = 5.0 * factor(path) * f64::from(1 + path % 17) * (0.15 * noise.normal()).exp();
        (names, (usual + usual.sqrt() * noise.normal()).max(0.0) as u64)
    });
    of_paths(&paths.collect::<Vec<_>>())
}

pub(super) fn of_paths(paths: &[(Vec<String>, u64)]) -> Recording {
    let mut table = StackTable::new();
    let mut counts = StackCounts::new();
    for (names, count) in paths {
        let frame = |name: &String| {
            let symbol = Symbol::Name(name.as_str().into());
            table.add_frame(Frame { address: 0, symbol, offset: None, module: None, inlined: false })
        };
        let frames = names.iter().rev().map(frame).collect();
        let stack = table.add_stack(Stack { kernel: Some(Part { frames, gap: None }), user: None });
        counts.add(StackKey { stack, function: None, pid: None, comm: None }, *count);
    }
    recording(&["f"], table, vec![Payload::Stacks(counts)])
}

fn paths() -> impl Strategy<Value = Vec<(Vec<String>, u64)>> {
    let names = prop::collection::vec("[abc]", 1..5);
    prop::collection::vec((names, 0_u64..200), 1..12)
}

fn functions() -> impl Strategy<Value = Recording> {
    let counts = prop::collection::btree_map(0_u32..3, 1_u64..5000, 0..3);
    prop::collection::vec(counts, 1..8).prop_map(|windows| {
        let payload =
            |counts: std::collections::BTreeMap<u32, u64>| Payload::Counts(counts.into_iter().collect());
        recording(&["a", "b", "c"], StackTable::new(), windows.into_iter().map(payload).collect())
    })
}

fn durations() -> impl Strategy<Value = Recording> {
    let values = prop::collection::vec(1_u64..1 << 30, 0..200);
    prop::collection::vec(values, 1..6).prop_map(|windows| {
        let payload = |values: Vec<u64>| {
            let mut histogram = Histogram::new(Resolution::FINEST);
            values.iter().for_each(|value| histogram.add(*value, 1));
            Payload::Latency(vec![Latency { function: Some(0), group: None, histogram }])
        };
        recording(&["a"], StackTable::new(), windows.into_iter().map(payload).collect())
    })
}

fn calls() -> impl Strategy<Value = Recording> {
    let counts = prop::collection::btree_map("[a-d]{1,2}", 1_u64..5000, 0..9);
    prop::collection::vec(counts, 1..8).prop_map(|windows| {
        let count = |(text, count)| {
            let values = vec![Value::Text(text)];
            ValueCount { key: ValueKey { function: None, comm: None, values }, count }
        };
        let payload = |counts: std::collections::BTreeMap<String, u64>| {
            Payload::Values(counts.into_iter().map(count).collect())
        };
        let mut recording = recording(&["f"], StackTable::new(), windows.into_iter().map(payload).collect());
        if let Data::Trace(trace) = &mut recording.data {
            trace.head.asked.arguments = Some(Arguments::default());
        }
        recording
    })
}

fn any() -> impl Strategy<Value = (Recording, Recording)> {
    prop_oneof![
        (functions(), functions()),
        (durations(), durations()),
        (calls(), calls()),
        (paths(), paths()).prop_map(|(a, b)| (of_paths(&a), of_paths(&b))),
    ]
}

fn diff(a: &Recording, b: &Recording) -> Comparison {
    compare(vec![source(a.clone())], vec![source(b.clone())], How::default()).unwrap()
}

/// Verdicts and ratios of every row, those of the other direction turned round.
fn rows(changes: &Changes, turned: bool) -> Vec<(String, Option<i64>, Verdict)> {
    let row = |name: &str, ratio: Option<f64>, verdict: Verdict| {
        let log = ratio.map(|ratio| (ratio.ln() * 1e6).round() as i64);
        let turn = |log: i64| if turned { -log } else { log };
        (name.to_owned(), log.map(turn), if turned { verdict.mirrored() } else { verdict })
    };
    let mut rows: Vec<_> = match changes {
        Changes::Counts(counts) => {
            counts.rows.iter().map(|one| row(&one.name, one.change.ratio, one.change.verdict)).collect()
        }
        Changes::Latency(latency) => latency
            .rows
            .iter()
            .flat_map(|one| &one.quantiles)
            .filter_map(|one| Some(row(&one.hundredths.to_string(), one.change?.ratio, one.change?.verdict)))
            .collect(),
        Changes::Stacks(stacks) => {
            stacks.frames.iter().map(|one| row(&one.name, one.change.ratio, one.change.verdict)).collect()
        }
        Changes::Values(values) => values
            .rows
            .iter()
            .map(|one| row(&format!("{:?}", one.values), one.change.ratio, one.change.verdict))
            .collect(),
        Changes::Distribution(_) | Changes::Offload(_) => Vec::new(),
    };
    rows.sort();
    rows
}

proptest! {
    #[test]
    fn the_same_is_the_same((recording, _) in any()) {
        let comparison = diff(&recording, &recording);
        prop_assert!(comparison.changes.is_empty());
        let empty = comparison.doubts.iter().any(Doubt::invalidates);
        prop_assert_eq!(comparison.verdict, if empty { Verdict::Invalid } else { Verdict::Same });
    }

    #[test]
    fn the_other_direction_is_the_mirror((a, b) in any()) {
        let (there, back) = (diff(&a, &b), diff(&b, &a));
        prop_assert_eq!(there.verdict, back.verdict.mirrored());
        prop_assert_eq!(rows(&there.changes, false), rows(&back.changes, true));
        if let (Changes::Stacks(there), Changes::Stacks(back)) = (&there.changes, &back.changes) {
            let frames = |paths: &stacks::Paths| paths.paths.iter().map(|path| path.frames.clone()).collect::<Vec<_>>();
            prop_assert_eq!(frames(&there.new), frames(&back.gone));
            prop_assert_eq!(frames(&there.gone), frames(&back.new));
            prop_assert_eq!(there.most.as_ref().map(|path| &path.frames), back.most.as_ref().map(|path| &path.frames));
        }
    }

    #[test]
    fn sums_are_kept_and_no_stack_is_lost(a in paths(), b in paths()) {
        let comparison = diff(&of_paths(&a), &of_paths(&b));
        let Changes::Stacks(stacks) = comparison.changes else { panic!("no stacks") };
        let sum = |paths: &[(Vec<String>, u64)]| paths.iter().map(|(_, count)| count).sum::<u64>();
        prop_assert_eq!(stacks.total.counts, [sum(&a), sum(&b)]);
        let own: [u64; 2] = (0..stacks.tree.len() as u32).map(|node| stacks.tree.own(node)).fold(
            [0; 2],
            |sum, own| [sum[0] + own[0], sum[1] + own[1]],
        );
        prop_assert_eq!(own, [sum(&a), sum(&b)]);
        // What a side has alone is in its paths, to the last count.
        let prefixes = |paths: &[(Vec<String>, u64)]| -> std::collections::BTreeSet<Vec<String>> {
            let seen = paths.iter().filter(|(_, count)| *count > 0);
            seen.flat_map(|(names, _)| (1..=names.len()).map(|end| names[..end].to_vec())).collect()
        };
        let (of_a, of_b) = (prefixes(&a), prefixes(&b));
        let only = |paths: &[(Vec<String>, u64)], other: &std::collections::BTreeSet<Vec<String>>| {
            paths.iter().filter(|(names, count)| *count > 0 && !other.contains(names)).map(|(_, count)| count).sum::<u64>()
        };
        let told = |paths: &stacks::Paths| paths.paths.iter().map(|path| path.amount.counts.iter().sum::<u64>()).sum::<u64>();
        prop_assert_eq!(told(&stacks.gone), only(&a, &of_b));
        prop_assert_eq!(told(&stacks.new), only(&b, &of_a));
    }

    #[test]
    fn recordings_of_a_side_add_up_in_any_order(a in paths(), b in paths(), c in paths()) {
        let all = |order: [&Vec<(Vec<String>, u64)>; 2]| {
            let b = order.map(|paths| source(of_paths(paths)));
            let Changes::Stacks(stacks) = compare(vec![source(of_paths(&a))], b.into(), How::default()).unwrap().changes
            else { panic!("no stacks") };
            let amounts = stacks.frames.iter().map(|row| (row.name.clone(), row.total.counts)).collect::<Vec<_>>();
            (amounts, stacks.new.clone(), stacks.gone.clone())
        };
        prop_assert_eq!(all([&b, &c]), all([&c, &b]));
    }

    #[test]
    fn text_reads_as_recordings_do(a in paths()) {
        let text: String = a.iter().map(|(names, count)| format!("{} {count}\n", names.join(";"))).collect();
        let folded = Source { name: "x".into(), what: What::Stacks(Box::new(text.as_bytes())) };
        let how = How { share: true, ..How::default() };
        let comparison = compare(vec![source(of_paths(&a))], vec![folded], how).unwrap();
        prop_assert!(comparison.changes.is_empty());
    }
}

#[test]
fn different_kinds_are_refused() {
    let counts = counts(&mut Noise::new(1), 1.0);
    let latency = latency(&mut Noise::new(1), 1.0);
    let found = compare(vec![source(counts)], vec![source(latency)], How::default());
    assert!(matches!(found, Err(Refusal::Kinds([(_, Kind::Counts), (_, Kind::Latency)]))));
}

/// A recording of calls by a number that kernels name.
fn of_enum(number: u64, names: &[(i64, &str)], expression: &str) -> Recording {
    let count = |number, count| {
        let key = ValueKey { function: None, comm: None, values: vec![Value::Unsigned(number)] };
        ValueCount { key, count }
    };
    let window = Payload::Values(vec![count(number, 500), count(99, 700)]);
    let mut recording = recording(&["f"], StackTable::new(), vec![window; 30]);
    if let Data::Trace(trace) = &mut recording.data {
        let form = Form::Enum(names.iter().map(|(number, name)| (*number, (*name).to_owned())).collect());
        let columns = vec![Column { expression: expression.into(), form }];
        trace.head.asked.arguments = Some(Arguments { columns, ..Arguments::default() });
    }
    recording
}

#[test]
fn numbers_are_compared_by_their_names() {
    let a = of_enum(1, &[(1, "TCP_ESTABLISHED")], "state");
    let b = of_enum(7, &[(7, "TCP_ESTABLISHED")], "state");
    let Changes::Values(values) = diff(&a, &b).changes else { panic!("no values") };
    assert_eq!(values.rows.len(), 2);
    let rows: Vec<_> = values.rows.iter().map(|row| (&row.values[0], row.change.verdict)).collect();
    let name = Value::Text("TCP_ESTABLISHED".into());
    assert!(rows.contains(&(&name, Verdict::Same)), "{rows:?}");
}

#[test]
fn other_values_are_refused() {
    let sides = ["state", "size"].map(|of| vec![source(of_enum(1, &[], of))]);
    let [a, b] = sides;
    let found = compare(a, b, How::default());
    assert!(matches!(&found, Err(Refusal::Questions([a, b])) if a == "state" && b == "size"), "{found:?}");
}

#[test]
fn what_was_lost_invalidates() {
    let whole = counts(&mut Noise::new(1), 1.0);
    let mut lossy = whole.clone();
    if let Data::Trace(trace) = &mut lossy.data {
        trace.accounting = Some(Accounting { link_missed: Some(5000), ..Accounting::default() });
    }
    let comparison = diff(&whole, &lossy);
    assert_eq!(comparison.verdict, Verdict::Invalid);
    assert_eq!(comparison.doubts, [Doubt::Lost(Which::B)]);
}
