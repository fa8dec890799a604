//! One file per subcommand: its arguments and its `run`.

pub mod completions;
pub mod doctor;
pub mod explain;
pub mod man;
pub mod offload;
pub mod symptoms;
