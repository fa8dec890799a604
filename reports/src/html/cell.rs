//! What stands in tables, and words that carry a verdict.

use hostdiag_model::diff::Verdict;
use maud::{Markup, Render, html};

use crate::markup::{LONGEST, bounded};
use crate::page::Ink;

/// How a word is meant: colour and shape, beside the word itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Bad,
    Unsure,
    Good,
    Plain,
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Self::Bad => "chip bad",
            Self::Unsure => "chip unsure",
            Self::Good => "chip good",
            Self::Plain => "chip",
        }
    }
}

impl From<Verdict> for Tone {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Regressed | Verdict::Differs | Verdict::Invalid => Self::Bad,
            Verdict::Indicative | Verdict::Inconclusive => Self::Unsure,
            Verdict::Improved => Self::Good,
            Verdict::Same => Self::Plain,
        }
    }
}

impl From<Ink> for Tone {
    fn from(ink: Ink) -> Self {
        match ink {
            Ink::Red => Self::Bad,
            Ink::Yellow => Self::Unsure,
            Ink::Green => Self::Good,
            Ink::Bold | Ink::Dim => Self::Plain,
        }
    }
}

/// A word that carries a verdict.
pub(super) fn chip(tone: Tone, word: &str) -> Markup {
    html! { span class=(tone.class()) { (bounded(word, LONGEST)) } }
}

/// One cell of a table.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// A name, an amount, a sentence.
    Text(String),
    /// A verdict.
    Chip(Tone, String),
    /// A share, 0 to 1, as a bar; its figure stands in another cell.
    Bar(f64),
}

impl Cell {
    /// What it says without colours and shapes.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Text(text) if text.is_empty())
    }

    pub(super) fn verdict(verdict: Verdict) -> Self {
        Self::Chip(verdict.into(), verdict.as_str().to_owned())
    }

    /// A part of a whole.
    pub(super) fn share(part: u64, whole: u64) -> Self {
        Self::Bar(part as f64 / whole.max(1) as f64)
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::Text(text.into())
    }
}

impl Render for Cell {
    fn render(&self) -> Markup {
        match self {
            Self::Text(text) => html! { (bounded(text, LONGEST)) },
            Self::Chip(tone, word) => chip(*tone, word),
            Self::Bar(share) => {
                let width = format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
                html! { svg.bar aria-hidden="true" { rect width=(width) height="100%" {} } }
            }
        }
    }
}
