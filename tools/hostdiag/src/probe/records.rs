//! Histograms that programs fill, bpf/record.bpf.h: reads them meanwhile.

use hostdiag_model::Histogram;
use hostdiag_model::histogram::Bounds;
use hostdiag_model::trace::By;

use self::layout::{HEADER, Layout};
use crate::sys::{self, Counters};

pub mod layout;

/// The map `records` of bpf/record.bpf.h.
pub struct Records {
    words: Counters,
    layout: Layout,
    /// Of extremes: no entry of memory that is fresh, 0, has it.
    epoch: u64,
}

impl Records {
    /// Those in this map, which is laid out so.
    pub fn new(words: Counters, layout: Layout) -> Self {
        Self { words, layout, epoch: 1 }
    }

    /// What `epoch` of bpf/record.bpf.h is to be while something is counted.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Begins a reading: what programs count from here on is of the next epoch, which
    /// they see in `shared`.
    pub fn close_epoch(&mut self, shared: Option<&mut u64>) {
        self.epoch += 1;
        if let Some(shared) = shared {
            *shared = self.epoch;
        }
        // What still writes to the epoch before ends here.
        sys::programs_have_ended();
    }

    /// Where they are.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// A word of each shard's record of this group.
    fn each(&self, group: u32, word: usize) -> impl Iterator<Item = u64> {
        let Layout { shards, groups, .. } = self.layout;
        let record = move |shard: u32| shard as usize * groups as usize + group as usize;
        (0..shards).map(move |shard| self.words.get(record(shard) * self.layout.record_words() + word))
    }

    /// All that was counted of a group so far.
    pub fn histogram(&self, group: u32) -> Option<Histogram> {
        let counts = (HEADER..self.layout.record_words()).map(|word| self.each(group, word).sum());
        let counts: Vec<u64> = counts.collect();
        Histogram::from_counts(self.layout.resolution, &counts, self.each(group, 0).sum())
    }

    /// Sets the extremes of what was counted since the reading before, in the epoch that
    /// was closed. Calls counted since then have theirs in the next.
    pub fn set_extremes(&self, histogram: &mut Histogram, group: u32) {
        let mut seen = Vec::new();
        for epoch in [self.epoch - 1, self.epoch] {
            let first = 1 + 3 * (epoch & 1) as usize;
            let (min, max) = (self.each(group, first + 1), self.each(group, first + 2));
            let entries = self.each(group, first).zip(min.zip(max));
            seen.extend(entries.filter(|(of, _)| *of == epoch).map(|(_, extremes)| extremes));
        }
        (histogram.min, histogram.max) = extremes(histogram, &seen);
    }
}

/// Minimum and maximum of a histogram among those that were seen: such that are
/// in its first and its last slot. They are absent where none is, so that an
/// extreme is never one that the counts contradict.
fn extremes(histogram: &Histogram, seen: &[(u64, u64)]) -> (Option<u64>, Option<u64>) {
    let inside = |bounds: Option<Bounds>, value: &u64| {
        let Some(Bounds { low, high }) = bounds else { return false };
        *value >= low && high.is_none_or(|high| *value <= high)
    };
    let (first, last) = (histogram.percentile(0), histogram.percentile(10_000));
    let min = seen.iter().map(|(min, _)| *min).filter(|min| inside(first, min)).min();
    let max = seen.iter().map(|(_, max)| *max).filter(|max| inside(last, max)).max();
    (min, max)
}

/// What is counted apart, as the programs know it: `BY_NOTHING` and so on.
pub(super) fn by_number(by: Option<By>) -> u32 {
    match by {
        None => 0,
        Some(By::Cpu) => 1,
        Some(By::Comm) => 2,
        Some(By::Pid) => 3,
    }
}

#[cfg(test)]
mod tests {
    use hostdiag_model::histogram::Resolution;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::new(Resolution::FINEST);
        values.iter().for_each(|value| histogram.add(*value, 1));
        (histogram.min, histogram.max) = (None, None);
        histogram
    }

    #[test]
    fn extremes_come_from_every_shard() {
        let histogram = of(&[1000, 2000, 3000]);
        let seen = [(2000, 3000), (1000, 1000)];
        assert_eq!(extremes(&histogram, &seen), (Some(1000), Some(3000)));
    }

    /// 90000 is of a call that is counted in the next window.
    #[test]
    fn extremes_that_the_counts_contradict_are_none() {
        let histogram = of(&[1000, 2000, 3000]);
        assert_eq!(extremes(&histogram, &[(1000, 3000), (90_000, 90_000)]), (Some(1000), Some(3000)));
        assert_eq!(extremes(&histogram, &[(1000, 90_000)]), (Some(1000), None));
        assert_eq!(extremes(&histogram, &[]), (None, None));
        assert_eq!(extremes(&of(&[]), &[(5, 5)]), (None, None));
    }
}
