//! Carries out a plan, one device at a time: facts as planned? journal, call,
//! compare with the plan, watch, keep or undo.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::plan::{Action, Change, Done, Identity, Plan, Step, UndoResult, UndoneWish};
use hostdiag_model::{Device, FeatureName, Namespace};

use super::facts::Facts;
use super::journal::lock::Lock;
use super::journal::{Journal, State};
use super::undo::Scope;
use super::vitals::{self, Vitals};
use super::{back, compare};

/// The kernel of a namespace; the tests have a model of it.
pub trait Kernel {
    /// Links and features as they are now.
    fn read(&mut self) -> Result<Namespace>;
    /// Sets wishes of a device.
    fn set(&mut self, device: &Identity, wishes: &[(FeatureName, bool)]) -> io::Result<()>;
    /// Makes it compute the features of a device anew.
    fn recompute(&mut self, device: &Identity) -> io::Result<()>;
    /// How the devices with these indices are.
    fn vitals(&mut self, devices: &[u32]) -> io::Result<Vitals>;
    /// Waits that long, or until the run is to end; whether it is.
    fn wait(&mut self, time: Duration) -> bool;
}

/// Since 7.2 VLANs follow from a work queue (net/8021q/vlan.c): as long is
/// waited for what is planned to happen.
const PROPAGATION: Duration = Duration::from_secs(1);
/// Between two looks at the same.
const POLL: Duration = Duration::from_millis(20);
/// Between two looks at vitals.
const WATCH: Duration = Duration::from_millis(250);
/// So many looks are kept, of the last minute: what happens in the later half of it
/// is judged by itself too.
const LOOKS: usize = 240;
/// As long, or as long as is watched afterwards, is looked at vitals before a
/// change: what went wrong then already is nothing the change did. Who waited for
/// something else all the same may have begun with it.
const BASELINE: Duration = Duration::from_secs(1);

/// A run of a plan.
pub struct Run<'a> {
    /// The kernel.
    pub kernel: &'a mut dyn Kernel,
    /// What the plan was made of.
    pub facts: &'a Facts,
    /// Keeps the journal.
    pub lock: &'a Lock,
    /// The journal, written.
    pub journal: Journal,
    /// As long a changed device is watched; zero: not at all.
    pub observe: Duration,
    /// What grows, as it was read before there was a plan: the first step's look at what
    /// was before the change began then.
    pub earlier: Option<Vitals>,
    /// A signal came.
    pub interrupted: bool,
}

impl Run<'_> {
    /// Takes the steps and tells of each as it is done. After one that did not
    /// go well the rest is not begun.
    pub fn steps(&mut self, plan: &Plan, tell: &mut dyn FnMut(&Step, &Done)) {
        let mut expected = Expected { namespace: self.facts.namespace.clone(), unsure: Vec::new() };
        let mut ended: Option<String> = None;
        for (number, step) in plan.steps.iter().enumerate() {
            self.interrupted |= self.kernel.wait(Duration::ZERO);
            if self.interrupted && ended.is_none() {
                ended = Some("interrupted".to_owned());
            }
            let done = match &ended {
                Some(why) => Done::NotStarted { why: why.clone() },
                None => {
                    let done = self.step(number, step, &expected);
                    self.unless_removed(
                        step,
                        done.unwrap_or_else(|error| Done::Failed { error: format!("{error:#}") }),
                    )
                }
            };
            tell(step, &done);
            ended = ended.or_else(|| end(step, done));
            compare::after(&mut expected.namespace, step);
            expected.unsure.extend(step.changes.iter().filter(|change| !change.certain).cloned());
        }
    }

    fn step(&mut self, number: usize, step: &Step, expected: &Expected) -> Result<Done> {
        let namespace = self.kernel.read()?;
        if let Some(why) = compare::changed(&expected.namespace, &namespace, step, &expected.unsure) {
            return Ok(Done::NotStarted { why: format!("{why}: the plan no longer holds") });
        }
        let watched = compare::above_and_below(&namespace, step.device.ifindex);
        let Some(vitals) = self.baseline(&watched)? else {
            return Ok(Done::NotStarted { why: "interrupted".to_owned() });
        };
        // Nobody could tell what comes of a change then.
        if let Some(why) = vitals::restless(&vitals.0, &vitals.1) {
            return Ok(Done::NotStarted { why });
        }
        let before = Before { namespace, watched, vitals };
        self.lock.mark(&mut self.journal, number, State::Begun)?;
        if let Err(error) = self.call(step) {
            let problems = self.roll_back();
            let error = anyhow::Error::from(error);
            return Err(problems.into_iter().fold(error, |error, problem| error.context(problem)));
        }
        match self.check(step, &before) {
            Ok(Checked::Well(done)) => match self.lock.mark(&mut self.journal, number, State::Kept) {
                Ok(()) => Ok(done),
                Err(error) => Ok(self.worse(vec![format!("{error:#}")])),
            },
            Ok(Checked::Worse(worse)) => Ok(self.worse(worse)),
            Ok(Checked::Interrupted) => {
                let problems = self.roll_back();
                Ok(if problems.is_empty() { Done::Interrupted } else { Done::RolledBack { worse: problems } })
            }
            Err(error) => Ok(self.worse(vec![format!("{error:#}")])),
        }
    }

    /// What a device that somebody removed looks like is no harm done. One of hardware
    /// does not go by itself.
    fn unless_removed(&mut self, step: &Step, done: Done) -> Done {
        let bad = matches!(done, Done::RolledBack { .. } | Done::Failed { .. });
        if !bad || step.device.kind.is_none() {
            return done;
        }
        let index = Some(step.device.ifindex);
        let here = |device: &Device| device.link.as_ref().map(|link| link.ifindex) == index;
        match self.kernel.read() {
            Ok(now) if !now.devices.iter().any(here) => Done::Removed,
            _ => done,
        }
    }

    /// Whether what happened is what was planned, and does no harm.
    fn check(&mut self, step: &Step, before: &Before) -> Result<Checked> {
        let changes = self.outcome(step, &before.namespace)?;
        let stack = compare::stack_of(&before.namespace, step.device.ifindex);
        let mut surprises = compare::surprises(step, &changes);
        // What others change elsewhere is their business.
        surprises.retain(|change| stack.contains(&change.ifindex));
        if !surprises.is_empty() {
            return Ok(Checked::Worse(surprises.iter().map(unplanned).collect()));
        }
        let missing = self.missing(step, &changes)?;
        if let Some(ended) = self.watch(before)? {
            return Ok(ended);
        }
        Ok(Checked::Well(if missing.is_empty() {
            Done::Repaired { changes }
        } else {
            Done::NotFollowed { changes, missing }
        }))
    }

    fn call(&mut self, step: &Step) -> io::Result<()> {
        match &step.action {
            Action::Recompute => self.kernel.recompute(&step.device),
            Action::Set { features } => {
                let wishes: Vec<_> = features.iter().map(|feature| (feature.clone(), true)).collect();
                self.kernel.set(&step.device, &wishes)
            }
        }
    }

    /// What has changed once all that was planned has, or after a while.
    fn outcome(&mut self, step: &Step, before: &Namespace) -> Result<Vec<Change>> {
        let mut waited = Duration::ZERO;
        loop {
            let changes = compare::changes(before, &self.kernel.read()?);
            if compare::complete(step, &changes) || waited >= PROPAGATION {
                return Ok(changes);
            }
            std::thread::sleep(POLL);
            waited += POLL;
        }
    }

    /// Features that did not come. Their wishes are taken back: they would
    /// change nothing.
    fn missing(&mut self, step: &Step, changes: &[Change]) -> Result<Vec<FeatureName>> {
        let came = |feature: &&FeatureName| {
            changes.iter().any(|change| {
                change.ifindex == step.device.ifindex && change.feature == **feature && change.after.active()
            })
        };
        let missing: Vec<FeatureName> =
            step.repairs.iter().filter(|feature| !came(feature)).cloned().collect();
        if let Action::Set { features } = &step.action {
            let back: Vec<_> = missing
                .iter()
                .filter(|name| features.contains(name))
                .map(|name| (name.clone(), false))
                .collect();
            if !back.is_empty() {
                self.kernel.set(&step.device, &back)?;
            }
        }
        Ok(missing)
    }

    /// Vitals a moment ago and now; `None` where the run is to end.
    fn baseline(&mut self, devices: &[u32]) -> Result<Option<(Vitals, Vitals)>> {
        let now = self.kernel.vitals(devices)?;
        let first = self.earlier.take().unwrap_or_else(|| now.clone());
        let left = BASELINE.min(self.observe).saturating_sub(now.at.saturating_sub(first.at));
        if left.is_zero() {
            return Ok(Some((first, now)));
        }
        if self.kernel.wait(left) {
            self.interrupted = true;
            return Ok(None);
        }
        Ok(Some((first, self.kernel.vitals(devices)?)))
    }

    /// Watches the stack of a device. `None`: nothing got worse.
    fn watch(&mut self, before: &Before) -> Result<Option<Checked>> {
        let (baseline, start) = &before.vitals;
        let mut watched = Duration::ZERO;
        let mut looks: VecDeque<Vitals> = VecDeque::new();
        while watched < self.observe {
            let pause = WATCH.min(self.observe.saturating_sub(watched));
            if self.kernel.wait(pause) {
                self.interrupted = true;
                return Ok(Some(Checked::Interrupted));
            }
            watched += pause;
            let now = self.kernel.vitals(&before.watched)?;
            let mut worse = vitals::worse(baseline, start, &now);
            let long_enough = |middle: &&Vitals| now.at.saturating_sub(middle.at) >= BASELINE;
            let middle = looks.get(looks.len() / 2).filter(long_enough);
            if let Some(middle) = middle.filter(|_| worse.is_empty()) {
                worse.extend(vitals::worse_since([baseline, start], middle, &now));
            }
            if !worse.is_empty() {
                return Ok(Some(Checked::Worse(worse)));
            }
            looks.truncate(LOOKS - 1);
            looks.push_front(now);
        }
        Ok(None)
    }

    fn worse(&mut self, mut worse: Vec<String>) -> Done {
        worse.extend(self.roll_back());
        Done::RolledBack { worse }
    }

    /// Takes back the step that is begun; what went wrong. The next run tries
    /// again where the journal still has it as begun.
    fn roll_back(&mut self) -> Vec<String> {
        let undone = self.kernel.read().and_then(|namespace| {
            let now = Facts { namespace, ..self.facts.clone() };
            back::take(self.lock, &mut self.journal, Scope::Begun, (self.kernel, &now))
        });
        let conflict = |wish: UndoneWish| match wish.result {
            UndoResult::Conflict { why } => {
                Some(format!("{} {} was not undone: {why}", wish.device, wish.feature))
            }
            _ => None,
        };
        match undone {
            Ok(undone) => undone.wishes.into_iter().filter_map(conflict).collect(),
            Err(error) => vec![format!("not undone: {error:#}")],
        }
    }
}

/// The namespace as the plan has it before a step.
struct Expected {
    namespace: Namespace,
    /// Bits that may be either way.
    unsure: Vec<Change>,
}

/// What was there right before a change.
struct Before {
    namespace: Namespace,
    /// Indices of the devices that are watched.
    watched: Vec<u32>,
    /// A moment earlier, and right before.
    vitals: (Vitals, Vitals),
}

/// What a look at a changed device comes to.
enum Checked {
    Well(Done),
    Worse(Vec<String>),
    Interrupted,
}

/// Why the steps after this one are not begun.
fn end(step: &Step, done: Done) -> Option<String> {
    let name = &step.device.name;
    match done {
        Done::Repaired { .. } | Done::NotFollowed { .. } => None,
        Done::RolledBack { .. } => Some(format!("{name} was rolled back")),
        Done::Failed { .. } => Some(format!("{name} failed")),
        Done::Removed => Some(format!("{name} was removed")),
        Done::Interrupted => Some("interrupted".to_owned()),
        Done::NotStarted { why } => Some(why),
    }
}

fn unplanned(change: &Change) -> String {
    let Change { device, feature, before, after, .. } = change;
    format!("{device} {feature} went from {before} to {after}, which was not planned")
}
