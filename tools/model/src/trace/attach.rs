//! What a tool attached to, how, and what it left out.

use serde::{Deserialize, Serialize};

/// A way for a program to get at a function or an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mechanism {
    /// Entry and return of one kernel function, through a trampoline.
    #[serde(rename = "fentry")]
    Fentry,
    /// One kernel function, by a breakpoint or ftrace.
    #[serde(rename = "kprobe")]
    Kprobe,
    /// Many kernel functions in one go, CONFIG_FPROBE.
    #[serde(rename = "kprobe.multi")]
    KprobeMulti,
    /// The same with entry and return in one program, Linux 6.10.
    #[serde(rename = "kprobe.session")]
    KprobeSession,
    /// Events that the kernel declares.
    #[serde(rename = "tracepoint")]
    Tracepoint,
    /// The same with raw arguments.
    #[serde(rename = "raw-tracepoint")]
    RawTracepoint,
    /// Walks over kernel objects, Linux 5.8.
    #[serde(rename = "bpf-iterator")]
    Iterator,
    /// A function of a program or library.
    #[serde(rename = "uprobe")]
    Uprobe,
    /// Many functions of a program or library in one go, Linux 6.6.
    #[serde(rename = "uprobe.multi")]
    UprobeMulti,
    /// Samples of a CPU, perf_event_open(2).
    #[serde(rename = "perf-event")]
    PerfEvent,
}

impl Mechanism {
    /// The name that is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fentry => "fentry",
            Self::Kprobe => "kprobe",
            Self::KprobeMulti => "kprobe.multi",
            Self::KprobeSession => "kprobe.session",
            Self::Tracepoint => "tracepoint",
            Self::RawTracepoint => "raw-tracepoint",
            Self::Iterator => "bpf-iterator",
            Self::Uprobe => "uprobe",
            Self::UprobeMulti => "uprobe.multi",
            Self::PerfEvent => "perf-event",
        }
    }
}

/// Functions attached in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// Which way.
    pub mechanism: Mechanism,
    /// Why this one.
    pub reason: Reason,
    /// The functions, in the order of their indexes.
    pub functions: Vec<Function>,
}

/// Why a mechanism was chosen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// `--attach` said so.
    Asked,
    /// Few functions, all in BTF and with a name of their own: fentry is cheapest.
    Few,
    /// Stacks are walked: this mechanism hands over the registers of the function, so
    /// that no frames of its own and of the program are in the way.
    Stacks,
    /// More functions than are attached one by one.
    Many,
    /// A function is not in BTF, or not the only one of its name.
    NotInBtf,
    /// This kernel has no kprobe.multi (CONFIG_FPROBE).
    NoMulti,
    /// This kernel has no uprobe.multi (before Linux 6.6).
    NoUprobeMulti,
    /// The uprobe.multi of this kernel sees one thread of a process alone (before
    /// 46ba0e49b642, Linux 6.10 and stable kernels).
    OneThread,
    /// Nothing else gets there.
    OnlyWay,
    /// The better way was tried, and the kernel refused it with these words.
    Refused {
        /// What was tried.
        tried: Mechanism,
        /// The kernel's error.
        error: String,
    },
    /// One by one, because the kernel refused so many kprobes as one event.
    NoEvent {
        /// The kernel's error.
        error: String,
    },
}

/// An attached function or event.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Function {
    /// Its name; of a tracepoint `category:event`.
    pub name: String,
    /// The kernel module or the program or library that has it; absent: the kernel itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Its address, where the name is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<u64>,
}

impl Function {
    /// Whether it is of a program or library: those have a path.
    pub fn is_of_program(&self) -> bool {
        self.module.as_ref().is_some_and(|module| module.starts_with('/'))
    }
}

/// A function that matched and was not attached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Its name.
    pub name: String,
    /// The kernel module or the program or library that has it; absent: the kernel itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    /// Why not.
    pub reason: SkipReason,
}

/// Why a function that matched was not attached.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// `--skip` said so.
    Asked,
    /// A BPF program calls it itself: the host would hang.
    Denied,
    /// Of several functions of that name only some can be traced, and the kernel
    /// does not tell which.
    Ambiguous,
    /// The kernel does not show its address.
    NoAddress,
    /// Not in BTF, and fentry was asked for.
    NotInBtf,
    /// No code of the program or library that can be probed, in these words.
    Unfit(String),
    /// The kernel refused it with these words.
    Refused(String),
}
