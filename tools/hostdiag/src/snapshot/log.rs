//! Known trouble in the kernel's log, `/dev/kmsg`, counted by kind.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;

use hostdiag_model::snapshot::{Area, Rate, Unit};
use nix::fcntl::OFlag;
use nix::libc;

use super::found::{Found, Key};

/// A kind of trouble, and what its message holds, in this order. The words are those of
/// Linux 4.9 to 7.2: kernel/rcu/tree_stall.h, kernel/watchdog.c, kernel/hung_task.c,
/// mm/page_alloc.c (stalls up to 4.14), mm/oom_kill.c, net/sched/sch_generic.c,
/// kernel/workqueue.c, kernel/irq/spurious.c, kernel/time/clocksource.c.
const KINDS: [(&str, &[&str]); 20] = [
    ("rcu_stall", &["rcu", "detected", "stall", " on"]),
    ("rcu_starved", &["rcu", "kthread starved for "]),
    ("soft_lockup", &["BUG: soft lockup - CPU#"]),
    ("hard_lockup", &["Watchdog detected hard LOCKUP on cpu"]),
    ("hung_task", &["INFO: task ", " blocked ", "for more than ", " seconds"]),
    ("page_alloc_stall", &[": page allocation stalls for ", "ms, order:"]),
    ("page_alloc_failure", &[": page allocation failure: order:"]),
    ("oom", &[" invoked oom-killer: "]),
    ("tx_timeout", &["NETDEV WATCHDOG: ", "transmit queue", "timed out"]),
    ("workqueue_lockup", &["BUG: workqueue lockup - pool"]),
    ("irq_nobody_cared", &["irq ", ": nobody cared"]),
    ("clocksource_unstable", &["clocksource: ", "unstable"]),
    ("machine_check", &["mce: [Hardware Error]"]),
    ("overheated", &["temperature above threshold"]),
    ("perf_throttled", &["perf: interrupt took too long"]),
    ("syn_flood", &["Possible SYN flooding"]),
    ("neighbour_overflow", &["neighbour: ", "table overflow"]),
    ("conntrack_full", &["nf_conntrack: ", "table full"]),
    ("bug", &["BUG: "]),
    ("warning", &["WARNING: "]),
];
/// Longer than any record (`PRINTK_MESSAGE_MAX`, `CONSOLE_EXT_LOG_MAX`).
const MAX_RECORD: usize = 16 << 10;
/// More records than any log holds: what comes in faster than it is read ends here.
const MAX_RECORDS: usize = 1 << 20;

/// The log, read up to where it ended last.
pub(super) struct Log {
    file: File,
}

/// What a part of the log holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    counts: [u64; KINDS.len()],
    /// Number of the first record: so many were overwritten before.
    first: Option<u64>,
}

impl Log {
    /// From its beginning. Needs CAP_SYSLOG where `kernel.dmesg_restrict` is 1.
    pub(super) fn open(found: &Found<'_>) -> io::Result<Self> {
        let path = found.real("/dev/kmsg");
        let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
        Ok(Self { file })
    }

    /// What came since it was read last.
    pub(super) fn read(&mut self) -> Seen {
        let mut seen = Seen::default();
        let mut record = vec![0; MAX_RECORD];
        for _ in 0..MAX_RECORDS {
            match self.file.read(&mut record) {
                Ok(0) => break,
                Ok(length) => seen.add(&String::from_utf8_lossy(&record[..length])),
                // The next one was overwritten; the one after it comes next.
                Err(error) if error.raw_os_error() == Some(libc::EPIPE) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // EAGAIN: that was all.
                Err(_) => break,
            }
        }
        seen
    }
}

impl Seen {
    /// Adds a record: `PRIORITY,NUMBER,MICROSECONDS,FLAGS[,…];TEXT`, then lines of its own
    /// (Documentation/ABI/testing/dev-kmsg). Only the kernel's own ones: anyone may write
    /// what looks like them.
    fn add(&mut self, record: &str) {
        let Some((head, text)) = record.split_once(';') else { return };
        let mut fields = head.split(',').map(|field| field.parse::<u64>().ok());
        let (Some(Some(priority)), Some(Some(number))) = (fields.next(), fields.next()) else { return };
        self.first.get_or_insert(number);
        let kernel = priority >> 3 == 0;
        let text = text.lines().next().unwrap_or_default();
        if let (true, Some(kind)) = (kernel, kind(text)) {
            self.counts[kind] += 1;
        }
    }

    /// Adds how often each kind is in the log, and how much of it is gone.
    pub(super) fn settings(&self, found: &mut Found<'_>) {
        let key = |name| Key { area: Area::Log, of: None, name };
        for ((kind, _), count) in KINDS.iter().zip(self.counts) {
            found.value(key(kind), &count.to_string());
        }
        found.value(key("overwritten"), &self.first.unwrap_or(0).to_string());
    }

    /// How often each kind came.
    pub(super) fn rates(&self) -> impl Iterator<Item = Rate> {
        KINDS.iter().zip(self.counts).map(|((kind, _), count)| Rate {
            area: Area::Log,
            of: None,
            name: (*kind).to_owned(),
            count,
            unit: Unit::Events,
        })
    }
}

/// The first kind that a message is of.
fn kind(text: &str) -> Option<usize> {
    KINDS.iter().position(|(_, parts)| {
        let mut rest = Some(text);
        parts.iter().all(|part| {
            rest = rest.and_then(|text| text.split_once(part)).map(|(_, behind)| behind);
            rest.is_some()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Option<&'static str> {
        kind(text).map(|kind| KINDS[kind].0)
    }

    #[test]
    fn messages_of_old_and_new_kernels_are_known() {
        for (text, expected) in [
            ("INFO: rcu_sched self-detected stall on CPU", "rcu_stall"),
            ("rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu_stall"),
            ("rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-... }", "rcu_stall"),
            ("rcu: rcu_preempt kthread starved for 5250 jiffies! g1 f0x0", "rcu_starved"),
            ("watchdog: BUG: soft lockup - CPU#3 stuck for 22s! [kworker/3:1:88]", "soft_lockup"),
            ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 2", "hard_lockup"),
            ("INFO: task nfsd:812 blocked for more than 120 seconds.", "hung_task"),
            ("INFO: task jbd2:9 blocked in I/O wait for more than 120 seconds.", "hung_task"),
            ("redis: page allocation stalls for 27211ms, order:0, mode:0x14200ca", "page_alloc_stall"),
            ("swapper/0: page allocation failure: order:2, mode:0xa20(GFP_ATOMIC)", "page_alloc_failure"),
            ("java invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0", "oom"),
            ("NETDEV WATCHDOG: eth0 (ixgbe): transmit queue 3 timed out", "tx_timeout"),
            (
                "ixgbe 0000:01:00.0 eth0: NETDEV WATCHDOG: CPU: 1: transmit queue 0 timed out 5120 ms",
                "tx_timeout",
            ),
            ("BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0", "workqueue_lockup"),
            ("irq 16: nobody cared (try booting with the \"irqpoll\" option)", "irq_nobody_cared"),
            (
                "clocksource: timekeeping watchdog on CPU1: Marking clocksource 'tsc' as unstable because",
                "clocksource_unstable",
            ),
            ("BUG: unable to handle page fault for address: 0000000000000008", "bug"),
            ("WARNING: CPU: 0 PID: 1 at kernel/foo.c:1 bar+0x1/0x2", "warning"),
        ] {
            assert_eq!(named(text), Some(expected), "{text}");
        }
        assert_eq!(named("eth0: link becomes ready"), None);
    }

    #[test]
    fn only_the_kernel_s_own_messages_count() {
        let mut seen = Seen::default();
        seen.add("4,7,1000,-,caller=T1;java invoked oom-killer: gfp_mask=0x1\n SUBSYSTEM=x\n");
        seen.add("12,8,1001,-;java invoked oom-killer: gfp_mask=0x1\n");
        seen.add("broken");
        let counted: Vec<_> = seen.rates().filter(|rate| rate.count > 0).map(|r| (r.name, r.count)).collect();
        assert_eq!(counted, [("oom".to_owned(), 1)]);
        assert_eq!(seen.first, Some(7));
    }
}
