//! From a path to the steps that fetch its value, by the types on the way.

use std::collections::BTreeMap;

use hostdiag_model::trace::Form;

use super::Problem;
use super::parse::{Path, Root, Way};
use super::signature::{Content, Field, IN_REGISTERS, Signature, Takes, Typed, declare};
use super::step::{MAX_EACH, RETURNED, Step};
use crate::fail::did_you_mean;
use crate::probe::btf::{Id, Member, Type, Types};

mod condition;

pub use condition::{Test, condition};

/// Structures without a name within each other that names are looked for in.
const MAX_DEPTH: usize = 8;

/// A value, and how it is fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiled {
    /// The steps; what is in hand then is the value, of a text its address.
    pub steps: Vec<Step>,
    /// It is there at the return, not at the entry.
    pub at_return: bool,
    /// What it is of.
    pub form: Form,
    /// It can be below zero.
    pub signed: bool,
    /// Of a text, the most bytes that it has; absent: as many as it has.
    pub length: Option<u64>,
}

/// Compiles a path of this function.
///
/// # Errors
/// What the types do not have, or what cannot be fetched, with its place.
pub fn compile(path: &Path, of: &Signature<'_>) -> Result<Compiled, Problem> {
    let at_return = path.root == Root::Return;
    let mut compiled = match &of.takes {
        Takes::Registers(why) => register(path, &of.name, why)?,
        Takes::Fields(fields) => field(path, &of.name, fields)?,
        Takes::Typed(typed) => {
            let mut fetch = Fetch::begin(path, &of.name, typed)?;
            path.ways.iter().try_for_each(|(way, at)| fetch.go(way, *at))?;
            fetch.finish(path.ways.last().map_or(path.at, |(_, at)| *at))?
        }
    };
    compiled.at_return = at_return;
    // One more keeps it or compares it.
    match compiled.steps.len() < MAX_EACH {
        true => Ok(compiled),
        false => Err(Problem::new(path.at, format!("it takes more than {MAX_EACH} steps to get there"))),
    }
}

fn number(steps: Vec<Step>, form: Form, signed: bool) -> Compiled {
    Compiled { steps, at_return: false, form, signed, length: None }
}

/// `arg1` is 0.
fn numbered(name: &str) -> Option<usize> {
    name.strip_prefix("arg")?.parse::<usize>().ok()?.checked_sub(1)
}

fn register(path: &Path, function: &str, why: &str) -> Result<Compiled, Problem> {
    if let Some((_, at)) = path.ways.first() {
        return Err(Problem::new(*at, format!("{function}: what it points to is not known: {why}")));
    }
    let place = match &path.root {
        Root::Return => RETURNED,
        Root::Name(name) => match numbered(name) {
            Some(place @ ..IN_REGISTERS) => place as u8,
            Some(_) => return Err(beyond(path.at, name)),
            None => {
                let what = format!("{function}: names of arguments are not known: {why}");
                return Err(Problem::new(path.at, what).hint("arg1 to arg6, or $ret"));
            }
        },
    };
    Ok(number(vec![Step::Argument(place)], Form::Raw, true))
}

fn beyond(at: usize, name: &str) -> Problem {
    let what = format!("{name} is not in a register: only the first {IN_REGISTERS} arguments are");
    Problem::new(at, what)
}

fn field(path: &Path, event: &str, fields: &[Field]) -> Result<Compiled, Problem> {
    let Root::Name(name) = &path.root else {
        return Err(Problem::new(path.at, "a tracepoint returns nothing"));
    };
    let Some(Field { offset, size, signed, content, .. }) = fields.iter().find(|field| field.name == *name)
    else {
        let near = did_you_mean(name, fields.iter().map(|field| field.name.as_str()));
        let problem = Problem::new(path.at, format!("{event} has no field {name:?}"));
        return Err(near.into_iter().fold(problem, Problem::hint));
    };
    if let Some((_, at)) = path.ways.first() {
        return Err(Problem::new(*at, "a field of a tracepoint has nothing in it"));
    }
    let mut steps = vec![Step::Context];
    let load = |size: u64| Step::Load { offset: *offset, size: size as u8 };
    match (content, size) {
        (Content::Text, _) => {
            steps.push(Step::Add(*offset));
            return Ok(Compiled { length: Some(*size), ..number(steps, Form::Text, false) });
        }
        (Content::TextElsewhere, _) => {
            steps.extend([load(4), Step::Mask(0xffff), Step::Relative]);
            return Ok(number(steps, Form::Text, false));
        }
        (Content::Number | Content::Pointer, 1 | 2 | 4 | 8) => steps.push(load(*size)),
        _ => return Err(Problem::new(path.at, format!("{name} is no number, pointer or text"))),
    }
    if *signed && *size < 8 {
        steps.push(narrow(*size as u32, true));
    }
    let form = if *content == Content::Pointer { Form::Pointer } else { Form::Number };
    Ok(number(steps, form, *signed))
}

/// The low bytes of a number, with their sign.
fn narrow(size: u32, signed: bool) -> Step {
    let by = 64_u32.saturating_sub(size.saturating_mul(8)).min(63) as u8;
    Step::Bits { left: by, right: by, signed }
}

/// On the way to a value.
struct Fetch<'a> {
    types: &'a Types<'a>,
    steps: Vec<Step>,
    /// What it is that we are at.
    of: Id,
    /// It lies in memory, so far behind the address in hand; else it is in hand.
    behind: Option<u64>,
    /// Of a member that is a part of its bytes: its first bit and how many there are.
    bits: Option<(u32, u32)>,
}

impl<'a> Fetch<'a> {
    fn begin(path: &Path, function: &str, typed: &Typed<'a>) -> Result<Self, Problem> {
        let Typed { types, parameters, returns } = typed;
        let (place, of) = match &path.root {
            Root::Return if types.plain(*returns) == Type::Void => {
                return Err(Problem::new(path.at, format!("{function} returns nothing")));
            }
            Root::Return => (RETURNED, *returns),
            Root::Name(name) => {
                let place = parameters.iter().position(|(known, _)| known == name).or(numbered(name));
                let Some(place) = place.filter(|place| *place < parameters.len()) else {
                    return Err(no_argument(path.at, name, function, parameters));
                };
                if place >= IN_REGISTERS {
                    return Err(beyond(path.at, name));
                }
                let (_, of) = parameters[place];
                if of == 0 {
                    return Err(Problem::new(
                        path.at,
                        format!("{function} takes what its callers like there"),
                    ));
                }
                let large = |(_, of): &&(&str, Id)| {
                    let plain = types.plain(*of);
                    matches!(plain, Type::Struct { .. } | Type::Float) || types.size(*of) > Some(8)
                };
                if let Some((large, _)) = parameters[..=place].iter().find(large) {
                    let what = format!("{large} is passed by value, and not in a register of its own");
                    return Err(Problem::new(path.at, what));
                }
                (place as u8, of)
            }
        };
        Ok(Self { types, steps: vec![Step::Argument(place)], of, behind: None, bits: None })
    }

    fn go(&mut self, way: &Way, at: usize) -> Result<(), Problem> {
        match way {
            Way::Arrow(name) => {
                self.follow(at, Some(name))?;
                self.member(name, at + 2)
            }
            Way::Dot(name) => {
                if let (Type::Pointer(_), name) = (self.types.plain(self.of), name) {
                    return Err(Problem::new(at, "this is a pointer").hint(format!("->{name}")));
                }
                self.member(name, at + 1)
            }
            Way::Index(index) => self.element(*index, at),
            Way::Follow => match self.types.plain(self.of) {
                Type::Array { .. } => self.element(0, at),
                _ => self.follow(at, None),
            },
        }
    }

    /// From a pointer to what is there.
    fn follow(&mut self, at: usize, to: Option<&str>) -> Result<(), Problem> {
        let Type::Pointer(of) = self.types.plain(self.of) else {
            let what = format!("{} is no pointer", declare(self.types, self.of, ""));
            let problem = Problem::new(at, what);
            let structure = matches!(self.types.plain(self.of), Type::Struct { .. });
            let dot = to.filter(|_| structure).map(|name| format!(".{name}"));
            return Err(dot.into_iter().fold(problem, Problem::hint));
        };
        self.load(8);
        (self.of, self.behind) = (of, Some(0));
        Ok(())
    }

    /// Takes what lies in memory into the hand.
    fn load(&mut self, size: u8) {
        if let Some(offset) = self.behind.take() {
            self.steps.push(Step::Load { offset, size });
        }
    }

    fn member(&mut self, name: &str, at: usize) -> Result<(), Problem> {
        let Type::Struct { .. } = self.types.plain(self.of) else {
            let what = match self.types.plain(self.of) {
                Type::Declared => {
                    format!("these types do not tell what is in {}", declare(self.types, self.of, ""))
                }
                _ => format!("{} has no members", declare(self.types, self.of, "")),
            };
            return Err(Problem::new(at, what));
        };
        let Some((member, bit)) = find(self.types, self.of, name, 0) else {
            let mut names = Vec::new();
            collect(self.types, self.of, &mut names, 0);
            let what = format!("{} has no member {name:?}", declare(self.types, self.of, ""));
            let some = names.iter().take(6).copied().collect::<Vec<_>>().join(", ");
            let near = did_you_mean(name, names.iter().copied()).unwrap_or(format!("it has {some}, ..."));
            return Err(Problem::new(at, what).hint(near));
        };
        let Some(behind) = self.behind else {
            return Err(Problem::new(at, "a structure that is not in memory"));
        };
        self.of = member.of;
        if member.bits > 0 {
            self.bits = Some((bit % 8, member.bits));
        }
        self.behind = Some(behind.wrapping_add(u64::from(bit / 8)));
        Ok(())
    }

    fn element(&mut self, index: u64, at: usize) -> Result<(), Problem> {
        let of = match self.types.plain(self.of) {
            Type::Array { of, length } => {
                // A length of 0 stands for as many as there are.
                if length > 0 && index >= length.into() {
                    return Err(Problem::new(at, format!("it has {length} elements, 0 to {}", length - 1)));
                }
                of
            }
            Type::Pointer(of) => {
                self.follow(at, None)?;
                of
            }
            _ => {
                let what = format!("{} is no array", declare(self.types, self.of, ""));
                return Err(Problem::new(at, what));
            }
        };
        let offset = self.types.size(of).and_then(|size| size.checked_mul(index));
        let (Some(offset), Some(behind)) = (offset, self.behind) else {
            return Err(Problem::new(at, "the size of its elements is not known"));
        };
        (self.of, self.behind) = (of, Some(behind.wrapping_add(offset)));
        Ok(())
    }

    /// Takes the value itself.
    fn finish(mut self, at: usize) -> Result<Compiled, Problem> {
        let types = self.types;
        let name = || declare(types, self.of, "");
        let cannot = |what: String| Err(Problem::new(at, what));
        match types.plain(self.of) {
            Type::Int { size: size @ (1 | 2 | 4 | 8), signed, boolean } => {
                self.number(size, signed && !boolean, at)?;
                let form = if boolean { Form::Bool } else { Form::Number };
                Ok(number(self.steps, form, signed && !boolean))
            }
            Type::Enum { size: size @ (1 | 2 | 4 | 8), signed, values } => {
                self.number(size, signed, at)?;
                // The first name of a number.
                let mut names = BTreeMap::new();
                for (name, value) in types.values(values) {
                    names.entry(value.cast_signed()).or_insert_with(|| name.to_owned());
                }
                Ok(number(self.steps, Form::Enum(names.into_iter().collect()), signed))
            }
            Type::Pointer(to) => {
                self.load(8);
                let form = if is_character(types, to) { Form::Text } else { Form::Pointer };
                Ok(number(self.steps, form, false))
            }
            Type::Array { of, length } if is_character(types, of) => {
                if let Some(offset) = self.behind.filter(|offset| *offset > 0) {
                    self.steps.push(Step::Add(offset));
                }
                let length = Some(length.into()).filter(|length| *length > 0);
                Ok(Compiled { length, ..number(self.steps, Form::Text, false) })
            }
            Type::Array { .. } => cannot(format!("{} is an array: [0] is its first element", name())),
            Type::Struct { .. } => {
                let mut names = Vec::new();
                collect(types, self.of, &mut names, 0);
                let some = names.iter().take(6).copied().collect::<Vec<_>>().join(", ");
                Err(Problem::new(at, format!("{} is no value but has members", name())).hint(some))
            }
            Type::Void => cannot("it points to no type that is known".into()),
            Type::Float => cannot(format!("{} is a floating point number", name())),
            Type::Int { size, .. } => cannot(format!("{} has {size} bytes", name())),
            _ => cannot(format!("these types do not tell what is in {}", name())),
        }
    }

    /// A number of so many bytes, or of bits of them.
    fn number(&mut self, size: u32, signed: bool, at: usize) -> Result<(), Problem> {
        let in_memory = self.behind.is_some();
        if let Some((first, bits)) = self.bits {
            let (bytes, behind) = ((first + bits).div_ceil(8), 64 - first.min(63) as i64 - i64::from(bits));
            let (1..=8, Ok(left)) = (bytes, u8::try_from(behind)) else {
                return Err(Problem::new(at, "its bits lie in more than 8 bytes"));
            };
            self.load(bytes as u8);
            self.steps.push(Step::Bits { left, right: (64 - bits) as u8, signed });
            return Ok(());
        }
        self.load(size as u8);
        // Of a register nothing but its low bytes is said, of memory they were read.
        if size < 8 && (signed || !in_memory) {
            self.steps.push(narrow(size, signed));
        }
        if let Some(bytes) = network_order(self.types, self.of) {
            self.steps.push(Step::Swap(bytes));
        }
        Ok(())
    }
}

fn no_argument(at: usize, name: &str, function: &str, parameters: &[(&str, Id)]) -> Problem {
    let problem = match numbered(name) {
        Some(_) => Problem::new(at, format!("{function} takes {} arguments", parameters.len())),
        None => Problem::new(at, format!("{function} has no argument {name:?}")),
    };
    let near = did_you_mean(name, parameters.iter().map(|(name, _)| *name));
    near.into_iter().fold(problem, Problem::hint)
}

/// A member by its name, also of structures without one, and its first bit.
fn find<'a>(types: &Types<'a>, of: Id, name: &str, depth: usize) -> Option<(Member<'a>, u32)> {
    let Type::Struct { members, .. } = types.plain(of) else { return None };
    types.members(members).find_map(|member| {
        if member.name == name {
            return Some((member, member.offset));
        }
        let inside = (member.name.is_empty() && depth < MAX_DEPTH).then_some(member.of)?;
        let (found, offset) = find(types, inside, name, depth + 1)?;
        Some((found, offset.checked_add(member.offset)?))
    })
}

/// The names of all members.
fn collect<'a>(types: &Types<'a>, of: Id, names: &mut Vec<&'a str>, depth: usize) {
    let Type::Struct { members, .. } = types.plain(of) else { return };
    for member in types.members(members) {
        match member.name.is_empty() {
            true if depth < MAX_DEPTH => collect(types, member.of, names, depth + 1),
            true => {}
            false => names.push(member.name),
        }
    }
}

/// Whether it is a character of a text: `char`, and `unsigned char` by no other name,
/// as file names are; what goes by u8 are bytes.
fn is_character(types: &Types<'_>, of: Id) -> bool {
    let mut named = types.around(of).filter(|(name, _)| !name.is_empty());
    let character = |(name, of): (&str, Type<'_>)| {
        matches!(of, Type::Int { size: 1, .. }) && matches!(name, "char" | "signed char" | "unsigned char")
    };
    named.next().is_some_and(character)
}

/// Bytes of a number in the order of the network (include/uapi/linux/types.h).
fn network_order(types: &Types<'_>, of: Id) -> Option<u8> {
    types.around(of).find_map(|(name, _)| match name {
        "__be16" => Some(2),
        "__be32" => Some(4),
        "__be64" => Some(8),
        _ => None,
    })
}

#[cfg(test)]
#[path = "compile_tests.rs"]
mod tests;
