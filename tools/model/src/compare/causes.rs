//! Settings that differ, joined with the symptoms that they are known to cause.

use serde::Serialize;

use super::pairs::Part;
use super::rates::RateChange;
use super::rules::{self, RULES, Rule};
use super::share::{self, Unexplained};
use crate::diff::settings::{Class, Difference};
use crate::diff::{Changes, Kind, Which, stacks};
use crate::snapshot::{Area, Unit};

/// What somebody set comes first when it carries this part of what the largest carries.
const ENOUGH: f64 = 0.25;
/// As many symptoms of a kind are kept of a cause, the largest.
const KEPT: usize = 4;
/// What stands without a setting has to carry so much of the change in busy cores.
const LEAST_SHARE: f64 = 0.05;
/// Or so many more timers a second,
const LEAST_TIMERS: f64 = 500.0;
/// or so much of a counter: events, or microseconds.
const LEAST_COUNT: [(Unit, f64); 2] = [(Unit::Events, 100.0), (Unit::Microseconds, 50_000.0)];

/// What is likely to have caused what changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cause {
    /// The rule that says so.
    pub rule: &'static Rule,
    /// The settings that differ, an administrator's first; empty where symptoms alone say it.
    pub settings: Vec<Difference>,
    /// What changed that those are known to cause, the most telling first.
    pub symptoms: Vec<Symptom>,
    /// The side that is worse off.
    pub worse: Which,
    /// Busy cores of B less those of A on the stacks that it is known by; absent without
    /// a profile.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
}

/// Something that was measured and changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Symptom {
    /// What was measured.
    pub measured: Measured,
    /// Of which function, timer or counter.
    pub name: String,
    /// On A.
    pub a: f64,
    /// On B.
    pub b: f64,
}

/// What a symptom's figures are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measured {
    /// Cores busy in a function and what it calls.
    Cores,
    /// Stacks with a function, by second, of what was traced.
    Stacks,
    /// Calls by second.
    Calls,
    /// Starts of timers by second.
    Timers,
    /// A quantile of durations in nanoseconds, in hundredths of a per cent.
    Duration(u32),
    /// Counts of a counter by second.
    Counter(Unit),
}

impl Cause {
    /// Whether the side that its settings call the worse is not the one that spends more
    /// time on its stacks: it may be what calls take longer for, and no cause of that time.
    fn is_refuted(&self) -> bool {
        let way = if self.worse == Which::B { 1.0 } else { -1.0 };
        self.cores.is_some_and(|cores| cores * way < 0.0)
    }
}

impl Symptom {
    fn change(&self) -> f64 {
        self.b - self.a
    }

    /// How far apart both sides are, whatever is measured.
    fn size(&self) -> f64 {
        let small = self.a.max(self.b) / 1000.0;
        ((self.b + small) / (self.a + small)).ln().abs()
    }

    /// Whether a rule knows it.
    fn fits(&self, rule: &Rule) -> bool {
        match self.measured {
            Measured::Cores | Measured::Stacks | Measured::Calls => rules::any(rule.signs, &self.name),
            Measured::Timers => rules::any(rule.timers, &self.name),
            Measured::Duration(_) => rules::any(rule.slow, &self.name),
            Measured::Counter(_) => rules::any(rule.rates, &self.name),
        }
    }
}

/// The causes by how much they carry, and what of the profile none of them does.
pub(super) fn find(
    rows: &[Difference],
    parts: &[Part],
    rates: &[RateChange],
) -> (Vec<Cause>, Option<Unexplained>) {
    let symptoms = symptoms(parts, rates);
    let profile = parts.iter().find(|part| part.is_profile()).and_then(Part::stacks);
    let mut causes: Vec<Cause> = RULES.iter().filter_map(|rule| cause(rule, rows, &symptoms)).collect();
    causes.sort_by(|one, other| strength(other).total_cmp(&strength(one)));
    let Some(stacks) = profile else { return (own_symptoms(ranked(causes, 1.0)), None) };
    // A is taken to be the better one, unless B clearly uses less.
    let better = stacks.total.change() < -LEAST_SHARE * stacks.total.a;
    let way = if better { -1.0 } else { 1.0 };
    let mut refuted: Vec<&'static str> = Vec::new();
    // Those that are left out, or refuted, leave their samples to others.
    loop {
        let order: Vec<&'static str> = causes.iter().map(|cause| cause.rule.id).collect();
        let unexplained = claim(&mut causes, stacks, &refuted);
        let before = (causes.len(), refuted.len());
        refuted.extend(causes.iter().filter(|cause| cause.is_refuted()).map(|cause| cause.rule.id));
        let least = LEAST_SHARE * stacks.total.a.max(stacks.total.b);
        causes.retain(|cause| !cause.settings.is_empty() || stands(cause, least));
        causes = own_symptoms(ranked(causes, way));
        if (causes.len(), refuted.len()) == before {
            return (causes, Some(unexplained));
        }
        causes.sort_by_key(|cause| order.iter().position(|id| *id == cause.rule.id));
    }
}

/// Those that have a symptom which none before them has: a slow call that one cause
/// explains is no sign of another.
fn own_symptoms(causes: Vec<Cause>) -> Vec<Cause> {
    let mut seen: Vec<(Measured, String)> = Vec::new();
    let mut kept = Vec::new();
    for cause in causes {
        let keys: Vec<_> = cause.symptoms.iter().map(|one| (one.measured, one.name.clone())).collect();
        if keys.iter().any(|key| !seen.contains(key)) {
            seen.extend(keys);
            kept.push(cause);
        }
    }
    kept
}

/// Gives each cause that is not refuted its part of the change in busy cores; the rest.
fn claim(causes: &mut [Cause], stacks: &stacks::Stacks, refuted: &[&str]) -> Unexplained {
    let (mut claiming, others): (Vec<&mut Cause>, Vec<&mut Cause>) =
        causes.iter_mut().partition(|cause| !refuted.contains(&cause.rule.id));
    let rules: Vec<&Rule> = claiming.iter().map(|cause| cause.rule).collect();
    let (shares, unexplained) = share::of(stacks, &rules);
    claiming.iter_mut().zip(&shares).for_each(|(cause, share)| cause.cores = Some(*share));
    others.into_iter().for_each(|cause| cause.cores = None);
    unexplained
}

/// Without a setting something has to be large.
fn stands(cause: &Cause, least: f64) -> bool {
    let large = |one: &Symptom| {
        let least = match one.measured {
            Measured::Timers => LEAST_TIMERS,
            Measured::Counter(of) => {
                LEAST_COUNT.iter().find(|(unit, _)| *unit == of).map_or(0.0, |one| one.1)
            }
            _ => return false,
        };
        one.change().abs() >= least
    };
    cause.cores.is_some_and(|cores| cores.abs() >= least) || cause.symptoms.iter().any(large)
}

/// Causes with a setting first, then by how much of CPU time the signs of each moved.
fn strength(cause: &Cause) -> f64 {
    let cores = |one: &&Symptom| one.measured == Measured::Cores;
    let moved: f64 = cause.symptoms.iter().filter(cores).map(|one| one.change().abs()).fold(0.0, f64::max);
    moved + if cause.settings.is_empty() { 0.0 } else { 1e6 }
}

/// What carries most of the change comes first; without a profile what is farthest apart.
/// What somebody set comes before what the OS brings anyway, unless it carries little
/// beside that.
fn ranked(mut causes: Vec<Cause>, way: f64) -> Vec<Cause> {
    let farthest = |cause: &Cause| cause.symptoms.iter().map(Symptom::size).fold(0.0, f64::max);
    let key = |cause: &Cause| cause.cores.unwrap_or(0.0) * way;
    let enough = ENOUGH * causes.iter().map(key).fold(0.0, f64::max);
    let set = |cause: &Cause| {
        key(cause) > 0.0 && key(cause) >= enough && cause.settings.iter().any(|row| row.class == Class::Set)
    };
    causes.sort_by(|one, other| {
        let farther = || farthest(other).total_cmp(&farthest(one));
        set(other).cmp(&set(one)).then_with(|| key(other).total_cmp(&key(one))).then_with(farther)
    });
    causes
}

fn cause(rule: &'static Rule, rows: &[Difference], symptoms: &[Symptom]) -> Option<Cause> {
    let known =
        |row: &&Difference| row.class != Class::Volatile && rule.of(row).is_some() && !is_unknown_to_one(row);
    let mut settings: Vec<Difference> = rows.iter().filter(known).cloned().collect();
    settings.sort_by_key(|row| (row.class, row.places.is_empty()));
    if settings.is_empty() && !rule.alone {
        return None;
    }
    let mut found: Vec<&Symptom> = symptoms.iter().filter(|symptom| symptom.fits(rule)).collect();
    let seen = || {
        let most = found.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)));
        most.map_or(0, |symptom| if symptom.change() > 0.0 { 1 } else { -1 })
    };
    let way = said(rule, &settings).unwrap_or_else(seen);
    found.retain(|symptom| symptom.change() * f64::from(way) > 0.0);
    settings.retain(|row| rule.of(row).is_some_and(|one| [0, way].contains(&one.direction(row))));
    // Those whose values say so come first.
    let tells = |row: &Difference| rule.of(row).is_some_and(|one| one.direction(row) == way);
    settings.sort_by_key(|row| (row.class, !tells(row), row.places.is_empty()));
    let worse = if way > 0 { Which::B } else { Which::A };
    let symptoms = kept(found);
    (!symptoms.is_empty()).then_some(Cause { rule, settings, symptoms, worse, cores: None })
}

/// Which side the values of settings call the worse: those that somebody set, where there
/// are any. Where they contradict each other, and where they say nothing, symptoms tell.
fn said(rule: &Rule, settings: &[Difference]) -> Option<i8> {
    let first = settings.first()?.class;
    let ways = settings.iter().filter(|row| row.class == first).map(|row| match rule.of(row) {
        Some(one) => one.direction(row),
        None => 0,
    });
    let mut ways = ways.filter(|way| *way != 0);
    let way = ways.next()?;
    ways.all(|other| other == way).then_some(way)
}

/// Whether one kernel alone has such a setting: that it is n/a on the other says nothing.
/// What is loaded, or asked for on the command line, may well be there on one side alone.
fn is_unknown_to_one(row: &Difference) -> bool {
    let may_be_absent = [Area::Bpf, Area::Cgroup, Area::Config, Area::Kernel, Area::Module, Area::Qdisc];
    row.a.is_some() != row.b.is_some() && row.class == Class::Os && !may_be_absent.contains(&row.area)
}

/// Cores count most, then whatever is farthest apart.
fn weight(symptom: &Symptom) -> f64 {
    match symptom.measured {
        Measured::Cores => 1e6 + symptom.change().abs(),
        _ => symptom.size(),
    }
}

/// The largest of each kind.
fn kept(mut found: Vec<&Symptom>) -> Vec<Symptom> {
    found.sort_by(|one, other| {
        one.measured_kind().cmp(&other.measured_kind()).then_with(|| weight(other).total_cmp(&weight(one)))
    });
    let mut kept: Vec<Symptom> = Vec::new();
    for symptom in found {
        let same = kept.iter().filter(|one| one.measured_kind() == symptom.measured_kind()).count();
        if same < KEPT {
            kept.push(symptom.clone());
        }
    }
    kept
}

impl Symptom {
    /// Its kind, in the order in which they are told.
    fn measured_kind(&self) -> u8 {
        match self.measured {
            Measured::Stacks => 0,
            Measured::Cores => 1,
            Measured::Calls => 2,
            Measured::Timers => 3,
            Measured::Duration(_) => 4,
            Measured::Counter(_) => 5,
        }
    }
}

/// Everything that changed by more than noise.
fn symptoms(parts: &[Part], rates: &[RateChange]) -> Vec<Symptom> {
    let counters = rates.iter().map(|rate| Symptom {
        measured: Measured::Counter(rate.unit),
        name: rate.name.clone(),
        a: rate.a,
        b: rate.b,
    });
    parts.iter().flat_map(of_part).chain(counters).collect()
}

fn of_part(part: &Part) -> Vec<Symptom> {
    match &part.comparison.changes {
        Changes::Stacks(stacks) => of_stacks(part.kind, stacks),
        Changes::Counts(counts) => {
            let timers = part.kind == Kind::Timers;
            let measured = if timers { Measured::Timers } else { Measured::Calls };
            let rows = counts.rows.iter().filter(|row| super::is_change(&row.change));
            rows.map(|row| Symptom { measured, name: row.name.clone(), a: row.a.rate, b: row.b.rate })
                .collect()
        }
        Changes::Latency(latency) => {
            let rows = latency.rows.iter().filter(|row| row.group.is_none());
            let rows = rows.filter_map(|row| Some((row.name.clone()?, &row.quantiles)));
            rows.flat_map(|(name, quantiles)| {
                let changed =
                    quantiles.iter().filter(|one| one.change.as_ref().is_some_and(super::is_change));
                changed.filter_map(move |one| {
                    let (a, b) = (one.a? as f64, one.b? as f64);
                    Some(Symptom { measured: Measured::Duration(one.hundredths), name: name.clone(), a, b })
                })
            })
            .collect()
        }
        Changes::Values(_) | Changes::Distribution(_) | Changes::Offload(_) => Vec::new(),
    }
}

/// Of waits nothing is known to be caused.
fn of_stacks(kind: Kind, stacks: &stacks::Stacks) -> Vec<Symptom> {
    let measured = match kind {
        Kind::Profile => Measured::Cores,
        Kind::Stacks => Measured::Stacks,
        _ => return Vec::new(),
    };
    let rows = stacks.frames.iter().filter(|row| !row.name.is_empty() && super::is_change(&row.change));
    rows.map(|row| Symptom { measured, name: row.name.clone(), a: row.total.a, b: row.total.b }).collect()
}
