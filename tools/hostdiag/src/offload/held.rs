//! What is not to be repaired, and what `--watch` knows of the devices it has seen:
//! /run/hostdiag/watch.json. It ends with the boot, as the devices do.
//!
//! Written by `--watch`, `--hold` and `--release`, one at a time; read by the audit
//! and by every repair.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::offload;
use nix::fcntl::{Flock, FlockArg};
use nix::libc;
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use self::seen::{Seen, Wish};
use super::fix::journal::folder::{FOLDER, Folder};
use super::fix::journal::{Space, boot_id};
use crate::fail::{Code, Failure};
use crate::offload::from::now_ms;

pub mod seen;

/// Name of the file in the folder.
pub const NAME: &str = "watch.json";
/// Version this program writes and reads.
const VERSION: u32 = 1;
/// The largest file that is written and read, in bytes: 4,000 VLANs are a third.
const MAX_BYTES: u64 = 16 << 20;

/// All that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    /// Version of the format.
    version: u32,
    /// `/proc/sys/kernel/random/boot_id`.
    boot_id: String,
    /// By network namespace.
    spaces: Vec<InSpace>,
}

/// What is kept of one network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InSpace {
    /// The namespace.
    netns: Space,
    /// What `--hold` was said of.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// The devices that `--watch` has seen.
    #[serde(default)]
    pub devices: Vec<Seen>,
}

/// A device of which `--hold` was said: by name, so also the next one of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Name of the interface.
    pub device: String,
    /// Since when, in milliseconds since 1970, UTC.
    pub since_ms: u64,
    /// Until when, in milliseconds since boot (`CLOCK_BOOTTIME`): setting the clock
    /// changes nothing, and time asleep counts.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub until_boot_ms: Option<u64>,
    /// What `--reason` said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
}

/// What time it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since boot, `CLOCK_BOOTTIME`.
    pub boot_ms: u64,
    /// Milliseconds since 1970, UTC.
    pub wall_ms: u64,
}

impl Now {
    /// As the clocks of this host say.
    ///
    /// # Errors
    /// No such clock.
    pub fn read() -> io::Result<Self> {
        let boot = clock_gettime(ClockId::CLOCK_BOOTTIME)?;
        let boot_ms = boot.tv_sec().unsigned_abs() * 1000 + boot.tv_nsec().unsigned_abs() / 1_000_000;
        Ok(Self { boot_ms, wall_ms: now_ms() })
    }
}

impl InSpace {
    /// Of a namespace of which nothing is known.
    fn new(netns: Space) -> Self {
        Self { netns, holds: Vec::new(), devices: Vec::new() }
    }

    /// What is held at a time, as the audit shows it.
    pub fn held(&self, now: Now) -> Vec<offload::Held> {
        let left = |until: u64| until.checked_sub(now.boot_ms);
        let holds =
            self.holds.iter().filter(|hold| hold.until_boot_ms.is_none_or(|until| left(until) > Some(0)));
        let by_option = holds.map(|hold| offload::Held {
            device: hold.device.clone(),
            feature: None,
            since_ms: hold.since_ms,
            until_ms: hold.until_boot_ms.and_then(left).map(|left| now.wall_ms + left),
            reason: hold.reason.clone(),
        });
        let switched_off = self.devices.iter().flat_map(|seen| {
            seen.wishes.iter().filter_map(|(feature, wish)| {
                let Wish::SwitchedOff { since_ms } = wish else { return None };
                let (device, feature) = (seen.name.clone(), Some(feature.clone()));
                Some(offload::Held { device, feature, since_ms: *since_ms, until_ms: None, reason: None })
            })
        });
        by_option.chain(switched_off).collect()
    }

    /// When the next hold ends, in milliseconds since boot.
    pub fn next_end(&self) -> Option<u64> {
        self.holds.iter().filter_map(|hold| hold.until_boot_ms).min()
    }

    /// Holds a device, in the place of what was said of it before.
    pub fn hold(&mut self, hold: Hold) {
        self.holds.retain(|other| other.device != hold.device);
        self.holds.push(hold);
    }

    /// Releases a device; whether it was held.
    pub fn release(&mut self, device: &str) -> bool {
        let before = self.holds.len();
        self.holds.retain(|hold| hold.device != device);
        let mut any = self.holds.len() < before;
        for seen in self.devices.iter_mut().filter(|seen| seen.name == device) {
            any |= seen.release();
        }
        any
    }
}

/// What is held in the network namespace of the calling thread.
///
/// # Errors
/// As [`read`].
pub fn here() -> Result<Vec<offload::Held>> {
    let path = Path::new(FOLDER).join(NAME);
    let Some(state) = read(&path)? else { return Ok(Vec::new()) };
    let here = Space::here(None)?;
    let now = Now::read()?;
    let space = state.spaces.iter().find(|space| space.netns.same(&here));
    Ok(space.map(|space| space.held(now)).unwrap_or_default())
}

/// The file, of this boot; `None` where there is none.
///
/// # Errors
/// It cannot be read; `bad-journal` where it is damaged.
fn read(path: &Path) -> Result<Option<State>> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read.with_context(|| format!("failed to read {}", path.display()))?,
    };
    let state = parse(&bytes, &path.display().to_string())?;
    Ok((state.boot_id == boot_id()?).then_some(state))
}

fn parse(bytes: &[u8], name: &str) -> Result<State> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let bad = |problem: String| {
        let hint = format!("without it all that is off counts as lost: look at it, then remove {name}");
        Failure::new(Code::BadJournal, problem).hint(hint)
    };
    let damaged = |error: serde_json::Error| bad(format!("{name} is damaged: {error}"));
    let Versioned { version } = serde_json::from_slice(bytes).map_err(damaged)?;
    if version != VERSION {
        return Err(bad(format!("{name}: version {version}; this hostdiag reads version {VERSION}")).into());
    }
    Ok(serde_json::from_slice(bytes).map_err(damaged)?)
}

/// Changes what is kept, for one network namespace.
pub struct Keeper {
    folder: Folder,
    here: Space,
    boot_id: String,
}

impl Keeper {
    /// That of the network namespace of the calling thread.
    ///
    /// # Errors
    /// `no-journal` where the folder is not to be trusted or cannot be made.
    pub fn open() -> Result<Self> {
        let folder = Folder::open(Path::new(FOLDER))?;
        Ok(Self { folder, here: Space::here(None)?, boot_id: boot_id()? })
    }

    /// Reads, has `change` change, and writes where something did; what `change`
    /// returns. Waits while another process does the same, which is a moment.
    ///
    /// # Errors
    /// `bad-journal`, `no-journal`; then the file is as it was.
    pub fn update<T>(&self, change: impl FnOnce(&mut InSpace, Now) -> T) -> Result<T> {
        let _lock = self.lock()?;
        let path = self.folder.path().join(NAME);
        let (version, boot_id) = (VERSION, self.boot_id.clone());
        let mut state = read(&path)?.unwrap_or(State { version, boot_id, spaces: Vec::new() });
        let before = state.clone();
        let at = state.spaces.iter().position(|space| space.netns.same(&self.here));
        let at = at.unwrap_or_else(|| {
            state.spaces.push(InSpace::new(self.here.clone()));
            state.spaces.len() - 1
        });
        let now = Now::read()?;
        let space = &mut state.spaces[at];
        space.holds.retain(|hold| hold.until_boot_ms.is_none_or(|until| until > now.boot_ms));
        let result = change(space, now);
        state.spaces.retain(|space| !space.holds.is_empty() || !space.devices.is_empty());
        if state != before {
            let failed = |why: &dyn std::fmt::Display| {
                Failure::new(Code::NoJournal, format!("failed to write {}: {why}", path.display()))
                    .hint("nothing was changed; hostdiag explain no-journal")
            };
            let text = serde_json::to_vec(&state).map_err(|error| failed(&error))?;
            self.folder.replace(NAME, &text).map_err(|error| failed(&error))?;
        }
        Ok(result)
    }

    /// Which file it is: another one after each change.
    pub fn identity(&self) -> Option<(u64, i64)> {
        let found = self.folder.path().join(NAME).metadata().ok()?;
        Some((found.ino(), found.mtime_nsec()))
    }

    /// Keeps other `--watch` of this namespace away, as long as the guard lives.
    ///
    /// # Errors
    /// `busy` where there is one.
    pub fn watch(&self) -> Result<Flock<File>> {
        let name = format!("watch-{}-{}.lock", self.here.dev, self.here.ino);
        let file = self.file(&name)?;
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
            let path = self.folder.path().join(name);
            let message =
                format!("another hostdiag watches this network namespace: it holds {}", path.display());
            let hint = "systemctl status hostdiag-offload.service shows it, if it is the service";
            Failure::new(Code::Busy, message).hint(hint).into()
        })
    }

    fn lock(&self) -> Result<Flock<File>> {
        let file = self.file("watch.lock")?;
        Flock::lock(file, FlockArg::LockExclusive)
            .map_err(|(_, error)| error)
            .with_context(|| format!("failed to lock {}/watch.lock", self.folder.path().display()))
    }

    fn file(&self, name: &str) -> Result<File> {
        let mut options = File::options();
        options.read(true).write(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
        let path = self.folder.path().join(name);
        options.open(&path).with_context(|| format!("failed to open {}", path.display()))
    }
}

#[cfg(test)]
#[path = "held/tests.rs"]
mod tests;
