//! The folder of journals, and which there are.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostdiag_model::offload::Problem;
use nix::libc;

use super::{Journal, bad, is_id, no_journal};
use crate::fail::{Code, Failure};

/// Where the journals of this host are.
pub const FOLDER: &str = "/run/hostdiag";

/// The largest journal that is written and read, in bytes: four thousand VLANs
/// are a third.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The folder, which is private.
#[derive(Debug)]
pub struct Folder {
    pub(super) path: PathBuf,
    handle: File,
}

/// What was found in the folder.
#[derive(Debug, Default)]
pub struct Found {
    /// Journals of one boot, newest first.
    pub journals: Vec<Journal>,
    /// Files that are no journals that can be read.
    pub problems: Vec<Problem>,
}

impl Folder {
    /// Opens the folder, which is made where it is missing.
    ///
    /// # Errors
    /// `no-journal` where it cannot be made, is a link, or where others than
    /// root and this user could write to it: it says what root is to undo.
    pub fn open(path: &Path) -> Result<Self> {
        let failed = |why: &dyn std::fmt::Display| no_journal(format!("{}: {why}", path.display()));
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&error)),
            _ => {}
        }
        let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
        let handle = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOTDIR | libc::ELOOP)) => {
                return Err(failed(&"it is a link, or no folder"));
            }
            opened => opened.map_err(|error| failed(&error))?,
        };
        let found = handle.metadata().map_err(|error| failed(&error))?;
        if found.uid() != 0 && found.uid() != nix::unistd::geteuid().as_raw() {
            return Err(failed(&format_args!("it belongs to user {}", found.uid())));
        }
        if found.mode() & 0o022 != 0 {
            return Err(failed(&format_args!("others can write to it (mode {:o})", found.mode() & 0o7777)));
        }
        Ok(Self { path: path.to_owned(), handle })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Puts a file in the place of the one of that name in one step, once its
    /// bytes are there: a reader, also one after a crash, sees either.
    pub(in crate::offload) fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = self.path.join(format!("{name}{NEW}"));
        let written = put(&new, bytes).and_then(|()| fs::rename(&new, self.path.join(name)));
        written.and_then(|()| self.handle.sync_all()).inspect_err(|_| {
            // Also half a file takes room where there is none.
            let _ = fs::remove_file(&new);
        })
    }

    /// The journals of a boot.
    ///
    /// # Errors
    /// The folder cannot be read. A file that cannot is a problem.
    pub fn found(&self, boot_id: &str) -> Result<Found> {
        let mut found = self.all()?;
        found.journals.retain(|journal| journal.boot_id == boot_id);
        Ok(found)
    }

    /// The same of every boot.
    pub(super) fn all(&self) -> Result<Found> {
        let mut found = Found::default();
        for name in self.names()? {
            if id_of(&name).is_none() {
                continue;
            }
            match self.read(&name) {
                Ok(journal) => found.journals.push(journal),
                Err(error) => {
                    found.problems.push(Problem { subject: name, message: format!("{error:#}") });
                }
            }
        }
        found.journals.sort_by(|a, b| (b.started_ms, &b.id).cmp(&(a.started_ms, &a.id)));
        Ok(found)
    }

    pub(super) fn names(&self) -> Result<Vec<String>> {
        let listed = || format!("failed to list {}", self.path.display());
        let entries = fs::read_dir(&self.path).with_context(listed)?;
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
        names.sort_unstable();
        Ok(names)
    }

    fn read(&self, name: &str) -> Result<Journal> {
        let path = self.path.join(name);
        let shown = path.display().to_string();
        let mut bytes = Vec::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes));
        if read.with_context(|| format!("failed to read {shown}"))? as u64 > MAX_BYTES {
            return Err(bad(format!("{shown} is damaged: larger than 16 MiB")));
        }
        let journal = Journal::parse(&bytes, &shown)?;
        if id_of(name) != Some(&journal.id) {
            return Err(bad(format!("{shown} is damaged: it is of run {}", journal.id)));
        }
        Ok(journal)
    }
}

impl Found {
    /// The runs that were interrupted in a step, newest first.
    pub fn unfinished(&self) -> impl Iterator<Item = &Journal> {
        self.journals.iter().filter(|journal| journal.unfinished())
    }

    /// The run of that id; without one the newest that can be undone.
    ///
    /// # Errors
    /// `no-such-run`, or `bad-journal` where that run's cannot be read.
    pub fn run(&self, id: Option<&str>) -> Result<&Journal> {
        let wanted = |journal: &&Journal| id.map_or(journal.to_undo(), |id| journal.id == id);
        if let Some(journal) = self.journals.iter().find(wanted) {
            return Ok(journal);
        }
        let damaged = self.problems.iter().find(|problem| id.is_some() && id_of(&problem.subject) == id);
        if let Some(problem) = damaged {
            return Err(bad(problem.message.clone()));
        }
        let message = match id {
            Some(id) => format!("no run \"{id}\" since this host was booted"),
            None => "no run since this host was booted can be undone".to_owned(),
        };
        let known: Vec<&str> =
            self.journals.iter().filter(|journal| journal.to_undo()).map(|journal| &*journal.id).collect();
        let failure = Failure::new(Code::NoSuchRun, message);
        let failure = match known.as_slice() {
            [] => failure,
            known => failure.hint(format!("these can be undone: {}", known.join(", "))),
        };
        Err(failure.into())
    }
}

/// The end of the name of a file that is not yet whole.
pub(super) const NEW: &str = ".new";

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn id_of(name: &str) -> Option<&str> {
    name.strip_prefix("fix-")?.strip_suffix(".json").filter(|id| is_id(id))
}
