//! What there is to take values of: the arguments of a function, as its types tell,
//! or as registers alone; the fields of a tracepoint.

use std::borrow::Cow;

use crate::probe::btf::{Id, Type, Types};

/// Arguments that come in registers; those behind lie on the stack (System V ABI for
/// x86_64, 3.2.3).
pub const IN_REGISTERS: usize = 6;
/// Most names around a type that are written out.
const MAX_DEPTH: usize = 16;

/// A function or tracepoint.
#[derive(Debug)]
pub struct Signature<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// What it takes.
    pub takes: Takes<'a>,
}

/// What a function takes, and what is known of it.
#[derive(Debug)]
pub enum Takes<'a> {
    /// Parameters of known types.
    Typed(Typed<'a>),
    /// Registers, of which nothing is known; why not.
    Registers(&'static str),
    /// Fields of a record.
    Fields(Vec<Field>),
}

/// Parameters of known types.
#[derive(Debug)]
pub struct Typed<'a> {
    /// The types that they are of.
    pub types: &'a Types<'a>,
    /// Names and types.
    pub parameters: Vec<(&'a str, Id)>,
    /// What it returns.
    pub returns: Id,
}

/// A field of a tracepoint's record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Bytes from the beginning of the record.
    pub offset: u64,
    /// Bytes.
    pub size: u64,
    /// Below zero too.
    pub signed: bool,
    /// What it is.
    pub content: Content,
}

/// What a field of a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A number.
    Number,
    /// An address.
    Pointer,
    /// A text in the record itself.
    Text,
    /// Where in the record a text is, in its lower half (`__data_loc`).
    TextElsewhere,
    /// Several values.
    Array,
}

impl<'a> Signature<'a> {
    /// Of a function, by its name; registers alone where its types do not tell.
    pub fn of(name: &'a str, types: Option<&'a Types<'a>>) -> Self {
        let takes = match types.map(|types| (types, types.function(name))) {
            Some((types, Some((returns, list)))) => {
                Takes::Typed(Typed { types, parameters: types.parameters(list).collect(), returns })
            }
            Some(_) => Takes::Registers("the kernel's types (BTF) have no function of that name, or several"),
            None => Takes::Registers("there are no types (BTF) for it"),
        };
        Self { name: name.into(), takes }
    }

    /// What it takes, as C has it; for people.
    pub fn describe(&self) -> String {
        match &self.takes {
            Takes::Registers(why) => format!("{}: arg1 to arg{IN_REGISTERS} and $ret; {why}", self.name),
            Takes::Fields(fields) => {
                let names: Vec<&str> = fields.iter().map(|field| field.name.as_str()).collect();
                format!("{} has {}", self.name, names.join(", "))
            }
            Takes::Typed(typed) => {
                let parameter = |(name, of): &(&str, Id)| match (name.is_empty(), *of) {
                    (true, 0) => "...".to_owned(),
                    _ => declare(typed.types, *of, name),
                };
                let parameters: Vec<String> = typed.parameters.iter().map(parameter).collect();
                let returns = declare(typed.types, typed.returns, "");
                format!("{}({}) returns {returns}", self.name, parameters.join(", "))
            }
        }
    }
}

impl Typed<'_> {
    /// Words that a trampoline has before what was returned: one an argument, more for
    /// a structure (`bpf_trampoline`, arch/x86/net/bpf_jit_comp.c).
    pub fn words(&self) -> u32 {
        let words = |of: Id| self.types.size(of).map_or(1, |size| size.div_ceil(8).max(1));
        let sum = self.parameters.iter().map(|(_, of)| words(*of)).fold(0_u64, u64::saturating_add);
        u32::try_from(sum).unwrap_or(u32::MAX)
    }
}

/// `struct sock *sk`, as far as it is known.
pub fn declare(types: &Types<'_>, of: Id, name: &str) -> String {
    let (mut of, mut behind) = (of, name.to_owned());
    let base = (0..MAX_DEPTH).find_map(|_| match types.get(of) {
        (named, Type::Around(_)) if !named.is_empty() => Some(named.to_owned()),
        (_, Type::Around(inner) | Type::Function(inner)) => {
            of = inner;
            None
        }
        (_, Type::Pointer(inner)) => {
            behind.insert(0, '*');
            of = inner;
            None
        }
        (_, Type::Array { of: inner, length }) => {
            behind.push_str(&format!("[{length}]"));
            of = inner;
            None
        }
        (named, Type::Struct { union: true, .. }) => Some(format!("union {named}")),
        (named, Type::Struct { .. } | Type::Declared) => Some(format!("struct {named}")),
        (named, Type::Enum { .. }) => Some(format!("enum {named}")),
        (_, Type::Prototype { .. }) => Some("function".into()),
        (_, Type::Void) => Some("void".into()),
        (named, Type::Int { .. } | Type::Float) => Some(named.to_owned()),
    });
    let base = base.unwrap_or_else(|| "...".into());
    match behind.chars().next() {
        None => base,
        Some('[') => format!("{}{behind}", base.trim_end()),
        Some(_) => format!("{} {behind}", base.trim_end()),
    }
}
