//! The kernel's own names of the feature bits, `ETH_SS_FEATURES`.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NlasIterator, ParseableParametrized, parse_string, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use super::features::{DeviceHeader, FAMILY, nest};
use super::socket::Socket;

const STRSET_GET: u8 = 1;
const HEADER: u16 = 1;
const STRINGSETS: u16 = 2;
const STRINGSET: u16 = 1;
const STRINGSET_ID: u16 = 1;
const STRINGSET_STRINGS: u16 = 3;
const STRING: u16 = 1;
const STRING_INDEX: u16 = 1;
const STRING_VALUE: u16 = 2;
const ETH_SS_FEATURES: u32 = 4;

/// More strings than this are refused.
const MAX_STRINGS: usize = 4096;

/// `ETHTOOL_MSG_STRSET_GET` for the features, and its reply: the name of each
/// bit by its index. A bit without a name is unused and empty here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeatureStrings(pub Vec<String>);

impl FeatureStrings {
    fn attributes() -> Vec<DefaultNla> {
        let id = DefaultNla::new(STRINGSET_ID, ETH_SS_FEATURES.to_ne_bytes().to_vec());
        let sets = nest(STRINGSETS, &[nest(STRINGSET, &[id])]);
        vec![nest(HEADER, &DeviceHeader::default().attributes()), sets]
    }

    /// Parses the attributes of a reply.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut names = Vec::new();
        for sets in find(bytes, STRINGSETS) {
            for set in find(sets?, STRINGSET) {
                for strings in find(set?, STRINGSET_STRINGS) {
                    for string in find(strings?, STRING) {
                        add(&mut names, string?)?;
                    }
                }
            }
        }
        Ok(Self(names))
    }
}

/// The values of the attributes of one kind.
fn find(bytes: &[u8], kind: u16) -> impl Iterator<Item = Result<&[u8], DecodeError>> {
    NlasIterator::new(bytes).filter_map(move |nla| match nla {
        Err(error) => Some(Err(error)),
        Ok(nla) if nla.kind() == kind => {
            let start = nla.into_inner();
            let length = usize::from(netlink_packet_core::NlaBuffer::new(start).length());
            Some(Ok(&start[4..length]))
        }
        Ok(_) => None,
    })
}

fn add(names: &mut Vec<String>, string: &[u8]) -> Result<(), DecodeError> {
    let (mut index, mut name) = (None, None);
    for nla in NlasIterator::new(string) {
        let nla = nla?;
        match nla.kind() {
            STRING_INDEX => index = Some(parse_u32(nla.value())? as usize),
            STRING_VALUE => name = Some(parse_string(nla.value())?),
            _ => {}
        }
    }
    let index = index.ok_or("a string without an index")?;
    if index >= MAX_STRINGS {
        return Err(format!("a string with the index {index}").into());
    }
    if names.len() <= index {
        names.resize(index + 1, String::new());
    }
    names[index] = name.unwrap_or_default();
    Ok(())
}

impl GenlFamily for FeatureStrings {
    fn family_name() -> &'static str {
        FAMILY
    }
    fn command(&self) -> u8 {
        STRSET_GET
    }
    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for FeatureStrings {
    fn buffer_len(&self) -> usize {
        Self::attributes().as_slice().buffer_len()
    }
    fn emit(&self, buffer: &mut [u8]) {
        Self::attributes().as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for FeatureStrings {
    fn parse_with_param(bytes: &[u8], _: GenlHeader) -> Result<Self, DecodeError> {
        Self::parse(bytes)
    }
}

/// The names of the feature bits.
pub fn features(socket: &mut Socket, family: u16) -> io::Result<Vec<String>> {
    let mut message = GenlMessage::from_payload(FeatureStrings::default());
    message.set_resolved_family_id(family);
    let mut names = Err("no answer".into());
    socket.request(message, |(header, payload)| {
        names = GenlMessage::<FeatureStrings>::parse_with_param(payload, header.message_type)
            .map(|message| message.payload.0);
    })?;
    names.map_err(|error: DecodeError| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(strings: &[(u32, &str)]) -> Vec<u8> {
        let strings: Vec<DefaultNla> = strings
            .iter()
            .map(|(index, name)| {
                let index = DefaultNla::new(STRING_INDEX, index.to_ne_bytes().to_vec());
                nest(STRING, &[index, DefaultNla::new(STRING_VALUE, format!("{name}\0").into_bytes())])
            })
            .collect();
        let set = nest(STRINGSET, &[nest(STRINGSET_STRINGS, &strings)]);
        let sets = nest(STRINGSETS, &[set]);
        let mut bytes = vec![0; sets.buffer_len()];
        sets.emit(&mut bytes);
        bytes
    }

    #[test]
    fn names_stand_at_their_index() {
        let bytes = reply(&[(0, "tx-scatter-gather"), (3, "tx-checksum-ip-generic")]);
        let names = FeatureStrings::parse(&bytes).unwrap().0;
        assert_eq!(names, ["tx-scatter-gather", "", "", "tx-checksum-ip-generic"]);
        assert!(FeatureStrings::parse(&reply(&[(u32::MAX, "far")])).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = FeatureStrings::parse(&bytes);
        }
    }
}
