//! What happened while it was counted.

use hostdiag_model::Snapshot;
use hostdiag_model::snapshot::{Area, Rate, Unit};

use super::{heading, words};
use crate::diff::number::short;
use crate::page::{Ink, Page};

/// Devices, interrupts, and counters of trouble that have a place on the screen.
const MAX_DEVICES: usize = 5;
const MAX_TOP: usize = 6;
const MAX_TROUBLE: usize = 12;
/// What counters of trouble have in their names.
const TROUBLE: [&str; 17] = [
    "abort",
    "collaps",
    "discard",
    "drop",
    "err",
    "fail",
    "fifo",
    "loss",
    "lost",
    "overflow",
    "prune",
    "retrans",
    "requeue",
    "squeeze",
    "stall",
    "timeout",
    "timed_out",
];
/// Of these areas.
const TROUBLED: [Area; 5] = [Area::Memory, Area::Link, Area::Nic, Area::Qdisc, Area::Net];

/// Puts what the screen has room for.
pub(super) fn put(page: &mut Page, snapshot: &Snapshot) {
    if snapshot.interval_ms == 0 {
        return;
    }
    heading(page, "What happened");
    let rows = [
        ("cpu", cpu(snapshot)),
        ("busiest", busiest(snapshot)),
        ("work", work(snapshot)),
        ("softirq", top(snapshot, |rate| rate.area == Area::Softirq && rate.of.is_none(), name)),
        ("irq", top(snapshot, |rate| rate.area == Area::Irq && rate.of.is_some(), of)),
        ("bpf", top(snapshot, |rate| rate.area == Area::Bpf && rate.unit == Unit::Events, of)),
        ("pressure", pressure(snapshot)),
    ];
    for (what, text) in rows.into_iter().filter_map(|(what, text)| Some((what, text?))) {
        page.line(&format!("  {what:<9} {text}"));
    }
    devices(page, snapshot);
    trouble(page, snapshot);
}

/// Puts every counter.
pub(super) fn put_all(page: &mut Page, snapshot: &Snapshot) {
    if snapshot.rates.is_empty() {
        return;
    }
    heading(page, "Counted");
    for rate in &snapshot.rates {
        let of = rate.of.as_ref().map(|of| format!("{of} ")).unwrap_or_default();
        let unit = if rate.unit == Unit::Microseconds { " us" } else { "" };
        let (area, name, count) = (words::area(rate.area), &rate.name, rate.count);
        page.line(&format!("  {area:<9} {of}{name} = {count}{unit}"));
    }
}

fn per_second(snapshot: &Snapshot, count: u64) -> String {
    format!("{}/s", short(count as f64 * 1000.0 / snapshot.interval_ms.max(1) as f64))
}

/// A counter of the host, or of one of its parts.
fn counted(snapshot: &Snapshot, area: Area, of: Option<&str>, name: &str) -> Option<u64> {
    let found = |rate: &&Rate| rate.area == area && rate.of.as_deref() == of && rate.name == name;
    snapshot.rates.iter().find(found).map(|rate| rate.count)
}

/// Shares of the time of CPUs; that of guests is in user and nice.
const KINDS: [&str; 8] = ["user", "nice", "system", "irq", "softirq", "iowait", "steal", "idle"];

/// Microseconds by kind, in the order of [`KINDS`], and their sum; absent where nothing was
/// counted.
fn time(snapshot: &Snapshot, of: Option<&str>) -> Option<(Vec<u64>, u64)> {
    // What did not happen on a CPU is left out.
    let by_kind: Vec<u64> =
        KINDS.iter().map(|kind| counted(snapshot, Area::Cpu, of, kind).unwrap_or(0)).collect();
    let sum = by_kind.iter().sum::<u64>();
    (sum > 0).then_some((by_kind, sum))
}

fn cpu(snapshot: &Snapshot) -> Option<String> {
    let (by_kind, sum) = time(snapshot, None)?;
    let share = |time: u64| time as f64 * 100.0 / sum as f64;
    let shares: Vec<String> =
        KINDS.iter().zip(by_kind).map(|(kind, time)| format!("{kind} {:.1}", share(time))).collect();
    Some(format!("{} %", shares.join(", ")))
}

/// The CPU that was idle least, where there are several.
fn busiest(snapshot: &Snapshot) -> Option<String> {
    let cpus = snapshot.rates.iter().filter(|rate| rate.area == Area::Cpu);
    let mut cpus: Vec<&str> = cpus.filter_map(|rate| rate.of.as_deref()).collect();
    cpus.dedup();
    let busy = |cpu: &str| {
        let (by_kind, sum) = time(snapshot, Some(cpu))?;
        let waiting = [5, 7].iter().map(|kind| by_kind[*kind]).sum::<u64>();
        Some(((sum - waiting) * 1000 / sum, by_kind[4] * 1000 / sum))
    };
    let (most, cpu) = cpus.iter().filter_map(|cpu| Some((busy(cpu)?, cpu))).max_by_key(|(busy, _)| *busy)?;
    let percent = |tenths: u64| format!("{}.{} %", tenths / 10, tenths % 10);
    let text = format!("{cpu}: busy {}, of that softirq {}", percent(most.0), percent(most.1));
    (cpus.len() > 1).then_some(text)
}

fn work(snapshot: &Snapshot) -> Option<String> {
    let counters = [
        (Area::Cpu, "context switches", "context switches"),
        (Area::Cpu, "forks", "forks"),
        (Area::Irq, "interrupts", "interrupts"),
    ];
    let counted = counters.iter().filter_map(|(area, name, word)| {
        Some(format!("{} {word}", per_second(snapshot, counted(snapshot, *area, None, name)?)))
    });
    let all: Vec<String> = counted.collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn name(rate: &Rate) -> &str {
    &rate.name
}

fn of(rate: &Rate) -> &str {
    rate.of.as_deref().unwrap_or(&rate.name)
}

/// Those that happened most often.
fn top(snapshot: &Snapshot, takes: impl Fn(&Rate) -> bool, name: fn(&Rate) -> &str) -> Option<String> {
    let mut all: Vec<&Rate> = snapshot.rates.iter().filter(|rate| rate.count > 0 && takes(rate)).collect();
    all.sort_by_key(|rate| std::cmp::Reverse(rate.count));
    let text = |rate: &&Rate| format!("{} {}", name(rate), per_second(snapshot, rate.count));
    (!all.is_empty()).then(|| all.iter().take(MAX_TOP).map(text).collect::<Vec<_>>().join(", "))
}

/// Shares of the interval in which tasks waited for a resource.
fn pressure(snapshot: &Snapshot) -> Option<String> {
    let all: Vec<String> = snapshot
        .rates
        .iter()
        .filter(|rate| rate.area == Area::Pressure)
        .map(|rate| {
            format!("{} {:.1}", rate.name, rate.count as f64 / 10.0 / snapshot.interval_ms.max(1) as f64)
        })
        .collect();
    (!all.is_empty()).then(|| format!("{} %", all.join(", ")))
}

/// What went through devices, the most first.
fn devices(page: &mut Page, snapshot: &Snapshot) {
    let bytes = |of: &str, name| counted(snapshot, Area::Link, Some(of), name).unwrap_or(0);
    let links = snapshot.rates.iter().filter(|rate| rate.area == Area::Link && rate.name == "rx_bytes");
    let mut links: Vec<(&str, u64)> = links
        .filter_map(|rate| Some((rate.of.as_deref()?, rate.count)))
        .map(|(of, received)| (of, received + bytes(of, "tx_bytes")))
        .filter(|(_, sum)| *sum > 0)
        .collect();
    links.sort_by_key(|(_, sum)| std::cmp::Reverse(*sum));
    for (device, _) in links.iter().take(MAX_DEVICES) {
        let rate = |name| per_second(snapshot, bytes(device, name));
        page.line(&format!(
            "  {device:<9} received {} bytes in {} packets, sent {} bytes in {} packets",
            rate("rx_bytes"),
            rate("rx_packets"),
            rate("tx_bytes"),
            rate("tx_packets")
        ));
    }
    if links.len() > MAX_DEVICES {
        page.ink(
            Ink::Dim,
            &format!("  ... {} more devices with traffic (--all)\n", links.len() - MAX_DEVICES),
        );
    }
}

/// What was dropped, failed, stalled, came again; and trouble that came into the log.
fn trouble(page: &mut Page, snapshot: &Snapshot) {
    let is_trouble = |rate: &&Rate| {
        let name = rate.name.to_lowercase();
        // Of each CPU the sum is there as well.
        let of_cpu = rate.area == Area::Net && rate.of.is_some();
        let named = TROUBLED.contains(&rate.area) && TROUBLE.iter().any(|word| name.contains(word));
        rate.count > 0 && !of_cpu && (named || rate.area == Area::Log)
    };
    let mut all: Vec<&Rate> = snapshot.rates.iter().filter(is_trouble).collect();
    if all.is_empty() {
        return;
    }
    all.sort_by_key(|rate| (rate.area != Area::Log, std::cmp::Reverse(rate.count)));
    let text = |rate: &&Rate| {
        let of = rate.of.as_ref().map(|of| format!("{of} ")).unwrap_or_default();
        format!("{of}{} {}", rate.name, per_second(snapshot, rate.count))
    };
    let mut texts: Vec<String> = all.iter().take(MAX_TROUBLE).map(text).collect();
    if all.len() > MAX_TROUBLE {
        texts.push(format!("{} more (--all)", all.len() - MAX_TROUBLE));
    }
    for (number, line) in words::wrapped(&texts).iter().enumerate() {
        let what = if number == 0 { "trouble" } else { "" };
        page.put("  ").ink(Ink::Yellow, &format!("{what:<9} ")).line(line);
    }
}
