//! From facts to checks: what is there, what is missing, what provides it. Pure.

use hostdiag_model::{Check, CheckState};

use super::caps::Capability;
use super::facts::{Attempt, CONFIDENTIALITY, Facts, Kallsyms, Mechanism, TRIED};

mod accounting;

/// What checks are for.
const OFFLOAD: &str = "offload";
const VLANS: &str = "offload: stuck or limit";
const FIX: &str = "changing features";
const FUNCTIONS: &str = "measuring functions";
const STACKS: &str = "stacks and profiles";

const UNLOCK: &str = "boot without lockdown=confidentiality";
const MOUNT_TRACEFS: &str = "sudo mount -t tracefs tracefs /sys/kernel/tracing";
/// How to get privileges; root may lack them too.
fn as_root(facts: &Facts) -> &'static str {
    if facts.root {
        "root lacks it here: run it on the host, or add the capability to the container"
    } else {
        "run it as root: sudo hostdiag doctor"
    }
}

/// Every check, what subcommands cannot do without first.
pub fn plan(facts: &Facts) -> Vec<Check> {
    let mut checks = vec![machine(facts), rtnetlink(facts), features_api(facts)];
    checks.extend([
        capability(facts, &[Capability::NetAdmin], FIX),
        capability(facts, &[Capability::Bpf, Capability::Perfmon], VLANS),
        capability(facts, &[Capability::SysAdmin], "offload --netns, --all-netns"),
        btf(facts),
        lockdown(facts),
        functions(facts),
    ]);
    checks.extend(TRIED.map(|mechanism| attach(facts, mechanism)));
    checks.extend([tracefs(facts), function_list(facts), kallsyms(facts)]);
    checks.extend(accounting::checks(facts));
    checks
}

/// A check under construction.
fn check(name: &str, needed_for: &[&str]) -> Check {
    Check {
        name: name.into(),
        state: CheckState::Ok,
        detail: String::new(),
        needed_for: needed_for.iter().copied().map(String::from).collect(),
        required: false,
        remedy: None,
    }
}

fn ok(check: Check, detail: impl Into<String>) -> Check {
    Check { detail: detail.into(), ..check }
}

fn missing(check: Check, detail: impl Into<String>, remedy: &str) -> Check {
    Check { state: CheckState::Missing, detail: detail.into(), remedy: Some(remedy.into()), ..check }
}

fn unknown(check: Check, detail: impl Into<String>, remedy: &str) -> Check {
    Check { state: CheckState::Unknown, detail: detail.into(), remedy: Some(remedy.into()), ..check }
}

fn machine(facts: &Facts) -> Check {
    let check = Check { required: true, ..check("machine", &["everything"]) };
    match facts.host.machine.as_deref() {
        Some("x86_64") => ok(check, "x86_64"),
        other => {
            missing(check, format!("{} is not supported", other.unwrap_or("unknown")), "use an x86_64 host")
        }
    }
}

fn rtnetlink(facts: &Facts) -> Check {
    let check = Check { required: true, ..check("rtnetlink", &[OFFLOAD]) };
    match &facts.rtnetlink {
        Ok(()) => ok(check, "answers"),
        Err(why) => {
            missing(check, why, "run it outside the container or sandbox that refuses netlink sockets")
        }
    }
}

/// ioctl is always there; with netlink a namespace is read in one go.
fn features_api(facts: &Facts) -> Check {
    let check = check("features-api", &[OFFLOAD]);
    match &facts.ethtool_netlink {
        Ok(true) => ok(check, "generic netlink family ethtool"),
        Ok(false) => {
            ok(check, "ioctl: no generic netlink family ethtool (Linux before 5.6, or built without)")
        }
        Err(why) => ok(check, format!("ioctl: {why}")),
    }
}

fn capability(facts: &Facts, wanted: &[Capability], needed_for: &str) -> Check {
    let names = wanted.iter().map(|capability| capability.as_str()).collect::<Vec<_>>().join(" and ");
    let lacking: Vec<&str> =
        wanted.iter().filter(|c| !facts.caps.grants(**c)).map(|capability| capability.as_str()).collect();
    let check = check(
        &names.replace(" and ", "+").replace("CAP_", "cap-").replace('_', "-").to_lowercase(),
        &[needed_for],
    );
    if lacking.is_empty() {
        ok(check, names)
    } else {
        missing(check, format!("no {}", lacking.join(", no ")), as_root(facts))
    }
}

fn btf(facts: &Facts) -> Check {
    let check = check("btf", &[VLANS, FUNCTIONS, STACKS]);
    match (facts.btf, facts.module_btf) {
        (false, _) => {
            missing(check, "no /sys/kernel/btf/vmlinux", "boot a kernel with CONFIG_DEBUG_INFO_BTF=y")
        }
        (true, Some(false)) => ok(check, "of the kernel, not of its modules (CONFIG_DEBUG_INFO_BTF_MODULES)"),
        (true, Some(true)) => ok(check, "of the kernel and its modules"),
        (true, None) => ok(check, "of the kernel; no modules are loaded"),
    }
}

/// Integrity does not hinder reading.
fn lockdown(facts: &Facts) -> Check {
    let check = check("lockdown", &[VLANS, FUNCTIONS, STACKS]);
    match facts.lockdown.as_deref() {
        None => unknown(
            check,
            "no /sys/kernel/security/lockdown",
            "sudo mount -t securityfs securityfs /sys/kernel/security",
        ),
        Some(CONFIDENTIALITY) => {
            missing(check, "confidentiality: the kernel lets nobody read its memory", UNLOCK)
        }
        Some(mode) => ok(check, mode),
    }
}

/// What a measurement of functions would attach with.
fn functions(facts: &Facts) -> Check {
    let check = check("function-probes", &[FUNCTIONS]);
    let works = |mechanism| facts.attach.get(&mechanism) == Some(&Attempt::Works);
    let best = |order: &[Mechanism]| order.iter().copied().find(|mechanism| works(*mechanism));
    use Mechanism::{Fentry, Kprobe, KprobeMulti, KprobeSession};
    let few = best(&[Fentry, KprobeSession, KprobeMulti, Kprobe]);
    let many = best(&[KprobeSession, KprobeMulti, Fentry, Kprobe]);
    match (few, many) {
        (Some(few), Some(many)) => ok(check, format!("few by {}, many by {}", few.as_str(), many.as_str())),
        _ if facts.attach.values().any(|attempt| matches!(attempt, Attempt::NotTried(_))) => {
            unknown(check, "not tried without privileges", as_root(facts))
        }
        _ => missing(
            check,
            "neither fentry nor kprobes; tracepoints, user functions and the CPU profile remain",
            "boot a kernel with CONFIG_KPROBES=y or CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y",
        ),
    }
}

fn attach(facts: &Facts, mechanism: Mechanism) -> Check {
    let needed_for = if mechanism == Mechanism::Iterator { VLANS } else { FUNCTIONS };
    let check = check(mechanism.as_str(), &[needed_for]);
    match facts.attach.get(&mechanism) {
        Some(Attempt::Works) => ok(check, "attached and detached"),
        // The number of a tracepoint is in tracefs.
        Some(Attempt::Refused(why)) if mechanism == Mechanism::Tracepoint && facts.tracefs.is_err() => {
            missing(check, why, MOUNT_TRACEFS)
        }
        Some(Attempt::Refused(why)) if mechanism == Mechanism::Kprobe && facts.is_confidential() => {
            missing(check, why, UNLOCK)
        }
        Some(Attempt::Refused(why)) => missing(check, why, remedy(mechanism)),
        Some(Attempt::NotTried(why)) => unknown(check, why, as_root(facts)),
        None => unknown(check, "not tried", as_root(facts)),
    }
}

fn remedy(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::Fentry => {
            "a kernel with CONFIG_DYNAMIC_FTRACE_WITH_DIRECT_CALLS=y; kprobes do it too, slower"
        }
        Mechanism::Kprobe => "a kernel with CONFIG_KPROBES=y and CONFIG_KPROBE_EVENTS=y",
        Mechanism::KprobeMulti => {
            "a kernel with CONFIG_FPROBE=y, 5.18 or later; else functions attach one by one"
        }
        Mechanism::KprobeSession => {
            "a kernel with CONFIG_FPROBE=y, 6.10 or later; else two programs a function"
        }
        Mechanism::Tracepoint | Mechanism::RawTracepoint => "a kernel with CONFIG_BPF_EVENTS=y",
        Mechanism::Iterator => "a kernel of 5.8 or later with CONFIG_DEBUG_INFO_BTF=y",
        Mechanism::UprobeMulti => {
            "a kernel with CONFIG_UPROBES=y, 6.6 or later; else functions of programs attach one by one"
        }
        Mechanism::Uprobe => "a kernel with CONFIG_UPROBES=y and CONFIG_UPROBE_EVENTS=y",
        Mechanism::PerfEvent => "a kernel with CONFIG_PERF_EVENTS=y",
    }
}

fn tracefs(facts: &Facts) -> Check {
    let check = check("tracefs", &[FUNCTIONS]);
    match &facts.tracefs {
        Ok(()) => ok(check, "mounted, readable"),
        Err(why) if facts.is_confidential() => missing(check, why, UNLOCK),
        Err(why) if why.contains("ermission denied") => missing(check, why, as_root(facts)),
        Err(why) => missing(check, why, MOUNT_TRACEFS),
    }
}

fn function_list(facts: &Facts) -> Check {
    let check = check("function-list", &[FUNCTIONS]);
    match &facts.function_list {
        Ok(()) => ok(check, "available_filter_functions"),
        Err(why) if facts.is_confidential() => {
            missing(check, why, "boot without lockdown=confidentiality; the list comes from kallsyms and BTF")
        }
        Err(why) => {
            missing(check, why, "as root with tracefs mounted; else the list comes from kallsyms and BTF")
        }
    }
}

fn kallsyms(facts: &Facts) -> Check {
    let check = check("kallsyms", &[FUNCTIONS, STACKS]);
    match facts.kallsyms {
        Kallsyms::Shown => ok(check, "with addresses"),
        Kallsyms::Hidden if !facts.caps.grants(Capability::SysAdmin) => {
            missing(check, "addresses are hidden", as_root(facts))
        }
        Kallsyms::Hidden => missing(check, "addresses are hidden", "sudo sysctl kernel.kptr_restrict=1"),
        Kallsyms::Unreadable => {
            missing(check, "/proc/kallsyms cannot be read", "a kernel with CONFIG_KALLSYMS=y")
        }
    }
}

#[cfg(test)]
mod tests;
