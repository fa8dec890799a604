//! Which recordings are compared with which.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::diff::{self, Changes, Comparison, How, Kind, Refusal, Source, Which};
use crate::recording::Data;
use crate::trace::Trace;

/// Recordings of a kind of both sides, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Part {
    /// The command that made them.
    pub command: String,
    /// What it was asked to trace; of what both sides asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<String>,
    /// What stacks are of CPU time.
    #[serde(skip)]
    pub(super) kind: Kind,
    /// The comparison, as `hostdiag diff` makes it.
    pub comparison: Comparison,
}

impl Part {
    /// Whether it is of durations.
    pub fn is_latency(&self) -> bool {
        self.kind == Kind::Latency
    }

    /// Whether it is of what CPUs did.
    pub fn is_profile(&self) -> bool {
        self.kind == Kind::Profile
    }

    /// Stacks of it, where it is of those.
    pub fn stacks(&self) -> Option<&diff::stacks::Stacks> {
        match &self.comparison.changes {
            Changes::Stacks(stacks) => Some(stacks),
            _ => None,
        }
    }
}

/// What is compared with its like: the command, and what it was asked for.
type Key = (String, Vec<String>);

type Keyed = BTreeMap<Key, Vec<Source<'static>>>;

type Compared = (Vec<Part>, Vec<(Which, String)>);

/// Compares what was recorded with the same command and patterns; of what is left, what
/// shares a pattern. The second value is what only one side has.
pub(super) fn compare(sides: [Vec<Source<'static>>; 2], how: How) -> Result<Compared, Refusal> {
    let [mut a, mut b] = sides.map(keyed);
    let mut parts = Vec::new();
    let mut alone = Vec::new();
    for (key, of_a) in std::mem::take(&mut a) {
        match take(&mut b, &key) {
            Some((patterns, of_b)) => parts.extend(part(key.0, patterns, [of_a, of_b], how)?),
            None => alone.push((Which::A, words(&key))),
        }
    }
    alone.extend(b.keys().map(|key| (Which::B, words(key))));
    parts.sort_by(|one, other| (&one.command, &one.patterns).cmp(&(&other.command, &other.patterns)));
    Ok((parts, alone))
}

fn keyed(sources: Vec<Source<'static>>) -> Keyed {
    let mut all = Keyed::new();
    for source in sources {
        let Some((recording, trace)) = source.recording().zip(trace(&source)) else { continue };
        let mut patterns = trace.head.asked.patterns.clone();
        patterns.sort();
        all.entry((recording.command.clone(), patterns)).or_default().push(source);
    }
    all
}

fn trace<'a>(source: &'a Source<'_>) -> Option<&'a Trace> {
    match &source.recording()?.data {
        Data::Trace(trace) => Some(trace),
        _ => None,
    }
}

/// The same, or else what shares the most with it; and the patterns that both have.
fn take(others: &mut Keyed, key: &Key) -> Option<(Vec<String>, Vec<Source<'static>>)> {
    if let Some(found) = others.remove(key) {
        return Some((key.1.clone(), found));
    }
    let shared = |other: &Key| key.1.iter().filter(|pattern| other.1.contains(pattern)).count();
    let nearest = others.keys().filter(|other| other.0 == key.0).max_by_key(|other| shared(other))?.clone();
    let patterns = key.1.iter().filter(|pattern| nearest.1.contains(pattern)).cloned().collect::<Vec<_>>();
    let found = (!patterns.is_empty()).then(|| others.remove(&nearest))??;
    Some((patterns, found))
}

fn words((command, patterns): &Key) -> String {
    std::iter::once(command.clone()).chain(patterns.iter().cloned()).collect::<Vec<_>>().join(" ")
}

/// `None` where nothing was counted that could be compared.
fn part(
    command: String,
    patterns: Vec<String>,
    [a, b]: [Vec<Source<'static>>; 2],
    how: How,
) -> Result<Option<Part>, Refusal> {
    let kind = match a.first().and_then(Source::kind) {
        Some(Kind::Values | Kind::Distributions | Kind::Offload) | None => return Ok(None),
        Some(kind) => kind,
    };
    match diff::compare(a, b, how) {
        Ok(comparison) => Ok(Some(Part { command, patterns, kind, comparison })),
        Err(Refusal::NoneInCommon | Refusal::Nothing(_) | Refusal::Kinds(_)) => Ok(None),
        Err(refusal) => Err(refusal),
    }
}
