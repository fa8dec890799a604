//! What privileged tests share: network namespaces, links and whole stacks that
//! take themselves down, and traffic through them.
//!
//! Every guard undoes on drop what it did, and never panics while a test already
//! is. Guards work on the current network namespace; `NetNs::enter` changes that.
#![allow(dead_code, unused_imports, reason = "each test target uses its own part")]
mod audit;
mod command;
mod link;
mod netns;
mod stack;
mod traffic;

pub(crate) use audit::{Audited, audit, audit_unprivileged, hostdiag, page};
pub(crate) use command::{ethtool, feature, ip, ip_batch, run, wait_until};
pub(crate) use link::{Link, vmxnet3};
pub(crate) use netns::{Entered, NetNs};
pub(crate) use stack::{HOST, PEER, Stack};
pub(crate) use traffic::{Traffic, sendfile};
