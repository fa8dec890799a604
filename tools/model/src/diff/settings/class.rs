//! Whose doing a difference is.

use serde::Serialize;

use crate::features::FeatureState;
use crate::glob;
use crate::snapshot::Area;

/// Whose doing it is that a setting differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// An administrator's, or that of a program that one runs.
    Set,
    /// It comes with the kernel or the distribution.
    Os,
    /// It follows from another setting of the same device.
    Follows,
    /// It follows from the hardware.
    Hardware,
    /// It is another on every host, and at every time.
    Volatile,
}

/// What is known by name, whatever else is said; the first that fits counts.
const BY_NAME: [(Area, &str, Class); 49] = [
    // Counters and states that /proc/sys has among the settings.
    (Area::Sysctl, "kernel.random.*", Class::Volatile),
    (Area::Sysctl, "kernel.ns_last_pid", Class::Volatile),
    (Area::Sysctl, "kernel.pty.nr", Class::Volatile),
    (Area::Sysctl, "kernel.hostname", Class::Volatile),
    (Area::Sysctl, "kernel.domainname", Class::Volatile),
    (Area::Sysctl, "kernel.tainted", Class::Volatile),
    (Area::Sysctl, "kernel.perf_event_max_sample_rate", Class::Volatile),
    (Area::Sysctl, "kernel.sched_domain.*", Class::Hardware),
    (Area::Sysctl, "kernel.version", Class::Os),
    (Area::Sysctl, "fs.*-state", Class::Volatile),
    (Area::Sysctl, "fs.*-nr", Class::Volatile),
    (Area::Sysctl, "fs.quota.*", Class::Volatile),
    (Area::Sysctl, "net.netfilter.nf_conntrack_count", Class::Volatile),
    (Area::Sysctl, "net.ipv4.tcp_fastopen_key", Class::Volatile),
    (Area::Sysctl, "*.stable_secret", Class::Volatile),
    (Area::Sysctl, "net.ipv6.conf.*.mtu", Class::Follows),
    // Computed from the memory and the CPUs at boot.
    (Area::Sysctl, "fs.file-max", Class::Hardware),
    (Area::Sysctl, "fs.epoll.max_user_watches", Class::Hardware),
    (Area::Sysctl, "fs.inotify.max_user_watches", Class::Hardware),
    (Area::Sysctl, "kernel.threads-max", Class::Hardware),
    (Area::Sysctl, "kernel.pid_max", Class::Hardware),
    (Area::Sysctl, "user.max_*", Class::Hardware),
    (Area::Sysctl, "vm.min_free_kbytes", Class::Hardware),
    (Area::Sysctl, "vm.lowmem_reserve_ratio", Class::Hardware),
    (Area::Sysctl, "vm.user_reserve_kbytes", Class::Hardware),
    (Area::Sysctl, "net.ipv4.tcp_mem", Class::Hardware),
    (Area::Sysctl, "net.ipv4.udp_mem", Class::Hardware),
    (Area::Sysctl, "net.ipv4.tcp_max_orphans", Class::Hardware),
    (Area::Sysctl, "net.ipv4.tcp_max_tw_buckets", Class::Hardware),
    (Area::Sysctl, "net.netfilter.nf_conntrack_max", Class::Hardware),
    (Area::Sysctl, "net.netfilter.nf_conntrack_buckets", Class::Hardware),
    // Limits of init, which the kernel computes.
    (Area::Cgroup, "Max locked memory", Class::Hardware),
    (Area::Cgroup, "Max pending signals", Class::Hardware),
    (Area::Cgroup, "Max processes", Class::Hardware),
    (Area::Bpf, "programs", Class::Follows),
    (Area::Kernel, "taint*", Class::Set),
    (Area::Cpu, "*microcode*", Class::Hardware),
    (Area::Cpu, "*model*", Class::Hardware),
    (Area::Cpu, "*clocksource*", Class::Hardware),
    (Area::Cpu, "cpuinfo_*", Class::Hardware),
    (Area::Cpu, "online", Class::Hardware),
    (Area::Memory, "*otal*", Class::Hardware),
    (Area::Memory, "numa [ncd][oui]*", Class::Hardware),
    (Area::Os, "hardware *", Class::Hardware),
    (Area::Os, "firmware *", Class::Hardware),
    (Area::Link, "operstate", Class::Volatile),
    (Area::Link, "ifindex", Class::Volatile),
    (Area::Link, "*address*", Class::Volatile),
    (Area::Link, "driver", Class::Hardware),
];

/// Of what a setting is called, and of what it is; its values and the lines that set it
/// on both sides; whether kernel and distribution are the same.
pub(super) fn of(
    (area, of, name): (Area, Option<&str>, &str),
    values: [Option<&str>; 2],
    origins: &[Option<String>; 2],
    same_system: bool,
) -> Class {
    let administrator = |origin: &String| origin.starts_with("/etc/") || origin.starts_with("/run/");
    if origins.iter().flatten().any(administrator) {
        return Class::Set;
    }
    if (area, of) == (Area::Kernel, Some("cmdline")) {
        return Class::Set;
    }
    let known = BY_NAME.iter().find(|(known, pattern, _)| *known == area && glob::matches(pattern, name));
    if let Some((_, _, class)) = known {
        return *class;
    }
    // What one kernel alone has came with it, unless somebody has loaded it.
    let alone = values.iter().any(Option::is_none);
    match area {
        Area::Config | Area::Os | Area::Package => Class::Os,
        Area::Bpf if of.is_some_and(|of| OF_SYSTEMD.iter().any(|pattern| glob::matches(pattern, of))) => {
            Class::Os
        }
        // Another systemd gives init other limits.
        Area::Cgroup if of == Some("init") && !same_system => Class::Os,
        Area::Bpf | Area::Cgroup => Class::Set,
        Area::Module if alone && same_system => Class::Set,
        Area::Link if !alone => Class::Set,
        // `root fq_codel limit`, where the other side has no fq_codel there.
        Area::Qdisc if alone && name.contains(' ') => Class::Follows,
        Area::Kernel if origins.iter().all(Option::is_none) => Class::Os,
        Area::Nic if HARDWARE.iter().any(|pattern| glob::matches(pattern, name)) => Class::Hardware,
        _ if alone || !same_system || origins.iter().any(Option::is_some) => Class::Os,
        _ => Class::Set,
    }
}

/// Programs that systemd loads for its units, by its source (`src/core/bpf`); the kernel
/// keeps 15 characters of a name.
const OF_SYSTEMD: [&str; 5] = ["sd_*", "restrict_filesy*", "restrict_fs*", "sysctl_monitor", "socket_bind*"];

/// Of a card what it is, not how it is set.
const HARDWARE: [&str; 6] = ["driver*", "firmware*", "bus*", "speed*", "*supported*", "*max*"];

/// A feature that works on one side alone.
pub(super) fn of_feature(states: [FeatureState; 2], lost: bool, same_system: bool) -> Class {
    let [a, b] = states;
    let off = if a.active() { b } else { a };
    match off {
        FeatureState::OffFixed => Class::Hardware,
        FeatureState::OffRequestedOn => Class::Follows,
        // Kernels have other defaults, as that of GRO on veth.
        _ if !lost && !same_system => Class::Os,
        _ => Class::Set,
    }
}
