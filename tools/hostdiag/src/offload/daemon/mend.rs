//! Repairs what a look found, as far as that may be done while nobody watches.

use std::collections::BTreeSet;
use std::io;
use std::time::Instant;

use anyhow::Result;
use hostdiag_model::audit::Repair;
use hostdiag_model::plan::{Action, Done, Plan, Step, Undone};
use hostdiag_model::stack::Position;
use hostdiag_model::{FeatureName, Namespace};

use super::log::{Message, Priority};
use super::look::{Looked, about};
use super::wait::Sources;
use super::{Daemon, RETRY};
use crate::net;
use crate::offload::fix::compare;
use crate::offload::fix::facts::Facts;
use crate::offload::fix::plan::Unattended;
use crate::offload::fix::repair::{self, Audience, Order};
use crate::offload::fix::vitals::{self, Vitals};
use crate::offload::gather;
use crate::offload::held::seen::{Seen, Wish, may, stack};
use crate::offload::policy::Mode;

/// What is said of repairs that have to wait.
const PUT_OFF: &str = "put-off";
/// So many devices are named as the reason of a run.
const REASONS: usize = 4;

impl Daemon<'_> {
    /// Repairs where the policy says so and something may be repaired.
    /// `earlier` is how it went when it was woken.
    pub(super) fn mend(
        &mut self,
        looked: &Looked,
        earlier: Option<&Vitals>,
        sources: &Sources,
    ) -> Result<()> {
        let Some(rules) = self.rules.as_ref().filter(|rules| rules.policy().mode() == Mode::Repair) else {
            return Ok(());
        };
        let unattended =
            |namespace: &Namespace, at: Position, feature: &str| may(&looked.devices, namespace, at, feature);
        if !self.repairable(looked, &unattended) {
            return Ok(());
        }
        let reason: Vec<String> =
            looked.causes.iter().take(REASONS).map(|(device, cause)| format!("{device}: {cause}")).collect();
        let reason = Some(reason.join("; ")).filter(|reason| !reason.is_empty());
        let manager = &self.manager;
        let order = Order {
            netns: None,
            rules,
            only: &[],
            physical: None,
            max_devices: self.job.max_devices,
            observe: self.job.observe,
            reason: reason.as_deref(),
            unattended: Some(&unattended),
            beat: Some(&|| manager.alive()),
            earlier,
        };
        // Most of what a look finds again it may not repair: no lock, no journal for that.
        let (facts, plan) = repair::plan(&order)?;
        manager.alive();
        if plan.steps.is_empty() {
            return Ok(());
        }
        if let Some(why) = earlier.map(|earlier| restless(earlier, &facts, &plan)).transpose()?.flatten() {
            self.put_off(&why);
            return Ok(());
        }
        self.log.forget(PUT_OFF);
        let mut taken = Taken { daemon: self, looked, steps: Vec::new() };
        let repaired = repair::repair(&order, &sources.stop, &mut taken);
        let steps = taken.steps;
        self.keep(&steps)?;
        for problem in &repaired?.run.problems {
            self.say(Priority::Warning, "problem", format!("{}: {}", problem.subject, problem.message));
        }
        let why = steps.iter().find_map(|(_, done)| match done {
            Done::NotStarted { why } => Some(why),
            _ => None,
        });
        if let Some(why) = why {
            self.put_off(why);
        }
        Ok(())
    }

    /// Tries again soon; said once, for it may have to do so for long.
    fn put_off(&mut self, why: &str) {
        self.again = Some(Instant::now() + RETRY);
        let text = format!("repairs are put off: {why}");
        self.log.once(&Message { priority: Priority::Info, event: PUT_OFF, text, fields: &[] });
    }

    /// Whether there is a finding that the watch may repair.
    fn repairable(&self, looked: &Looked, unattended: &Unattended<'_>) -> bool {
        let devices = &looked.namespace.devices;
        self.audit.findings().any(|entry| {
            let at = devices.iter().position(|device| device.name == entry.device);
            matches!(entry.repair, Repair::Set | Repair::Recompute)
                && at.is_some_and(|at| unattended(&looked.namespace, at, &entry.feature))
        })
    }

    /// Keeps what came of each step: what goes off again somebody switched off, and
    /// what was in vain is not tried again.
    fn keep(&mut self, steps: &[(Step, Done)]) -> Result<()> {
        let now = gather::namespace(None)?.namespace;
        self.keeper.update(|space, _| {
            steps.iter().for_each(|(step, done)| keep(&mut space.devices, &now, step, done))
        })?;
        self.held = self.keeper.identity();
        // The next look has no news of it.
        let mended = |device: &str, feature: &FeatureName| {
            steps
                .iter()
                .any(|(step, done)| step.device.name == *device && came(step, done).contains(&feature))
        };
        self.audit.entries.retain(|entry| !mended(&entry.device, &entry.feature));
        Ok(())
    }

    fn tell_step(&self, step: &Step, done: &Done, (run, looked): (&str, &Looked)) {
        let device = step.device.name.as_str();
        let cause = looked.causes.get(device).map(String::as_str);
        let because = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
        let list = |features: &[&FeatureName]| {
            features.iter().map(|feature| &***feature).collect::<Vec<_>>().join(", ")
        };
        let came = came(step, done);
        let all: Vec<&FeatureName> = step.repairs.iter().collect();
        let (priority, event, text) = match done {
            Done::Repaired { .. } => (
                Priority::Notice,
                "repaired",
                format!("{device}: repaired {}{because}, run {run}", list(&came)),
            ),
            Done::NotFollowed { missing, .. } => {
                let missing: Vec<&FeatureName> = missing.iter().collect();
                let text = format!("{device}: the kernel does not follow: {}{because}", list(&missing));
                (Priority::Warning, "in-vain", text)
            }
            Done::RolledBack { worse } => {
                let text = format!("{device}: {} rolled back: {}", list(&all), worse.join("; "));
                (Priority::Warning, "rolled-back", text)
            }
            Done::Failed { error } => {
                (Priority::Error, "failed", format!("{device}: {} failed: {error}", list(&all)))
            }
            Done::Removed => {
                let text = format!("{device}: removed while it was repaired; nothing to set back");
                (Priority::Info, "removed", text)
            }
            Done::NotStarted { .. } | Done::Interrupted => return,
        };
        let features: Vec<&str> = all.iter().map(|feature| &***feature).collect();
        let more = [Some(("HOSTDIAG_RUN", run)), cause.map(|cause| ("HOSTDIAG_CAUSE", cause))];
        let more: Vec<_> = more.into_iter().flatten().collect();
        let fields = about(device, &features, &more);
        self.log.say(&Message { priority, event, text, fields: &fields });
    }

    pub(super) fn tell_undone(&self, undone: &[Undone]) {
        for run in undone {
            let text = format!("run {} was killed in the middle of a step, which was undone", run.id);
            let fields = [("HOSTDIAG_RUN", run.id.as_str())];
            self.log.say(&Message { priority: Priority::Notice, event: "recovered", text, fields: &fields });
        }
    }
}

/// What around the devices of a plan is not steady since `earlier`.
fn restless(earlier: &Vitals, facts: &Facts, plan: &Plan) -> io::Result<Option<String>> {
    let around = |step: &Step| compare::above_and_below(&facts.namespace, step.device.ifindex);
    let around: BTreeSet<u32> = plan.steps.iter().flat_map(around).collect();
    let mut now = net::vitals::growing()?;
    now.devices.retain(|index, _| around.contains(index));
    Ok(vitals::restless(earlier, &now))
}

/// Features of a step that are on now.
fn came<'a>(step: &'a Step, done: &Done) -> Vec<&'a FeatureName> {
    match done {
        Done::Repaired { .. } => step.repairs.iter().collect(),
        Done::NotFollowed { missing, .. } => {
            step.repairs.iter().filter(|feature| !missing.contains(feature)).collect()
        }
        _ => Vec::new(),
    }
}

fn keep(devices: &mut [Seen], now: &Namespace, step: &Step, done: &Done) {
    if matches!(done, Done::NotStarted { .. } | Done::Interrupted) {
        return;
    }
    let index = step.device.ifindex;
    let here = |seen: &&mut Seen| seen.ifindex == index;
    let at =
        now.devices.iter().position(|device| device.link.as_ref().is_some_and(|link| link.ifindex == index));
    let (Some(seen), Some(at)) = (devices.iter_mut().find(here), at) else { return };
    let came = came(step, done);
    for feature in &step.repairs {
        let set = matches!(&step.action, Action::Set { features } if features.contains(feature));
        let wish = if came.contains(&feature) {
            Wish::Repaired
        } else {
            Wish::InVain { stack: stack(now, at), wanted: !set }
        };
        seen.wishes.insert(feature.clone(), wish);
    }
}

/// Says what a repair tells, at once; each step is a sign of life.
struct Taken<'a> {
    daemon: &'a Daemon<'a>,
    looked: &'a Looked,
    steps: Vec<(Step, Done)>,
}

impl Audience for Taken<'_> {
    fn recovered(&mut self, undone: &[Undone]) {
        self.daemon.tell_undone(undone);
    }

    fn plan(&mut self, _plan: &Plan) {
        self.daemon.manager.alive();
    }

    fn step(&mut self, run: &str, step: &Step, done: &Done) {
        self.daemon.manager.alive();
        self.daemon.tell_step(step, done, (run, self.looked));
        self.steps.push((step.clone(), done.clone()));
    }
}
