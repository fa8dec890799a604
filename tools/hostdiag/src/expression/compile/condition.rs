//! From a condition to the steps that decide it. Each comparison is a bit, set where
//! its value is there: at the entry or the return.

use hostdiag_model::trace::Form;

use super::{Compiled, compile};
use crate::expression::Problem;
use crate::expression::parse::{Comparison, Condition, How, Literal};
use crate::expression::signature::{Signature, Takes};
use crate::expression::step::{MAX_CONDITIONS, MAX_EACH, Order, Step};

/// What decides whether a call counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Test {
    /// Comparisons of what is there at the entry.
    pub entry: Vec<Step>,
    /// Comparisons of what is there at the return.
    pub exit: Vec<Step>,
    /// What they come to, when all of them are made: condition 0.
    pub logic: Vec<Step>,
}

/// Compiles a condition for this function.
///
/// # Errors
/// As [`compile`]; what cannot be compared.
pub fn condition(condition: &Condition, of: &Signature<'_>) -> Result<Test, Problem> {
    let mut building = Building { of, test: Test::default(), next: 0 };
    building.add(condition)?;
    building.test.logic.push(Step::Decide);
    Ok(building.test)
}

struct Building<'a> {
    of: &'a Signature<'a>,
    test: Test,
    /// The bit of the next comparison.
    next: u8,
}

impl Building<'_> {
    /// The bit of what it comes to: that of its first comparison.
    fn add(&mut self, condition: &Condition) -> Result<u8, Problem> {
        match condition {
            Condition::Compare(comparison) => self.compare(comparison),
            Condition::And(one, other) => {
                let (one, other) = (self.add(one)?, self.add(other)?);
                self.test.logic.push(Step::And(one, other));
                Ok(one)
            }
            Condition::Or(one, other) => {
                let (one, other) = (self.add(one)?, self.add(other)?);
                self.test.logic.push(Step::Or(one, other));
                Ok(one)
            }
            Condition::Not(inner) => {
                let inner = self.add(inner)?;
                self.test.logic.push(Step::Not(inner));
                Ok(inner)
            }
        }
    }

    fn compare(&mut self, comparison: &Comparison) -> Result<u8, Problem> {
        let value = compile(&comparison.path, self.of)?;
        if value.form == Form::Text {
            return self.compare_text(comparison, &value);
        }
        let signed = value.signed && comparison.mask.is_none();
        let number = self.number(comparison, &value, signed)?;
        let (how, negated) = match comparison.how {
            How::Equal => (Order::Equal, false),
            How::Unequal => (Order::Equal, true),
            How::Less => (Order::Less, false),
            How::AtLeast => (Order::Less, true),
            How::AtMost => (Order::AtMost, false),
            How::More => (Order::AtMost, true),
        };
        let condition = self.bit(comparison)?;
        let compare = Step::Compare { condition, how, signed, negated, number };
        self.steps(comparison, &value, comparison.mask.map(Step::Mask).into_iter().chain([compare]))?;
        Ok(condition)
    }

    /// A text is the same where its words are, with the 0 at its end.
    fn compare_text(&mut self, comparison: &Comparison, value: &Compiled) -> Result<u8, Problem> {
        let words = words(comparison, value)?;
        let (mut all, mut offset) = (None, 0);
        for word in words {
            let (size, condition) = (word.len() as u8, self.bit(comparison)?);
            let mut number = [0; 8];
            number[..word.len()].copy_from_slice(&word);
            let (how, number) = (Order::Equal, u64::from_ne_bytes(number));
            let compare = Step::Compare { condition, how, signed: false, negated: false, number };
            self.steps(comparison, value, [Step::Load { offset, size }, compare])?;
            match all {
                Some(first) => self.test.logic.push(Step::And(first, condition)),
                None => all = Some(condition),
            }
            offset += u64::from(size);
        }
        let Some(all) = all else {
            return Err(Problem::new(comparison.at, "this has no room for a text"));
        };
        if comparison.how == How::Unequal {
            self.test.logic.push(Step::Not(all));
        }
        Ok(all)
    }

    /// The bit of a new comparison.
    fn bit(&mut self, comparison: &Comparison) -> Result<u8, Problem> {
        let bit = self.next;
        if usize::from(bit) >= MAX_CONDITIONS {
            let what = format!("more than {MAX_CONDITIONS} comparisons, of texts one for 8 bytes");
            return Err(Problem::new(comparison.path.at, what));
        }
        self.next += 1;
        Ok(bit)
    }

    /// Fetches the value and does this with it, once it is there.
    fn steps(
        &mut self,
        comparison: &Comparison,
        value: &Compiled,
        then: impl IntoIterator<Item = Step>,
    ) -> Result<(), Problem> {
        let to = if value.at_return { &mut self.test.exit } else { &mut self.test.entry };
        let before = to.len();
        to.extend(value.steps.iter().copied().chain(then));
        if to.len() - before > MAX_EACH {
            let what = format!("it takes more than {MAX_EACH} steps to get there");
            return Err(Problem::new(comparison.path.at, what));
        }
        Ok(())
    }

    /// What is compared with.
    fn number(&self, comparison: &Comparison, value: &Compiled, signed: bool) -> Result<u64, Problem> {
        let problem = |what: String| Err(Problem::new(comparison.at, what));
        match &comparison.literal {
            Literal::Number(number, false) if signed && *number > i64::MAX as u64 => {
                problem(format!("{number} is more than this can be"))
            }
            Literal::Number(number, false) => Ok(*number),
            Literal::Number(number, true) => match i64::try_from(-i128::from(*number)) {
                Ok(number) if signed || number == 0 => Ok(number.cast_unsigned()),
                Ok(_) => problem("this is never below 0".into()),
                Err(_) => problem(format!("-{number} is less than this can be")),
            },
            Literal::Text(_) => problem("the value is no text".into()),
            Literal::Name(name) => match self.named(name, value) {
                Some(number) => Ok(number),
                None => problem(format!("no enumeration has the name {name:?}")),
            },
        }
    }

    /// A name of the value's own enumeration, or of any.
    fn named(&self, name: &str, value: &Compiled) -> Option<u64> {
        if let Form::Enum(names) = &value.form
            && let Some((number, _)) = names.iter().find(|(_, known)| *known == name)
        {
            return Some(number.cast_unsigned());
        }
        match (name, &self.of.takes) {
            ("true", _) => Some(1),
            ("false" | "NULL", _) => Some(0),
            (_, Takes::Typed(typed)) => typed.types.constant(name),
            _ => None,
        }
    }
}

/// What a text has to be, 8 bytes at a time: with the 0 behind it, unless it fills its
/// array.
fn words(comparison: &Comparison, value: &Compiled) -> Result<Vec<Vec<u8>>, Problem> {
    let Literal::Text(text) = &comparison.literal else {
        return Err(Problem::new(comparison.at, "this is compared with a text").hint("\"...\""));
    };
    if comparison.mask.is_some() {
        return Err(Problem::new(comparison.path.at, "a text has no bits"));
    }
    if !matches!(comparison.how, How::Equal | How::Unequal) {
        return Err(Problem::new(comparison.at, "a text is the same or not").hint("== or !="));
    }
    let mut bytes = text.clone().into_bytes();
    match value.length {
        Some(length) if bytes.len() as u64 > length => {
            let what = format!("this is never longer than {length} bytes");
            return Err(Problem::new(comparison.at, what));
        }
        Some(length) if bytes.len() as u64 == length => {}
        _ => bytes.push(0),
    }
    Ok(bytes.chunks(8).map(<[u8]>::to_vec).collect())
}
