//! Calls or samples by stack: which frames have more, which paths are new or gone,
//! and through which most of the change goes.

use serde::Serialize;

pub use folded::{FoldedError, Wanted, read};
pub use tree::{Full, Grown, NodeId, Tree};

use super::judge::Finding;
use super::stats::{self, Estimate, Variance};
use super::{Changes, Comparison, Doubt, How, Kind, Refusal, Source, What, Which, sources};
use crate::recording::Data;
use crate::stacks::{Frame, Part, StackCounts, Symbol};
use crate::trace::{Payload, Profile, Trace};

mod folded;
mod frames;
mod paths;
mod tree;

pub use frames::Row;
pub use paths::{Path, Paths};

/// Of frames of the same thing, counts differ by about this much from run to run
/// (standard deviation of the logarithm). Assumed where one recording a side cannot
/// show it; with less, frames of a host that nothing happened to are found changed.
const RUN_DEVIATION: f64 = 0.30;
/// Smaller changes of a frame's ratio do not matter.
const MARGIN: f64 = 0.15;
/// Nor these, where one recording a side has to show them.
const MARGIN_OF_ONE: f64 = 0.25;

/// Both sides as one tree, and what differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Stacks {
    /// What the figures are.
    pub unit: Unit,
    /// Everything.
    pub total: Amount,
    /// The path through which more than half of the change goes; absent where it is
    /// spread, or nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<Path>,
    /// Paths that only B has, from the frame on that A does not have there.
    pub new: Paths,
    /// Paths that only A has, likewise.
    pub gone: Paths,
    /// Frames by how much they changed, the largest first; those with less than a
    /// thousandth of everything on both sides are left out.
    pub frames: Vec<Row>,
    /// How many frames are spelt otherwise on the other side.
    pub renamed: usize,
    /// The tree itself.
    #[serde(skip)]
    pub tree: Grown,
    /// What counts of A and B are divided by.
    #[serde(skip)]
    work: [f64; 2],
}

/// What figures of stacks are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Counts as they are: nobody knows over what time.
    Count,
    /// By second.
    PerSecond,
    /// CPUs that are busy with it, on average.
    BusyCores,
    /// Tasks that wait there, on average.
    WaitingTasks,
    /// By unit of work.
    PerWork,
    /// Shares of all on their side.
    Share,
}

/// Counts on both sides, and what they come to in the unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Amount {
    /// Counts of A and B.
    pub counts: [u64; 2],
    /// What they come to.
    pub a: f64,
    /// On B.
    pub b: f64,
}

impl Amount {
    /// B's less A's.
    pub fn change(self) -> f64 {
        self.b - self.a
    }

    /// B's over A's; `None` where one of them is 0.
    pub fn ratio(self) -> Option<f64> {
        (self.counts.iter().all(|count| *count > 0)).then(|| self.b / self.a)
    }
}

impl Stacks {
    /// Compares both sides of a tree, whose recordings took so many seconds each, where
    /// that is known: of samples and waits so many as one CPU or task makes in it.
    pub fn new(tree: Grown, seconds: &[Option<f64>], (kind, how): (Kind, How)) -> Self {
        let (unit, weights) = weights(&tree, seconds, (kind, how));
        let mut work = [0.0; 2];
        for (side, weight) in tree.sides().iter().zip(&weights) {
            work[usize::from(*side == Which::B)] += weight;
        }
        let renamed = tree.renamed();
        let empty = Paths::default();
        let total = amount(tree.total(Grown::ROOT), work);
        let mut all = Self {
            unit,
            total,
            most: None,
            new: empty.clone(),
            gone: empty,
            frames: Vec::new(),
            renamed,
            tree,
            work,
        };
        all.frames = frames::rows(&all, &weights);
        all.most = paths::most(&all);
        (all.gone, all.new) = paths::alone(&all);
        all
    }

    /// Everything through a node.
    pub fn amount(&self, node: NodeId) -> Amount {
        amount(self.tree.total(node), self.work)
    }

    /// What ends at a node.
    pub fn own(&self, node: NodeId) -> Amount {
        amount(self.tree.own(node), self.work)
    }

    /// Whether a change may be chance: it is too small, or less than what runs of the
    /// same thing differ by.
    pub fn is_noise(&self, amount: Amount) -> bool {
        let change = estimate(amount, RUN_DEVIATION);
        let small = change.is_none_or(|one| one.difference.abs() < MARGIN_OF_ONE.ln_1p());
        small || change.is_none_or(|one| one.p() > 0.05)
    }

    /// Whether both sides are the same.
    pub fn is_empty(&self) -> bool {
        let same = |node: NodeId| {
            let [a, b] = self.tree.total(node);
            a == b
        };
        self.work[0] == self.work[1] && (0..self.tree.len() as NodeId).all(same)
    }
}

fn amount(counts: [u64; 2], work: [f64; 2]) -> Amount {
    let of = |at: usize| if work[at] > 0.0 { counts[at] as f64 / work[at] } else { 0.0 };
    Amount { counts, a: of(0), b: of(1) }
}

/// The logarithm of a ratio, with the error of counts and of runs.
fn estimate(amount: Amount, runs: f64) -> Option<Estimate> {
    let [a, b] = amount.counts.map(|count| count as f64 + 0.5);
    // What a count of 1 comes to cancels out where a side has none.
    let scale = |value: f64, count: u64| if count > 0 { Some(value / count as f64) } else { None };
    let (of_a, of_b) = (scale(amount.a, amount.counts[0]), scale(amount.b, amount.counts[1]));
    let (of_a, of_b) = (of_a.or(of_b)?, of_b.or(of_a)?);
    let variance = 1.0 / a + 1.0 / b + 2.0 * runs * runs;
    let variance = Variance { value: variance, freedom: f64::INFINITY };
    Estimate::of((b * of_b / (a * of_a)).ln(), &[variance])
}

/// The unit, and what the counts of each recording are divided by.
fn weights(tree: &Grown, seconds: &[Option<f64>], (kind, how): (Kind, How)) -> (Unit, Vec<f64>) {
    let known: Option<Vec<f64>> = seconds.iter().copied().collect();
    let known = known.filter(|all| all.iter().all(|seconds| *seconds > 0.0));
    let totals = || tree.totals(Grown::ROOT).iter().map(|total| *total as f64).collect();
    let side = |which: &Which| how.work_on(*which);
    match known {
        _ if how.share => (Unit::Share, totals()),
        Some(seconds) if how.work.is_some() => (
            Unit::PerWork,
            tree.sides().iter().zip(seconds).map(|(which, time)| time * side(which)).collect(),
        ),
        Some(seconds) => match kind {
            Kind::Profile => (Unit::BusyCores, seconds),
            Kind::Waits => (Unit::WaitingTasks, seconds),
            _ => (Unit::PerSecond, seconds),
        },
        None if how.work.is_some() => (Unit::PerWork, tree.sides().iter().map(side).collect()),
        // Several files a side are one amount, not a sum.
        None if seconds.iter().all(Option::is_none) => (Unit::Count, vec![1.0; seconds.len()]),
        None => (Unit::Share, totals()),
    }
}

/// Compares both sides; text is read now.
pub(super) fn compare(sides: [Vec<Source<'_>>; 2], (kind, how): (Kind, How)) -> Result<Comparison, Refusal> {
    let [mut a, mut b] = [&sides[0], &sides[1]].map(|side| sources::side(side));
    let traces = [sources::traces(&sides[0]), sources::traces(&sides[1])];
    let mut doubts = sources::doubts([&traces[0], &traces[1]]);
    let which = [Which::A, Which::B];
    let of = sides.iter().zip(which).flat_map(|(side, which)| side.iter().map(move |_| which));
    let mut tree = Tree::new(of.collect());
    let mut seconds = Vec::new();
    for (recording, source) in sides.into_iter().flatten().enumerate() {
        let Source { name, what } = source;
        seconds.push(match what {
            What::Stacks(mut text) => {
                let all: Wanted<'_> = &|stack| Some(stack.into());
                tree.read(recording, &mut text, all).map_err(|error| Refusal::Unreadable(name, error))?;
                None
            }
            What::Recording(whole) => match &whole.data {
                Data::Trace(trace) => {
                    tree.add_trace(recording, trace).map_err(|full| Refusal::Full(name, full))?;
                    Some(sources::recorded_ms(trace) as f64 / 1000.0 * by_second(trace))
                }
                _ => return Err(Refusal::Nothing(name)),
            },
        });
    }
    let stacks = Stacks::new(tree.finish(), &seconds, (kind, how));
    for (side, which, count) in
        [(&mut a, Which::A, stacks.total.counts[0]), (&mut b, Which::B, stacks.total.counts[1])]
    {
        let empty = Doubt::Empty(which);
        if count == 0 && !doubts.contains(&empty) {
            doubts.push(empty);
        }
        // Nanoseconds are no events.
        side.events = (kind != Kind::Waits).then_some(count);
    }
    Ok(Comparison::new(a, b, doubts, Changes::Stacks(Box::new(stacks))))
}

/// What one CPU that is busy, or one task that waits, counts in a second; 1 of calls.
fn by_second(trace: &Trace) -> f64 {
    match trace.head.asked.profile {
        None => 1.0,
        Some(Profile::OffCpu { .. }) => 1e9,
        Some(Profile::OnCpu { hz, .. }) => {
            let samples = trace.accounting.as_ref().and_then(|accounting| accounting.samples);
            // Where idle CPUs are sampled too, it is known how many really came.
            let came = samples.filter(|samples| samples.idle.is_some() && samples.cpu_ms > 0);
            came.map_or(hz.into(), |samples| samples.seen as f64 * 1000.0 / samples.cpu_ms as f64)
        }
    }
}

impl Tree {
    /// Adds the stacks of a recording: those of all processes together, the kernel's
    /// part behind the process's.
    ///
    /// # Errors
    /// There is no room for all of them.
    pub fn add_trace(&mut self, recording: usize, trace: &Trace) -> Result<(), Full> {
        let mut counts = StackCounts::new();
        for window in trace.windows.iter() {
            if let Payload::Stacks(stacks) = &window.payload {
                counts.merge(stacks);
            }
        }
        for (key, count) in counts.iter() {
            let Some(stack) = trace.stacks.stack(key.stack) else { continue };
            let parts = stack.user.iter().chain(&stack.kernel);
            let frames = parts.flat_map(|part| part_names(trace, part));
            self.add(recording, frames, count)?;
        }
        Ok(())
    }
}

/// Names of a part, the outermost first; what could not be walked is a frame too.
fn part_names<'a>(trace: &'a Trace, part: &'a Part) -> impl Iterator<Item = &'a str> {
    let gap = part.gap.as_deref().map(|_| "[unknown]");
    gap.into_iter().chain(trace.stacks.frames(part).rev().map(frame_name))
}

/// Without a name it is the file's, whatever the reason.
fn frame_name(frame: &Frame) -> &str {
    match (&frame.symbol, &frame.module) {
        (Symbol::Name(name), _) => name,
        (Symbol::Unknown(_), Some(module)) => module.rsplit('/').next().unwrap_or(module),
        (Symbol::Unknown(_), None) => "[unknown]",
    }
}

/// Judged where several recordings a side show how much they differ, or not.
fn finding(amount: Amount, recordings: &[(Which, f64, f64)], prior: Option<f64>) -> Finding {
    let rates = |which: Which| -> Vec<f64> {
        let of = recordings.iter().filter(|(side, ..)| *side == which);
        of.map(|(_, count, weight)| ((count + 0.5) / weight).ln()).collect()
    };
    let means = stats::mean(&rates(Which::A)).zip(stats::mean(&rates(Which::B)));
    let (estimate, margin) = match (means, prior) {
        (Some(((a, of_a), (b, of_b))), Some(prior)) => {
            // What is seen of one frame, drawn towards what is usual: a few runs alone
            // say little. Never less than counts of independent events vary by.
            let freedom = of_a.freedom + of_b.freedom;
            let seen = of_a.value + of_b.value;
            let pooled = (PRIOR_FREEDOM * prior + freedom * seen) / (PRIOR_FREEDOM + freedom);
            let counted: f64 = amount.counts.iter().map(|count| 1.0 / (*count as f64 + 0.5)).sum();
            let variance = Variance { value: pooled.max(counted), freedom: PRIOR_FREEDOM + freedom };
            (Estimate::of(b - a, &[variance]), MARGIN)
        }
        _ => (estimate(amount, RUN_DEVIATION), MARGIN_OF_ONE),
    };
    Finding { ratio: amount.ratio(), estimate, margin }
}

/// How much what is usual weighs, in degrees of freedom.
const PRIOR_FREEDOM: f64 = 8.0;
