//! The library behind the `hostdiag` program.

pub mod offload;
