//! Offload features through stacks of devices: gathered, judged, explained.

pub mod gather;
pub mod judge;
pub mod offer;
pub mod quirk;
pub mod watch;
