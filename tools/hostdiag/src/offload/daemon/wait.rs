//! Waits without a tick for whatever there is to be done.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::net::events::Events;
use crate::offload::held;
use crate::stop::{Hangup, Stop};

/// All that the daemon wakes for.
pub(super) struct Sources {
    /// SIGINT and SIGTERM.
    pub(super) stop: Stop,
    hangup: Hangup,
    events: Events,
    holds: Inotify,
}

/// What there is to be done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Woken {
    /// To end.
    pub(super) stop: bool,
    /// To read the policy anew.
    pub(super) reload: bool,
    /// Links or features changed.
    pub(super) changed: bool,
    /// Some notifications were lost.
    pub(super) lost: bool,
    /// The file of what is held is another.
    pub(super) held: bool,
}

/// When to look after something changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Once nothing has changed for so long,
    pub(super) quiet: Duration,
    /// and not before that,
    pub(super) not_before: Instant,
    /// but after so long at the latest.
    pub(super) cap: Duration,
}

impl Woken {
    fn and(self, other: Self) -> Self {
        Self {
            stop: self.stop | other.stop,
            reload: self.reload | other.reload,
            changed: self.changed | other.changed,
            lost: self.lost | other.lost,
            held: self.held | other.held,
        }
    }
}

impl Sources {
    /// Those of the network namespace of the calling thread; `folder` has what is held.
    ///
    /// # Errors
    /// The host refuses one of them.
    pub(super) fn open(folder: &Path) -> Result<Self> {
        let (stop, hangup) = (Stop::of_daemon()?, Hangup::new()?);
        let events = Events::open().context("failed to listen to changes of links")?;
        let holds = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .and_then(|holds| holds.add_watch(folder, AddWatchFlags::IN_MOVED_TO).map(|_| holds))
            .with_context(|| format!("failed to listen to changes of {}", folder.display()))?;
        Ok(Self { stop, hangup, events, holds })
    }

    /// Waits until there is something to be done, or for that long; without a time
    /// for ever.
    ///
    /// # Errors
    /// poll(2) fails.
    pub(super) fn wait(&self, time: Option<Duration>) -> io::Result<Woken> {
        let timeout = time.map_or(PollTimeout::NONE, |time| {
            PollTimeout::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX)
        });
        let fds = [self.stop.fd(), self.hangup.fd(), self.holds.as_fd()].into_iter().chain(self.events.fds());
        let mut fds: Vec<PollFd<'_>> = fds.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Woken::default()),
            Ok(_) => {}
            Err(error) => return Err(error.into()),
        }
        let came = self.events.drain();
        Ok(Woken {
            stop: self.stop.requested(),
            reload: self.hangup.came(),
            changed: came.any,
            lost: came.lost,
            held: self.held(),
        })
    }

    /// Goes on with what woke it as long as `pace` says: where much happens at once, it
    /// is looked at once.
    ///
    /// # Errors
    /// Those of [`Sources::wait`].
    pub(super) fn settle(&self, mut woken: Woken, pace: Pace) -> io::Result<Woken> {
        let started = Instant::now();
        let mut last = started;
        loop {
            let end = (last + pace.quiet).max(pace.not_before).min(started + pace.cap);
            let left = end.saturating_duration_since(Instant::now());
            if woken.stop || left.is_zero() {
                return Ok(woken);
            }
            let next = self.wait(Some(left))?;
            if next.changed {
                last = Instant::now();
            }
            woken = woken.and(next);
        }
    }

    fn held(&self) -> bool {
        let mut any = false;
        while let Ok(events) = self.holds.read_events() {
            any |= events.iter().any(|event| event.name.as_deref() == Some(held::NAME.as_ref()));
        }
        any
    }
}
