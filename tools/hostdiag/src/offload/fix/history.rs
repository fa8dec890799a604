//! Every change that was ever made: /var/lib/hostdiag/changes.jsonl.
//!
//! One line of JSON a change, appended and never rewritten. It outlives the
//! boot, which the journal of a run does not.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, Result};
use hostdiag_model::history::{HistoryEntry, Who};
use hostdiag_model::offload::Problem;
use hostdiag_model::time::Utc;
use serde::Serialize;

use crate::fail::{Code, Failure};

/// Where the history of this host is.
pub const FILE: &str = "/var/lib/hostdiag/changes.jsonl";

/// As much of the end of the history is read, in bytes: some ten thousand
/// changes.
const MAX_BYTES: u64 = 8 << 20;

/// A line: the change, and when that was for people who read the file itself.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    #[serde(flatten)]
    change: &'a HistoryEntry,
}

/// Appends changes, and returns when they are on disk. Who did what is for root
/// to read; the folder is made where it is missing.
///
/// # Errors
/// The file cannot be written. What was changed stays so: it is a warning.
pub fn append(path: &Path, changes: &[HistoryEntry]) -> Result<()> {
    let mut text = Vec::new();
    for change in changes {
        let line = Line { time: Utc::from_ms(change.time_ms).to_string(), change };
        serde_json::to_writer(&mut text, &line)?;
        text.push(b'\n');
    }
    let folder = path.parent().unwrap_or(Path::new("/"));
    let mut append = || {
        DirBuilder::new().recursive(true).mode(0o755).create(folder)?;
        let mut options = OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        if torn(&file, length)? {
            text.insert(0, b'\n');
        }
        // In one call: whatever else appends, no line comes into another.
        file.write_all(&text)?;
        file.sync_all()?;
        if length == 0 { File::open(folder)?.sync_all() } else { Ok(()) }
    };
    append().with_context(|| format!("failed to add to the history {}", path.display()))
}

/// Whether the last line has no end: the host stopped while it was written.
fn torn(file: &File, length: u64) -> io::Result<bool> {
    let mut last = [b'\n'];
    if let Some(at) = length.checked_sub(1) {
        file.read_exact_at(&mut last, at)?;
    }
    Ok(last != [b'\n'])
}

/// The changes of a file, newest last, and what of it could not be read. A file
/// that is not there has none.
///
/// # Errors
/// `no-privilege`, or the file cannot be read at all.
pub fn read(path: &Path) -> Result<(Vec<HistoryEntry>, Vec<Problem>)> {
    let mut bytes = Vec::new();
    let cut = match tail(path, &mut bytes) {
        Ok(cut) => cut,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let message = format!("not allowed to read the history {}", path.display());
            return Err(Failure::new(Code::NoPrivilege, message).hint("read it as root").into());
        }
        Err(error) => return Err(error).with_context(|| format!("failed to read {}", path.display())),
    };
    let (entries, mut problems) = parse(&bytes);
    if cut {
        problems.insert(0, "older changes are not shown: only the last 8 MiB are read".into());
    }
    let subject = path.display().to_string();
    let problem = |message| Problem { subject: subject.clone(), message };
    Ok((entries, problems.into_iter().map(problem).collect()))
}

/// The end of a file, and whether there is more of it.
fn tail(path: &Path, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(MAX_BYTES);
    file.seek(SeekFrom::Start(start))?;
    file.take(MAX_BYTES).read_to_end(bytes)?;
    if start > 0 {
        // Most likely in the middle of a line.
        let line = bytes.iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |end| end + 1);
        bytes.drain(..line);
    }
    Ok(start > 0)
}

/// The changes in the bytes of a history, in their order, and what is wrong
/// with the rest.
pub fn parse(bytes: &[u8]) -> (Vec<HistoryEntry>, Vec<String>) {
    let (mut entries, mut problems, mut strange) = (Vec::new(), Vec::new(), 0_u64);
    let mut lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).peekable();
    while let Some(line) = lines.next() {
        match serde_json::from_slice(line) {
            Ok(entry) => entries.push(entry),
            Err(_) if lines.peek().is_none() && !bytes.ends_with(b"\n") => {
                problems.push("the last line is incomplete: the host stopped while it was written".into());
            }
            Err(_) => strange += 1,
        }
    }
    if strange > 0 {
        problems.insert(0, format!("lines that this hostdiag cannot read: {strange}"));
    }
    (entries, problems)
}

/// On whose behalf this process runs.
pub fn who() -> Who {
    let variable = |name| std::env::var(name).ok().filter(|value: &String| !value.is_empty());
    Who {
        uid: nix::unistd::getuid().as_raw(),
        // Without audit in the kernel there is no such file.
        loginuid: fs::read_to_string("/proc/self/loginuid").ok().and_then(|text| loginuid(&text)),
        sudo_user: variable("SUDO_USER"),
        sudo_uid: variable("SUDO_UID").and_then(|uid| uid.parse().ok()),
    }
}

/// `AUDIT_UID_UNSET` (include/uapi/linux/audit.h) is of those who did not log in.
fn loginuid(text: &str) -> Option<u32> {
    text.trim().parse().ok().filter(|uid| *uid != u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use hostdiag_model::history::What;

    use super::*;
    use crate::offload::fix::scratch::Scratch;

    fn change(time_ms: u64, device: &str) -> HistoryEntry {
        HistoryEntry {
            time_ms,
            run: "1a2b3c4d".into(),
            what: What::Set,
            netns: None,
            device: device.into(),
            feature: Some("tx-scatter-gather".into()),
            before: Some("off".into()),
            after: Some("on".into()),
            who: Who { uid: 0, loginuid: Some(1000), sudo_user: Some("ops".into()), sudo_uid: Some(1000) },
            command: "hostdiag offload --fix".into(),
            reason: Some("NET-\n\u{1b}123".into()),
        }
    }

    #[test]
    fn what_is_appended_is_read_in_its_order() {
        let scratch = Scratch::new("history");
        let path = scratch.path().join("lib/changes.jsonl");
        assert_eq!(read(&path).unwrap(), (Vec::new(), Vec::new()));
        let changes = [change(1, "a"), change(1_795_478_399_000, "b"), change(2, "c")];
        append(&path, &changes[..2]).unwrap();
        append(&path, &changes[2..]).unwrap();
        assert_eq!(read(&path).unwrap(), (changes.to_vec(), Vec::new()));
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().nth(1).unwrap().starts_with(r#"{"time":"2026-11-23T23:59:59Z","time_ms":"#));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    }

    #[test]
    fn a_torn_line_is_told_and_takes_no_other_with_it() {
        let scratch = Scratch::new("history-torn");
        let path = scratch.path().join("changes.jsonl");
        append(&path, &[change(1, "a"), change(2, "b")]).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 9]).unwrap();
        let (entries, problems) = read(&path).unwrap();
        assert_eq!(entries, [change(1, "a")]);
        assert_eq!(problems[0].message, "the last line is incomplete: the host stopped while it was written");
        append(&path, &[change(3, "c")]).unwrap();
        let (entries, problems) = read(&path).unwrap();
        assert_eq!(entries, [change(1, "a"), change(3, "c")]);
        assert_eq!(problems[0].message, "lines that this hostdiag cannot read: 1");
    }

    #[test]
    fn of_a_long_history_the_end_is_read() {
        let scratch = Scratch::new("history-long");
        let path = scratch.path().join("changes.jsonl");
        let long = HistoryEntry { reason: Some("x".repeat(MAX_BYTES as usize)), ..change(1, "old") };
        append(&path, &[long, change(2, "new")]).unwrap();
        let (entries, problems) = read(&path).unwrap();
        assert_eq!(entries, [change(2, "new")]);
        assert_eq!(problems.len(), 1);
        assert!(problems[0].message.starts_with("older changes are not shown"), "{problems:?}");
    }

    #[test]
    fn a_history_that_cannot_be_written_names_its_file() {
        let scratch = Scratch::new("history-file");
        fs::write(scratch.path().join("lib"), "").unwrap();
        let path = scratch.path().join("lib/changes.jsonl");
        let error = format!("{:#}", append(&path, &[change(1, "a")]).unwrap_err());
        assert!(error.starts_with(&format!("failed to add to the history {}: ", path.display())), "{error}");
    }

    #[test]
    fn an_unset_loginuid_is_nobody() {
        assert_eq!([loginuid("1000"), loginuid("4294967295"), loginuid("0\n")], [Some(1000), None, Some(0)]);
        assert_eq!(who().uid, nix::unistd::getuid().as_raw());
    }
}
