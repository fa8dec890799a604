//! What was changed on a host, by whom and why: the lines of
//! `/var/lib/hostdiag/changes.jsonl`.

use serde::{Deserialize, Serialize};

use crate::features::FeatureName;

/// What `hostdiag offload --history` shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Every change that was kept, the newest last.
    pub entries: Vec<HistoryEntry>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// When, in milliseconds since 1970, UTC.
    pub time_ms: u64,
    /// The run it belongs to, for `--undo ID`.
    pub run: String,
    /// What was done.
    pub what: What,
    /// Network namespace; absent for the one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub netns: Option<String>,
    /// Interface name.
    pub device: String,
    /// The feature; absent for a recompute, which is of all of them.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub feature: Option<FeatureName>,
    /// State before, in the words of `ethtool -k`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<String>,
    /// State after.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<String>,
    /// On whose behalf.
    pub who: Who,
    /// The command line.
    pub command: String,
    /// What `--reason` said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// The kinds of change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// A wish was set.
    Set,
    /// The kernel computed the features of the device anew.
    Recompute,
    /// A wish was taken back by `--undo`.
    Undo,
    /// A wish was taken back because something got worse.
    Rollback,
}

impl What {
    /// The word for it, as in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::Recompute => "recompute",
            Self::Undo => "undo",
            Self::Rollback => "rollback",
        }
    }
}

/// Who made a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Who {
    /// Real user id of the process.
    pub uid: u32,
    /// User id of the login, which su and sudo keep (`/proc/self/loginuid`);
    /// absent where nobody logged in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub loginuid: Option<u32>,
    /// `SUDO_USER`: a name that the environment claims.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sudo_user: Option<String>,
    /// `SUDO_UID`, of the same.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sudo_uid: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_the_file() {
        for what in [What::Set, What::Recompute, What::Undo, What::Rollback] {
            assert_eq!(serde_json::to_string(&what).unwrap(), format!("\"{}\"", what.as_str()));
        }
        let line =
            r#"{"time_ms":1,"run":"a","what":"recompute","device":"eth0","who":{"uid":0},"command":"x"}"#;
        let entry: HistoryEntry = serde_json::from_str(line).unwrap();
        assert_eq!(serde_json::to_string(&entry).unwrap(), line);
    }
}
