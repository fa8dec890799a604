//! The library behind the `hostdiag` program. ARCHITECTURE.md has the map.

pub mod cli;
pub mod cmd;
pub mod fail;
pub mod kernel;
pub mod pages;
pub mod probe;
