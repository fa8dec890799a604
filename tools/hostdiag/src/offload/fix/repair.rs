//! A repair, or an undo, from the first look to the last: the lock, what an
//! interrupted run left, the plan, the journal, the steps, what is lost still.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::offload::Problem;
use hostdiag_model::plan::{Action, Done, Identity, Plan, Run as Outcome, Step, Undo, Undone};
use hostdiag_model::{Device, OffloadData};

use super::apply::Run;
use super::back;
use super::emit::Repaired as Repair;
use super::facts::{self, Facts};
use super::host::Host;
use super::journal::folder::{FOLDER, Folder};
use super::journal::lock::Lock;
use super::journal::{self, Journal, Space, State};
use super::ledger::Ledger;
use super::plan::{self, Permit, Unattended};
use super::undo::Scope;
use super::vitals::Vitals;
use crate::fail::{Code, Failure};
use crate::net::netns::{self, Netns};
use crate::offload::from::now_ms;
use crate::offload::rules::Rules;
use crate::offload::select;
use crate::stop::Stop;

/// What is to be repaired, and within which bounds.
pub struct Order<'a> {
    /// The namespace; absent for the one hostdiag runs in.
    pub netns: Option<&'a Netns>,
    /// The policy.
    pub rules: &'a Rules,
    /// Only these devices and what lies below them; empty: all.
    pub only: &'a [String],
    /// The physical device that may be changed.
    pub physical: Option<&'a str>,
    /// More devices than this are not repaired in one run.
    pub max_devices: usize,
    /// As long each device is watched.
    pub observe: Duration,
    /// Why, for the history.
    pub reason: Option<&'a str>,
    /// What may be done while nobody watches; absent where somebody does.
    pub unattended: Option<&'a Unattended<'a>>,
    /// Called all the while a device is watched, more than once a second.
    pub beat: Option<&'a (dyn Fn() + Sync)>,
    /// What grows, as it was when it was noticed that there may be something to do
    /// ([`crate::net::vitals::growing`]): the look at what was before the first change began then.
    pub earlier: Option<&'a Vitals>,
}

/// How a repair ended.
pub struct Repaired {
    /// The plan it had.
    pub plan: Plan,
    /// How it went.
    pub run: Outcome,
    /// A signal ended it early.
    pub interrupted: bool,
}

/// Who is told what, while it happens.
pub trait Audience {
    /// Of runs before this one that were interrupted, and are now undone.
    fn recovered(&mut self, undone: &[Undone]);
    /// Of what is going to be done.
    fn plan(&mut self, plan: &Plan);
    /// Of a step that was taken, and the run it is of.
    fn step(&mut self, run: &str, step: &Step, done: &Done);
}

/// What a plan is made of, and the plan.
///
/// # Errors
/// `no-such-interface`, `bad-policy` for a feature that this kernel does not
/// have, and whatever keeps the namespace from being read.
pub fn plan(order: &Order<'_>) -> Result<(Facts, Plan)> {
    let facts = facts::gather(order.netns.map(|netns| netns.name.as_str()))?;
    let names: Vec<String> = order.only.iter().cloned().chain(order.physical.map(str::to_owned)).collect();
    let data = OffloadData { namespaces: vec![facts.namespace.clone()], ..OffloadData::default() };
    select::known(&data, &names)?;
    order.rules.check_features(&data)?;
    let now = now_ms();
    let accept = |device: &str, feature: &str| order.rules.accepted(device, feature, now);
    let permit = Permit {
        policy: order.rules.policy(),
        accept: &accept,
        physical: order.physical,
        only: order.only,
        unattended: order.unattended,
    };
    let plan = plan::plan(&facts, &permit);
    Ok((facts, plan))
}

/// Refuses a plan for more devices than are permitted in one run.
pub fn few_enough(plan: &Plan, max_devices: usize) -> Result<()> {
    let mut devices: Vec<u32> = plan.steps.iter().map(|step| step.device.ifindex).collect();
    devices.dedup();
    if devices.len() <= max_devices {
        return Ok(());
    }
    let message = format!("the plan is of {} devices; --max-devices permits {max_devices}", devices.len());
    let hint =
        format!("name the devices to begin with, or --max-devices {}; nothing was changed", devices.len());
    Err(Failure::new(Code::TooManyDevices, message).hint(hint).into())
}

/// Repairs the namespace of the calling thread, which is the one of the order.
///
/// # Errors
/// `busy`, `no-journal`, `too-many-devices`, and those of [`plan`]; then nothing
/// was changed.
pub fn repair(order: &Order<'_>, stop: &Stop, audience: &mut dyn Audience) -> Result<Repaired> {
    let lock = Folder::open(Path::new(FOLDER))?.lock()?;
    let name = order.netns.map(|netns| netns.name.as_str());
    let mut ledger = Ledger::new(name, order.reason);
    let (recovered, problems) = recover(&lock, stop, &mut ledger)?;
    audience.recovered(&recovered);
    let (facts, plan) = plan(order)?;
    audience.plan(&plan);
    few_enough(&plan, order.max_devices)?;
    let observe_ms = order.observe.as_millis() as u64;
    let (steps, remaining) = (Vec::new(), Vec::new());
    let mut run = Outcome { id: None, observe_ms, steps, recovered, remaining, problems };
    let mut interrupted = false;
    if !plan.steps.is_empty() {
        let journal = start(order, &lock, &facts, &plan)?;
        let id = journal.id.clone();
        let mut kernel = Host::open(stop, order.beat)?;
        let (observe, facts) = (order.observe, &facts);
        let earlier = order.earlier.cloned();
        let mut work =
            Run { kernel: &mut kernel, facts, lock: &lock, journal, observe, earlier, interrupted };
        work.steps(&plan, &mut |step, done| {
            ledger.step(&id, step, done);
            audience.step(&id, step, done);
            run.steps.push(done.clone());
        });
        interrupted = work.interrupted;
        run.id = Some(id);
    }
    run.remaining = remaining_of(&self::plan(order)?.1);
    run.problems.extend(ledger.problems());
    Ok(Repaired { plan, run, interrupted })
}

/// The journal of a new run, written.
fn start(order: &Order<'_>, lock: &Lock, facts: &Facts, plan: &Plan) -> Result<Journal> {
    let identity = |index: u32| {
        let of = |device: &Device| device.link.as_ref().is_some_and(|link| link.ifindex == index);
        facts.identity(facts.namespace.devices.iter().position(of)?)
    };
    let steps = journal::steps(plan, &identity)?;
    let space = Space::here(order.netns.map(|netns| netns.name.clone()))?;
    let command = std::env::args().collect();
    let journal = Journal::new(space, command, order.reason.map(str::to_owned), steps)?;
    lock.create(&journal)?;
    Ok(journal)
}

/// What could still be repaired: `device feature`.
fn remaining_of(plan: &Plan) -> Vec<String> {
    let steps = plan.steps.iter().map(|step| (&step.device.name, &step.repairs));
    let refused = plan.refused.iter().map(|refused| (&refused.device, &refused.features));
    let all = steps.chain(refused);
    all.flat_map(|(device, features)| features.iter().map(move |name| format!("{device} {name}"))).collect()
}

/// Undoes the step in which a run before this one was killed; what was undone.
///
/// # Errors
/// `busy`, `no-journal`.
pub fn recovered(stop: &Stop) -> Result<Vec<Undone>> {
    let lock = Folder::open(Path::new(FOLDER))?.lock()?;
    Ok(recover(&lock, stop, &mut Ledger::new(None, None))?.0)
}

/// Undoes the step in which a run before this one was killed.
fn recover(lock: &Lock, stop: &Stop, ledger: &mut Ledger) -> Result<(Vec<Undone>, Vec<Problem>)> {
    let found = lock.found(&journal::boot_id()?)?;
    let mut all = Vec::new();
    for journal in found.unfinished() {
        let undone = take_back(lock, journal.clone(), Scope::Begun, stop)?;
        ledger.undone(&undone);
        all.push(undone);
    }
    Ok((all, found.problems))
}

/// Takes a run back: that of an id, or the last one with something to take back.
///
/// # Errors
/// `busy`, `no-such-run`, `bad-journal`.
pub fn undo(id: Option<&str>, reason: Option<&str>, stop: &Stop) -> Result<Undo> {
    let lock = Folder::open(Path::new(FOLDER))?.lock()?;
    let found = lock.found(&journal::boot_id()?)?;
    if id.is_none() && !found.journals.iter().any(Journal::to_undo) {
        return Ok(Undo { runs: Vec::new(), problems: found.problems });
    }
    let journal = found.run(id)?.clone();
    let mut ledger = Ledger::new(journal.netns.name.as_deref(), reason);
    let undone = take_back(&lock, journal, Scope::Run, stop)?;
    ledger.undone(&undone);
    Ok(Undo { runs: vec![undone], problems: [found.problems, ledger.problems()].concat() })
}

/// In the namespace that a run was in.
fn take_back(lock: &Lock, mut journal: Journal, scope: Scope, stop: &Stop) -> Result<Undone> {
    let space = journal.netns.clone();
    let mut work = || {
        if !Space::here(None)?.same(&space) {
            let message = format!("run {} was in another network namespace", journal.id);
            let hint = "run hostdiag there; without the namespace there is nothing to undo";
            return Err(Failure::new(Code::NoSuchNetns, message).hint(hint).into());
        }
        let now = facts::gather(None)?;
        back::take(lock, &mut journal, scope, (&mut Host::open(stop, None)?, &now))
    };
    match &space.name {
        Some(name) if !Space::here(None)?.same(&space) => netns::within(&netns::named(name)?, work),
        _ => work(),
    }
}

/// What was repaired since boot in the namespace of the calling thread, and
/// what would be now: by device, the features whose wishes were set.
///
/// # Errors
/// Those of [`plan`], and of a journal folder that cannot be read.
pub fn repaired(order: &Order<'_>) -> Result<Vec<Repair>> {
    let mut all: Vec<Repair> = Vec::new();
    let mut add = |device: &Identity, action: &Action| {
        let features = match action {
            Action::Set { features } => features.clone(),
            Action::Recompute => Vec::new(),
        };
        match all.iter_mut().find(|known| known.device.ifindex == device.ifindex) {
            Some(known) => known.features.extend(features),
            None => all.push(Repair { device: device.clone(), features }),
        }
    };
    if Path::new(FOLDER).exists() {
        let here = Space::here(None)?;
        let found = Folder::open(Path::new(FOLDER))?.found(&journal::boot_id()?)?;
        let journals = found.journals.iter().rev().filter(|journal| journal.netns.same(&here));
        for step in journals.flat_map(|journal| &journal.steps).filter(|step| step.state == State::Kept) {
            add(&step.device, &step.action);
        }
    }
    for step in &plan(order)?.1.steps {
        add(&step.device, &step.action);
    }
    for repair in &mut all {
        repair.features.sort();
        repair.features.dedup();
    }
    Ok(all)
}
