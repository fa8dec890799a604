//! Signals that end a run early, taken as they come in between: Ctrl-C,
//! `kill`, a terminal that went away.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// While it lives, this thread and those it starts are not ended by signals:
/// they ask.
pub struct Stop {
    signals: SignalFd,
    mask: SigSet,
    requested: AtomicBool,
}

impl Stop {
    /// Takes SIGINT, SIGTERM and SIGHUP.
    pub fn new() -> Result<Self> {
        let mask = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
        mask.thread_block().context("failed to block signals")?;
        let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
        let signals = SignalFd::with_flags(&mask, flags).context("failed to open a signalfd")?;
        Ok(Self { signals, mask, requested: AtomicBool::new(false) })
    }

    /// Whether a signal has come.
    pub fn requested(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits that long, or until a signal comes; whether one has.
    pub fn wait(&self, time: Duration) -> bool {
        let end = Instant::now() + time;
        while !self.requested.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now());
            let millis =
                PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
            if poll(&mut fds, millis).is_ok_and(|ready| ready > 0) {
                self.requested.store(matches!(self.signals.read_signal(), Ok(Some(_))), Ordering::Relaxed);
            } else if left.is_zero() {
                break;
            }
        }
        self.requested.load(Ordering::Relaxed)
    }
}

impl Stop {
    /// Waits that long, or until another signal comes; whether one has.
    pub fn again(&self, time: Duration) -> bool {
        self.requested.store(false, Ordering::Relaxed);
        self.wait(time)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        // A signal that came late ends the program as it always does.
        let _ = self.mask.thread_unblock();
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::pthread::{pthread_kill, pthread_self};

    use super::*;

    #[test]
    fn a_signal_ends_the_wait_and_is_remembered() {
        let stop = Stop::new().unwrap();
        assert!(!stop.requested());
        pthread_kill(pthread_self(), Signal::SIGTERM).unwrap();
        assert!(stop.wait(Duration::from_secs(60)));
        assert!(stop.requested());
        assert!(!stop.again(Duration::ZERO));
        pthread_kill(pthread_self(), Signal::SIGINT).unwrap();
        assert!(stop.again(Duration::ZERO));
    }
}
