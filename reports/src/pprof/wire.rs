//! Protocol buffers, as far as a profile needs them
//! (<https://protobuf.dev/programming-guides/encoding>).

/// A message being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) bytes: Vec<u8>,
}

/// Kinds of fields on the wire.
const VARINT: u64 = 0;
const LENGTH: u64 = 2;

impl Message {
    /// A number; 0 is what a field has that is not there.
    pub(super) fn number(&mut self, field: u64, value: u64) {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
    }

    /// Numbers in one field.
    pub(super) fn packed(&mut self, field: u64, values: &[u64]) {
        let mut list = Self::default();
        values.iter().for_each(|value| list.varint(*value));
        self.message(field, &list);
    }

    pub(super) fn text(&mut self, field: u64, text: &str) {
        self.block(field, text.as_bytes());
    }

    pub(super) fn message(&mut self, field: u64, message: &Self) {
        self.block(field, &message.bytes);
    }

    fn block(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | LENGTH);
        self.varint(bytes.len() as u64);
        self.bytes.extend_from_slice(bytes);
    }

    /// Seven bits a byte, the lowest first; all but the last have the eighth.
    fn varint(&mut self, value: u64) {
        let mut rest = value;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those of the description.
    #[test]
    fn fields_are_written_as_described() {
        let mut message = Message::default();
        message.number(1, 150);
        assert_eq!(message.bytes, [0x08, 0x96, 0x01]);
        let mut message = Message::default();
        message.text(2, "testing");
        assert_eq!(message.bytes, b"\x12\x07testing");
        let mut message = Message::default();
        message.packed(6, &[3, 270, 86942]);
        assert_eq!(message.bytes, [0x32, 0x06, 0x03, 0x8e, 0x02, 0x9e, 0xa7, 0x05]);
    }
}
