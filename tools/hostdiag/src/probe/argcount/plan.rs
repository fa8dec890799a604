//! From what was typed and the functions that were found to the steps of each. Pure,
//! but for reading types.

use std::collections::{HashMap, HashSet};
use std::fs;

use hostdiag_model::trace::{Apart, Arguments, Column, Form, Function, arguments};

use super::layout::Layout;
use crate::expression::parse::{self, Condition, Path, Root};
use crate::expression::signature::{Signature, Takes};
use crate::expression::step::{MAX_STEPS, Step};
use crate::expression::{Compiled, Problem, compile};
use crate::fail::{Code, Failure};
use crate::probe::btf::Types;
use crate::probe::{events, plan::Sides};

/// Where the kernel has its types and those of its modules.
const TYPES: &str = "/sys/kernel/btf";

/// What was typed.
#[derive(Clone, Debug)]
pub struct Wanted {
    values: Vec<(String, Path)>,
    condition: Option<(String, Condition)>,
    by: Option<Apart>,
    histogram: bool,
    max_values: u32,
}

/// What a function's programs do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// At its entry.
    pub(super) entry: Vec<Step>,
    /// At its return.
    pub(super) exit: Vec<Step>,
    /// Words that a trampoline has before what was returned.
    pub(super) returned_at: u32,
}

/// The plans of all functions, in their order, and what they have in common.
#[derive(Clone, Debug)]
pub struct Bound {
    /// For the recording.
    pub arguments: Arguments,
    pub(super) plans: Vec<Plan>,
    pub(super) layout: Layout,
    /// Of each value, whether it can be below zero.
    pub(super) signed: Vec<bool>,
    pub(super) sides: Sides,
    /// They are tracepoints.
    pub(super) records: bool,
}

impl Wanted {
    /// Reads what was typed.
    ///
    /// # Errors
    /// `bad-expression`, with the place.
    pub fn parse(
        expressions: &[String],
        condition: Option<&str>,
        (by, histogram): (Option<Apart>, bool),
        max_values: u32,
    ) -> Result<Self, Failure> {
        if expressions.len() > arguments::MAX_VALUES {
            let most = arguments::MAX_VALUES;
            return Err(Failure::new(Code::BadExpression, format!("more than {most} values at a time")));
        }
        if histogram && expressions.len() != 1 {
            return Err(Failure::new(Code::BadExpression, "a histogram is of one value"));
        }
        let values = expressions
            .iter()
            .map(|text| Ok((text.clone(), parse::path(text).map_err(|problem| problem.of(text, None))?)))
            .collect::<Result<_, Failure>>()?;
        let condition = condition
            .map(|text| {
                let parsed = parse::condition(text).map_err(|problem| problem.of(text, None))?;
                Ok::<_, Failure>((text.to_owned(), parsed))
            })
            .transpose()?;
        Ok(Self { values, condition, by, histogram, max_values })
    }

    /// What of a call has to be looked at.
    pub fn sides(&self) -> Sides {
        let mut at_return: HashSet<bool> =
            self.values.iter().map(|(_, path)| path.root == Root::Return).collect();
        if let Some((_, condition)) = &self.condition {
            roots(condition, &mut at_return);
        }
        match (at_return.contains(&false), at_return.contains(&true)) {
            (true, true) => Sides::Both,
            (false, true) => Sides::Return,
            _ => Sides::Entry,
        }
    }

    /// Compiles it for each function.
    ///
    /// # Errors
    /// `bad-expression` for what a function does not have; with several functions all
    /// have to have it.
    pub fn bind(&self, functions: &[Function]) -> Result<Bound, Failure> {
        let owners: HashSet<&str> = functions.iter().map(owner).collect();
        let bytes: HashMap<&str, Vec<u8>> = std::iter::once("vmlinux")
            .chain(owners)
            .filter_map(|name| Some((name, fs::read(format!("{TYPES}/{name}")).ok()?)))
            .collect();
        let kernel = bytes.get("vmlinux").and_then(|bytes| Types::of(bytes, None));
        let modules = bytes.iter().filter(|(name, _)| **name != "vmlinux");
        let modules: HashMap<&str, Types<'_>> =
            modules.filter_map(|(name, bytes)| Some((*name, Types::of(bytes, kernel.as_ref())?))).collect();
        let types = |function: &Function| match owner(function) {
            // Of several of a name nothing tells which the types are of.
            _ if function.address.is_some() => None,
            "vmlinux" => kernel.as_ref(),
            name => modules.get(name),
        };
        let records = functions.iter().any(is_event);
        let signatures = functions.iter().map(|function| match is_event(function) {
            true => Ok(Signature {
                name: function.name.as_str().into(),
                takes: Takes::Fields(events::fields(&function.name)?),
            }),
            false => Ok(Signature::of(&function.name, types(function))),
        });
        self.compile(&signatures.collect::<Result<Vec<_>, Failure>>()?, records)
    }

    fn compile(&self, signatures: &[Signature<'_>], records: bool) -> Result<Bound, Failure> {
        let mut all = Vec::new();
        for signature in signatures {
            let fail = |problem: Problem, text: &str| problem.of(text, Some(&signature.describe()));
            let values = self
                .values
                .iter()
                .map(|(text, path)| compile(path, signature).map_err(|problem| fail(problem, text)))
                .collect::<Result<Vec<Compiled>, Failure>>()?;
            all.push(values);
        }
        let forms: Vec<Form> = all.first().into_iter().flatten().map(|value| value.form.clone()).collect();
        for (signature, values) in signatures.iter().zip(&all) {
            let other = forms.iter().zip(values).zip(&self.values).find(|((form, value), _)| {
                // Names differ where enumerations are of the same name, and nothing else.
                std::mem::discriminant(*form) != std::mem::discriminant(&value.form)
            });
            if let Some((_, (text, _))) = other {
                let first = signatures.first().map_or("", |first| &first.name);
                let what = format!("{text}: what it is differs between {first} and {}", signature.name);
                return Err(Failure::new(Code::BadExpression, what).hint("one function at a time"));
            }
        }
        if self.histogram && forms.contains(&Form::Text) {
            return Err(Failure::new(Code::BadExpression, "a text has no histogram"));
        }
        let signed = all.first().into_iter().flatten().map(|value| value.signed).collect();
        let layout = Layout::of(&forms, self.by == Some(Apart::Comm));
        let plans = signatures
            .iter()
            .zip(&all)
            .map(|(signature, values)| self.plan(signature, values, &layout))
            .collect::<Result<_, _>>()?;
        let columns = self.values.iter().zip(forms);
        let columns = columns.map(|((text, _), form)| Column { expression: text.clone(), form });
        let arguments = Arguments {
            columns: columns.collect(),
            condition: self.condition.as_ref().map(|(text, _)| text.clone()),
            by: self.by,
            histogram: self.histogram,
            max_values: self.max_values,
        };
        Ok(Bound { arguments, plans, layout, signed, sides: self.sides(), records })
    }

    fn plan(&self, of: &Signature<'_>, values: &[Compiled], layout: &Layout) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        if let Takes::Typed(typed) = &of.takes {
            plan.returned_at = typed.words();
        }
        if let Some((text, condition)) = &self.condition {
            let test = crate::expression::condition(condition, of)
                .map_err(|problem| problem.of(text, Some(&of.describe())))?;
            // Where all of it is known at the entry, that decides.
            let last = if test.exit.is_empty() { &mut plan.entry } else { &mut plan.exit };
            let logic = test.logic;
            match test.exit.is_empty() {
                true => last.extend(test.entry.into_iter().chain(logic)),
                false => {
                    last.extend(test.exit.into_iter().chain(logic));
                    plan.entry.extend(test.entry);
                }
            }
        }
        for (value, place) in values.iter().zip(&layout.places) {
            let steps = if value.at_return { &mut plan.exit } else { &mut plan.entry };
            steps.extend(&value.steps);
            steps.push(match (self.histogram, value.form == Form::Text) {
                (true, _) => Step::Slot { word: place.word, signed: value.signed },
                (_, true) => place.text(value.length),
                _ => Step::Store { word: place.word, column: place.column },
            });
        }
        if plan.entry.len() + plan.exit.len() > MAX_STEPS {
            let what = format!("{}: all values and conditions take more than {MAX_STEPS} steps", of.name);
            return Err(Failure::new(Code::BadExpression, what).hint("fewer values, a shorter --where"));
        }
        Ok(plan)
    }
}

impl Plan {
    /// `struct plan` of bpf/steps.bpf.h.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let entry = self.entry.len() as u32;
        let head = [entry, entry + self.exit.len() as u32, self.returned_at, 0];
        let mut bytes: Vec<u8> = head.into_iter().flat_map(u32::to_ne_bytes).collect();
        bytes.extend(self.entry.iter().chain(&self.exit).flat_map(|step| step.bytes()));
        bytes.resize(size_of_val(&head) + MAX_STEPS * Step::Context.bytes().len(), 0);
        bytes
    }
}

/// Whose types tell of it, by the name of their file; of programs there are none.
fn owner(function: &Function) -> &str {
    match &function.module {
        Some(module) if !function.is_of_program() => module,
        Some(_) => "",
        None => "vmlinux",
    }
}

/// `category:event`: no function has such a name.
fn is_event(function: &Function) -> bool {
    function.module.is_none() && function.name.contains(':')
}

/// Whether values of a condition are there at the return, of each.
fn roots(condition: &Condition, at_return: &mut HashSet<bool>) {
    match condition {
        Condition::Compare(comparison) => {
            at_return.insert(comparison.path.root == Root::Return);
        }
        Condition::And(one, other) | Condition::Or(one, other) => {
            roots(one, at_return);
            roots(other, at_return);
        }
        Condition::Not(inner) => roots(inner, at_return),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(expressions: &[&str], condition: Option<&str>) -> Result<Wanted, Failure> {
        let expressions: Vec<String> = expressions.iter().map(|text| (*text).to_owned()).collect();
        Wanted::parse(&expressions, condition, (None, false), 16)
    }

    #[test]
    fn both_sides_are_looked_at_where_both_are_asked_for() {
        for (expressions, condition, sides) in [
            (&["size"][..], None, Sides::Entry),
            (&["$ret"], None, Sides::Return),
            (&["$ret", "size"], None, Sides::Both),
            (&["$ret"], Some("$ret < 0"), Sides::Return),
            (&["$ret"], Some("!(size > 1)"), Sides::Both),
            (&["size"], Some("size > 1 && $ret == 0"), Sides::Both),
        ] {
            assert_eq!(
                wanted(expressions, condition).unwrap().sides(),
                sides,
                "{expressions:?} {condition:?}"
            );
        }
    }

    #[test]
    fn what_is_typed_wrong_is_shown() {
        let failure = wanted(&["size +"], None).unwrap_err();
        assert_eq!(failure.message, "'+' does not belong here");
        let hint = failure.hint.unwrap();
        assert!(hint.starts_with("size +\n            ^ an expression ends before this"), "{hint}");
        assert!(wanted(&["a", "b", "c", "d", "e"], None).unwrap_err().message.contains("more than 4"));
    }

    fn function(name: &str) -> Function {
        Function { name: name.into(), ..Function::default() }
    }

    #[test]
    fn a_condition_is_decided_as_soon_as_it_can_be() {
        let bound = |expressions: &[&str], condition| {
            let program = Function { module: Some("/bin/true".into()), ..function("main") };
            wanted(expressions, condition).unwrap().bind(&[program]).unwrap()
        };
        let plan = &bound(&["arg1", "$ret"], Some("arg2 > 4")).plans[0];
        assert_eq!(plan.entry[2..4], [Step::Decide, Step::Argument(0)]);
        assert!(!plan.exit.contains(&Step::Decide));
        let plan = &bound(&["arg1"], Some("arg2 > 4 || $ret == 0")).plans[0];
        assert!(!plan.entry.contains(&Step::Decide));
        assert_eq!(plan.exit[2..], [Step::Or(0, 1), Step::Decide]);
        assert_eq!(plan.bytes().len(), 16 + 64 * 16);
        assert_eq!(plan.bytes()[..8], [4, 0, 0, 0, 8, 0, 0, 0]);
    }

    /// Of the kernel that runs: everything that the article counts.
    #[test]
    fn functions_of_the_kernel_are_known() {
        let bound = wanted(&["size", "sk->__sk_common.skc_dport"], Some("size > 4096")).unwrap();
        let bound = bound.bind(&[function("tcp_sendmsg")]).unwrap();
        let forms: Vec<&Form> = bound.arguments.columns.iter().map(|column| &column.form).collect();
        assert_eq!(forms, [&Form::Number, &Form::Number]);
        assert!(bound.plans[0].entry.contains(&Step::Swap(2)));
        let failure = wanted(&["sizee"], None).unwrap().bind(&[function("tcp_sendmsg")]).unwrap_err();
        assert_eq!(failure.message, "tcp_sendmsg has no argument \"sizee\"");
        let hint = "sizee\n       ^ did you mean size?\n       tcp_sendmsg(struct sock *sk, struct msghdr *msg, size_t size) returns int";
        assert_eq!(failure.hint.as_deref(), Some(hint));
    }
}
