//! What a card is set to beside its features: rings, channels, coalescing, pause, link
//! modes, error correction, by the generic netlink family `ethtool`.

use std::io;

use ethtool::{
    EthtoolAttr, EthtoolChannelAttr, EthtoolCoalesceAttr, EthtoolFecAttr, EthtoolHeader, EthtoolLinkModeAttr,
    EthtoolMessage, EthtoolPauseAttr, EthtoolRingAttr,
};
use netlink_packet_core::ParseableParametrized;
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use super::socket::Socket;

/// One setting of one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Name of the interface.
    pub device: String,
    /// As ethtool(8) calls it: `ring rx`, `rx-usecs`.
    pub name: &'static str,
    /// Its value.
    pub value: String,
}

/// What is asked for, and what it is called in messages.
pub const GROUPS: [&str; 6] = ["rings", "channels", "coalescing", "pause", "link modes", "fec"];

/// The settings of every device of the socket's namespace, for each of [`GROUPS`].
/// What a device does not have is not there.
pub fn dump(socket: &mut Socket, family: u16) -> [io::Result<Vec<Setting>>; 6] {
    [
        EthtoolMessage::new_ring_get(None),
        EthtoolMessage::new_channel_get(None),
        EthtoolMessage::new_coalesce_get(None),
        EthtoolMessage::new_pause_get(None),
        EthtoolMessage::new_link_mode_get(None),
        EthtoolMessage::new_fec_get(None),
    ]
    .map(|request| {
        let header = GenlHeader { cmd: request.command(), version: request.version() };
        let replies = socket.dump(GenlMessage::new(header, request, family), |(header, payload)| {
            GenlMessage::<EthtoolMessage>::parse_with_param(payload, header.message_type).ok()
        })?;
        Ok(replies.iter().flat_map(|reply| settings(&reply.payload)).collect())
    })
}

/// The settings in one reply.
pub fn settings(message: &EthtoolMessage) -> Vec<Setting> {
    let Some(device) = message.nlas.iter().find_map(device) else { return Vec::new() };
    let setting = |attribute| {
        let (name, value) = setting(attribute)?;
        Some(Setting { device: device.to_owned(), name, value })
    };
    message.nlas.iter().filter_map(setting).collect()
}

fn device(attribute: &EthtoolAttr) -> Option<&str> {
    let header = match attribute {
        EthtoolAttr::Ring(EthtoolRingAttr::Header(header))
        | EthtoolAttr::Channel(EthtoolChannelAttr::Header(header))
        | EthtoolAttr::Coalesce(EthtoolCoalesceAttr::Header(header))
        | EthtoolAttr::Pause(EthtoolPauseAttr::Header(header))
        | EthtoolAttr::LinkMode(EthtoolLinkModeAttr::Header(header))
        | EthtoolAttr::Fec(EthtoolFecAttr::Header(header)) => header,
        _ => return None,
    };
    header.iter().find_map(|field| match field {
        EthtoolHeader::DevName(name) => Some(name.as_str()),
        _ => None,
    })
}

fn setting(attribute: &EthtoolAttr) -> Option<(&'static str, String)> {
    match attribute {
        EthtoolAttr::Ring(ring) => self::ring(ring),
        EthtoolAttr::Channel(channel) => self::channel(channel),
        EthtoolAttr::Coalesce(coalesce) => self::coalesce(coalesce),
        EthtoolAttr::Pause(pause) => self::pause(pause),
        EthtoolAttr::LinkMode(mode) => link_mode(mode),
        EthtoolAttr::Fec(fec) => self::fec(fec),
        _ => None,
    }
}

fn ring(attribute: &EthtoolRingAttr) -> Option<(&'static str, String)> {
    use EthtoolRingAttr::{CqeSize, Rx, RxBufLen, RxJumbo, RxMax, RxMini, TcpDataSplit, Tx, TxMax, TxPush};
    Some(match attribute {
        Rx(number) => ("ring rx", number.to_string()),
        RxMax(number) => ("ring rx max", number.to_string()),
        RxMini(number) => ("ring rx mini", number.to_string()),
        RxJumbo(number) => ("ring rx jumbo", number.to_string()),
        Tx(number) => ("ring tx", number.to_string()),
        TxMax(number) => ("ring tx max", number.to_string()),
        RxBufLen(bytes) => ("ring rx buf len", bytes.to_string()),
        CqeSize(bytes) => ("ring cqe size", bytes.to_string()),
        TcpDataSplit(how) => ("ring tcp data split", how.to_string()),
        TxPush(on) => ("ring tx push", switch(*on)),
        _ => return None,
    })
}

fn channel(attribute: &EthtoolChannelAttr) -> Option<(&'static str, String)> {
    use EthtoolChannelAttr::{CombinedCount, CombinedMax, OtherCount, RxCount, RxMax, TxCount, TxMax};
    Some(match attribute {
        RxCount(number) => ("channels rx", number.to_string()),
        RxMax(number) => ("channels rx max", number.to_string()),
        TxCount(number) => ("channels tx", number.to_string()),
        TxMax(number) => ("channels tx max", number.to_string()),
        OtherCount(number) => ("channels other", number.to_string()),
        CombinedCount(number) => ("channels combined", number.to_string()),
        CombinedMax(number) => ("channels combined max", number.to_string()),
        _ => return None,
    })
}

fn coalesce(attribute: &EthtoolCoalesceAttr) -> Option<(&'static str, String)> {
    use EthtoolCoalesceAttr as A;
    Some(match attribute {
        A::RxUsecs(number) => ("rx-usecs", number.to_string()),
        A::RxMaxFrames(number) => ("rx-frames", number.to_string()),
        A::RxUsecsIrq(number) => ("rx-usecs-irq", number.to_string()),
        A::RxMaxFramesIrq(number) => ("rx-frames-irq", number.to_string()),
        A::TxUsecs(number) => ("tx-usecs", number.to_string()),
        A::TxMaxFrames(number) => ("tx-frames", number.to_string()),
        A::TxUsecsIrq(number) => ("tx-usecs-irq", number.to_string()),
        A::TxMaxFramesIrq(number) => ("tx-frames-irq", number.to_string()),
        A::StatsBlockUsecs(number) => ("stats-block-usecs", number.to_string()),
        A::UseAdaptiveRx(on) => ("adaptive-rx", switch(*on)),
        A::UseAdaptiveTx(on) => ("adaptive-tx", switch(*on)),
        A::PktRateLow(number) => ("pkt-rate-low", number.to_string()),
        A::RxUsecsLow(number) => ("rx-usecs-low", number.to_string()),
        A::RxMaxFramesLow(number) => ("rx-frames-low", number.to_string()),
        A::TxUsecsLow(number) => ("tx-usecs-low", number.to_string()),
        A::TxMaxFramesLow(number) => ("tx-frames-low", number.to_string()),
        A::PktRateHigh(number) => ("pkt-rate-high", number.to_string()),
        A::RxUsecsHigh(number) => ("rx-usecs-high", number.to_string()),
        A::RxMaxFramesHigh(number) => ("rx-frames-high", number.to_string()),
        A::TxUsecsHigh(number) => ("tx-usecs-high", number.to_string()),
        A::TxMaxFramesHigh(number) => ("tx-frames-high", number.to_string()),
        A::RateSampleInterval(number) => ("sample-interval", number.to_string()),
        _ => return None,
    })
}

fn pause(attribute: &EthtoolPauseAttr) -> Option<(&'static str, String)> {
    Some(match attribute {
        EthtoolPauseAttr::AutoNeg(on) => ("pause autoneg", switch(*on)),
        EthtoolPauseAttr::Rx(on) => ("pause rx", switch(*on)),
        EthtoolPauseAttr::Tx(on) => ("pause tx", switch(*on)),
        _ => return None,
    })
}

fn link_mode(attribute: &EthtoolLinkModeAttr) -> Option<(&'static str, String)> {
    Some(match attribute {
        EthtoolLinkModeAttr::Autoneg(on) => ("autoneg", switch(*on)),
        // SPEED_UNKNOWN.
        EthtoolLinkModeAttr::Speed(u32::MAX) => return None,
        EthtoolLinkModeAttr::Speed(mbits) => ("speed", format!("{mbits} Mbit/s")),
        EthtoolLinkModeAttr::Duplex(duplex) => ("duplex", format!("{duplex:?}").to_lowercase()),
        EthtoolLinkModeAttr::Lanes(number) => ("lanes", number.to_string()),
        EthtoolLinkModeAttr::Ours(modes) => ("link modes", modes.join(" ")),
        EthtoolLinkModeAttr::Peer(modes) => ("link modes of peer", modes.join(" ")),
        _ => return None,
    })
}

fn fec(attribute: &EthtoolFecAttr) -> Option<(&'static str, String)> {
    Some(match attribute {
        EthtoolFecAttr::Auto(on) => ("fec auto", switch(*on)),
        EthtoolFecAttr::Active(mode) => ("fec", format!("{mode:?}").to_lowercase()),
        _ => return None,
    })
}

fn switch(on: bool) -> String {
    if on { "on" } else { "off" }.to_owned()
}

#[cfg(test)]
mod tests {
    use ethtool::EthtoolCmd;

    use super::*;

    #[test]
    fn a_reply_has_settings_of_its_device() {
        let header = EthtoolRingAttr::Header(vec![EthtoolHeader::DevName("eth0".into())]);
        let attributes = [header, EthtoolRingAttr::RxMax(4096), EthtoolRingAttr::Rx(256)];
        let nlas = attributes.into_iter().map(EthtoolAttr::Ring).collect();
        let all = settings(&EthtoolMessage { cmd: EthtoolCmd::RingGetReply, nlas });
        let all: Vec<_> = all.iter().map(|one| (one.device.as_str(), one.name, one.value.as_str())).collect();
        assert_eq!(all, [("eth0", "ring rx max", "4096"), ("eth0", "ring rx", "256")]);
    }

    #[test]
    fn an_unknown_speed_is_none() {
        assert_eq!(link_mode(&EthtoolLinkModeAttr::Speed(u32::MAX)), None);
        let known = link_mode(&EthtoolLinkModeAttr::Speed(10_000));
        assert_eq!(known, Some(("speed", "10000 Mbit/s".to_owned())));
    }
}
