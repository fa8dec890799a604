//! YAML as a tree of mappings with the line of every key: as much of it as
//! netplan's files use. Aliases and keys that are no scalars are left out.

use saphyr_parser::{Event, Parser};

/// Deeper nesting is not read.
const MAX_DEPTH: usize = 32;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Item>),
    /// An alias, or something too deep.
    Other,
}

/// One key of a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) key: String,
    /// Line of the key, from 1.
    pub(super) line: u32,
    pub(super) value: Node,
}

impl Node {
    /// The keys of a mapping; none of anything else.
    pub(super) fn items(&self) -> &[Item] {
        match self {
            Self::Map(items) => items,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.items().iter().find(|item| item.key == key).map(|item| &item.value)
    }

    /// The scalar, or the scalars of a list.
    pub(super) fn words(&self) -> Vec<&str> {
        match self {
            Self::Scalar(text) => vec![text],
            Self::List(nodes) => nodes.iter().flat_map(Self::words).collect(),
            Self::Map(_) | Self::Other => Vec::new(),
        }
    }
}

/// The documents of a text.
///
/// # Errors
///
/// Text that is not YAML: the parser's message, with line and column.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| error.to_string())?;
        builder.event(&event, u32::try_from(span.start.line()).unwrap_or(u32::MAX));
    }
    Ok(builder.documents)
}

/// A mapping or list that is being read.
enum Open {
    /// Its items, and the key whose value comes next.
    Map(Vec<Item>, Option<(String, u32)>),
    List(Vec<Node>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    /// How many levels below [`MAX_DEPTH`] we are.
    too_deep: usize,
    documents: Vec<Node>,
}

impl Builder {
    fn event(&mut self, event: &Event<'_>, line: u32) {
        match event {
            Event::Scalar(text, ..) => self.value(Node::Scalar(text.to_string()), line),
            Event::Alias(_) => self.value(Node::Other, line),
            Event::MappingStart(..) => self.start(Open::Map(Vec::new(), None)),
            Event::SequenceStart(..) => self.start(Open::List(Vec::new())),
            Event::MappingEnd | Event::SequenceEnd => self.end(line),
            _ => {}
        }
    }

    fn start(&mut self, node: Open) {
        if self.open.len() >= MAX_DEPTH {
            self.too_deep += 1;
        } else {
            self.open.push(node);
        }
    }

    fn end(&mut self, line: u32) {
        if self.too_deep > 0 {
            self.too_deep -= 1;
            if self.too_deep == 0 {
                self.value(Node::Other, line);
            }
            return;
        }
        match self.open.pop() {
            Some(Open::Map(items, _)) => self.value(Node::Map(items), line),
            Some(Open::List(nodes)) => self.value(Node::List(nodes), line),
            None => {}
        }
    }

    fn value(&mut self, node: Node, line: u32) {
        if self.too_deep > 0 {
            return;
        }
        match self.open.last_mut() {
            Some(Open::List(nodes)) => nodes.push(node),
            Some(Open::Map(items, key)) => match key.take() {
                Some((key, line)) if !key.is_empty() => items.push(Item { key, line, value: node }),
                Some(_) => {}
                None => {
                    *key = Some(match node {
                        Node::Scalar(text) => (text, line),
                        _ => (String::new(), line),
                    });
                }
            },
            None => self.documents.push(node),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_have_their_lines() {
        let text = "# c\na:\n  b: [x, y]\n  ? [k]\n  : z\n  \"d\": *nothing\n";
        assert!(parse(text).is_err(), "an alias of nothing");
        let text = "# c\na:\n  b: [x, y]\n  ? [k]\n  : z\n  c: &n 1\n  d: *n\n";
        let documents = parse(text).unwrap();
        let a = documents[0].get("a").unwrap();
        let lines: Vec<_> = a.items().iter().map(|item| (item.key.as_str(), item.line)).collect();
        assert_eq!(lines, [("b", 3), ("c", 6), ("d", 7)]);
        assert_eq!(a.get("b").unwrap().words(), ["x", "y"]);
        assert_eq!(a.get("d"), Some(&Node::Other));
    }

    #[test]
    fn deep_nesting_is_cut() {
        for text in [
            "[".repeat(10_000),
            "a: ".repeat(10_000),
            format!("{}{}", "[".repeat(100), "]".repeat(100)),
            "- ".repeat(10_000),
        ] {
            let _ = parse(&text);
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>(), yaml in "[a-b:\\-\\[\\]{},?&*!|>'\"# \n]{0,60}") {
            let _ = parse(&text);
            let _ = parse(&yaml);
        }
    }
}
