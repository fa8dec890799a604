//! One file per subcommand: its arguments and its `run`.

pub mod agent;
pub mod argcount;
pub mod compare;
pub mod completions;
pub mod diff;
pub mod doctor;
pub mod explain;
pub mod flamegraph;
pub mod funccount;
pub mod funclatency;
pub mod man;
pub mod offload;
pub mod profile;
pub mod record;
pub mod report;
pub mod snapshot;
pub mod stackcount;
pub mod symptoms;
pub mod timer_names;
pub mod trace;
