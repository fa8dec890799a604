//! Stacks of several recordings in one tree: each node is a frame below its callers,
//! with what every recording has there.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::super::Which;
use super::super::names::canonical;

/// As many nodes are kept: some gigabyte.
const MAX_NODES: usize = 1 << 25;

/// A frame below its callers; 0 is what all stacks hang from.
pub type NodeId = u32;

/// There are more different stacks than are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl std::fmt::Display for Full {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "more than {MAX_NODES} different frames and callers of them")
    }
}

/// A tree that grows.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The side of each recording.
    sides: Vec<Which>,
    names: Names,
    nodes: Vec<Node>,
    /// Counts of stacks that end here, by node and recording.
    counts: Vec<u64>,
    children: Children,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    name: u32,
    parent: NodeId,
}

impl Tree {
    /// An empty one, for as many recordings as there are sides here.
    pub fn new(sides: Vec<Which>) -> Self {
        let mut names = Names::default();
        names.add("", Which::A);
        let counts = vec![0; sides.len()];
        let nodes = vec![Node { name: 0, parent: 0 }];
        Self { sides, names, nodes, counts, children: Children::default() }
    }

    /// Adds a stack of a recording, the outermost frame first.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn add<'a>(
        &mut self,
        recording: usize,
        frames: impl IntoIterator<Item = &'a str>,
        count: u64,
    ) -> Result<(), Full> {
        let mut node = 0;
        for frame in frames {
            node = self.child(node, frame, recording)?;
        }
        self.count(node, recording, count);
        Ok(())
    }

    /// The frame of this name below a node, which is added if it is new.
    pub(super) fn child(&mut self, parent: NodeId, name: &str, recording: usize) -> Result<NodeId, Full> {
        let side = self.sides.get(recording).copied().unwrap_or(Which::A);
        let node = Node { name: self.names.add(name, side), parent };
        if let Some(child) = self.children.find(node, &self.nodes) {
            return Ok(child);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Full);
        }
        self.nodes.push(node);
        self.counts.resize(self.nodes.len() * self.sides.len(), 0);
        self.children.add(&self.nodes);
        Ok(self.nodes.len() as u32 - 1)
    }

    /// Counts so many stacks that end at a node.
    pub(super) fn count(&mut self, node: NodeId, recording: usize, count: u64) {
        if let Some(sum) = self.counts.get_mut(node as usize * self.sides.len() + recording) {
            *sum = sum.saturating_add(count);
        }
    }

    /// With sums, and in an order that does not depend on that of the input.
    pub fn finish(self) -> Grown {
        let Self { sides, names, nodes, mut counts, children } = self;
        drop(children);
        let width = sides.len();
        // A node comes behind its parent: from the last on, sums are whole when they go up.
        for at in (1..nodes.len()).rev() {
            let parent = nodes[at].parent as usize;
            for column in 0..width {
                let below = counts[at * width + column];
                let sum = &mut counts[parent * width + column];
                *sum = sum.saturating_add(below);
            }
        }
        let renamed = names.renamed();
        let ranks = names.ranks();
        let (starts, below) = by_parent(&nodes, &ranks);
        Grown { sides, names: names.names, nodes, totals: counts, starts, below, renamed }
    }
}

/// The children of each node by name: where they start, and all of them.
fn by_parent(nodes: &[Node], ranks: &[u32]) -> (Vec<u32>, Vec<NodeId>) {
    let mut starts = vec![0u32; nodes.len() + 1];
    nodes.iter().skip(1).for_each(|node| starts[node.parent as usize + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut next = starts.clone();
    let mut below = vec![0; nodes.len() - 1];
    for (at, node) in nodes.iter().enumerate().skip(1) {
        let place = &mut next[node.parent as usize];
        below[*place as usize] = at as u32;
        *place += 1;
    }
    for pair in starts.windows(2) {
        below[pair[0] as usize..pair[1] as usize]
            .sort_unstable_by_key(|at| ranks[nodes[*at as usize].name as usize]);
    }
    (starts, below)
}

/// A tree that is whole.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    sides: Vec<Which>,
    names: Vec<Box<str>>,
    nodes: Vec<Node>,
    /// Counts of stacks through a node, by node and recording.
    totals: Vec<u64>,
    starts: Vec<u32>,
    below: Vec<NodeId>,
    renamed: usize,
}

impl Grown {
    /// What all stacks hang from.
    pub const ROOT: NodeId = 0;

    /// The side of each recording.
    pub fn sides(&self) -> &[Which] {
        &self.sides
    }

    /// The name of a frame, as it is compared; that of the root is empty.
    pub fn name(&self, node: NodeId) -> &str {
        self.nodes
            .get(node as usize)
            .and_then(|node| self.names.get(node.name as usize))
            .map_or("", |name| name)
    }

    /// A name by its number.
    pub(super) fn name_of(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", |name| name)
    }

    /// A number for the name of a frame: frames of one name have the same.
    pub fn name_id(&self, node: NodeId) -> u32 {
        self.nodes.get(node as usize).map_or(0, |node| node.name)
    }

    /// How many names there are.
    pub(super) fn names(&self) -> usize {
        self.names.len()
    }

    /// Stacks through a node, by recording.
    pub fn totals(&self, node: NodeId) -> &[u64] {
        let width = self.sides.len();
        self.totals.get(node as usize * width..(node as usize + 1) * width).unwrap_or_default()
    }

    /// Stacks through a node on both sides, all recordings of a side together.
    pub fn total(&self, node: NodeId) -> [u64; 2] {
        let mut sums = [0u64; 2];
        for (side, count) in self.sides.iter().zip(self.totals(node)) {
            let sum = &mut sums[usize::from(*side == Which::B)];
            *sum = sum.saturating_add(*count);
        }
        sums
    }

    /// Stacks that end at a node, likewise.
    pub fn own(&self, node: NodeId) -> [u64; 2] {
        let mut own = self.total(node);
        for child in self.children(node) {
            let below = self.total(*child);
            own = [own[0].saturating_sub(below[0]), own[1].saturating_sub(below[1])];
        }
        own
    }

    /// The frames below a node, by name.
    pub fn children(&self, node: NodeId) -> &[NodeId] {
        let at = |index: usize| self.starts.get(index).map_or(0, |start| *start as usize);
        self.below.get(at(node as usize)..at(node as usize + 1)).unwrap_or_default()
    }

    /// The caller of a frame.
    pub fn parent(&self, node: NodeId) -> NodeId {
        self.nodes.get(node as usize).map_or(0, |node| node.parent)
    }

    /// How many nodes there are, the root among them.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether there is no stack at all.
    pub fn is_empty(&self) -> bool {
        self.nodes.len() < 2
    }

    /// How many names are on both sides, and spelt the same on none.
    pub fn renamed(&self) -> usize {
        self.renamed
    }
}

/// Names by number, as they are compared, and how they were spelt.
#[derive(Clone, Debug, Default)]
struct Names {
    names: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32, Fast>,
    /// Each spelling, its name, and the sides it is on.
    spelt: HashMap<Box<str>, (u32, [bool; 2]), Fast>,
}

impl Names {
    fn add(&mut self, name: &str, side: Which) -> u32 {
        let side = usize::from(side == Which::B);
        if let Some((number, sides)) = self.spelt.get_mut(name) {
            sides[side] = true;
            return *number;
        }
        let canonical = canonical(name);
        let number = match self.numbers.get(&*canonical) {
            Some(number) => *number,
            None => {
                let number = self.names.len() as u32;
                self.names.push((&*canonical).into());
                self.numbers.insert((&*canonical).into(), number);
                number
            }
        };
        let mut sides = [false; 2];
        sides[side] = true;
        self.spelt.insert(name.into(), (number, sides));
        number
    }

    fn renamed(&self) -> usize {
        // Whether it is on A, on B, and in one spelling on both.
        let mut seen = vec![[false; 3]; self.names.len()];
        for (number, [a, b]) in self.spelt.values() {
            let seen = &mut seen[*number as usize];
            *seen = [seen[0] || *a, seen[1] || *b, seen[2] || (*a && *b)];
        }
        seen.iter().filter(|seen| **seen == [true, true, false]).count()
    }

    /// The place of each name when they are sorted.
    fn ranks(&self) -> Vec<u32> {
        let mut order: Vec<u32> = (0..self.names.len() as u32).collect();
        order.sort_unstable_by_key(|number| &self.names[*number as usize]);
        let mut ranks = vec![0; order.len()];
        order.iter().zip(0..).for_each(|(number, rank)| ranks[*number as usize] = rank);
        ranks
    }
}

/// Which node is which child: a table of node numbers with open addressing, a fifth
/// of what a map with keys of its own would take.
#[derive(Clone, Debug, Default)]
struct Children {
    slots: Vec<u32>,
}

impl Children {
    /// Node 0 is nobody's child.
    const EMPTY: u32 = 0;

    fn find(&self, wanted: Node, nodes: &[Node]) -> Option<NodeId> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = place(wanted) & mask;
        loop {
            match self.slots[at] {
                Self::EMPTY => return None,
                id if nodes[id as usize] == wanted => return Some(id),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds the last node.
    fn add(&mut self, nodes: &[Node]) {
        if nodes.len() * 4 > self.slots.len() * 3 {
            self.slots = vec![Self::EMPTY; (self.slots.len() * 2).max(64)];
            (1..nodes.len() - 1).for_each(|id| self.insert(id, nodes));
        }
        self.insert(nodes.len() - 1, nodes);
    }

    fn insert(&mut self, id: usize, nodes: &[Node]) {
        let mask = self.slots.len() - 1;
        let mut at = place(nodes[id]) & mask;
        while self.slots[at] != Self::EMPTY {
            at = (at + 1) & mask;
        }
        self.slots[at] = id as u32;
    }
}

fn place(node: Node) -> usize {
    mix(u64::from(node.parent) << 32 | u64::from(node.name)) as usize
}

/// The last steps of MurmurHash3: every bit of the result depends on every bit.
fn mix(mut bits: u64) -> u64 {
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xff51_afd7_ed55_8ccd);
    bits ^= bits >> 33;
    bits = bits.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    bits ^ bits >> 33
}

type Fast = BuildHasherDefault<Mixer>;

/// Hashes short text fast. Whoever makes names collide slows down the comparison of
/// their own file, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0.rotate_left(5) ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        }
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}
