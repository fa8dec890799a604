//! What this kernel and this process can do. [`facts::Facts`] are gathered once,
//! [`plan::plan`] is a pure function of them, so each missing piece has a test.
//! A kernel's version number is not among the facts that decide anything.

pub mod caps;
pub mod facts;
mod gather;
pub mod leftovers;
pub mod plan;

pub use gather::{foreign_programs, is_confidential, tracefs};
