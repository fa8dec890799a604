//! Other hosts: a real sshd on loopback with users of every login shell, and agents that
//! do everything wrong. Needs root. Accounts, keys, folders and what is mounted are the
//! test's own, in a mount namespace; the host's sshd and ~/.ssh are not touched.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod broken;
mod compare;
mod hosts;
mod local;
mod sshd;
mod versions;
