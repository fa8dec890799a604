//! BPF programs: load, attach, drain, decode. One module a program, named after
//! its file in bpf/. Skeletons are private to their module.

use std::fmt::Display;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use hostdiag_model::trace::Mechanism;
use libbpf_rs::PrintLevel;

use crate::fail::{Code, Failure, as_root};
use crate::kernel::caps::{Capabilities, Capability};
use crate::kernel::is_confidential;

pub mod argcount;
pub mod attach;
pub mod btf;
pub mod core_types;
pub mod discover;
pub mod doctor;
pub mod events;
pub mod filter;
pub mod funccount;
pub mod funclatency;
pub mod kfunc;
pub mod kprobe_event;
pub mod ksym;
pub mod modules;
pub mod offcpu;
pub mod pattern;
pub mod plan;
pub mod process;
pub mod profile;
pub mod records;
pub mod run;
pub mod skeleton;
pub mod stack;
pub mod stackcount;
pub mod targets;
pub mod timer_names;
pub mod types;
pub mod user;
pub mod vlan_features;

/// The kernel's own types: without this file nothing of ours loads.
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// Why a kernel refuses what others allow.
const LOCKED_DOWN: &str = "it is locked down (confidentiality)";

/// What libbpf warned of while [`quietly`] ran.
static WARNINGS: Mutex<Vec<String>> = Mutex::new(Vec::new());
/// One [`quietly`] at a time: libbpf has one print callback a process.
static QUIET: Mutex<()> = Mutex::new(());

/// Runs `f` without libbpf printing on stderr. Returns its warnings instead,
/// one a line, no more than 40 of them: a verifier's log is long.
pub(crate) fn quietly<T>(f: impl FnOnce() -> T) -> (T, Vec<String>) {
    const MOST: usize = 40;
    fn collect(_: PrintLevel, text: String) {
        let mut warnings = WARNINGS.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MOST.saturating_sub(warnings.len());
        warnings
            .extend(text.lines().map(str::trim).filter(|line| !line.is_empty()).take(room).map(String::from));
    }
    let _one = QUIET.lock().unwrap_or_else(PoisonError::into_inner);
    let before = libbpf_rs::set_print(Some((PrintLevel::Warn, collect)));
    let result = f();
    libbpf_rs::set_print(before);
    let warnings = std::mem::take(&mut *WARNINGS.lock().unwrap_or_else(PoisonError::into_inner));
    (result, warnings)
}

/// Why the kernel did not take one of our programs, as an error with the next
/// step. `what` names the program for people.
pub(crate) fn refused(what: &str, error: &dyn Display, warnings: &[String]) -> Failure {
    let caps = Capabilities::of_this_thread();
    if !(caps.grants(Capability::Bpf) && caps.grants(Capability::Perfmon)) {
        return Failure::new(Code::NoPrivilege, format!("to load {what} takes CAP_BPF and CAP_PERFMON"))
            .hint(as_root());
    }
    if !Path::new(BTF).exists() {
        return Failure::new(Code::NoBpf, format!("{what}: this kernel has no type information ({BTF})"))
            .hint("a kernel built with CONFIG_DEBUG_INFO_BTF=y has it");
    }
    if is_confidential() {
        let message = format!("the kernel refused {what}: {LOCKED_DOWN}, so that nobody may read its memory");
        return Failure::new(Code::NoBpf, message)
            .hint("what reads none of it still works, as hostdiag funccount and funclatency do; the rest takes a boot without lockdown=confidentiality");
    }
    let mut message = format!("the kernel refused {what}: {error}");
    for warning in warnings.iter().take(3) {
        message.push_str("; ");
        message.push_str(warning);
    }
    Failure::new(Code::NoBpf, message).hint("hostdiag doctor tells what this kernel allows")
}

/// The error without the number, and without what was attempted where the kernel
/// gave a reason: `failed to attach BPF program: Operation not supported (os error 95)`.
pub(crate) fn reason(error: &str) -> &str {
    let text = error.split(" (os error").next().unwrap_or(error);
    text.rsplit(": ").next().unwrap_or(text)
}

/// Nothing could be attached in this way, the last that there was.
pub(crate) fn not_attached(mechanism: Mechanism, why: &str) -> Failure {
    let way = mechanism.as_str();
    if matches!(mechanism, Mechanism::Tracepoint | Mechanism::Uprobe | Mechanism::UprobeMulti) {
        return Failure::new(Code::NoBpf, format!("the kernel refused {way}: {why}"))
            .hint("hostdiag doctor tells what this kernel allows");
    }
    if is_confidential() {
        let message = format!("no function of the kernel could be attached ({way}: {why}): {LOCKED_DOWN}");
        return Failure::new(Code::NoProbes, message)
            .hint("tracepoints (t:category:event), user functions and --attach fentry still work; kprobes take a boot without lockdown=confidentiality");
    }
    let message = format!("no function of the kernel could be attached ({way}: {why})");
    Failure::new(Code::NoProbes, message)
        .hint("tracepoints (t:category:event) still work; hostdiag doctor tells what else, and what it takes")
}

#[cfg(test)]
mod tests {
    use super::reason;

    #[test]
    fn the_kernels_reason_is_kept() {
        let error = "failed to attach BPF program: Operation not supported (os error 95)";
        assert_eq!(reason(error), "Operation not supported");
        assert_eq!(reason("no such program"), "no such program");
    }
}
