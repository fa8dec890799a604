//! What there is of a side: hosts, what is known of how they are set up, what was counted.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::capture::Capture;
use crate::diff::settings::Facts;
use crate::diff::{Source, What};
use crate::host::Host;
use crate::recording::{Data, Recording, WorkDone};
use crate::snapshot::{Rate, Snapshot};

/// One side, as it is handed in.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// What it is called: `A`, `good`.
    pub name: String,
    /// Its hosts.
    pub members: Vec<Member>,
}

/// One host of a side.
#[derive(Clone, Debug)]
pub struct Member {
    /// As the user named it: a host, a file.
    pub target: String,
    /// The name that ssh reaches it by; absent where it is this host, or a file.
    pub remote: Option<String>,
    /// What was recorded there, once or several times.
    pub capture: Capture,
}

/// One side, as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Side {
    /// What it is called.
    pub name: String,
    /// Its hosts.
    pub hosts: Vec<HostOf>,
}

/// A host of a side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostOf {
    /// As the user named it.
    pub target: String,
    /// The name that ssh reaches it by; absent where it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// The host.
    pub host: Host,
    /// How many recordings there are of it.
    pub recordings: usize,
    /// When the first of them began, in ms since 1970 by our own clock.
    pub started_ms: u64,
    /// When the last of them ended, likewise.
    pub ended_ms: u64,
    /// Its clock minus ours, in microseconds; absent where it was not measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_offset_us: Option<i64>,
}

/// A side, by what its recordings are.
pub(super) struct Gathered {
    pub(super) side: Side,
    pub(super) snapshots: Vec<(Host, Snapshot)>,
    pub(super) rates: Vec<Counted>,
    pub(super) traces: Vec<Source<'static>>,
    /// What counters of the user's say; absent where they do not of every host.
    pub(super) done: Option<WorkDone>,
}

/// What one snapshot counted, and over how many seconds.
pub(super) struct Counted {
    pub(super) seconds: f64,
    pub(super) rates: Vec<Rate>,
}

impl Gathered {
    pub(super) fn of(group: Group) -> Self {
        let side = Side { name: group.name, hosts: Vec::new() };
        let done = done(&group.members);
        let mut all = Self { side, snapshots: Vec::new(), rates: Vec::new(), traces: Vec::new(), done };
        group.members.into_iter().for_each(|member| all.add(member));
        all
    }

    pub(super) fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.traces.is_empty()
    }

    pub(super) fn facts(&self) -> Vec<Facts<'_>> {
        self.snapshots.iter().map(|(host, snapshot)| Facts { host, snapshot }).collect()
    }

    fn add(&mut self, member: Member) {
        self.side.hosts.extend(host(&member));
        let mut known: Option<(Host, Snapshot)> = None;
        let mut audit = None;
        for recording in member.capture.recordings {
            let host = recording.host.clone();
            match recording.data {
                Data::Snapshot(snapshot) => {
                    self.rates.extend(Counted::of(&snapshot));
                    // What is set does not change from one recording to the next.
                    known.get_or_insert((host, *snapshot));
                }
                Data::Offload(offload, judged) => {
                    audit = Some((host, Snapshot { offload, audit: judged, ..Snapshot::default() }));
                }
                Data::Trace(_) => {
                    let name = format!("{} of {}", recording.command, member.target);
                    self.traces.push(Source { name, what: What::Recording(Box::new(recording)) });
                }
                Data::Fix(_) | Data::Undo(_) | Data::History(_) => {}
            }
        }
        if let (Some((_, snapshot)), Some((_, alone))) = (&mut known, &audit)
            && snapshot.offload.namespaces.is_empty()
        {
            snapshot.offload = alone.offload.clone();
            snapshot.audit = alone.audit.clone();
        }
        self.snapshots.extend(known.or(audit));
    }
}

impl Counted {
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let seconds = snapshot.interval_ms as f64 / 1000.0;
        (seconds > 0.0).then(|| Self { seconds, rates: snapshot.rates.clone() })
    }
}

/// All of them together.
fn done(members: &[Member]) -> Option<WorkDone> {
    let mut sum = WorkDone::default();
    for member in members {
        let sides = member.capture.recordings.iter().filter_map(|one| one.side.as_ref());
        // What was recorded in one go has the same.
        let each: BTreeSet<WorkDone> = sides.filter_map(|side| side.work).collect();
        if each.is_empty() {
            return None;
        }
        each.into_iter().for_each(|one| sum += one);
    }
    (sum.over_us > 0).then_some(sum)
}

fn host(member: &Member) -> Option<HostOf> {
    let all = &member.capture.recordings;
    let first = all.first()?;
    let offset = first.side.as_ref().and_then(|side| side.clock_offset_us);
    let ours = |ms: u64| ms.saturating_add_signed(-offset.unwrap_or(0) / 1000);
    let ended = |one: &Recording| one.started_ms.saturating_add(one.elapsed_ms.unwrap_or(0));
    Some(HostOf {
        target: member.target.clone(),
        remote: member.remote.clone(),
        host: first.host.clone(),
        recordings: all.len(),
        started_ms: ours(all.iter().map(|one| one.started_ms).min()?),
        ended_ms: ours(all.iter().map(ended).max()?),
        clock_offset_us: offset,
    })
}
