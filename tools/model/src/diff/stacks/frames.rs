//! Frames by name, wherever they stand in stacks.

use serde::Serialize;

use super::super::judge::{self, Change, Verdict};
use super::super::{Which, stats};
use super::{Amount, Grown, NodeId, Stacks, amount, finding};

/// Frames with less than this share of everything, on both sides together, are not
/// looked at: of thousands some differ by chance.
const LEAST_SHARE: f64 = 0.001;
/// A change of less than this share of everything is none that matters.
const LEAST_CHANGE: f64 = 0.005;

/// So many frames of about the same size show what is usual for these.
const ALIKE: usize = 31;

/// One function, wherever it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its name, as it is compared; empty for everything together.
    pub name: String,
    /// Stacks that it is in.
    pub total: Amount,
    /// Stacks that end in it.
    pub own: Amount,
    /// How the first changed.
    pub change: Change,
}

/// Counts by name and recording: of stacks with it, each once however often it is in
/// it, and of stacks that end in it.
struct ByName {
    totals: Vec<u64>,
    own: Vec<[u64; 2]>,
}

pub(super) fn rows(all: &Stacks, weights: &[f64]) -> Vec<Row> {
    let sides = all.tree.sides();
    let width = sides.len();
    let by_name = by_name(&all.tree);
    let everything: u64 = all.total.counts.iter().fold(0, |sum, count| sum.saturating_add(*count));
    let of_sides = |counts: &[u64]| {
        let mut sums = [0u64; 2];
        for (side, count) in sides.iter().zip(counts) {
            let sum = &mut sums[usize::from(*side == Which::B)];
            *sum = sum.saturating_add(*count);
        }
        sums
    };
    let mut kept = Vec::new();
    for (name, counts) in by_name.totals.chunks(width.max(1)).enumerate() {
        let sums = of_sides(counts);
        let pooled = sums[0] as f64 + sums[1] as f64;
        if pooled > 0.0 && pooled >= LEAST_SHARE * everything as f64 {
            let recordings: Vec<(Which, f64, f64)> = sides
                .iter()
                .zip(counts)
                .zip(weights)
                .map(|((side, count), weight)| (*side, *count as f64, *weight))
                .collect();
            kept.push((name, amount(sums, all.work), recordings));
        }
    }
    // Of those that are as large, the order is the same whichever side comes first.
    let name = |number: usize| all.tree.name_of(number as u32);
    kept.sort_by(|one, other| name(one.0).cmp(name(other.0)));
    let priors = usual(&kept.iter().map(|(_, _, recordings)| recordings.as_slice()).collect::<Vec<_>>());
    let repeated = priors.iter().any(Option::is_some);
    let findings: Vec<_> = kept
        .iter()
        .zip(priors)
        .map(|((_, amount, recordings), prior)| finding(*amount, recordings, prior))
        .collect();
    let changes = judge::judge(&findings, repeated);
    let most = all.total.a.max(all.total.b);
    let mut rows: Vec<Row> = kept
        .into_iter()
        .zip(changes)
        .map(|((name, total, _), change)| Row {
            name: all.tree.name_of(name as u32).to_owned(),
            total,
            own: amount(by_name.own.get(name).copied().unwrap_or_default(), all.work),
            change: large(change, total, most),
        })
        .collect();
    let moved = |row: &Row| row.total.change().abs();
    rows.sort_by(|one, other| moved(other).total_cmp(&moved(one)).then_with(|| one.name.cmp(&other.name)));
    rows
}

/// A change that is certain and tiny is the same all the same.
fn large(change: Change, total: Amount, most: f64) -> Change {
    let tiny = total.change().abs() < LEAST_CHANGE * most;
    Change { verdict: if tiny { Verdict::Same } else { change.verdict }, ..change }
}

/// How much frames usually differ between recordings: of each the median of the
/// variances of the differences of those that are about as large. What many stacks go
/// through varies less than each of them (as limma's trend has it for genes). `None`
/// where a side has but one recording.
fn usual(frames: &[&[(Which, f64, f64)]]) -> Vec<Option<f64>> {
    let variance = |recordings: &[(Which, f64, f64)]| {
        let of = |which: Which| {
            let side = recordings.iter().filter(|(side, ..)| *side == which);
            let rates: Vec<f64> = side.map(|(_, count, weight)| ((count + 0.5) / weight).ln()).collect();
            stats::mean(&rates)
        };
        Some(of(Which::A)?.1.value + of(Which::B)?.1.value)
    };
    let size = |at: usize| frames[at].iter().map(|(_, count, _)| count).sum::<f64>();
    let mut order: Vec<usize> = (0..frames.len()).collect();
    order.sort_by(|one, other| size(*other).total_cmp(&size(*one)));
    let variances: Vec<Option<f64>> = order.iter().map(|at| variance(frames[*at])).collect();
    let mut usual = vec![None; frames.len()];
    for (rank, at) in order.iter().enumerate() {
        let start = rank.saturating_sub(ALIKE / 2).min(frames.len().saturating_sub(ALIKE));
        let mut near: Vec<f64> = variances.iter().skip(start).take(ALIKE).copied().flatten().collect();
        near.sort_by(f64::total_cmp);
        usual[*at] = near.get(near.len() / 2).copied();
    }
    usual
}

fn by_name(tree: &Grown) -> ByName {
    let width = tree.sides().len();
    let mut found = ByName { totals: vec![0; tree.names() * width], own: vec![[0; 2]; tree.names()] };
    let mut below = vec![[0u64; 2]; tree.names()];
    let add = |sums: &mut [u64], counts: &[u64]| {
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
    };
    // Where open frames end, and how many there are of a name: of one that is open
    // already a stack has two.
    let (mut path, mut open) = (Vec::<(NodeId, usize)>::new(), vec![0u32; tree.names()]);
    for node in 0..tree.len() as NodeId {
        while let Some((_, name)) = path.pop_if(|(end, _)| *end <= node) {
            open[name] -= 1;
        }
        let (name, total) = (tree.name_id(node) as usize, tree.total(node));
        if let Some((_, caller)) = path.last() {
            add(&mut below[*caller], &total);
        }
        add(&mut found.own[name], &total);
        if open[name] == 0 {
            add(&mut found.totals[name * width..(name + 1) * width], tree.totals(node));
        }
        open[name] += 1;
        path.push((tree.end(node), name));
    }
    for (own, below) in found.own.iter_mut().zip(below) {
        *own = [own[0].saturating_sub(below[0]), own[1].saturating_sub(below[1])];
    }
    found
}
