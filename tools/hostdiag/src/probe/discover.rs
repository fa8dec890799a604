//! Which functions of the kernel can be traced, which of them match, and why the
//! rest is left out. Decides by text alone; [`Lists`] reads it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

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

/// What the kernel says of its functions: megabytes, so they are read a line at a
/// time, each time that they are needed.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// `available_filter_functions`: `name` or `name [module]` a line. Absent
    /// where it cannot be read (no tracefs, lockdown).
    traceable: Option<Text>,
    /// `available_filter_functions_addrs` (Linux 6.5): the same with the address of the
    /// call that ftrace patches before each.
    placed: Option<Text>,
    /// /proc/kallsyms.
    kallsyms: Text,
}

/// Lines of a file, or of a text.
#[derive(Clone, Debug)]
enum Text {
    File(PathBuf),
    Whole(String),
}

impl Default for Text {
    fn default() -> Self {
        Self::Whole(String::new())
    }
}

impl Text {
    /// Calls with each line as far as it can be read.
    fn each(&self, mut each: impl FnMut(&str)) {
        let path = match self {
            Self::File(path) => path,
            Self::Whole(text) => return text.lines().for_each(each),
        };
        let Ok(file) = File::open(path) else { return };
        let mut file = BufReader::with_capacity(1 << 16, file);
        let mut line = String::new();
        while file.read_line(&mut line).is_ok_and(|read| read > 0) {
            each(line.trim_end_matches('\n'));
            line.clear();
        }
    }
}

impl Lists {
    /// What can be read.
    pub fn read() -> Self {
        let readable = |name: &str| {
            let path = tracefs().join(name);
            let first = File::open(&path).and_then(|mut file| file.read(&mut [0]));
            first.is_ok_and(|read| read > 0).then_some(Text::File(path))
        };
        Self {
            traceable: readable("available_filter_functions"),
            placed: readable("available_filter_functions_addrs"),
            kallsyms: Text::File("/proc/kallsyms".into()),
        }
    }

    /// Lists from text, as a kernel would print them.
    pub fn from_text(traceable: Option<&str>, placed: Option<&str>, kallsyms: &str) -> Self {
        let text = |text: &str| Text::Whole(text.into());
        Self { traceable: traceable.map(text), placed: placed.map(text), kallsyms: text(kallsyms) }
    }

    /// Whether the kernel tells which functions can be traced.
    pub fn tell_traceable(&self) -> bool {
        self.traceable.is_some()
    }

    /// Calls with the address, the name and the module of each symbol that is a function.
    fn symbols(&self, mut each: impl FnMut(u64, &str, Option<&str>)) {
        self.kallsyms.each(|line| {
            if let Some((address, name, module)) = symbol(line) {
                each(address, name, module);
            }
        });
    }

    /// The same of the functions that can be traced, or where the kernel does not tell
    /// that, of all.
    fn placed(&self, mut each: impl FnMut(u64, &str, Option<&str>)) {
        let Some(placed) = &self.placed else { return self.symbols(each) };
        placed.each(|line| {
            let Some((address, line)) = line.split_once(' ') else { return };
            let (name, module) = entry(line);
            if let Ok(address) = u64::from_str_radix(address, 16) {
                each(begin(address), name, module);
            }
        });
    }
}

/// Where a function begins whose call for ftrace is at this address: there, or an
/// endbr64 before. Functions lie at multiples of 16 bytes (FUNCTION_ALIGNMENT_16B of
/// arch/x86/Kconfig, which is older than the list that this is for).
fn begin(call: u64) -> u64 {
    call & !15
}

/// Names of `wanted` that stand for one thing alone, in the kernel and all its modules.
pub fn only(lists: &Lists, wanted: &HashSet<&str>) -> HashSet<String> {
    let mut times: HashMap<&str, usize> = HashMap::new();
    // Also data has names.
    lists.kallsyms.each(|line| {
        let found = line.split_ascii_whitespace().nth(2).and_then(|name| wanted.get(name));
        if let Some(name) = found {
            *times.entry(name).or_default() += 1;
        }
    });
    times.into_iter().filter(|(_, times)| *times == 1).map(|(name, _)| name.to_owned()).collect()
}

/// Names of `wanted` that can be traced; all of them where the kernel does not tell.
pub fn traceable(lists: &Lists, wanted: &HashSet<&str>) -> HashSet<String> {
    let denied = |name: &str| DENIED.iter().any(|denied| is_denied(denied, name));
    let mut found: HashSet<String> = HashSet::new();
    let mut add = |name: &str| {
        for name in [name, base(name)] {
            if wanted.contains(name) && !denied(name) && !found.contains(name) {
                found.insert(name.to_owned());
            }
        }
    };
    match &lists.traceable {
        Some(list) => list.each(|line| add(entry(line).0)),
        None => wanted.iter().for_each(|name| add(name)),
    }
    found
}

/// What matched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matches {
    /// Names to attach to, with how many functions have each, sorted.
    pub found: BTreeMap<Key, usize>,
    /// Names that matched and are left out.
    pub skipped: Vec<Skipped>,
    /// Their addresses, where they came with the names.
    placed: HashMap<Key, Vec<u64>>,
}

impl From<BTreeMap<Key, usize>> for Matches {
    fn from(found: BTreeMap<Key, usize>) -> Self {
        Self { found, ..Self::default() }
    }
}

/// Every function that one of the patterns describes and none of `skip`.
/// `in_btf` is asked only where the kernel's list cannot be read.
///
/// # Errors
/// For a pattern that describes nothing: `no-such-function`, `not-traceable` or
/// `no-match`.
pub fn find(
    lists: &Lists,
    patterns: &[Wanted<'_>],
    skip: &[Names],
    in_btf: impl Fn(&str) -> bool,
) -> Result<Matches, Failure> {
    let mut matches = Matches::default();
    let mut used = vec![false; patterns.len()];
    let Matches { found, placed, .. } = &mut matches;
    let mut add = |address: Option<u64>, name: &str, module: Option<&str>| {
        let mut wanted = false;
        for (pattern, used) in patterns.iter().zip(&mut used) {
            if pattern.contains(name, module) {
                (wanted, *used) = (true, true);
            }
        }
        if wanted {
            let key = (name.to_owned(), module.map(String::from));
            if let Some(address) = address {
                placed.entry(key.clone()).or_default().push(address);
            }
            *found.entry(key).or_default() += 1;
        }
    };
    // One function mostly needs no address, many need them all.
    let many = patterns.iter().any(|pattern| pattern.names.exact().is_none());
    match (&lists.traceable, &lists.placed) {
        (Some(_), Some(_)) if many => lists.placed(|address, name, module| add(Some(address), name, module)),
        (Some(list), _) => list.each(|line| {
            let (name, module) = entry(line);
            add(None, name, module);
        }),
        (None, _) => lists.symbols(|_, name, module| {
            if module.is_some() || in_btf(name) {
                add(None, name, module);
            }
        }),
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
        self.placed.retain(|key, _| self.found.contains_key(key));
    }

    /// The addresses of what was found: each function of a name. Names whose
    /// functions the kernel does not tell apart move to what is skipped.
    pub fn addresses(&mut self, lists: &Lists) -> HashMap<Key, Vec<u64>> {
        let listed = lists.tell_traceable();
        let mut addresses = match std::mem::take(&mut self.placed) {
            none if none.is_empty() => addresses(lists, &self.found.keys().cloned().collect()),
            placed => placed,
        };
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

fn addresses(lists: &Lists, wanted: &HashSet<Key>) -> HashMap<Key, Vec<u64>> {
    let names: HashSet<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    let mut found: HashMap<Key, Vec<u64>> = HashMap::new();
    lists.placed(|address, name, module| {
        if !names.contains(name) {
            return;
        }
        let key = (name.to_owned(), module.map(String::from));
        if wanted.contains(&key) {
            found.entry(key).or_default().push(address);
        }
    });
    found.values_mut().for_each(|addresses| {
        addresses.sort_unstable();
        addresses.dedup();
    });
    found
}

/// Why a pattern describes nothing.
fn nothing(lists: &Lists, pattern: &Wanted<'_>) -> Failure {
    let text = pattern.text;
    let Some(exact) = pattern.names.exact() else {
        return Failure::new(Code::NoMatch, format!("no function of the kernel matches {text:?}"))
            .hint(format!("hostdiag funccount --list '*{}*' shows what there is", letters(text)));
    };
    let (mut at, mut names) = (Vec::new(), Vec::new());
    lists.symbols(|address, name, _| {
        if base(name) == exact {
            at.push(address);
        }
        if !lists.tell_traceable() {
            names.push(name.to_owned());
        }
    });
    if !at.is_empty() {
        let message =
            format!("the kernel has {exact}, but does not let it be traced (notrace, or kept from ftrace)");
        return Failure::new(Code::NotTraceable, message).hint(
            same_place(lists, exact, &at)
                .unwrap_or_else(|| "trace a function that it calls, or that calls it".into()),
        );
    }
    if let Some(list) = &lists.traceable {
        list.each(|line| names.push(entry(line).0.to_owned()));
    }
    let hint = did_you_mean(exact, names.iter().map(String::as_str)).unwrap_or_else(|| {
        "it may be of a module that is not loaded, or the compiler has put it into its callers (inlined)"
            .into()
    });
    Failure::new(Code::NoSuchFunction, format!("the kernel has no function {text:?} of its own")).hint(hint)
}

/// Another name of the same function that can be traced.
fn same_place(lists: &Lists, exact: &str, at: &[u64]) -> Option<String> {
    let mut others = HashSet::new();
    lists.symbols(|address, name, _| {
        if address != 0 && at.contains(&address) && name != exact {
            others.insert(name.to_owned());
        }
    });
    let mut other = None;
    lists.traceable.as_ref()?.each(|line| {
        let name = entry(line).0;
        if other.is_none() && others.contains(name) {
            other = Some(name.to_owned());
        }
    });
    Some(format!("it is listed under another name: {}", other?))
}

/// The longest run of letters in a pattern, for a wider one.
fn letters(pattern: &str) -> &str {
    let parts = pattern.split(|c: char| !c.is_alphanumeric() && c != '_');
    parts.max_by_key(|part| part.len()).unwrap_or_default().trim_matches('_')
}

#[cfg(test)]
#[path = "discover_tests.rs"]
mod tests;
