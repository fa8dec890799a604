//! The steps of a plan as lines: every bit of every device that will change.

use std::collections::HashMap;

use hostdiag_model::FeatureName;
use hostdiag_model::plan::{Action, Change, Step};

use super::{line, words};
use crate::offload::words::{devices, set, shell, short};
use crate::page::{Ink, Page, harmless};

/// As many steps that are alike are shown one by one.
const MAX_ALIKE: usize = 4;

/// A line of a plan: a device, then a feature with its states, or a remark.
struct Line {
    name: String,
    what: What,
}

enum What {
    Bit { feature: String, states: String, how: &'static str },
    Remark(String),
}

impl Line {
    fn bit(name: &str, feature: &str, states: String, how: &'static str) -> Self {
        Self { name: harmless(name), what: What::Bit { feature: harmless(feature), states, how } }
    }

    fn remark(name: &str, text: String) -> Self {
        Self { name: harmless(name), what: What::Remark(text) }
    }
}

fn lines(page: &mut Page, lines: &[Line]) {
    let names = words::width(lines.iter().map(|line| line.name.as_str()));
    let bits = || {
        lines.iter().filter_map(|line| match &line.what {
            What::Bit { feature, states, .. } => Some((feature.as_str(), states.as_str())),
            What::Remark(_) => None,
        })
    };
    let features = words::width(bits().map(|(feature, _)| feature));
    let states = words::width(bits().map(|(_, states)| states));
    for Line { name, what } in lines {
        let start = format!("  {name:<names$}  ");
        if name.starts_with(words::PHYSICAL) {
            page.ink(Ink::Red, &start)
        } else {
            page.put(&start)
        };
        let text = match what {
            What::Remark(text) => text.clone(),
            What::Bit { feature, states, how: "" } => format!("{feature:<features$}  {states}"),
            What::Bit { feature, states: of, how } => {
                format!("{feature:<features$}  {of:<states$}  {how}")
            }
        };
        line(page, &text);
    }
}

/// The steps in their order; what is alike and many is told once. `enter` is
/// put before commands.
pub(super) fn put(page: &mut Page, steps: &[Step], enter: &str, all: bool) {
    let keys: Vec<String> = steps.iter().map(shape).collect();
    let mut alike: HashMap<&str, usize> = HashMap::new();
    for key in &keys {
        *alike.entry(key).or_default() += 1;
    }
    let many = |key: &str| !all && alike.get(key).is_some_and(|number| *number > MAX_ALIKE);
    let key = |number: usize| (&keys[number], if many(&keys[number]) { 0 } else { number });
    let items = steps.iter().enumerate().map(|(number, step)| (key(number), step));
    let mut all_lines = Vec::new();
    for (_, steps) in words::group(items) {
        one(&mut all_lines, &steps, enter, all);
    }
    lines(page, &all_lines);
}

/// Everything of a step but its own device.
fn shape(step: &Step) -> String {
    let mut step = step.clone();
    for change in step.changes.iter_mut().filter(|change| change.ifindex == step.device.ifindex) {
        (change.device, change.ifindex) = (String::new(), 0);
    }
    let whole = step.device.name.clone();
    (step.device.name, step.device.ifindex, step.device.permanent_address) = (String::new(), 0, None);
    // All keys are strings, so that it cannot fail; if it did, nothing is alike.
    serde_json::to_string(&step).unwrap_or(whole)
}

/// One step, or several that differ in nothing but their device.
fn one(lines: &mut Vec<Line>, steps: &[&Step], enter: &str, all: bool) {
    let Some(step) = steps.first() else { return };
    let names: Vec<&str> = steps.iter().map(|step| step.device.name.as_str()).collect();
    let (own, others): (Vec<&Change>, Vec<&Change>) =
        step.changes.iter().partition(|change| change.ifindex == step.device.ifindex);
    let physical = step.device.kind.is_none() || own.iter().any(|change| change.physical);
    let name = words::name(&devices(&names), physical);
    let start = lines.len();
    let rest = repaired(lines, &name, step, own);
    follow(lines, &name, &rest);
    let text = match &step.action {
        Action::Recompute => "recompute (no ethtool command does this)".to_owned(),
        Action::Set { features } if steps.len() == 1 => {
            format!("same as: {}", set(enter, &shell(&harmless(names[0])), features))
        }
        Action::Set { features } => {
            format!("same as, for each of them (--all): {}", set(enter, "DEVICE", features))
        }
    };
    lines.push(Line::remark(&name, text));
    // The name is said above already.
    for line in lines[start..].iter_mut().skip(1).filter(|line| matches!(line.what, What::Remark(_))) {
        line.name.clear();
    }
    elsewhere(lines, &others, all);
}

/// What a step is for; gives back the other changes of its device.
fn repaired<'a>(lines: &mut Vec<Line>, name: &str, step: &Step, own: Vec<&'a Change>) -> Vec<&'a Change> {
    let wishes: &[FeatureName] = if let Action::Set { features } = &step.action { features } else { &[] };
    let more = wishes.iter().filter(|feature| !step.repairs.contains(feature));
    let repairs: Vec<&FeatureName> = step.repairs.iter().chain(more).collect();
    for feature in &repairs {
        let change = own.iter().find(|change| change.feature == **feature);
        let states = change.map_or("on, if possible".to_owned(), |change| words::states(change));
        let how = if change.is_some_and(|change| change.certain) { "" } else { "will try" };
        lines.push(Line::bit(name, feature, states, how));
    }
    own.into_iter().filter(|change| !repairs.contains(&&change.feature)).collect()
}

/// What changes on other devices than the one that is called upon.
fn elsewhere(lines: &mut Vec<Line>, others: &[&Change], all: bool) {
    let by_device = words::group(others.iter().map(|change| ((change.ifindex, &change.device), *change)));
    let key = |index: u32, changes: &[&Change]| {
        let of = |change: &&Change| {
            let Change { feature, before, after, certain, physical, .. } = *change;
            (feature.clone(), *before, *after, *certain, *physical)
        };
        // Hardware is named one by one, and with `all` everything is.
        let alone = all || changes.iter().any(|change| change.physical);
        (if alone { index } else { 0 }, changes.iter().map(of).collect::<Vec<_>>())
    };
    let alike = by_device
        .into_iter()
        .map(|((index, device), changes)| (key(index, &changes), (device.as_str(), changes)));
    for (_, group) in words::group(alike) {
        let names: Vec<&str> = group.iter().map(|(device, _)| *device).collect();
        let changes = group.first().map(|(_, changes)| changes.as_slice()).unwrap_or_default();
        let physical = changes.iter().any(|change| change.physical);
        follow(lines, &words::name(&devices(&names), physical), changes);
    }
}

/// What follows on a device: what comes on in a list, the rest, and anything
/// on hardware, with its states.
fn follow(lines: &mut Vec<Line>, name: &str, changes: &[&Change]) {
    let listed = |change: &&&Change| words::comes_on(change) && !change.physical;
    for change in changes.iter().filter(|change| !listed(change)) {
        let how = if change.certain { "follows" } else { "may follow" };
        lines.push(Line::bit(name, &change.feature, words::states(change), how));
    }
    for (certain, how) in [(true, "follow"), (false, "may follow")] {
        let those = changes.iter().filter(listed).filter(|change| change.certain == certain);
        let names: Vec<&str> = those.map(|change| short(&change.feature)).collect();
        if !names.is_empty() {
            lines.push(Line::remark(name, format!("{how}: {}", names.join(", "))));
        }
    }
}
