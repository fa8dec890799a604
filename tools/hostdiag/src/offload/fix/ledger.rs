//! Tells of every change: the history of this host, and the system journal.

use std::path::{Path, PathBuf};

use hostdiag_model::FeatureName;
use hostdiag_model::history::{HistoryEntry, What, Who};
use hostdiag_model::offload::Problem;
use hostdiag_model::plan::{Action, Change, Done, Step, UndoResult, Undone};

use super::{history, system_journal};
use crate::offload::from::now_ms;

/// What is to be told of the changes of one command.
pub struct Ledger {
    history: PathBuf,
    socket: PathBuf,
    who: Who,
    command: String,
    reason: Option<String>,
    netns: Option<String>,
    problems: Vec<Problem>,
}

impl Ledger {
    /// The one of this host. `netns` is the namespace of the devices, where
    /// that is another than the one hostdiag runs in.
    pub fn new(netns: Option<&str>, reason: Option<&str>) -> Self {
        Self {
            history: Path::new(history::FILE).to_owned(),
            socket: Path::new(system_journal::SOCKET).to_owned(),
            who: history::who(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            reason: reason.map(str::to_owned),
            netns: netns.map(str::to_owned),
            problems: Vec::new(),
        }
    }

    /// Tells of a step that was taken. One that was undone was made before.
    pub fn step(&mut self, run: &str, step: &Step, done: &Done) {
        let what = match step.action {
            Action::Set { .. } => What::Set,
            Action::Recompute => What::Recompute,
        };
        let wished = |change: &&Change| match &step.action {
            Action::Set { features } => features.contains(&change.feature),
            Action::Recompute => true,
        };
        let own = |change: &&Change| change.ifindex == step.device.ifindex && wished(change);
        let entries: Vec<HistoryEntry> = match done {
            Done::Repaired { changes } | Done::NotFollowed { changes, .. } => {
                changes.iter().filter(own).map(|change| self.change(run, what, change)).collect()
            }
            Done::RolledBack { .. } | Done::Interrupted => {
                let made = step.changes.iter().filter(own);
                let back =
                    |change: &Change| Change { before: change.after, after: change.before, ..change.clone() };
                let both = made.flat_map(|change| {
                    [self.change(run, what, change), self.change(run, What::Rollback, &back(change))]
                });
                both.collect()
            }
            Done::Removed | Done::Failed { .. } | Done::NotStarted { .. } => Vec::new(),
        };
        self.tell(&entries);
    }

    /// Tells of what was taken back of a run.
    pub fn undone(&mut self, undone: &Undone) {
        let restored = undone.wishes.iter().filter(|wish| wish.result == UndoResult::Restored);
        let word = |on: bool| Some(if on { "on" } else { "off" }.to_owned());
        let entries: Vec<HistoryEntry> = restored
            .map(|wish| {
                let of = (wish.device.as_str(), Some(wish.feature.clone()));
                self.entry((&undone.id, What::Undo), of, (word(!wish.wanted), word(wish.wanted)))
            })
            .collect();
        self.tell(&entries);
    }

    /// What could not be kept or told, each once.
    pub fn problems(&self) -> Vec<Problem> {
        self.problems.clone()
    }

    fn change(&self, run: &str, what: What, change: &Change) -> HistoryEntry {
        let of = (change.device.as_str(), Some(change.feature.clone()));
        let states = (Some(change.before.to_string()), Some(change.after.to_string()));
        self.entry((run, what), of, states)
    }

    fn entry(
        &self,
        (run, what): (&str, What),
        (device, feature): (&str, Option<FeatureName>),
        (before, after): (Option<String>, Option<String>),
    ) -> HistoryEntry {
        HistoryEntry {
            time_ms: now_ms(),
            run: run.to_owned(),
            what,
            netns: self.netns.clone(),
            device: device.to_owned(),
            feature,
            before,
            after,
            who: self.who.clone(),
            command: self.command.clone(),
            reason: self.reason.clone(),
        }
    }

    fn tell(&mut self, entries: &[HistoryEntry]) {
        if entries.is_empty() {
            return;
        }
        if let Err(error) = history::append(&self.history, entries) {
            self.problem("history", format!("{error:#}"));
        }
        for entry in entries {
            if let Err(error) = system_journal::send(&self.socket, entry) {
                self.problem("system journal", error.to_string());
            }
        }
    }

    fn problem(&mut self, subject: &str, message: String) {
        let problem = Problem { subject: subject.to_owned(), message };
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }
}
