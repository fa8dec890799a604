//! The only hand-written unsafe code: system calls that no library wraps.

use std::ffi::c_char;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

use nix::libc;

/// The cookie of the calling thread's network namespace: unlike the number of
/// its file, which a later namespace can have, it is given once from boot to
/// boot (`SO_NETNS_COOKIE`, net/core/sock.c; Linux 5.14).
///
/// # Errors
/// `ENOPROTOOPT` on an older kernel.
pub fn netns_cookie() -> io::Result<u64> {
    // Any socket belongs to a network namespace, also one for this host alone.
    let socket = UnixDatagram::unbound()?;
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let (value, length) = ((&raw mut cookie).cast(), &raw mut length);
    // SAFETY: the kernel writes at most `length` bytes to the cookie, which has
    // as many, and the length itself.
    let result = unsafe {
        libc::getsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, value, length)
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(cookie) }
}

/// Asks `SIOCETHTOOL` of a device. `request` begins with the command and is
/// overwritten by the answer, for which it must have room.
///
/// # Errors
/// `ENODEV` where there is no such device, `EOPNOTSUPP` where its driver does
/// not know the command, `EINVAL` for a name that is too long.
pub fn ethtool(socket: &OwnedFd, device: &str, request: &mut [u8]) -> io::Result<()> {
    let mut name: [c_char; libc::IFNAMSIZ] = [0; libc::IFNAMSIZ];
    if device.len() >= name.len() || device.contains('\0') {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    let ifru_data = request.as_mut_ptr().cast();
    let ifreq = libc::ifreq { ifr_name: name, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data } };
    // SAFETY: the kernel reads one ifreq, and through its pointer reads and
    // writes the structure of the command, for which the callers in
    // net/ioctl.rs have made room: fixed structures whole, lists by the count
    // that they put into the request.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw const ifreq) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
