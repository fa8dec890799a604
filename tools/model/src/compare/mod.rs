//! Two hosts, or two groups of them, side by side: what changed, and which difference
//! between them is known to cause that.
//!
//! Everything here is a pure function of the recordings. Recordings of a kind are
//! compared by [`crate::diff`]; what it finds are the symptoms. Settings that differ are
//! joined with the symptoms that they are known to cause ([`rules`]). Each sample of the
//! profile is counted for one cause at most ([`share`]).
//!
//! `hostdiag compare --format json` is one document:
//!
//! ```text
//! {"schema":"hostdiag.compare","version":1,
//!  "a":{"name":"A","hosts":[{"target":"web16","remote":"web16","host":{"name":"web16","kernel":"…"},
//!   "recordings":6,"started_ms":1787000000000,"ended_ms":1787000034000,"clock_offset_us":-310}]},
//!  "b":{…},
//!  "verdict":"differs",
//!  "work":{"basis":{"per-unit":["bytes-sent",0.21]},
//!   "measures":[{"kind":"bytes-sent","a":248111388.2,"b":50887992.5},…]},
//!  "cores":{"source":"profile","a":1.99,"b":9.05,"change":{"ratio":4.55,"interval":[1.96,10.54],
//!   "detectable":3.32,"verdict":"indicative"}},
//!  "causes":[{"rule":"offload-send","worse":"b","cores":2.22,
//!   "settings":[{"area":"nic","name":"tx-scatter-gather","a":"on","b":"off","origins":[null,null],
//!    "places":[{"a":"vlan10","b":"vlan10","role":"vlan 10 on bond"}],"class":"set"},…],
//!   "symptoms":[{"measured":"cores","name":"skb_segment","a":0.0,"b":0.727},
//!    {"measured":{"duration":9900},"name":"do_sendfile","a":248000.0,"b":7300000.0},…]}],
//!  "unexplained":{"cores":4.84,"mostly":[{"name":"start_thread","cores":3.27},…]},
//!  "others":[{"rule":"qdisc","area":"sysctl","name":"net.core.default_qdisc","a":"pfifo_fast",
//!   "b":"fq_codel","origins":[null,"/usr/lib/sysctl.d/50.conf:9"],"class":"os"},…],
//!  "settings":{"compared":1596,"unread":0},
//!  "rates":[{"area":"net","name":"TcpRetransSegs","unit":"events","a":3.0,"b":410.0,"change":{…}},…],
//!  "trust":{"lost":[0,0],"overlap":0.998,"skew_us":3000,"doubts":[["profile",{"lost":"a"}],…]},
//!  "parts":[{"command":"funclatency","patterns":["do_sendfile"],"comparison":{"schema":"hostdiag.diff",…}},…],
//!  "alone":[["b","stackcount do_sendfile"],…]}
//! ```
//!
//! * `basis` is `{"same":KIND}`, `{"per-unit":[KIND,TIMES]}` (B did so many times the work of A,
//!   and its figures are divided by that), `"unknown"` or `"not-comparable"`.
//! * Figures of sides are by second and host; cores are busy CPUs; `counter` is of `events` or
//!   `microseconds`, `duration` of nanoseconds at a quantile in hundredths of a per cent.
//! * Absent is not zero: a setting without `a` is one that A does not have.
//! * `parts` have one document of `hostdiag diff --format json` each ([`crate::diff`]).

use serde::Serialize;

use crate::diff::settings::{self, Difference};
use crate::diff::{Change, How, Refusal, Verdict, Which};

mod causes;
mod cores;
#[cfg(test)]
mod fixture;
mod gather;
mod pairs;
mod rates;
pub mod rules;
mod share;
mod trust;
mod work;

pub use causes::{Cause, Measured, Symptom};
pub use cores::{Cores, Source as CoresSource};
pub use gather::{Group, HostOf, Member, Side};
pub use pairs::Part;
pub use rates::RateChange;
pub use share::{Frame, Unexplained};
pub use trust::Trust;
pub use work::{Basis, Measure, Work, WorkKind};

/// Name of the schema of `hostdiag compare --format json`.
pub const SCHEMA: &str = "hostdiag.compare";
/// Its version.
pub const VERSION: u32 = 1;

/// Everything that follows of both sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: &'static str,
    /// [`VERSION`].
    pub version: u32,
    /// What is compared with.
    pub a: Side,
    /// What is compared.
    pub b: Side,
    /// What follows of all of it: a regression of CPU or latency, or a setting that differs.
    pub verdict: Verdict,
    /// The work that both did.
    pub work: Work,
    /// CPUs that were busy, on average, by host; absent where nobody recorded it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<Cores>,
    /// What is known to cause what changed, the most likely first.
    pub causes: Vec<Cause>,
    /// What of the change in busy cores none of them explains; absent without a profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unexplained: Option<Unexplained>,
    /// Settings that differ beside those: first what could cause something, and an
    /// administrator's before what comes with the OS.
    pub others: Vec<Other>,
    /// How many settings were compared, and how many could not be read.
    pub settings: Settings,
    /// Counters that grow faster or slower on B, by how much, the largest first.
    pub rates: Vec<RateChange>,
    /// How far all of it can be trusted.
    pub trust: Trust,
    /// Each kind of recordings, compared.
    pub parts: Vec<Part>,
    /// Recordings that only one side has: the side and what they are of.
    pub alone: Vec<(Which, String)>,
}

/// How many settings there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Those that both sides have.
    pub compared: usize,
    /// Those that could not be read on a side.
    pub unread: usize,
}

/// A setting that differs, without a symptom.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Other {
    /// The rule that knows what it could cause; absent where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static rules::Rule>,
    /// The difference.
    #[serde(flatten)]
    pub difference: Difference,
}

/// Compares both sides, each with at least one host; `work` says what was done in a
/// second on A and on B where that is known better than from the recordings.
///
/// # Errors
/// There is nothing to compare on a side, or recordings that cannot be read.
pub fn compare(sides: [Group; 2], work: Option<[f64; 2]>) -> Result<Report, Refusal> {
    let [a, b] = sides.map(gather::Gathered::of);
    if let Some(empty) = [&a, &b].into_iter().find(|side| side.is_empty()) {
        return Err(Refusal::Nothing(empty.side.name.clone()));
    }
    let trust = trust::of([&a.side, &b.side]);
    let found = settings::differences(&a.facts(), &b.facts());
    let work = work::of([&a, &b], work);
    let how = How { work: work.scale(), share: false };
    let rates = rates::changes([&a.rates, &b.rates], how.work);
    let cpu_time = cores::of_cpu_time([&a.rates, &b.rates], how.work);
    let (sides, (parts, alone)) = ([a.side, b.side], pairs::compare([a.traces, b.traces], how)?);
    let cores = cores::of_profile(&parts, how.work.is_some()).or(cpu_time);
    let (causes, unexplained) = causes::find(&found.rows, &parts, &rates);
    let others = others(&found.rows, &causes);
    let [a, b] = sides;
    let verdict = verdict(&work, cores.as_ref(), &parts, (&causes, &others));
    let trust = trust.with_losses(&parts);
    let settings = Settings { compared: found.compared, unread: found.unread };
    Ok(Report {
        schema: SCHEMA,
        version: VERSION,
        a,
        b,
        verdict,
        work,
        cores,
        causes,
        unexplained,
        others,
        settings,
        rates,
        trust,
        parts,
        alone,
    })
}

/// What no cause has, by what it could cause and whose doing it is.
fn others(rows: &[Difference], causes: &[Cause]) -> Vec<Other> {
    let used = |row: &&Difference| !causes.iter().any(|cause| cause.settings.contains(row));
    let known = |row: &Difference| rules::RULES.iter().find(|rule| rule.of(row).is_some());
    let other = |row: &Difference| Other { rule: known(row), difference: row.clone() };
    let mut all: Vec<Other> = rows.iter().filter(used).map(other).collect();
    all.sort_by_key(|one| (one.difference.class, one.rule.is_none()));
    all
}

/// A regression of busy cores or latencies, or a setting that differs by someone's doing
/// or causes something. Without work that can be compared, more cores are no regression.
/// Invalid where all that was measured is, and no setting tells anything.
fn verdict(
    work: &Work,
    cores: Option<&Cores>,
    parts: &[Part],
    (causes, others): (&[Cause], &[Other]),
) -> Verdict {
    let latency = parts.iter().filter(|part| part.is_latency()).map(|part| part.comparison.verdict);
    let measured: Vec<Verdict> = cores.map(|cores| cores.change.verdict).into_iter().chain(latency).collect();
    let valid =
        measured.iter().filter(|verdict| **verdict != Verdict::Invalid).map(|verdict| match work.basis {
            Basis::NotComparable if *verdict != Verdict::Same => Verdict::Inconclusive,
            _ => *verdict,
        });
    let set = others.iter().any(|one| one.difference.class == settings::Class::Set);
    let caused = causes.iter().any(|cause| !cause.settings.is_empty());
    let settings = (set || caused).then_some(Verdict::Differs);
    let nothing = if measured.is_empty() { Verdict::Same } else { Verdict::Invalid };
    valid.chain(settings).max().unwrap_or(nothing)
}

/// Whether a change is more than noise.
fn is_change(change: &Change) -> bool {
    matches!(change.verdict, Verdict::Indicative | Verdict::Regressed | Verdict::Improved)
}

#[cfg(test)]
#[path = "compare_tests.rs"]
mod tests;
