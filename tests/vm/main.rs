//! Tests that run on the kernels of the lab: `scripts/vm/run ROLE|all [TEST...]`.
//!
//! A module named after a role holds what runs on that role's kernel alone
//! (`oldest`, `no_fprobe`, `stable`, `newest`, `hardware`); `every` runs on all
//! of them, and so do `long`, with the long run of `scripts/test` alone, and `locked`,
//! in guests of its own. Nothing is skipped at run time.
#[cfg(test)]
mod every;
#[cfg(test)]
mod hardware;
#[cfg(test)]
#[path = "../lab/mod.rs"]
mod lab;
#[cfg(test)]
mod locked;
#[cfg(test)]
mod long;
#[cfg(test)]
mod newest;
