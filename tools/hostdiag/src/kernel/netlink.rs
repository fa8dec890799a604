//! Whether netlink answers: rtnetlink, and generic netlink for a family.

use anyhow::{Context, Result, bail};
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd, nlas::GenlCtrlAttrs};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC, protocols::NETLINK_ROUTE};

/// A socket to rtnetlink opens; a seccomp filter of a container may refuse it.
pub(super) fn rtnetlink() -> Result<()> {
    Socket::new(NETLINK_ROUTE)
        .and_then(|mut socket| socket.bind_auto().map(drop))
        .context("no rtnetlink socket")
}

/// Whether the kernel knows this generic netlink family.
///
/// # Errors
/// Generic netlink does not answer.
pub(super) fn family_exists(name: &str) -> Result<bool> {
    let mut socket = Socket::new(NETLINK_GENERIC).context("no generic netlink socket")?;
    socket.bind_auto().context("no generic netlink socket")?;
    socket.connect(&SocketAddr::new(0, 0))?;
    let request =
        GenlCtrl { cmd: GenlCtrlCmd::GetFamily, nlas: vec![GenlCtrlAttrs::FamilyName(name.to_string())] };
    let mut message = NetlinkMessage::from(GenlMessage::from_payload(request));
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.send(&bytes, 0).context("generic netlink takes no request")?;
    let (answer, _) = socket.recv_from_full().context("generic netlink does not answer")?;
    let answer = NetlinkMessage::<GenlMessage<GenlCtrl>>::deserialize(&answer)
        .context("generic netlink's answer is not understood")?;
    match answer.payload {
        NetlinkPayload::InnerMessage(_) => Ok(true),
        NetlinkPayload::Error(error) if error.raw_code() == -nix::libc::ENOENT => Ok(false),
        NetlinkPayload::Error(error) => Err(error.to_io()).context("generic netlink refused")?,
        _ => bail!("generic netlink's answer is not understood"),
    }
}
