//! What differs between two recordings of a kind, or two groups of them.
//!
//! Everything here is a pure function of what was recorded. A difference counts when
//! it is large enough to matter and more than chance: with several recordings a side
//! by how those differ among themselves, with one by how its windows do and by what
//! runs of the same thing are known to differ by.

use serde::Serialize;

use crate::host::Host;

pub mod counts;
mod distribution;
pub mod judge;
pub mod latency;
pub mod names;
pub mod offload;
pub mod settings;
mod sources;
pub mod stacks;
mod stats;
pub mod values;

pub use judge::{Change, Verdict};
pub use sources::{Kind, Refusal, Source, What};

/// Name of the schema of `hostdiag diff --format json`.
pub const SCHEMA: &str = "hostdiag.diff";
/// Its version.
pub const VERSION: u32 = 1;
/// More lost than this share of what was counted, and nothing is concluded.
pub const MAX_LOST: f64 = 0.05;

/// Two sides and what differs between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// What is compared with.
    pub a: Side,
    /// What is compared.
    pub b: Side,
    /// What follows of all of it.
    pub verdict: Verdict,
    /// Why nothing follows, or what is to be kept in mind.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub doubts: Vec<Doubt>,
    /// The differences.
    pub changes: Changes,
}

/// One side: a recording, or several of the same thing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// What each of its files is called.
    pub files: Vec<String>,
    /// The host of the first of them; absent where a file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Host>,
    /// Milliseconds that were recorded, of all of them; absent where a file does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded_ms: Option<u64>,
    /// Events in them; absent where nothing is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub events: Option<u64>,
    /// Events that were lost.
    pub lost: u64,
}

/// Why less follows than it seems.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// So much was lost on a side that what is left proves nothing.
    Lost(Which),
    /// There is nothing on a side.
    Empty(Which),
    /// A recording of a side was cut off.
    Partial(Which),
    /// One side counts events of certain processes, CPUs or cgroups alone, the other does not.
    Filter,
    /// Functions that were traced on one side alone, and are left out.
    Alone(Which, Vec<String>),
}

impl Doubt {
    /// Whether nothing follows any more.
    pub fn invalidates(&self) -> bool {
        matches!(self, Self::Lost(_) | Self::Empty(_) | Self::Filter)
    }
}

/// A side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    /// What is compared with.
    A,
    /// What is compared.
    B,
}

/// The differences, by what was recorded.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Changes {
    /// `funccount`, `timer-names`: calls by function, starts by timer.
    Counts(counts::Counts),
    /// `funclatency`: how long calls took.
    Latency(latency::Latencies),
    /// `stackcount`, `profile`, folded text: calls, samples or waits by stack.
    Stacks(Box<stacks::Stacks>),
    /// `argcount`: calls by their values.
    Values(values::Values),
    /// `argcount --histogram`: how values are spread.
    Distribution(latency::Latencies),
    /// `offload`: features of devices.
    Offload(offload::Features),
}

impl Changes {
    /// Whether both sides are the same to the last figure that is compared.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::Counts(counts) => counts.rows.iter().all(|row| row.a == row.b),
            Self::Latency(latency) | Self::Distribution(latency) => {
                latency.rows.iter().all(|row| row.a == row.b)
            }
            Self::Values(values) => values.same,
            Self::Stacks(stacks) => stacks.is_empty(),
            Self::Offload(offload) => offload.is_empty(),
        }
    }

    /// What follows of them.
    fn verdict(&self) -> Verdict {
        match self {
            Self::Counts(counts) => judge::overall(counts.rows.iter().map(|row| row.change.verdict)),
            Self::Latency(latency) | Self::Distribution(latency) => {
                judge::overall(latency.rows.iter().map(|row| row.verdict))
            }
            Self::Values(values) => judge::overall(values.rows.iter().map(|row| row.change.verdict)),
            Self::Stacks(stacks) => judge::overall(stacks.frames.iter().map(|row| row.change.verdict)),
            Self::Offload(offload) => offload.verdict(),
        }
    }
}

/// How two sides are to be compared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct How {
    /// Units of work done in a second on A and on B, above 0: rates are divided by it.
    pub work: Option<[f64; 2]>,
    /// Stacks by their share of all on their side.
    pub share: bool,
}

impl How {
    /// Work done in a second on a side; 1 where nobody says.
    fn work_on(self, which: Which) -> f64 {
        self.work.map_or(1.0, |[a, b]| if which == Which::A { a } else { b })
    }
}

/// Compares both sides, each with at least one file, all of one kind.
///
/// # Errors
/// They cannot be compared.
pub fn compare(a: Vec<Source<'_>>, b: Vec<Source<'_>>, how: How) -> Result<Comparison, Refusal> {
    let kind = sources::common_kind(a.iter().chain(&b))?;
    if matches!(kind, Kind::Stacks | Kind::Profile | Kind::Waits) {
        return stacks::compare([a, b], (kind, how));
    }
    let sides = [sources::traces(&a), sources::traces(&b)];
    let (changes, alone) = match kind {
        Kind::Counts | Kind::Timers => counts::compare([&sides[0], &sides[1]], how)?,
        Kind::Latency => latency::compare([&sides[0], &sides[1]], Changes::Latency)?,
        Kind::Distributions => {
            values::same_question([&sides[0], &sides[1]])?;
            latency::compare([&sides[0], &sides[1]], Changes::Distribution)?
        }
        Kind::Values => values::compare([&sides[0], &sides[1]], how)?,
        Kind::Offload | Kind::Stacks | Kind::Profile | Kind::Waits => match (a.as_slice(), b.as_slice()) {
            ([a], [b]) => (Changes::Offload(offload::compare(a.offload()?, b.offload()?)), Vec::new()),
            _ => return Err(Refusal::One),
        },
    };
    let doubts = [sources::doubts([&sides[0], &sides[1]]), alone].concat();
    Ok(Comparison::new(sources::side(&a), sources::side(&b), doubts, changes))
}

impl Comparison {
    /// With the verdict that follows.
    fn new(a: Side, b: Side, mut doubts: Vec<Doubt>, changes: Changes) -> Self {
        doubts.sort();
        let verdict = match () {
            () if doubts.iter().any(Doubt::invalidates) => Verdict::Invalid,
            () if changes.is_empty() => Verdict::Same,
            () => changes.verdict(),
        };
        Self { schema: SCHEMA, version: VERSION, a, b, verdict, doubts, changes }
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod properties;
#[cfg(test)]
#[path = "simulated_tests.rs"]
mod simulated;
