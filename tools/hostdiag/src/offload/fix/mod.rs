//! `--fix`: facts -> plan -> apply, and the way back.
//!
//! `plan` is pure and knows what every step will change, because `simulate`
//! computes features as the kernel does. `apply` carries it out, one device at
//! a time: journal, call, compare with the plan, watch, keep or undo.

pub mod allow;
pub mod apply;
pub mod back;
pub mod compare;
pub mod emit;
pub mod facts;
pub mod history;
pub mod host;
pub mod journal;
pub mod ledger;
pub mod never;
pub mod plan;
pub mod refuse;
pub mod repair;
#[cfg(test)]
mod scratch;
pub mod simulate;
pub mod system_journal;
pub mod undo;
pub mod vitals;

#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod plan_tests;
