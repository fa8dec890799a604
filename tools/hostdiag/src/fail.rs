//! How a run ends: exit statuses, and errors that say what to do next.

use std::fmt;

use hostdiag_report::offload::words::shell;

/// Exit statuses, the same for every subcommand (`hostdiag explain exit-status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Nothing found, all well.
    Fine = 0,
    /// Findings, differences, a regression.
    Findings = 1,
    /// Wrong usage, bad input, or an error.
    Error = 2,
    /// A repair made something worse and was rolled back.
    RolledBack = 3,
    /// A privilege or a kernel feature is missing.
    Missing = 4,
    /// A remote host could not be reached, or its answer was no good.
    Remote = 5,
    /// A repair was interrupted (Ctrl-C): the device in hand was finished or
    /// undone, the rest not begun.
    Interrupted = 130,
}

/// Stable names of errors. `hostdiag explain CODE` has a page for each; a test
/// fails on a code without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// No interface of that name.
    NoSuchInterface,
    /// No network namespace of that name.
    NoSuchNetns,
    /// No explain page of that name.
    NoSuchTopic,
    /// The kernel answers neither netlink nor ioctl for features.
    NoFeatureApi,
    /// rtnetlink is not there or refused (seccomp).
    NoNetlink,
    /// A privilege is missing.
    NoPrivilege,
    /// The kernel has no BTF, or refuses a BPF program (lockdown, a kernel
    /// without the program type).
    NoBpf,
    /// A file is neither `ethtool -k` text nor a recording, or is damaged.
    BadInput,
    /// A recording of an unknown schema or version.
    UnknownSchema,
    /// Files that cannot be compared with one another.
    Incompatible,
    /// The policy file is wrong.
    BadPolicy,
    /// Others than root can write the policy file, which a repair obeys.
    UnsafePolicy,
    /// The plan is of more devices than `--max-devices`.
    TooManyDevices,
    /// Another repair or undo is under way.
    Busy,
    /// The journal of a run is damaged, or of an unknown version.
    BadJournal,
    /// The journal cannot be written, so nothing may be changed.
    NoJournal,
    /// No run of that id, or none at all, that could be undone.
    NoSuchRun,
    /// A pattern of functions that cannot be read.
    BadPattern,
    /// An expression of arguments that cannot be read, or that a function does not have.
    BadExpression,
    /// No function of that name, in the kernel or in a program.
    NoSuchFunction,
    /// The kernel has the function, but none may trace it.
    NotTraceable,
    /// A pattern that describes no function or event.
    NoMatch,
    /// No process or thread of that number.
    NoSuchProcess,
    /// No library and no program of that name or path.
    NoSuchProgram,
    /// A file has no symbols: it was stripped, or is no ELF file.
    NoSymbols,
    /// No cgroup at that path, or one of version 1.
    NoSuchCgroup,
    /// More functions than are attached one by one without `--yes`.
    TooManyFunctions,
    /// The kernel refuses every way to attach to its functions.
    NoProbes,
    /// tracefs, which has the numbers of tracepoints, is not mounted or cannot be read.
    NoTracefs,
    /// More samples a second than the kernel allows.
    RateTooHigh,
    /// None of the CPUs that were asked for is online.
    NoSuchCpu,
    /// A host that is not named as one.
    BadTarget,
    /// ssh did not get to the host, or was not let in.
    Unreachable,
    /// The host has no hostdiag that runs.
    NoAgent,
    /// The hostdiag of the host is too old or too new to talk to.
    VersionSkew,
    /// The host went away, or what it sent was no good.
    RemoteFailed,
    /// hostdiag could not be brought to the host.
    PushFailed,
    /// sudo does not let the user of that host become root without a password.
    NoSudo,
    /// The command that is to count the work of a host does not.
    WorkFailed,
}

impl Code {
    /// Every code, for the test that each has a page.
    pub const ALL: [Self; 39] = [
        Self::NoSuchInterface,
        Self::NoSuchNetns,
        Self::NoSuchTopic,
        Self::NoFeatureApi,
        Self::NoNetlink,
        Self::NoPrivilege,
        Self::NoBpf,
        Self::BadInput,
        Self::UnknownSchema,
        Self::Incompatible,
        Self::BadPolicy,
        Self::UnsafePolicy,
        Self::TooManyDevices,
        Self::Busy,
        Self::BadJournal,
        Self::NoJournal,
        Self::NoSuchRun,
        Self::BadPattern,
        Self::BadExpression,
        Self::NoSuchFunction,
        Self::NotTraceable,
        Self::NoMatch,
        Self::NoSuchProcess,
        Self::NoSuchProgram,
        Self::NoSymbols,
        Self::NoSuchCgroup,
        Self::TooManyFunctions,
        Self::NoProbes,
        Self::NoTracefs,
        Self::RateTooHigh,
        Self::NoSuchCpu,
        Self::BadTarget,
        Self::Unreachable,
        Self::NoAgent,
        Self::VersionSkew,
        Self::RemoteFailed,
        Self::PushFailed,
        Self::NoSudo,
        Self::WorkFailed,
    ];

    /// The name that is printed and that `explain` takes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoSuchInterface => "no-such-interface",
            Self::NoSuchNetns => "no-such-netns",
            Self::NoSuchTopic => "no-such-topic",
            Self::NoFeatureApi => "no-feature-api",
            Self::NoNetlink => "no-netlink",
            Self::NoPrivilege => "no-privilege",
            Self::NoBpf => "no-bpf",
            Self::BadInput => "bad-input",
            Self::UnknownSchema => "unknown-schema",
            Self::Incompatible => "incompatible",
            Self::BadPolicy => "bad-policy",
            Self::UnsafePolicy => "unsafe-policy",
            Self::TooManyDevices => "too-many-devices",
            Self::Busy => "busy",
            Self::BadJournal => "bad-journal",
            Self::NoJournal => "no-journal",
            Self::NoSuchRun => "no-such-run",
            Self::BadPattern => "bad-pattern",
            Self::BadExpression => "bad-expression",
            Self::NoSuchFunction => "no-such-function",
            Self::NotTraceable => "not-traceable",
            Self::NoMatch => "no-match",
            Self::NoSuchProcess => "no-such-process",
            Self::NoSuchProgram => "no-such-program",
            Self::NoSymbols => "no-symbols",
            Self::NoSuchCgroup => "no-such-cgroup",
            Self::TooManyFunctions => "too-many-functions",
            Self::NoProbes => "no-probes",
            Self::NoTracefs => "no-tracefs",
            Self::RateTooHigh => "rate-too-high",
            Self::NoSuchCpu => "no-such-cpu",
            Self::BadTarget => "bad-target",
            Self::Unreachable => "unreachable",
            Self::NoAgent => "no-agent",
            Self::VersionSkew => "version-skew",
            Self::RemoteFailed => "remote-failed",
            Self::PushFailed => "push-failed",
            Self::NoSudo => "no-sudo",
            Self::WorkFailed => "work-failed",
        }
    }

    /// The exit status that goes with it.
    pub fn status(self) -> Status {
        match self {
            Self::NoFeatureApi
            | Self::NoNetlink
            | Self::NoPrivilege
            | Self::NoBpf
            | Self::NoProbes
            | Self::NoTracefs => Status::Missing,
            Self::Unreachable
            | Self::NoAgent
            | Self::VersionSkew
            | Self::RemoteFailed
            | Self::PushFailed
            | Self::NoSudo => Status::Remote,
            _ => Status::Error,
        }
    }
}

/// An error with a code and, where there is one, the next step. Travels as the
/// root of an `anyhow` chain.
#[derive(Debug)]
pub struct Failure {
    /// Which error.
    pub code: Code,
    /// What failed and why, without a full stop.
    pub message: String,
    /// What to do next.
    pub hint: Option<String>,
}

impl Failure {
    /// An error without a hint.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    /// The same with the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// This command line, as root.
pub fn as_root() -> String {
    let words: Vec<String> = std::env::args().map(|word| shell(&word)).collect();
    format!("sudo {}", words.join(" "))
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// The names nearest to a misspelt one, best first, at most three.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(usize, &str)> = known
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(wrong, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().max(wrong.chars().count()) / 3)
        .collect();
    scored.sort_unstable();
    scored.dedup();
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

/// `did you mean "a", "b"?`, or nothing where no name is near.
pub fn did_you_mean<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = nearest(wrong, known);
    (!near.is_empty()).then(|| format!("did you mean {}?", near.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_come_best_first() {
        let known = ["vlan10", "vlan100", "bond0", "lo"];
        assert_eq!(nearest("vlan1O", known), ["vlan10", "vlan100"]);
        assert_eq!(nearest("wireless", known), Vec::<&str>::new());
    }
}
