use super::super::fixture::{CORE, Fixture, service};
use super::super::{Report, compare};
use super::*;
use crate::diff::Which;

type Setting = (Area, Option<&'static str>, &'static str, [Option<&'static str>; 2]);

/// A case of each rule: a setting on A and on B, a function that only B has CPU time in,
/// or what else only B has.
struct Case {
    rule: &'static str,
    setting: Option<Setting>,
    stack: Option<&'static str>,
    more: fn(&mut Fixture),
}

const fn case(rule: &'static str, setting: Setting, stack: &'static str) -> Case {
    Case { rule, setting: Some(setting), stack: Some(stack), more: |_| {} }
}

const SYSCTL: Area = Area::Sysctl;

fn set(area: Area, name: &'static str, a: &'static str, b: &'static str) -> Setting {
    (area, None, name, [Some(a), Some(b)])
}

#[expect(clippy::too_many_lines, reason = "one list, as the rules are")]
fn cases() -> Vec<Case> {
    let on_eth = |area, name, a, b| (area, Some("eth2"), name, [Some(a), Some(b)]);
    vec![
        case(
            "offload-send",
            (Area::Nic, Some("vlan10"), "tx-checksum-ip-generic", [Some("on"), Some("off")]),
            "main;do_sendfile;tcp_sendmsg;skb_do_copy_data_nocache",
        ),
        case(
            "offload-receive",
            on_eth(Area::Nic, "rx-gro", "on", "off"),
            "asm_common_interrupt;net_rx_action;tcp_v4_rcv",
        ),
        case(
            "bpf-program",
            (Area::Bpf, Some("burn"), "type", [None, Some("tracing")]),
            "main;sys_write;vfs_write;bpf_trampoline_6442;bpf_prog_6deef7357e7b4530_burn",
        ),
        case(
            "tracing",
            set(Area::Kernel, "current_tracer", "nop", "function"),
            "main;sys_read;vfs_read;function_trace_call;ring_buffer_lock_reserve",
        ),
        Case {
            rule: "timer-storm",
            setting: None,
            stack: Some("main;sys_clock_nanosleep;do_nanosleep;hrtimer_start_range_ns"),
            more: |host| host.timers.push(("hrtimer_wakeup", Some("storm"), 400_000)),
        },
        case(
            "conntrack",
            (Area::Module, Some("nf_conntrack"), "loaded", [None, Some("yes")]),
            "main;ip_output;nf_hook_slow;nf_conntrack_in",
        ),
        case(
            "qdisc",
            set(SYSCTL, "net.core.default_qdisc", "pfifo_fast", "fq_codel"),
            "main;do_sendfile;tcp_sendmsg;__dev_queue_xmit;fq_codel_enqueue",
        ),
        case(
            "mtu",
            (Area::Link, Some("vlan10"), "mtu", [Some("9000"), Some("1500")]),
            "main;do_sendfile;tcp_sendmsg;tcp_write_xmit;__tcp_transmit_skb;ip_do_fragment",
        ),
        case(
            "tcp-memory",
            set(SYSCTL, "net.ipv4.tcp_wmem", "4096 16384 4194304", "4096 4096 8192"),
            "main;tcp_sendmsg;sk_stream_wait_memory",
        ),
        case(
            "tcp-congestion",
            set(SYSCTL, "net.ipv4.tcp_congestion_control", "cubic", "bbr"),
            "asm_common_interrupt;tcp_ack;bbr_main",
        ),
        case("busy-poll", set(SYSCTL, "net.core.busy_poll", "0", "50"), "main;sys_poll;napi_busy_loop"),
        case(
            "softirq-budget",
            set(SYSCTL, "net.core.netdev_budget", "300", "20"),
            "ksoftirqd/3;run_ksoftirqd;net_rx_action",
        ),
        case("interrupts", on_eth(Area::Nic, "rps_cpus", "ff", "00"), "asm_common_interrupt;handle_edge_irq"),
        case(
            "debug-kernel",
            set(Area::Config, "CONFIG_PROVE_LOCKING", "not set", "y"),
            "main;sys_read;lock_acquire",
        ),
        case(
            "mitigations",
            set(Area::Kernel, "mitigation spec_rstack_overflow", "Not affected", "Mitigation: Safe RET"),
            "main;sys_read;srso_alias_return_thunk",
        ),
        case(
            "huge-pages",
            set(Area::Memory, "thp enabled", "never", "always"),
            "khugepaged;collapse_huge_page",
        ),
        case(
            "reclaim",
            set(SYSCTL, "vm.min_free_kbytes", "67584", "8388608"),
            "main;__alloc_pages_slowpath;try_to_free_pages;shrink_node",
        ),
        case(
            "numa-balancing",
            set(SYSCTL, "kernel.numa_balancing", "0", "1"),
            "main;asm_exc_page_fault;do_numa_page;migrate_misplaced_folio",
        ),
        case(
            "timer-migration",
            set(SYSCTL, "kernel.timer_migration", "1", "0"),
            "main;mod_timer;lock_timer_base",
        ),
        case("clocksource", set(Area::Cpu, "clocksource", "tsc", "hpet"), "main;sys_clock_gettime;read_hpet"),
        case(
            "cpu-idle",
            set(Area::Cpu, "cpuidle driver", "intel_idle", "none"),
            "cpu_startup_entry;poll_idle",
        ),
        Case {
            rule: "cpu-speed",
            setting: Some(set(Area::Cpu, "scaling_governor", "performance", "powersave")),
            stack: None,
            more: |host| {
                host.latency = vec![("do_sendfile", 40_000)];
                host.profile.iter_mut().for_each(|(_, samples)| *samples *= 2);
            },
        },
        case(
            "cpu-limit",
            (Area::Cgroup, Some("system.slice"), "cpu.max", [Some("max 100000"), Some("50000 100000")]),
            "main;throttle_cfs_rq",
        ),
        Case {
            rule: "stolen-time",
            setting: None,
            stack: None,
            more: |host| host.rates.push((Area::Cpu, None, "steal", 4_000_000)),
        },
        case(
            "scheduler",
            set(Area::Kernel, "preempt", "voluntary", "full"),
            "main;schedule;newidle_balance;sched_balance_rq",
        ),
        case(
            "io-scheduler",
            (Area::Block, Some("sda"), "scheduler", [Some("none"), Some("bfq")]),
            "main;submit_bio_wait;bfq_insert_request",
        ),
    ]
}

fn hosts(case: &Case) -> [Fixture; 2] {
    let [mut a, mut b] = [service(), service()];
    if let Some((area, of, name, values)) = case.setting {
        for (host, value) in [&mut a, &mut b].into_iter().zip(values) {
            host.settings.extend(value.map(|value| (area, of, name, value, None)));
        }
    }
    b.profile.extend(case.stack.map(|stack| (stack, 5 * CORE)));
    (case.more)(&mut b);
    [a, b]
}

fn report(a: &Fixture, b: &Fixture) -> Report {
    compare([a.group(Which::A), b.group(Which::B)], None).unwrap()
}

#[test]
fn every_rule_has_a_case_and_is_found_by_it() {
    let cases = cases();
    let named: Vec<&str> = cases.iter().map(|case| case.rule).collect();
    let rules: Vec<&str> = RULES.iter().map(|rule| rule.id).collect();
    for rule in &rules {
        assert!(named.contains(rule), "no case of {rule}");
    }
    assert_eq!(rules.len(), cases.len());
    for case in &cases {
        let [a, b] = hosts(case);
        let found = report(&a, &b);
        let first = found.causes.first();
        assert_eq!(first.map(|cause| cause.rule.id), Some(case.rule), "{:#?}", found.causes);
        assert_eq!(first.map(|cause| cause.worse), Some(Which::B), "{}", case.rule);
        if let Some(stack) = case.stack {
            let cores = first.and_then(|cause| cause.cores).unwrap();
            assert!((cores - 5.0).abs() < 1.0, "{} of {stack}: {cores}", case.rule);
        }
    }
}

#[test]
fn the_other_way_round_the_same_cause_is_named() {
    for case in cases() {
        let [a, b] = hosts(&case);
        let found = report(&b, &a);
        let first = found.causes.first().unwrap();
        assert_eq!((first.rule.id, first.worse), (case.rule, Which::A));
        if case.stack.is_some() {
            assert!(first.cores.unwrap() < -4.0, "{:?}", first.cores);
        }
    }
}

#[test]
fn a_setting_without_its_symptom_is_no_cause() {
    for case in cases().iter().filter(|case| case.setting.is_some()) {
        let (area, of, name, [a, b]) = case.setting.unwrap();
        let mut hosts = [service(), service()];
        for (host, value) in hosts.iter_mut().zip([a, b]) {
            host.settings.extend(value.map(|value| (area, of, name, value, None)));
        }
        let found = report(&hosts[0], &hosts[1]);
        assert_eq!(found.causes, [], "{}", case.rule);
        let other = found.others.first().unwrap();
        assert_eq!(other.rule.map(|rule| rule.id), Some(case.rule));
    }
}

#[test]
fn a_symptom_without_its_setting_is_no_cause_where_that_is_asked_for() {
    for case in cases().iter().filter(|case| case.setting.is_some()) {
        let rule = RULES.iter().find(|rule| rule.id == case.rule).unwrap();
        let [mut a, mut b] = hosts(case);
        (a.settings, b.settings) = (Vec::new(), Vec::new());
        let found = report(&a, &b);
        let named = found.causes.iter().any(|cause| cause.rule.id == case.rule);
        assert_eq!(named, rule.alone, "{}: {:#?}", case.rule, found.causes);
    }
}

#[test]
fn values_say_which_side_is_worse_off() {
    let row = |a: Option<&str>, b: Option<&str>| Difference {
        area: Area::Link,
        name: "mtu".into(),
        places: Vec::new(),
        a: a.map(str::to_owned),
        b: b.map(str::to_owned),
        origins: [None, None],
        class: crate::diff::settings::Class::Set,
    };
    let on = |worse| Match { area: Area::Link, name: "mtu", worse };
    let cases = [
        (Worse::Less, Some("9000"), Some("1500"), 1),
        (Worse::Less, Some("4096 16384 8192"), Some("4096 8192 16384"), -1),
        (Worse::Less, Some("9000"), None, 0),
        (Worse::Off, Some("on"), Some("off [fixed]"), 1),
        (Worse::Off, None, Some("on"), -1),
        (Worse::On, Some("0"), Some("1"), 1),
        (Worse::On, Some("1"), Some("2"), 0),
        (Worse::Either, Some("on"), Some("off"), 0),
    ];
    for (worse, a, b, way) in cases {
        assert_eq!(on(worse).direction(&row(a, b)), way, "{worse:?} {a:?} {b:?}");
    }
}
