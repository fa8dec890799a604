//! Calls by function, starts by timer: ratios of rates.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::judge::{self, ASSUMED_DISPERSION, Change, Finding, RUN_DEVIATION};
use super::stats::{self, Estimate, Variance};
use super::{Changes, Doubt, How, Refusal, Which, names};
use crate::trace::timers::{Owner, Timer};
use crate::trace::{Function, Payload, Trace};

/// Smaller changes of a rate do not matter.
const MARGIN: f64 = 0.15;
/// Nor these, where one recording a side has to show them.
const MARGIN_OF_ONE: f64 = 0.25;

/// Every function that was traced on both sides and called on one.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// By how much the rate changed, the largest first.
    pub rows: Vec<Row>,
    /// How many functions are spelt otherwise on the other side.
    pub renamed: usize,
}

/// One function.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name, as it is compared.
    pub name: String,
    /// The kernel module or the program or library that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// On A.
    pub a: Rate,
    /// On B.
    pub b: Rate,
    /// How the rate changed.
    pub change: Change,
}

/// How often, in all and by second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Rate {
    /// In all recordings of the side.
    pub count: u64,
    /// By second, or by unit of work.
    pub rate: f64,
}

/// A function, as it is found again on another host.
pub(super) type Key = (String, Option<String>);

/// Of a recording: the length of its windows, and what was counted of each thing in
/// which of them.
pub(super) struct Recorded<K> {
    seconds: Vec<f64>,
    counts: BTreeMap<K, BTreeMap<usize, u64>>,
}

/// A thing with its rates, and what follows.
pub(super) struct Judged<K> {
    pub(super) key: K,
    pub(super) a: Rate,
    pub(super) b: Rate,
    pub(super) change: Change,
}

/// Of a function on one side.
struct Samples {
    count: u64,
    /// Seconds, times the work done in one.
    work: f64,
    /// Counts and work of each recording.
    recordings: Vec<(u64, f64)>,
    /// How far windows are off the common rate: squares over what was expected.
    squares: f64,
    windows: usize,
}

/// The name by which a function is found again: those of programs and events are
/// not the kernel's to rename.
pub(super) fn key(function: &Function) -> Key {
    let kernel = !function.is_of_program();
    let name = if kernel { names::canonical(&function.name).into_owned() } else { function.name.clone() };
    (name, function.module.clone())
}

/// What a timer calls, and for whom; by whom it was started is another's on each host.
fn timer_key(timer: &Timer) -> Key {
    let (name, module) = key(&timer.function);
    let owner = match &timer.owner {
        Some(Owner::Work(function)) => key(function).0,
        Some(Owner::Process(name)) => name.clone(),
        None => return (name, module),
    };
    (format!("{name} {owner}"), module)
}

fn timers(trace: &Trace) -> impl Iterator<Item = &Timer> {
    let lists = trace.windows.iter().map(|window| match &window.payload {
        Payload::Timers(list) => list.as_slice(),
        _ => &[],
    });
    lists.flatten().filter_map(|count| count.timer.as_ref())
}

/// Functions that both sides traced, as they are spelt on each; and those of one
/// side alone.
pub(super) fn common(sides: [&[&Trace]; 2]) -> (BTreeMap<Key, [BTreeSet<String>; 2]>, Vec<Doubt>) {
    let mut all: BTreeMap<Key, [BTreeSet<String>; 2]> = BTreeMap::new();
    for (side, traces) in sides.into_iter().enumerate() {
        for function in traces.iter().flat_map(|trace| trace.head.functions()) {
            all.entry(key(function)).or_default()[side].insert(function.name.clone());
        }
    }
    // All timers are looked at: where there is none, nobody has started it.
    for timer in sides.into_iter().flatten().flat_map(|trace| timers(trace)) {
        let (name, module) = timer_key(timer);
        all.insert((name.clone(), module), [BTreeSet::from([name.clone()]), BTreeSet::from([name])]);
    }
    let alone = |which, other: usize| {
        let names: Vec<String> =
            all.iter().filter(|(_, spelt)| spelt[other].is_empty()).map(|(key, _)| key.0.clone()).collect();
        (!names.is_empty()).then_some(Doubt::Alone(which, names))
    };
    let doubts = alone(Which::A, 1).into_iter().chain(alone(Which::B, 0)).collect();
    all.retain(|_, spelt| spelt.iter().all(|names| !names.is_empty()));
    (all, doubts)
}

/// How many of them share no spelling.
pub(super) fn renamed(common: &BTreeMap<Key, [BTreeSet<String>; 2]>) -> usize {
    common.values().filter(|[a, b]| a.is_disjoint(b)).count()
}

/// Compares both sides; the second value names what only one side traced.
pub(super) fn compare(sides: [&[&Trace]; 2], how: How) -> Result<(Changes, Vec<Doubt>), Refusal> {
    let (common, doubts) = common(sides);
    if common.is_empty() {
        return Err(Refusal::NoneInCommon);
    }
    let recorded = sides.map(|side| side.iter().map(|trace| of_functions(trace)).collect::<Vec<_>>());
    let row = |Judged { key: (name, module), a, b, change }| Row { name, module, a, b, change };
    let rows = judged(common.keys(), &recorded, how).into_iter().map(row).collect();
    Ok((Changes::Counts(Counts { rows, renamed: renamed(&common) }), doubts))
}

/// Judges the rates of things together; those that changed most come first, and those
/// that were never counted are left out.
pub(super) fn judged<'a, K: Ord + Clone + 'a>(
    keys: impl IntoIterator<Item = &'a K>,
    recorded: &[Vec<Recorded<K>>; 2],
    how: How,
) -> Vec<Judged<K>> {
    let repeated = recorded.iter().all(|side| side.len() > 1);
    let work = [how.work_on(Which::A), how.work_on(Which::B)];
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    for key in keys {
        let sums = [Samples::of(&recorded[0], key, work[0]), Samples::of(&recorded[1], key, work[1])];
        if sums.iter().any(|samples| samples.count > 0) {
            findings.push(finding(&sums, repeated));
            rows.push((key, sums.map(|samples| Rate { count: samples.count, rate: samples.rate() })));
        }
    }
    let changes = judge::judge(&findings, repeated);
    let mut rows: Vec<Judged<K>> = rows
        .into_iter()
        .zip(changes)
        .map(|((key, [a, b]), change)| Judged { key: key.clone(), a, b, change })
        .collect();
    let moved = |row: &Judged<K>| (row.b.rate - row.a.rate).abs();
    rows.sort_by(|one, other| moved(other).total_cmp(&moved(one)).then_with(|| one.key.cmp(&other.key)));
    rows
}

impl<K: Ord> Recorded<K> {
    /// `counted`: the place of a window, and a count in it.
    pub(super) fn of(trace: &Trace, counted: impl IntoIterator<Item = (usize, K, u64)>) -> Self {
        let mut counts: BTreeMap<K, BTreeMap<usize, u64>> = BTreeMap::new();
        for (window, key, count) in counted {
            let sum = counts.entry(key).or_default().entry(window).or_default();
            *sum = sum.saturating_add(count);
        }
        let seconds = trace.windows.iter().map(|window| window.length_ms() as f64 / 1000.0).collect();
        Self { seconds, counts }
    }

    /// Everything that was counted, with its sum.
    pub(super) fn sums(&self) -> impl Iterator<Item = (&K, u64)> {
        self.counts.iter().map(|(key, windows)| (key, windows.values().copied().fold(0, u64::saturating_add)))
    }
}

fn of_functions(trace: &Trace) -> Recorded<Key> {
    let keys: Vec<Key> = trace.head.functions().map(key).collect();
    let mut counted = Vec::new();
    for (at, window) in trace.windows.iter().enumerate() {
        match &window.payload {
            Payload::Counts(list) => {
                let found =
                    list.iter().filter_map(|(index, count)| Some((keys.get(*index as usize)?, count)));
                counted.extend(found.map(|(key, count)| (at, key.clone(), *count)));
            }
            Payload::Timers(list) => {
                let named = list.iter().filter_map(|count| Some((count.timer.as_ref()?, count.started)));
                counted.extend(named.map(|(timer, started)| (at, timer_key(timer), started)));
            }
            _ => {}
        }
    }
    Recorded::of(trace, counted)
}

impl Samples {
    fn of<K: Ord>(recordings: &[Recorded<K>], key: &K, work: f64) -> Self {
        let empty = BTreeMap::new();
        let counts = |one: &Recorded<K>| one.counts.get(key).unwrap_or(&empty).clone();
        let all: Vec<_> = recordings.iter().map(|one| (one, counts(one))).collect();
        let sum = |counts: &BTreeMap<usize, u64>| counts.values().copied().fold(0, u64::saturating_add);
        let seconds = |one: &Recorded<K>| one.seconds.iter().sum::<f64>();
        let total = all.iter().map(|(_, counts)| sum(counts)).fold(0, u64::saturating_add);
        let time: f64 = recordings.iter().map(seconds).sum();
        let rate = total as f64 / time.max(f64::MIN_POSITIVE);
        let squares = |(one, counts): &(&Recorded<K>, BTreeMap<usize, u64>)| {
            let expected = one.seconds.iter().map(|seconds| rate * seconds);
            let found = (0..).map(|at: usize| counts.get(&at).copied().unwrap_or(0) as f64);
            let square = |(expected, found): (f64, f64)| (found - expected).powi(2) / expected;
            expected.zip(found).filter(|(expected, _)| *expected > 0.0).map(square).sum::<f64>()
        };
        Self {
            count: total,
            work: time * work,
            recordings: all.iter().map(|(one, counts)| (sum(counts), seconds(one) * work)).collect(),
            squares: all.iter().map(squares).sum(),
            windows: recordings.iter().map(|one| one.seconds.len()).sum(),
        }
    }

    fn rate(&self) -> f64 {
        if self.work > 0.0 { self.count as f64 / self.work } else { 0.0 }
    }
}

/// Counts of a thing in every recording of a side, each over so many seconds.
pub(crate) type Totals = [Vec<(u64, f64)>; 2];

/// How rates of many things changed that were counted as a whole, without windows. Such
/// counts come in clusters, so that nothing is no more certain than one cluster.
pub(crate) fn changes(all: &[Totals]) -> Vec<Change> {
    let repeated = all.first().is_some_and(|sides| sides.iter().all(|side| side.len() > 1));
    let findings: Vec<Finding> = all.iter().map(|sides| whole(sides, repeated)).collect();
    judge::judge(&findings, repeated)
}

fn whole(sides: &Totals, repeated: bool) -> Finding {
    let rate = |(count, seconds): &(u64, f64)| (*count as f64 + ASSUMED_DISPERSION) / seconds;
    let sums = sides.each_ref().map(|side| {
        let count = side.iter().fold(0, |sum: u64, (count, _)| sum.saturating_add(*count));
        (count, side.iter().map(|(_, seconds)| seconds).sum::<f64>())
    });
    let [a, b] = sums;
    let error = |count: u64| ASSUMED_DISPERSION / (count as f64 + ASSUMED_DISPERSION);
    let counted = Variance { value: error(a.0) + error(b.0), freedom: f64::INFINITY };
    let runs = Variance { value: 2.0 * RUN_DEVIATION * RUN_DEVIATION, freedom: f64::INFINITY };
    let means =
        sides.each_ref().map(|side| stats::mean(&side.iter().map(|one| rate(one).ln()).collect::<Vec<_>>()));
    let estimate = match means {
        [Some((a, of_a)), Some((b, of_b))] if repeated => judge::repeated(b - a, [of_a, of_b], &[counted]),
        _ => Estimate::of((rate(&b) / rate(&a)).ln(), &[counted, runs]),
    };
    let shared = a.0 > 0 && b.0 > 0;
    Finding {
        ratio: shared.then(|| b.0 as f64 / b.1 / (a.0 as f64 / a.1)),
        estimate,
        margin: if repeated { MARGIN } else { MARGIN_OF_ONE },
    }
}

/// A ratio of rates. Its error is that of counts, times as much as windows vary
/// more than independent events would (quasi-Poisson); and, with several recordings
/// a side, not less than what those differ by.
fn finding(sides: &[Samples; 2], repeated: bool) -> Finding {
    let [a, b] = sides;
    let shared = [a.rate(), b.rate()].iter().all(|rate| *rate > 0.0);
    let half = |count: u64, work: f64| ((count as f64 + 0.5) / work).ln();
    let difference = half(b.count, b.work) - half(a.count, a.work);
    let freedom = (a.windows + b.windows).saturating_sub(2) as f64;
    let (dispersion, freedom) = match freedom > 0.0 {
        true => (((a.squares + b.squares) / freedom).max(1.0), freedom),
        false => (ASSUMED_DISPERSION, f64::INFINITY),
    };
    let counted = Variance {
        value: dispersion * (1.0 / (a.count as f64 + 0.5) + 1.0 / (b.count as f64 + 0.5)),
        freedom,
    };
    let runs = Variance { value: 2.0 * RUN_DEVIATION * RUN_DEVIATION, freedom: f64::INFINITY };
    let means = |side: &Samples| {
        stats::mean(&side.recordings.iter().map(|(count, work)| half(*count, *work)).collect::<Vec<_>>())
    };
    let estimate = match means(a).zip(means(b)).filter(|_| repeated) {
        Some(((a, of_a), (b, of_b))) => judge::repeated(b - a, [of_a, of_b], &[counted]),
        None => Estimate::of(difference, &[counted, runs]),
    };
    Finding {
        ratio: shared.then(|| b.rate() / a.rate()),
        estimate,
        margin: if repeated { MARGIN } else { MARGIN_OF_ONE },
    }
}
