//! What the programs hand over of a stack, `struct stack_record` of bpf/hostdiag.h.

use crate::symbol::Program;

/// By which a stack is known.
pub(super) type Key = [u8; 16];

/// Bytes before the frames.
const HEAD: usize = 16 + 4 + 4 + 4 + 4 + 16 + 8;

/// Addresses, the innermost first.
pub type Frames<'a> = &'a [[u8; 8]];

/// A stack as it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// By which it is known.
    pub key: [u8; 16],
    /// Index of the function.
    pub slot: u32,
    /// Process, and which of its programs.
    pub program: Program,
    /// Name of the thread.
    pub comm: &'a [u8],
    /// The kernel's part; or why there is none, an error number.
    pub kernel: Result<Frames<'a>, i32>,
    /// Likewise the process's part.
    pub user: Result<Frames<'a>, i32>,
}

/// A stack as it came.
#[derive(Clone, Debug)]
pub(super) struct Arrived {
    /// Its process.
    pub(super) pid: u32,
    bytes: Box<[u8]>,
}

impl Arrived {
    /// Nothing of bytes that are no record.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        decode(bytes).map(|record| Self { pid: record.program.pid, bytes: bytes.into() })
    }

    /// What it says.
    pub(super) fn record(&self) -> Option<Record<'_>> {
        decode(&self.bytes)
    }
}

impl Record<'_> {
    /// Where the process was, where that is known.
    pub(super) fn place(&self) -> Option<u64> {
        self.user.ok()?.first().copied().map(u64::from_ne_bytes)
    }
}

/// Decodes a record; nothing of bytes that are none.
pub fn decode(bytes: &[u8]) -> Option<Record<'_>> {
    let (head, frames) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let (kernel, user) = (word(24)?.cast_signed(), word(28)?.cast_signed());
    let length = |part: i32| usize::try_from(part).unwrap_or(0);
    let (first, rest) = frames.split_at_checked(length(kernel))?;
    let second = rest.get(..length(user))?;
    let part = |length: i32, bytes| if length < 0 { Err(-length.max(-i32::MAX)) } else { Ok(bytes) };
    Some(Record {
        key: head.get(..16)?.try_into().ok()?,
        slot: word(16)?,
        program: Program { pid: word(20)?, stack: u64::from_ne_bytes(*head.get(48..)?.first_chunk()?) },
        comm: head.get(32..48)?.split(|byte| *byte == 0).next()?,
        kernel: part(kernel, first.as_chunks().0),
        user: part(user, second.as_chunks().0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn bytes(kernel: i32, user: i32, frames: &[u64]) -> Vec<u8> {
        let mut bytes = vec![7; 16];
        [3_u32, 4711].iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        [kernel, user].iter().for_each(|word| bytes.extend(word.to_ne_bytes()));
        bytes.extend(b"java\0\0\0\0\0\0\0\0\0\0\0\0");
        bytes.extend(0x7ffc_u64.to_ne_bytes());
        frames.iter().for_each(|frame| bytes.extend(frame.to_ne_bytes()));
        bytes
    }

    #[test]
    fn parts_follow_each_other() {
        let whole = bytes(16, 8, &[1, 2, 3]);
        let expected = Record {
            key: [7; 16],
            slot: 3,
            program: Program { pid: 4711, stack: 0x7ffc },
            comm: b"java",
            kernel: Ok(&[1_u64, 2].map(u64::to_ne_bytes)),
            user: Ok(&[3_u64.to_ne_bytes()]),
        };
        assert_eq!((decode(&whole), expected.place()), (Some(expected.clone()), Some(3)));
        let arrived = Arrived::of(&whole).unwrap();
        assert_eq!((arrived.pid, arrived.record()), (4711, Some(expected)));
        let part = bytes(-14, 8, &[3]);
        let record = decode(&part).unwrap();
        assert_eq!((record.kernel, record.user), (Err(14), Ok(&[3_u64.to_ne_bytes()][..])));
    }

    #[test]
    fn what_is_too_short_is_none() {
        assert_eq!(decode(&bytes(16, 8, &[1, 2])), None);
        assert_eq!(decode(&bytes(0, 0, &[])[..55]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_danger(kernel in any::<i32>(), user in any::<i32>(), frames in prop::collection::vec(any::<u64>(), 0..4)) {
            decode(&bytes(kernel, user, &frames));
        }
    }
}
