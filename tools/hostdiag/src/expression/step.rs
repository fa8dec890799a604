//! What a program does with a value, step by step: `struct step` of
//! bpf/steps.bpf.h.

/// Most steps of a function, those of all its values and conditions: `MAX_STEPS`.
pub const MAX_STEPS: usize = 64;
/// Most steps of a value.
pub const MAX_EACH: usize = 16;
/// Most conditions: a bit each.
pub const MAX_CONDITIONS: usize = 32;
/// Where what was returned stands among the arguments: `RETURNED`.
pub const RETURNED: u8 = 15;
/// Bytes of a step.
const BYTES: usize = 16;

/// One step. The value in hand is of 64 bits; where memory cannot be read it is
/// unreadable until the next `Argument` or `Context`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Takes an argument, by its place from 0 on, or [`RETURNED`].
    Argument(u8),
    /// Takes the address of a tracepoint's record.
    Context,
    /// Adds that address.
    Relative,
    /// Reads at the value.
    Load {
        /// So far behind it.
        offset: u64,
        /// Bytes, 1 to 8.
        size: u8,
    },
    /// Adds a number.
    Add(u64),
    /// Shifts left, then right.
    Bits {
        /// By so much, below 64.
        left: u8,
        /// By so much, below 64.
        right: u8,
        /// With the sign.
        signed: bool,
    },
    /// Turns so many bytes around, 2, 4 or 8: from the network's order.
    Swap(u8),
    /// Keeps these bits alone.
    Mask(u64),
    /// Keeps the value.
    Store {
        /// In this word.
        word: u8,
        /// As the value of this column.
        column: u8,
    },
    /// Keeps the text at the value.
    Text {
        /// From this word on.
        word: u8,
        /// As the value of this column.
        column: u8,
        /// At most so many bytes, with the 0 at the end.
        room: u8,
        /// One that fills them goes on.
        may_go_on: bool,
    },
    /// Keeps the slot of a histogram that the value falls into.
    Slot {
        /// In this word.
        word: u8,
        /// It may be below zero, and has no slot then.
        signed: bool,
    },
    /// Sets a condition by comparing the value.
    Compare {
        /// Which condition.
        condition: u8,
        /// How.
        how: Order,
        /// Numbers are signed.
        signed: bool,
        /// The other way round.
        negated: bool,
        /// With this.
        number: u64,
    },
    /// The first condition is both.
    And(u8, u8),
    /// The first condition is one of both.
    Or(u8, u8),
    /// The condition is its opposite.
    Not(u8),
    /// Ends here unless condition 0 holds.
    Decide,
}

/// How `Compare` compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The same.
    Equal,
    /// Below.
    Less,
    /// Not above.
    AtMost,
}

impl Step {
    /// As the program reads it.
    pub fn bytes(self) -> [u8; BYTES] {
        let [what, a, b, c] = self.head();
        let number = match self {
            Self::Load { offset: number, .. }
            | Self::Add(number)
            | Self::Mask(number)
            | Self::Compare { number, .. } => number,
            Self::Text { may_go_on, .. } => may_go_on.into(),
            _ => 0,
        };
        let mut bytes = [0; BYTES];
        bytes[..4].copy_from_slice(&[what, a, b, c]);
        bytes[8..].copy_from_slice(&number.to_ne_bytes());
        bytes
    }

    fn head(self) -> [u8; 4] {
        match self {
            Self::Argument(place) => [0, place, 0, 0],
            Self::Context => [1, 0, 0, 0],
            Self::Relative => [2, 0, 0, 0],
            Self::Load { size, .. } => [3, size, 0, 0],
            Self::Add(_) => [4, 0, 0, 0],
            Self::Bits { left, right, signed } => [5, left, right, signed.into()],
            Self::Swap(bytes) => [6, bytes, 0, 0],
            Self::Mask(_) => [7, 0, 0, 0],
            Self::Store { word, column } => [8, word, column, 0],
            Self::Text { word, column, room, .. } => [9, word, column, room],
            Self::Slot { word, signed } => [10, word, 0, signed.into()],
            Self::Compare { condition, how, signed, negated, .. } => {
                [11, condition, how as u8, u8::from(signed) | u8::from(negated) << 1]
            }
            Self::And(one, other) => [12, one, other, 0],
            Self::Or(one, other) => [13, one, other, 0],
            Self::Not(one) => [14, one, 0, 0],
            Self::Decide => [15, 0, 0, 0],
        }
    }
}

/// The same steps done here, on memory that a test makes up.
#[cfg(test)]
pub(super) mod machine {
    use super::{Order, Step};

    /// Reads so many bytes at an address.
    pub(crate) type Memory<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

    /// What becomes of a value's steps; absent where memory cannot be read.
    pub(crate) fn value(steps: &[Step], arguments: &[u64], memory: Memory<'_>) -> Option<u64> {
        let mut value = Some(0);
        for step in steps {
            value = match *step {
                Step::Argument(place) => Some(arguments[place as usize]),
                Step::Context | Step::Relative => panic!("no tracepoint"),
                Step::Load { offset, size } => value.and_then(|value| {
                    let mut bytes = memory(value.wrapping_add(offset), size.into())?;
                    bytes.resize(8, 0);
                    Some(u64::from_le_bytes(bytes.try_into().unwrap()))
                }),
                Step::Add(number) => value.map(|value| value.wrapping_add(number)),
                Step::Bits { left, right, signed: false } => value.map(|value| value << left >> right),
                Step::Bits { left, right, signed: true } => {
                    value.map(|value| ((value << left).cast_signed() >> right).cast_unsigned())
                }
                Step::Swap(2) => value.map(|value| (value as u16).swap_bytes().into()),
                Step::Swap(4) => value.map(|value| (value as u32).swap_bytes().into()),
                Step::Swap(_) => value.map(u64::swap_bytes),
                Step::Mask(mask) => value.map(|value| value & mask),
                ref other => panic!("{other:?} belongs to no value"),
            };
        }
        value
    }

    /// Whether conditions hold, and condition 0 at last; absent what cannot be read.
    pub(crate) fn decide(steps: &[Step], arguments: &[u64], memory: Memory<'_>) -> Option<bool> {
        let mut holds = [None; 32];
        let mut value_of: Vec<Step> = Vec::new();
        for step in steps {
            match *step {
                Step::Compare { condition, how, signed, negated, number } => {
                    let value = value(&value_of, arguments, memory);
                    value_of.clear();
                    holds[condition as usize] = value.map(|value| {
                        let order = match signed {
                            true => value.cast_signed().cmp(&number.cast_signed()),
                            false => value.cmp(&number),
                        };
                        negated
                            != match how {
                                Order::Equal => order.is_eq(),
                                Order::Less => order.is_lt(),
                                Order::AtMost => order.is_le(),
                            }
                    });
                }
                Step::And(one, other) => {
                    holds[one as usize] = match (holds[one as usize], holds[other as usize]) {
                        (Some(false), _) | (_, Some(false)) => Some(false),
                        (Some(true), Some(true)) => Some(true),
                        _ => None,
                    };
                }
                Step::Or(one, other) => {
                    holds[one as usize] = match (holds[one as usize], holds[other as usize]) {
                        (Some(true), _) | (_, Some(true)) => Some(true),
                        (Some(false), Some(false)) => Some(false),
                        _ => None,
                    };
                }
                Step::Not(one) => holds[one as usize] = holds[one as usize].map(|holds| !holds),
                Step::Decide => return holds[0],
                other => value_of.push(other),
            }
        }
        panic!("nothing is decided: {steps:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_as_the_program_reads_it() {
        let step = Step::Load { offset: 0x0102_0304, size: 2 };
        assert_eq!(step.bytes(), [3, 2, 0, 0, 0, 0, 0, 0, 4, 3, 2, 1, 0, 0, 0, 0]);
        let step = Step::Text { word: 3, column: 1, room: 64, may_go_on: true };
        assert_eq!(step.bytes()[..9], [9, 3, 1, 64, 0, 0, 0, 0, 1]);
        let how = Order::AtMost;
        let step = Step::Compare { condition: 2, how, signed: true, negated: true, number: 1 << 63 };
        assert_eq!(step.bytes(), [11, 2, 2, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 128]);
    }

    /// bpf/steps.bpf.h lists them in the order of their numbers.
    #[test]
    fn numbers_are_those_of_the_program() {
        let source = include_str!("../../../../bpf/steps.bpf.h");
        let names = source.split("enum {").nth(1).unwrap().split("};").next().unwrap();
        let names: Vec<&str> =
            names.lines().filter_map(|line| line.trim().split_once(',')).map(|line| line.0).collect();
        let number = |name: &str| names.iter().position(|known| *known == name).unwrap() as u8;
        let compare =
            Step::Compare { condition: 0, how: Order::Less, signed: false, negated: false, number: 0 };
        let all = [
            ("ARGUMENT", Step::Argument(0)),
            ("CONTEXT", Step::Context),
            ("RELATIVE", Step::Relative),
            ("LOAD", Step::Load { offset: 0, size: 0 }),
            ("ADD", Step::Add(0)),
            ("BITS", Step::Bits { left: 0, right: 0, signed: false }),
            ("SWAP", Step::Swap(2)),
            ("MASK", Step::Mask(0)),
            ("STORE", Step::Store { word: 0, column: 0 }),
            ("TEXT", Step::Text { word: 0, column: 0, room: 0, may_go_on: false }),
            ("SLOT", Step::Slot { word: 0, signed: false }),
            ("COMPARE", compare),
            ("AND", Step::And(0, 0)),
            ("OR", Step::Or(0, 0)),
            ("NOT", Step::Not(0)),
            ("DECIDE", Step::Decide),
        ];
        for (name, step) in all {
            assert_eq!(step.bytes()[0], number(name), "{name}");
        }
        for (name, value) in [("MAX_STEPS", MAX_STEPS), ("RETURNED", RETURNED.into())] {
            assert!(source.contains(&format!("#define {name} {value}\n")), "{name}");
        }
    }
}
