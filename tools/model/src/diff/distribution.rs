//! A histogram as a distribution: values lie evenly within a slot.

use crate::histogram::Histogram;

/// Counts below values, and values by the share below them.
#[derive(Clone, Debug, Default)]
pub(super) struct Distribution {
    /// By value: from, to, how many lie below, how many in it.
    steps: Vec<Step>,
    total: f64,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    low: f64,
    high: f64,
    below: f64,
    count: f64,
}

impl Distribution {
    pub(super) fn of(histogram: &Histogram) -> Self {
        let mut total = 0.0;
        let steps = histogram
            .slots()
            .map(|(bounds, count)| {
                let (low, high) = (bounds.low as f64, bounds.end());
                let step = Step { low, high, below: total, count: count as f64 };
                total += step.count;
                step
            })
            .collect();
        Self { steps, total }
    }

    /// How many values there are.
    pub(super) fn total(&self) -> f64 {
        self.total
    }

    /// How many are below a value.
    pub(super) fn below(&self, value: f64) -> f64 {
        let after = self.steps.partition_point(|step| step.low < value);
        let Some(step) = after.checked_sub(1).and_then(|at| self.steps.get(at)) else { return 0.0 };
        step.below + step.count * ((value - step.low) / (step.high - step.low)).min(1.0)
    }

    /// The value that such a share is below; `None` of nothing.
    pub(super) fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share.clamp(0.0, 1.0) * self.total;
        let at = self.steps.partition_point(|step| step.below + step.count < rank);
        let step = self.steps.get(at).or(self.steps.last())?;
        let inside = ((rank - step.below) / step.count).clamp(0.0, 1.0);
        Some(step.low + inside * (step.high - step.low))
    }

    /// Every value at which the count below changes its slope, with both counts as
    /// shares. Nothing where one is empty.
    pub(super) fn shares(a: &Self, b: &Self) -> Vec<(f64, f64, f64)> {
        if a.total == 0.0 || b.total == 0.0 {
            return Vec::new();
        }
        let ends = |one: &Self| one.steps.iter().flat_map(|step| [step.low, step.high]).collect::<Vec<_>>();
        let mut values = [ends(a), ends(b)].concat();
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.into_iter().map(|at| (at, a.below(at) / a.total, b.below(at) / b.total)).collect()
    }
}
