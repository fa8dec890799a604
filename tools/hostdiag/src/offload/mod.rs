//! Offload features through stacks of devices: gathered, judged, explained.

pub mod daemon;
pub mod fix;
pub mod from;
pub mod gather;
pub mod held;
pub mod intent;
pub mod judge;
pub mod links;
pub mod live;
pub mod metrics;
pub mod offer;
pub mod policy;
pub mod quirk;
pub mod rules;
pub mod select;
pub mod text;
pub mod trusted;
pub mod watch;

// Where the readers of configuration and policy look for them.
use hostdiag_model::{glob, names};
