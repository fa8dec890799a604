//! Timers whose number and fate are known.
use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use hostdiag_model::trace::{Payload, TimerCount, timers};
use nix::sys::socket::{setsockopt, sockopt};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::Traced;

impl Traced {
    /// All rows of what is called by this function, of all windows as one.
    #[track_caller]
    pub(crate) fn timers(&self, function: &str) -> Vec<TimerCount> {
        let windows = self.trace().windows.iter();
        let rows = windows.flat_map(|window| match &window.payload {
            Payload::Timers(list) => list.clone(),
            other => panic!("no timers: {other:?}"),
        });
        let named =
            |row: &TimerCount| row.timer.as_ref().is_some_and(|timer| timer.function.name == function);
        timers::merged(rows.filter(named))
    }

    /// The only row of this function.
    #[track_caller]
    pub(crate) fn timer(&self, function: &str) -> TimerCount {
        let mut rows = self.timers(function);
        assert_eq!(rows.len(), 1, "{function}: {rows:#?}\n{}", self.said);
        rows.remove(0)
    }
}

/// Measures anew, up to ten times, while fewer timers of this function expire than so many.
/// The kernel of a sandbox may run no programs for what interrupts threads that are not
/// the sandbox's own (ftrace shows these expiries). Kernels of the lab are asked once.
#[track_caller]
pub(crate) fn all_expire<T>(
    function: &str,
    times: u64,
    mut measure: impl FnMut() -> (Traced, T),
) -> (Traced, T) {
    let tries = if env!("CARGO_CRATE_NAME") == "live" { 10 } else { 1 };
    for _ in 1..tries {
        let measured = measure();
        let expired: u64 = measured.0.timers(function).iter().map(|row| row.expired).sum();
        if expired >= times {
            return measured;
        }
    }
    measure()
}

/// Started, expired, re-armed, cancelled.
pub(crate) fn fates(row: &TimerCount) -> [u64; 4] {
    [row.started, row.expired, row.rearmed, row.cancelled()]
}

/// So many timers of the wheel that expire (`process_timeout`): nobody sends.
pub(crate) fn wait_in_vain(times: u64, each: Duration) {
    let (socket, _other) = UnixDatagram::pair().unwrap();
    socket.set_read_timeout(Some(each)).unwrap();
    for _ in 0..times {
        let error = socket.recv(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
    }
}

/// Connections whose keepalive timers are of the wheel (`tcp_keepalive_timer`).
pub(crate) struct Connections(Vec<(TcpStream, TcpStream)>);

impl Connections {
    pub(crate) fn new(number: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let pair = |_| (TcpStream::connect(address).unwrap(), listener.accept().unwrap().0);
        Self((0..number).map(pair).collect())
    }

    fn set(&self, connection: usize, on: bool) {
        setsockopt(&self.0[connection].0, sockopt::KeepAlive, &on).unwrap();
    }

    /// Each arms its timer and cancels it; not twice, so that none is armed anew.
    pub(crate) fn cancel_all(&self) {
        for connection in 0..self.0.len() {
            self.set(connection, true);
            self.set(connection, false);
        }
    }

    /// One arms its timer, arms it anew so often while it is armed, and cancels it. The
    /// times are so far apart that the timer changes its slot in the wheel.
    pub(crate) fn rearm(&self, connection: usize, times: u64) {
        self.set(connection, true);
        for turn in 0..times {
            let seconds = if turn % 2 == 0 { 100 } else { 10_000 };
            setsockopt(&self.0[connection].0, sockopt::TcpKeepIdle, &seconds).unwrap();
        }
        self.set(connection, false);
    }
}

/// An hrtimer (`timerfd_tmrproc`).
pub(crate) fn timer_fd(clock: ClockId) -> TimerFd {
    TimerFd::new(clock, TimerFlags::empty()).unwrap()
}

/// Arms it for once.
pub(crate) fn arm(timer: &TimerFd, after: Duration) {
    timer.set(Expiration::OneShot(TimeSpec::from_duration(after)), TimerSetTimeFlags::empty()).unwrap();
}
