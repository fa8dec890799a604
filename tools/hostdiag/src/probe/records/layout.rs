//! How much memory histograms take, known before anything is attached.

use hostdiag_model::histogram::Resolution;

use crate::fail::{Code, Failure};

/// Words of a `struct record` before its counts: the sum, and two times an epoch
/// with minimum and maximum (bpf/record.bpf.h).
pub const HEADER: usize = 7;

/// Where the histograms are: a shard has all of them, and CPUs share as few
/// shards as there is memory for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// A power of two.
    pub shards: u32,
    /// Histograms a shard has.
    pub groups: u32,
    /// How fine they are.
    pub resolution: Resolution,
}

impl Layout {
    /// One that takes at most so many bytes: shards are given up first, which
    /// costs time where CPUs meet, then fineness.
    ///
    /// # Errors
    /// `too-many-functions` where even the coarsest histograms take more.
    pub fn of(groups: u32, cpus: u32, max_bytes: u64) -> Result<Self, Failure> {
        let most = cpus.max(1).next_power_of_two();
        let shards = (0..=most.ilog2()).map(|halvings| most >> halvings);
        let coarser = (0..Resolution::FINEST.sub_bits()).rev().filter_map(Resolution::new);
        let layouts = shards
            .map(|shards| Self { shards, groups, resolution: Resolution::FINEST })
            .chain(coarser.map(|resolution| Self { shards: 1, groups, resolution }));
        let mut least = 0;
        for layout in layouts {
            least = layout.bytes();
            if least <= max_bytes && u32::try_from(layout.words()).is_ok() {
                return Ok(layout);
            }
        }
        let message = format!("{groups} histograms take {} MiB at least", least.div_ceil(1 << 20));
        Err(Failure::new(Code::TooManyFunctions, message).hint(
            "a narrower pattern, --max-memory MIB, or one histogram for all functions (no -F, no --output)",
        ))
    }

    /// Words of 64 bits of a histogram.
    pub fn record_words(self) -> usize {
        HEADER + self.resolution.slots() as usize
    }

    /// Bytes of a histogram.
    pub fn record_bytes(self) -> u32 {
        u32::try_from(self.record_words() * size_of::<u64>()).unwrap_or(u32::MAX)
    }

    /// Words of all of them.
    pub fn words(self) -> usize {
        self.shards as usize * self.groups as usize * self.record_words()
    }

    /// Bytes of all of them.
    pub fn bytes(self) -> u64 {
        self.words() as u64 * size_of::<u64>() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn of(groups: u32, cpus: u32, max_bytes: u64) -> (u32, u8) {
        let layout = Layout::of(groups, cpus, max_bytes).unwrap();
        assert!(layout.bytes() <= max_bytes);
        (layout.shards, layout.resolution.sub_bits())
    }

    #[test]
    fn memory_is_kept_by_fewer_shards_then_by_coarser_histograms() {
        assert_eq!(of(1, 6, 64 * MIB), (8, 4));
        assert_eq!(of(500, 64, 64 * MIB), (16, 4));
        assert_eq!(of(12_000, 64, 64 * MIB), (1, 4));
        assert_eq!(of(20_000, 2, 64 * MIB), (1, 3));
        assert_eq!(of(45_000, 2, 64 * MIB), (1, 0));
    }

    #[test]
    fn too_little_memory_says_how_much_it_takes() {
        let failure = Layout::of(100_000, 2, 64 * MIB).unwrap_err();
        assert_eq!(failure.code, Code::TooManyFunctions);
        assert_eq!(failure.message, "100000 histograms take 133 MiB at least");
    }
}
