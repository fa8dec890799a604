//! Counters of the snapshots that grow faster or slower.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::gather::Counted;
use crate::diff::Change;
use crate::diff::counts::{self, Totals};
use crate::snapshot::{Area, Rate, Unit};

/// A counter on both sides, all CPUs and devices together.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateChange {
    /// What kind of thing it is.
    pub area: Area,
    /// Its name.
    pub name: String,
    /// What is counted.
    pub unit: Unit,
    /// By second and host, on A.
    pub a: f64,
    /// On B.
    pub b: f64,
    /// How it changed.
    pub change: Change,
}

/// Those that differ by more than counters do, the farthest apart first.
pub(super) fn changes(sides: [&[Counted]; 2], work: Option<[f64; 2]>) -> Vec<RateChange> {
    let work = work.unwrap_or([1.0, 1.0]);
    let none = [0, 1].map(|side| sides[side].iter().map(|one| (0, one.seconds * work[side])).collect());
    let mut all: BTreeMap<(Area, &str, Unit), Totals> = BTreeMap::new();
    for (side, counted) in sides.iter().enumerate() {
        for (at, one) in counted.iter().enumerate() {
            for rate in counted_once(&one.rates) {
                let key = (rate.area, rate.name.as_str(), rate.unit);
                let totals = all.entry(key).or_insert_with(|| none.clone());
                if let Some((sum, _)) = totals[side].get_mut(at) {
                    *sum = sum.saturating_add(rate.count);
                }
            }
        }
    }
    let totals: Vec<Totals> = all.iter().map(|((.., unit), totals)| events(*unit, totals)).collect();
    let changes = all.into_iter().zip(counts::changes(&totals));
    let mut found: Vec<RateChange> = changes
        .filter(|(_, change)| super::is_change(change))
        .map(|(((area, name, unit), totals), change)| {
            let [a, b] = totals.each_ref().map(|side| by_second(side));
            RateChange { area, name: name.to_owned(), unit, a, b, change }
        })
        .collect();
    let size = |one: &RateChange| ((one.b + 1.0) / (one.a + 1.0)).ln().abs();
    found.sort_by(|one, other| size(other).total_cmp(&size(one)));
    found
}

/// What is counted for each CPU and for all of them is counted once.
fn counted_once(rates: &[Rate]) -> impl Iterator<Item = &Rate> {
    let whole: BTreeSet<(Area, &str)> =
        rates.iter().filter(|rate| rate.of.is_none()).map(|rate| (rate.area, rate.name.as_str())).collect();
    rates.iter().filter(move |rate| rate.of.is_none() || !whole.contains(&(rate.area, rate.name.as_str())))
}

/// Time is spent in pieces of a millisecond or so.
fn events(unit: Unit, totals: &Totals) -> Totals {
    let size = if unit == Unit::Microseconds { 1000 } else { 1 };
    totals.each_ref().map(|side| side.iter().map(|(count, seconds)| (count / size, *seconds)).collect())
}

fn by_second(side: &[(u64, f64)]) -> f64 {
    let count: f64 = side.iter().map(|(count, _)| *count as f64).sum();
    let seconds: f64 = side.iter().map(|(_, seconds)| seconds).sum();
    if seconds > 0.0 { count / seconds } else { 0.0 }
}
