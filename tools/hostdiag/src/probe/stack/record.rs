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

/// Decodes a record; nothing of bytes that are none.
pub fn decode(bytes: &[u8]) -> Option<Record> {
    let (head, frames) = bytes.split_at_checked(HEAD)?;
    let word = |at: usize| Some(u32::from_ne_bytes(head.get(at..at + 4)?.try_into().ok()?));
    let (kernel, user) = (word(24)?.cast_signed(), word(28)?.cast_signed());
    let length = |part: i32| usize::try_from(part).unwrap_or(0);
    let (first, rest) = frames.split_at_checked(length(kernel))?;
    let second = rest.get(..length(user))?;
    let part = |length: i32, bytes: &[u8]| match length {
        error if error < 0 => Err(-error.max(-i32::MAX)),
        _ => Ok(bytes.as_chunks().0.iter().map(|frame| u64::from_ne_bytes(*frame)).collect()),
    };
    let comm = head.get(32..48)?.split(|byte| *byte == 0).next()?;
    Some(Record {
        key: head.get(..16)?.try_into().ok()?,
        slot: word(16)?,
        program: Program { pid: word(20)?, stack: u64::from_ne_bytes(*head.get(48..)?.first_chunk()?) },
        comm: String::from_utf8_lossy(comm).into_owned(),
        kernel: part(kernel, first),
        user: part(user, second),
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
