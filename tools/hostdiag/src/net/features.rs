//! The features messages of the generic netlink family `ethtool`.
//!
//! Compact bitsets only: the kernel sends them when asked to, and names come
//! from its string set once instead of with every bit. Attribute numbers from
//! include/uapi/linux/ethtool_netlink.h, which never change.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable, NLA_F_NESTED, NlaBuffer, NlasIterator, Parseable,
    ParseableParametrized, parse_string, parse_u32,
};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use super::socket::{Reply, Socket};

/// Name of the generic netlink family.
pub const FAMILY: &str = "ethtool";

const FEATURES_GET: u8 = 11;
const FEATURES_GET_REPLY: u8 = 11;
const FEATURES_SET: u8 = 12;
const HEADER: u16 = 1;
const HW: u16 = 2;
const WANTED: u16 = 3;
const ACTIVE: u16 = 4;
const NOCHANGE: u16 = 5;
const HEADER_DEV_INDEX: u16 = 1;
const HEADER_DEV_NAME: u16 = 2;
const HEADER_FLAGS: u16 = 3;
const FLAG_COMPACT_BITSETS: u32 = 1;
const FLAG_OMIT_REPLY: u32 = 2;
const BITSET_NOMASK: u16 = 1;
const BITSET_SIZE: u16 = 2;
const BITSET_BITS: u16 = 3;
const BITSET_VALUE: u16 = 4;
const BITSET_MASK: u16 = 5;

/// More bits than this are refused: the kernel has 64.
const MAX_BITS: u32 = 4096;

/// A set of bits as the kernel sends it: 32-bit words, the lowest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitset {
    /// Number of bits.
    pub size: u32,
    /// The bits.
    pub value: Vec<u32>,
    /// Which bits the message speaks of; absent: all (`NOMASK`).
    pub mask: Option<Vec<u32>>,
}

impl Bitset {
    /// Whether a bit is set; what lies beyond the set is not.
    pub fn has(&self, bit: usize) -> bool {
        self.value.get(bit / 32).is_some_and(|word| word >> (bit % 32) & 1 == 1)
    }

    /// A set of `size` bits with a mask, which speaks of these alone. A bit
    /// beyond the size is left out; of one given twice the last holds.
    pub fn masked(size: usize, bits: &[(usize, bool)]) -> Self {
        let mut value = vec![0; size.div_ceil(32)];
        let mut mask = value.clone();
        for (bit, on) in bits.iter().filter(|(bit, _)| *bit < size) {
            let (word, flag) = (bit / 32, 1 << (bit % 32));
            mask[word] |= flag;
            value[word] = if *on { value[word] | flag } else { value[word] & !flag };
        }
        Self { size: u32::try_from(size).unwrap_or(MAX_BITS), value, mask: Some(mask) }
    }
}

/// What identifies the device of a request or reply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceHeader {
    /// Interface index.
    pub index: Option<u32>,
    /// Interface name.
    pub name: Option<String>,
    /// `ETHTOOL_FLAG_*`.
    pub flags: Option<u32>,
}

/// `ETHTOOL_MSG_FEATURES_GET` and its reply, and `ETHTOOL_MSG_FEATURES_SET`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FeaturesMessage {
    /// Device; empty in a dump request.
    pub header: DeviceHeader,
    /// What the user may change.
    pub hw: Option<Bitset>,
    /// What is asked for.
    pub wanted: Option<Bitset>,
    /// What works.
    pub active: Option<Bitset>,
    /// What never changes.
    pub nochange: Option<Bitset>,
}

impl FeaturesMessage {
    /// A request for the features of all devices.
    pub fn dump() -> Self {
        let header = DeviceHeader { flags: Some(FLAG_COMPACT_BITSETS), ..DeviceHeader::default() };
        Self { header, ..Self::default() }
    }

    /// A request about one device, by its index alone: names change.
    fn of(index: u32, flags: u32) -> Self {
        let header = DeviceHeader { index: Some(index), flags: Some(flags), name: None };
        Self { header, ..Self::default() }
    }

    fn attributes(&self) -> Vec<DefaultNla> {
        let bitsets =
            [(HW, &self.hw), (WANTED, &self.wanted), (ACTIVE, &self.active), (NOCHANGE, &self.nochange)];
        let mut all = vec![nest(HEADER, &self.header.attributes())];
        all.extend(bitsets.iter().filter_map(|(kind, set)| Some(nest(*kind, &set.as_ref()?.attributes()))));
        all
    }
}

impl DeviceHeader {
    /// The attributes in the header's nest.
    pub fn attributes(&self) -> Vec<DefaultNla> {
        let mut all = Vec::new();
        all.extend(self.index.map(|index| word(HEADER_DEV_INDEX, index)));
        all.extend(self.name.as_ref().map(|name| {
            let mut bytes = name.clone().into_bytes();
            bytes.push(0);
            DefaultNla::new(HEADER_DEV_NAME, bytes)
        }));
        all.extend(self.flags.map(|flags| word(HEADER_FLAGS, flags)));
        all
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut header = Self::default();
        for nla in NlasIterator::new(bytes) {
            let nla = nla?;
            match nla.kind() {
                HEADER_DEV_INDEX => header.index = Some(parse_u32(nla.value())?),
                HEADER_DEV_NAME => header.name = Some(parse_string(nla.value())?),
                HEADER_FLAGS => header.flags = Some(parse_u32(nla.value())?),
                _ => {}
            }
        }
        Ok(header)
    }
}

impl Bitset {
    fn attributes(&self) -> Vec<DefaultNla> {
        let mut all = vec![word(BITSET_SIZE, self.size), words(BITSET_VALUE, &self.value)];
        match &self.mask {
            None => all.insert(0, DefaultNla::new(BITSET_NOMASK, Vec::new())),
            Some(mask) => all.push(words(BITSET_MASK, mask)),
        }
        all
    }

    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (mut nomask, mut size, mut value, mut mask) = (false, None, None, None);
        for nla in NlasIterator::new(bytes) {
            let nla = nla?;
            match nla.kind() {
                BITSET_NOMASK => nomask = true,
                BITSET_SIZE => size = Some(parse_u32(nla.value())?),
                BITSET_BITS => {
                    return Err("the kernel sent a verbose bitset although asked for a compact one".into());
                }
                BITSET_VALUE => value = Some(parse_words(nla.value())?),
                BITSET_MASK => mask = Some(parse_words(nla.value())?),
                _ => {}
            }
        }
        let size = size.ok_or("a bitset without a size")?;
        if size > MAX_BITS {
            return Err(format!("a bitset of {size} bits; more than {MAX_BITS} are not understood").into());
        }
        let length = size.div_ceil(32) as usize;
        let value = value.ok_or("a bitset without a value")?;
        if value.len() != length || mask.as_ref().is_some_and(|mask: &Vec<u32>| mask.len() != length) {
            return Err(format!("a bitset of {size} bits in {} words", value.len()).into());
        }
        Ok(Self { size, value, mask: if nomask { None } else { mask } })
    }
}

fn word(kind: u16, value: u32) -> DefaultNla {
    words(kind, &[value])
}

fn words(kind: u16, values: &[u32]) -> DefaultNla {
    DefaultNla::new(kind, values.iter().flat_map(|value| value.to_ne_bytes()).collect())
}

fn parse_words(bytes: &[u8]) -> Result<Vec<u32>, DecodeError> {
    let (chunks, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() {
        return Err(format!("a bitset of {} bytes, which is no number of 32-bit words", bytes.len()).into());
    }
    Ok(chunks.iter().map(|chunk| u32::from_ne_bytes(*chunk)).collect())
}

/// An attribute that holds attributes.
pub fn nest(kind: u16, inner: &[DefaultNla]) -> DefaultNla {
    let mut bytes = vec![0; inner.buffer_len()];
    inner.emit(&mut bytes);
    DefaultNla::new(kind | NLA_F_NESTED, bytes)
}

impl GenlFamily for FeaturesMessage {
    fn family_name() -> &'static str {
        FAMILY
    }
    fn command(&self) -> u8 {
        FEATURES_GET
    }
    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for FeaturesMessage {
    fn buffer_len(&self) -> usize {
        self.attributes().as_slice().buffer_len()
    }
    fn emit(&self, buffer: &mut [u8]) {
        self.attributes().as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for FeaturesMessage {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        if header.cmd != FEATURES_GET_REPLY {
            return Err(format!("command {} instead of a features reply", header.cmd).into());
        }
        Self::parse(bytes)
    }
}

impl Parseable<[u8]> for FeaturesMessage {
    fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut message = Self::default();
        for nla in NlasIterator::new(bytes) {
            let nla: NlaBuffer<&[u8]> = nla?;
            match nla.kind() {
                HEADER => message.header = DeviceHeader::parse(nla.value())?,
                HW => message.hw = Some(Bitset::parse(nla.value())?),
                WANTED => message.wanted = Some(Bitset::parse(nla.value())?),
                ACTIVE => message.active = Some(Bitset::parse(nla.value())?),
                NOCHANGE => message.nochange = Some(Bitset::parse(nla.value())?),
                _ => {}
            }
        }
        Ok(message)
    }
}

/// The features of every device of the socket's namespace, in the order of
/// their indices. A reply that cannot be read stands as its error.
pub fn dump(socket: &mut Socket, family: u16) -> io::Result<Vec<Result<FeaturesMessage, DecodeError>>> {
    socket.dump(request(FEATURES_GET, FeaturesMessage::dump(), family), |reply| Some(decode(reply)))
}

/// The features of one device.
pub fn get(socket: &mut Socket, family: u16, index: u32) -> io::Result<FeaturesMessage> {
    let message = FeaturesMessage::of(index, FLAG_COMPACT_BITSETS);
    let mut answer = Err("no answer".into());
    socket.request(request(FEATURES_GET, message, family), |reply| answer = decode(reply))?;
    answer.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Sets the wishes of one device that the mask of `wanted` speaks of. The kernel
/// passes over those that the device cannot change, and computes the features
/// anew only where a wish differs (net/ethtool/features.c, `ethnl_set_features`).
pub fn set(socket: &mut Socket, family: u16, index: u32, wanted: Bitset) -> io::Result<()> {
    let message = FeaturesMessage::of(index, FLAG_COMPACT_BITSETS | FLAG_OMIT_REPLY);
    let message = FeaturesMessage { wanted: Some(wanted), ..message };
    socket.request(request(FEATURES_SET, message, family), |_| {})
}

fn request(cmd: u8, message: FeaturesMessage, family: u16) -> GenlMessage<FeaturesMessage> {
    GenlMessage::new(GenlHeader { cmd, version: message.version() }, message, family)
}

fn decode((header, payload): Reply<'_>) -> Result<FeaturesMessage, DecodeError> {
    GenlMessage::parse_with_param(payload, header.message_type).map(|message| message.payload)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bitset() -> impl Strategy<Value = Bitset> {
        (1_u32..130, any::<bool>()).prop_flat_map(|(size, masked)| {
            let length = size.div_ceil(32) as usize;
            let words = || proptest::collection::vec(any::<u32>(), length);
            (
                Just(size),
                words(),
                proptest::option::of(words()).prop_filter("as wished", move |m| m.is_some() == masked),
            )
                .prop_map(|(size, value, mask)| Bitset { size, value, mask })
        })
    }

    fn message() -> impl Strategy<Value = FeaturesMessage> {
        let sets = (proptest::option::of(bitset()), proptest::option::of(bitset()), bitset(), bitset());
        (any::<u32>(), "[a-z0-9.]{1,15}", sets).prop_map(|(index, name, (hw, wanted, active, nochange))| {
            FeaturesMessage {
                header: DeviceHeader { index: Some(index), name: Some(name), flags: None },
                hw,
                wanted,
                active: Some(active),
                nochange: Some(nochange),
            }
        })
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_parsed(message in message()) {
            let mut bytes = vec![0; message.buffer_len()];
            message.emit(&mut bytes);
            prop_assert_eq!(FeaturesMessage::parse(&bytes[..]).unwrap(), message);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = FeaturesMessage::parse(&bytes[..]);
        }
    }

    #[test]
    fn bit_0_is_a_bit_like_any_other() {
        // Bit 0 is tx-scatter-gather.
        let set = Bitset { size: 64, value: vec![1, 1 << 31], mask: None };
        let message = FeaturesMessage { active: Some(set), ..FeaturesMessage::default() };
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let active = FeaturesMessage::parse(&bytes[..]).unwrap().active.unwrap();
        assert!(active.has(0) && active.has(63));
        assert!((1..63).all(|bit| !active.has(bit)) && !active.has(64) && !active.has(4000));
    }

    #[test]
    fn a_mask_speaks_of_the_given_bits_alone() {
        let set = Bitset::masked(64, &[(0, true), (33, false), (63, true), (63, false), (64, true)]);
        assert_eq!(set, Bitset { size: 64, value: vec![1, 0], mask: Some(vec![1, 1 << 1 | 1 << 31]) });
        assert_eq!(Bitset::masked(59, &[]).mask, Some(vec![0, 0]));
    }

    #[test]
    fn a_request_to_set_names_index_command_and_wishes() {
        let wanted = Bitset::masked(64, &[(3, true)]);
        let message = FeaturesMessage { wanted: Some(wanted.clone()), ..FeaturesMessage::of(7, 3) };
        let request = request(FEATURES_SET, message, 21);
        let mut bytes = vec![0; request.buffer_len()];
        request.emit(&mut bytes);
        assert_eq!((bytes[0], bytes[1], request.family_id()), (12, 1, 21));
        let parsed = FeaturesMessage::parse(&bytes[4..]).unwrap();
        assert_eq!(parsed.header, DeviceHeader { index: Some(7), name: None, flags: Some(3) });
        assert_eq!(parsed, FeaturesMessage { wanted: Some(wanted), ..FeaturesMessage::of(7, 3) });
    }

    #[test]
    fn a_bitset_of_the_wrong_length_is_refused() {
        let set = Bitset { size: 64, value: vec![1], mask: None };
        let message = FeaturesMessage { active: Some(set), ..FeaturesMessage::default() };
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        assert!(FeaturesMessage::parse(&bytes[..]).unwrap_err().to_string().contains("64 bits in 1 words"));
    }
}
