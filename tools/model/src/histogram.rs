//! Distributions of durations, as the programs in `bpf/` count them: in slots,
//! each a range of nanoseconds. [`slots`] says which.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use slots::{Bounds, Resolution};

pub mod slots;

/// The unit of a log2 histogram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// Nanoseconds.
    Ns,
    /// Microseconds.
    Us,
    /// Milliseconds.
    Ms,
}

impl Unit {
    /// How many nanoseconds it has.
    pub fn ns(self) -> u64 {
        match self {
            Self::Ns => 1,
            Self::Us => 1_000,
            Self::Ms => 1_000_000,
        }
    }
}

/// How long calls took. In JSON
/// `{"sub_bits":4,"count":3,"sum":130,"min":10,"max":64,"slots":[[10,1],[56,1],[64,1]]}`,
/// where a slot that is not empty is its smallest value and its count.
///
/// Counts and sums that do not fit in 64 bits stay at the largest that does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct Histogram {
    resolution: Resolution,
    /// By slot, none of them 0.
    slots: BTreeMap<u32, u64>,
    /// Of all values, in ns.
    sum: u64,
    /// The shortest, in ns; absent where it was not kept.
    pub min: Option<u64>,
    /// The longest, in ns; absent where it was not kept.
    pub max: Option<u64>,
}

impl Histogram {
    /// An empty one.
    pub fn new(resolution: Resolution) -> Self {
        Self { resolution, slots: BTreeMap::new(), sum: 0, min: None, max: None }
    }

    /// From an array as a BPF program fills it, one count a slot, and the sum of
    /// all values in ns beside it. `None` if that is no array of this resolution.
    pub fn from_counts(resolution: Resolution, counts: &[u64], sum: u64) -> Option<Self> {
        if counts.len() != resolution.slots() as usize {
            return None;
        }
        let slots = (0..).zip(counts.iter().copied()).filter(|(_, count)| *count > 0).collect();
        Some(Self { resolution, slots, sum, min: None, max: None })
    }

    /// Adds a value in ns, `count` times.
    pub fn add(&mut self, value: u64, count: u64) {
        if count == 0 {
            return;
        }
        let mut other = Self::new(self.resolution);
        other.slots.insert(self.resolution.slot(value), count);
        other.sum = value.saturating_mul(count);
        (other.min, other.max) = (Some(value), Some(value));
        self.merge(&other);
    }

    /// How finely it was counted.
    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// How many values there are.
    pub fn count(&self) -> u64 {
        self.slots.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many values took 2^40 ns or longer.
    pub fn overflow(&self) -> u64 {
        self.slots.get(&(self.resolution.slots() - 1)).copied().unwrap_or(0)
    }

    /// The sum of all values in ns: it is counted, not made of the slots.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// The mean in ns, to the nearest; exact. `None` of nothing.
    pub fn mean(&self) -> Option<u64> {
        let count = u128::from(self.count());
        (count > 0).then(|| ((u128::from(self.sum) + count / 2) / count) as u64)
    }

    /// The slots that are not empty, the shortest first: which values, and how many.
    pub fn slots(&self) -> impl Iterator<Item = (Bounds, u64)> {
        self.slots.iter().filter_map(|(slot, count)| Some((self.resolution.bounds(*slot)?, *count)))
    }

    /// Adds the values of another; the coarser resolution of both remains. The
    /// extremes are known if they were on both sides, or one side is empty.
    pub fn merge(&mut self, other: &Self) {
        if self.resolution > other.resolution {
            *self = self.coarser(other.resolution);
        }
        let extreme = |mine: Option<u64>, other_s: Option<u64>, pick: fn(u64, u64) -> u64| match (
            self.slots.is_empty(),
            other.slots.is_empty(),
        ) {
            (true, _) => other_s,
            (_, true) => mine,
            _ => mine.zip(other_s).map(|(a, b)| pick(a, b)),
        };
        (self.min, self.max) =
            (extreme(self.min, other.min, u64::min), extreme(self.max, other.max, u64::max));
        self.sum = self.sum.saturating_add(other.sum);
        self.take_slots(other);
    }

    /// What came since `earlier`, an earlier reading of the same counters.
    /// Extremes are not known of a difference: absent. `None` if `earlier` is
    /// none: something is less than it was.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        if self.resolution != earlier.resolution {
            return None;
        }
        let mut slots = self.slots.clone();
        for (slot, before) in &earlier.slots {
            let count = slots.get_mut(slot)?;
            *count = count.checked_sub(*before)?;
        }
        slots.retain(|_, count| *count > 0);
        let sum = self.sum.checked_sub(earlier.sum)?;
        Some(Self { resolution: self.resolution, slots, sum, min: None, max: None })
    }

    /// The same values, counted less finely; as they are where that is finer.
    pub fn coarser(&self, resolution: Resolution) -> Self {
        let mut coarse =
            Self { resolution: resolution.min(self.resolution), slots: BTreeMap::new(), ..*self };
        coarse.take_slots(self);
        coarse
    }

    /// Every boundary of a coarser resolution is one of the finer, too: a slot is
    /// added as a whole.
    fn take_slots(&mut self, other: &Self) {
        for (slot, count) in &other.slots {
            let slot = match other.resolution == self.resolution {
                true => *slot,
                false => self.resolution.slot(other.resolution.low(*slot)),
            };
            let sum = self.slots.entry(slot).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    /// How many values are below one, in ns, if those of a slot lie evenly in it.
    pub fn below(&self, value: f64) -> f64 {
        let slot = self.resolution.slot(value.max(0.0) as u64);
        let sum: u64 = self.slots.range(..slot).fold(0, |sum, (_, count)| sum.saturating_add(*count));
        let in_slot = self.slots.get(&slot).copied().unwrap_or(0) as f64;
        let inside = self.resolution.bounds(slot).map_or(0.0, |bounds| bounds.share_below(value));
        sum as f64 + in_slot * inside
    }

    /// Between which values a percentile lies, in hundredths of a per cent: 5000
    /// is the median, 9990 is p99.9. By nearest rank: it is the smallest of the
    /// values that at least so many are not above; the extremes, where they are
    /// known, make the bounds narrower. `None` of nothing.
    pub fn percentile(&self, hundredths: u32) -> Option<Bounds> {
        let count: u128 = self.slots.values().map(|count| u128::from(*count)).sum();
        let rank = (count * u128::from(hundredths)).div_ceil(10_000).clamp(1, count.max(1));
        let mut below = 0;
        let slot = self.slots.iter().find(|(_, count)| {
            below += u128::from(**count);
            below >= rank
        });
        let mut bounds = self.resolution.bounds(*slot?.0)?;
        let inside = |value: &u64| *value >= bounds.low && bounds.high.is_none_or(|high| *value <= high);
        let (min, max) = (self.min.filter(inside), self.max.filter(inside));
        bounds.low = min.unwrap_or(bounds.low);
        bounds.high = max.or(bounds.high);
        if rank == count {
            bounds.low = max.unwrap_or(bounds.low);
        } else if rank == 1 {
            bounds.high = min.or(bounds.high);
        }
        Some(bounds)
    }

    /// The log2 histogram in a unit: values are divided first, as bcc does, and
    /// row `n` has what is 2^n to 2^(n+1) - 1 then; row 0 is 0 and 1. Rows end
    /// with the last that is not empty. Exact, but for values from 2^40 ns on,
    /// which stand in the row of 2^40 ns.
    pub fn log2(&self, unit: Unit) -> Vec<u64> {
        let mut rows = Vec::new();
        for (slot, count) in &self.slots {
            let row = (self.resolution.low(*slot) / unit.ns()).max(1).ilog2() as usize;
            rows.resize(rows.len().max(row + 1), 0u64);
            rows[row] = rows[row].saturating_add(*count);
        }
        rows
    }
}

/// How a histogram is written.
#[derive(Serialize, Deserialize)]
struct Stored {
    sub_bits: Resolution,
    count: u64,
    sum: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    min: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    max: Option<u64>,
    slots: Vec<(u64, u64)>,
}

impl From<Histogram> for Stored {
    fn from(histogram: Histogram) -> Self {
        let resolution = histogram.resolution;
        Self {
            sub_bits: resolution,
            count: histogram.count(),
            sum: histogram.sum,
            min: histogram.min,
            max: histogram.max,
            slots: histogram.slots.iter().map(|(slot, count)| (resolution.low(*slot), *count)).collect(),
        }
    }
}

impl TryFrom<Stored> for Histogram {
    type Error = String;

    /// Slots must be such of the resolution, in their order and none twice, and
    /// their counts what `count` says: so a file cannot make it large.
    fn try_from(stored: Stored) -> Result<Self, String> {
        let Stored { sub_bits: resolution, count, sum, min, max, slots: pairs } = stored;
        let (mut slots, mut total) = (BTreeMap::new(), Some(0u64));
        for (low, count) in pairs {
            let slot = resolution.slot(low);
            if resolution.low(slot) != low || slots.last_key_value().is_some_and(|(last, _)| *last >= slot) {
                return Err(format!("no slot begins at {low} ns, or it is not in its place"));
            }
            if count == 0 {
                return Err(format!("the slot at {low} ns is empty"));
            }
            slots.insert(slot, count);
            total = total.and_then(|total| total.checked_add(count));
        }
        if total != Some(count) {
            return Err(format!("count is {count}, which is not the sum of the slots"));
        }
        if min.zip(max).is_some_and(|(min, max)| min > max) {
            return Err("min is above max".into());
        }
        Ok(Self { resolution, slots, sum, min, max })
    }
}

#[cfg(test)]
#[path = "histogram_tests.rs"]
mod tests;
