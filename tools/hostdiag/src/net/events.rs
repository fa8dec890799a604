//! Notifications of links and features, and waiting until there are none.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};
use netlink_sys::{Socket as Raw, SocketAddr};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::features::FAMILY;
use super::socket::Socket;
use crate::stop::Stop;

/// `RTMGRP_LINK` of include/uapi/linux/rtnetlink.h.
const LINKS: u32 = 1;
/// The multicast group of the family `ethtool`; it tells of changed features.
const MONITOR: &str = "monitor";

/// How a wait for silence ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nothing happened for as long as was asked.
    Quiet,
    /// Something happened again and again.
    Restless,
    /// A signal came.
    Stopped,
}

/// Waits until no link and no feature of the namespace of the calling thread
/// has changed for `quiet`, but not longer than `cap`.
///
/// # Errors
/// The host refuses notifications of links.
pub fn settle(quiet: Duration, cap: Duration, stop: &Stop) -> io::Result<Settled> {
    let events = Events::open()?;
    let started = Instant::now();
    let mut last = started;
    loop {
        if stop.requested() {
            return Ok(Settled::Stopped);
        }
        if events.wait(LOOK.min(quiet))? {
            last = Instant::now();
        }
        if last.elapsed() >= quiet {
            return Ok(Settled::Quiet);
        }
        if started.elapsed() >= cap {
            return Ok(Settled::Restless);
        }
    }
}

/// Between two looks for a signal.
const LOOK: Duration = Duration::from_millis(100);

/// Sockets that are told when links or features of a network namespace change.
pub struct Events(Vec<Raw>);

/// What has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Came {
    /// Something.
    pub any: bool,
    /// More than there was room for (`ENOBUFS`): what it was nobody knows.
    pub lost: bool,
}

impl Events {
    /// Those of the network namespace of the calling thread.
    ///
    /// # Errors
    /// The host refuses notifications of links.
    pub fn open() -> io::Result<Self> {
        let links = listening(NETLINK_ROUTE, LINKS)?;
        // Linux before 5.6 has no such group. Links are told of features too.
        let features = monitor().and_then(|group| {
            let socket = listening(NETLINK_GENERIC, 0)?;
            socket.add_membership(group)?;
            Ok(socket)
        });
        Ok(Self([links].into_iter().chain(features).collect()))
    }

    /// Can be read where something has come.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(AsFd::as_fd)
    }

    /// Reads what has come.
    pub fn drain(&self) -> Came {
        let all = self.0.iter().map(drain);
        all.fold(Came::default(), |all, one| Came { any: all.any | one.any, lost: all.lost | one.lost })
    }

    /// Whether something happened within that time.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(time).unwrap_or(PollTimeout::MAX);
        let fds = self.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN));
        match poll(&mut fds.collect::<Vec<_>>(), timeout) {
            Ok(0) => return Ok(false),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.drain().any)
    }
}

fn drain(socket: &Raw) -> Came {
    let mut buffer = Vec::with_capacity(1 << 16);
    let mut came = Came::default();
    loop {
        buffer.clear();
        match socket.recv(&mut buffer, 0) {
            Ok(_) => came.any = true,
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {
                came = Came { any: true, lost: true };
            }
            Err(_) => return came,
        }
    }
}

fn listening(protocol: isize, groups: u32) -> io::Result<Raw> {
    let mut socket = Raw::new(protocol)?;
    socket.bind(&SocketAddr::new(0, groups))?;
    socket.set_non_blocking(true)?;
    Ok(socket)
}

/// The number of the multicast group.
fn monitor() -> io::Result<u32> {
    let mut socket = Socket::open(NETLINK_GENERIC)?;
    socket.group(FAMILY, MONITOR)
}
