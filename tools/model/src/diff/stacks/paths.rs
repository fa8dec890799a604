//! Paths through the tree: that of most of the change, and those of one side alone.

use serde::Serialize;

use super::{Amount, Grown, NodeId, Stacks};

/// As many paths of one side are told; the rest is added up.
const MAX_PATHS: usize = 100;

/// A path from the outermost frame on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Path {
    /// Its frames, the outermost first.
    pub frames: Vec<String>,
    /// How many of them both sides have.
    pub shared: usize,
    /// What goes through its last frame; of a path of one side through the first that
    /// only that has.
    pub amount: Amount,
}

/// Paths of one side, and what is left.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Paths {
    /// The largest, largest first.
    pub paths: Vec<Path>,
    /// How many there are beside these.
    pub more: usize,
    /// Counts of those.
    pub more_count: u64,
}

/// The path to the innermost frame through which more than half of the change goes.
pub(super) fn most(all: &Stacks) -> Option<Path> {
    let change = |node: NodeId| all.amount(node).change();
    // Where shares are compared, or one path replaced another, all of it stayed the same.
    let whole = change(Grown::ROOT);
    let moved = whole.abs() > 0.01 * all.total.a.max(all.total.b);
    // Then the outermost frame that changed most is where to begin.
    let mut end = if moved { Grown::ROOT } else { farthest(all) };
    let reference = change(end);
    let way = |change: f64| change * reference.signum();
    let largest =
        |node: NodeId| all.tree.children(node).max_by(|a, b| way(change(*a)).total_cmp(&way(change(*b))));
    while let Some(next) = largest(end).filter(|next| way(change(*next)) > reference.abs() / 2.0) {
        end = next;
    }
    (end != Grown::ROOT && reference != 0.0).then(|| path(all, end, end))
}

/// The node whose amount changed most; of several in a row the outermost.
fn farthest(all: &Stacks) -> NodeId {
    let (mut best, mut most) = (Grown::ROOT, 0.0);
    for node in 0..all.tree.len() as NodeId {
        let change = all.amount(node).change().abs();
        if change > most {
            (best, most) = (node, change);
        }
    }
    best
}

/// What only A has and what only B has.
pub(super) fn alone(all: &Stacks) -> (Paths, Paths) {
    let mut heads: [Vec<(u64, NodeId)>; 2] = Default::default();
    let mut node = Grown::ROOT;
    while (node as usize) < all.tree.len() {
        let end = all.tree.end(node);
        node = match all.tree.total(node) {
            [0, 0] => end,
            [count, 0] => {
                heads[0].push((count, node));
                end
            }
            [0, count] => {
                heads[1].push((count, node));
                end
            }
            _ => node + 1,
        };
    }
    let [gone, new] = heads.map(|mut heads| {
        heads.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
        let rest = heads.split_off(heads.len().min(MAX_PATHS));
        Paths {
            paths: heads.into_iter().map(|(_, head)| path(all, head, trunk(all, head))).collect(),
            more: rest.len(),
            more_count: rest.iter().fold(0, |sum, (count, _)| sum.saturating_add(*count)),
        }
    });
    (gone, new)
}

/// From a node on as far as most of it goes one way.
fn trunk(all: &Stacks, head: NodeId) -> NodeId {
    let size = |node: NodeId| all.tree.total(node).iter().fold(0u64, |sum, count| sum.saturating_add(*count));
    let mut end = head;
    while let Some(next) = all.tree.children(end).find(|next| size(*next) > size(head) / 2) {
        end = next;
    }
    end
}

/// The path to `end`, with the amount of `head`, which is on it.
fn path(all: &Stacks, head: NodeId, end: NodeId) -> Path {
    let (mut frames, mut shared, mut node) = (Vec::new(), 0, end);
    while node != Grown::ROOT {
        frames.push(all.tree.name(node).to_owned());
        shared += usize::from(all.tree.total(node).iter().all(|count| *count > 0));
        node = all.tree.parent(node);
    }
    frames.reverse();
    Path { frames, shared, amount: all.amount(head) }
}
