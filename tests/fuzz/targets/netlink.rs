//! What the kernel, or who poses as it, sends over netlink: parsed or refused.
#![no_main]

use hostdiag::net::features::FeaturesMessage;
use hostdiag::net::socket::Frames;
use hostdiag::net::strings::FeatureStrings;
use hostdiag::net::{address, limits, link, qdisc};
use libfuzzer_sys::fuzz_target;
use netlink_packet_core::Parseable;

fuzz_target!(|datagram: &[u8]| {
    for (_, payload) in Frames(datagram).flatten() {
        let _ = link::decode(payload);
        let _ = address::decode(payload);
        let _ = limits::decode(payload);
        let _ = qdisc::decode(payload);
        // Behind the generic header of four bytes.
        let attributes = payload.get(4..).unwrap_or_default();
        let _ = FeaturesMessage::parse(attributes);
        let _ = FeatureStrings::parse(attributes);
    }
});
