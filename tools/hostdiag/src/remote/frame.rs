//! Frames: how messages and recordings go over a stream of bytes.
//!
//! A frame is a byte that tells its kind, its length in four bytes (big endian), and so
//! many bytes. The agent says [`MARK`] before its first frame: what a shell prints
//! before that is no frame.

use std::io::{self, Read, Write};

/// What the agent begins with: nothing that a banner has in it.
pub const MARK: &[u8] = b"\0\x01hostdiag agent\x01\0\n";
/// The longest frame that the agent takes, in bytes.
pub const MOST_ASKED: u32 = 64 << 10;
/// The longest frame that is taken from an agent, in bytes.
pub const MOST_SAID: u32 = 1 << 20;
/// What of a recording is in one frame, in bytes.
pub const CHUNK: usize = 64 << 10;

/// One frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A message, as JSON.
    Message(Vec<u8>),
    /// Bytes of a recording.
    Data(Vec<u8>),
}

impl Frame {
    const MESSAGE: u8 = b'{';
    const DATA: u8 = b'#';

    /// Writes it.
    ///
    /// # Errors
    /// Those of `out`; a frame that no reader would take.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let (kind, bytes) = match self {
            Self::Message(bytes) => (Self::MESSAGE, bytes),
            Self::Data(bytes) => (Self::DATA, bytes),
        };
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long");
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MOST_SAID);
        let length = length.ok_or_else(too_long)?.to_be_bytes();
        let mut frame = Vec::with_capacity(5 + bytes.len());
        frame.push(kind);
        frame.extend_from_slice(&length);
        frame.extend_from_slice(bytes);
        out.write_all(&frame)?;
        out.flush()
    }

    /// Reads one of at most `most` bytes; `None` where the stream ends before it.
    ///
    /// # Errors
    /// Those of `input`; what is no frame, is too long or was cut off.
    pub fn read(input: &mut dyn Read, most: u32) -> io::Result<Option<Self>> {
        let mut head = [0; 5];
        match input.read(&mut head[..1])? {
            0 => return Ok(None),
            _ => input.read_exact(&mut head[1..])?,
        }
        let bad = |what: String| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        let [kind, length @ ..] = head;
        if kind != Self::MESSAGE && kind != Self::DATA {
            return bad(format!("a frame of unknown kind {kind:#04x}"));
        }
        let length = u32::from_be_bytes(length);
        if length > most {
            return bad(format!("a frame of {length} bytes, more than {most}"));
        }
        let mut bytes = Vec::new();
        // Grows with what comes, not with what was promised.
        if input.take(length.into()).read_to_end(&mut bytes)? != length as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(Some(if kind == Self::MESSAGE { Self::Message(bytes) } else { Self::Data(bytes) }))
    }
}

/// Reads up to behind `mark`; what stood before it, at most so many bytes.
///
/// # Errors
/// Those of `input`; `UnexpectedEof` with what came instead, where it ends before,
/// `InvalidData` where too much comes.
pub fn skip_to(mark: &[u8], input: &mut dyn Read, most: usize) -> io::Result<Vec<u8>> {
    let mut before = Vec::new();
    let mut byte = [0];
    while !before.ends_with(mark) {
        if before.len() >= most + mark.len() {
            let said = format!("it said more than {most} bytes before it began: {}", text(&before));
            return Err(io::Error::new(io::ErrorKind::InvalidData, said));
        }
        if input.read(&mut byte)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text(&before)));
        }
        before.push(byte[0]);
    }
    before.truncate(before.len() - mark.len());
    Ok(before)
}

/// The beginning of what was said, as text.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(400)]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wrong_lengths_and_kinds_are_refused() {
        let read = |bytes: &[u8]| Frame::read(&mut &bytes[..], 8).map_err(|error| error.kind());
        assert_eq!(read(b""), Ok(None));
        assert_eq!(read(b"{\0\0\0\x02{}"), Ok(Some(Frame::Message(b"{}".to_vec()))));
        assert_eq!(read(b"#\0\0\0\x00"), Ok(Some(Frame::Data(Vec::new()))));
        assert_eq!(read(b"{\0\0\0\x03{}"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(b"{\0\0"), Err(io::ErrorKind::UnexpectedEof));
        assert_eq!(read(b"{\0\0\0\x09{       }"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(b"{\xff\xff\xff\xff"), Err(io::ErrorKind::InvalidData));
        assert_eq!(read(b"hello\n"), Err(io::ErrorKind::InvalidData));
    }

    #[test]
    fn what_a_shell_says_before_is_skipped() {
        let stream = [b"Welcome!\n\0\x01host", MARK, b"rest"].concat();
        let mut input = &stream[..];
        assert_eq!(skip_to(MARK, &mut input, 64).unwrap(), b"Welcome!\n\0\x01host");
        assert_eq!(input, b"rest");
        let kind = |text: &[u8]| skip_to(MARK, &mut &text[..], 8).unwrap_err().kind();
        assert_eq!(kind(b"bye"), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(&[b'x'; 100]), io::ErrorKind::InvalidData);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes in proptest::collection::vec(any::<u8>(), 0..200), message: bool) {
            let frame = if message { Frame::Message(bytes) } else { Frame::Data(bytes) };
            let mut stream = Vec::new();
            frame.write(&mut stream).unwrap();
            frame.write(&mut stream).unwrap();
            let mut input = &stream[..];
            for _ in 0..2 {
                prop_assert_eq!(Frame::read(&mut input, MOST_SAID).unwrap(), Some(frame.clone()));
            }
            prop_assert_eq!(Frame::read(&mut input, MOST_SAID).unwrap(), None);
        }
    }
}
