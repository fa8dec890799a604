//! BTF (Documentation/bpf/btf.rst) as it lies in memory: its types, one behind the other,
//! and its strings. Pure.

use std::ffi::CStr;

/// `BTF_MAGIC` of include/uapi/linux/btf.h.
pub const MAGIC: u16 = 0xeb9f;
/// `BTF_KIND_STRUCT`.
pub const STRUCT: u32 = 4;
/// `BTF_KIND_FUNC`.
pub const FUNCTION: u32 = 12;

pub(super) fn string(strings: &[u8], at: usize) -> Option<&str> {
    CStr::from_bytes_until_nul(strings.get(at..)?).ok()?.to_str().ok()
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
        self.iter().try_for_each(|found| found.map(|(_, found)| each(found)))
    }

    /// Each type with the place where it begins; the last is absent where what is there is
    /// not understood.
    pub(super) fn iter(self) -> impl Iterator<Item = Option<(usize, Type<'a>)>> {
        self.from(0)
    }

    /// The same from the type that begins at this byte of them.
    pub(super) fn from(self, place: usize) -> impl Iterator<Item = Option<(usize, Type<'a>)>> {
        let mut next = Some(place);
        std::iter::from_fn(move || {
            let at = next.take().filter(|at| *at < self.types.len())?;
            let found = self.at(at);
            next = found.map(|found| at + 12 + found.members.len());
            Some(found.map(|found| (at, found)))
        })
    }

    /// The type that begins at this byte of them.
    fn at(&self, at: usize) -> Option<Type<'a>> {
        // `struct btf_type`: name, kind and number of members, size or type.
        let (fields, _) = self.types.get(at..)?.first_chunk::<12>()?.as_chunks::<4>();
        let [name, info, value] = <[_; 3]>::try_from(fields).ok()?.map(u32::from_ne_bytes);
        let (kind, members) = (info >> 24 & 0x1f, info as usize & 0xffff);
        let end = at + 12 + follows(kind, members)?;
        let members = self.types.get(at + 12..end)?;
        Some(Type { kind, name, flag: info >> 31 != 0, value, members })
    }

    /// The name of a type, of the kernel's own.
    pub fn name(&self, of: Type<'_>) -> Option<&'a str> {
        string(self.strings, of.name as usize)
    }

    /// Whether the name of a type begins so.
    pub fn begins(&self, of: Type<'_>, beginning: &str) -> bool {
        let name = self.strings.get(of.name as usize..);
        name.is_some_and(|name| name.starts_with(beginning.as_bytes()))
    }

    /// Whether a structure has a member of this name.
    pub fn has_member(&self, structure: Type<'_>, name: &str) -> bool {
        // `struct btf_member`: name, type, offset.
        let mut names = structure.members.chunks(12).filter_map(|member| word(member, 0));
        names.any(|at| string(self.strings, at as usize) == Some(name))
    }
}

/// Bytes behind a type, by its kind: one thing, or one a member.
pub(super) fn follows(kind: u32, members: usize) -> Option<usize> {
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
