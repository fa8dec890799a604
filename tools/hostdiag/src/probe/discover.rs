//! Which functions of the kernel can be traced, which of them match, and why the
//! rest is left out. Decides by text alone; [`Lists`] reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;

use hostdiag_model::trace::{SkipReason, Skipped};

use super::pattern::{Names, base};
use crate::fail::{Code, Failure, did_you_mean};
use crate::kernel::tracefs;

/// Functions that a program of ours calls itself, or that run where it would
/// never come back: tracing them hangs the host. As retsnoop has them
/// (src/mass_attacher.c), and what works on our maps with their locks held: before
/// 5.11 nothing keeps a program there from waiting for itself.
const DENIED: [&str; 32] = [
    "bpf_get_smp_processor_id",
    "migrate_enable",
    "migrate_disable",
    "rcu_read_lock*",
    "rcu_read_unlock*",
    "__rcu_read_lock*",
    "__rcu_read_unlock*",
    "bpf_spin_lock",
    "bpf_spin_unlock",
    "__bpf_prog_enter*",
    "__bpf_prog_exit*",
    "__bpf_tramp_enter*",
    "__bpf_tramp_exit*",
    "update_prog_stats",
    "inc_misses_counter",
    "bpf_prog_inc_misses_counter*",
    "bpf_prog_start_time",
    "arch_cpu_idle",
    "default_idle",
    "preempt_count_add",
    "preempt_count_sub",
    "__ftrace_invalid_address___*",
    "htab_*",
    "__htab_*",
    "alloc_htab_elem",
    "free_htab_elem",
    "lookup_elem_raw",
    "lookup_nulls_elem_raw",
    "pcpu_freelist_*",
    "__pcpu_freelist_*",
    "___pcpu_freelist_*",
    "__bpf_ringbuf_reserve",
];

/// Functions that wait, for hours where there is nothing to do. As retsnoop has
/// them (src/mass_attacher.c).
const SLEEPING: [&str; 10] = [
    "*_sys_select",
    "*_sys_pselect6*",
    "*_sys_epoll_wait",
    "*_sys_epoll_pwait*",
    "*_sys_poll*",
    "*_sys_ppoll*",
    "*_sys_nanosleep*",
    "*_sys_clock_nanosleep*",
    "*_sys_futex*",
    "*_sys_wait*",
];

/// Whether a call can last that long: kernels whose trampolines do not stay for
/// it crash when they are detached.
pub fn may_sleep_long(name: &str) -> bool {
    SLEEPING.iter().any(|sleeping| hostdiag_model::glob::matches(sleeping, name))
}

/// A function's name and its module; without one it is of the kernel itself.
pub type Key = (String, Option<String>);

/// A pattern for functions of the kernel.
#[derive(Clone, Debug)]
pub struct Wanted<'a> {
    /// As typed.
    pub text: &'a str,
    /// Of this module alone, or of `vmlinux`.
    pub module: Option<&'a str>,
    /// Which names.
    pub names: &'a Names,
}

impl Wanted<'_> {
    fn contains(&self, name: &str, module: Option<&str>) -> bool {
        let here = match self.module {
            None => true,
            Some("vmlinux") => module.is_none(),
            Some(wanted) => module == Some(wanted),
        };
        here && self.names.contain(name)
    }
}

/// What the kernel says of its functions.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// `available_filter_functions`: `name` or `name [module]` a line. Absent
    /// where it cannot be read (no tracefs, lockdown).
    pub traceable: Option<String>,
    /// /proc/kallsyms, where it was needed.
    kallsyms: Option<String>,
}

impl Lists {
    /// Reads what can be read.
    pub fn read() -> Self {
        let traceable = fs::read_to_string(tracefs().join("available_filter_functions")).ok();
        Self { traceable: traceable.filter(|list| !list.is_empty()), kallsyms: None }
    }

    /// Lists from text, as a kernel would print them.
    pub fn from_text(traceable: Option<&str>, kallsyms: &str) -> Self {
        Self { traceable: traceable.map(String::from), kallsyms: Some(kallsyms.into()) }
    }

    /// /proc/kallsyms, read once: it takes a tenth of a second.
    fn kallsyms(&mut self) -> &str {
        self.kallsyms.get_or_insert_with(|| fs::read_to_string("/proc/kallsyms").unwrap_or_default())
    }
}

/// Names of `wanted` that stand for one thing alone, in the kernel and all its modules.
pub fn only(lists: &mut Lists, wanted: &HashSet<&str>) -> HashSet<String> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    // Also data has names.
    for line in lists.kallsyms().lines() {
        let found = line.split_ascii_whitespace().nth(2).and_then(|name| wanted.get(name));
        if let Some(name) = found {
            *times.entry(name).or_default() += 1;
        }
    }
    times.into_iter().filter(|(_, times)| *times == 1).map(|(name, _)| name.to_owned()).collect()
}

/// What matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Names to attach to, with how many functions have each, sorted.
    pub found: BTreeMap<Key, usize>,
    /// Names that matched and are left out.
    pub skipped: Vec<Skipped>,
}

/// Every function that one of the patterns describes and none of `skip`.
/// `in_btf` is asked only where the kernel's list cannot be read.
///
/// # Errors
/// For a pattern that describes nothing: `no-such-function`, `not-traceable` or
/// `no-match`.
pub fn find(
    lists: &mut Lists,
    patterns: &[Wanted<'_>],
    skip: &[Names],
    in_btf: impl Fn(&str) -> bool,
) -> Result<Matches, Failure> {
    let mut matches = Matches::default();
    let mut used = vec![false; patterns.len()];
    let mut add = |name: &str, module: Option<&str>| {
        let mut wanted = false;
        for (pattern, used) in patterns.iter().zip(&mut used) {
            if pattern.contains(name, module) {
                (wanted, *used) = (true, true);
            }
        }
        if wanted {
            *matches.found.entry((name.to_owned(), module.map(String::from))).or_default() += 1;
        }
    };
    match &lists.traceable {
        Some(list) => list.lines().map(entry).for_each(|(name, module)| add(name, module)),
        None => lists
            .kallsyms()
            .lines()
            .filter_map(symbol)
            .filter(|(_, name, module)| module.is_some() || in_btf(name))
            .for_each(|(_, name, module)| add(name, module)),
    }
    if let Some((pattern, _)) = patterns.iter().zip(&used).find(|(_, used)| !**used) {
        return Err(nothing(lists, pattern));
    }
    matches.leave_out(skip);
    Ok(matches)
}

impl Matches {
    fn leave_out(&mut self, skip: &[Names]) {
        let reason = |name: &str| {
            if DENIED.iter().any(|denied| is_denied(denied, name)) {
                Some(SkipReason::Denied)
            } else {
                skip.iter().any(|names| names.contain(name)).then_some(SkipReason::Asked)
            }
        };
        for (name, module) in self.found.keys() {
            if let Some(reason) = reason(name) {
                self.skipped.push(Skipped { name: name.clone(), module: module.clone(), reason });
            }
        }
        self.found.retain(|(name, _), _| reason(name).is_none());
    }

    /// The addresses of what was found: each function of a name. Names whose
    /// functions the kernel does not tell apart move to what is skipped.
    pub fn addresses(&mut self, lists: &mut Lists) -> HashMap<Key, Vec<u64>> {
        let listed = lists.traceable.is_some();
        let mut addresses = addresses(lists.kallsyms(), &self.found.keys().cloned().collect());
        let skipped = &mut self.skipped;
        self.found.retain(|key, times| {
            let found = addresses.get(key).map_or(&[][..], Vec::as_slice);
            let reason = if found.is_empty() || found.contains(&0) {
                SkipReason::NoAddress
            } else if listed && found.len() != *times {
                SkipReason::Ambiguous
            } else {
                return true;
            };
            addresses.remove(key);
            skipped.push(Skipped { name: key.0.clone(), module: key.1.clone(), reason });
            false
        });
        addresses
    }
}

/// A name, or the beginning of names.
fn is_denied(denied: &str, name: &str) -> bool {
    denied.strip_suffix('*').map_or(denied == name, |start| name.starts_with(start))
}

/// A line of `available_filter_functions`.
fn entry(line: &str) -> (&str, Option<&str>) {
    match line.split_once(" [") {
        Some((name, module)) => (name, module.strip_suffix(']')),
        None => (line, None),
    }
}

/// A line of kallsyms that is a function: its address, name and module.
fn symbol(line: &str) -> Option<(u64, &str, Option<&str>)> {
    let (address, rest) = line.split_once(' ')?;
    let (kind, rest) = rest.split_once(' ')?;
    let (name, module) = match rest.split_once('\t') {
        Some((name, module)) => (name, module.strip_prefix('[').and_then(|m| m.strip_suffix(']'))),
        None => (rest, None),
    };
    let function = matches!(kind, "t" | "T" | "w" | "W") && !name.starts_with("__pfx_");
    // BPF programs stand there too, as of a module "bpf".
    (function && module != Some("bpf")).then_some((u64::from_str_radix(address, 16).ok()?, name, module))
}

fn addresses(kallsyms: &str, wanted: &HashSet<Key>) -> HashMap<Key, Vec<u64>> {
    let names: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let mut found: HashMap<Key, Vec<u64>> = HashMap::new();
    for (address, name, module) in kallsyms.lines().filter_map(symbol) {
        if !names.contains(name) {
            continue;
        }
        let key = (name.to_owned(), module.map(String::from));
        if wanted.contains(&key) {
            found.entry(key).or_default().push(address);
        }
    }
    found.values_mut().for_each(|addresses| {
        addresses.sort_unstable();
        addresses.dedup();
    });
    found
}

/// Why a pattern describes nothing.
fn nothing(lists: &mut Lists, pattern: &Wanted<'_>) -> Failure {
    let text = pattern.text;
    let Some(exact) = pattern.names.exact() else {
        return Failure::new(Code::NoMatch, format!("no function of the kernel matches {text:?}"))
            .hint(format!("hostdiag funccount --list '*{}*' shows what there is", letters(text)));
    };
    let at: Vec<u64> = lists
        .kallsyms()
        .lines()
        .filter_map(symbol)
        .filter(|(_, name, _)| base(name) == exact)
        .map(|(address, ..)| address)
        .collect();
    if !at.is_empty() {
        let message =
            format!("the kernel has {exact}, but does not let it be traced (notrace, or kept from ftrace)");
        return Failure::new(Code::NotTraceable, message).hint(
            same_place(lists, exact, &at)
                .unwrap_or_else(|| "trace a function that it calls, or that calls it".into()),
        );
    }
    let names: Vec<String> = match &lists.traceable {
        Some(list) => list.lines().map(|line| entry(line).0.to_owned()).collect(),
        None => lists.kallsyms().lines().filter_map(symbol).map(|(_, name, _)| name.to_owned()).collect(),
    };
    let hint = did_you_mean(exact, names.iter().map(String::as_str)).unwrap_or_else(|| {
        "it may be of a module that is not loaded, or the compiler has put it into its callers (inlined)"
            .into()
    });
    Failure::new(Code::NoSuchFunction, format!("the kernel has no function {text:?} of its own")).hint(hint)
}

/// Another name of the same function that can be traced.
fn same_place(lists: &mut Lists, exact: &str, at: &[u64]) -> Option<String> {
    let kallsyms = lists.kallsyms().to_owned();
    let others: HashSet<&str> = kallsyms
        .lines()
        .filter_map(symbol)
        .filter(|(address, name, _)| *address != 0 && at.contains(address) && *name != exact)
        .map(|(_, name, _)| name)
        .collect();
    let list = lists.traceable.as_deref()?;
    let other = list.lines().map(|line| entry(line).0).find(|name| others.contains(name))?;
    Some(format!("it is listed under another name: {other}"))
}

/// The longest run of letters in a pattern, for a wider one.
fn letters(pattern: &str) -> &str {
    let parts = pattern.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.max_by_key(|part| part.len()).unwrap_or_default().trim_matches('_')
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
