//! The library behind the `hostdiag` program. ARCHITECTURE.md has the map.

pub mod cli;
pub mod cmd;
pub mod fail;
pub mod host;
pub mod net;
pub mod offload;
pub mod output;
pub mod sys;
