//! Whether netlink answers: rtnetlink, and generic netlink for a family.

use anyhow::{Context, Result};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use nix::libc;

use crate::net::socket::Socket;

/// A socket to rtnetlink opens; a seccomp filter of a container may refuse it.
pub(super) fn rtnetlink() -> Result<()> {
    Socket::open(NETLINK_ROUTE).map(drop).context("no rtnetlink socket")
}

/// Whether the kernel knows this generic netlink family.
///
/// # Errors
/// Generic netlink does not answer.
pub(super) fn family_exists(name: &str) -> Result<bool> {
    let mut socket = Socket::open(NETLINK_GENERIC).context("no generic netlink socket")?;
    match socket.family(name) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error).context("generic netlink refused"),
    }
}
