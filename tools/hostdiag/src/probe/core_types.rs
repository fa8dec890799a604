//! BTF of that alone which programs use of the kernel, made of the kernel's own. libbpf
//! relocates by it (CO-RE) just as well, and would hold all of the kernel's twice while
//! it reads them, and search them for each structure. Pure.
//!
//! The way of `bpftool gen min_core_btf`, at run time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::btf::raw::{MAGIC, STRUCT};
use super::btf::{Id, Member, Members, Type, Types, Values};

/// Most anonymous structures within another.
const MAX_DEPTH: usize = 8;

/// Names of structures, unions and enumerations, with those of what is in them.
type Named<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// BTF of what `programs`, BTF themselves, name of the `kernel`'s; nothing where they
/// are not understood. Members stand in their order at the places that they have in the
/// kernel, those of anonymous structures among the others.
pub fn small(kernel: &Types<'_>, programs: &[u8]) -> Option<Vec<u8>> {
    let programs = Types::of(programs, None)?;
    let named = named(&programs);
    let chosen: Vec<Id> = kernel.called(|name| named.contains_key(name)).collect();
    let numbers = chosen.iter().copied().zip(1..).collect();
    let mut small = Small { kernel, numbers, types: vec![Vec::new(); chosen.len()], strings: vec![0] };
    for (place, id) in chosen.into_iter().enumerate() {
        small.types[place] = small.whole(id, &named);
    }
    Some(small.bytes())
}

/// BTF without a type: for a program whose use of the kernel's is in branches that its
/// constants cut off. A use that is not would keep it from being loaded.
pub fn none() -> Vec<u8> {
    bytes(&[], &[0])
}

fn named<'a>(programs: &Types<'a>) -> Named<'a> {
    let mut named = Named::new();
    for id in programs.ids() {
        let (name, content) = programs.get(id);
        // As libbpf has it: what follows is the flavour.
        let name = name.split("___").next().unwrap_or_default();
        let within: Vec<&str> = match content {
            Type::Struct { members, .. } => programs.members(members).map(|member| member.name).collect(),
            Type::Enum { values, .. } => programs.values(values).map(|(name, _)| name).collect(),
            _ => continue,
        };
        if !name.is_empty() {
            named.entry(name).or_default().extend(within);
        }
    }
    named
}

/// BTF that is being made.
struct Small<'k> {
    kernel: &'k Types<'k>,
    /// New numbers of the kernel's types.
    numbers: HashMap<Id, Id>,
    /// Words of each type, the first that of number 1.
    types: Vec<Vec<u32>>,
    strings: Vec<u8>,
}

impl Small<'_> {
    /// A type that programs name, with what they name of it.
    fn whole(&mut self, id: Id, named: &Named<'_>) -> Vec<u32> {
        let (name, content) = self.kernel.get(id);
        let Some(wanted) = named.get(name) else { return Vec::new() };
        match content {
            Type::Struct { size, union, members } => {
                let mut found = Vec::new();
                within(self.kernel, members, (0, 0), &mut |member| {
                    if wanted.contains(member.name) {
                        found.push(member);
                    }
                });
                self.structure(name, (size, union), &found)
            }
            Type::Enum { size, signed, values } => {
                let long = matches!(values, Values::Long(_));
                let values: Vec<(&str, u64)> =
                    self.kernel.values(values).filter(|(name, _)| wanted.contains(name)).collect();
                self.enumeration(name, (size, signed, long), &values)
            }
            _ => Vec::new(),
        }
    }

    fn structure(&mut self, name: &str, (size, union): (u32, bool), members: &[Member<'_>]) -> Vec<u32> {
        let bits = members.iter().any(|member| member.bits > 0);
        let info = info(STRUCT + u32::from(union), bits, members.len());
        let mut words = vec![self.string(name), info, size];
        for member in members {
            let place = if bits { member.bits << 24 | member.offset } else { member.offset };
            words.extend([self.string(member.name), self.number(member.of), place]);
        }
        words
    }

    fn enumeration(
        &mut self,
        name: &str,
        (size, signed, long): (u32, bool, bool),
        values: &[(&str, u64)],
    ) -> Vec<u32> {
        let kind = if long { 19 } else { 6 };
        let mut words = vec![self.string(name), info(kind, signed, values.len()), size];
        for (name, value) in values {
            words.extend([self.string(name), *value as u32]);
            words.extend(long.then_some((value >> 32) as u32));
        }
        words
    }

    /// The new number of a type of a member. Of what it points to, and of what is in a
    /// structure that no program names, nobody asks.
    fn number(&mut self, id: Id) -> Id {
        let id = self.kernel.plain_id(id);
        if let Some(number) = self.numbers.get(&id) {
            return *number;
        }
        let (name, content) = self.kernel.get(id);
        let words = match content {
            Type::Int { size, signed, boolean } => {
                let encoding = u32::from(signed) | u32::from(boolean) << 2;
                vec![self.string(name), info(1, false, 0), size, (encoding << 24) | (size * 8)]
            }
            Type::Pointer(_) => vec![0, info(2, false, 0), 0],
            Type::Array { of, length } => {
                let of = self.number(of);
                vec![0, info(3, false, 0), 0, of, of, length]
            }
            Type::Struct { size, union, .. } => self.structure(name, (size, union), &[]),
            Type::Enum { size, signed, .. } => self.enumeration(name, (size, signed, false), &[]),
            _ => return 0,
        };
        self.types.push(words);
        let number = self.types.len() as Id;
        self.numbers.insert(id, number);
        number
    }

    fn string(&mut self, text: &str) -> u32 {
        if text.is_empty() {
            return 0;
        }
        let at = self.strings.len() as u32;
        self.strings.extend(text.bytes().chain([0]));
        at
    }

    fn bytes(&self) -> Vec<u8> {
        let words: Vec<u32> = self.types.iter().flatten().copied().collect();
        bytes(&words, &self.strings)
    }
}

/// `info` of `struct btf_type`.
fn info(kind: u32, flag: bool, members: usize) -> u32 {
    u32::from(flag) << 31 | kind << 24 | members as u32
}

/// Calls with every member that has a name, also of anonymous structures, at its place
/// in the outermost.
fn within<'k>(
    kernel: &Types<'k>,
    members: Members<'k>,
    (base, depth): (u32, usize),
    each: &mut dyn FnMut(Member<'k>),
) {
    for member in kernel.members(members) {
        let offset = base + member.offset;
        match kernel.plain(member.of) {
            Type::Struct { members, .. } if member.name.is_empty() && depth < MAX_DEPTH => {
                within(kernel, members, (offset, depth + 1), each);
            }
            _ => each(Member { offset, ..member }),
        }
    }
}

/// Types and strings behind a `struct btf_header`: magic, version, flags; its length; of
/// types and of strings where they begin and their length.
fn bytes(types: &[u32], strings: &[u8]) -> Vec<u8> {
    let mut btf = MAGIC.to_ne_bytes().to_vec();
    btf.extend([1, 0]);
    let length = types.len() as u32 * 4;
    let words = [24, 0, length, length, strings.len() as u32];
    btf.extend(words.iter().chain(types).flat_map(|word| word.to_ne_bytes()));
    btf.extend(strings);
    btf
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;

    use libbpf_rs::btf::Btf;
    use libbpf_rs::btf::types::{Composite, MemberAttr};
    use nix::sys::memfd::{MFdFlags, memfd_create};

    use super::*;
    use crate::process::path_of;

    /// BTF of programs that name members of structures.
    fn programs(structures: &[(&str, &[&str])]) -> Vec<u8> {
        let (mut words, mut strings) = (Vec::new(), vec![0]);
        let mut string = |text: &str| {
            strings.extend(text.bytes().chain([0]));
            (strings.len() - text.len() - 1) as u32
        };
        for (name, members) in structures {
            words.extend([string(name), info(STRUCT, false, members.len()), 0]);
            words.extend(members.iter().flat_map(|member| [string(member), 0, 0]));
        }
        bytes(&words, &strings)
    }

    /// As libbpf finds a member: its place and its size, in bits.
    fn member(btf: &Btf<'_>, of: Composite<'_>, name: &str) -> Option<(u32, u32)> {
        of.iter().find_map(|one| {
            let (offset, bits) = match one.attr {
                MemberAttr::Normal { offset } => (offset, 0),
                MemberAttr::BitField { size, offset } => (offset, size.into()),
            };
            let found = match one.name {
                Some(known) => (known == name).then_some((0, bits)),
                None => btf.type_by_id(one.ty).and_then(|within| member(btf, within, name)),
            };
            found.map(|(within, bits)| (offset + within, bits))
        })
    }

    /// Against what libbpf reads of the kernel at hand: in anonymous structures, in
    /// unions, of single bits, arrays, and in two flavours.
    #[test]
    fn members_are_where_libbpf_finds_them_in_the_kernel() {
        let named: [(&str, &[&str]); 6] = [
            ("task_struct", &["pid", "comm", "mm", "in_execve", "no_such_member"]),
            ("task_struct___old", &["flags"]),
            ("mm_struct", &["start_stack"]),
            ("net_device", &["features", "vlan_features", "dev_list"]),
            ("pid", &["numbers", "level"]),
            ("no_such_structure", &["a"]),
        ];
        let kernel = fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let small = small(&Types::of(&kernel, None).unwrap(), &programs(&named)).unwrap();
        assert!(small.len() < 2000, "{} bytes", small.len());
        let mut file = fs::File::from(memfd_create("btf", MFdFlags::MFD_CLOEXEC).unwrap());
        file.write_all(&small).unwrap();
        let (small, whole) = (Btf::from_path(path_of(&file)).unwrap(), Btf::from_vmlinux().unwrap());
        let of = |btf: &Btf<'_>, structure: &str, name: &str| {
            let structure = structure.split("___").next().unwrap().to_owned();
            let found = btf.type_by_name::<Composite<'_>>(&structure)?;
            member(btf, found, name)
        };
        let mut members = 0;
        for (structure, names) in named {
            for name in names {
                let known = of(&whole, structure, name);
                assert_eq!(of(&small, structure, name), known, "{structure}.{name}");
                members += u32::from(known.is_some());
            }
        }
        // Those that every kernel has.
        assert!(members >= 9, "{members}");
    }

    /// What stands in a structure without a name, at another place than its beginning.
    #[test]
    fn members_of_anonymous_structures_are_at_their_place_in_the_whole() {
        // A number; two in an anonymous structure; that behind the first of `outer`.
        let strings = b"\0int\0a\0b\0outer\0first\0";
        let [number, inner] = [1, 2];
        let kernel = [
            &[1, info(1, false, 0), 4, 1 << 24 | 32][..],
            &[0, info(STRUCT, false, 2), 8, 5, number, 0, 7, number, 32],
            &[9, info(STRUCT, false, 2), 16, 15, number, 0, 0, inner, 64],
        ];
        let kernel = bytes(&kernel.concat(), strings);
        let programs = programs(&[("outer", &["b", "first"])]);
        let small = small(&Types::of(&kernel, None).unwrap(), &programs).unwrap();
        let small = Types::of(&small, None).unwrap();
        let ("outer", Type::Struct { size: 16, union: false, members }) = small.get(1) else {
            panic!("{:?}", small.get(1))
        };
        let found: Vec<_> = small.members(members).map(|one| (one.name, one.offset, one.bits)).collect();
        assert_eq!(found, [("first", 0, 0), ("b", 96, 0)]);
        let int = |one: Member<'_>| small.plain(one.of);
        let all_int = |found| found == Type::Int { size: 4, signed: true, boolean: false };
        assert!(small.members(members).map(int).all(all_int));
    }
}
