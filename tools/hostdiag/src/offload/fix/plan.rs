//! From facts to a plan. Pure.
//!
//! The audit is asked again and again: what it finds at the lowest device is
//! repaired in the model of the kernel, and the next question goes to the state
//! that comes out of it. So each step is predicted from the one before, and
//! what heals by itself once a layer below is whole needs no step.

use std::collections::BTreeSet;

use hostdiag_model::audit::{Entry, Repair, Verdict};
use hostdiag_model::offload::Held;
use hostdiag_model::plan::{Action, Apart, Beyond, Left, Plan, Refusal, Refused, Step};
use hostdiag_model::stack::{Position, Role, Stack};
use hostdiag_model::{FeatureName, FeatureState, Namespace};

use super::allow;
use super::facts::Facts;
use super::refuse;
use super::simulate::{self, Operation, Outcome};
use crate::offload::judge::{self, Accept, Searched};
use crate::offload::policy::{Allowed, Policy};
use crate::offload::quirk;

/// What the user and the policy permit.
pub struct Permit<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its accept rules as of today.
    pub accept: &'a Accept<'a>,
    /// The physical device that may be changed.
    pub physical: Option<&'a str>,
    /// Only these devices and what lies below them; empty: all. What is held of a
    /// device that is named is repaired all the same.
    pub only: &'a [String],
    /// What may be done while nobody watches; absent where somebody does.
    pub unattended: Option<&'a Unattended<'a>>,
}

/// Whether a feature of a device may be repaired, by a wish or, where there is one
/// already, by a recompute.
pub type Unattended<'a> = dyn Fn(&Namespace, Position, &str) -> bool + Sync + 'a;

/// More decisions than this are not made: plans this long are refused anyway.
const MAX_DECISIONS: usize = 4096;

/// Plans the repair of a namespace.
pub fn plan(facts: &Facts, permit: &Permit<'_>) -> Plan {
    let stack = Stack::new(&facts.namespace);
    let named = permit.only.iter().filter_map(|name| stack.find(name));
    let held = facts.held.iter().filter(|held| !named.clone().any(|at| *stack.name(at) == held.device));
    let held = held.cloned().collect();
    let chosen = named.flat_map(|at| std::iter::once(at).chain(stack.below(at))).collect();
    let mut planner = Planner {
        facts,
        permit,
        chosen,
        held,
        now: facts.namespace.clone(),
        decided: BTreeSet::new(),
        plan: Plan { netns: facts.namespace.name.clone(), ..Plan::default() },
    };
    for _ in 0..MAX_DECISIONS {
        if !planner.decide() {
            break;
        }
    }
    planner.rest();
    planner.plan
}

struct Planner<'a> {
    facts: &'a Facts,
    permit: &'a Permit<'a>,
    /// Positions of the devices asked for.
    chosen: BTreeSet<Position>,
    /// What is held of other devices than those that were named.
    held: Vec<Held>,
    /// What the namespace will be after the steps so far.
    now: Namespace,
    /// What was decided about already.
    decided: BTreeSet<(Position, FeatureName)>,
    plan: Plan,
}

impl Planner<'_> {
    /// Decides about the lowest device that has lost something; false when
    /// there is none left.
    fn decide(&mut self) -> bool {
        let open = self.open();
        let stack = Stack::new(&self.now);
        let Some(at) = open.iter().map(|(at, _)| *at).min_by_key(|at| (stack.height(*at), *at)) else {
            return false;
        };
        let losses: Vec<Entry> =
            open.into_iter().filter(|(other, _)| *other == at).map(|(_, entry)| entry).collect();
        self.decided.extend(losses.iter().map(|entry| (at, entry.feature.clone())));
        let physical = stack.role(at) == Role::Physical;
        match self.apart(&stack, at) {
            Some(apart) if !(physical && apart == Apart::Physical) => {
                self.left(at, losses.iter().map(|entry| entry.feature.clone()).collect(), apart);
            }
            _ => self.repair(at, &losses),
        }
        true
    }

    /// Findings that a step could repair and nothing was decided about yet.
    fn open(&self) -> Vec<(Position, Entry)> {
        let found = self.findings().into_iter().filter(|(at, entry)| {
            repairable(entry, &self.now, *at) && !self.decided.contains(&(*at, entry.feature.clone()))
        });
        found.collect()
    }

    /// The findings of the audit on the devices asked for.
    fn findings(&self) -> Vec<(Position, Entry)> {
        let mut found = self.entries();
        found.retain(|(_, entry)| entry.finding);
        found
    }

    fn entries(&self) -> Vec<(Position, Entry)> {
        let lines = self.facts.intents.as_slice();
        let searched = Searched { lines, complete: !self.facts.intents_incomplete, held: &self.held };
        let entries = judge::namespace(&self.now, Some(searched), self.permit.accept).into_iter();
        let placed = entries.filter_map(|entry| {
            Some((self.now.devices.iter().position(|device| device.name == entry.device)?, entry))
        });
        placed.filter(|(at, _)| self.permit.only.is_empty() || self.chosen.contains(at)).collect()
    }

    fn apart(&self, stack: &Stack<'_>, at: Position) -> Option<Apart> {
        let policy = || self.permit.policy.leaves_alone(stack.name(at)).then_some(Apart::Policy);
        allow::apart(self.facts, stack, at).or_else(policy)
    }

    fn left(&mut self, at: Position, features: Vec<FeatureName>, reason: Apart) {
        let device = self.now.devices[at].name.clone();
        self.plan.left.push(Left { device, features, reason });
    }

    fn refused(&mut self, at: Position, features: Vec<FeatureName>, reason: Refusal) {
        let device = self.now.devices[at].name.clone();
        self.plan.refused.push(Refused { device, features, reason });
    }

    /// A device on the allow list, or hardware: what the policy permits of its
    /// losses becomes a step.
    fn repair(&mut self, at: Position, losses: &[Entry]) {
        let mut entries = Vec::new();
        for entry in losses {
            match self.objection(at, &entry.feature) {
                None => entries.push(entry),
                Some(Objection::Refused(reason)) => {
                    self.refused(at, vec![entry.feature.clone()], reason);
                }
                Some(Objection::Left(reason)) => self.left(at, vec![entry.feature.clone()], reason),
            }
        }
        let (action, repairs) = self.action(at, &entries);
        let Some(action) = action else { return };
        let outcome = self.predicted(at, &action);
        let features = || repairs.clone();
        if let Some(reason) = refuse::reason(self.facts, self.permit, at, &outcome) {
            return self.refused(at, features(), reason);
        }
        let Some(device) = self.facts.identity(at) else { return };
        self.plan.steps.push(Step { device, action, repairs, changes: outcome.changes });
        self.now = outcome.namespace;
    }

    /// Why a feature of a device is not repaired, whatever would follow.
    fn objection(&self, at: Position, feature: &str) -> Option<Objection> {
        let name = &self.now.devices[at].name;
        match self.permit.policy.repairs(name, feature) {
            Allowed::Yes => {}
            Allowed::NotListed => return Some(Objection::Left(Apart::Policy)),
            Allowed::NeedsDeviceLine(_) => return Some(Objection::Refused(Refusal::NeedsDeviceLine)),
        }
        if self.permit.unattended.is_some_and(|may| !may(&self.now, at, feature)) {
            return Some(Objection::Left(Apart::NotUnattended));
        }
        let stack = Stack::new(&self.now);
        let mut devices = std::iter::once(at).chain(stack.below(at));
        let quirk = devices.find_map(|at| {
            let link = stack.link(at)?;
            quirk::find(link.driver.as_deref().or(link.kind.as_deref())?, feature)
        })?;
        let (driver, problem) = (quirk.driver.to_owned(), quirk.problem.to_owned());
        Some(Objection::Left(Apart::Quirk { driver, problem }))
    }

    /// Wishes where they are off, else a recompute; and what it is for. What
    /// would not come, as nothing below offers it, is not tried.
    fn action(&mut self, at: Position, entries: &[&Entry]) -> (Option<Action>, Vec<FeatureName>) {
        let mut open: Vec<(FeatureName, bool)> =
            entries.iter().map(|entry| (entry.feature.clone(), entry.repair == Repair::Set)).collect();
        while !open.is_empty() {
            let features: Vec<FeatureName> =
                open.iter().filter(|(_, wish)| *wish).map(|(name, _)| name.clone()).collect();
            let action = if features.is_empty() { Action::Recompute } else { Action::Set { features } };
            let after = self.predicted(at, &action).namespace;
            let features = after.devices[at].features.as_ref();
            let comes = |(name, _): &(FeatureName, bool)| features.is_some_and(|all| all.active(name));
            let (come, stay): (Vec<_>, Vec<_>) = open.into_iter().partition(comes);
            if stay.is_empty() {
                return (Some(action), come.into_iter().map(|(name, _)| name).collect());
            }
            self.left(at, stay.into_iter().map(|(name, _)| name).collect(), Apart::NotOffered);
            open = come;
        }
        (None, Vec::new())
    }

    fn predicted(&self, at: Position, action: &Action) -> Outcome {
        match action {
            Action::Recompute => simulate::after(&self.now, at, &Operation::Recompute),
            Action::Set { features } => {
                let wishes: Vec<_> = features.iter().map(|feature| (feature.clone(), true)).collect();
                simulate::after(&self.now, at, &Operation::Set(&wishes))
            }
        }
    }

    /// Everything that no step was made for.
    fn rest(&mut self) {
        let beyond = self.findings().into_iter().filter(|(at, entry)| {
            !repairable(entry, &self.now, *at) && !self.decided.contains(&(*at, entry.feature.clone()))
        });
        self.plan.beyond = beyond
            .map(|(_, entry)| Beyond { device: entry.device, feature: entry.feature, verdict: entry.verdict })
            .collect();
        for (at, entry) in self.entries() {
            match entry.verdict {
                Verdict::OffOnPurpose => {
                    self.left(at, vec![entry.feature], Apart::AskedFor { lines: entry.asked_by });
                }
                Verdict::Held => self.left(at, vec![entry.feature], Apart::Held),
                _ if entry.accepted.is_some() => self.left(at, vec![entry.feature], Apart::Policy),
                _ => {}
            }
        }
        let stack = Stack::new(&self.facts.namespace);
        for at in 0..self.facts.namespace.devices.len() {
            let loopback = stack.link(at).is_some_and(|link| link.loopback);
            let told = self.plan.left.iter().any(|left| left.device == *stack.name(at));
            let asked = self.permit.only.is_empty() || self.chosen.contains(&at);
            if let (false, false, true, Some(apart)) = (loopback, told, asked, self.apart(&stack, at)) {
                self.left(at, Vec::new(), apart);
            }
        }
        let order = |name: &str| self.now.devices.iter().position(|device| device.name == name);
        self.plan.left.sort_by_key(|left| order(&left.device));
    }
}

enum Objection {
    Left(Apart),
    Refused(Refusal),
}

/// Whether a step could repair it: a wish or a recompute; on hardware a
/// recompute alone, where nothing explains why the driver does not follow.
fn repairable(entry: &Entry, now: &Namespace, at: Position) -> bool {
    match entry.repair {
        Repair::Set | Repair::Recompute => true,
        Repair::ByHand => {
            Role::of(now.devices[at].link.as_ref()) == Role::Physical
                && matches!(entry.verdict, Verdict::Stuck | Verdict::StuckOrLimit)
                && entry.state == FeatureState::OffRequestedOn
        }
        _ => false,
    }
}
