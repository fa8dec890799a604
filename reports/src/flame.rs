//! Flame graphs, as SVG: one frame a function, as wide as what was counted in it and
//! in what it called.

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
    /// Innermost functions at the base: from where are they called?
    pub reverse: bool,
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
    look.reverse_stack_order = options.reverse;
    // Else colours are drawn by chance.
    look.deterministic = true;
    let mut bytes = Vec::new();
    flamegraph::from_lines(&mut look, lines, &mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let reverse = Options { reverse: true, ..Options::default() };
        let graph = |options: &Options| svg(LINES, options).unwrap();
        assert_ne!(graph(&icicle), graph(&Options::default()));
        let graph = graph(&reverse);
        assert!(graph.contains("<title>main (10 ,") && !graph.contains("<title>main (60 ,"), "{graph}");
    }
}
