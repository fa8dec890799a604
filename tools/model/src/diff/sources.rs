//! What is compared: files, the kind of each, and what is to be doubted.

use std::io::BufRead;

use super::stacks::{FoldedError, Full};
use super::{Doubt, MAX_LOST, Side, Which};
use crate::offload::OffloadData;
use crate::recording::{Data, Recording};
use crate::trace::{Filter, Payload, Profile, Trace, Window};

/// A file to be compared.
pub struct Source<'a> {
    /// The name that it was given by.
    pub name: String,
    /// What is in it.
    pub what: What<'a>,
}

/// What is in a file to be compared.
pub enum What<'a> {
    /// A recording.
    Recording(Box<Recording>),
    /// Stacks as text, which is read as it is compared.
    Stacks(Box<dyn BufRead + 'a>),
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Calls by function.
    Counts,
    /// Starts of timers by what they call, and for whom.
    Timers,
    /// Calls by stack, or whatever folded text counts.
    Stacks,
    /// Samples of CPUs by stack.
    Profile,
    /// Time that tasks waited, by stack.
    Waits,
    /// How long calls took.
    Latency,
    /// Calls by the values of their arguments and returns.
    Values,
    /// How such a value is spread.
    Distributions,
    /// Features of network devices.
    Offload,
}

impl Kind {
    /// For messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counts => "counts of functions",
            Self::Timers => "starts of timers",
            Self::Stacks => "stacks",
            Self::Profile => "samples of CPUs",
            Self::Waits => "waits of tasks",
            Self::Latency => "latencies",
            Self::Values => "values of arguments",
            Self::Distributions => "distributions of arguments",
            Self::Offload => "features of network devices",
        }
    }
}

/// Why two sides cannot be compared at all.
#[derive(Debug)]
pub enum Refusal {
    /// A file has nothing that is compared.
    Nothing(String),
    /// They are of different kinds.
    Kinds([(String, Kind); 2]),
    /// They have no function in common.
    NoneInCommon,
    /// They counted other values: what was asked for on each.
    Questions([String; 2]),
    /// Settings are compared one with one.
    One,
    /// A recording has more different stacks than are kept.
    Full(String, Full),
    /// Text is not what stacks look like.
    Unreadable(String, FoldedError),
}

impl Source<'_> {
    /// The recording that it is, unless it is text.
    pub fn recording(&self) -> Option<&Recording> {
        match &self.what {
            What::Recording(recording) => Some(recording),
            What::Stacks(_) => None,
        }
    }

    /// The same, to be changed.
    pub fn recording_mut(&mut self) -> Option<&mut Recording> {
        match &mut self.what {
            What::Recording(recording) => Some(recording),
            What::Stacks(_) => None,
        }
    }

    fn trace(&self) -> Option<&Trace> {
        match &self.recording()?.data {
            Data::Trace(trace) => Some(trace),
            _ => None,
        }
    }

    pub(super) fn offload(&self) -> Result<&OffloadData, Refusal> {
        match self.recording().map(|recording| &recording.data) {
            Some(Data::Offload(data, _)) => Ok(data),
            _ => Err(Refusal::Nothing(self.name.clone())),
        }
    }

    /// What it can be compared with: others of the same kind.
    pub fn kind(&self) -> Option<Kind> {
        let Some(recording) = self.recording() else { return Some(Kind::Stacks) };
        match &recording.data {
            Data::Offload(..) => Some(Kind::Offload),
            Data::Trace(trace) => Some(match &trace.windows.iter().next()?.payload {
                Payload::Counts(_) => Kind::Counts,
                Payload::Stacks(_) => match trace.head.asked.profile {
                    None => Kind::Stacks,
                    Some(Profile::OnCpu { .. }) => Kind::Profile,
                    Some(Profile::OffCpu { .. }) => Kind::Waits,
                },
                Payload::Latency(_) => Kind::Latency,
                Payload::Timers(_) => Kind::Timers,
                Payload::Values(_) => Kind::Values,
                Payload::Distribution(_) => Kind::Distributions,
            }),
            Data::Fix(_) | Data::Undo(_) | Data::History(_) | Data::Snapshot(_) => None,
        }
    }
}

/// The kind that all of them have.
pub(super) fn common_kind<'a>(mut all: impl Iterator<Item = &'a Source<'a>>) -> Result<Kind, Refusal> {
    let kind = |one: &Source<'_>| one.kind().ok_or_else(|| Refusal::Nothing(one.name.clone()));
    let first = all.next().ok_or(Refusal::One)?;
    let wanted = kind(first)?;
    for other in all {
        let found = kind(other)?;
        if found != wanted {
            return Err(Refusal::Kinds([(first.name.clone(), wanted), (other.name.clone(), found)]));
        }
    }
    Ok(wanted)
}

pub(super) fn traces<'a>(side: &'a [Source<'_>]) -> Vec<&'a Trace> {
    side.iter().filter_map(Source::trace).collect()
}

/// What stands above a comparison of one side; of text nothing but the names.
pub(super) fn side(sources: &[Source<'_>]) -> Side {
    let traces = traces(sources);
    let whole = !traces.is_empty() && traces.len() == sources.len();
    let sum = |of: fn(&Trace) -> u64| traces.iter().map(|trace| of(trace)).fold(0, u64::saturating_add);
    Side {
        files: sources.iter().map(|one| one.name.clone()).collect(),
        host: sources.iter().find_map(|one| Some(one.recording()?.host.clone())),
        recorded_ms: whole.then(|| sum(recorded_ms)),
        events: whole.then(|| sum(events)),
        lost: sum(lost),
    }
}

/// Milliseconds that were counted in.
pub(super) fn recorded_ms(trace: &Trace) -> u64 {
    trace.windows.iter().map(Window::length_ms).fold(0, u64::saturating_add)
}

fn events(trace: &Trace) -> u64 {
    trace.windows.iter().map(|window| window.payload.events()).fold(0, u64::saturating_add)
}

fn lost(trace: &Trace) -> u64 {
    trace.accounting.iter().flat_map(|all| all.losses()).map(|(_, lost)| lost).fold(0, u64::saturating_add)
}

/// What is to be doubted of both sides.
pub(super) fn doubts(sides: [&[&Trace]; 2]) -> Vec<Doubt> {
    let each = sides.iter().zip([Which::A, Which::B]).flat_map(|(traces, which)| of_side(traces, which));
    each.chain(filters(sides)).collect()
}

fn of_side(traces: &[&Trace], which: Which) -> Vec<Doubt> {
    let events: f64 = traces.iter().map(|trace| events(trace) as f64).sum();
    let lost: f64 = traces.iter().map(|trace| lost(trace) as f64).sum();
    let partial = traces.iter().any(|trace| trace.accounting.is_none());
    let found = [
        (lost > MAX_LOST * (events + lost), Doubt::Lost(which)),
        (events == 0.0 && !traces.is_empty(), Doubt::Empty(which)),
        (partial, Doubt::Partial(which)),
    ];
    found.into_iter().filter(|(is, _)| *is).map(|(_, doubt)| doubt).collect()
}

/// Whose events count, and which, must be the same question on both sides.
fn filters(sides: [&[&Trace]; 2]) -> Option<Doubt> {
    let condition = |trace: &Trace| trace.head.asked.arguments.as_ref()?.condition.clone();
    let filtered = |trace: &&Trace| (trace.head.asked.filter != Filter::default(), condition(trace));
    let mut all = sides.into_iter().flatten().map(filtered);
    let first = all.next()?;
    all.any(|other| other != first).then_some(Doubt::Filter)
}
