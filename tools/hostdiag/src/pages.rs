//! The pages that `hostdiag explain` prints, which are the manual pages of
//! section 7 too. `pages/NAME.md`, in a small part of Markdown:
//!
//! ```text
//! # name
//!
//! One line that sums it up.
//!
//! ## Meaning
//! Paragraphs, lists with `- `, and code between lines of three backticks.
//! ```

use hostdiag_model::audit::Verdict;
use hostdiag_model::diff;
use hostdiag_model::plan::Refusal;

use crate::fail::Code;

pub mod markdown;
pub mod roff;

use self::markdown::Block;

/// Name and text of every page, by name.
static PAGES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What the policy makes of a verdict; it has a page like one.
const ACCEPTED: &str = "accepted";

/// What a page is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A verdict of `hostdiag offload`.
    Verdict,
    /// A verdict of `hostdiag diff`.
    Difference,
    /// Why `--fix` does not make a repair.
    Refusal,
    /// An error, named in brackets behind its message.
    Error,
    /// Anything else.
    Topic,
}

/// One page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// What is typed to read it.
    pub name: &'static str,
    text: &'static str,
}

impl Page {
    /// Every page, by name.
    pub fn all() -> impl Iterator<Item = Self> {
        PAGES.iter().map(|(name, text)| Self { name, text })
    }

    /// The page of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|page| page.name == name)
    }

    /// What it is about.
    pub fn kind(self) -> Kind {
        if self.name == ACCEPTED || Verdict::ALL.iter().any(|verdict| verdict.as_str() == self.name) {
            Kind::Verdict
        } else if diff::Verdict::ALL.iter().any(|verdict| verdict.as_str() == self.name) {
            Kind::Difference
        } else if Refusal::ALL.contains(&self.name) {
            Kind::Refusal
        } else if Code::ALL.iter().any(|code| code.as_str() == self.name) {
            Kind::Error
        } else {
            Kind::Topic
        }
    }

    /// The one line below the title.
    pub fn summary(self) -> &'static str {
        self.text.lines().skip(1).find(|line| !line.is_empty()).unwrap_or_default()
    }

    /// What comes below that line.
    pub fn body(self) -> Vec<Block<'static>> {
        let summary = self.summary();
        let start = self.text.find(summary).map_or(0, |at| at + summary.len());
        markdown::parse(self.text.get(start..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests;
