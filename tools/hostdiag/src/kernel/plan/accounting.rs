//! Checks of what is counted, what limits us, and what others run.

use hostdiag_model::Check;

use super::{FUNCTIONS, STACKS, as_root, check, missing, ok, unknown};
use crate::kernel::caps::Capability;
use crate::kernel::facts::Facts;

pub(super) fn checks(facts: &Facts) -> Vec<Check> {
    vec![
        pmu(facts, "kprobe", "CONFIG_KPROBE_EVENTS=y", FUNCTIONS),
        pmu(facts, "uprobe", "CONFIG_UPROBE_EVENTS=y", "measuring user functions"),
        hardware_clock(facts),
        perf_paranoid(facts),
        unprivileged_bpf(facts),
        types(facts),
        counted(facts.counts_missed, "missed-calls", "about Linux 6.7"),
        counted(facts.counts_recursion, "recursion", "Linux 5.12"),
        locked_memory(facts),
        open_files(facts),
        bpf_stats(facts),
        kernel_log(facts),
        leftovers(facts),
    ]
}

fn pmu(facts: &Facts, name: &str, config: &str, needed_for: &str) -> Check {
    let check = check(&format!("pmu-{name}"), &[needed_for]);
    if facts.pmus.iter().any(|pmu| pmu == name) {
        return ok(check, "there");
    }
    missing(
        check,
        format!("no /sys/bus/event_source/devices/{name}"),
        &format!("boot a kernel with {config}"),
    )
}

/// Virtual machines often have none. Then the profile samples by a timer.
fn hardware_clock(facts: &Facts) -> Check {
    let check = check("cpu-clock", &[STACKS]);
    let hardware = facts.pmus.iter().any(|pmu| pmu.starts_with("cpu"));
    ok(check, if hardware { "hardware counters" } else { "no hardware counters: profiles sample by timer" })
}

fn perf_paranoid(facts: &Facts) -> Check {
    let check = check("perf-paranoid", &[STACKS]);
    match facts.sysctls.get("perf_event_paranoid") {
        None => missing(check, "no perf events", "boot a kernel with CONFIG_PERF_EVENTS=y"),
        Some(level) if facts.caps.grants(Capability::Perfmon) || *level < 0 => {
            ok(check, format!("kernel.perf_event_paranoid={level}, does not bind CAP_PERFMON"))
        }
        Some(level) => missing(check, format!("kernel.perf_event_paranoid={level}"), as_root(facts)),
    }
}

fn unprivileged_bpf(facts: &Facts) -> Check {
    let check = check("unprivileged-bpf", &[]);
    let detail = match facts.sysctls.get("unprivileged_bpf_disabled") {
        Some(0) => "allowed, which hostdiag does not need",
        Some(_) => "disabled, as it should be",
        None => "no such sysctl",
    };
    ok(check, detail)
}

fn types(facts: &Facts) -> Check {
    let check = check("bpf-types", &[FUNCTIONS, STACKS]);
    let named = |wanted: Option<bool>| {
        let names = facts.types.iter().filter(|(_, found)| *found == wanted).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(", ")
    };
    let (absent, untold) = (named(Some(false)), named(None));
    if !absent.is_empty() {
        missing(check, format!("not: {absent}"), "a newer kernel; what uses them falls back or says so")
    } else if !untold.is_empty() {
        unknown(check, format!("could not ask for: {untold}"), as_root(facts))
    } else {
        ok(check, format!("all {} of them", facts.types.len()))
    }
}

fn counted(there: bool, name: &str, since: &str) -> Check {
    let check = check(name, &[FUNCTIONS]);
    if there {
        return ok(check, "counted by this kernel");
    }
    missing(
        check,
        "not counted by this kernel: such a loss is not seen",
        &format!("a newer kernel ({since})"),
    )
}

/// libbpf raises the limit where it may.
fn locked_memory(facts: &Facts) -> Check {
    const ENOUGH: u64 = 64 << 20;
    let check = check("locked-memory", &[FUNCTIONS, STACKS]);
    if !facts.charges_locked_memory {
        return ok(check, "charged to the cgroup, no limit of ours");
    }
    match facts.limits.get("Max locked memory") {
        Some(Some(bytes)) if *bytes < ENOUGH && !facts.caps.grants(Capability::SysResource) => {
            let detail = format!("limit {} KiB, no CAP_SYS_RESOURCE to raise it", bytes >> 10);
            missing(check, detail, "ulimit -l unlimited, or LimitMEMLOCK=infinity")
        }
        Some(Some(bytes)) => ok(check, format!("limit {} KiB, raised where needed", bytes >> 10)),
        Some(None) => ok(check, "unlimited"),
        None => unknown(check, "/proc/self/limits cannot be read", "mount /proc"),
    }
}

/// One descriptor for each function that is attached alone.
fn open_files(facts: &Facts) -> Check {
    const ENOUGH: u64 = 1024;
    let check = check("open-files", &[FUNCTIONS]);
    match facts.limits.get("Max open files") {
        Some(Some(files)) if *files < ENOUGH => {
            missing(check, format!("limit {files}"), "ulimit -n 65536, or LimitNOFILE=65536")
        }
        Some(Some(files)) => ok(check, format!("limit {files}")),
        Some(None) => ok(check, "unlimited"),
        None => unknown(check, "/proc/self/limits cannot be read", "mount /proc"),
    }
}

/// Run-time statistics cost every program of the host, so they stay off where
/// others have programs in the network's path.
fn bpf_stats(facts: &Facts) -> Check {
    let check = check("bpf-stats", &["own overhead"]);
    let on = facts.sysctls.get("bpf_stats_enabled").is_some_and(|value| *value != 0);
    match facts.foreign_programs {
        _ if on => ok(check, "already on (kernel.bpf_stats_enabled=1)"),
        None => unknown(check, "loaded programs cannot be listed", as_root(facts)),
        Some(0) => ok(check, "off; no foreign XDP, tc or cgroup programs"),
        Some(count) => ok(check, format!("off, stays off: {count} foreign XDP, tc or cgroup programs run")),
    }
}

fn kernel_log(facts: &Facts) -> Check {
    let check = check("kernel-log", &[]);
    match facts.sysctls.get("dmesg_restrict") {
        // CAP_SYSLOG is what the kernel asks for; who has CAP_SYS_ADMIN passes too.
        Some(restricted) if *restricted != 0 && !facts.caps.grants(Capability::SysAdmin) => {
            missing(check, "kernel.dmesg_restrict=1", as_root(facts))
        }
        _ => ok(check, "readable"),
    }
}

fn leftovers(facts: &Facts) -> Check {
    let check = check("leftovers", &[]);
    let rest = facts.leftovers.iter().filter(|line| !line.ends_with(": removed")).count();
    let removed = facts.leftovers.len() - rest;
    match (removed, rest) {
        (0, 0) => ok(check, "none of earlier runs"),
        (removed, 0) => ok(check, format!("{removed} of earlier runs, removed")),
        (_, rest) => missing(check, format!("{rest} of earlier runs, listed below"), "remove them as root"),
    }
}
