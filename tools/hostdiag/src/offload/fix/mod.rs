//! `--fix`: facts -> plan -> apply, and the way back.
//!
//! `plan` is pure and knows what every step will change, because `simulate`
//! computes features as the kernel does. `apply` carries it out, one device at
//! a time: journal, call, compare with the plan, watch, keep or undo.

pub mod allow;
pub mod apply;
pub mod emit;
pub mod facts;
pub mod history;
pub mod journal;
pub mod plan;
#[cfg(test)]
mod scratch;
pub mod simulate;
pub mod system_journal;
pub mod undo;
pub mod vitals;
