//! Names of addresses in the kernel and in processes.
//!
//! What has no name has a reason instead, and never loses a stack. Nothing here
//! decides how either is shown. Files of processes are read by blazesym, which
//! is for one thread, so [`Symbols`] is too.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

mod dwarf;
mod file;
pub mod kernel;
pub mod perf_map;
mod user;
mod vmlinux;

use kernel::Table;
use user::{Files, Process};
use vmlinux::Vmlinux;

use crate::probe::ksym::Ksyms;
use crate::process;

/// An instruction that a stack names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Address {
    /// Where the processor was.
    At(u64),
    /// Where a call returns to. The call itself is before: behind a call that
    /// never returns, the next function begins.
    Return(u64),
}

impl Address {
    /// The address as the kernel gave it.
    pub fn value(self) -> u64 {
        let (Self::At(value) | Self::Return(value)) = self;
        value
    }

    /// An address inside of the instruction meant.
    fn inside(self) -> u64 {
        self.value().saturating_sub(self.behind())
    }

    fn behind(self) -> u64 {
        u64::from(matches!(self, Self::Return(_)))
    }
}

/// What a process runs: a process is another program after each execve(2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Program {
    /// The process, by its number in /proc; 0 outside of this PID namespace.
    pub pid: u32,
    /// Where its stack begins (`mm->start_stack`), which execve(2) chooses anew; 0 where
    /// that is not known.
    pub stack: u64,
}

impl Program {
    /// What a process runs now.
    pub fn running(pid: u32) -> Self {
        Self { pid, stack: process::start_of_stack(pid).unwrap_or(0) }
    }
}

/// What is known of an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// The function, or why there is none.
    pub name: Result<Name, Unknown>,
    /// The kernel module (`bpf` for BPF programs), or the path of the file by
    /// the process's own root directory, or a name such as `[vdso]`; nothing for
    /// the kernel itself and for anonymous memory.
    pub module: Option<Arc<str>>,
}

/// The function that an address is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Its name, demangled.
    pub function: Arc<str>,
    /// How far behind its start the address is, in bytes; nothing where only
    /// debug information has the function, in several parts.
    pub offset: Option<u64>,
    /// The functions that the compiler put into it at this address, the
    /// outermost first. Only where there is debug information.
    pub inlined: Vec<String>,
}

/// Why an address has no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unknown {
    /// `kernel.kptr_restrict`, or no CAP_SYSLOG.
    AddressesHidden,
    /// /proc/kallsyms cannot be read.
    NoKallsyms,
    /// No function is known there.
    NotCovered,
    /// The process was gone before its memory map was read.
    ProcessEnded,
    /// The process ran another program before its memory map was read.
    OtherProgram,
    /// The process has no number in this PID namespace.
    OtherNamespace,
    /// The process is another user's.
    NotPermitted,
    /// No executable memory of the process: a stack that was not walked right,
    /// or memory that it has given back.
    NotExecutable,
    /// Compiled at run time, and there is no map of it.
    NoPerfMap,
    /// The map of what was compiled at run time is not to be trusted.
    UnsafePerfMap,
    /// The file was deleted, or another is in its place.
    FileDeleted,
    /// The file cannot be read.
    Unreadable,
    /// The file is no ELF file, or a damaged one.
    BadFile,
    /// The file was stripped of its symbols.
    Stripped,
    /// Memory that the kernel gives to processes, and that has no symbols.
    Special,
}

impl Unknown {
    /// Every reason.
    pub const ALL: [Self; 15] = [
        Self::AddressesHidden,
        Self::NoKallsyms,
        Self::NotCovered,
        Self::ProcessEnded,
        Self::OtherProgram,
        Self::OtherNamespace,
        Self::NotPermitted,
        Self::NotExecutable,
        Self::NoPerfMap,
        Self::UnsafePerfMap,
        Self::FileDeleted,
        Self::Unreadable,
        Self::BadFile,
        Self::Stripped,
        Self::Special,
    ];

    /// The reason in plain words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AddressesHidden => "addresses hidden: kernel.kptr_restrict",
            Self::NoKallsyms => "/proc/kallsyms cannot be read",
            Self::NotCovered => "no symbol covers it",
            Self::ProcessEnded => "process has ended",
            Self::OtherProgram => "process runs another program by now",
            Self::OtherNamespace => "process outside of this PID namespace",
            Self::NotPermitted => "process of another user",
            Self::NotExecutable => "no code of the process",
            Self::NoPerfMap => "compiled at run time, no /tmp/perf-PID.map",
            Self::UnsafePerfMap => "/tmp/perf-PID.map is a link, too large, or not its user's",
            Self::FileDeleted => "file deleted",
            Self::Unreadable => "file cannot be read",
            Self::BadFile => "file damaged",
            Self::Stripped => "file stripped of its symbols",
            Self::Special => "no symbols for this memory",
        }
    }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names of addresses, with all that was read for them. Files stay open, so that
/// a process may end and a file be deleted once it was seen.
#[derive(Default)]
pub struct Symbols {
    /// Looked for once; older kernels have none.
    ksyms: Option<Option<Ksyms>>,
    table: Option<Arc<Table>>,
    /// Looked for once; most hosts have none.
    vmlinux: Option<Option<Vmlinux>>,
    /// Kernel addresses without a name: the table is read again for new ones
    /// only.
    missed: HashSet<u64>,
    files: Files,
    processes: HashMap<Program, Process>,
}

impl Symbols {
    /// Nothing is read before it is asked for.
    pub fn new() -> Self {
        Self::default()
    }

    /// The functions of the kernel, read when first asked for.
    pub fn table(&mut self) -> &Table {
        self.table.get_or_insert_with(Table::shared)
    }

    /// Does now what takes long before the first name of a kernel address.
    pub fn prepare_kernel(&mut self) {
        if self.ksyms().is_none() {
            self.table();
        }
    }

    /// The kernel, as far as it answers, unless all of its functions were read.
    fn ksyms(&mut self) -> Option<&Ksyms> {
        match self.table {
            Some(_) => None,
            None => self.ksyms.get_or_insert_with(Ksyms::open).as_ref(),
        }
    }

    /// Names of kernel addresses, one for each in the same order.
    pub fn kernel(&mut self, addresses: &[Address]) -> Vec<Symbol> {
        each(addresses, |wanted| {
            let mut symbols = match self.ksyms() {
                Some(ksyms) => wanted.iter().map(|&address| ksyms.find(address)).collect(),
                None => vec![Symbol::uncovered(); wanted.len()],
            };
            self.name_by_table(wanted, &mut symbols);
            self.add_inlined(wanted, &mut symbols);
            symbols
        })
    }

    /// Names what has no name yet: trampolines of ftrace, say, are in the table alone.
    fn name_by_table(&mut self, wanted: &[u64], symbols: &mut [Symbol]) {
        let uncovered = |symbol: &Symbol| symbol.name == Err(Unknown::NotCovered);
        if !symbols.iter().any(uncovered) {
            return;
        }
        let find = |table: &Table, symbols: &mut [Symbol]| {
            let open = wanted.iter().zip(symbols).filter(|(_, symbol)| uncovered(symbol));
            open.for_each(|(&address, symbol)| *symbol = table.find(address));
        };
        find(self.table.get_or_insert_with(Table::shared), symbols);
        let before = self.missed.len();
        let missed = wanted.iter().zip(&*symbols).filter(|(_, symbol)| uncovered(symbol));
        self.missed.extend(missed.map(|(&address, _)| address));
        // Modules and BPF programs may have come since.
        if self.missed.len() > before {
            find(self.table.insert(Table::anew()), symbols);
        }
    }

    fn add_inlined(&mut self, wanted: &[u64], symbols: &mut [Symbol]) {
        let Self { table, vmlinux, files, .. } = self;
        let read = || table.get_or_insert_with(Table::shared).clone();
        let Some(vmlinux) = vmlinux.get_or_insert_with(|| Vmlinux::of_this_host(read)) else { return };
        let own = wanted.iter().zip(symbols).filter(|(_, symbol)| symbol.module.is_none());
        let mut names: Vec<(u64, &mut Name)> =
            own.filter_map(|(&address, symbol)| Some((address, symbol.name.as_mut().ok()?))).collect();
        vmlinux.add_inlined(&files.dwarf, &mut names);
    }

    /// Reads the memory map of a process and opens its files, so that its
    /// addresses have names also after it has ended. To be called when a process
    /// is seen, with where its processor was; costs little where that is known: it may
    /// have loaded something since.
    pub fn hold(&mut self, program: Program, at: Option<u64>) {
        let Self { files, processes, .. } = self;
        processes.entry(program).or_insert_with(|| Process::new(program)).hold(files, at);
    }

    /// Forgets the processes that have ended: another may have their number soon.
    pub fn forget_ended(&mut self) {
        self.processes.retain(|program, _| Path::new("/proc").join(program.pid.to_string()).exists());
    }

    /// Names of addresses of a process, one for each in the same order.
    pub fn user(&mut self, program: Program, addresses: &[Address]) -> Vec<Symbol> {
        self.hold(program, None);
        let Self { files, processes, .. } = self;
        let Some(process) = processes.get_mut(&program) else { return Vec::new() };
        each(addresses, |wanted| process.names(files, wanted))
    }
}

/// Asks for each address once, in order, and puts what was found where it was
/// asked for.
fn each(addresses: &[Address], names: impl FnOnce(&[u64]) -> Vec<Symbol>) -> Vec<Symbol> {
    let mut wanted: Vec<u64> = addresses.iter().map(|address| address.inside()).collect();
    wanted.sort_unstable();
    wanted.dedup();
    let found = names(&wanted);
    let symbol = |address: &Address| {
        let index = wanted.binary_search(&address.inside()).ok();
        let mut symbol = index.and_then(|index| found.get(index).cloned()).unwrap_or_else(Symbol::uncovered);
        if let Ok(name) = &mut symbol.name {
            name.offset = name.offset.map(|offset| offset + address.behind());
        }
        symbol
    };
    addresses.iter().map(symbol).collect()
}

impl Symbol {
    fn unknown(reason: Unknown, module: Option<Arc<str>>) -> Self {
        Self { name: Err(reason), module }
    }

    /// Of an address that no function covers.
    pub(crate) fn uncovered() -> Self {
        Self::unknown(Unknown::NotCovered, None)
    }
}

#[cfg(test)]
#[path = "symbol_tests.rs"]
mod tests;
