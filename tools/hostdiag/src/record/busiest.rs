//! The functions of the kernel that stand out in a profile.

use std::collections::{BTreeMap, HashMap, HashSet};

use hostdiag_model::stacks::Symbol;
use hostdiag_model::trace::{Payload, Trace};
use serde::{Deserialize, Serialize};

use crate::probe::discover::{self, Lists};

/// Functions that are on the way to everything, or to nothing: how an entry begins, how
/// a thread does. What they take is told by what they call.
const WAYS: [&str; 20] = [
    "entry_",
    "do_syscall_64",
    "x64_sys_call",
    "__x64_sys_",
    "__ia32_sys_",
    "__se_sys_",
    "__do_sys_",
    "sys_",
    "asm_",
    "sysvec_",
    "__sysvec_",
    "common_interrupt",
    "__common_interrupt",
    "ret_from_fork",
    "kthread",
    "worker_thread",
    "process_one_work",
    "smpboot_thread_fn",
    "bpf_",
    "__bpf_",
];
/// Longest name that is taken from another host, in bytes (KSYM_NAME_LEN, linux/kallsyms.h).
const LONGEST: usize = 512;

/// A function, and how much of the time of all CPUs it and what it called took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Busy {
    /// As the kernel has it.
    pub name: String,
    /// Millionths of all samples.
    pub ppm: u64,
}

/// Whether it is the name of a function of the kernel, and nothing else.
pub fn is_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    !name.is_empty() && name.len() <= LONGEST && name.chars().all(plain)
}

/// The busiest functions of the kernel in which `traceable` finds one that can be traced,
/// at most so many, the busiest first. Of functions that hardly differ, as one that does
/// nothing but call another, it is the outermost.
pub fn of(profile: &Trace, most: usize, traceable: impl Fn(&HashSet<&str>) -> HashSet<String>) -> Vec<Busy> {
    let (samples, total) = by_function(profile);
    let names: HashSet<&str> = samples.keys().copied().collect();
    let can = traceable(&names);
    let sum = |stacks: &BTreeMap<u32, u64>| stacks.values().sum::<u64>();
    let mut sorted: Vec<(&str, &BTreeMap<u32, u64>, u64)> = samples
        .iter()
        .filter(|(name, _)| can.contains(**name))
        .map(|(name, stacks)| (*name, stacks, sum(stacks)))
        .collect();
    sorted.sort_by_key(|(name, _, count)| (std::cmp::Reverse(*count), *name));
    let mut picked: Vec<(&str, &BTreeMap<u32, u64>, u64)> = Vec::new();
    for candidate in sorted {
        if picked.len() == most {
            break;
        }
        if !picked.iter().any(|outer| is_the_same(outer, &candidate)) {
            picked.push(candidate);
        }
    }
    let ppm = |count: u64| u64::try_from(u128::from(count) * 1_000_000 / u128::from(total.max(1)));
    let busy =
        |(name, _, count): (&str, _, u64)| Busy { name: name.to_owned(), ppm: ppm(count).unwrap_or(0) };
    picked.into_iter().map(busy).collect()
}

/// Those of this host that can be traced.
pub fn here(profile: Option<&Trace>, most: usize) -> Vec<Busy> {
    let traceable = |names: &HashSet<&str>| discover::traceable(&Lists::read(), names);
    profile.map(|profile| of(profile, most, traceable)).unwrap_or_default()
}

/// Nine tenths of the samples of one are in the other.
fn is_the_same(outer: &(&str, &BTreeMap<u32, u64>, u64), inner: &(&str, &BTreeMap<u32, u64>, u64)) -> bool {
    let common: u64 =
        inner.1.iter().filter(|(stack, _)| outer.1.contains_key(stack)).map(|(_, count)| count).sum();
    common * 10 >= outer.2 * 9
}

/// Of each function the samples by stack, and all samples.
fn by_function(profile: &Trace) -> (HashMap<&str, BTreeMap<u32, u64>>, u64) {
    let (mut functions, mut total) = (HashMap::<&str, BTreeMap<u32, u64>>::new(), 0);
    for window in profile.windows.iter() {
        let Payload::Stacks(counts) = &window.payload else { continue };
        for (key, count) in counts.iter() {
            total += count;
            let part = profile.stacks.stack(key.stack).and_then(|stack| stack.kernel.as_ref());
            let frames = part.into_iter().flat_map(|part| profile.stacks.frames(part));
            let names: HashSet<&str> = frames.filter_map(|frame| name(&frame.symbol)).collect();
            for name in names {
                *functions.entry(name).or_default().entry(key.stack).or_default() += count;
            }
        }
    }
    (functions, total)
}

fn name(symbol: &Symbol) -> Option<&str> {
    let Symbol::Name(name) = symbol else { return None };
    let way = WAYS.iter().any(|way| name.starts_with(way));
    (is_name(name) && !way && !discover::may_sleep_long(name)).then_some(name)
}

/// Of what stands out on several hosts what is traced on all: what takes much anywhere,
/// and what differs, counts twice.
pub fn together(hosts: &[Vec<Busy>], most: usize) -> Vec<String> {
    let mut shares: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for busy in hosts.iter().flatten().filter(|busy| is_name(&busy.name)) {
        shares.entry(&busy.name).or_default().push(busy.ppm);
    }
    let score = |shares: &[u64]| {
        let largest = shares.iter().copied().max().unwrap_or(0);
        let smallest = if shares.len() < hosts.len() { 0 } else { shares.iter().copied().min().unwrap_or(0) };
        largest.saturating_mul(2).saturating_sub(smallest)
    };
    let mut sorted: Vec<(u64, &str)> = shares.iter().map(|(name, shares)| (score(shares), *name)).collect();
    sorted.sort_by_key(|(score, name)| (std::cmp::Reverse(*score), *name));
    sorted.into_iter().take(most).map(|(_, name)| name.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hostdiag_model::stacks::{Frame, Part, Stack, StackCounts, StackKey};
    use hostdiag_model::trace::Window;

    use super::*;

    /// Stacks, the innermost function first, and their samples.
    fn profile(stacks: &[(&[&str], u64)]) -> Trace {
        let (mut trace, mut counts) = (Trace::default(), StackCounts::new());
        for (names, count) in stacks {
            let frame = |name: &&str| Frame {
                address: 0,
                symbol: Symbol::Name(Arc::from(*name)),
                offset: None,
                module: None,
                inlined: false,
            };
            let frames = names.iter().map(|name| trace.stacks.add_frame(frame(name))).collect();
            let kernel = Some(Part { frames, gap: None });
            let stack = trace.stacks.add_stack(Stack { kernel, user: None });
            counts.add(StackKey { stack, function: None, pid: None, comm: None }, *count);
        }
        trace.windows.push(Window { start_ms: 0, end_ms: 1000, payload: Payload::Stacks(counts) });
        trace
    }

    fn all(names: &HashSet<&str>) -> HashSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn the_outermost_of_a_chain_stands_for_it() {
        let profile = profile(&[
            (&["tcp_push_one", "tcp_sendmsg", "do_sendfile", "__x64_sys_sendfile64", "do_syscall_64"], 60),
            (&["tcp_sendmsg", "do_sendfile", "__x64_sys_sendfile64", "do_syscall_64"], 35),
            (&["do_sendfile", "__x64_sys_sendfile64", "do_syscall_64"], 5),
            (&["shrink_slab", "kswapd", "kthread", "ret_from_fork"], 100),
        ]);
        let busy = of(&profile, 8, all);
        let found: Vec<(&str, u64)> = busy.iter().map(|busy| (busy.name.as_str(), busy.ppm)).collect();
        assert_eq!(found, [("do_sendfile", 500_000), ("kswapd", 500_000), ("tcp_push_one", 300_000)]);
        let only = |_: &HashSet<&str>| HashSet::from(["shrink_slab".to_owned()]);
        assert_eq!(of(&profile, 8, only)[0].name, "shrink_slab");
    }

    #[test]
    fn what_differs_between_hosts_comes_first() {
        let host = |rows: &[(&str, u64)]| -> Vec<Busy> {
            rows.iter().map(|(name, ppm)| Busy { name: (*name).to_owned(), ppm: *ppm }).collect()
        };
        let good = host(&[("same", 300), ("less", 10)]);
        let bad = host(&[("same", 300), ("less", 200), ("a;b", 999)]);
        assert_eq!(together(&[good, bad], 8), ["less", "same"]);
    }
}
