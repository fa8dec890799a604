//! `hostdiag offload --watch` as a service manager runs it: it is told when it is ready
//! and hears its signs of life; killed on drop.
use std::fs::{self, File};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::audit::hostdiag;
use super::command::wait_long_until;
use super::link::Link;
use super::netns::{Entered, NetNs};

/// Where a watch has something to do: nic0 and nic1 in bond0, in a namespace that the thread
/// is in. What is dropped first stands first.
pub(crate) fn bonded() -> ([Link; 3], Entered, NetNs) {
    let space = NetNs::new("watch");
    let entered = space.enter();
    let nics = ["0", "1"].map(|number| Link::veth(&format!("nic{number}"), &format!("port{number}")));
    let bond = Link::bond("bond0", "active-backup", &["nic0", "nic1"]);
    let [nic0, nic1] = nics;
    ([bond, nic0, nic1], entered, space)
}

/// A running daemon of the current namespace.
pub(crate) struct Watch {
    child: Child,
    manager: UnixDatagram,
    log: PathBuf,
}

/// Differ within and between test processes.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Watch {
    /// Starts it under the policy in that file, and waits until it is ready.
    #[track_caller]
    pub(crate) fn start(policy: &str) -> Self {
        Self::with(policy, &["--observe", "200ms"])
    }

    #[track_caller]
    pub(crate) fn with(policy: &str, options: &[&str]) -> Self {
        let name = format!("hostdiag-watch-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let log = std::env::temp_dir().join(&name);
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let child = hostdiag()
            .args(["offload", "--watch", "--policy", policy])
            .args(options)
            .env("NOTIFY_SOCKET", format!("@{name}"))
            .env("WATCHDOG_USEC", "20000000")
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let watch = Watch { child, manager, log };
        watch.tells("READY=1");
        watch
    }

    /// Waits until it tells its manager a line.
    #[track_caller]
    pub(crate) fn tells(&self, line: &str) {
        let mut buffer = [0; 4096];
        loop {
            let Ok(length) = self.manager.recv(&mut buffer) else {
                panic!("it never told {line}; it said: {}", self.said())
            };
            if String::from_utf8_lossy(&buffer[..length]).lines().any(|told| told == line) {
                return;
            }
        }
    }

    /// Everything it said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it has said that.
    #[track_caller]
    pub(crate) fn says(&self, what: &str) {
        wait_long_until(&format!("the watch says {what:?}"), || {
            // Nobody listens meanwhile: a full socket would hold it up for ever.
            self.hear();
            self.said().contains(what)
        });
    }

    fn hear(&self) {
        self.manager.set_nonblocking(true).unwrap();
        while self.manager.recv(&mut [0; 16]).is_ok() {}
        self.manager.set_nonblocking(false).unwrap();
    }

    #[track_caller]
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Kills it at once, or ends it as a service manager does.
    #[track_caller]
    pub(crate) fn end(mut self, signal: Signal) -> ExitStatus {
        self.signal(signal);
        self.child.wait().unwrap()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the watch said:\n{}", self.said());
        }
        let _ = fs::remove_file(&self.log);
    }
}
