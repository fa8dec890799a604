//! What `argcount` was asked for and what it counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most values that are counted together.
pub const MAX_VALUES: usize = 4;

/// What is counted of calls.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arguments {
    /// The values of each call.
    pub columns: Vec<Column>,
    /// The condition that calls are to meet, as typed.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub condition: Option<String>,
    /// What calls are counted apart by, beside their values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Apart>,
    /// A distribution of the only value, not each by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub histogram: bool,
    /// Most different values that could be counted.
    pub max_values: u32,
}

/// A value of each call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// The expression as typed.
    pub expression: String,
    /// What it is of.
    pub form: Form,
}

/// What a value is, by which it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// A register of which no type is known, as a signed number.
    #[default]
    Raw,
    /// A number.
    Number,
    /// An address.
    Pointer,
    /// Whether.
    Bool,
    /// A number that may have a name: numbers as 64 bits with their names, in order.
    Enum(Vec<(i64, String)>),
    /// A text.
    Text,
}

/// What calls are counted apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Apart {
    /// The function.
    Func,
    /// The command name of the thread.
    Comm,
}

/// A value that was seen. In JSON a number, a text, `{"cut":"its beginning"}` where it
/// is longer, and null where it could not be read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// It could not be read.
    Unreadable,
    /// From 0 on.
    Unsigned(u64),
    /// Below 0.
    Signed(i64),
    /// A text.
    Text(String),
    /// The beginning of a longer one.
    Cut {
        /// As far as it was kept.
        cut: String,
    },
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        u64::try_from(value).map_or(Self::Signed(value), Self::Unsigned)
    }
}

/// What calls have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueKey {
    /// This function, by its index; absent where functions are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// This command name; absent where commands are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comm: Option<String>,
    /// These values, one a column.
    pub values: Vec<Value>,
}

/// How often values were seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueCount {
    /// Of what.
    #[serde(flatten)]
    pub key: ValueKey,
    /// How many calls.
    pub count: u64,
}

/// Those of all lists, added where they are of the same, sorted by that.
pub fn merged(counts: impl IntoIterator<Item = ValueCount>) -> Vec<ValueCount> {
    let mut sums: BTreeMap<ValueKey, u64> = BTreeMap::new();
    for ValueCount { key, count } in counts {
        let sum = sums.entry(key).or_default();
        *sum = sum.saturating_add(count);
    }
    sums.into_iter().map(|(key, count)| ValueCount { key, count }).collect()
}

/// What is wrong with a list that was read, where there are so many functions.
///
/// # Errors
/// In words, for the reader of recordings.
pub(super) fn check(counts: &[ValueCount], functions: usize) -> Result<(), String> {
    if !counts.windows(2).all(|pair| pair[0].key < pair[1].key) {
        return Err("values that are not in their order".into());
    }
    let there = |count: &ValueCount| count.key.function.is_none_or(|index| (index as usize) < functions);
    if !counts.iter().all(there) {
        return Err("values of a function that was not attached".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(values: &[Value], count: u64) -> ValueCount {
        ValueCount { key: ValueKey { function: None, comm: None, values: values.to_vec() }, count }
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let all = [
            Value::Unreadable,
            Value::from(u64::MAX as i64),
            Value::Unsigned(u64::MAX),
            Value::Text("eth0".into()),
            Value::Cut { cut: "/var".into() },
        ];
        let text = serde_json::to_string(&count(&all, 2)).unwrap();
        assert_eq!(text, r#"{"values":[null,-1,18446744073709551615,"eth0",{"cut":"/var"}],"count":2}"#);
        assert_eq!(serde_json::from_str::<ValueCount>(&text).unwrap(), count(&all, 2));
    }

    #[test]
    fn the_same_are_added_and_lists_are_in_order() {
        let [one, two] = [1, 2].map(Value::Unsigned);
        let list = merged([
            count(std::slice::from_ref(&two), 3),
            count(std::slice::from_ref(&one), 4),
            count(std::slice::from_ref(&two), 5),
        ]);
        assert_eq!(list, [count(&[one], 4), count(&[two], 8)]);
        assert_eq!(check(&list, 0), Ok(()));
        assert!(check(&[list[1].clone(), list[0].clone()], 0).is_err());
        let mut of_function = list;
        of_function[0].key.function = Some(1);
        of_function.swap(0, 1);
        assert!(check(&of_function, 1).is_err());
    }
}
