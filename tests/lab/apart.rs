//! What sets devices apart beside their kind: datapaths of Open vSwitch, XDP
//! programs, AF_XDP sockets.
use std::os::fd::OwnedFd;

use hostdiag::net::socket::Socket;
use netlink_packet_core::{DefaultNla, Emitable};
use netlink_packet_generic::{GenlFamily, GenlMessage};
use nix::libc;
use nix::net::if_::if_nametoindex;
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags, XdpUmemReg, XdpUmemRegFlags};
use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};

use super::command::{run, try_run};
use super::netns::report;

/// A datapath of Open vSwitch, without its daemon: all packets are dropped.
pub(crate) struct Datapath {
    index: u32,
}

impl Datapath {
    /// Makes it, and its device of that name, in the current namespace.
    #[track_caller]
    pub(crate) fn new(name: &str) -> Self {
        let attributes = vec![string(OVS_DP_ATTR_NAME, name), word(OVS_DP_ATTR_UPCALL_PID, 0)];
        openvswitch("ovs_datapath", OVS_DP_CMD_NEW, 0, attributes).unwrap();
        Datapath { index: if_nametoindex(name).unwrap() }
    }

    /// Takes a device in as a port. It goes with the datapath.
    #[track_caller]
    pub(crate) fn take(&self, device: &str) {
        let attributes = vec![
            string(OVS_VPORT_ATTR_NAME, device),
            word(OVS_VPORT_ATTR_TYPE, OVS_VPORT_TYPE_NETDEV),
            word(OVS_VPORT_ATTR_UPCALL_PID, 0),
        ];
        openvswitch("ovs_vport", OVS_VPORT_CMD_NEW, self.index, attributes).unwrap();
    }
}

impl Drop for Datapath {
    fn drop(&mut self) {
        report(match openvswitch("ovs_datapath", OVS_DP_CMD_DEL, self.index, Vec::new()) {
            // Its namespace was left, and takes it down.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => Ok(()),
            other => other.map_err(|error| format!("failed to remove a datapath: {error}")),
        });
    }
}

// include/uapi/linux/openvswitch.h
const OVS_DP_CMD_NEW: u8 = 1;
const OVS_DP_CMD_DEL: u8 = 2;
const OVS_DP_ATTR_NAME: u16 = 1;
const OVS_DP_ATTR_UPCALL_PID: u16 = 2;
const OVS_VPORT_CMD_NEW: u8 = 1;
const OVS_VPORT_ATTR_TYPE: u16 = 2;
const OVS_VPORT_ATTR_NAME: u16 = 3;
const OVS_VPORT_ATTR_UPCALL_PID: u16 = 5;
const OVS_VPORT_TYPE_NETDEV: u32 = 1;

fn string(kind: u16, value: &str) -> DefaultNla {
    DefaultNla::new(kind, [value.as_bytes(), &[0]].concat())
}

fn word(kind: u16, value: u32) -> DefaultNla {
    DefaultNla::new(kind, value.to_ne_bytes().to_vec())
}

fn openvswitch(family: &str, command: u8, datapath: u32, attributes: Vec<DefaultNla>) -> std::io::Result<()> {
    let mut socket = Socket::open(libc::NETLINK_GENERIC as isize)?;
    // Asked for by name, the kernel loads the module.
    let family = socket.family(family)?;
    let mut message = GenlMessage::from_payload(OpenVswitch { command, datapath, attributes });
    message.set_resolved_family_id(family);
    socket.request(message, |_| ())
}

/// A request: struct ovs_header, which is the index of the datapath, attributes.
#[derive(Clone, Debug)]
struct OpenVswitch {
    command: u8,
    datapath: u32,
    attributes: Vec<DefaultNla>,
}

impl GenlFamily for OpenVswitch {
    fn family_name() -> &'static str {
        "ovs_datapath"
    }
    fn command(&self) -> u8 {
        self.command
    }
    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for OpenVswitch {
    fn buffer_len(&self) -> usize {
        4 + self.attributes.as_slice().buffer_len()
    }
    fn emit(&self, buffer: &mut [u8]) {
        let (header, rest) = buffer.split_at_mut(4);
        header.copy_from_slice(&self.datapath.to_ne_bytes());
        self.attributes.as_slice().emit(rest);
    }
}

/// An XDP program that lets every packet pass.
pub(crate) struct Xdp {
    device: String,
}

impl Xdp {
    /// Attached by the kernel's own way for every kind of device (generic mode).
    #[track_caller]
    pub(crate) fn generic(device: &str) -> Self {
        let program = ["obj", "/lib/hostdiag/xdp_pass.o", "sec", "xdp"];
        run("ip", &[&["link", "set", device, "xdpgeneric"], &program[..]].concat());
        Xdp { device: device.to_owned() }
    }
}

impl Drop for Xdp {
    fn drop(&mut self) {
        report(match try_run("ip", &["link", "set", &self.device, "xdpgeneric", "off"]) {
            Err(error) if error.contains("Cannot find device") => Ok(()),
            other => other.map(drop),
        });
    }
}

/// An AF_XDP socket, bound to the first queue of a device by copying packets:
/// that needs no driver, and no XDP program.
pub(crate) struct AfXdp {
    // Fields drop in this order: the socket uses the memory.
    socket: OwnedFd,
    memory: Vec<u8>,
}

impl AfXdp {
    #[track_caller]
    pub(crate) fn bind(device: &str) -> Self {
        const PAGE: usize = 4096;
        const PAGES: usize = 16;
        let memory = vec![0_u8; (PAGES + 1) * PAGE];
        let area = XdpUmemReg {
            addr: (memory.as_ptr().addr() as u64).next_multiple_of(PAGE as u64),
            len: (PAGES * PAGE) as u64,
            chunk_size: PAGE as u32,
            headroom: 0,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        let socket = socket(AddressFamily::XDP, SocketType::RAW, None).unwrap();
        sockopt::set_xdp_umem_reg(&socket, area).unwrap();
        sockopt::set_xdp_umem_fill_ring_size(&socket, PAGES as u32).unwrap();
        sockopt::set_xdp_umem_completion_ring_size(&socket, PAGES as u32).unwrap();
        sockopt::set_xdp_rx_ring_size(&socket, PAGES as u32).unwrap();
        let address = SocketAddrXdp::new(SocketAddrXdpFlags::XDP_COPY, if_nametoindex(device).unwrap(), 0);
        bind(&socket, &address).unwrap_or_else(|error| panic!("failed to bind to {device}: {error}"));
        AfXdp { socket, memory }
    }
}
