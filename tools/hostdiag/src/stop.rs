//! Signals that end a run early, taken as they come in between: Ctrl-C,
//! `kill`, a terminal that went away.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// While it lives, this thread and those it starts are not ended by signals:
/// they ask.
pub struct Stop {
    from: From,
    requested: AtomicBool,
}

/// Who asks for the end.
enum From {
    Signals(SignalFd, SigSet),
    /// The other end of this pipe, by being closed; for threads, all of which see it.
    Pipe(PipeReader),
}

impl Stop {
    /// Takes SIGINT, SIGTERM, and SIGHUP unless it is ignored, as by nohup(1): a
    /// signal that is ignored comes all the same once it is blocked.
    pub fn new() -> Result<Self> {
        let hangup = (!ignores(Signal::SIGHUP)).then_some(Signal::SIGHUP);
        Self::by(SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM].into_iter().chain(hangup)))
    }

    /// Takes SIGINT and SIGTERM: to a daemon SIGHUP means something else.
    ///
    /// # Errors
    /// As of [`Stop::new`].
    pub fn of_daemon() -> Result<Self> {
        Self::by(SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]))
    }

    fn by(mask: SigSet) -> Result<Self> {
        let signals = take(&mask)?;
        Ok(Self { from: From::Signals(signals, mask), requested: AtomicBool::new(false) })
    }

    /// One for any number of threads, and what asks for it by being dropped.
    ///
    /// # Errors
    /// There is no room for a pipe.
    pub fn on_drop() -> Result<(Self, PipeWriter)> {
        let (reader, writer) = io::pipe().context("failed to open a pipe")?;
        Ok((Self { from: From::Pipe(reader), requested: AtomicBool::new(false) }, writer))
    }

    /// Can be read where somebody has asked.
    pub fn fd(&self) -> BorrowedFd<'_> {
        match &self.from {
            From::Signals(signals, _) => signals.as_fd(),
            From::Pipe(pipe) => pipe.as_fd(),
        }
    }

    /// Whether what can be read is a request.
    fn is_asked(&self) -> bool {
        match &self.from {
            From::Signals(signals, _) => matches!(signals.read_signal(), Ok(Some(_))),
            From::Pipe(_) => true,
        }
    }

    /// Whether a signal has come.
    pub fn requested(&self) -> bool {
        self.wait(Duration::ZERO)
    }

    /// Waits that long, or until a signal comes; whether one has.
    pub fn wait(&self, time: Duration) -> bool {
        self.wait_or(time, None) == Woken::Signal
    }

    /// Waits that long, until a signal comes, or until `other` can be read.
    pub fn wait_or(&self, time: Duration, other: Option<BorrowedFd<'_>>) -> Woken {
        let end = Instant::now() + time;
        while !self.requested.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(Instant::now());
            let millis =
                PollTimeout::try_from(left.as_nanos().div_ceil(1_000_000)).unwrap_or(PollTimeout::MAX);
            let signals = Some(self.fd());
            let mut fds: Vec<PollFd<'_>> =
                signals.into_iter().chain(other).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            let ready = poll(&mut fds, millis).is_ok_and(|ready| ready > 0);
            let readable = |fd: &PollFd<'_>| ready && fd.any() == Some(true);
            if fds.first().is_some_and(readable) {
                self.requested.store(self.is_asked(), Ordering::Relaxed);
            } else if fds.last().is_some_and(readable) {
                return Woken::Ready;
            } else if left.is_zero() {
                return Woken::Time;
            }
        }
        Woken::Signal
    }
}

/// SIGHUP, taken as it comes instead of ending the program.
pub struct Hangup(SignalFd, SigSet);

impl Hangup {
    /// Takes it in this thread and those it starts.
    ///
    /// # Errors
    /// The system refuses.
    pub fn new() -> Result<Self> {
        let mask = SigSet::from(Signal::SIGHUP);
        Ok(Self(take(&mask)?, mask))
    }

    /// Can be read where it has come.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Whether it has come since the last time.
    pub fn came(&self) -> bool {
        matches!(self.0.read_signal(), Ok(Some(_)))
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.1.thread_unblock();
    }
}

fn take(mask: &SigSet) -> Result<SignalFd> {
    mask.thread_block().context("failed to block signals")?;
    let flags = SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK;
    SignalFd::with_flags(mask, flags).context("failed to open a signalfd")
}

/// Whether this process ignores a signal (`SigIgn`, proc_pid_status(5)).
fn ignores(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask >> (signal as i32 - 1) & 1 == 1
}

/// What ended a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Woken {
    /// The time is over.
    Time,
    /// A signal, now or earlier.
    Signal,
    /// There is something to read.
    Ready,
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
        if let From::Signals(_, mask) = &self.from {
            // A signal that came late ends the program as it always does.
            let _ = mask.thread_unblock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use nix::sys::pthread::{pthread_kill, pthread_self};

    use super::*;

    #[test]
    fn what_can_be_read_ends_the_wait() {
        let stop = Stop::new().unwrap();
        let (mut here, there) = UnixStream::pair().unwrap();
        let wait = |time| stop.wait_or(time, Some(there.as_fd()));
        assert_eq!(wait(Duration::ZERO), Woken::Time);
        here.write_all(b"x").unwrap();
        assert_eq!(wait(Duration::from_secs(60)), Woken::Ready);
        pthread_kill(pthread_self(), Signal::SIGTERM).unwrap();
        assert_eq!(wait(Duration::from_secs(60)), Woken::Signal);
        assert_eq!(wait(Duration::from_secs(60)), Woken::Signal);
    }

    #[test]
    fn all_threads_end_where_the_other_end_is_dropped() {
        let (stop, ask) = Stop::on_drop().unwrap();
        assert!(!stop.requested());
        std::thread::scope(|scope| {
            let waits = [0, 1].map(|_| scope.spawn(|| stop.wait(Duration::from_secs(60))));
            drop(ask);
            assert!(waits.into_iter().all(|wait| wait.join().unwrap()));
        });
    }

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
