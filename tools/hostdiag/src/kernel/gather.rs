//! Gathers the [`Facts`]. Nothing here decides anything, and nothing fails: what
//! cannot be read is a fact of its own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use aya::maps::MapType;
use aya::programs::{ProgramType, loaded_programs};
use aya::sys::{is_map_supported, is_program_supported};
use libbpf_rs::btf::{
    Btf,
    types::{Composite, Enum},
};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use super::caps::{Capabilities, Capability};
use super::facts::{Attempt, CONFIDENTIALITY, Facts, Kallsyms, Mechanism, TRIED};
use super::leftovers;
use crate::net::socket::Socket;
use crate::probe::{doctor, quietly};

/// Where hostdiag keeps files while it runs.
const RUN: &str = "/run/hostdiag";

impl Facts {
    /// Of this host and this process. Attaches and detaches a few empty
    /// programs, and removes what killed runs left in tracefs.
    pub fn gather() -> Self {
        let caps = Capabilities::of_this_thread();
        let tracefs = tracefs();
        let mut left = leftovers::remove_stale_events(tracefs);
        left.extend(leftovers::stale_files(Path::new(RUN)));
        let known = Known::read();
        Self {
            host: crate::host::this(),
            root: nix::unistd::geteuid().is_root(),
            caps,
            rtnetlink: Socket::open(NETLINK_ROUTE).map(drop).map_err(|error| error.to_string()),
            ethtool_netlink: ethtool_netlink().map_err(|error| error.to_string()),
            btf: File::open("/sys/kernel/btf/vmlinux").is_ok(),
            module_btf: module_btf(),
            lockdown: lockdown(),
            tracefs: opens(&tracefs.join("trace_clock")),
            function_list: opens(&tracefs.join("available_filter_functions")),
            kallsyms: File::open("/proc/kallsyms")
                .map_or(Kallsyms::Unreadable, |f| kallsyms(BufReader::new(f))),
            sysctls: sysctls(),
            pmus: names("/sys/bus/event_source/devices"),
            attach: TRIED.into_iter().map(|mechanism| (mechanism, attempt(mechanism, caps))).collect(),
            types: types(caps),
            counts_missed: known.missed,
            counts_recursion: known.recursion,
            charges_locked_memory: !known.coarse_clock,
            limits: limits(&fs::read_to_string("/proc/self/limits").unwrap_or_default()),
            foreign_programs: foreign_programs(),
            leftovers: left,
        }
    }
}

/// Where tracefs is mounted, or belongs where it is not.
pub fn tracefs() -> &'static Path {
    let places = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(Path::new);
    places.into_iter().find(|path| path.join("events").exists()).unwrap_or(places[0])
}

/// Whether the kernel knows the generic netlink family `ethtool`.
fn ethtool_netlink() -> io::Result<bool> {
    match Socket::open(NETLINK_GENERIC)?.family("ethtool") {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn opens(path: &Path) -> Result<(), String> {
    File::open(path).map(drop).map_err(|error| {
        let text = error.to_string();
        format!("{}: {}", path.display(), text.split(" (os error").next().unwrap_or(&text))
    })
}

fn names(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

fn module_btf() -> Option<bool> {
    let modules = fs::read_to_string("/proc/modules").ok().filter(|text| !text.is_empty())?;
    Some(
        modules
            .lines()
            .filter_map(|line| line.split(' ').next())
            .any(|m| Path::new("/sys/kernel/btf").join(m).exists()),
    )
}

/// The mode of the lockdown module, as far as securityfs shows it.
fn lockdown() -> Option<String> {
    chosen(&fs::read_to_string("/sys/kernel/security/lockdown").ok()?)
}

/// Whether the kernel is known to let nobody read its memory.
pub fn is_confidential() -> bool {
    lockdown().is_some_and(|mode| mode == CONFIDENTIALITY)
}

/// The chosen one of `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    text.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']')).map(String::from)
}

/// Whether any of the first symbols has an address. Not just the first: symbols
/// of per-CPU data begin at 0.
fn kallsyms(file: impl BufRead) -> Kallsyms {
    let shown = |line: io::Result<String>| line.is_ok_and(|l| l.bytes().take(16).any(|digit| digit != b'0'));
    if file.lines().take(5000).any(shown) { Kallsyms::Shown } else { Kallsyms::Hidden }
}

fn sysctls() -> BTreeMap<&'static str, i64> {
    [
        "perf_event_paranoid",
        "unprivileged_bpf_disabled",
        "kptr_restrict",
        "dmesg_restrict",
        "bpf_stats_enabled",
    ]
    .into_iter()
    .filter_map(|name| {
        let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name)).ok()?;
        Some((name, text.trim().parse().ok()?))
    })
    .collect()
}

fn attempt(mechanism: Mechanism, caps: Capabilities) -> Attempt {
    if caps.grants(Capability::Bpf) && caps.grants(Capability::Perfmon) {
        doctor::attempt(mechanism)
    } else {
        Attempt::NotTried("needs CAP_BPF and CAP_PERFMON".into())
    }
}

/// Types of programs and maps, by loading a program of two instructions and
/// making a map of one entry.
fn types(caps: Capabilities) -> Vec<(&'static str, Option<bool>)> {
    let programs = [
        ("program kprobe", ProgramType::KProbe),
        ("program tracepoint", ProgramType::TracePoint),
        ("program perf_event", ProgramType::PerfEvent),
        ("program raw_tracepoint", ProgramType::RawTracePoint),
        ("program tracing", ProgramType::Tracing),
    ];
    let maps = [
        ("map hash", MapType::Hash),
        ("map percpu_array", MapType::PerCpuArray),
        ("map stack_trace", MapType::StackTrace),
        ("map ringbuf", MapType::RingBuf),
        ("map task_storage", MapType::TaskStorage),
    ];
    let may = caps.grants(Capability::Bpf) && caps.grants(Capability::Perfmon);
    // Refused although we may: the type is known, but not to be had (lockdown).
    let ask = |supported: Option<bool>| may.then(|| supported.unwrap_or(false));
    let programs = programs.into_iter().map(|(name, kind)| (name, ask(is_program_supported(kind).ok())));
    let maps = maps.into_iter().map(|(name, kind)| (name, ask(is_map_supported(kind).ok())));
    programs.chain(maps).collect()
}

/// What the kernel's BTF tells.
#[derive(Default)]
struct Known {
    /// `bpf_link_info` has a member `missed` (in its kprobe_multi part).
    missed: bool,
    /// `bpf_prog_info` has `recursion_misses`.
    recursion: bool,
    /// The helper `bpf_ktime_get_coarse_ns`, which came with the accounting of
    /// BPF memory by cgroup instead of RLIMIT_MEMLOCK, as libbpf asks too.
    coarse_clock: bool,
}

impl Known {
    fn read() -> Self {
        let (btf, _) = quietly(|| Btf::from_vmlinux().ok());
        let Some(btf) = btf else { return Self::default() };
        let has = |name: &str, member: &str| {
            btf.type_by_name::<Composite<'_>>(name).is_some_and(|found| has_member(&btf, &found, member))
        };
        let helpers = btf.type_by_name::<Enum<'_>>("bpf_func_id");
        Self {
            missed: has("bpf_link_info", "missed"),
            recursion: has("bpf_prog_info", "recursion_misses"),
            coarse_clock: helpers.is_some_and(|helpers| {
                helpers.iter().any(|helper| helper.name.is_some_and(|n| n == "BPF_FUNC_ktime_get_coarse_ns"))
            }),
        }
    }
}

/// Looks into the structs and unions that the composite is made of.
fn has_member(btf: &Btf<'_>, composite: &Composite<'_>, name: &str) -> bool {
    composite.iter().any(|member| {
        member.name.is_some_and(|found| found == name)
            || btf.type_by_id::<Composite<'_>>(member.ty).is_some_and(|inner| has_member(btf, &inner, name))
    })
}

/// Soft limits in /proc/self/limits; `unlimited` is absent.
fn limits(text: &str) -> BTreeMap<&'static str, Option<u64>> {
    ["Max locked memory", "Max open files"]
        .into_iter()
        .filter_map(|name| {
            let soft = text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?;
            Some((name, if soft == "unlimited" { None } else { Some(soft.parse().ok()?) }))
        })
        .collect()
}

/// Programs in the network's path: XDP, tc, cgroup. include/uapi/linux/bpf.h has
/// the numbers: sched_cls 3, sched_act 4, xdp 6, cgroup_skb 8, cgroup_sock 9,
/// sock_ops 13, cgroup_device 15, cgroup_sock_addr 18, cgroup_sysctl 23,
/// cgroup_sockopt 25. Absent where programs cannot be listed.
pub fn foreign_programs() -> Option<usize> {
    const TYPES: [u32; 10] = [3, 4, 6, 8, 9, 13, 15, 18, 23, 25];
    let mut count = 0;
    for program in loaded_programs() {
        count += usize::from(TYPES.contains(&(program.ok()?.program_type() as u32)));
    }
    Some(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_lockdown_mode_is_read() {
        assert_eq!(chosen("none [integrity] confidentiality\n").as_deref(), Some("integrity"));
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn per_cpu_symbols_at_0_do_not_hide_the_rest() {
        let shown = "0000000000000000 A fixed_percpu_data\nffffffff81000000 T _text\n";
        assert_eq!(kallsyms(shown.as_bytes()), Kallsyms::Shown);
        let hidden = "0000000000000000 A fixed_percpu_data\n0000000000000000 T _text\n";
        assert_eq!(kallsyms(hidden.as_bytes()), Kallsyms::Hidden);
    }

    #[test]
    fn soft_limits_are_read() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
                    Max open files            1024                 524288               files     \n\
                    Max locked memory         unlimited            unlimited            bytes     \n";
        let limits = limits(text);
        assert_eq!(limits["Max open files"], Some(1024));
        assert_eq!(limits["Max locked memory"], None);
    }
}
