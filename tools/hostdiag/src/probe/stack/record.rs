//! What the programs hand over of a stack, `struct stack_record` of bpf/hostdiag.h.

use crate::symbol::Program;

/// By which a stack is known.
pub(super) type Key = [u8; 16];

/// Bytes before the frames.
const HEAD: usize = 16 + 4 + 4 + 4 + 4 + 16 + 8;

/// A stack as it was first seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// By which it is known.
    pub key: [u8; 16],
    /// Index of the function.
    pub slot: u32,
    /// Process, and which of its programs.
    pub program: Program,
    /// Its name.
    pub comm: String,
    /// Addresses of the kernel's part, the innermost first; or why there are none,
    /// an error number.
    pub kernel: Result<Vec<u64>, i32>,
    /// Likewise of the process's part.
    pub user: Result<Vec<u64>, i32>,
}

/// A stack as it came: until it gets its names it takes a third of the memory of a
/// [`Record`].
#[derive(Clone, Debug)]
pub(super) struct Arrived(Box<[u8]>);

impl Arrived {
    /// Nothing of bytes that are no record.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        parts(bytes).map(|_| Self(bytes.into()))
    }

    /// By which it is known.
    pub(super) fn key(&self) -> Key {
        parts(&self.0).map_or([0; 16], |parts| parts.key)
    }

    /// Process, and which of its programs.
    pub(super) fn program(&self) -> Program {
        parts(&self.0).map_or(Program { pid: 0, stack: 0 }, |parts| parts.program)
    }

    /// Where the process was, where that is known.
    pub(super) fn place(&self) -> Option<u64> {
        parts(&self.0)?.user.ok()?.first().copied().map(u64::from_ne_bytes)
    }

    pub(super) fn decode(&self) -> Option<Record> {
        decode(&self.0)
    }
}

/// What bytes of a record are.
struct Parts<'a> {
    key: Key,
    slot: u32,
    program: Program,
    comm: &'a [u8],
    kernel: Result<&'a [[u8; 8]], i32>,
    user: Result<&'a [[u8; 8]], i32>,
}

fn parts(bytes: &[u8]) -> Option<Parts<'_>> {
    let (head, frames) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let (kernel, user) = (word(24)?.cast_signed(), word(28)?.cast_signed());
    let length = |part: i32| usize::try_from(part).unwrap_or(0);
    let (first, rest) = frames.split_at_checked(length(kernel))?;
    let second = rest.get(..length(user))?;
    let part = |length: i32, bytes| if length < 0 { Err(-length.max(-i32::MAX)) } else { Ok(bytes) };
    Some(Parts {
        key: head.get(..16)?.try_into().ok()?,
        slot: word(16)?,
        program: Program { pid: word(20)?, stack: u64::from_ne_bytes(*head.get(48..)?.first_chunk()?) },
        comm: head.get(32..48)?.split(|byte| *byte == 0).next()?,
        kernel: part(kernel, first.as_chunks().0),
        user: part(user, second.as_chunks().0),
    })
}

/// Decodes a record; nothing of bytes that are none.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let Parts { key, slot, program, comm, kernel, user } = parts(bytes)?;
    let frames = |frames: &[[u8; 8]]| frames.iter().copied().map(u64::from_ne_bytes).collect();
    Some(Record {
        key,
        slot,
        program,
        comm: String::from_utf8_lossy(comm).into_owned(),
        kernel: kernel.map(frames),
        user: user.map(frames),
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
        let record = decode(&bytes(16, 8, &[1, 2, 3])).unwrap();
        let expected = Record {
            key: [7; 16],
            slot: 3,
            program: Program { pid: 4711, stack: 0x7ffc },
            comm: "java".into(),
            kernel: Ok(vec![1, 2]),
            user: Ok(vec![3]),
        };
        assert_eq!(record, expected);
        let arrived = Arrived::of(&bytes(16, 8, &[1, 2, 3])).unwrap();
        let known = (arrived.key(), arrived.program(), arrived.place(), arrived.decode());
        assert_eq!(known, (record.key, record.program, Some(3), Some(record)));
        let record = decode(&bytes(-14, 8, &[3])).unwrap();
        assert_eq!((record.kernel, record.user), (Err(14), Ok(vec![3])));
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
