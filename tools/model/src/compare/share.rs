//! Which samples of the profile are whose: of every stack the function nearest to the
//! tip that a cause knows decides, so that no core is counted twice.

use serde::Serialize;

use super::rules::{self, Rule};
use crate::diff::stacks::{Grown, NodeId, Stacks};

/// As many functions are named of what is not explained.
const NAMED: usize = 3;

/// What no cause explains.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Unexplained {
    /// Busy cores, B's less A's.
    pub cores: f64,
    /// Functions that most of it goes through, the largest first, each without those
    /// above it on the same path.
    pub mostly: Vec<Frame>,
}

/// A function and how much its part of something changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Frame {
    /// Its name.
    pub name: String,
    /// B's less A's, in busy cores.
    pub cores: f64,
}

/// The change in busy cores of each rule, and what is left. Rules that come first take
/// what several know at the same function.
pub(super) fn of(stacks: &Stacks, rules: &[&Rule]) -> (Vec<f64>, Unexplained) {
    let tree = &stacks.tree;
    let own = |node: NodeId| {
        let below: f64 = tree.children(node).map(|child| stacks.amount(child).change()).sum();
        stacks.amount(node).change() - below
    };
    let mut known = vec![None; names(tree)];
    let mut sums = vec![0.0; rules.len()];
    // Whose a stack is that goes through a node, and what is left in and below it.
    let mut owner: Vec<Option<usize>> = vec![None; tree.len()];
    let mut left = vec![0.0; tree.len()];
    for node in 1..tree.len() as NodeId {
        let name = tree.name_id(node) as usize;
        let rule = *known[name].get_or_insert_with(|| {
            let name = tree.name(node);
            rules.iter().position(|rule| rules::any(rule.signs, name) || rules::any(rule.path, name))
        });
        owner[node as usize] = rule.or(owner[tree.parent(node) as usize]);
    }
    for node in (0..tree.len() as NodeId).rev() {
        let change = own(node);
        match owner[node as usize] {
            Some(rule) => sums[rule] += change,
            None => left[node as usize] += change,
        }
        if node != Grown::ROOT {
            left[tree.parent(node) as usize] += left[node as usize];
        }
    }
    let unexplained = Unexplained { cores: left[0], mostly: mostly(tree, &left) };
    (sums, unexplained)
}

fn names(tree: &Grown) -> usize {
    (0..tree.len() as NodeId).map(|node| tree.name_id(node) as usize + 1).max().unwrap_or(1)
}

/// From the root on into the largest part as long as that has more than half of what its
/// caller has; then the next largest of what is left.
fn mostly(tree: &Grown, left: &[f64]) -> Vec<Frame> {
    let whole = left[0];
    let mut left = left.to_vec();
    let mut found = Vec::new();
    while found.len() < NAMED {
        let mut node = Grown::ROOT;
        let way = |node: NodeId, left: &[f64]| left[node as usize] * whole.signum();
        let largest = |node: NodeId, left: &[f64]| {
            tree.children(node).max_by(|a, b| way(*a, left).total_cmp(&way(*b, left)))
        };
        while let Some(next) = largest(node, &left) {
            let enough = if node == Grown::ROOT { 0.1 * whole.abs() } else { way(node, &left) / 2.0 };
            if way(next, &left) <= enough || way(next, &left) <= 0.0 {
                break;
            }
            node = next;
        }
        if node == Grown::ROOT {
            break;
        }
        let cores = left[node as usize];
        found.push(Frame { name: tree.name(node).to_owned(), cores });
        let mut up = node;
        while up != Grown::ROOT {
            up = tree.parent(up);
            left[up as usize] -= cores;
        }
        left[node as usize] = 0.0;
        (node..tree.end(node)).for_each(|below| left[below as usize] = 0.0);
    }
    found
}
