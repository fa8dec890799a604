//! Typed data of hostdiag: what was recorded, how recordings merge and differ.
//!
//! No I/O beyond `Read` and `Write`, no clock, no text for people: the probes
//! fill these types, the renderers show them.
#![forbid(unsafe_code)]

pub mod doctor;
pub mod features;
pub mod host;
pub mod offload;

pub use doctor::{Check, CheckState, Doctor};
pub use features::{FeatureName, FeatureState, Features};
pub use host::Host;
pub use offload::{Device, Link, Namespace, OffloadData};
