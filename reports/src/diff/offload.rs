//! Features of devices on both sides.

use hostdiag_model::diff::offload::{Features, Pair, Setting};
use hostdiag_model::features::FeatureName;

use super::{Options, left_out, table};
use crate::page::{Ink, Page, count};

/// As many names are told.
const NAMES: usize = 6;
/// As many groups of devices are shown.
const GROUPS: usize = 8;

pub(super) fn text(page: &mut Page, features: &Features, options: Options) {
    let differing = features.pairs.iter().filter(|pair| !pair.active.is_empty()).count();
    let pairs = count(features.compared, "pair");
    page.line(&format!("{pairs} of devices compared, {differing} with features that differ"));
    let shown = features.pairs.iter().filter(|pair| !pair.active.is_empty() || options.all);
    let mut groups: Vec<Vec<&Pair>> = Vec::new();
    for pair in shown {
        let alike = |group: &&mut Vec<&Pair>| group.first().is_some_and(|first| alike(first, pair));
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(pair),
            None => groups.push(vec![pair]),
        }
    }
    let most = if options.all { usize::MAX } else { GROUPS };
    groups.iter().take(most).for_each(|group| of(page, group, options));
    left_out(page, groups.len(), most, "group of devices");
    if !groups.is_empty() {
        page.put("\n");
    }
    let wishes = features.pairs.iter().filter(|pair| !pair.wish.is_empty()).count();
    if wishes > 0 && !options.all {
        page.line(&format!(
            "{} as active on both sides, and not as changeable or asked for (--all)",
            features_of(wishes)
        ));
    }
    names(page, "only on A", &features.only_a, options);
    names(page, "only on B", &features.only_b, options);
    unknown(page, "B", &features.unknown_on_b, options);
    unknown(page, "A", &features.unknown_on_a, options);
}

fn features_of(pairs: usize) -> String {
    if pairs == 1 { "1 pair has features".into() } else { format!("{pairs} pairs have features") }
}

/// Devices of one kind that differ in the same are told together.
fn alike(one: &Pair, other: &Pair) -> bool {
    (&one.role, &one.active, &one.wish) == (&other.role, &other.active, &other.wish)
}

fn of(page: &mut Page, group: &[&Pair], options: Options) {
    let name = |pair: &&Pair| match pair.a == pair.b {
        true => pair.a.clone(),
        false => format!("{} on A is {} on B", pair.a, pair.b),
    };
    let Some(first) = group.first() else { return };
    let role = first.role.as_ref().map_or(String::new(), |role| format!("   {role}"));
    page.put("\n").ink(Ink::Bold, &some(&group.iter().map(name).collect::<Vec<_>>(), options)).line(&role);
    let wish = first.wish.iter().filter(|_| options.all);
    let rows: Vec<Vec<String>> = first.active.iter().chain(wish).map(setting).collect();
    table(page, &["  FEATURE", "A", "B", ""], &rows);
}

fn setting(setting: &Setting) -> Vec<String> {
    let same = setting.a.active() == setting.b.active();
    let word = if same { "as active" } else { "" };
    vec![format!("  {}", setting.feature), setting.a.to_string(), setting.b.to_string(), word.into()]
}

fn names(page: &mut Page, what: &str, names: &[String], options: Options) {
    if !names.is_empty() {
        page.line(&format!("{what}: {}", some(names, options)));
    }
}

fn some(names: &[String], options: Options) -> String {
    let most = if options.all { usize::MAX } else { NAMES };
    let some: Vec<&str> = names.iter().take(most).map(String::as_str).collect();
    let more = names.len() - some.len();
    let more = if more > 0 { format!(" and {more} more (--all)") } else { String::new() };
    format!("{}{more}", some.join(", "))
}

/// Not the same as off.
fn unknown(page: &mut Page, side: &str, features: &[FeatureName], options: Options) {
    let all: Vec<String> = features.iter().map(|name| name.to_string()).collect();
    names(page, &format!("not known to the kernel of {side}, which is not off"), &all, options);
}
