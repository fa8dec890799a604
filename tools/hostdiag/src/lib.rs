//! The library behind the `hostdiag` program. ARCHITECTURE.md has the map.

#![deny(unsafe_code)]

pub mod cli;
pub mod cmd;
pub mod duration;
pub mod elf;
pub mod expression;
pub mod fail;
pub mod files;
pub mod host;
pub mod input;
pub mod kernel;
pub mod net;
pub mod offload;
pub mod output;
pub mod pages;
pub mod probe;
pub mod process;
pub mod record;
pub mod remote;
pub mod snapshot;
pub mod stop;
pub mod symbol;
#[allow(unsafe_code, reason = "the only hand-written unsafe code")]
pub mod sys;
