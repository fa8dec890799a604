//! Runs `hostdiag offload` as a user does and reads what it recorded.
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use hostdiag_model::audit::{Entry, Verdict};
use hostdiag_model::recording::Data;
use hostdiag_model::{Audit, OffloadData, Recording};

/// The program under test.
pub(crate) fn hostdiag() -> Command {
    Command::new(std::env::var("HOSTDIAG_BIN").unwrap_or_else(|_| env!("CARGO_BIN_EXE_hostdiag").to_owned()))
}

/// What an audit found.
pub(crate) struct Audited {
    pub(crate) data: OffloadData,
    pub(crate) audit: Audit,
    pub(crate) status: i32,
}

/// Audits the current namespace as root.
#[track_caller]
pub(crate) fn audit(args: &[&str]) -> Audited {
    read(hostdiag().args(["offload", "--format", "json"]).args(args).output().unwrap())
}

/// The same as a user without any privilege.
#[track_caller]
pub(crate) fn audit_unprivileged(args: &[&str]) -> Audited {
    let program = Unprivileged::new();
    read(program.command().args(["offload", "--format", "json"]).args(args).output().unwrap())
}

/// A copy of the program that everyone can reach, as the original may lie in a
/// folder of root alone.
pub(crate) struct Unprivileged(PathBuf);

impl Unprivileged {
    #[track_caller]
    pub(crate) fn new() -> Self {
        let copy = std::env::temp_dir().join(format!("hostdiag-for-all-{}", std::process::id()));
        fs::copy(hostdiag().get_program(), &copy).unwrap();
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
        Unprivileged(copy)
    }

    /// The program as a user without any privilege runs it.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.0);
        command.uid(65534).gid(65534);
        command
    }
}

impl Drop for Unprivileged {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[track_caller]
fn read(output: Output) -> Audited {
    let said = String::from_utf8_lossy(&output.stderr);
    let recording = match Recording::read(&mut &output.stdout[..]) {
        Ok(recording) => recording,
        Err(error) => panic!("no recording: {error}; hostdiag said: {said}"),
    };
    assert!(recording.elapsed_ms.is_some(), "a partial recording; hostdiag said: {said}");
    let Data::Offload(data, audit) = recording.data else { panic!("not an audit; hostdiag said: {said}") };
    Audited { data, audit, status: output.status.code().unwrap_or(-1) }
}

/// What `hostdiag offload` prints for people.
#[track_caller]
pub(crate) fn page(args: &[&str]) -> String {
    let output = hostdiag().arg("offload").args(args).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

impl Audited {
    /// The one entry for a feature of a device.
    #[track_caller]
    pub(crate) fn entry(&self, device: &str, feature: &str) -> &Entry {
        let of = |entry: &&Entry| entry.device == device && &*entry.feature == feature;
        let found: Vec<&Entry> = self.audit.entries.iter().filter(of).collect();
        match found[..] {
            [entry] => entry,
            _ => panic!("{} entries for {feature} of {device}: {:#?}", found.len(), self.audit.entries),
        }
    }

    /// Every finding, as `device feature verdict`.
    pub(crate) fn findings(&self) -> Vec<String> {
        let line = |entry: &Entry| format!("{} {} {}", entry.device, entry.feature, entry.verdict.as_str());
        self.audit.findings().map(line).collect()
    }

    /// Verdict and finding of a feature of a device.
    #[track_caller]
    pub(crate) fn verdict(&self, device: &str, feature: &str) -> (Verdict, bool) {
        let entry = self.entry(device, feature);
        (entry.verdict, entry.finding)
    }
}
