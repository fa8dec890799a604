//! Tests on the machine at hand, as root: what its kernel really says. They
//! change nothing outside namespaces of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod argcount;
mod doctor;
mod funccount;
mod funclatency;
mod groups;
mod journal;
#[path = "../lab/mod.rs"]
mod lab;
mod limits;
mod offload;
mod profile;
mod snapshot;
mod symbol;
mod timer_names;
mod tracepoints;
mod user;
mod vlan_features;
