//! Offload features through stacks of devices: gathered, judged, explained.

pub mod gather;
pub mod glob;
pub mod intent;
pub mod judge;
pub mod names;
pub mod offer;
pub mod policy;
pub mod quirk;
pub mod text;
pub mod watch;
