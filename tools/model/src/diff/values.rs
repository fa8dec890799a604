//! Values of arguments and returns: ratios of the rates of calls that had them.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::counts::{self, Judged, Rate, Recorded};
use super::judge::Change;
use super::{Changes, Doubt, How, Refusal};
use crate::trace::{Apart, Arguments, Column, Form, Payload, Trace, Value, ValueCount};

/// Rows with a smaller share of the calls on both sides are not judged: there are
/// thousands, of which some would stand out by chance, and none would matter.
const LEAST_SHARE: f64 = 0.001;

/// What calls were called with on both sides.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Values {
    /// What the values of rows are of.
    pub columns: Vec<Column>,
    /// What rows are apart by beside values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<Apart>,
    /// By how much the rate changed, the largest first.
    pub rows: Vec<Row>,
    /// So many more had less than a thousandth of the calls, on both sides.
    pub small: usize,
    /// Whether all of them have the same rates.
    #[serde(skip)]
    pub(super) same: bool,
}

/// Calls with the same values.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Of this function; absent where functions were counted together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Of threads of this command name; absent likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// One a column. A number that has a name is a text: kernels number otherwise.
    pub values: Vec<Value>,
    /// On A.
    pub a: Rate,
    /// On B.
    pub b: Rate,
    /// How the rate changed.
    pub change: Change,
}

type Key = (Option<String>, Option<String>, Vec<Value>);

/// Compares both sides; the second value names what only one side traced.
pub(super) fn compare(sides: [&[&Trace]; 2], how: How) -> Result<(Changes, Vec<Doubt>), Refusal> {
    let asked = same_question(sides)?;
    let (common, doubts) = counts::common(sides);
    if common.is_empty() {
        return Err(Refusal::NoneInCommon);
    }
    let shared = |key: &Key| key.0.as_ref().is_none_or(|name| common.keys().any(|(known, _)| known == name));
    let recorded = sides.map(|side| side.iter().map(|trace| of_values(trace)).collect::<Vec<_>>());
    let sums = recorded.each_ref().map(|side| sums(side));
    let keys: BTreeSet<&Key> = sums.iter().flat_map(|sums| sums.keys().copied()).collect();
    let least = sums.each_ref().map(|sums| sums.values().map(|sum| *sum as f64).sum::<f64>() * LEAST_SHARE);
    let matters = |key: &Key| {
        sums.iter().zip(least).any(|(sums, least)| sums.get(key).is_some_and(|sum| *sum as f64 >= least))
    };
    let (large, small): (Vec<&Key>, Vec<&Key>) =
        keys.into_iter().filter(|key| shared(key)).partition(|key| matters(key));
    let row =
        |Judged { key: (function, comm, values), a, b, change }| Row { function, comm, values, a, b, change };
    let rows = counts::judged(large, &recorded, how).into_iter().map(row).collect();
    let same = sums[0] == sums[1] && seconds(&sides) && how.work.is_none_or(|[a, b]| a == b);
    let values = Values { columns: asked.columns.clone(), by: asked.by, rows, small: small.len(), same };
    Ok((Changes::Values(values), doubts))
}

/// Whether both sides took the same time.
fn seconds(sides: &[&[&Trace]; 2]) -> bool {
    let [a, b] = sides.map(|side| side.iter().map(|trace| super::sources::recorded_ms(trace)).sum::<u64>());
    a == b
}

/// What was asked for, which is to be the same of all.
pub(super) fn same_question<'a>(sides: [&[&'a Trace]; 2]) -> Result<&'a Arguments, Refusal> {
    let asked = |trace: &&'a Trace| trace.head.asked.arguments.as_ref();
    let mut all = sides.into_iter().flatten().filter_map(asked);
    let first = all.next().ok_or(Refusal::NoneInCommon)?;
    let question = |asked: &Arguments| -> Vec<String> {
        let apart = asked.by.map(|by| format!("{by:?}").to_lowercase());
        asked.columns.iter().map(|column| column.expression.clone()).chain(apart).collect()
    };
    match all.find(|other| question(other) != question(first)) {
        Some(other) => Err(Refusal::Questions([first, other].map(|asked| question(asked).join(", ")))),
        None => Ok(first),
    }
}

fn sums(side: &[Recorded<Key>]) -> BTreeMap<&Key, u64> {
    let mut sums: BTreeMap<&Key, u64> = BTreeMap::new();
    for (key, count) in side.iter().flat_map(Recorded::sums) {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
    sums
}

fn of_values(trace: &Trace) -> Recorded<Key> {
    let names: Vec<String> = trace.head.functions().map(|function| counts::key(function).0).collect();
    let columns = trace.head.asked.arguments.as_ref().map_or(&[][..], |asked| &asked.columns);
    let key = |count: &ValueCount| {
        let function = count.key.function.and_then(|index| names.get(index as usize)).cloned();
        let forms = columns.iter().map(|column| &column.form).map(Some).chain(std::iter::repeat(None));
        let values = count.key.values.iter().zip(forms).map(|(value, form)| named(value, form)).collect();
        (function, count.key.comm.clone(), values)
    };
    let windows = trace.windows.iter().enumerate().flat_map(|(at, window)| match &window.payload {
        Payload::Values(list) => list.iter().map(|count| (at, key(count), count.count)).collect(),
        _ => Vec::new(),
    });
    Recorded::of(trace, windows.collect::<Vec<_>>())
}

/// Numbers of an enumeration by their names.
fn named(value: &Value, form: Option<&Form>) -> Value {
    let number = match value {
        Value::Unsigned(number) => number.cast_signed(),
        Value::Signed(number) => *number,
        other => return other.clone(),
    };
    let Some(Form::Enum(names)) = form else { return value.clone() };
    let name = names.iter().find(|(known, _)| *known == number);
    name.map_or_else(|| value.clone(), |(_, name)| Value::Text(name.clone()))
}
