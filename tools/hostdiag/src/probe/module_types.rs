//! Reads BTF (Documentation/bpf/btf.rst) of the kernel, and of its modules, whose
//! numbers go on where those of the kernel end. Pure.

use std::collections::HashMap;

/// `BTF_MAGIC` of include/uapi/linux/btf.h.
pub(super) const MAGIC: u16 = 0xeb9f;
/// `BTF_KIND_STRUCT`.
pub const STRUCT: u32 = 4;
/// `BTF_KIND_FUNC`.
pub const FUNCTION: u32 = 12;

/// What the numbers of modules go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base<'a> {
    /// How many types the kernel has.
    types: u32,
    strings: &'a [u8],
}

impl<'a> Base<'a> {
    /// From the BTF of the kernel; absent where there is a kind of type in it that is
    /// not known here.
    pub fn of(kernel: &'a [u8]) -> Option<Self> {
        let btf = Btf::of(kernel)?;
        // 0 is void.
        let mut types = 1;
        btf.walk(|_| types += 1)?;
        Some(Self { types, strings: btf.strings })
    }
}

/// The numbers of a module's own functions that are wanted, by name; absent where there
/// is a kind of type in it that is not known here.
pub fn functions(
    module: &[u8],
    base: Base<'_>,
    wanted: impl Fn(&str) -> bool,
) -> Option<HashMap<String, u32>> {
    let btf = Btf::of(module)?;
    let (mut found, mut id) = (HashMap::new(), base.types);
    btf.walk(|one| {
        // A name that stands among the kernel's strings is not there again.
        let text = match (one.name as usize).checked_sub(base.strings.len()) {
            None => string(base.strings, one.name as usize),
            Some(at) => string(btf.strings, at),
        };
        if let Some(name) = text.filter(|name| one.kind == FUNCTION && wanted(name)) {
            found.insert(name.to_owned(), id);
        }
        id += 1;
    })?;
    Some(found)
}

pub(super) fn string(strings: &[u8], at: usize) -> Option<&str> {
    std::str::from_utf8(strings.get(at..)?.split(|byte| *byte == 0).next()?).ok()
}

/// The two parts of BTF.
#[derive(Clone, Copy, Debug)]
pub struct Btf<'a> {
    pub(super) types: &'a [u8],
    pub(super) strings: &'a [u8],
}

/// A type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    /// `BTF_KIND_*`.
    pub kind: u32,
    /// Where its name begins among the strings.
    pub(super) name: u32,
    /// `kind_flag` of `struct btf_type`.
    pub(super) flag: bool,
    /// Its size, or another type.
    pub(super) value: u32,
    /// What stands behind it, by its kind.
    pub(super) members: &'a [u8],
}

impl<'a> Btf<'a> {
    /// `struct btf_header`: magic, version, flags, its own length; then offsets behind
    /// it and lengths, of the types and of the strings.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        if bytes.get(..2)? != MAGIC.to_ne_bytes() {
            return None;
        }
        let part = |at: usize| {
            let from = (word(bytes, 4)? as usize).checked_add(word(bytes, at)? as usize)?;
            bytes.get(from..from.checked_add(word(bytes, at + 4)? as usize)?)
        };
        Some(Self { types: part(8)?, strings: part(16)? })
    }

    /// Calls with each type, in the order of their numbers, which begin at 1; absent
    /// where there is a kind of type that is not known here.
    pub fn walk(&self, mut each: impl FnMut(Type<'a>)) -> Option<()> {
        self.walk_places(|_, found| each(found))
    }

    /// The same with the place of each, for [`Self::at`].
    pub(super) fn walk_places(&self, mut each: impl FnMut(u32, Type<'a>)) -> Option<()> {
        let mut at = 0;
        while at < self.types.len() {
            let found = self.at(at)?;
            each(u32::try_from(at).ok()?, found);
            at += 12 + found.members.len();
        }
        Some(())
    }

    /// The type that begins at this byte of them.
    pub(super) fn at(&self, at: usize) -> Option<Type<'a>> {
        // `struct btf_type`: name, kind and number of members, size or type.
        let field = |n: usize| word(self.types, at + 4 * n);
        let (name, info, value) = (field(0)?, field(1)?, field(2)?);
        let (kind, members) = (info >> 24 & 0x1f, info as usize & 0xffff);
        let end = at + 12 + follows(kind, members)?;
        let members = self.types.get(at + 12..end)?;
        Some(Type { kind, name, flag: info >> 31 != 0, value, members })
    }

    /// The name of a type, of the kernel's own.
    pub fn name(&self, of: Type<'_>) -> Option<&'a str> {
        string(self.strings, of.name as usize)
    }

    /// Whether a structure has a member of this name.
    pub fn has_member(&self, structure: Type<'_>, name: &str) -> bool {
        // `struct btf_member`: name, type, offset.
        let mut names = structure.members.chunks(12).filter_map(|member| word(member, 0));
        names.any(|at| string(self.strings, at as usize) == Some(name))
    }
}

/// Bytes behind a type, by its kind: one thing, or one a member.
fn follows(kind: u32, members: usize) -> Option<usize> {
    Some(match kind {
        // PTR, FWD, TYPEDEF, VOLATILE, CONST, RESTRICT, FUNC, FLOAT, TYPE_TAG.
        2 | 7..=12 | 16 | 18 => 0,
        // INT, VAR, DECL_TAG.
        1 | 14 | 17 => 4,
        // ARRAY.
        3 => 12,
        // ENUM, FUNC_PROTO.
        6 | 13 => 8 * members,
        // STRUCT, UNION, DATASEC, ENUM64.
        4 | 5 | 15 | 19 => 12 * members,
        _ => return None,
    })
}

pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types, each of a name and a kind with a number of members, and strings.
    fn btf(types: &[(u32, u32, usize)], strings: &str) -> Vec<u8> {
        let mut body = Vec::new();
        for (name, kind, members) in types {
            let words = [*name, kind << 24 | *members as u32, 0];
            body.extend(words.iter().flat_map(|word| word.to_ne_bytes()));
            body.resize(body.len() + follows(*kind, *members).unwrap_or(0), 0);
        }
        let length = body.len() as u32;
        let header = [u32::from(MAGIC) | 1 << 16, 24, 0, length, length, strings.len() as u32];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_ne_bytes()).collect();
        bytes.extend(body);
        bytes.extend(strings.as_bytes());
        bytes
    }

    #[test]
    fn numbers_go_on_where_the_kernels_end() {
        // int; a structure of two members; the prototype and the function `same`.
        let kernel = btf(&[(1, 1, 0), (0, 4, 2), (0, 13, 3), (5, 12, 0)], "\0int\0same\0");
        let base = Base::of(&kernel).unwrap();
        assert_eq!(base.types, 5);
        // Its strings begin at 10; a variable has the name of a function.
        let module = btf(&[(0, 13, 1), (11, 12, 0), (5, 12, 0), (16, 14, 0)], "\0xmit\0open\0");
        let all = functions(&module, base, |_| true).unwrap();
        assert_eq!(all, HashMap::from([("xmit".into(), 6), ("same".into(), 7)]));
        assert_eq!(functions(&module, base, |name| name == "open"), Some(HashMap::new()));
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        let whole = btf(&[(1, 12, 0)], "\0f\0");
        assert!(Base::of(&whole).is_some());
        for length in 0..whole.len() {
            assert_eq!(Base::of(&whole[..length]), None, "{length}");
        }
        let unknown = btf(&[(1, 12, 0), (1, 31, 0)], "\0f\0");
        assert_eq!(Base::of(&unknown), None);
        assert_eq!(functions(&unknown, Base::of(&whole).unwrap(), |_| true), None);
    }

    /// Against what libbpf reads.
    #[test]
    fn the_kernels_own_types_are_understood() {
        let kernel = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let known = libbpf_rs::btf::Btf::from_vmlinux().unwrap();
        assert_eq!(Base::of(&kernel).unwrap().types as usize, known.len());
    }
}
