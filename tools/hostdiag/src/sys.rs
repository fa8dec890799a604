//! The only hand-written unsafe code: system calls that no library wraps.

use std::ffi::c_char;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::libc;

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
