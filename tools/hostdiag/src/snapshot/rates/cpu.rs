//! Time of CPUs, soft interrupts, context switches, reclaim, pressure.

use hostdiag_model::snapshot::{Area, Unit};

use super::{Counts, Parser};
use crate::snapshot::found::Found;

/// Columns of /proc/stat (proc_stat(5)). Time of guests is in `user` and `nice` too.
const KINDS: [&str; 10] =
    ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];
/// USER_HZ is 100 on every architecture but alpha and ia64.
const TICK_US: u64 = 10_000;

/// Adds them.
pub(super) fn count(found: &Found<'_>, counts: &mut Counts) {
    let files: [(Area, &str, Parser); 3] = [
        (Area::Cpu, "/proc/stat", stat),
        (Area::Softirq, "/proc/softirqs", softirqs),
        (Area::Memory, "/proc/vmstat", vmstat),
    ];
    for (area, path, parse) in files {
        counts.file(found, (area, path), parse);
    }
    for resource in found.list("/proc/pressure") {
        let path = format!("/proc/pressure/{resource}");
        counts.file(found, (Area::Pressure, &path), |text, counts| pressure(&resource, text, counts));
    }
}

fn stat(text: &str, counts: &mut Counts) {
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some(name) = words.next() else { continue };
        let first = || words.clone().next().and_then(|word| word.parse().ok());
        match name {
            "ctxt" => {
                first().into_iter().for_each(|count| counts.add((Area::Cpu, None, "context switches"), count))
            }
            "processes" => {
                first().into_iter().for_each(|count| counts.add((Area::Cpu, None, "forks"), count))
            }
            "intr" => {
                first().into_iter().for_each(|count| counts.add((Area::Irq, None, "interrupts"), count))
            }
            _ if name.starts_with("cpu") => {
                let of = (name != "cpu").then_some(name);
                for (kind, ticks) in KINDS.iter().zip(words).filter_map(number) {
                    counts.add_in(Unit::Microseconds, (Area::Cpu, of, kind), ticks.saturating_mul(TICK_US));
                }
            }
            _ => {}
        }
    }
}

fn number<'a>((name, word): (&'a &'static str, &str)) -> Option<(&'a str, u64)> {
    Some((name, word.parse().ok()?))
}

/// A line a kind, a column a CPU.
fn softirqs(text: &str, counts: &mut Counts) {
    let mut lines = text.lines();
    let cpus: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_lowercase).collect();
    for (name, rest) in lines.filter_map(|line| line.split_once(':')) {
        let name = name.trim();
        for (cpu, count) in cpus.iter().zip(rest.split_whitespace().filter_map(|word| word.parse().ok())) {
            counts.add((Area::Softirq, Some(cpu), name), count);
            counts.add((Area::Softirq, None, name), count);
        }
    }
}

/// Names beginning with `nr_` are not counters, but for these.
const COUNTED: [&str; 4] = ["nr_dirtied", "nr_written", "nr_vmscan_write", "nr_vmscan_immediate_reclaim"];

fn vmstat(text: &str, counts: &mut Counts) {
    for (name, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let counter = !name.starts_with("nr_") || COUNTED.contains(&name);
        if let (true, Ok(count)) = (counter, value.trim().parse()) {
            counts.add((Area::Memory, None, name), count);
        }
    }
}

/// `some avg10=0.00 … total=858059300`, in microseconds.
fn pressure(resource: &str, text: &str, counts: &mut Counts) {
    for line in text.lines() {
        let Some((kind, rest)) = line.split_once(' ') else { continue };
        let total = rest.split(' ').find_map(|word| word.strip_prefix("total=")?.parse().ok());
        if let Some(total) = total {
            let name = format!("{resource} {kind}");
            counts.add_in(Unit::Microseconds, (Area::Pressure, None, &name), total);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(parse: impl FnOnce(&mut Counts)) -> Vec<(String, String, u64)> {
        let mut after = Counts::default();
        parse(&mut after);
        let mut before = Counts::default();
        after.all.iter().for_each(|((area, of, name), (_, unit))| {
            before.add_in(*unit, (*area, of.as_deref(), name), 0);
        });
        let rates = after.since(&before).into_iter();
        rates.map(|rate| (rate.of.unwrap_or_default(), rate.name, rate.count)).collect()
    }

    fn rate(of: &str, name: &str, count: u64) -> (String, String, u64) {
        (of.to_owned(), name.to_owned(), count)
    }

    #[test]
    fn time_is_in_microseconds_by_kind_and_cpu() {
        let text = "cpu  3 0 2 9 0 0 0 1 0 0\ncpu1 3 0 0 0 0 0 0 1\nintr 77 1 2\nctxt 55\nprocesses 4\n";
        let all = counted(|counts| stat(text, counts));
        for expected in [
            rate("", "user", 30_000),
            rate("", "steal", 10_000),
            rate("cpu1", "user", 30_000),
            rate("", "context switches", 55),
            rate("", "interrupts", 77),
            rate("", "forks", 4),
        ] {
            assert!(all.contains(&expected), "{expected:?}: {all:?}");
        }
    }

    #[test]
    fn soft_interrupts_are_counted_by_cpu_and_in_all() {
        let text = "                    CPU0       CPU2       \n      NET_RX:        5          7\n";
        let all = counted(|counts| softirqs(text, counts));
        assert_eq!(all, [rate("", "NET_RX", 12), rate("cpu0", "NET_RX", 5), rate("cpu2", "NET_RX", 7)]);
    }

    #[test]
    fn reclaim_and_pressure_are_counters() {
        let all = counted(|counts| vmstat("nr_free_pages 9\nnr_dirtied 2\nallocstall_normal 3\n", counts));
        assert_eq!(all, [rate("", "allocstall_normal", 3), rate("", "nr_dirtied", 2)]);
        let text = "some avg10=98.29 avg60=86.48 avg300=75.48 total=858\nfull avg10=0.00 total=7\n";
        let all = counted(|counts| pressure("cpu", text, counts));
        assert_eq!(all, [rate("", "cpu full", 7), rate("", "cpu some", 858)]);
    }
}
