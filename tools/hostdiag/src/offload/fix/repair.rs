//! A repair from the first look to the last: the lock, what an interrupted run
//! left, the plan, the journal, the steps, what is lost still.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::offload::Problem;
use hostdiag_model::plan::{Done, Plan, Run as Outcome, Step, Undone};

use super::apply::{Kernel, Run};
use super::facts::{self, Facts};
use super::host::Host;
use super::journal::{Journal, Lock};
use super::ledger::Ledger;
use super::plan::{self, Permit};
use super::undo;
use crate::fail::{Code, Failure};
use crate::net::netns::Netns;
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

/// Plans the repair of the namespace of the calling thread.
pub fn plan(order: &Order<'_>) -> Result<(Facts, Plan)> {
    let facts = facts::gather(order.netns)?;
    select::known(&facts.namespace, order.only)?;
    select::known(&facts.namespace, order.physical.map(str::to_owned).as_slice())?;
    order.rules.check_features(&facts.namespace)?;
    let day = crate::offload::from::now_ms();
    let accept = |device: &str, feature: &str| order.rules.accepted(device, feature, day);
    let permit = Permit {
        policy: order.rules.policy(),
        accept: &accept,
        physical: order.physical,
        only: order.only,
    };
    let plan = plan::plan(&facts, &permit);
    Ok((facts, plan))
}

/// Repairs the namespace of the calling thread. `show` is called with the plan
/// before anything is changed.
///
/// # Errors
/// `busy`, `no-journal`, `too-many-devices`; then nothing was changed.
pub fn repair(order: &Order<'_>, stop: &Stop, show: &mut dyn FnMut(&Plan)) -> Result<Repaired> {
    let folder = Path::new(super::journal::FOLDER);
    let _lock = Lock::take(folder)?;
    let mut ledger = Ledger::open(order.reason);
    let recovered = recover(folder, stop, &mut ledger)?;
    let (facts, plan) = plan(order)?;
    show(&plan);
    few_enough(&plan, order.max_devices)?;
    let mut run = Outcome { recovered, ..Outcome::default() };
    let mut interrupted = false;
    if !plan.steps.is_empty() {
        let mut kernel = Host::open(stop)?;
        let journal = Journal::start(folder, &plan, &facts)?;
        run.id = Some(journal.id.clone());
        let mut work = Run { kernel: &mut kernel, journal, observe: order.observe, interrupted: false };
        work.steps(&plan, &facts.namespace, &mut |step, done| {
            ledger.step(&plan, run.id.as_deref(), step, done);
            run.steps.push(done.clone());
        });
        interrupted = work.interrupted;
    }
    run.remaining = remaining(order)?;
    run.problems = ledger.problems();
    Ok(Repaired { plan, run, interrupted })
}
