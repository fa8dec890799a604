//! Typed data of hostdiag: what was recorded, how recordings merge and differ.
//!
//! No I/O beyond `BufRead` and `Write`, no clock, no text for people: the
//! probes fill these types, the renderers show them.
#![forbid(unsafe_code)]

pub mod audit;
pub mod capture;
pub mod compare;
pub mod diff;
pub mod doctor;
pub mod features;
pub mod glob;
pub mod harmless;
pub mod histogram;
pub mod history;
pub mod host;
pub mod matrix;
pub mod names;
pub mod offload;
pub mod plan;
pub mod recording;
pub mod redact;
pub mod snapshot;
pub mod stack;
pub mod stacks;
pub mod time;
pub mod trace;

pub use audit::Audit;
pub use capture::Capture;
pub use doctor::{Check, CheckState, Doctor};
pub use features::{FeatureName, FeatureState, Features};
pub use histogram::Histogram;
pub use host::Host;
pub use offload::{Device, Link, Namespace, OffloadData};
pub use recording::{Data, Recording};
pub use snapshot::Snapshot;
pub use trace::Trace;
