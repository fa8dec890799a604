//! Stacks of a recording: a flame graph, the functions in it, the most frequent.

use std::collections::BTreeMap;

use hostdiag_model::stacks::{Part, StackCounts, StackTable};
use hostdiag_model::trace::{Profile, Trace};
use maud::{Markup, html};

use super::cell::Cell;
use super::flame::{self, Frame};
use super::method::preformatted;
use super::table::{Kind, Table};
use super::{Place, Section};
use crate::page::{count, harmless};
use crate::trace::profile::{self, percent};
use crate::trace::stacks::{Form, Stacks, compact, function};

/// As many functions are listed.
const FUNCTIONS: usize = 100;
/// As many stacks are told in words.
const STACKS: u32 = 20;

/// Calls, samples or waits by stack.
pub(super) fn section(trace: &Trace, counts: &StackCounts, title: &str) -> Section {
    let stacks = Stacks { table: &trace.stacks, counts };
    let asked = trace.head.asked.profile.as_ref();
    let body = html! {
        (graph(trace, counts, title))
        (functions(asked, stacks))
        details { summary { "The most frequent stacks" } (preformatted(&compact(stacks, STACKS))) }
    };
    Section::new(Place::Stacks, title, body)
}

/// A tree of frames, the outermost at its root.
struct Tree {
    nodes: Vec<Node>,
    /// By the number of the caller, and the name.
    children: BTreeMap<(u32, String), u32>,
}

struct Node {
    name: String,
    kernel: bool,
    total: u64,
}

impl Tree {
    fn of(table: &StackTable, counts: &StackCounts) -> Self {
        let root = Node { name: "all".into(), kernel: false, total: 0 };
        let mut tree = Self { nodes: vec![root], children: BTreeMap::new() };
        for (key, count) in counts.iter() {
            let Some(stack) = table.stack(key.stack) else { continue };
            let mut node = tree.count(0, count);
            let parts = [(&stack.user, false), (&stack.kernel, true)];
            for (part, kernel) in
                parts.into_iter().filter_map(|(part, kernel)| Some((part.as_ref()?, kernel)))
            {
                for name in names(table, part) {
                    let child = tree.child(node, name, kernel);
                    node = tree.count(child, count);
                }
            }
        }
        tree
    }

    fn count(&mut self, node: u32, count: u64) -> u32 {
        if let Some(node) = self.nodes.get_mut(node as usize) {
            node.total = node.total.saturating_add(count);
        }
        node
    }

    fn child(&mut self, parent: u32, name: String, kernel: bool) -> u32 {
        let next = self.nodes.len() as u32;
        let child = *self.children.entry((parent, name.clone())).or_insert(next);
        if child == next {
            self.nodes.push(Node { name, kernel, total: 0 });
        }
        child
    }

    fn children(&self, node: u32) -> Vec<u32> {
        let from = (node, String::new());
        self.children
            .range(from..)
            .take_while(|((parent, _), _)| *parent == node)
            .map(|(_, id)| *id)
            .collect()
    }
}

/// Of a part the outermost first; what could not be walked is a frame too.
fn names<'a>(table: &'a StackTable, part: &'a Part) -> impl Iterator<Item = String> + 'a {
    let gap = part.gap.as_ref().map(|gap| format!("[{}]", harmless(gap)));
    gap.into_iter().chain(table.frames(part).rev().map(|frame| function(frame, Form::default())))
}

fn graph(trace: &Trace, counts: &StackCounts, title: &str) -> Markup {
    let tree = Tree::of(&trace.stacks, counts);
    let all = tree.nodes[0].total;
    let width = |node: u32| tree.nodes[node as usize].total as f64 / all.max(1) as f64;
    let asked = trace.head.asked.profile.as_ref();
    let frame = |node: u32| {
        let Node { name, kernel, total } = &tree.nodes[node as usize];
        let about = format!("{}, {} %", amount(asked, *total), percent(*total, all));
        Frame { name: name.clone(), class: class(name, *kernel), about }
    };
    html! {
        (flame::picture(title, &flame::spots(|node| tree.children(node), width), frame))
        p.legend { span.swatch.k1 {} " in the kernel " span.swatch.p1 {} " in processes" }
    }
}

/// The same name has the same colour in every picture.
fn class(name: &str, kernel: bool) -> String {
    let sum = name.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("{}{}", if kernel { 'k' } else { 'p' }, sum % 4)
}

fn amount(asked: Option<&Profile>, number: u64) -> String {
    match asked {
        Some(asked) => profile::amount(asked, number),
        None => count(usize::try_from(number).unwrap_or(usize::MAX), "call"),
    }
}

/// Functions by what they have of their own, then with what they call.
fn functions(asked: Option<&Profile>, stacks: Stacks<'_>) -> Markup {
    let all = stacks.counts.total();
    let mut rows = profile::rows(matches!(asked, Some(Profile::OffCpu { .. })), stacks);
    rows.sort_by(|a, b| (b.own, b.total, &a.name).cmp(&(a.own, a.total, &b.name)));
    let columns = [
        ("function", Kind::Name),
        ("itself", Kind::Number),
        ("itself, %", Kind::Number),
        ("with what it calls, %", Kind::Number),
        ("share", Kind::Text),
    ];
    let mut table = Table::new("Functions", &columns).at_most(FUNCTIONS);
    // Times need a unit, samples do not.
    let own = |number: u64| match asked {
        Some(waits @ Profile::OffCpu { .. }) => profile::amount(waits, number),
        _ => number.to_string(),
    };
    for row in rows {
        table.row([
            row.name.into(),
            own(row.own).into(),
            percent(row.own, all).into(),
            percent(row.total, all).into(),
            Cell::share(row.total, all),
        ]);
    }
    html! { (table) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_children_of_its_own() {
        let mut tree = Tree { nodes: Vec::new(), children: BTreeMap::new() };
        tree.nodes.push(Node { name: "all".into(), kernel: false, total: 0 });
        let b = tree.child(0, "b".into(), false);
        let a = tree.child(0, "a".into(), true);
        assert_eq!(tree.child(0, "b".into(), false), b);
        let below = tree.child(b, "a".into(), false);
        assert_eq!(
            (tree.children(0), tree.children(b), tree.children(below)),
            (vec![a, b], vec![below], vec![])
        );
    }
}
