//! Queueing disciplines, `RTM_GETQDISC`.

use std::io;

use netlink_packet_core::{DecodeError, NlasIterator, parse_string, parse_u32, parse_u64};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::tc::{TcHandle, TcHeader, TcMessage, TcStatsBasic, TcStatsQueue};

use super::socket::Socket;

/// `struct tcmsg`.
const HEADER: usize = 20;
/// Of include/uapi/linux/rtnetlink.h and gen_stats.h.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_STATS2: u16 = 7;
const TCA_STATS_BASIC: u16 = 1;
const TCA_STATS_QUEUE: u16 = 3;
const TCA_STATS_PKT64: u16 = 8;

/// Options of some kinds that are a word of 32 bits, by their number in
/// include/uapi/linux/pkt_sched.h, as tc(8) calls them; times are in microseconds, but for
/// `timer_slack` in nanoseconds.
const OPTIONS: [(&str, &[(u16, &str)]); 3] = [
    (
        "fq_codel",
        &[
            (1, "target"),
            (2, "limit"),
            (3, "interval"),
            (4, "ecn"),
            (5, "flows"),
            (6, "quantum"),
            (7, "ce_threshold"),
            (8, "drop_batch"),
            (9, "memory_limit"),
        ],
    ),
    (
        "fq",
        &[
            (1, "limit"),
            (2, "flow_limit"),
            (3, "quantum"),
            (4, "initial_quantum"),
            (5, "pacing"),
            (7, "maxrate"),
            (9, "refill_delay"),
            (11, "low_rate_threshold"),
            (12, "ce_threshold"),
            (13, "timer_slack"),
            (14, "horizon"),
        ],
    ),
    ("codel", &[(1, "target"), (2, "limit"), (3, "interval"), (4, "ecn"), (5, "ce_threshold")]),
];
/// Kinds whose only option is `struct tc_fifo_qopt`: packets, or bytes of bfifo.
const FIFOS: [&str; 3] = ["pfifo", "bfifo", "pfifo_head_drop"];

/// One queueing discipline.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Qdisc {
    /// Index of its interface.
    pub ifindex: u32,
    /// `fq_codel`, `mq`, …
    pub kind: String,
    /// Where it hangs.
    pub place: Place,
    /// What it is set to, of kinds in [`OPTIONS`] and [`FIFOS`].
    pub options: Vec<(&'static str, u32)>,
    /// What was sent through it.
    pub bytes: u64,
    /// What was sent through it.
    pub packets: u64,
    /// Packets it threw away.
    pub drops: u64,
    /// Packets the device did not take at once.
    pub requeues: u64,
    /// Packets that had to wait for a limit.
    pub overlimits: u64,
}

/// Where a queueing discipline hangs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At the device.
    #[default]
    Root,
    /// Where packets come in (`ingress`, `clsact`).
    Ingress,
    /// Below another one.
    Leaf,
}

/// Those of every device of the socket's namespace; what cannot be read is left out.
pub fn dump(socket: &mut Socket) -> io::Result<Vec<Qdisc>> {
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    socket.dump(request, |(_, payload)| decode(payload).ok())
}

/// One `RTM_NEWQDISC` message, without its netlink header.
pub fn decode(payload: &[u8]) -> Result<Qdisc, DecodeError> {
    let header = TcHeader::parse(payload)?;
    let place = match header.parent {
        TcHandle::ROOT => Place::Root,
        TcHandle::INGRESS => Place::Ingress,
        _ => Place::Leaf,
    };
    let mut qdisc = Qdisc { ifindex: header.index.cast_unsigned(), place, ..Qdisc::default() };
    let mut set = Vec::new();
    for nla in NlasIterator::new(payload.get(HEADER..).unwrap_or_default()) {
        let nla = nla?;
        match nla.kind() {
            TCA_KIND => qdisc.kind = parse_string(nla.value())?,
            TCA_OPTIONS => set = nla.value().to_vec(),
            TCA_STATS2 => add_statistics(&mut qdisc, nla.value())?,
            _ => {}
        }
    }
    qdisc.options = options(&qdisc.kind, &set);
    Ok(qdisc)
}

/// Those that are known; each kind has its own.
fn options(kind: &str, bytes: &[u8]) -> Vec<(&'static str, u32)> {
    if FIFOS.contains(&kind) {
        return bytes
            .get(..4)
            .and_then(|limit| parse_u32(limit).ok())
            .map(|limit| ("limit", limit))
            .into_iter()
            .collect();
    }
    let Some((_, known)) = OPTIONS.iter().find(|(name, _)| *name == kind) else { return Vec::new() };
    let each = NlasIterator::new(bytes).filter_map(|nla| {
        let nla = nla.ok()?;
        let (_, name) = known.iter().find(|(number, _)| *number == nla.kind())?;
        Some((*name, parse_u32(nla.value()).ok()?))
    });
    each.collect()
}

fn add_statistics(qdisc: &mut Qdisc, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut whole = None;
    for nla in NlasIterator::new(bytes) {
        let nla = nla?;
        match nla.kind() {
            TCA_STATS_BASIC => {
                let basic = TcStatsBasic::parse(nla.value())?;
                (qdisc.bytes, qdisc.packets) = (basic.bytes, basic.packets.into());
            }
            // Only where 32 bits were not enough (5.6 and later).
            TCA_STATS_PKT64 => whole = Some(parse_u64(nla.value())?),
            TCA_STATS_QUEUE => {
                let queue = TcStatsQueue::parse(nla.value())?;
                qdisc.drops = queue.drops.into();
                qdisc.requeues = queue.requeues.into();
                qdisc.overlimits = queue.overlimits.into();
            }
            _ => {}
        }
    }
    qdisc.packets = whole.unwrap_or(qdisc.packets);
    Ok(())
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::{DefaultNla, Emitable};

    use super::*;
    use crate::net::features::nest;

    #[test]
    fn place_kind_and_counters_are_read() {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_ne_bytes()).collect::<Vec<u8>>();
        let basic = [7_u64.to_ne_bytes().to_vec(), words(&[3, 0])].concat();
        let queue = words(&[0, 0, 4, 5, 6]);
        let statistics = [DefaultNla::new(TCA_STATS_BASIC, basic), DefaultNla::new(TCA_STATS_QUEUE, queue)];
        // The last one is of no number that is known.
        let options =
            [(2, 1000), (5, 64), (77, 1)].map(|(number, value)| DefaultNla::new(number, words(&[value])));
        let attributes = [
            nest(TCA_OPTIONS, &options),
            DefaultNla::new(TCA_KIND, b"fq_codel\0".to_vec()),
            nest(TCA_STATS2, &statistics),
        ];
        let mut bytes = vec![0; attributes.as_slice().buffer_len()];
        attributes.as_slice().emit(&mut bytes);
        let message = [words(&[0, 2, 0x8001_0000, 0xffff_ffff, 0]), bytes].concat();
        let expected = Qdisc {
            ifindex: 2,
            kind: "fq_codel".into(),
            place: Place::Root,
            options: vec![("limit", 1000), ("flows", 64)],
            bytes: 7,
            packets: 3,
            drops: 4,
            requeues: 5,
            overlimits: 6,
        };
        assert_eq!(decode(&message).unwrap(), expected);
        for cut in 0..message.len() {
            let _ = decode(&message[..cut]);
        }
    }

    #[test]
    fn options_are_those_of_the_kind() {
        assert_eq!(options("bfifo", &30_000_u32.to_ne_bytes()), [("limit", 30_000)]);
        assert_eq!(options("pfifo_fast", &[3; 20]), []);
        assert_eq!(options("bfifo", &[1]), []);
        assert_eq!(options("fq", &[5, 0, 1]), []);
    }
}
