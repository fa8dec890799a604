//! What `funclatency` was asked for and what it counted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::histogram::{Histogram, Resolution, Unit};

/// What is to be shown of durations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// The unit of the log2 histograms; absent: chosen from what was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// A histogram for each function.
    #[serde(default, skip_serializing_if = "is_false")]
    pub each_function: bool,
    /// A histogram for each of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// In the layout of bcc's funclatency.
    #[serde(default, skip_serializing_if = "is_false")]
    pub compat_bcc: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// What durations are counted apart by, beside functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The CPU on which a call returned.
    Cpu,
    /// The command name of the thread.
    Comm,
    /// The process.
    Pid,
}

/// The memory that histograms were counted in, as it was chosen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Storage {
    /// Copies of all histograms: CPUs share them where there are fewer than CPUs.
    pub shards: u32,
    /// Histograms a copy has.
    pub histograms: u32,
    /// How finely octaves are cut.
    pub sub_bits: Resolution,
    /// Bytes of all of it.
    pub bytes: u64,
    /// Most calls that can be under way at a time.
    pub max_active: u32,
}

/// What a histogram is of, beside a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Group {
    /// Calls that returned on this CPU.
    Cpu(u32),
    /// Threads of this command name.
    Comm(String),
    /// A process, by the PID of the host.
    Pid(u32),
    /// All those that there was no histogram left for.
    Other,
}

/// How long calls took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Of this function, by its index; absent where functions are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<u32>,
    /// Of these alone; absent where all are counted together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Group>,
    /// How long they took.
    pub histogram: Histogram,
}

impl Latency {
    fn key(&self) -> (Option<u32>, Option<&Group>) {
        (self.function, self.group.as_ref())
    }
}

/// What is wrong with a list that was read, if there are so many functions.
///
/// # Errors
/// In words, for the reader of recordings.
pub(super) fn check(list: &[Latency], functions: usize) -> Result<(), String> {
    if !list.windows(2).all(|pair| pair[0].key() < pair[1].key()) {
        return Err("histograms that are not in their order".into());
    }
    let there = |latency: &Latency| latency.function.is_none_or(|index| (index as usize) < functions);
    if !list.iter().all(there) {
        return Err("a histogram of a function that was not attached".into());
    }
    Ok(())
}

/// Those of both, added where they are of the same.
pub fn merged(lists: impl IntoIterator<Item = Latency>) -> Vec<Latency> {
    let mut sums: BTreeMap<(Option<u32>, Option<Group>), Histogram> = BTreeMap::new();
    for Latency { function, group, histogram } in lists {
        match sums.entry((function, group)) {
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(histogram);
            }
            std::collections::btree_map::Entry::Occupied(mut sum) => sum.get_mut().merge(&histogram),
        }
    }
    let latency = |((function, group), histogram)| Latency { function, group, histogram };
    sums.into_iter().map(latency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(function: Option<u32>, group: Option<Group>, values: &[u64]) -> Latency {
        let mut histogram = Histogram::new(Resolution::FINEST);
        values.iter().for_each(|value| histogram.add(*value, 1));
        Latency { function, group, histogram }
    }

    #[test]
    fn the_same_are_added_and_the_rest_is_kept() {
        let comm = |name: &str| Some(Group::Comm(name.into()));
        let list = merged([
            latency(Some(1), comm("b"), &[10]),
            latency(Some(0), comm("b"), &[20]),
            latency(Some(1), comm("b"), &[30]),
            latency(Some(1), comm("a"), &[40]),
        ]);
        let expected = [
            latency(Some(0), comm("b"), &[20]),
            latency(Some(1), comm("a"), &[40]),
            latency(Some(1), comm("b"), &[10, 30]),
        ];
        assert_eq!(list, expected);
    }

    #[test]
    fn lists_are_read_as_they_are_written_and_not_otherwise() {
        let list = [latency(Some(0), Some(Group::Cpu(3)), &[5]), latency(Some(0), Some(Group::Other), &[])];
        let text = serde_json::to_string(&list[0]).unwrap();
        let histogram = r#"{"sub_bits":4,"count":1,"sum":5,"min":5,"max":5,"slots":[[5,1]]}"#;
        assert_eq!(text, format!(r#"{{"function":0,"group":{{"cpu":3}},"histogram":{histogram}}}"#));
        assert_eq!(serde_json::from_str::<Latency>(&text).unwrap(), list[0]);
        assert_eq!(check(&list, 1), Ok(()));
        assert!(check(&list, 0).is_err());
        assert!(check(&[list[1].clone(), list[0].clone()], 1).is_err());
        assert!(check(&[list[0].clone(), list[0].clone()], 1).is_err());
    }
}
