//! Files of one value, a line each: where it is, and what it is called.

use std::collections::BTreeMap;

use hostdiag_model::glob;
use hostdiag_model::snapshot::{Area, Value};

use super::found::{Found, Key, is_absent, why};

/// Area, path, name. A step of the path that is a pattern says of which device or CPU the
/// value is; one in braces is folded: all of its members are one setting, whose value says
/// where they differ. Where the last step is a pattern, `*` in the name stands for it.
const ROWS: &[(Area, &str, &str)] = &[
    (Area::Kernel, "/sys/devices/system/cpu/vulnerabilities/*", "mitigation *"),
    (Area::Kernel, "/sys/kernel/livepatch/*/enabled", "livepatch"),
    (Area::Kernel, "/sys/kernel/security/lockdown", "lockdown"),
    (Area::Kernel, "/sys/kernel/security/lsm", "lsm"),
    (Area::Kernel, "/sys/kernel/rcu_expedited", "rcu_expedited"),
    (Area::Kernel, "/sys/kernel/rcu_normal", "rcu_normal"),
    (Area::Kernel, "/sys/kernel/debug/sched/preempt", "preempt"),
    (Area::Kernel, "/sys/kernel/debug/sched/features", "sched_features"),
    (Area::Kernel, "/sys/kernel/tracing/current_tracer", "current_tracer"),
    (Area::Kernel, "/sys/kernel/tracing/tracing_on", "tracing_on"),
    (Area::Kernel, "/sys/kernel/tracing/kprobe_events", "kprobe_events"),
    (Area::Cpu, "/sys/devices/system/cpu/online", "online"),
    (Area::Cpu, "/sys/devices/system/cpu/offline", "offline"),
    (Area::Cpu, "/sys/devices/system/cpu/isolated", "isolated"),
    (Area::Cpu, "/sys/devices/system/cpu/nohz_full", "nohz_full"),
    (Area::Cpu, "/sys/devices/system/cpu/smt/active", "smt active"),
    (Area::Cpu, "/sys/devices/system/cpu/smt/control", "smt control"),
    (Area::Cpu, "/sys/devices/system/cpu/intel_pstate/*", "intel_pstate *"),
    (Area::Cpu, "/sys/devices/system/cpu/amd_pstate/*", "amd_pstate *"),
    (Area::Cpu, "/sys/devices/system/cpu/cpufreq/boost", "boost"),
    (Area::Cpu, "/sys/devices/system/cpu/cpuidle/current_driver", "cpuidle driver"),
    (Area::Cpu, "/sys/devices/system/cpu/cpuidle/current_governor", "cpuidle governor"),
    (Area::Cpu, "/sys/devices/system/cpu/cpuidle/current_governor_ro", "cpuidle governor"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/scaling_driver", "scaling_driver"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/scaling_governor", "scaling_governor"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/scaling_min_freq", "scaling_min_freq"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/scaling_max_freq", "scaling_max_freq"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/cpuinfo_max_freq", "cpuinfo_max_freq"),
    (
        Area::Cpu,
        "/sys/devices/system/cpu/{cpu[0-9]*}/cpufreq/energy_performance_preference",
        "energy_performance_preference",
    ),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/power/energy_perf_bias", "energy_perf_bias"),
    (
        Area::Cpu,
        "/sys/devices/system/cpu/{cpu[0-9]*}/power/pm_qos_resume_latency_us",
        "pm_qos_resume_latency_us",
    ),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpuidle/state*/name", "idle name"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpuidle/state*/disable", "idle disable"),
    (Area::Cpu, "/sys/devices/system/cpu/{cpu[0-9]*}/cpuidle/state*/latency", "idle latency"),
    (Area::Cpu, "/sys/devices/system/clocksource/clocksource0/current_clocksource", "clocksource"),
    (Area::Cpu, "/sys/devices/system/clocksource/clocksource0/available_clocksource", "clocksources"),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/enabled", "thp enabled"),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/defrag", "thp defrag"),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/shmem_enabled", "thp shmem_enabled"),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "khugepaged defrag"),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/khugepaged/*_millisecs", "khugepaged *"),
    (
        Area::Memory,
        "/sys/kernel/mm/transparent_hugepage/khugepaged/pages_to_scan",
        "khugepaged pages_to_scan",
    ),
    (Area::Memory, "/sys/kernel/mm/transparent_hugepage/hugepages-*/enabled", "thp enabled"),
    (Area::Memory, "/sys/kernel/mm/hugepages/hugepages-*/nr_hugepages", "nr_hugepages"),
    (Area::Memory, "/sys/kernel/mm/ksm/run", "ksm run"),
    (Area::Memory, "/sys/kernel/mm/lru_gen/enabled", "lru_gen enabled"),
    (Area::Memory, "/sys/kernel/mm/numa/demotion_enabled", "numa demotion_enabled"),
    (Area::Memory, "/sys/devices/system/node/online", "numa nodes"),
    (Area::Memory, "/sys/devices/system/node/node[0-9]*/cpulist", "numa cpus"),
    (Area::Memory, "/sys/devices/system/node/node[0-9]*/distance", "numa distance"),
    (Area::Os, "/sys/class/dmi/id/sys_vendor", "hardware vendor"),
    (Area::Os, "/sys/class/dmi/id/product_name", "hardware product"),
    (Area::Os, "/sys/class/dmi/id/bios_version", "firmware version"),
    (Area::Os, "/sys/class/dmi/id/bios_date", "firmware date"),
    (Area::Os, "/sys/hypervisor/type", "hypervisor"),
    (Area::Os, "/proc/1/comm", "init"),
    (Area::Os, "/etc/tuned/active_profile", "tuned profile"),
    (Area::Link, "/sys/class/net/*/operstate", "operstate"),
    (Area::Link, "/sys/class/net/*/gro_flush_timeout", "gro_flush_timeout"),
    (Area::Link, "/sys/class/net/*/napi_defer_hard_irqs", "napi_defer_hard_irqs"),
    (Area::Link, "/sys/class/net/*/threaded", "threaded"),
    (Area::Link, "/sys/class/net/*/bonding/mode", "bond mode"),
    (Area::Link, "/sys/class/net/*/bonding/xmit_hash_policy", "bond xmit_hash_policy"),
    (Area::Link, "/sys/class/net/*/bonding/lacp_rate", "bond lacp_rate"),
    (Area::Link, "/sys/class/net/*/bonding/ad_select", "bond ad_select"),
    (Area::Link, "/sys/class/net/*/bonding/miimon", "bond miimon"),
    (Area::Link, "/sys/class/net/*/bonding/updelay", "bond updelay"),
    (Area::Link, "/sys/class/net/*/bonding/downdelay", "bond downdelay"),
    (Area::Link, "/sys/class/net/*/bonding/arp_interval", "bond arp_interval"),
    (Area::Link, "/sys/class/net/*/bonding/primary", "bond primary"),
    (Area::Link, "/sys/class/net/*/bonding/primary_reselect", "bond primary_reselect"),
    (Area::Link, "/sys/class/net/*/bonding/fail_over_mac", "bond fail_over_mac"),
    (Area::Link, "/sys/class/net/*/bonding/min_links", "bond min_links"),
    (Area::Link, "/sys/class/net/*/bonding/all_slaves_active", "bond all_slaves_active"),
    (Area::Link, "/sys/class/net/*/bonding/resend_igmp", "bond resend_igmp"),
    (Area::Link, "/sys/class/net/*/bonding/packets_per_slave", "bond packets_per_slave"),
    (Area::Link, "/sys/class/net/*/bonding/tlb_dynamic_lb", "bond tlb_dynamic_lb"),
    (Area::Link, "/sys/class/net/*/bonding/slaves", "bond slaves"),
    (Area::Link, "/sys/class/net/*/bonding/active_slave", "bond active_slave"),
    (Area::Link, "/sys/class/net/*/bridge/stp_state", "bridge stp_state"),
    (Area::Link, "/sys/class/net/*/bridge/vlan_filtering", "bridge vlan_filtering"),
    (Area::Link, "/sys/class/net/*/bridge/vlan_protocol", "bridge vlan_protocol"),
    (Area::Link, "/sys/class/net/*/bridge/vlan_stats_enabled", "bridge vlan_stats_enabled"),
    (Area::Link, "/sys/class/net/*/bridge/multicast_snooping", "bridge multicast_snooping"),
    (Area::Link, "/sys/class/net/*/bridge/multicast_querier", "bridge multicast_querier"),
    (Area::Link, "/sys/class/net/*/bridge/ageing_time", "bridge ageing_time"),
    (Area::Link, "/sys/class/net/*/bridge/forward_delay", "bridge forward_delay"),
    (Area::Link, "/sys/class/net/*/bridge/group_fwd_mask", "bridge group_fwd_mask"),
    (Area::Link, "/sys/class/net/*/bridge/hash_max", "bridge hash_max"),
    (Area::Link, "/sys/class/net/*/bridge/nf_call_iptables", "bridge nf_call_iptables"),
    (Area::Link, "/sys/class/net/*/bridge/nf_call_ip6tables", "bridge nf_call_ip6tables"),
    (Area::Link, "/sys/class/net/*/bridge/nf_call_arptables", "bridge nf_call_arptables"),
    (Area::Nic, "/sys/class/net/*/device/numa_node", "numa_node"),
    (Area::Nic, "/sys/class/net/*/device/current_link_speed", "pci link speed"),
    (Area::Nic, "/sys/class/net/*/device/current_link_width", "pci link width"),
    (Area::Nic, "/sys/class/net/*/queues/{rx-*}/rps_cpus", "rps_cpus"),
    (Area::Nic, "/sys/class/net/*/queues/{rx-*}/rps_flow_cnt", "rps_flow_cnt"),
    (Area::Nic, "/sys/class/net/*/queues/{tx-*}/xps_cpus", "xps_cpus"),
    (Area::Nic, "/sys/class/net/*/queues/{tx-*}/xps_rxqs", "xps_rxqs"),
    (Area::Nic, "/sys/class/net/*/queues/{tx-*}/tx_maxrate", "tx_maxrate"),
    (Area::Nic, "/sys/class/net/*/queues/{tx-*}/byte_queue_limits/limit_max", "bql limit_max"),
];

/// What is folded: members by name, with what each has.
pub(super) type Members = Vec<(String, Value)>;

/// Adds what is in the files of the table.
pub(super) fn gather(found: &mut Found<'_>) {
    ROWS.iter().for_each(|row| add(found, *row));
}

/// Adds what is in the files of one line.
pub(super) fn add(found: &mut Found<'_>, (area, path, name): (Area, &str, &str)) {
    let mut settings: BTreeMap<(Option<String>, String), Members> = BTreeMap::new();
    for place in expand(found, path) {
        let value = match found.read(&place.path) {
            Ok(text) => Value::Value(text),
            Err(error) if is_absent(&error) => continue,
            Err(error) => Value::Unreadable(why(&error)),
        };
        let of = (!place.of.is_empty()).then(|| place.of.join("/"));
        let name = name.replace('*', &place.file);
        settings.entry((of, name)).or_default().push((place.folded, value));
    }
    for ((of, name), members) in settings {
        let key = Key { area, of: of.as_deref(), name: &name };
        match fold(members) {
            Value::Value(text) => found.value(key, &text),
            unreadable @ Value::Unreadable(_) => found.push(key, unreadable),
        }
    }
}

/// A file that a path with patterns leads to.
#[derive(Clone, Default)]
struct Place {
    path: String,
    /// What stands where the patterns are.
    of: Vec<String>,
    /// What stands where the braces are.
    folded: String,
    /// What stands at the end, where that is a pattern.
    file: String,
}

fn expand(found: &Found<'_>, pattern: &str) -> Vec<Place> {
    let mut places = vec![Place::default()];
    let steps: Vec<&str> = pattern.split('/').skip(1).collect();
    for (number, step) in steps.iter().enumerate() {
        let inner = step.strip_prefix('{').and_then(|step| step.strip_suffix('}'));
        let (pattern, last) = (inner.unwrap_or(step), number + 1 == steps.len());
        let mut next = Vec::new();
        for place in places {
            if !glob::is_pattern(pattern) {
                next.push(Place { path: format!("{}/{pattern}", place.path), ..place });
                continue;
            }
            for name in found.list(&place.path) {
                if !glob::matches(pattern, &name) {
                    continue;
                }
                let mut here = Place { path: format!("{}/{name}", place.path), ..place.clone() };
                match (inner, last) {
                    (Some(_), _) => here.folded = name,
                    (None, true) => here.file = name,
                    (None, false) => here.of.push(name),
                }
                next.push(here);
            }
        }
        places = next;
    }
    places
}

/// One value for all members where they agree, else `VALUE (MEMBERS), …`, the most first.
pub(super) fn fold(mut members: Members) -> Value {
    let mut by_value: Vec<(Value, Vec<String>)> = Vec::new();
    members.sort_by(|(a, _), (b, _)| numbered(a).cmp(&numbered(b)));
    for (member, value) in members {
        match by_value.iter_mut().find(|(known, _)| *known == value) {
            Some((_, same)) => same.push(member),
            None => by_value.push((value, vec![member])),
        }
    }
    if by_value.len() == 1
        && let Some((value, _)) = by_value.pop()
    {
        return value;
    }
    by_value.sort_by_key(|(_, members)| std::cmp::Reverse(members.len()));
    let text = |(value, members): (Value, Vec<String>)| {
        let value = match value {
            Value::Value(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
            Value::Unreadable(why) => why,
        };
        format!("{value} ({})", ranges(&members))
    };
    Value::Value(by_value.into_iter().map(text).collect::<Vec<_>>().join(", "))
}

/// A name as what comes before its number, and that.
fn numbered(name: &str) -> (&str, Option<u64>) {
    let digits = name.bytes().rev().take_while(u8::is_ascii_digit).count();
    let (text, number) = name.split_at(name.len() - digits);
    (text, number.parse().ok())
}

/// `cpu0-3 cpu8`, of names in order.
fn ranges(names: &[String]) -> String {
    let mut runs: Vec<(&str, Option<u64>, Option<u64>)> = Vec::new();
    for name in names {
        let (text, number) = numbered(name);
        match runs.last_mut() {
            Some((known, _, end)) if *known == text && end.map(|end| end + 1) == number => *end = number,
            _ => runs.push((text, number, number)),
        }
    }
    let text = |(text, first, end): (&str, Option<u64>, Option<u64>)| match (first, end) {
        (Some(first), Some(end)) if first != end => format!("{text}{first}-{end}"),
        (Some(first), _) => format!("{text}{first}"),
        _ => text.to_owned(),
    };
    runs.into_iter().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::snapshot::fixture::Fixture;

    fn of(root: &Path, row: (Area, &str, &str)) -> Vec<(Option<String>, String, String)> {
        let mut found = Found::new(root);
        add(&mut found, row);
        let text = |value| match value {
            Value::Value(text) => text,
            Value::Unreadable(why) => format!("unreadable: {why}"),
        };
        found.finish().into_iter().map(|s| (s.of, s.name, text(s.value))).collect()
    }

    #[test]
    fn members_that_agree_are_one_value_others_are_told_apart() {
        let host = Fixture::new("table-fold");
        for cpu in [0, 1, 2, 10] {
            host.write(&format!("sys/cpu/cpu{cpu}/idle/state1/disable"), "0\n");
            let governor = if cpu == 2 { "powersave" } else { "performance" };
            host.write(&format!("sys/cpu/cpu{cpu}/governor"), governor);
        }
        let governor = of(host.root(), (Area::Cpu, "/sys/cpu/{cpu[0-9]*}/governor", "governor"));
        let value = "performance (cpu0-1 cpu10), powersave (cpu2)";
        assert_eq!(governor, [(None, "governor".into(), value.into())]);
        let idle = of(host.root(), (Area::Cpu, "/sys/cpu/{cpu[0-9]*}/idle/state*/disable", "disable"));
        assert_eq!(idle, [(Some("state1".into()), "disable".into(), "0".into())]);
    }

    #[test]
    fn a_pattern_at_the_end_is_in_the_name() {
        let host = Fixture::new("table-name");
        host.write("sys/a/meltdown", "Not affected\n");
        host.write("sys/a/b/x", "no file of one value\n");
        let found = of(host.root(), (Area::Kernel, "/sys/a/*", "mitigation *"));
        assert_eq!(found, [(None, "mitigation meltdown".into(), "Not affected".into())]);
    }

    #[test]
    fn every_pattern_of_the_table_is_told_apart() {
        for (_, path, name) in ROWS {
            let last = path.rsplit('/').next().unwrap();
            assert_eq!(glob::is_pattern(last), name.contains('*'), "{path}");
        }
    }
}
