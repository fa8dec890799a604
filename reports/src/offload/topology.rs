//! Who lies on whom, drawn from the hardware on the left to what carries the
//! addresses on the right:
//!
//! ```text
//! eth2  ixgbe  up  --+-- bond0  802.3ad  --+-- vlan10   10.36.10.7/24    2 LOST
//! eth3  ixgbe  up  --+                     +-- vlan100  10.36.100.7/24   ok
//! ```

use std::collections::{BTreeMap, BTreeSet};

use hostdiag_model::Audit;
use hostdiag_model::stack::{MAX_DEPTH, Position, Stack};

use super::{Options, words};
use crate::page::{count, harmless};

/// More alike siblings than this share one line.
const MAX_ALIKE: usize = 4;

/// How many stacks there are: groups of devices that lie on one another.
pub(super) fn stacks(stack: &Stack<'_>) -> usize {
    stack.components().iter().filter(|component| component.len() > 1).count()
}

/// The lines of the picture: stacks first, then what stands alone.
pub(crate) fn lines(stack: &Stack<'_>, audit: &Audit, options: Options) -> Vec<String> {
    let mut findings: BTreeMap<&str, Vec<&'static str>> = BTreeMap::new();
    for entry in audit.findings().filter(|entry| entry.netns == stack.namespace.name) {
        findings.entry(&entry.device).or_default().push(words::label(entry.verdict).0);
    }
    let mut picture = Picture { stack, findings, options, drawn: BTreeSet::new() };
    let (together, alone): (Vec<_>, Vec<_>) =
        stack.components().into_iter().partition(|component| component.len() > 1);
    let mut lines: Vec<String> = together.iter().flat_map(|component| picture.component(component)).collect();
    let alone = alone.into_iter().flatten().filter(|at| !stack.link(*at).is_some_and(|link| link.loopback));
    lines.extend(picture.fold(alone.collect()).into_iter().map(|group| picture.leaf(&group)));
    lines
}

struct Picture<'a> {
    stack: &'a Stack<'a>,
    /// Labels of the findings of a device.
    findings: BTreeMap<&'a str, Vec<&'static str>>,
    options: Options,
    drawn: BTreeSet<Position>,
}

impl Picture<'_> {
    fn component(&mut self, component: &[Position]) -> Vec<String> {
        let bottom: Vec<Position> =
            component.iter().copied().filter(|at| self.stack.lowers(*at).is_empty()).collect();
        let mut lines = Vec::new();
        // Without a bottom the layers form a cycle, as only a file can say.
        let roots = if bottom.is_empty() { component } else { &bottom };
        // Those with something below them that is drawn first stand in front of
        // a master that other ports of it only point to.
        let (deep, plain): (Vec<Position>, Vec<Position>) = roots
            .iter()
            .partition(|root| self.common_master(**root).is_some() || !self.is_plain_port(**root));
        for root in deep {
            if self.drawn.contains(&root) {
                continue;
            }
            lines.extend(match self.common_master(root) {
                Some(master) => self.ports(master),
                None => self.tree(root, 0),
            });
        }
        lines.extend(self.other_ports(plain));
        lines
    }

    /// A device with nothing below it and nothing on it but its master.
    fn is_plain_port(&self, at: Position) -> bool {
        self.stack.lowers(at).is_empty() && matches!(self.stack.uppers(at), [_])
    }

    /// The ports that could not stand in front of their master, alike ones on
    /// one line.
    fn other_ports(&mut self, ports: Vec<Position>) -> Vec<String> {
        let mut lines = Vec::new();
        let mut masters: Vec<Position> =
            ports.iter().filter_map(|at| self.stack.uppers(*at).first()).copied().collect();
        masters.dedup();
        for master in masters {
            let of_it = ports.iter().copied().filter(|at| self.stack.uppers(*at) == [master]).collect();
            let labels: Vec<String> = self.fold(of_it).iter().map(|group| self.label(group)).collect();
            lines.extend(join(labels, vec![self.tree(master, 0)]));
        }
        lines
    }

    /// The master of a device, where all its ports are plain devices without
    /// anything else on them, so that they can stand in front of it.
    fn common_master(&self, at: Position) -> Option<Position> {
        let [master] = self.stack.uppers(at) else { return None };
        let ports = self.stack.lowers(*master);
        let plain =
            |port: &Position| self.stack.lowers(*port).is_empty() && self.stack.uppers(*port) == [*master];
        (!ports.is_empty() && ports.iter().all(plain)).then_some(*master)
    }

    fn ports(&mut self, master: Position) -> Vec<String> {
        let ports = self.stack.lowers(master).to_vec();
        self.drawn.extend(&ports);
        let labels = self.fold(ports).iter().map(|group| self.label(group)).collect();
        let right = self.tree(master, 0);
        join(labels, vec![right])
    }

    /// A device and everything on it.
    fn tree(&mut self, at: Position, depth: usize) -> Vec<String> {
        if !self.drawn.insert(at) || depth > MAX_DEPTH {
            return vec![format!("({})", harmless(self.stack.name(at)))];
        }
        let uppers = self.stack.uppers(at).to_vec();
        if uppers.is_empty() {
            return vec![self.leaf(&[at])];
        }
        let (leaves, inner): (Vec<_>, Vec<_>) =
            uppers.into_iter().partition(|up| self.stack.uppers(*up).is_empty() && !self.drawn.contains(up));
        self.drawn.extend(&leaves);
        let mut blocks: Vec<Vec<String>> = self.leaves(leaves).into_iter().map(|line| vec![line]).collect();
        blocks.extend(inner.into_iter().map(|up| self.tree(up, depth + 1)).collect::<Vec<_>>());
        join(vec![self.label(&[at])], blocks)
    }

    /// Lines of devices with nothing on them, their states below each other.
    fn leaves(&self, all: Vec<Position>) -> Vec<String> {
        let groups = self.fold(all);
        let labels = pad(groups.iter().map(|group| self.words(group)).collect());
        let states = groups.iter().map(|group| self.state(group));
        labels.into_iter().zip(states).map(|(label, state)| format!("{label}  {state}")).collect()
    }

    fn leaf(&self, group: &[Position]) -> String {
        format!("{}  {}", self.words(group), self.state(group))
    }

    /// Groups of devices to share a line: alike, healthy and many.
    fn fold(&self, all: Vec<Position>) -> Vec<Vec<Position>> {
        let shape = |at: Position| {
            let link = self.stack.link(at);
            let kind = link.and_then(|link| link.kind.as_deref().or(link.driver.as_deref())).unwrap_or("");
            (
                kind.to_owned(),
                link.is_some_and(|link| link.up),
                self.findings.contains_key(self.stack.name(at)),
            )
        };
        let mut groups: Vec<Vec<Position>> = Vec::new();
        let mut by_shape: BTreeMap<_, Vec<Position>> = BTreeMap::new();
        for at in &all {
            by_shape.entry(shape(*at)).or_default().push(*at);
        }
        for at in all {
            let alike = &by_shape[&shape(at)];
            if self.options.all || alike.len() <= MAX_ALIKE {
                groups.push(vec![at]);
            } else if alike.first() == Some(&at) {
                groups.push(alike.clone());
            }
        }
        groups
    }

    /// Name and kind, for a device with others on it.
    fn label(&self, group: &[Position]) -> String {
        let words = self.words(group);
        let hurt = group.iter().any(|at| self.findings.contains_key(self.stack.name(*at)));
        if hurt { format!("{words}  {}", self.state(group)) } else { words }
    }

    fn words(&self, group: &[Position]) -> String {
        let first = group[0];
        let names: Vec<&str> = group.iter().map(|at| self.stack.name(*at)).collect();
        let mut words = vec![harmless(&words::devices(&names))];
        if let Some(link) = self.stack.link(first) {
            // A VLAN or bond says what it is by its id or mode.
            let kind =
                if group.len() == 1 { self.kind(first) } else { link.kind.clone().or(link.driver.clone()) };
            words.extend(kind.map(|kind| harmless(&kind)));
            words.extend(
                (link.kind.is_none() || !link.up).then(|| if link.up { "up" } else { "down" }.to_owned()),
            );
            words.extend(if group.len() == 1 { self.elsewhere(first) } else { None });
            let addresses = link.addresses.iter().take(2).map(|address| harmless(address));
            words.extend((group.len() == 1).then_some(addresses).into_iter().flatten());
        }
        words.join("  ")
    }

    /// What a device is, where its name does not say so already.
    fn kind(&self, at: Position) -> Option<String> {
        let link = self.stack.link(at)?;
        match link.vlan_id {
            Some(id) if self.stack.name(at).contains(&id.to_string()) => None,
            Some(id) => Some(format!("vlan {id}")),
            None => link.mode.clone().or(link.kind.clone()).or(link.driver.clone()),
        }
    }

    /// What a device lies on, or is paired with, outside of this picture.
    fn elsewhere(&self, at: Position) -> Option<String> {
        let link = self.stack.link(at)?;
        let veth = link.kind.as_deref() == Some("veth");
        let how = if veth { "peer" } else { "on a device" };
        match (link.lower_netnsid, &link.lower_netns) {
            (Some(_), Some(name)) => Some(format!("{how} in netns {}", harmless(name))),
            (Some(_), None) => Some(format!("{how} in another netns")),
            (None, _) if veth => {
                self.stack.peer(at).map(|peer| format!("peer {}", harmless(self.stack.name(peer))))
            }
            (None, _) => None,
        }
    }

    fn state(&self, group: &[Position]) -> String {
        let labels: Vec<&str> = group
            .iter()
            .filter_map(|at| self.findings.get(self.stack.name(*at)))
            .flatten()
            .copied()
            .collect();
        let unread = group.iter().all(|at| self.stack.device(*at).features.is_none());
        match labels.as_slice() {
            [] if unread => "not read".to_owned(),
            [] => "ok".to_owned(),
            [first, rest @ ..] if rest.iter().all(|label| label == first) => {
                format!("{} {first}", labels.len())
            }
            _ => count(labels.len(), "finding"),
        }
    }
}

/// Puts labels in front of blocks, with the lines between them.
fn join(left: Vec<String>, blocks: Vec<Vec<String>>) -> Vec<String> {
    let left = pad(left);
    let width = left.first().map_or(0, |line| line.chars().count());
    let several = blocks.len() > 1;
    let last = blocks.len() - 1;
    let mut right: Vec<String> = Vec::new();
    for (index, block) in blocks.into_iter().enumerate() {
        for (row, line) in block.into_iter().enumerate() {
            right.push(match (index, row) {
                (0, 0) => format!("-- {line}"),
                (_, 0) => format!("+-- {line}"),
                (_, _) if several && index < last => format!("|   {line}"),
                (_, _) => format!("    {line}"),
            });
        }
    }
    let rows = left.len().max(right.len());
    let row = |row: usize| {
        let joint = if left.len() > 1 || several { "+" } else { "-" };
        match (left.get(row), right.get(row)) {
            (Some(label), Some(line)) if row == 0 => format!("{label}  --{joint}{line}"),
            (Some(label), Some(line)) => {
                format!("{label}  --+{}", line.strip_prefix(['+', '|', ' ']).unwrap_or(line))
            }
            (Some(label), None) => format!("{label}  --+"),
            (None, Some(line)) => format!("{:width$}    {line}", ""),
            (None, None) => String::new(),
        }
    };
    (0..rows).map(row).map(|line| line.trim_end().to_owned()).collect()
}

fn pad(lines: Vec<String>) -> Vec<String> {
    let width = lines.iter().map(|line| line.chars().count()).max().unwrap_or(0);
    lines.into_iter().map(|line| format!("{line:<width$}")).collect()
}
