//! One file per subcommand: its arguments and its `run`.

pub mod offload;
pub mod symptoms;
