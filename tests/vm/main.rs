//! Tests that run on the kernels of the lab: `scripts/vm/run ROLE|all [TEST...]`.
//!
//! A module named after a role holds what runs on that role's kernel alone;
//! `every` runs on all of them. Nothing is skipped at run time.
#[cfg(test)]
mod every;
