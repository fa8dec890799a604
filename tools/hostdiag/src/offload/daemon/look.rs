//! One look: what there is, who switched what off, what is lost, and what of it is new.

use std::collections::BTreeMap;

use anyhow::{Error, Result};
use hostdiag_model::audit::{Entry, Verdict};
use hostdiag_model::stack::{Position, Stack};
use hostdiag_model::{Audit, FeatureName, Namespace};
use hostdiag_report::offload::words;

use super::Daemon;
use super::cause;
use super::log::{Message, Priority};
use crate::offload::from::now_ms;
use crate::offload::held::seen::{Decision, Seen, observe};
use crate::offload::live::{self, Scope};
use crate::offload::metrics::{self, Audited};
use crate::offload::policy::{Allowed, Policy};

/// What a look saw that a repair goes by.
pub(super) struct Looked {
    pub(super) namespace: Namespace,
    pub(super) devices: Vec<Seen>,
    /// What happened, by the name of the device.
    pub(super) causes: BTreeMap<String, String>,
}

/// How old devices are.
struct Ages<'a> {
    seen: &'a [Seen],
    boot_ms: u64,
}

impl Ages<'_> {
    /// In milliseconds.
    fn of(&self, stack: &Stack<'_>, at: Position) -> u64 {
        let index = stack.link(at).map(|link| link.ifindex);
        let seen = self.seen.iter().find(|seen| Some(seen.ifindex) == index);
        seen.map_or(0, |seen| self.boot_ms.saturating_sub(seen.since_boot_ms))
    }
}

impl Daemon<'_> {
    /// Looks, and says what is new. `None` while the policy is broken: what is lost is
    /// for it to say.
    pub(super) fn look(&mut self, since_boot_ms: u64) -> Result<Option<Looked>> {
        let started_ms = now_ms();
        let (mut data, _) = live::data(&Scope::Here)?;
        let seen = self.keeper.update(|space, now| {
            let decisions = observe(&mut space.devices, &data.namespaces[0], now, since_boot_ms);
            (space.clone(), now, decisions)
        });
        let (space, now, decisions) = seen?;
        self.held = self.keeper.identity();
        self.hold_ends = space.next_end();
        decisions.iter().for_each(|decision| self.tell_decision(decision));
        data.held = space.held(now);
        let Some(rules) = &self.rules else { return Ok(None) };
        rules.check_features(&data)?;
        let ended_ms = now_ms();
        let audit = rules.audit(&data, ended_ms);
        if let Some(path) = self.job.metrics {
            let took_ms = ended_ms.saturating_sub(started_ms);
            let written =
                metrics::write(path, &Audited { data: &data, audit: &audit, rules, ended_ms, took_ms });
            self.tell_metrics(written.err());
        }
        let namespace = data.namespaces.swap_remove(0);
        let causes = self.causes(&namespace, &audit, &Ages { seen: &space.devices, boot_ms: now.boot_ms });
        self.tell_changes(&audit, &causes);
        self.before = cause::remember(&namespace);
        self.audit = audit;
        Ok(Some(Looked { namespace, devices: space.devices, causes }))
    }

    /// What happened to each device with a finding since the last look.
    fn causes(&self, now: &Namespace, audit: &Audit, ages: &Ages<'_>) -> BTreeMap<String, String> {
        let mut causes = BTreeMap::new();
        if self.before.is_empty() {
            return causes;
        }
        let stack = Stack::new(now);
        for entry in audit.findings() {
            let Some(at) = stack.find(&entry.device).filter(|_| !causes.contains_key(&entry.device)) else {
                continue;
            };
            if let Some(cause) = cause::of(&self.before, &stack, at, ages.of(&stack, at)) {
                causes.insert(entry.device.clone(), cause);
            }
        }
        causes
    }

    fn tell_metrics(&mut self, failed: Option<Error>) {
        let Some(error) = failed else { return self.log.forget("metrics") };
        let text = format!("{error:#}");
        self.log.once(&Message { priority: Priority::Error, event: "metrics", text, fields: &[] });
    }

    fn tell_decision(&self, decision: &Decision) {
        let default = Policy::default();
        let policy = self.rules.as_ref().map_or(&default, |rules| rules.policy());
        let device = decision.device.as_str();
        let allowed = |feature: &&FeatureName| policy.repairs(device, feature) == Allowed::Yes;
        let features: Vec<&str> = decision.features.iter().filter(allowed).map(|name| &**name).collect();
        if features.is_empty() {
            return;
        }
        let list = features.join(", ");
        let text = format!(
            "{device}: somebody switched off {list}; left so until it is on again, or released: \
             hostdiag offload --release {}",
            words::shell(device)
        );
        let fields = about(device, &features, &[("HOSTDIAG_VERDICT", Verdict::Held.as_str())]);
        self.log.say(&Message { priority: Priority::Notice, event: "held", text, fields: &fields });
    }

    /// Findings that were not there at the last look, and those that are gone.
    fn tell_changes(&self, audit: &Audit, causes: &BTreeMap<String, String>) {
        let same = |one: &Entry, other: &Entry| {
            (&one.device, &one.feature, one.verdict) == (&other.device, &other.feature, other.verdict)
        };
        let new = audit.findings().filter(|entry| !self.audit.findings().any(|old| same(entry, old)));
        for ((device, verdict), entries) in by_device(new) {
            let features: Vec<&str> = entries.iter().map(|entry| &*entry.feature).collect();
            let cause = causes.get(device).map(String::as_str);
            let place = entries.first().map(|entry| words::place(entry)).unwrap_or_default();
            let because = cause.map(|cause| format!(" ({cause})")).unwrap_or_default();
            let (verdict, list) = (verdict.as_str(), features.join(", "));
            let text = format!("{device}: {verdict}: {list}: {place}{because}");
            let more = [Some(("HOSTDIAG_VERDICT", verdict)), cause.map(|cause| ("HOSTDIAG_CAUSE", cause))];
            let more: Vec<_> = more.into_iter().flatten().collect();
            let fields = about(device, &features, &more);
            self.log.say(&Message { priority: Priority::Warning, event: "found", text, fields: &fields });
        }
        let gone = self.audit.findings().filter(|old| {
            !audit.findings().any(|entry| entry.device == old.device && entry.feature == old.feature)
        });
        for ((device, _), entries) in by_device(gone) {
            let features: Vec<&str> = entries.iter().map(|entry| &*entry.feature).collect();
            let text = format!("{device}: no finding any more: {}", features.join(", "));
            let fields = about(device, &features, &[]);
            self.log.say(&Message { priority: Priority::Info, event: "gone", text, fields: &fields });
        }
    }
}

/// The fields of a message about features of a device: one a feature.
pub(super) fn about<'a>(
    device: &'a str,
    features: &[&'a str],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let features = features.iter().map(|feature| ("HOSTDIAG_FEATURE", *feature));
    std::iter::once(("HOSTDIAG_DEVICE", device)).chain(features).chain(more.iter().copied()).collect()
}

fn by_device<'a>(entries: impl Iterator<Item = &'a Entry>) -> BTreeMap<(&'a str, Verdict), Vec<&'a Entry>> {
    let mut all: BTreeMap<(&str, Verdict), Vec<&Entry>> = BTreeMap::new();
    for entry in entries {
        all.entry((&entry.device, entry.verdict)).or_default().push(entry);
    }
    all
}
