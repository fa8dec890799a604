//! The journal of a run, written before the first change: /run/hostdiag.
//!
//! The data, its one reader and what a plan makes of it. Files, their order of
//! writing and the lock are in [`folder`] and [`lock`].

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use hostdiag_model::FeatureName;
use hostdiag_model::plan::{Action, Identity, Plan, Step};
use serde::{Deserialize, Serialize};

use crate::fail::{Code, Failure};
use crate::offload::from::now_ms;
use crate::sys;

pub mod folder;
pub mod lock;

/// Version this program writes and reads.
pub const VERSION: u32 = 1;

/// What a run is going to change, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Version of the format.
    pub version: u32,
    /// Eight hexadecimal digits, for `--undo ID`.
    pub id: String,
    /// `/proc/sys/kernel/random/boot_id`: after the next boot the devices are
    /// new, and there is nothing to undo.
    pub boot_id: String,
    /// The network namespace of the devices.
    pub netns: Space,
    /// Milliseconds since 1970, UTC.
    pub started_ms: u64,
    /// The command line.
    pub command: Vec<String>,
    /// What `--reason` said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// In the order they are taken.
    pub steps: Vec<JournalStep>,
}

/// What makes a network namespace the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Space {
    /// Its name; absent for the one hostdiag ran in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// Device of the file that holds it.
    pub dev: u64,
    /// Its inode number, which a later namespace can have.
    pub ino: u64,
    /// Its cookie, which no other has; absent before Linux 5.14.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cookie: Option<u64>,
}

/// One step of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalStep {
    /// The device that is called upon.
    pub device: Identity,
    /// What is done.
    pub action: Action,
    /// How far it has come.
    pub state: State,
    /// Every wish that it changes, of any device.
    pub wishes: Vec<Wish>,
}

/// How far a step has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nothing has happened.
    Planned,
    /// It may have happened, in part or whole.
    Begun,
    /// It happened and was found good.
    Kept,
    /// It was taken back.
    Undone,
}

/// What is asked of a feature (`wanted_features`), before and after a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Of this device.
    pub device: Identity,
    /// The feature.
    pub feature: FeatureName,
    /// Asked for before.
    pub before: bool,
    /// Asked for after.
    pub after: bool,
}

impl Space {
    /// The namespace of the calling thread, and its name where it has one.
    ///
    /// # Errors
    /// No /proc.
    pub fn here(name: Option<String>) -> io::Result<Self> {
        let file = fs::metadata("/proc/thread-self/ns/net")?;
        Ok(Self { name, dev: file.dev(), ino: file.ino(), cookie: sys::netns_cookie().ok() })
    }

    /// Whether both are the same namespace, whatever it was called.
    pub fn same(&self, other: &Self) -> bool {
        (self.dev, self.ino, self.cookie) == (other.dev, other.ino, other.cookie)
    }
}

impl Journal {
    /// A new run of these steps.
    ///
    /// # Errors
    /// No /proc.
    pub fn new(
        netns: Space,
        command: Vec<String>,
        reason: Option<String>,
        steps: Vec<JournalStep>,
    ) -> io::Result<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/uuid")?.chars().take(ID_DIGITS).collect();
        let (boot_id, started_ms) = (boot_id()?, now_ms());
        Ok(Self { version: VERSION, id, boot_id, netns, started_ms, command, reason, steps })
    }

    /// The journal in the bytes of a file; `name` is the file's, for messages.
    ///
    /// # Errors
    /// `bad-journal` for an unknown version and for anything damaged.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u64,
        }
        let damaged = |problem: &dyn std::fmt::Display| bad(format!("{name} is damaged: {problem}"));
        let version = serde_json::from_slice(bytes).map(|Versioned { version }| version);
        let version = version.map_err(|error| damaged(&error))?;
        if version != u64::from(VERSION) {
            return Err(bad(format!("{name}: version {version}; this hostdiag reads version {VERSION}")));
        }
        let journal: Self = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        // The id becomes part of a path.
        if !is_id(&journal.id) {
            return Err(damaged(&format_args!("{:?} is no id of a run", journal.id)));
        }
        Ok(journal)
    }

    /// Whether it was interrupted in a step, which may have happened or not.
    pub fn unfinished(&self) -> bool {
        self.steps.iter().any(|step| step.state == State::Begun)
    }

    /// Whether there is something to undo.
    pub fn to_undo(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.state, State::Begun | State::Kept))
    }
}

/// The steps of a plan as a journal has them. `identity` knows every device of
/// the plan by its index.
///
/// # Errors
/// A device that `identity` does not know.
pub fn steps(plan: &Plan, identity: &dyn Fn(u32) -> Option<Identity>) -> Result<Vec<JournalStep>> {
    plan.steps.iter().map(|step| of_step(step, identity)).collect()
}

fn of_step(step: &Step, identity: &dyn Fn(u32) -> Option<Identity>) -> Result<JournalStep> {
    let mut wishes = Vec::new();
    for change in &step.changes {
        let (before, after) = (change.before.wanted(), change.after.wanted());
        // What is fixed has no wish to go back to.
        if before == after || !change.before.changeable() {
            continue;
        }
        let known = || format!("{} (index {}) is not known", change.device, change.ifindex);
        let device = identity(change.ifindex).with_context(known)?;
        wishes.push(Wish { device, feature: change.feature.clone(), before, after });
    }
    let (device, action) = (step.device.clone(), step.action.clone());
    Ok(JournalStep { device, action, state: State::Planned, wishes })
}

/// Which boot this is.
///
/// # Errors
/// No /proc.
pub fn boot_id() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim_end().to_owned())
}

/// Digits of an id: enough for the runs of one boot, and short to type.
const ID_DIGITS: usize = 8;

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn bad(message: String) -> anyhow::Error {
    let hint = "hostdiag explain bad-journal says what can be done";
    Failure::new(Code::BadJournal, message).hint(hint).into()
}

fn no_journal(message: String) -> anyhow::Error {
    let hint = "without a journal nothing is changed; hostdiag explain no-journal";
    Failure::new(Code::NoJournal, message).hint(hint).into()
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
