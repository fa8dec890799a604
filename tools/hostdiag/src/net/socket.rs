//! One blocking netlink socket: a request out, its replies in.

use std::io;

use netlink_packet_core::{
    ErrorBuffer, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NLMSG_NOOP,
    NLMSG_OVERRUN, NetlinkBuffer, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator, parse_string, parse_u32,
};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::{Socket as Raw, SocketAddr};
use nix::libc;

/// A dump that the kernel says was changed under its reader is read again this
/// often; after that what was read is taken.
const DUMP_TRIES: usize = 4;

/// A netlink socket of the network namespace it was opened in.
pub struct Socket {
    raw: Raw,
    sequence: u32,
    buffer: Vec<u8>,
}

/// A reply: its header and what follows it.
pub type Reply<'a> = (&'a NetlinkHeader, &'a [u8]);

impl Socket {
    /// Opens a socket of a netlink protocol (`NETLINK_ROUTE`, `NETLINK_GENERIC`).
    pub fn open(protocol: isize) -> io::Result<Self> {
        let mut raw = Raw::new(protocol)?;
        raw.bind_auto()?;
        raw.connect(&SocketAddr::new(0, 0))?;
        // Kernels before 4.20 lack it, and nothing depends on it.
        let _ = raw.set_ext_ack(true);
        Ok(Self { raw, sequence: 0, buffer: Vec::new() })
    }

    /// The number of the generic netlink family of that name; `ENOENT` where
    /// the kernel has none.
    pub fn family(&mut self, name: &str) -> io::Result<u16> {
        let mut id = None;
        self.about(name, |kind, value| {
            if kind == CTRL_ATTR_FAMILY_ID {
                id = netlink_packet_core::parse_u16(value).ok();
            }
        })?;
        id.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidData, "the kernel's answer has no family number")
        })
    }

    /// The number of a multicast group of a generic netlink family; `ENOENT`
    /// where the family has none of that name.
    pub fn group(&mut self, family: &str, name: &str) -> io::Result<u32> {
        let mut id = None;
        self.about(family, |kind, value| {
            if kind == CTRL_ATTR_MCAST_GROUPS {
                id = id.or_else(|| find_group(value, name));
            }
        })?;
        id.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
    }

    /// Hands over the attributes that describe a family. Payload: generic
    /// header of 4 bytes, then attributes. What newer kernels add does not
    /// matter.
    fn about(&mut self, name: &str, mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
        let message = GenlMessage::from_payload(GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(name.to_owned())],
        });
        self.request(message, |(_, payload)| {
            for nla in NlasIterator::new(payload.get(4..).unwrap_or_default()).flatten() {
                each(nla.kind(), nla.value());
            }
        })
    }

    /// Sends a request for one thing and hands over its replies.
    pub fn request<T: NetlinkSerializable>(
        &mut self,
        message: T,
        each: impl FnMut(Reply<'_>),
    ) -> io::Result<()> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK)?;
        self.replies(each).map(drop)
    }

    /// Sends a dump request and returns what `decode` makes of each reply. Where
    /// the list changed meanwhile (`NLM_F_DUMP_INTR`) or replies were dropped
    /// (`ENOBUFS`), all is read again.
    pub fn dump<T, R>(
        &mut self,
        message: T,
        mut decode: impl FnMut(Reply<'_>) -> Option<R>,
    ) -> io::Result<Vec<R>>
    where
        T: NetlinkSerializable + Clone,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut all = Vec::new();
            self.send(message.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            match self.replies(|reply| all.extend(decode(reply))) {
                Ok(false) => return Ok(all),
                Ok(true) if tries == DUMP_TRIES => return Ok(all),
                Ok(true) => {}
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) && tries < DUMP_TRIES => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send<T: NetlinkSerializable>(&mut self, message: T, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = flags;
        header.sequence_number = self.sequence;
        let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        self.raw.send(&bytes, 0).map(drop)
    }

    /// Reads until the answer to the last request is complete; true where a
    /// dump was changed under its reader.
    fn replies(&mut self, mut each: impl FnMut(Reply<'_>)) -> io::Result<bool> {
        let mut interrupted = false;
        loop {
            self.receive()?;
            for frame in Frames(&self.buffer) {
                let (header, payload) = frame?;
                // What answers an earlier request that was given up.
                if header.sequence_number != self.sequence {
                    continue;
                }
                interrupted |= header.flags & NLM_F_DUMP_INTR != 0;
                match header.message_type {
                    NLMSG_NOOP => {}
                    NLMSG_OVERRUN => return Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
                    NLMSG_DONE => return done_code(payload).map(|()| interrupted),
                    NLMSG_ERROR => return error_code(payload).map(|()| interrupted),
                    _ => each((&header, payload)),
                }
            }
        }
    }

    /// One datagram into the buffer, which grows to its size first: a reply
    /// larger than the buffer is never cut.
    fn receive(&mut self) -> io::Result<()> {
        loop {
            self.buffer.clear();
            let size = retry(|| self.raw.recv(&mut self.buffer, libc::MSG_PEEK | libc::MSG_TRUNC))?;
            self.buffer.clear();
            self.buffer.reserve(size);
            let (_, sender) = retry(|| self.raw.recv_from(&mut self.buffer, 0))?;
            // Port 0 is the kernel; any process may send to our port.
            if sender.port_number() == 0 {
                return Ok(());
            }
        }
    }
}

/// Of include/uapi/linux/genetlink.h.
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_MCAST_GROUPS: u16 = 7;
const CTRL_ATTR_MCAST_GRP_NAME: u16 = 1;
const CTRL_ATTR_MCAST_GRP_ID: u16 = 2;

/// A list of groups, each a nest of its name and number.
fn find_group(groups: &[u8], wanted: &str) -> Option<u32> {
    NlasIterator::new(groups).flatten().find_map(|group| {
        let (mut name, mut id) = (None, None);
        for nla in NlasIterator::new(group.value()).flatten() {
            match nla.kind() {
                CTRL_ATTR_MCAST_GRP_NAME => name = parse_string(nla.value()).ok(),
                CTRL_ATTR_MCAST_GRP_ID => id = parse_u32(nla.value()).ok(),
                _ => {}
            }
        }
        id.filter(|_| name.as_deref() == Some(wanted))
    })
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// The messages of one datagram. Pure; ends at the first that does not fit.
pub struct Frames<'a>(pub &'a [u8]);

impl<'a> Iterator for Frames<'a> {
    type Item = io::Result<(NetlinkHeader, &'a [u8])>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let buffer = match NetlinkBuffer::new_checked(self.0) {
            Ok(buffer) => buffer,
            Err(error) => {
                self.0 = &[];
                return Some(Err(io::Error::new(io::ErrorKind::InvalidData, error)));
            }
        };
        let mut header = NetlinkHeader::default();
        header.length = buffer.length();
        header.message_type = buffer.message_type();
        header.flags = buffer.flags();
        header.sequence_number = buffer.sequence_number();
        header.port_number = buffer.port_number();
        let payload = buffer.payload();
        let aligned = (buffer.length() as usize).next_multiple_of(4);
        self.0 = self.0.get(aligned..).unwrap_or_default();
        Some(Ok((header, payload)))
    }
}

/// The end of a dump carries an error number where the dump failed midway.
fn done_code(payload: &[u8]) -> io::Result<()> {
    match payload.first_chunk::<4>().map(|code| i32::from_ne_bytes(*code)) {
        Some(code) if code < 0 => Err(io::Error::from_raw_os_error(-code)),
        _ => Ok(()),
    }
}

fn error_code(payload: &[u8]) -> io::Result<()> {
    let buffer = ErrorBuffer::new_checked(payload)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    match buffer.code() {
        None => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code.get())),
    }
}
