//! The slots of a histogram.
//!
//! A slot is a range of nanoseconds. Values below 64 ns have a slot each. From
//! there to 2^40 ns (18 min) every octave is cut into `2^sub_bits` equal parts,
//! and once more at 15625/8192 and at 125/64 of its start: those are the places
//! of 2^n milliseconds and 2^n microseconds. So a slot never lies across a
//! boundary of the log2 histograms in ns, us or ms, and those are exact, however
//! many are merged before. One more slot takes all that is longer.
//!
//! ```text
//! octave = floor(log2(value))                                    value >= 64
//! part   = (value >> (octave - sub_bits)) - 2^sub_bits
//!          + (value * 8192 >= 15625 << octave) + (value * 64 >= 125 << octave)
//! slot   = 64 + (octave - 6) * (2^sub_bits + 2) + part
//! ```

use serde::{Deserialize, Serialize};

/// Values below 2^6 ns have a slot each. Octaves from there on have no part that
/// is too narrow for an integer.
const EXACT_BITS: u32 = 6;
/// Values from 2^40 ns on share the last slot.
const MAX_BITS: u32 = 40;

/// How finely octaves are cut: into `2^sub_bits` parts, and the two extra cuts.
/// In JSON the number `sub_bits`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Resolution(u8);

/// The values that a slot or a percentile stands for, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The smallest, in ns.
    pub low: u64,
    /// The largest, in ns; absent where nothing tells how long it took.
    pub high: Option<u64>,
}

impl Bounds {
    /// One value for all of them, in ns: the middle; the smallest where there is
    /// no largest.
    pub fn middle(self) -> u64 {
        self.low + self.high.map_or(0, |high| high.saturating_sub(self.low) / 2)
    }

    /// Where the values end, in ns: the next that is none of them. A slot without an
    /// end is taken for an octave.
    pub fn end(self) -> f64 {
        self.high.map_or(self.low as f64 * 2.0, |high| high as f64 + 1.0)
    }

    /// The share of them that is below a value, if they lie evenly.
    pub fn share_below(self, value: f64) -> f64 {
        let low = self.low as f64;
        ((value - low) / (self.end() - low)).clamp(0.0, 1.0)
    }
}

impl Resolution {
    /// 16 parts an octave: a slot is at most 1/16 of its values wide, its middle
    /// at most 1/32 off.
    pub const FINEST: Self = Self(4);

    /// The resolution of `sub_bits` 0 to 4.
    pub fn new(sub_bits: u8) -> Option<Self> {
        (sub_bits <= Self::FINEST.0).then_some(Self(sub_bits))
    }

    /// `2^sub_bits` is the number of parts.
    pub fn sub_bits(self) -> u8 {
        self.0
    }

    /// How far, in per cent, the middle of a slot is at most off a value in it.
    /// The last slot, which has no upper end, keeps to no such limit.
    pub fn error_percent(self) -> f64 {
        50.0 / f64::from(1 << self.0)
    }

    /// Number of slots, the one of values from 2^40 ns on included: 677 of the
    /// finest.
    pub fn slots(self) -> u32 {
        (1 << EXACT_BITS) + (MAX_BITS - EXACT_BITS) * self.parts() + 1
    }

    /// The slot of a value in ns; grows with the value. `hist_slot` in
    /// `bpf/hist.bpf.h` is the same function.
    pub fn slot(self, value: u64) -> u32 {
        if value < 1 << EXACT_BITS {
            return value as u32;
        }
        if value >> MAX_BITS != 0 {
            return self.slots() - 1;
        }
        let octave = value.ilog2();
        let part = (value >> (octave - u32::from(self.0))) as u32 - (1 << self.0)
            + u32::from(value << 13 >= 15625 << octave)
            + u32::from(value << 6 >= 125 << octave);
        (1 << EXACT_BITS) + (octave - EXACT_BITS) * self.parts() + part
    }

    /// The values of a slot; `None` where there is no such slot.
    pub fn bounds(self, slot: u32) -> Option<Bounds> {
        let last = self.slots() - 1;
        (slot <= last)
            .then(|| Bounds { low: self.low(slot), high: (slot < last).then(|| self.low(slot + 1) - 1) })
    }

    /// The smallest value of a slot: by bisection, so that [`Self::slot`] alone
    /// knows the formula.
    pub(super) fn low(self, slot: u32) -> u64 {
        let (mut low, mut high) = (0, 1 << MAX_BITS);
        while low < high {
            let middle = low + (high - low) / 2;
            if self.slot(middle) < slot {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn parts(self) -> u32 {
        (1 << self.0) + 2
    }
}

impl TryFrom<u8> for Resolution {
    type Error = String;

    fn try_from(sub_bits: u8) -> Result<Self, String> {
        let most = Self::FINEST.0;
        Self::new(sub_bits).ok_or_else(|| format!("sub_bits is {sub_bits}, which is more than {most}"))
    }
}

impl From<Resolution> for u8 {
    fn from(resolution: Resolution) -> Self {
        resolution.0
    }
}
