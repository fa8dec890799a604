//! One writer at a time, and no moment at which a journal is not there as a
//! whole.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Result;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;

use super::folder::{Folder, MAX_BYTES, NEW};
use super::{Journal, State, no_journal};
use crate::fail::{Code, Failure};

/// So many runs of one boot can be undone.
const KEPT: usize = 64;

/// The folder while nobody else writes to it, or changes features.
#[derive(Debug)]
pub struct Lock {
    folder: Folder,
    _file: Flock<File>,
}

impl Folder {
    /// Takes the lock, which ends with its guard or its process.
    ///
    /// # Errors
    /// `busy` where another process has it; `no-journal`.
    pub fn lock(self) -> Result<Lock> {
        let path = self.path.join("lock");
        let failed = |error: &dyn std::fmt::Display| no_journal(format!("{}: {error}", path.display()));
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let file = options.open(&path).map_err(|error| failed(&error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                // Only told to others: without it the lock holds all the same.
                let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
                Ok(Lock { folder: self, _file: file })
            }
            Err((file, Errno::EWOULDBLOCK)) => Err(busy(file, &path)),
            Err((_, error)) => Err(failed(&error)),
        }
    }
}

impl Deref for Lock {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

impl Lock {
    /// Keeps the journal of a new run, and forgets old ones.
    ///
    /// # Errors
    /// `no-journal`; then nothing must be changed.
    pub fn create(&self, journal: &Journal) -> Result<()> {
        self.forget(&journal.boot_id)?;
        let path = self.file(&journal.id);
        if path.exists() {
            return Err(no_journal(format!("{}: it exists already", path.display())));
        }
        self.write(journal)
    }

    /// Keeps that a step has come so far. Before it is begun, and after it was
    /// kept or undone.
    ///
    /// # Errors
    /// `no-journal`; then the journal is as it was, in memory too.
    pub fn mark(&self, journal: &mut Journal, step: usize, state: State) -> Result<()> {
        let Some(marked) = journal.steps.get_mut(step) else {
            anyhow::bail!("run {} has no step {step}", journal.id)
        };
        let before = std::mem::replace(&mut marked.state, state);
        let written = self.write(journal);
        if let (Err(_), Some(marked)) = (&written, journal.steps.get_mut(step)) {
            marked.state = before;
        }
        written
    }

    pub(super) fn write(&self, journal: &Journal) -> Result<()> {
        let path = self.file(&journal.id);
        let failed = |error: &dyn std::fmt::Display| {
            no_journal(format!("failed to write {}: {error}", path.display()))
        };
        let text = serde_json::to_vec(journal).map_err(|error| failed(&error))?;
        if text.len() as u64 > MAX_BYTES {
            return Err(failed(&"larger than 16 MiB"));
        }
        self.replace(&name(&journal.id), &text).map_err(|error| failed(&error))
    }

    /// Removes what crashes left, the journals of earlier boots, and those of
    /// this one beyond the last [`KEPT`], but none that is unfinished.
    fn forget(&self, boot_id: &str) -> Result<()> {
        let left = self.names()?.into_iter().filter(|name| name.starts_with("fix-") && name.ends_with(NEW));
        let mut old: Vec<PathBuf> = left.map(|name| self.path.join(name)).collect();
        let (same, other): (Vec<Journal>, Vec<Journal>) =
            self.all()?.journals.into_iter().partition(|journal| journal.boot_id == boot_id);
        let many = same.into_iter().skip(KEPT - 1).filter(|journal| !journal.unfinished());
        old.extend(other.into_iter().chain(many).map(|journal| self.file(&journal.id)));
        for path in old {
            // What stays is in nobody's way.
            let _ = fs::remove_file(path);
        }
        Ok(())
    }

    fn file(&self, id: &str) -> PathBuf {
        self.path.join(name(id))
    }
}

fn name(id: &str) -> String {
    format!("fix-{id}.json")
}

fn busy(file: File, path: &Path) -> anyhow::Error {
    let mut text = String::new();
    // Not there yet, or no number: then there is no name for it.
    let _ = file.take(32).read_to_string(&mut text);
    let (holder, hint) = match text.trim().parse::<u32>() {
        Ok(pid) => (format!("process {pid}"), format!("wait until it has ended, or look: ps -fp {pid}")),
        Err(_) => ("another process".to_owned(), "wait until it has ended".to_owned()),
    };
    let message = format!("{holder} is repairing or undoing: it holds {}", path.display());
    Failure::new(Code::Busy, message).hint(hint).into()
}
