//! CPUs that were busy.

use serde::Serialize;

use super::gather::Counted;
use super::pairs::Part;
use crate::diff::{self, Change, Verdict};
use crate::snapshot::{Area, Unit};

/// Busy CPUs of a host, on average.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Cores {
    /// Where that is from.
    pub source: Source,
    /// On A.
    pub a: f64,
    /// On B; at the work of A, where that is what is compared.
    pub b: f64,
    /// How it changed.
    pub change: Change,
}

/// Where the number of busy cores is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Samples of all CPUs.
    Profile,
    /// `/proc/stat`.
    CpuTime,
}

/// Kinds of CPU time in which something is done for this host, as proc_stat(5) has them;
/// `guest` is in `user`.
const BUSY: [&str; 5] = ["user", "nice", "system", "irq", "softirq"];

/// Smaller changes of the time that CPUs are busy do not matter.
const MARGIN: f64 = 0.10;

impl Cores {
    /// B's less A's.
    pub fn difference(&self) -> f64 {
        self.b - self.a
    }
}

/// Of the profile, with its verdict.
pub(super) fn of_profile(parts: &[Part], per_work: bool) -> Option<Cores> {
    let part = parts.iter().find(|part| part.is_profile())?;
    let stacks = part.stacks()?;
    let cores = stacks.unit == diff::stacks::Unit::BusyCores || per_work;
    let all = stacks.frames.iter().find(|row| row.name.is_empty()).filter(|_| cores)?;
    // Samples are lost whatever runs, so that shares stand; how much it was does not.
    let lost = part.comparison.verdict == Verdict::Invalid;
    let verdict = if lost { Verdict::Invalid } else { all.change.verdict };
    let change = Change { verdict, ..all.change };
    Some(Cores { source: Source::Profile, a: all.total.a, b: all.total.b, change })
}

/// Of the times that snapshots counted.
pub(super) fn of_cpu_time(sides: [&[Counted]; 2], work: Option<[f64; 2]>) -> Option<Cores> {
    let work = work.unwrap_or([1.0, 1.0]);
    let of = |side: usize| -> Option<Vec<f64>> {
        sides[side].iter().map(|one| Some(busy(one)? / work[side])).collect()
    };
    let (a, b) = (of(0)?, of(1)?);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let change = diff::judge::of_measurements([&a, &b], MARGIN)?;
    Some(Cores { source: Source::CpuTime, a: mean(&a), b: mean(&b), change })
}

fn busy(counted: &Counted) -> Option<f64> {
    let time = |whole: bool| {
        let rates = counted.rates.iter().filter(|rate| {
            let is = rate.area == Area::Cpu && rate.unit == Unit::Microseconds;
            is && rate.of.is_none() == whole && BUSY.contains(&rate.name.as_str())
        });
        let counts: Vec<f64> = rates.map(|rate| rate.count as f64).collect();
        (!counts.is_empty()).then(|| counts.iter().sum::<f64>() / 1e6 / counted.seconds)
    };
    time(true).or_else(|| time(false))
}
