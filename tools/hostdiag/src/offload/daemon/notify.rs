//! Tells the service manager how it goes: sd_notify(3), a datagram of lines to the
//! socket that `NOTIFY_SOCKET` names.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The manager; none where nobody asked to be told.
pub(super) struct Manager {
    to: Option<(UnixDatagram, SocketAddr)>,
    /// As long it waits for a sign of life; absent where it does not.
    pub(super) watchdog: Option<Duration>,
}

impl Manager {
    /// The one that started this process.
    ///
    /// # Errors
    /// `NOTIFY_SOCKET` names nothing that can be a socket.
    pub(super) fn of_environment() -> io::Result<Self> {
        let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let to = variable("NOTIFY_SOCKET").map(|path| address(&path)).transpose()?;
        let to = to.map(|to| Ok::<_, io::Error>((socket()?, to))).transpose()?;
        let (length, of) = (variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        let watchdog = watchdog(length.as_deref(), of.as_deref()).filter(|_| to.is_some());
        Ok(Self { to, watchdog })
    }

    /// It runs.
    pub(super) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// It reads its configuration anew, until it is ready again.
    pub(super) fn reloading(&self) {
        // As Type=notify-reload wants it, systemd.service(5).
        let now = clock_gettime(ClockId::CLOCK_MONOTONIC);
        let us = now.map_or(0, |now| now.tv_sec() * 1_000_000 + now.tv_nsec() / 1000);
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={us}"));
    }

    /// It is about to end.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// It lives.
    pub(super) fn alive(&self) {
        if self.watchdog.is_some() {
            self.tell("WATCHDOG=1");
        }
    }

    /// A line for `systemctl status`.
    pub(super) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", line(status)));
    }

    fn tell(&self, what: &str) {
        if let Some((socket, to)) = &self.to {
            // A manager that does not listen has nothing to be told.
            let _ = socket.send_to_addr(what.as_bytes(), to);
        }
    }
}

fn socket() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    // A manager that does not read is not waited for for ever.
    socket.set_write_timeout(Some(Duration::from_secs(1)))?;
    Ok(socket)
}

/// A path, or behind an `@` a name without a file.
fn address(text: &str) -> io::Result<SocketAddr> {
    match text.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(text),
    }
}

/// sd_watchdog_enabled(3): microseconds, and the process they are meant for.
fn watchdog(length: Option<&str>, of: Option<&str>) -> Option<Duration> {
    let meant = of.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let us: u64 = length.filter(|_| meant)?.parse().ok()?;
    (us > 0).then(|| Duration::from_micros(us))
}

/// One line of it: others would be taken for more to tell.
fn line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(to: SocketAddr, receiver: &UnixDatagram) -> Vec<String> {
        let manager = Manager {
            to: Some((UnixDatagram::unbound().unwrap(), to)),
            watchdog: Some(Duration::from_secs(1)),
        };
        manager.ready("mode = \"report\"\nMAINPID=1");
        manager.alive();
        manager.stopping();
        let mut buffer = [0; 256];
        let mut next = || {
            let length = receiver.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        vec![next(), next(), next()]
    }

    #[test]
    fn a_manager_is_told_by_path_and_by_name() {
        let expected = ["READY=1\nSTATUS=mode = \"report\"", "WATCHDOG=1", "STOPPING=1"];
        let name = format!("hostdiag-notify-{}", std::process::id());
        let path = std::env::temp_dir().join(&name);
        let receiver = UnixDatagram::bind(&path).unwrap();
        assert_eq!(told(address(path.to_str().unwrap()).unwrap(), &receiver), expected);
        std::fs::remove_file(&path).unwrap();
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        let receiver = UnixDatagram::bind_addr(&abstract_name).unwrap();
        assert_eq!(told(address(&format!("@{name}")).unwrap(), &receiver), expected);
    }

    #[test]
    fn a_watchdog_of_another_process_is_not_ours() {
        let own = std::process::id().to_string();
        assert_eq!(watchdog(Some("60000000"), Some(&own)), Some(Duration::from_secs(60)));
        assert_eq!(watchdog(Some("60000000"), None), Some(Duration::from_secs(60)));
        assert_eq!(watchdog(Some("60000000"), Some("1")), None);
        assert_eq!([watchdog(Some("0"), None), watchdog(Some("x"), None), watchdog(None, None)], [None; 3]);
    }
}
