//! What the kernel says over netlink and ioctl. Blocking sockets, no runtime;
//! nothing here judges what it reads.

pub mod address;
pub mod change;
pub mod detail;
pub mod ethtool;
pub mod events;
pub mod features;
pub mod ioctl;
pub mod limits;
pub mod link;
pub mod netns;
pub mod qdisc;
pub mod socket;
pub mod strings;
pub mod vitals;
pub mod xdp_sockets;
