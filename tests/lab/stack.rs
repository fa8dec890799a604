//! A host with a bond and a VLAN, and the peer it talks to, in one kernel.
use super::command::{ethtool, ip, wait_until};
use super::link::Link;
use super::netns::{Entered, NetNs};

/// Addresses of the two ends on VLAN 10.
pub(crate) const HOST: &str = "10.10.0.1";
pub(crate) const PEER: &str = "10.10.0.2";

/// The stack of the article, with veth pairs for cards:
///
/// ```text
/// host namespace                        peer namespace
/// vlan10 - bond0 - nic0 ============ port0 - br0 - vlan10
///                \ nic1 ============ port1 /
/// ```
///
/// The thread is in the host's namespace while the stack lives; it all goes away
/// with the namespaces.
pub(crate) struct Stack {
    // Fields drop in this order: first leave, then take down.
    entered: Entered,
    host: NetNs,
    peer: NetNs,
}

impl Stack {
    /// A bond in active-backup mode: the peer's bridge needs no configuration.
    #[track_caller]
    pub(crate) fn new() -> Self {
        let stack = Self::without_bond();
        let _kept =
            [Link::bond("bond0", "active-backup", &["nic0", "nic1"]), Link::vlan("vlan10", "bond0", 10)]
                .map(Link::keep);
        ip(&["address", "add", &format!("{HOST}/24"), "dev", "vlan10"]);
        stack.wait_for_peer();
        stack
    }

    /// The two cards nic0 and nic1 and the peer alone, for tests that build
    /// their own way up to vlan10.
    #[track_caller]
    pub(crate) fn without_bond() -> Self {
        let host = NetNs::new("host");
        let peer = NetNs::new("peer");
        let entered = host.enter();
        Link::create(Some(peer.name()), "br0", None, &["bridge"]).keep();
        for (nic, port) in [("nic0", "port0"), ("nic1", "port1")] {
            ip(&["link", "add", nic, "type", "veth", "peer", "name", port, "netns", peer.name()]);
            ip(&["link", "set", nic, "up"]);
            ip(&["-n", peer.name(), "link", "set", port, "master", "br0", "up"]);
        }
        let vlan = Link::create(Some(peer.name()), "vlan10", Some("br0"), &["vlan", "id", "10"]).keep();
        vlan.address(&format!("{PEER}/24"));
        Stack { entered, host, peer }
    }

    /// The namespace under test.
    pub(crate) fn host(&self) -> &NetNs {
        &self.host
    }

    pub(crate) fn peer(&self) -> &NetNs {
        &self.peer
    }

    /// The article's bad state: what `ethtool -k vlan10` showed there.
    #[track_caller]
    pub(crate) fn break_offloads(&self) {
        ethtool(&["-K", "vlan10", "sg", "off", "tx", "off"]);
    }

    /// The article's remedy.
    #[track_caller]
    pub(crate) fn mend_offloads(&self) {
        ethtool(&["-K", "vlan10", "sg", "on", "tx", "on"]);
    }

    #[track_caller]
    pub(crate) fn wait_for_peer(&self) {
        wait_until("the peer answers", || {
            std::net::TcpStream::connect((PEER, 9)).is_err_and(|error| {
                // Nothing listens there: a refusal is the peer's own word.
                error.kind() == std::io::ErrorKind::ConnectionRefused
            })
        });
    }
}
