//! `hostdiag offload`: what feeds the audit of NIC offload features.

pub mod glob;
pub mod intent;
pub mod names;
pub mod policy;
pub mod text;
