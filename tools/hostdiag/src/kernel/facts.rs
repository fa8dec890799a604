//! The facts, as plain data.

use std::collections::BTreeMap;

use hostdiag_model::Host;
pub use hostdiag_model::trace::Mechanism;

use super::caps::Capabilities;

/// The ways to attach that are tried, in the order in which they are printed.
pub const TRIED: [Mechanism; 8] = [
    Mechanism::Fentry,
    Mechanism::Kprobe,
    Mechanism::KprobeMulti,
    Mechanism::KprobeSession,
    Mechanism::UprobeMulti,
    Mechanism::Tracepoint,
    Mechanism::RawTracepoint,
    Mechanism::Iterator,
];

/// The lockdown mode that forbids BPF programs to read kernel memory, and kprobes
/// and tracefs altogether (include/linux/security.h).
pub const CONFIDENTIALITY: &str = "confidentiality";

/// What came of trying something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// It worked.
    Works,
    /// The kernel refused, with its reason.
    Refused(String),
    /// Not tried, and why.
    NotTried(String),
}

/// How kallsyms shows the addresses of functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kallsyms {
    /// With addresses.
    Shown,
    /// All addresses are 0 (`kernel.kptr_restrict`, or no privilege).
    Hidden,
    /// The file cannot be read.
    Unreadable,
}

/// Everything that [`super::plan::plan`] decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Name, kernel release, machine, OS.
    pub host: Host,
    /// The effective user is root.
    pub root: bool,
    /// Effective capabilities.
    pub caps: Capabilities,
    /// rtnetlink answers; else why not.
    pub rtnetlink: Result<(), String>,
    /// The generic netlink family `ethtool` is there (Linux 5.6); else why
    /// generic netlink did not answer at all.
    pub ethtool_netlink: Result<bool, String>,
    /// /sys/kernel/btf/vmlinux is readable.
    pub btf: bool,
    /// So is the BTF of at least one module; absent where no module is loaded.
    pub module_btf: Option<bool>,
    /// `[none]`, `[integrity]` or `[confidentiality]` of the lockdown module, without
    /// the brackets; absent where securityfs does not show it.
    pub lockdown: Option<String>,
    /// tracefs is mounted and its list of functions opens; else why not.
    pub tracefs: Result<(), String>,
    /// `available_filter_functions` opens; else why not.
    pub function_list: Result<(), String>,
    /// Addresses in /proc/kallsyms.
    pub kallsyms: Kallsyms,
    /// Numbers of `kernel.*` sysctls, those that exist.
    pub sysctls: BTreeMap<&'static str, i64>,
    /// Names in /sys/bus/event_source/devices.
    pub pmus: Vec<String>,
    /// Every mechanism, attached for an instant.
    pub attach: BTreeMap<Mechanism, Attempt>,
    /// BPF program and map types that a small test program uses, by name;
    /// absent where the kernel could not be asked.
    pub types: Vec<(&'static str, Option<bool>)>,
    /// The kernel tells how often a kprobe link missed a call (about 6.7).
    pub counts_missed: bool,
    /// The kernel tells how often a program was skipped in recursion (5.12).
    pub counts_recursion: bool,
    /// BPF maps and programs count against the limit of locked memory (before 5.11).
    pub charges_locked_memory: bool,
    /// Soft limits of this process by name of /proc/self/limits; absent is unlimited.
    pub limits: BTreeMap<&'static str, Option<u64>>,
    /// XDP, tc and cgroup programs of others that are loaded; absent where they
    /// cannot be listed.
    pub foreign_programs: Option<usize>,
    /// What earlier runs left behind, a line each.
    pub leftovers: Vec<String>,
}

impl Facts {
    /// Whether lockdown is in mode confidentiality.
    pub fn is_confidential(&self) -> bool {
        self.lockdown.as_deref() == Some(CONFIDENTIALITY)
    }
}

#[cfg(test)]
impl Facts {
    /// A host where nothing is missing.
    pub(crate) fn capable() -> Self {
        let host = Host {
            name: "web17".into(),
            kernel: Some("6.12.117-amd64".into()),
            machine: Some("x86_64".into()),
            os: None,
        };
        Self {
            host,
            root: true,
            caps: Capabilities::all(),
            rtnetlink: Ok(()),
            ethtool_netlink: Ok(true),
            btf: true,
            module_btf: Some(true),
            lockdown: Some("none".into()),
            tracefs: Ok(()),
            function_list: Ok(()),
            kallsyms: Kallsyms::Shown,
            sysctls: [("perf_event_paranoid", 2), ("unprivileged_bpf_disabled", 2), ("kptr_restrict", 0)]
                .into_iter()
                .chain([("dmesg_restrict", 0), ("bpf_stats_enabled", 0)])
                .collect(),
            pmus: ["cpu", "kprobe", "software", "tracepoint", "uprobe"].map(String::from).to_vec(),
            attach: TRIED.into_iter().map(|mechanism| (mechanism, Attempt::Works)).collect(),
            types: vec![("program perf_event", Some(true)), ("map ringbuf", Some(true))],
            counts_missed: true,
            counts_recursion: true,
            charges_locked_memory: false,
            limits: [("Max locked memory", None), ("Max open files", Some(1024))].into_iter().collect(),
            foreign_programs: Some(0),
            leftovers: Vec::new(),
        }
    }
}
