//! AF_XDP sockets: `SOCK_DIAG_BY_FAMILY`, include/uapi/linux/xdp_diag.h.

use std::collections::BTreeSet;
use std::io;

use netlink_packet_core::{DecodeError, NetlinkSerializable, NlasIterator, parse_u32};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use nix::libc::AF_XDP;

use super::socket::Socket;

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const XDP_SHOW_INFO: u32 = 1;
const XDP_DIAG_INFO: u16 = 1;
/// Bytes of a `struct xdp_diag_msg`, which attributes follow.
const MESSAGE: usize = 16;

/// A request for all of them, `struct xdp_diag_req`: family, protocol, pad,
/// inode, what to show, cookie.
#[derive(Clone, Copy, Debug)]
struct Request;

impl NetlinkSerializable for Request {
    fn message_type(&self) -> u16 {
        SOCK_DIAG_BY_FAMILY
    }
    fn buffer_len(&self) -> usize {
        20
    }
    fn serialize(&self, buffer: &mut [u8]) {
        let family = u32::from_ne_bytes([AF_XDP.to_ne_bytes()[0], 0, 0, 0]);
        let words = [family, 0, XDP_SHOW_INFO, 0, 0];
        for (to, from) in buffer.chunks_mut(4).zip(words) {
            to.copy_from_slice(&from.to_ne_bytes());
        }
    }
}

/// The indices of the devices of the calling thread's namespace that an AF_XDP
/// socket is bound to.
///
/// # Errors
/// There are such sockets, and the kernel cannot say where: it was built without
/// `CONFIG_XDP_SOCKETS_DIAG`, as Debian's were up to 6.1, or refuses.
pub fn bound() -> io::Result<BTreeSet<u32>> {
    // Asking makes the kernel load a module, which it need not for nothing.
    let listed = std::fs::read_to_string("/proc/thread-self/net/protocols");
    if listed.is_ok_and(|text| count(&text) == 0) {
        return Ok(BTreeSet::new());
    }
    let mut socket = Socket::open(NETLINK_SOCK_DIAG)?;
    let mut bad = None;
    let found = socket.dump(Request, |(_, payload)| match decode(payload) {
        Ok(index) => index,
        Err(error) => {
            bad = Some(error);
            None
        }
    })?;
    match bad {
        Some(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        None => Ok(found.into_iter().collect()),
    }
}

/// How many AF_XDP sockets /proc/net/protocols counts in this namespace: name,
/// size, sockets, …
fn count(text: &str) -> u64 {
    let line = text.lines().find(|line| line.split_whitespace().next() == Some("XDP"));
    line.and_then(|line| line.split_whitespace().nth(2)?.parse().ok()).unwrap_or(0)
}

/// The device of one reply, without its netlink header; none where the socket is
/// not bound.
fn decode(payload: &[u8]) -> Result<Option<u32>, DecodeError> {
    let attributes = payload.get(MESSAGE..).ok_or("an xdp_diag_msg that is too short")?;
    for nla in NlasIterator::new(attributes) {
        let nla = nla?;
        if nla.kind() == XDP_DIAG_INFO {
            // struct xdp_diag_info: ifindex, queue_id.
            let index = parse_u32(nla.value().get(..4).unwrap_or_default())?;
            return Ok((index != 0).then_some(index));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};
    use proptest::prelude::*;

    use super::*;

    fn reply(attributes: &[DefaultNla]) -> Vec<u8> {
        let mut bytes = vec![0; MESSAGE + attributes.buffer_len()];
        attributes.emit(&mut bytes[MESSAGE..]);
        bytes
    }

    #[test]
    fn a_socket_names_its_device() {
        let info = |index: u32| {
            let words = [index, 3].iter().flat_map(|word| word.to_ne_bytes()).collect();
            [DefaultNla::new(2, vec![0; 4]), DefaultNla::new(XDP_DIAG_INFO, words)]
        };
        assert_eq!(decode(&reply(&info(9))).unwrap(), Some(9));
        assert_eq!(decode(&reply(&info(0))).unwrap(), None);
        assert_eq!(decode(&reply(&[])).unwrap(), None);
        assert!(decode(&reply(&[DefaultNla::new(XDP_DIAG_INFO, vec![1])])).is_err());
        assert!(decode(&[0; MESSAGE - 1]).is_err());
    }

    #[test]
    fn the_request_asks_for_the_info_of_all() {
        let mut bytes = [1; 20];
        Request.serialize(&mut bytes);
        assert_eq!(bytes[..2], [44, 0]);
        assert_eq!(bytes[8..12], 1_u32.to_ne_bytes());
        assert!(bytes[2..8].iter().chain(&bytes[12..]).all(|byte| *byte == 0));
    }

    #[test]
    fn sockets_are_counted() {
        let head =
            "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss\n";
        let lines = "PACKET    1408      2      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n\n";
        let xdp = "XDP        960      1      -1   NI       0   no   kernel      n  n  n  n  n  n  n  n  n\n";
        assert_eq!(count(&format!("{head}{lines}")), 0);
        assert_eq!(count(&format!("{head}{lines}{xdp}")), 1);
        assert_eq!(count("XDP\n"), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
            let _ = decode(&bytes);
        }
    }
}
