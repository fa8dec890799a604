//! One file per subcommand: its arguments and its `run`.

pub mod doctor;
pub mod symptoms;
