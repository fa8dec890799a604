//! Flame graphs, as SVG: one frame a function, as wide as what was counted in it and
//! in what it called.

use hostdiag_model::diff::stacks::{Grown, NodeId};
use inferno::flamegraph::{self, Direction};

use crate::page::harmless;

/// How a flame graph is to look.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Above it.
    pub title: String,
    /// Below the title.
    pub subtitle: Option<String>,
    /// What is counted, in the plural: `samples`, `us`.
    pub count_name: String,
    /// What a count is multiplied by for that: 0.001 from ns to us. 0 is 1.
    pub factor: f64,
    /// From the top to the bottom.
    pub icicle: bool,
}

/// A graph of folded lines, `outer;inner 12`, in any order: `stacks::folded` makes
/// them. The same lines make the same bytes. Absent where no line has a count.
pub fn svg<'a>(lines: impl IntoIterator<Item = &'a str>, options: &Options) -> Option<String> {
    let mut look = flamegraph::Options::default();
    look.title = harmless(&options.title);
    look.subtitle = options.subtitle.as_deref().map(harmless);
    look.count_name = harmless(&options.count_name);
    look.factor = if options.factor > 0.0 { options.factor } else { 1.0 };
    look.direction = if options.icicle { Direction::Inverted } else { Direction::Straight };
    // Else colours are drawn by chance.
    look.deterministic = true;
    let mut bytes = Vec::new();
    flamegraph::from_lines(&mut look, lines, &mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

/// Frames that are narrower than this share of a graph are not drawn: the library's own.
const NARROWEST: f64 = 0.0001;

/// A tree of one recording as lines for [`svg`]. What is too narrow to be drawn is not
/// taken apart: of a million stacks some thousand lines are left, and the graph of those
/// is the same.
pub fn lines(tree: &Grown) -> Vec<String> {
    let narrow = tree.total(Grown::ROOT)[0] as f64 * NARROWEST;
    let mut lines = Lines { narrow, path: Vec::new(), stack: String::new(), gap: None, all: Vec::new() };
    let mut node = Grown::ROOT + 1;
    while (node as usize) < tree.len() {
        node = lines.add(tree, node);
    }
    lines.close();
    lines.all
}

struct Lines {
    narrow: f64,
    /// Frames that the next is in: where what is below each ends, and how long the stack
    /// is without it.
    path: Vec<(NodeId, usize)>,
    stack: String,
    /// Neighbours below a frame that are too narrow even together: that frame, the stack
    /// of the first of them, and how much they are.
    gap: Option<(NodeId, String, u64)>,
    all: Vec<String>,
}

impl Lines {
    /// Adds a frame; the next one.
    fn add(&mut self, tree: &Grown, node: NodeId) -> NodeId {
        while let Some((_, length)) = self.path.pop_if(|(end, _)| *end <= node) {
            self.stack.truncate(length);
        }
        let length = self.stack.len();
        if length > 0 {
            self.stack.push(';');
        }
        self.stack.push_str(tree.name(node));
        let total = tree.total(node)[0];
        if total as f64 >= self.narrow {
            self.close();
            let own = tree.own(node)[0];
            if own > 0 {
                self.all.push(format!("{} {own}", self.stack));
            }
            self.path.push((tree.end(node), length));
            return node + 1;
        }
        self.widen(tree.parent(node), total);
        self.stack.truncate(length);
        tree.end(node)
    }

    fn widen(&mut self, parent: NodeId, total: u64) {
        match &mut self.gap {
            Some((of, _, sum)) if *of == parent && ((*sum + total) as f64) < self.narrow => *sum += total,
            _ => {
                self.close();
                self.gap = Some((parent, self.stack.clone(), total));
            }
        }
    }

    fn close(&mut self) {
        if let Some((_, stack, sum)) = self.gap.take()
            && sum > 0
        {
            self.all.push(format!("{stack} {sum}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use hostdiag_model::diff::Which;
    use hostdiag_model::diff::stacks::Tree;

    use super::*;

    /// Half a million counts of which most frames are too narrow to be seen.
    fn many() -> String {
        let line = |at: u64| {
            let count = if at.is_multiple_of(50) { 2000 } else { 1 + at % 7 };
            format!("app;f{};g{};h{at} {count}\n", at % 7, at * at % 31)
        };
        (0..20_000).map(line).collect()
    }

    #[test]
    fn what_is_not_seen_is_not_missed() {
        let text = many();
        let mut tree = Tree::as_spelt(vec![Which::A]);
        tree.read(0, &mut text.as_bytes(), &|stack| Some(stack.into())).unwrap();
        let lines = lines(&tree.finish());
        assert!(lines.len() < 10_000, "{}", lines.len());
        let options = Options { count_name: "samples".into(), ..Options::default() };
        let graph = svg(lines.iter().map(String::as_str), &options);
        assert!(graph.as_ref().is_some_and(|graph| graph.contains("<title>g0 (")));
        assert!(graph == svg(text.lines(), &options), "another graph");
    }

    const LINES: [&str; 3] = ["java;main;work 30", "java;main 10", "java;main;wo<rk>;\"leaf\" 20"];

    #[test]
    fn the_same_stacks_make_the_same_graph() {
        let options = Options { title: "CPU".into(), count_name: "samples".into(), ..Options::default() };
        let graph = svg(LINES, &options).unwrap();
        assert_eq!(svg(LINES.into_iter().rev(), &options), Some(graph.clone()));
        assert!(graph.contains("<title>work (30 samples, 50.00%)</title>"), "{graph}");
        assert!(graph.contains("<title>main (60 samples, 100.00%)</title>"), "{graph}");
        // Names are text in the document, never a part of it.
        assert!(graph.contains("wo&lt;rk&gt;") && !graph.contains("<rk>"), "{graph}");
    }

    #[test]
    fn counts_have_their_unit() {
        let options = Options { count_name: "us".into(), factor: 0.001, ..Options::default() };
        let graph = svg(["a;b 1500000"], &options).unwrap();
        assert!(graph.contains("<title>b (1,500 us, 100.00%)</title>"), "{graph}");
    }

    #[test]
    fn nothing_makes_no_graph() {
        assert_eq!(svg([], &Options::default()), None);
        assert_eq!(svg(["no count"], &Options::default()), None);
    }

    #[test]
    fn it_stands_on_its_head_where_asked() {
        let icicle = Options { icicle: true, ..Options::default() };
        let graph = |options: &Options| svg(LINES, options).unwrap();
        assert_ne!(graph(&icicle), graph(&Options::default()));
    }
}
