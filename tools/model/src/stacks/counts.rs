//! How often stacks were seen.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::StackTable;

/// What all stacks of a window may be as text, in bytes: a file of a few
/// megabytes could name a long frame a billion times.
const MAX_TEXT: usize = 256 << 20;

/// What was counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct StackKey {
    /// Number of the stack.
    pub stack: u32,
    /// Number of the traced function in the recording; absent if it has but one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub function: Option<u32>,
    /// Process; absent if processes were counted together.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<u32>,
    /// Its name; absent likewise, or where it is not known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub comm: Option<Arc<str>>,
}

/// How often each was seen. Counts that do not fit in 64 bits stay at the
/// largest that does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Stored", into = "Stored")]
pub struct StackCounts(BTreeMap<StackKey, u64>);

impl StackCounts {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds so many.
    pub fn add(&mut self, key: StackKey, count: u64) {
        let sum = self.0.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }

    /// All, ordered by key.
    pub fn iter(&self) -> impl Iterator<Item = (&StackKey, u64)> {
        self.0.iter().map(|(key, count)| (key, *count))
    }

    /// Their sum.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Adds those of another, of the same table.
    pub fn merge(&mut self, other: &Self) {
        other.iter().for_each(|(key, count)| self.add(key.clone(), count));
    }

    /// With the numbers of another table, as [`StackTable::merge`] says them.
    /// Stacks that it says no number of are left out.
    pub fn renumbered(&self, stacks: &[u32]) -> Self {
        let mut renumbered = Self::new();
        for (key, count) in self.iter() {
            if let Some(stack) = stacks.get(key.stack as usize) {
                renumbered.add(StackKey { stack: *stack, ..key.clone() }, count);
            }
        }
        renumbered
    }

    /// What came since `earlier`, an earlier reading of the same counters; what
    /// stayed as it was is left out. `None` if something is less than it was.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        let mut since = self.0.clone();
        for (key, before) in earlier.iter() {
            let count = since.get_mut(key)?;
            *count = count.checked_sub(before)?;
        }
        since.retain(|_, count| *count > 0);
        Some(Self(since))
    }

    /// Whether they are of this table and can be shown.
    ///
    /// # Errors
    /// In words: which stack there is not, or that they are too large as text.
    pub fn check(&self, table: &StackTable) -> Result<(), String> {
        check([self], table)
    }
}

/// Whether all of these counts are of this table and can be shown together.
///
/// # Errors
/// In words: which stack there is not, or that they are too large as text.
pub(crate) fn check<'a>(
    counts: impl IntoIterator<Item = &'a StackCounts>,
    table: &StackTable,
) -> Result<(), String> {
    let mut text = 0usize;
    for key in counts.into_iter().flat_map(|counts| counts.0.keys()) {
        let stack = key.stack;
        table.stack(stack).ok_or_else(|| format!("there is no stack {stack}"))?;
        text = text.saturating_add(table.text(stack));
    }
    if text > MAX_TEXT {
        return Err(format!("the stacks are {} MiB as text; at most {}", text >> 20, MAX_TEXT >> 20));
    }
    Ok(())
}

/// How counts are written.
#[derive(Serialize, Deserialize)]
struct Stored {
    counts: Vec<Counted>,
}

#[derive(Serialize, Deserialize)]
struct Counted {
    #[serde(flatten)]
    key: StackKey,
    count: u64,
}

impl From<StackCounts> for Stored {
    fn from(counts: StackCounts) -> Self {
        Self { counts: counts.0.into_iter().map(|(key, count)| Counted { key, count }).collect() }
    }
}

impl From<Stored> for StackCounts {
    fn from(stored: Stored) -> Self {
        let mut counts = Self::new();
        stored.counts.into_iter().for_each(|counted| counts.add(counted.key, counted.count));
        counts
    }
}
