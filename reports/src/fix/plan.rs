//! A plan as text: every bit that will change, and what is left alone.

use std::collections::{BTreeSet, HashSet};

use hostdiag_model::FeatureName;
use hostdiag_model::plan::{Left, Plan};

use super::{Options, line, steps, words};
use crate::offload::words::enter;
use crate::page::{Ink, Page, count, harmless};

/// As many reasons to leave devices alone are shown.
const MAX_REASONS: usize = 16;

/// The plan for a host of this name.
pub fn text(host: &str, plan: &Plan, options: Options) -> String {
    let mut page = Page::new(options.style);
    head(&mut page, host, plan);
    let enter = plan.netns.as_ref().map(|name| enter(&format!("/run/netns/{name}"))).unwrap_or_default();
    steps::put(&mut page, &plan.steps, &enter, options.all);
    refused(&mut page, plan, options.all);
    left(&mut page, plan, options.all);
    beyond(&mut page, plan, options.all);
    page.finish()
}

fn head(page: &mut Page, host: &str, plan: &Plan) {
    let netns = plan.netns.as_ref().map(|name| format!(", netns {name}")).unwrap_or_default();
    page.ink(Ink::Bold, &harmless(&format!("plan for {host}{netns}"))).put(": ");
    if plan.steps.is_empty() {
        page.line("nothing to repair");
        return;
    }
    let called: BTreeSet<u32> = plan.steps.iter().map(|step| step.device.ifindex).collect();
    let others: BTreeSet<u32> =
        plan.changes().map(|change| change.ifindex).filter(|index| !called.contains(index)).collect();
    page.put(&count(called.len(), "device"));
    if !others.is_empty() {
        page.put(&format!(
            ", {} more {}",
            others.len(),
            if others.len() == 1 { "follows" } else { "follow" }
        ));
    }
    let hardware = plan.steps.iter().filter(|step| step.device.kind.is_none()).map(|step| &step.device.name);
    let changed = plan.changes().filter(|change| change.physical).map(|change| &change.device);
    let physical: BTreeSet<&String> = hardware.chain(changed).collect();
    if physical.is_empty() {
        page.line(", software only, no physical device changes");
    } else {
        let names: Vec<&String> = physical.into_iter().collect();
        let verb = if names.len() == 1 { "changes" } else { "change" };
        let shout = harmless(&format!("{}{} {verb}", words::PHYSICAL, words::names(&names, true)));
        page.put(", ").ink(Ink::Red, &shout).put("\n");
    }
}

fn refused(page: &mut Page, plan: &Plan, all: bool) {
    let items = plan.refused.iter().map(|refused| {
        let why = (words::refusal(&refused.reason), refused.reason.as_str());
        ((&refused.features, why), refused.device.as_str())
    });
    for ((features, (sentence, code)), devices) in words::group(items) {
        let what = format!("{} of {}", words::features(features), words::names(&devices, all));
        page.ink(Ink::Yellow, "refused: ");
        line(page, &what);
        line(page, &format!("         {sentence} (hostdiag explain {code})"));
    }
}

/// Devices without a loss on one line, those with one on a line each.
fn left(page: &mut Page, plan: &Plan, all: bool) {
    let changed: HashSet<&str> = plan
        .changes()
        .map(|change| change.device.as_str())
        .chain(plan.steps.iter().map(|step| step.device.name.as_str()))
        .collect();
    // A device may stand there once for each feature.
    let items = plan.left.iter().map(|left| ((left.device.as_str(), words::apart(&left.reason)), left));
    let by_device = words::group(items).into_iter().map(|((device, why), lefts)| {
        let features: Vec<FeatureName> =
            lefts.iter().flat_map(|left: &&Left| &left.features).cloned().collect();
        ((features, why), device)
    });
    let (lossless, lost): (Vec<_>, Vec<_>) =
        words::group(by_device).into_iter().partition(|((features, _), _)| features.is_empty());
    for ((features, why), devices) in &lost {
        let what = format!("{} of {} ({why})", words::features(features), words::names(devices, all));
        line(page, &format!("still off: {what}"));
    }
    let mut groups = Vec::new();
    for ((_, why), devices) in lossless {
        let untouched: Vec<&str> = devices.into_iter().filter(|name| !changed.contains(name)).collect();
        if !untouched.is_empty() {
            groups.push(format!("{} ({why})", words::names(&untouched, all)));
        }
    }
    let more = groups.len().saturating_sub(if all { groups.len() } else { MAX_REASONS });
    groups.truncate(groups.len() - more);
    if !groups.is_empty() {
        let more = if more > 0 { format!(", {} (--all)", count(more, "more reason")) } else { String::new() };
        line(page, &format!("left alone: {}{more}", groups.join(", ")));
    }
}

/// Findings that only something else than `--fix` can repair.
fn beyond(page: &mut Page, plan: &Plan, all: bool) {
    let items = plan.beyond.iter().map(|beyond| ((&beyond.device, beyond.verdict.as_str()), &beyond.feature));
    let by_device = words::group(items).into_iter().map(|((device, code), features)| {
        ((features.into_iter().cloned().collect::<Vec<FeatureName>>(), code), device)
    });
    for ((features, code), devices) in words::group(by_device) {
        let what = format!("{} of {}", words::features(&features), words::names(&devices, all));
        line(page, &format!("not by --fix: {what} (hostdiag explain {code})"));
    }
}
