//! The kernel's types, BTF (Documentation/bpf/btf.rst): those of the kernel, and those
//! of a module, whose numbers and strings go on where the kernel's end. Pure: from
//! bytes, of which none is trusted.

use self::raw::{Btf, FUNCTION, string, word};

pub mod raw;

/// Most typedefs, qualifiers and tags around a type that are looked through.
const MAX_AROUND: usize = 32;

/// A type by its number; 0 is void.
pub type Id = u32;

/// Of so many types that stand behind each other the place of the first is kept: there are
/// some 150,000, most of which nobody asks for.
const STEP: u32 = 16;

/// Types by number, and by name where they are functions.
#[derive(Debug)]
pub struct Types<'a> {
    raw: Btf<'a>,
    base: Option<&'a Types<'a>>,
    /// How many are its own.
    count: u32,
    /// Where each [`STEP`]th of them begins.
    places: Vec<u32>,
}

/// A type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type<'a> {
    /// No value, and what is not known here.
    Void,
    /// An integer of so many bytes.
    Int {
        /// Bytes.
        size: u32,
        /// Below zero too.
        signed: bool,
        /// `_Bool`.
        boolean: bool,
    },
    /// A pointer to a type.
    Pointer(Id),
    /// So many of a type.
    Array {
        /// Of this type.
        of: Id,
        /// How many; 0 where the source does not say.
        length: u32,
    },
    /// A structure or union; its name may be empty.
    Struct {
        /// Bytes.
        size: u32,
        /// What is in it lies in the same place.
        union: bool,
        /// What is in it.
        members: Members<'a>,
    },
    /// Names of numbers, of so many bytes.
    Enum {
        /// Bytes.
        size: u32,
        /// Below zero too.
        signed: bool,
        /// The names.
        values: Values<'a>,
    },
    /// A floating point number.
    Float,
    /// A structure of which nothing but the name is known here.
    Declared,
    /// A function: its prototype.
    Function(Id),
    /// What a function takes and returns.
    Prototype {
        /// What it returns.
        returns: Id,
        /// What it takes.
        parameters: Parameters<'a>,
    },
    /// Another name of a type, a qualifier, a tag.
    Around(Id),
}

/// The members of a structure, the parameters of a function, or the values of an
/// enumeration: as they stand in BTF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List<'a, const SIZE: usize> {
    bytes: &'a [u8],
    /// `kind_flag` of `struct btf_type`.
    flag: bool,
}

/// Members of a structure.
pub type Members<'a> = List<'a, 12>;
/// Parameters of a function.
pub type Parameters<'a> = List<'a, 8>;

/// Names of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values<'a> {
    /// Of 32 bits.
    Short(List<'a, 8>),
    /// Of 64 bits, Linux 6.0.
    Long(List<'a, 12>),
}

/// A member of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member<'a> {
    /// Its name; empty where those of its type stand for it.
    pub name: &'a str,
    /// Its type.
    pub of: Id,
    /// Bits from the beginning of the structure.
    pub offset: u32,
    /// Bits that it has; 0: all those of its type.
    pub bits: u32,
}

impl<'a> Types<'a> {
    /// Those of the kernel, or with a `base` those of a module; absent where there is
    /// a kind of type in it that is not known here.
    pub fn of(bytes: &'a [u8], base: Option<&'a Types<'a>>) -> Option<Self> {
        let raw = Btf::of(bytes)?;
        let (mut count, mut places) = (0, Vec::new());
        for found in raw.iter() {
            let (at, _) = found?;
            if count % STEP == 0 {
                places.push(u32::try_from(at).ok()?);
            }
            count += 1;
        }
        Some(Self { raw, base, count, places })
    }

    /// The number of the first type of its own.
    fn first(&self) -> Id {
        self.base.map_or(1, |base| base.first().saturating_add(base.count))
    }

    /// Name and content of a type; of a number that there is none of, void.
    pub fn get(&self, id: Id) -> (&'a str, Type<'a>) {
        match (id.checked_sub(self.first()), self.base) {
            (None, Some(base)) if id > 0 => base.get(id),
            (Some(index), _) => self.own(index).unwrap_or(("", Type::Void)),
            _ => ("", Type::Void),
        }
    }

    fn own(&self, index: u32) -> Option<(&'a str, Type<'a>)> {
        let place = *self.places.get((index / STEP) as usize)?;
        let (_, found) = self.raw.from(place as usize).nth((index % STEP) as usize)??;
        Some(self.typed(found))
    }

    /// Name and content of a type.
    fn typed(&self, found: raw::Type<'a>) -> (&'a str, Type<'a>) {
        let (bytes, flag, size_or_type) = (found.members, found.flag, found.value);
        let content = match found.kind {
            1 => integer(size_or_type, word(bytes, 0).unwrap_or(0)),
            2 => Type::Pointer(size_or_type),
            3 => {
                let field = |at| word(bytes, at).unwrap_or(0);
                Type::Array { of: field(0), length: field(8) }
            }
            4 | 5 => {
                let members = List { bytes, flag };
                Type::Struct { size: size_or_type, union: found.kind == 5, members }
            }
            6 => Type::Enum { size: size_or_type, signed: flag, values: Values::Short(List { bytes, flag }) },
            7 => Type::Declared,
            8..=11 | 18 => Type::Around(size_or_type),
            FUNCTION => Type::Function(size_or_type),
            13 => Type::Prototype { returns: size_or_type, parameters: List { bytes, flag } },
            16 => Type::Float,
            19 => Type::Enum { size: size_or_type, signed: flag, values: Values::Long(List { bytes, flag }) },
            _ => Type::Void,
        };
        (self.text(found.name), content)
    }

    /// Its own types with their numbers.
    fn own_types(&self) -> impl Iterator<Item = (Id, raw::Type<'a>)> {
        self.ids().zip(self.raw.iter().map_while(|found| found.map(|(_, found)| found)))
    }

    /// Numbers of structures, unions and enumerations of its own whose names are wanted,
    /// in their order.
    pub fn called(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Id> {
        let is_wanted = move |found: raw::Type<'_>| {
            matches!(found.kind, 4..=6 | 19) && found.name > 0 && wanted(self.text(found.name))
        };
        self.own_types().filter(move |(_, found)| is_wanted(*found)).map(|(id, _)| id)
    }

    /// Functions of its own whose names are wanted.
    pub fn functions(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = (Id, &'a str)> {
        let functions = self.own_types().filter(|(_, found)| found.kind == FUNCTION);
        functions.map(|(id, found)| (id, self.text(found.name))).filter(move |(_, name)| wanted(name))
    }

    /// The number of a type without other names, qualifiers and tags around it.
    pub fn plain_id(&self, id: Id) -> Id {
        let next = |id: &Id| match self.get(*id).1 {
            Type::Around(of) => Some(of),
            _ => None,
        };
        std::iter::successors(Some(id), next).take(MAX_AROUND).last().unwrap_or(id)
    }

    /// The type without other names, qualifiers and tags around it.
    pub fn plain(&self, id: Id) -> Type<'a> {
        self.get(self.plain_id(id)).1
    }

    /// A type, and what stands below each name of it, the last of which is plain.
    pub fn around(&self, id: Id) -> impl Iterator<Item = (&'a str, Type<'a>)> {
        let next = |&(_, found): &(&'a str, Type<'a>)| match found {
            Type::Around(of) => Some(self.get(of)),
            _ => None,
        };
        std::iter::successors(Some(self.get(id)), next).take(MAX_AROUND)
    }

    /// Bytes of a type; absent where it has none, or they are not known here.
    pub fn size(&self, id: Id) -> Option<u64> {
        let (mut of, mut times) = (id, 1_u64);
        for _ in 0..MAX_AROUND {
            let size = match self.plain(of) {
                Type::Int { size, .. } | Type::Struct { size, .. } | Type::Enum { size, .. } => size.into(),
                Type::Pointer(_) => 8,
                Type::Array { of: element, length } => {
                    (of, times) = (element, times.checked_mul(length.into())?);
                    continue;
                }
                _ => return None,
            };
            return times.checked_mul(size);
        }
        None
    }

    /// The number of this name in an enumeration: where it is in several, that of the
    /// first.
    pub fn constant(&self, name: &str) -> Option<u64> {
        let own = self.own_types().find_map(|(_, found)| match self.typed(found).1 {
            Type::Enum { values, .. } => {
                self.values(values).find(|(known, _)| *known == name).map(|(_, value)| value)
            }
            _ => None,
        });
        own.or_else(|| self.base?.constant(name))
    }

    /// What a function of its own takes and returns, by its name.
    pub fn function(&self, name: &str) -> Option<(Id, Parameters<'a>)> {
        let own = self.functions(|known| known == name);
        let mut prototypes = own.filter_map(|(id, _)| match self.get(id).1 {
            Type::Function(prototype) => match self.plain(prototype) {
                Type::Prototype { returns, parameters } => Some((returns, parameters)),
                _ => None,
            },
            _ => None,
        });
        let found = prototypes.next()?;
        // Of several functions of a name nothing tells which is meant.
        prototypes.next().is_none().then_some(found)
    }

    /// Every type of its own, by number.
    pub fn ids(&self) -> impl Iterator<Item = Id> {
        let first = self.first();
        (0..self.count).map(move |index| first + index)
    }

    fn text(&self, offset: u32) -> &'a str {
        // A name that stands among the kernel's strings is not there again.
        let below = self.base.map_or(0, |base| base.raw.strings.len());
        match ((offset as usize).checked_sub(below), self.base) {
            (None, Some(base)) => base.text(offset),
            (at, _) => at.and_then(|at| string(self.raw.strings, at)).unwrap_or_default(),
        }
    }

    /// Members of a structure, in their order.
    pub fn members(&self, list: Members<'a>) -> impl Iterator<Item = Member<'a>> {
        list.entries().map(move |[name, of, offset]| Member {
            name: self.text(name),
            of,
            offset: if list.flag { offset & 0xff_ffff } else { offset },
            bits: if list.flag { offset >> 24 } else { 0 },
        })
    }

    /// Names and types of parameters, in their order.
    pub fn parameters(&self, list: Parameters<'a>) -> impl Iterator<Item = (&'a str, Id)> {
        list.entries().map(|[name, of]| (self.text(name), of))
    }

    /// Names and numbers of an enumeration, in their order; numbers as 64 bits.
    pub fn values(&self, values: Values<'a>) -> impl Iterator<Item = (&'a str, u64)> {
        let (short, long) = match values {
            Values::Short(list) => (Some(list), None),
            Values::Long(list) => (None, Some(list)),
        };
        let short = short.into_iter().flat_map(|list| {
            let wide = move |value: u32| match list.flag {
                true => i64::from(value.cast_signed()).cast_unsigned(),
                false => value.into(),
            };
            list.entries().map(move |[name, value]| (name, wide(value)))
        });
        let long = long.into_iter().flat_map(List::entries);
        let long = long.map(|[name, low, high]| (name, u64::from(high) << 32 | u64::from(low)));
        short.chain(long).map(|(name, value)| (self.text(name), value))
    }
}

/// Size and `BTF_INT_ENCODING`.
fn integer<'a>(size: u32, encoding: u32) -> Type<'a> {
    Type::Int { size, signed: encoding >> 24 & 1 != 0, boolean: encoding >> 24 & 4 != 0 }
}

impl<'a, const SIZE: usize> List<'a, SIZE> {
    /// How many there are.
    pub fn len(self) -> usize {
        self.bytes.len() / SIZE
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Words of each.
    fn entries<const WORDS: usize>(self) -> impl Iterator<Item = [u32; WORDS]> {
        let entry = |bytes: &[u8]| std::array::from_fn(|n| word(bytes, 4 * n).unwrap_or(0));
        self.bytes.chunks_exact(SIZE).map(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::raw::{MAGIC, follows};
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
        let kernel = Types::of(&kernel, None).unwrap();
        assert_eq!(kernel.ids().last(), Some(4));
        // Its strings begin at 10; a variable has the name of a function.
        let module = btf(&[(0, 13, 1), (11, 12, 0), (5, 12, 0), (16, 14, 0)], "\0xmit\0open\0");
        let module = Types::of(&module, Some(&kernel)).unwrap();
        let functions = |wanted: &dyn Fn(&str) -> bool| module.functions(wanted).collect::<Vec<_>>();
        assert_eq!(functions(&|_| true), [(6, "xmit"), (7, "same")]);
        assert_eq!(functions(&|name| name == "open"), []);
    }

    #[test]
    fn what_is_not_understood_is_not_guessed() {
        let whole = btf(&[(1, 12, 0)], "\0f\0");
        assert!(Types::of(&whole, None).is_some());
        for length in 0..whole.len() {
            assert!(Types::of(&whole[..length], None).is_none(), "{length}");
        }
        assert!(Types::of(&btf(&[(1, 12, 0), (1, 31, 0)], "\0f\0"), None).is_none());
    }

    /// Against what libbpf reads.
    #[test]
    fn the_kernels_own_types_are_understood() {
        let kernel = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
        let known = libbpf_rs::btf::Btf::from_vmlinux().unwrap();
        assert_eq!(Types::of(&kernel, None).unwrap().ids().count() + 1, known.len());
    }
}
