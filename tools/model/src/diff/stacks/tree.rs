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
    /// Where the last stack ended. Behind it is often what the next one begins to differ
    /// with: files of one kind of load have their stacks in the same order.
    last: NodeId,
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
        Self { sides, names, nodes, counts, children: Children::default(), last: 0 }
    }

    /// One whose names stay as they are spelt: for what is not compared.
    pub fn as_spelt(sides: Vec<Which>) -> Self {
        let mut tree = Self::new(sides);
        tree.names.as_spelt = true;
        tree
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
        let guess = self.last + 1;
        if self.nodes.get(guess as usize) == Some(&node) {
            return Ok(guess);
        }
        if let Some(child) = self.children.find(node, &self.nodes) {
            return Ok(child);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Full);
        }
        self.nodes.push(node);
        self.counts.extend(std::iter::repeat_n(0, self.sides.len()));
        self.children.add(&self.nodes);
        Ok(self.nodes.len() as u32 - 1)
    }

    /// Counts so many stacks that end at a node.
    pub(super) fn count(&mut self, node: NodeId, recording: usize, count: u64) {
        self.last = node;
        if let Some(sum) = self.counts.get_mut(node as usize * self.sides.len() + recording) {
            *sum = sum.saturating_add(count);
        }
    }

    /// With sums, and in an order that does not depend on that of the input.
    pub fn finish(self) -> Grown {
        let Self { sides, names, nodes, mut counts, children, last: _ } = self;
        drop(children);
        let width = sides.len();
        let mut sizes = vec![1u32; nodes.len()];
        // A node comes behind its parent: from the last on, sums are whole when they go up.
        for at in (1..nodes.len()).rev() {
            let parent = nodes[at].parent as usize;
            sizes[parent] += sizes[at];
            let (above, below) = counts.split_at_mut(at * width);
            let sums = &mut above[parent * width..(parent + 1) * width];
            sums.iter_mut().zip(below).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        }
        let places = places(&nodes, &sizes, &names.ranks());
        let mut grown = Grown {
            renamed: names.renamed(),
            names: names.names,
            nodes: vec![Node { name: 0, parent: 0 }; nodes.len()],
            totals: vec![0; counts.len()],
            ends: vec![0; nodes.len()],
            sides,
        };
        for (at, node) in nodes.iter().enumerate() {
            let place = places[at] as usize;
            grown.nodes[place] = Node { name: node.name, parent: places[node.parent as usize] };
            grown.ends[place] = places[at] + sizes[at];
            grown.totals[place * width..(place + 1) * width]
                .copy_from_slice(&counts[at * width..(at + 1) * width]);
        }
        grown
    }
}

/// Where each node goes: behind its parent, and behind all of its siblings of smaller
/// names. `sizes` are numbers of nodes, with all below.
fn places(nodes: &[Node], sizes: &[u32], ranks: &[u32]) -> Vec<NodeId> {
    let mut places = vec![0; nodes.len()];
    // Names in their order take what is left of the room below their parents.
    let mut taken = vec![1u32; nodes.len()];
    for at in by_rank(nodes, ranks) {
        let taken = &mut taken[nodes[at as usize].parent as usize];
        places[at as usize] = *taken;
        *taken += sizes[at as usize];
    }
    // Until here from the parent on, which comes first.
    for at in 1..nodes.len() {
        places[at] += places[nodes[at].parent as usize];
    }
    places
}

/// All nodes but the root by name, as a counting sort: there are few names.
fn by_rank(nodes: &[Node], ranks: &[u32]) -> Vec<NodeId> {
    let rank = |node: &Node| ranks[node.name as usize] as usize;
    let mut next = vec![0u32; ranks.len() + 1];
    nodes.iter().skip(1).for_each(|node| next[rank(node) + 1] += 1);
    for at in 1..next.len() {
        next[at] += next[at - 1];
    }
    let mut sorted = vec![0; nodes.len() - 1];
    for (at, node) in nodes.iter().enumerate().skip(1) {
        let next = &mut next[rank(node)];
        sorted[*next as usize] = at as NodeId;
        *next += 1;
    }
    sorted
}

/// A tree that is whole. Nodes are in the order in which it is walked, depth first and
/// siblings by name: all that is below a node is behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Grown {
    sides: Vec<Which>,
    names: Vec<Box<str>>,
    nodes: Vec<Node>,
    /// Counts of stacks through a node, by node and recording.
    totals: Vec<u64>,
    /// The node behind all that is below a node.
    ends: Vec<NodeId>,
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
            let below = self.total(child);
            own = [own[0].saturating_sub(below[0]), own[1].saturating_sub(below[1])];
        }
        own
    }

    /// The frames below a node, by name.
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        let end = self.end(node);
        let inside = move |child: &NodeId| *child < end;
        std::iter::successors(Some(node + 1).filter(inside), move |child| {
            Some(self.end(*child)).filter(inside)
        })
    }

    /// The first node behind one and all that is below it.
    pub fn end(&self, node: NodeId) -> NodeId {
        self.ends.get(node as usize).copied().unwrap_or_default()
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
    /// Every spelling is a name.
    as_spelt: bool,
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
        let canonical = if self.as_spelt { name.into() } else { canonical(name) };
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

/// Which node is which child: a table with open addressing. A child right behind its
/// parent, as those of new stacks are, is found there and not in the table.
#[derive(Clone, Debug, Default)]
struct Children {
    slots: Vec<Slot>,
    used: usize,
}

/// What a node is stands beside its number: to look at the node itself would be a second
/// way to memory that is far away, and those ways are most of the time that reading takes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    node: Node,
    id: NodeId,
}

impl Slot {
    /// Node 0 is nobody's child.
    const EMPTY: Self = Self { node: Node { name: 0, parent: 0 }, id: 0 };
}

impl Children {
    fn find(&self, wanted: Node, nodes: &[Node]) -> Option<NodeId> {
        let behind = wanted.parent + 1;
        if nodes.get(behind as usize) == Some(&wanted) {
            return Some(behind);
        }
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = place(wanted) & mask;
        loop {
            match self.slots[at] {
                Slot { id: 0, .. } => return None,
                Slot { node, id } if node == wanted => return Some(id),
                _ => at = (at + 1) & mask,
            }
        }
    }

    /// Adds the last node.
    fn add(&mut self, nodes: &[Node]) {
        if self.used * 2 >= self.slots.len() {
            let room = (self.slots.len() * 2).max(64);
            // Not both at a time.
            self.slots = Vec::new();
            self.slots = vec![Slot::EMPTY; room];
            self.used = 0;
            (1..nodes.len() - 1).for_each(|id| self.insert(id, nodes));
        }
        self.insert(nodes.len() - 1, nodes);
    }

    fn insert(&mut self, id: usize, nodes: &[Node]) {
        let node = nodes[id];
        if node.parent as usize + 1 == id {
            return;
        }
        let mask = self.slots.len() - 1;
        let mut at = place(node) & mask;
        while self.slots[at].id != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = Slot { node, id: id as NodeId };
        self.used += 1;
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

impl Mixer {
    fn add(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks();
        words.iter().for_each(|word| self.add(u64::from_le_bytes(*word)));
        if !rest.is_empty() {
            // Bytes that are seen twice do no harm, and a whole word is read at once.
            let last = bytes.last_chunk().map_or_else(
                || rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)),
                |word| u64::from_le_bytes(*word),
            );
            self.add(last);
        }
    }

    /// What text ends with.
    fn write_u8(&mut self, byte: u8) {
        self.0 ^= u64::from(byte);
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}
