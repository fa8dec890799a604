//! The rules. Functions are named as in Linux 5.10 to 7.2; a name that a kernel does not
//! have does no harm. Of a sample that two rules know, the function nearest to the tip
//! decides, then the order here.

use super::{Match, Rule, Worse};
use crate::snapshot::Area;

const fn on(area: Area, name: &'static str, worse: Worse) -> Match {
    Match { area, name, worse }
}

/// Sending by TCP, from the system call to the card.
#[rustfmt::skip]
const SENDING: &[&str] = &[
    "do_sendfile", "sock_no_sendpage", "tcp_sendmsg*", "tcp_sendpage*", "do_tcp_sendpages",
    "tcp_write_xmit", "__tcp_push_pending_frames", "tcp_push*", "__tcp_transmit_skb",
    "tcp_write_timer*", "tcp_tasklet_func", "tcp_tsq_*", "__ip_queue_xmit", "ip_output",
    "ip_finish_output*", "__dev_queue_xmit", "dev_hard_start_xmit",
];

/// Receiving, from the interrupt to the socket.
#[rustfmt::skip]
const RECEIVING: &[&str] = &[
    "net_rx_action", "napi_poll", "__napi_poll", "__netif_receive_skb*", "netif_receive_skb*",
    "napi_gro_receive", "ip_rcv*", "tcp_v4_rcv", "tcp_v6_rcv", "tcp_recvmsg*",
];

/// The rules, the most specific first. Lists are filled, so that a rule is seen at a glance.
#[rustfmt::skip]
pub static RULES: &[Rule] = &[
    Rule {
        id: "offload-send",
        what: "the CPU copies, sums and cuts what the card could",
        settings: &[
            // Not tx-scatter-gather-fraglist, which no packet of a socket needs.
            on(Area::Nic, "tx-scatter-gather", Worse::Off),
            on(Area::Nic, "tx-checksum-*", Worse::Off),
            on(Area::Nic, "tx-tcp*-segmentation", Worse::Off),
            on(Area::Nic, "tx-generic-segmentation", Worse::Off),
            on(Area::Nic, "tx-udp-segmentation", Worse::Off),
        ],
        signs: &[
            "sock_no_sendpage", "skb_segment", "*skb_gso_segment", "tcp_gso_segment",
            "skb_checksum_help", "skb_checksum", "__skb_checksum", "*skb_linearize",
            "__pskb_pull_tail", "csum_partial*", "csum_and_copy_*", "skb_copy_bits",
            "skb_copy_to_page_nocache", "skb_do_copy_data_nocache", "*copy_from_iter*",
            "copy_page_from_iter*", "tcp_push_one", "validate_xmit_skb*",
        ],
        path: SENDING,
        timers: &["tcp_write_timer*"],
        slow: &["do_sendfile", "tcp_sendmsg*", "tcp_sendpage*", "*sendfile*", "sock_sendmsg"],
        rates: &[],
        check: "offload --fix --dry-run {of}",
        ..Rule::NONE
    },
    Rule {
        id: "offload-receive",
        what: "packets are not put together or checked by the card",
        settings: &[
            on(Area::Nic, "rx-gro*", Worse::Off),
            on(Area::Nic, "rx-lro", Worse::Off),
            on(Area::Nic, "rx-checksum", Worse::Off),
            on(Area::Nic, "rx-hashing", Worse::Off),
        ],
        signs: &[
            "__skb_checksum_complete*", "skb_checksum", "csum_partial*", "tcp_v4_rcv", "tcp_v6_rcv",
            "ip_rcv", "tcp_rcv_established", "__netif_receive_skb*",
        ],
        path: RECEIVING,
        slow: &["tcp_recvmsg*", "sock_recvmsg"],
        check: "offload {of}",
        ..Rule::NONE
    },
    Rule {
        id: "bpf-program",
        what: "a BPF program runs on a path that is used much",
        settings: &[on(Area::Bpf, "*", Worse::Either)],
        signs: &["bpf_prog_*", "bpf_trampoline_*", "bpf_dispatcher_*", "__bpf_prog_run*", "trace_call_bpf"],
        alone: true,
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "tracing",
        what: "the kernel traces itself",
        settings: &[
            on(Area::Kernel, "*tracer*", Worse::On),
            on(Area::Kernel, "*tracing*", Worse::On),
            on(Area::Kernel, "*kprobe*", Worse::On),
            on(Area::Sysctl, "kernel.stack_tracer_enabled", Worse::On),
            on(Area::Sysctl, "kernel.ftrace_dump_on_oops", Worse::On),
        ],
        signs: &[
            "function_trace_call", "function_graph_enter*", "ftrace_graph_caller", "trace_function",
            "trace_event_buffer_*", "trace_event_raw_event_*", "ring_buffer_*", "__rb_reserve_next",
            "kprobe_ftrace_handler", "kprobe_dispatcher", "kprobe_trace_func", "optimized_callback",
            "stack_trace_call", "perf_trace_*",
        ],
        alone: true,
        check: "doctor",
        ..Rule::NONE
    },
    Rule {
        id: "timer-storm",
        what: "a process starts timers all the time",
        signs: &["hrtimer_start_range_ns", "do_nanosleep", "timerfd_*", "schedule_hrtimeout*"],
        path: &["hrtimer_interrupt", "__hrtimer_run_queues", "*sys_*nanosleep", "do_nanosleep", "timerfd_*"],
        timers: &[
            "process_timeout *", "hrtimer_wakeup *", "delayed_work_timer_fn *", "timerfd_*",
            "posix_timer_fn*", "it_real_fn*",
        ],
        alone: true,
        check: "timer-names --start-stacks",
        ..Rule::NONE
    },
    Rule {
        id: "conntrack",
        what: "packets go through netfilter",
        settings: &[
            on(Area::Module, "nf_*", Worse::Either),
            on(Area::Module, "*_tables", Worse::Either),
            on(Area::Module, "br_netfilter", Worse::Either),
            on(Area::Sysctl, "net.netfilter.*", Worse::Either),
            on(Area::Sysctl, "net.bridge.bridge-nf-*", Worse::On),
        ],
        signs: &[
            "nf_hook_slow", "nf_conntrack_*", "__nf_conntrack_*", "ipt_do_table", "ip6t_do_table",
            "nft_do_chain*", "nf_nat_*", "br_nf_*",
        ],
        alone: true,
        check: "stackcount nf_hook_slow",
        ..Rule::NONE
    },
    Rule {
        id: "qdisc",
        what: "packets wait and are sorted in another queue",
        settings: &[
            on(Area::Sysctl, "net.core.default_qdisc", Worse::Either),
            on(Area::Qdisc, "*", Worse::Either),
            on(Area::Link, "*qdisc*", Worse::Either),
            on(Area::Link, "tx*queue*len*", Worse::Less),
        ],
        signs: &[
            "fq_codel_*", "fq_enqueue", "fq_dequeue", "pfifo_fast_*", "htb_*", "tbf_*", "hfsc_*",
            "netem_*", "cake_*", "sfq_*", "red_*", "codel_*", "sch_direct_xmit", "__qdisc_run",
            "qdisc_*",
        ],
        timers: &["qdisc_watchdog"],
        slow: &["__dev_queue_xmit", "do_sendfile", "tcp_sendmsg*"],
        rates: &["drops", "overlimits", "requeues", "backlog*", "TcpRetransSegs", "RetransSegs"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "mtu",
        what: "the same bytes take more packets, or are cut",
        settings: &[
            on(Area::Link, "*mtu*", Worse::Less),
            on(Area::Link, "g[sr]o*max*", Worse::Less),
            on(Area::Link, "tso_max*", Worse::Less),
        ],
        signs: &[
            "ip_fragment", "ip_do_fragment", "ip6_fragment", "ip_defrag", "__tcp_transmit_skb",
            "tcp_fragment", "tcp_write_xmit", "dev_hard_start_xmit", "ip_rcv", "tcp_v4_rcv", "tcp_ack",
            "icmp_*", "skb_segment",
        ],
        path: &[
            "ip_finish_output*", "__dev_queue_xmit", "dev_hard_start_xmit", "tcp_write_xmit",
            "net_rx_action", "__netif_receive_skb*",
        ],
        slow: &["do_sendfile", "tcp_sendmsg*"],
        rates: &["*FragCreates", "*FragOKs", "*ReasmReqds", "*OutSegs", "*_packets", "*InSegs"],
        check: "offload {of}",
        ..Rule::NONE
    },
    Rule {
        id: "tcp-memory",
        what: "TCP has less or more memory to buffer in",
        settings: &[
            on(Area::Sysctl, "net.ipv4.tcp_[rw]mem", Worse::Less),
            on(Area::Sysctl, "net.ipv4.tcp_mem", Worse::Less),
            on(Area::Sysctl, "net.core.[rw]mem_*", Worse::Less),
            on(Area::Sysctl, "net.core.optmem_max", Worse::Less),
            on(Area::Sysctl, "net.ipv4.tcp_limit_output_bytes", Worse::Either),
            on(Area::Sysctl, "net.ipv4.tcp_notsent_lowat", Worse::Less),
        ],
        signs: &[
            "sk_stream_wait_memory", "tcp_collapse*", "tcp_prune_*", "tcp_try_rmem_schedule",
            "__sk_mem_raise_allocated", "__sk_mem_schedule", "tcp_send_probe0", "sk_wait_data",
            "tcp_wait_for_sndbuf",
        ],
        slow: &["do_sendfile", "tcp_sendmsg*", "tcp_recvmsg*", "sk_stream_wait_memory"],
        rates: &[
            "*RcvCollapsed", "*PruneCalled", "*MemoryPressures*", "*RcvQDrop", "*BacklogDrop",
            "*ZeroWindow*", "context switches",
        ],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "tcp-congestion",
        what: "TCP paces and backs off otherwise",
        settings: &[
            on(Area::Sysctl, "net.ipv4.tcp_congestion_control", Worse::Either),
            on(Area::Sysctl, "net.ipv4.tcp_pacing_*", Worse::Either),
            on(Area::Sysctl, "net.ipv4.tcp_slow_start_after_idle", Worse::On),
            on(Area::Sysctl, "net.ipv4.tcp_sack", Worse::Off),
            on(Area::Sysctl, "net.ipv4.tcp_timestamps", Worse::Off),
            on(Area::Sysctl, "net.ipv4.tcp_window_scaling", Worse::Off),
            on(Area::Sysctl, "net.ipv4.tcp_tso_*", Worse::Either),
            on(Area::Sysctl, "net.ipv4.tcp_autocorking", Worse::Off),
        ],
        signs: &[
            "bbr_*", "cubictcp_*", "bictcp_*", "dctcp_*", "tcp_fastretrans_alert", "tcp_pace_kick",
            "tcp_retransmit_*",
        ],
        timers: &["tcp_pace_kick", "tcp_write_timer*", "tcp_delack_timer*"],
        slow: &["do_sendfile", "tcp_sendmsg*"],
        rates: &["*RetransSegs", "*LostRetransmit", "*Timeouts", "*FastRetrans", "*SlowStartRetrans"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "busy-poll",
        what: "threads poll the card instead of waiting",
        settings: &[
            on(Area::Sysctl, "net.core.busy_*", Worse::On),
            on(Area::Nic, "*napi_defer_hard_irqs", Worse::Either),
            on(Area::Nic, "*gro_flush_timeout", Worse::Either),
            on(Area::Link, "*napi_defer_hard_irqs", Worse::Either),
            on(Area::Link, "*gro_flush_timeout", Worse::Either),
            on(Area::Link, "threaded", Worse::Either),
        ],
        signs: &[
            "napi_busy_loop*", "__napi_busy_loop", "sk_busy_loop*", "ep_busy_loop*",
            "napi_threaded_poll*",
        ],
        timers: &["napi_watchdog"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "softirq-budget",
        what: "received packets wait for their turn",
        settings: &[
            on(Area::Sysctl, "net.core.netdev_budget*", Worse::Less),
            on(Area::Sysctl, "net.core.netdev_max_backlog", Worse::Less),
            on(Area::Sysctl, "net.core.dev_weight*", Worse::Less),
        ],
        signs: &["net_rx_action", "enqueue_to_backlog", "run_ksoftirqd", "process_backlog"],
        rates: &["*time_squeeze*", "*dropped*", "*squeezed*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "interrupts",
        what: "interrupts go to other CPUs, or there are more of them",
        settings: &[
            on(Area::Irq, "*", Worse::Either),
            on(Area::Nic, "*rps_cpus*", Worse::Either),
            on(Area::Nic, "*xps_*", Worse::Either),
            on(Area::Link, "*rps_*", Worse::Either),
            on(Area::Link, "*xps_*", Worse::Either),
            on(Area::Sysctl, "net.core.rps_*", Worse::Either),
            on(Area::Nic, "*channel*", Worse::Less),
            on(Area::Nic, "*combined*", Worse::Less),
            on(Area::Nic, "*usecs*", Worse::Either),
            on(Area::Nic, "*frames*", Worse::Either),
            on(Area::Nic, "*ring*", Worse::Less),
        ],
        signs: &[
            "net_rx_action", "enqueue_to_backlog", "get_rps_cpu", "rps_*",
            "flush_smp_call_function_queue", "asm_common_interrupt", "handle_edge_irq",
            "handle_irq_event*", "sysvec_call_function*",
        ],
        rates: &["*received_rps*", "*dropped*", "NET_RX", "*interrupts*", "*rx_missed*", "*no_buffer*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "debug-kernel",
        what: "the kernel checks itself",
        settings: &[
            on(Area::Config, "*DEBUG*", Worse::On),
            on(Area::Config, "*KASAN*", Worse::On),
            on(Area::Config, "*KCSAN*", Worse::On),
            on(Area::Config, "*LOCKDEP*", Worse::On),
            on(Area::Config, "*PROVE_LOCKING*", Worse::On),
            on(Area::Config, "*LOCK_STAT*", Worse::On),
            on(Area::Config, "*INIT_ON_*", Worse::On),
            on(Area::Config, "*HARDENED_USERCOPY*", Worse::On),
            on(Area::Kernel, "sl[au]b_debug", Worse::Either),
            on(Area::Kernel, "page_poison", Worse::On),
            on(Area::Kernel, "init_on_*", Worse::On),
        ],
        signs: &[
            "lock_acquire", "lock_release", "__lock_acquire", "lockdep_*", "check_lock*", "kasan_*",
            "__kasan_*", "__asan_*", "kcsan_*", "debug_object_*", "__debug_object_*",
            "check_bytes_and_report", "check_object", "kmemleak_*", "__check_object_size",
            "kernel_init_pages", "lock_stat*",
        ],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "mitigations",
        what: "defences against speculation cost every entry of the kernel",
        settings: &[
            on(Area::Kernel, "*mitigation*", Worse::Either),
            on(Area::Kernel, "*vulnerab*", Worse::Either),
            on(Area::Kernel, "spec*", Worse::Either),
            on(Area::Kernel, "nospec*", Worse::Either),
            on(Area::Kernel, "*pti", Worse::Either),
        ],
        signs: &[
            "srso_*", "retbleed_*", "__x86_indirect_thunk*", "__x86_return_thunk", "entry_ibpb",
            "write_ibpb", "clear_bhb_*", "indirect_branch_prediction_barrier", "cond_mitigation",
            "l1d_flush*",
        ],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "huge-pages",
        what: "the kernel makes or misses huge pages",
        settings: &[
            on(Area::Memory, "*transparent_hugepage*", Worse::Either),
            on(Area::Memory, "*thp*", Worse::Either),
            on(Area::Memory, "*khugepaged*", Worse::Either),
            on(Area::Memory, "*huge*", Worse::Either),
            on(Area::Sysctl, "vm.nr_hugepages*", Worse::Either),
        ],
        signs: &[
            "khugepaged*", "collapse_huge_page", "hpage_collapse_*", "do_huge_pmd_*",
            "clear_huge_page", "folio_zero_user", "split_huge_*", "compact_zone*",
            "__alloc_pages_direct_compact", "isolate_migratepages*",
        ],
        rates: &["thp_*", "compact_*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "reclaim",
        what: "memory is short and has to be found",
        settings: &[
            on(Area::Sysctl, "vm.*", Worse::Either),
            on(Area::Cgroup, "*memory*", Worse::Less),
            on(Area::Memory, "*swap*", Worse::Either),
            on(Area::Memory, "*lru_gen*", Worse::Either),
        ],
        signs: &[
            "try_to_free_pages", "try_to_free_mem_cgroup_pages", "do_try_to_free_pages",
            "shrink_node*", "shrink_*_list", "shrink_slab*", "shrink_lruvec", "balance_pgdat",
            "kswapd", "__alloc_pages_slowpath*", "node_reclaim", "swap_readpage", "swap_writepage",
        ],
        rates: &["allocstall*", "pgscan_*", "pgsteal_*", "pswp*", "oom*", "*alloc*stall*", "*allocation*"],
        alone: true,
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "numa-balancing",
        what: "pages are unmapped to see who uses them, and moved",
        settings: &[
            on(Area::Sysctl, "kernel.numa_balancing*", Worse::On),
            on(Area::Sysctl, "vm.zone_reclaim_mode", Worse::On),
            on(Area::Memory, "*numa*", Worse::Either),
        ],
        signs: &[
            "task_numa_*", "change_prot_numa", "do_numa_page", "migrate_misplaced_*",
            "numa_migrate_prep",
        ],
        rates: &["numa_hint_*", "numa_pages_migrated", "numa_pte_updates", "numa_miss"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "timer-migration",
        what: "timers go to other CPUs",
        settings: &[
            on(Area::Sysctl, "kernel.timer_migration", Worse::Either),
            on(Area::Config, "*NO_HZ*", Worse::Either),
            on(Area::Config, "CONFIG_HZ*", Worse::Either),
        ],
        signs: &[
            "tmigr_*", "get_nohz_timer_target", "lock_timer_base", "get_timer_base",
            "get_timer_this_cpu_base",
        ],
        timers: &["tick_*"],
        rates: &["TIMER", "HRTIMER"],
        check: "timer-names",
        ..Rule::NONE
    },
    Rule {
        id: "clocksource",
        what: "reading the time is slow",
        settings: &[
            on(Area::Cpu, "*clocksource*", Worse::Either),
            on(Area::Kernel, "*clocksource*", Worse::Either),
        ],
        signs: &[
            "read_hpet", "acpi_pm_read*", "read_hv_clock*", "kvm_clock_*", "jiffies_read",
            "clocksource_*",
        ],
        path: &["ktime_get*", "*clock_gettime*", "*gettimeofday*"],
        slow: &["ktime_get*", "*clock_gettime*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "cpu-idle",
        what: "CPUs sleep deeper, or do not sleep",
        settings: &[
            on(Area::Cpu, "*idle*", Worse::Either),
            on(Area::Cpu, "*state*", Worse::Either),
            on(Area::Sysctl, "kernel.sched_*", Worse::Either),
        ],
        signs: &[
            "poll_idle", "mwait_idle*", "intel_idle*", "acpi_idle_*", "cpuidle_enter*",
            "cpu_idle_poll*",
        ],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "cpu-speed",
        what: "CPUs run slower, or share their cores",
        settings: &[
            on(Area::Cpu, "*governor*", Worse::Either),
            on(Area::Cpu, "*freq*", Worse::Less),
            on(Area::Cpu, "*energy*", Worse::Either),
            on(Area::Cpu, "*turbo*", Worse::Either),
            on(Area::Cpu, "*boost*", Worse::Off),
            on(Area::Cpu, "*pstate*", Worse::Either),
            on(Area::Cpu, "*smt*", Worse::Either),
        ],
        // Everything takes longer.
        slow: &["*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "cpu-limit",
        what: "a limit keeps processes from the CPUs",
        settings: &[
            on(Area::Cgroup, "*cpu*", Worse::Less),
            on(Area::Sysctl, "kernel.sched_rt_*", Worse::Less),
        ],
        signs: &["throttle_cfs_rq", "unthrottle_cfs_rq", "tg_throttle_*", "sched_cfs_period_timer"],
        timers: &["sched_cfs_period_timer"],
        rates: &["*throttled*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "stolen-time",
        what: "the hypervisor gives the CPUs to others",
        rates: &["steal"],
        alone: true,
        check: "snapshot",
        ..Rule::NONE
    },
    Rule {
        id: "scheduler",
        what: "tasks are moved and chosen otherwise",
        settings: &[
            on(Area::Sysctl, "kernel.sched_*", Worse::Either),
            on(Area::Config, "CONFIG_PREEMPT*", Worse::Either),
            on(Area::Kernel, "*preempt*", Worse::Either),
        ],
        signs: &[
            "load_balance", "sched_balance_*", "newidle_balance", "select_task_rq_fair",
            "select_idle_*", "update_load_avg", "active_load_balance*",
        ],
        rates: &["SCHED"],
        check: "snapshot --all",
        ..Rule::NONE
    },
    Rule {
        id: "io-scheduler",
        what: "requests to disks wait and are sorted otherwise",
        settings: &[
            on(Area::Block, "*scheduler*", Worse::Either),
            on(Area::Block, "*nr_requests*", Worse::Less),
            on(Area::Block, "*read_ahead*", Worse::Less),
            on(Area::Block, "*wbt*", Worse::Either),
        ],
        signs: &["bfq_*", "dd_*", "kyber_*", "blk_mq_sched_*", "__blk_mq_sched_*", "wbt_*", "rq_qos_*"],
        slow: &["submit_bio*", "blk_mq_*", "*fsync*", "io_schedule*"],
        check: "snapshot --all",
        ..Rule::NONE
    },
];
