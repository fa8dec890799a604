//! How long calls took: shifts of quantiles, and how far distributions lie apart.

use std::collections::BTreeMap;

use serde::Serialize;

use super::counts::{self, Key};
use super::distribution::Distribution;
use super::judge::{self, ASSUMED_DISPERSION, Change, Finding, RUN_DEVIATION, Verdict};
use super::stats::{self, Estimate, Variance};
use super::{Changes, Doubt, Refusal};
use crate::histogram::{Histogram, Resolution};
use crate::trace::{Group, Payload, Trace};

/// Quantiles in hundredths of a per cent, and changes that do not matter.
const QUANTILES: [(u32, f64); 4] = [(5000, 0.15), (9000, 0.15), (9900, 0.25), (9990, 0.25)];
/// A quantile counts when so many calls are beyond it, on each side.
const BEYOND: f64 = 30.0;
/// Neighbouring windows are not independent: at least so many make a block.
const BLOCK: usize = 5;

/// Every function, or group of calls, that both sides have.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Latencies {
    /// By what took longest in all on a side, the longest first.
    pub rows: Vec<Row>,
    /// How many functions are spelt otherwise on the other side.
    pub renamed: usize,
}

/// One function, or group of calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name, as it is compared; absent where functions were counted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The kernel module or the program or library that has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Of these calls alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// On A.
    pub a: Histogram,
    /// On B.
    pub b: Histogram,
    /// p50, p90, p99, p99.9.
    pub quantiles: Vec<Quantile>,
    /// How far the distributions lie apart; absent where one is empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distance: Option<Distance>,
    /// What follows of its quantiles.
    pub verdict: Verdict,
}

/// A quantile on both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantile {
    /// Which, in hundredths of a per cent: 9990 is p99.9.
    pub hundredths: u32,
    /// On A, in ns unless it is of values; absent where nothing was called.
    pub a: Option<u64>,
    /// On B, likewise.
    pub b: Option<u64>,
    /// How it changed; absent where too few calls are beyond it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
}

/// How far two distributions lie apart, whatever their size: no more than
/// descriptions, chance is not considered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Distance {
    /// The largest difference of the shares of calls below a duration
    /// (Kolmogorov and Smirnov), 0 to 1.
    pub shares: f64,
    /// By how many doublings calls moved on the mean, in either direction
    /// (Wasserstein, on the logarithm).
    pub doublings: f64,
    /// How much more often a call of B takes longer than one of A than the other
    /// way round (Cliff's delta), -1 to 1.
    pub longer: f64,
}

/// What was counted of one thing on a side.
#[derive(Clone, Debug, Default)]
struct Samples {
    /// Its histogram in each window of each recording.
    recordings: Vec<Vec<Histogram>>,
    all: Option<Histogram>,
}

type Of = (Option<Key>, Option<Group>);

/// Compares both sides, of durations or other values; the second value names what only
/// one side traced.
pub(super) fn compare(
    sides: [&[&Trace]; 2],
    changes: fn(Latencies) -> Changes,
) -> Result<(Changes, Vec<Doubt>), Refusal> {
    let (common, doubts) = counts::common(sides);
    if common.is_empty() {
        return Err(Refusal::NoneInCommon);
    }
    let shared = |of: &Of| of.0.as_ref().is_none_or(|key| common.contains_key(key));
    let [a, b] = sides.map(samples);
    let repeated = sides.iter().all(|side| side.len() > 1);
    let mut keys: Vec<&Of> = a.keys().chain(b.keys()).filter(|of| shared(of)).collect();
    keys.sort();
    keys.dedup();
    let (mut rows, mut findings) = (Vec::new(), Vec::new());
    let none = Samples::default();
    for of in keys {
        let (a, b) = (a.get(of).unwrap_or(&none), b.get(of).unwrap_or(&none));
        let (row, found) = row(of, a, b, repeated);
        rows.push(row);
        findings.push(found);
    }
    judge_rows(&mut rows, &findings, repeated);
    rows.sort_by_key(|row| std::cmp::Reverse(row.a.sum().max(row.b.sum())));
    Ok((changes(Latencies { rows, renamed: counts::renamed(&common) }), doubts))
}

/// Every quantile is a question of its own.
fn judge_rows(rows: &mut [Row], findings: &[Vec<Option<Finding>>], repeated: bool) {
    let all: Vec<Finding> = findings.iter().flatten().flatten().copied().collect();
    let mut changes = judge::judge(&all, repeated).into_iter();
    for (row, findings) in rows.iter_mut().zip(findings) {
        for (quantile, finding) in row.quantiles.iter_mut().zip(findings) {
            quantile.change = finding.and_then(|_| changes.next());
        }
        let verdicts = row.quantiles.iter().filter_map(|one| Some(one.change?.verdict));
        let judged = row.quantiles.iter().any(|one| one.change.is_some());
        row.verdict = if judged { judge::overall(verdicts) } else { Verdict::Inconclusive };
    }
}

/// What was counted on a side. Processes are other ones on another host: their
/// numbers do not count.
fn samples(traces: &[&Trace]) -> BTreeMap<Of, Samples> {
    let mut all: BTreeMap<Of, Samples> = BTreeMap::new();
    for (recording, trace) in traces.iter().enumerate() {
        let keys: Vec<Key> = trace.head.functions().map(counts::key).collect();
        for (at, window) in trace.windows.iter().enumerate() {
            let (Payload::Latency(list) | Payload::Distribution(list)) = &window.payload else { continue };
            for latency in list {
                let key = latency.function.and_then(|index| keys.get(index as usize)).cloned();
                let group =
                    latency.group.clone().filter(|group| !matches!(group, Group::Pid(_) | Group::Other));
                all.entry((key, group)).or_default().add(recording, at, &latency.histogram);
            }
        }
    }
    all
}

impl Samples {
    /// Windows in which nothing was called are as if they were not.
    fn add(&mut self, recording: usize, window: usize, histogram: &Histogram) {
        let empty = || Histogram::new(Resolution::FINEST);
        self.recordings.resize_with(self.recordings.len().max(recording + 1), Vec::new);
        if let Some(windows) = self.recordings.get_mut(recording) {
            windows.resize_with(windows.len().max(window + 1), empty);
            if let Some(sum) = windows.get_mut(window) {
                sum.merge(histogram);
            }
        }
        self.all.get_or_insert_with(empty).merge(histogram);
    }
}

/// A row that is not judged yet, and what there is to judge of each quantile.
fn row(of: &Of, a: &Samples, b: &Samples, repeated: bool) -> (Row, Vec<Option<Finding>>) {
    let empty = || Histogram::new(Resolution::FINEST);
    let [all_a, all_b] = [a, b].map(|side| side.all.clone().unwrap_or_else(empty));
    let known = [Known::of(a), Known::of(b)];
    let findings = (0..QUANTILES.len()).map(|at| finding(at, &known, repeated)).collect();
    let middle = |histogram: &Histogram, hundredths| histogram.percentile(hundredths).map(|one| one.middle());
    let quantile = |(hundredths, _): &(u32, f64)| Quantile {
        hundredths: *hundredths,
        a: middle(&all_a, *hundredths),
        b: middle(&all_b, *hundredths),
        change: None,
    };
    let row = Row {
        name: of.0.as_ref().map(|key| key.0.clone()),
        module: of.0.as_ref().and_then(|key| key.1.clone()),
        group: of.1.clone(),
        quantiles: QUANTILES.iter().map(quantile).collect(),
        distance: distance(&all_a, &all_b),
        a: all_a,
        b: all_b,
        verdict: Verdict::Inconclusive,
    };
    (row, findings)
}

/// The logarithms of all quantiles with their variances; `None` where too few calls
/// are beyond one.
type Quantiles = [Option<(f64, Variance)>; QUANTILES.len()];

/// Quantiles of a side, and of each of its recordings alone.
struct Known {
    all: Quantiles,
    each: Vec<Quantiles>,
}

impl Known {
    fn of(samples: &Samples) -> Self {
        let each =
            samples.recordings.iter().map(|windows| quantiles(std::slice::from_ref(windows))).collect();
        Self { all: quantiles(&samples.recordings), each }
    }

    /// Mean of a quantile over recordings, and how far those lie apart.
    fn mean(&self, at: usize) -> Option<(f64, Variance)> {
        let values: Option<Vec<f64>> = self.each.iter().map(|one| Some(one[at]?.0)).collect();
        stats::mean(&values?)
    }
}

/// A ratio of quantiles; `None` where too few calls are beyond it.
fn finding(at: usize, known: &[Known; 2], repeated: bool) -> Option<Finding> {
    let [a, b] = known;
    let ((value_a, of_a), (value_b, of_b)) = (a.all[at]?, b.all[at]?);
    let runs = Variance { value: 2.0 * RUN_DEVIATION * RUN_DEVIATION, freedom: f64::INFINITY };
    let estimate = if repeated {
        let ((mean_a, between_a), (mean_b, between_b)) = (a.mean(at)?, b.mean(at)?);
        judge::repeated(mean_b - mean_a, [between_a, between_b], &[of_a, of_b])
    } else {
        Estimate::of(value_b - value_a, &[of_a, of_b, runs])
    };
    Some(Finding { ratio: Some((value_b - value_a).exp()), estimate, margin: QUANTILES[at].1 })
}

/// The logarithms of the quantiles of some recordings together, and their variances:
/// that of the share of calls below one, from blocks of windows (Woodruff, 1952),
/// carried over to durations by the distribution itself.
fn quantiles(recordings: &[Vec<Histogram>]) -> Quantiles {
    let mut all = Histogram::new(Resolution::FINEST);
    recordings.iter().flatten().for_each(|histogram| all.merge(histogram));
    let all = Distribution::of(&all);
    QUANTILES.map(|(hundredths, _)| quantile(recordings, &all, f64::from(hundredths) / 10_000.0))
}

fn quantile(recordings: &[Vec<Histogram>], all: &Distribution, share: f64) -> Option<(f64, Variance)> {
    if all.total() * share.min(1.0 - share) < BEYOND {
        return None;
    }
    let value = all.quantile(share)?;
    let off = |block: &[Histogram]| {
        let window = |histogram: &Histogram| histogram.below(value) - share * histogram.count() as f64;
        block.iter().map(window).sum::<f64>().powi(2)
    };
    let blocks: Vec<f64> =
        recordings.iter().flat_map(|windows| windows.chunks(block(windows.len())).map(off)).collect();
    let count = blocks.len() as f64;
    let independent = share * (1.0 - share) / all.total();
    let (of_share, freedom) = match blocks.len() {
        0 | 1 => (independent * ASSUMED_DISPERSION, f64::INFINITY),
        _ => (blocks.iter().sum::<f64>() / all.total().powi(2) * count / (count - 1.0), count - 1.0),
    };
    let error = of_share.max(independent).sqrt();
    let (low, high) = (all.quantile(share - error)?.max(1.0), all.quantile(share + error)?.max(1.0));
    let deviation = (high.ln() - low.ln()) / 2.0;
    Some((value.max(1.0).ln(), Variance { value: deviation * deviation, freedom }))
}

/// How many of so many windows make a block.
fn block(windows: usize) -> usize {
    ((windows as f64).cbrt().ceil() as usize).max(BLOCK).min((windows / 4).max(1))
}

fn distance(a: &Histogram, b: &Histogram) -> Option<Distance> {
    let coarser = a.resolution().min(b.resolution());
    let [a, b] = [a, b].map(|histogram| Distribution::of(&histogram.coarser(coarser)));
    let shares = Distribution::shares(&a, &b);
    shares.first()?;
    let widest = shares.iter().map(|(_, a, b)| (a - b).abs()).fold(0.0, f64::max);
    let pairs = || shares.iter().zip(shares.iter().skip(1));
    let doublings = pairs().map(|((low, a, b), (high, next_a, next_b))| {
        let width = high.max(1.0).log2() - low.max(1.0).log2();
        width * ((a - b).abs() + (next_a - next_b).abs()) / 2.0
    });
    // Calls of A in a slot against those of B below and above it.
    let longer = pairs().map(|((_, a, b), (_, next_a, next_b))| (next_a - a) * ((1.0 - next_b) - b));
    Some(Distance { shares: widest, doublings: doublings.sum(), longer: longer.sum() })
}
