//! A page of text: what comes from a host is made harmless on its way in.

pub use hostdiag_model::harmless::{harmless, is_harmful};

/// How text is to look; decided by the caller, who knows the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Style {
    /// ANSI colours.
    pub color: bool,
    /// Box drawing characters; else ASCII.
    pub unicode: bool,
}

/// The colours of words that carry a verdict. Never the only signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// A finding.
    Red,
    /// An uncertain finding.
    Yellow,
    /// All well.
    Green,
    /// A heading.
    Bold,
    /// Less important.
    Dim,
}

/// A page being written.
#[derive(Clone, Debug, Default)]
pub struct Page {
    style: Style,
    text: String,
}

impl Page {
    /// An empty page.
    pub fn new(style: Style) -> Self {
        Self { style, text: String::new() }
    }

    /// Its style.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Adds text; newlines of its own included.
    pub fn put(&mut self, text: &str) -> &mut Self {
        self.text.extend(text.chars().filter(|c| *c == '\n' || !is_harmful(*c)));
        self
    }

    /// Adds text in a colour.
    pub fn ink(&mut self, ink: Ink, text: &str) -> &mut Self {
        if !self.style.color {
            return self.put(text);
        }
        let code = match ink {
            Ink::Red => "\x1b[31m",
            Ink::Yellow => "\x1b[33m",
            Ink::Green => "\x1b[32m",
            Ink::Bold => "\x1b[1m",
            Ink::Dim => "\x1b[2m",
        };
        self.text.push_str(code);
        self.put(text);
        self.text.push_str("\x1b[0m");
        self
    }

    /// Adds a line of text.
    pub fn line(&mut self, text: &str) -> &mut Self {
        self.put(text).put("\n")
    }

    /// The text.
    pub fn finish(self) -> String {
        self.text
    }
}

/// `1 device`, `2 devices`.
pub fn count(number: usize, one: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {one}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_left_out() {
        let mut page = Page::new(Style { color: true, unicode: false });
        page.ink(Ink::Red, "a\x1b[2Jb\u{202e}c").put("\x07\n");
        assert_eq!(page.finish(), "\x1b[31ma[2Jbc\x1b[0m\n");
    }
}
