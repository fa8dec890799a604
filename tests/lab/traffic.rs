//! Bulk TCP by sendfile, the call that the article's servers spent their time in.
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::sendfile::sendfile as send;

use super::command::{ip, run};
use super::netns::NetNs;

/// What came through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) sent: u64,
    /// As counted at the other end.
    pub(crate) received: u64,
    /// From the first byte sent until the last was taken by the other end.
    pub(crate) elapsed: Duration,
}

impl Traffic {
    pub(crate) fn bytes_per_second(&self) -> f64 {
        self.received as f64 / self.elapsed.as_secs_f64()
    }
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
        self.elapsed += other.elapsed;
    }
}

/// One piece of the file, sent again and again: it stays in the page cache.
const PIECE: usize = 1 << 20;

/// Sends `bytes` from this thread's namespace to `address` in the namespace of
/// the peer, where a thread of its own counts what arrives.
#[track_caller]
pub(crate) fn sendfile(peer: &NetNs, address: &str, bytes: u64) -> Traffic {
    let (port_sender, port) = mpsc::channel();
    let path = peer.path();
    let bind = address.to_owned();
    let receiver = thread::spawn(move || {
        setns(File::open(path).unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
        let listener = TcpListener::bind((bind, 0)).unwrap();
        port_sender.send(listener.local_addr().unwrap().port()).unwrap();
        count(listener.accept().unwrap().0)
    });
    let port = port.recv().expect("the receiving thread died, see above");
    let socket = TcpStream::connect((address, port)).unwrap();
    let started = Instant::now();
    let sent = pour(&socket, bytes);
    drop(socket);
    let received = receiver.join().expect("the receiving thread died, see above");
    Traffic { sent, received, elapsed: started.elapsed() }
}

fn pour(socket: &TcpStream, bytes: u64) -> u64 {
    let mut file = tempfile();
    file.write_all(&vec![0xa5; PIECE]).unwrap();
    let mut sent = 0;
    while sent < bytes {
        let mut offset = 0;
        let wanted = usize::try_from(bytes - sent).unwrap_or(PIECE).min(PIECE);
        let moved = send(socket, &file, Some(&mut offset), wanted).expect("sendfile failed");
        assert!(moved > 0, "sendfile moved nothing");
        sent += moved as u64;
    }
    sent
}

fn count(mut socket: TcpStream) -> u64 {
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        match socket.read(&mut buffer).unwrap() {
            0 => return total,
            read => total += read as u64,
        }
    }
}

/// A file without a name: gone when closed.
fn tempfile() -> File {
    File::from(memfd_create(c"hostdiag-traffic", MFdFlags::empty()).unwrap())
}

/// A dummy device in the namespace of this thread: all that is sent goes through
/// `dummy_xmit`, in the thread that sends it.
pub(crate) struct IntoDummy(UdpSocket);

impl IntoDummy {
    pub(crate) fn new() -> Self {
        run("modprobe", &["dummy"]);
        ip(&["link", "add", "d0", "type", "dummy"]);
        ip(&["address", "add", "192.0.2.1/24", "dev", "d0"]);
        ip(&["link", "set", "d0", "up"]);
        ip(&["neigh", "add", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "d0"]);
        Self(UdpSocket::bind("192.0.2.1:0").unwrap())
    }

    /// So many packets.
    pub(crate) fn send(&self, times: u64) {
        (0..times).for_each(|_| assert_eq!(self.0.send_to(b"x", "192.0.2.2:9").unwrap(), 1));
    }
}
