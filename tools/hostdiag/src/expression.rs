//! Expressions of arguments and return values, as `hostdiag argcount` takes them:
//! `size`, `sk->__sk_common.skc_dport`, `$ret`, and conditions of them. Pure: text is
//! parsed, typed against BTF, and becomes steps that bpf/argcount.bpf.c does.

use crate::fail::{Code, Failure};

pub mod compile;
pub mod parse;
pub mod signature;
pub mod step;

pub use compile::{Compiled, compile, condition};
pub use parse::{Condition, Path};
pub use signature::Signature;
pub use step::Step;

/// What is wrong with an expression, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Byte of the text.
    pub at: usize,
    /// What is wrong there.
    pub what: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl Problem {
    fn new(at: usize, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), hint: None }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// As an error, with a mark under the place and what the function takes below.
    pub fn of(self, text: &str, takes: Option<&str>) -> Failure {
        // stderr begins the hint with as much.
        const BELOW: &str = "\n       ";
        // What a terminal shows as one column is as wide as the mark is far.
        let before = text.get(..self.at).unwrap_or(text).chars().count();
        let mark = format!("{}^ {}", " ".repeat(before), self.hint.as_deref().unwrap_or("here"));
        let takes = takes.map_or(String::new(), |takes| format!("{BELOW}{takes}"));
        Failure::new(Code::BadExpression, self.what).hint(format!("{text}{BELOW}{mark}{takes}"))
    }
}
