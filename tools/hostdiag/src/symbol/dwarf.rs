//! Names by blazesym: symbols and debug information of ELF files, and the vDSO.

use std::fs;
use std::path::Path;

use blazesym::Pid;
use blazesym::symbolize::{Input, Reason, Sym, Symbolized, Symbolizer, source};

use super::{Name, Unknown};
use crate::process;

/// blazesym with all that it has read.
pub(super) struct Dwarf {
    symbolizer: Symbolizer,
    /// Where this process has its vDSO, where it has one.
    vdso: Option<u64>,
}

impl Default for Dwarf {
    fn default() -> Self {
        // A file is known by the number under which it is open, and stays open:
        // nothing to look at again.
        let symbolizer = Symbolizer::builder()
            .enable_auto_reload(false)
            .enable_code_info(true)
            .enable_inlined_fns(true)
            .enable_demangling(true)
            .build();
        let maps = fs::read("/proc/self/maps").unwrap_or_default();
        let vdso = process::parse_maps(&maps).into_iter().find(|mapping| mapping.name == "[vdso]");
        Self { symbolizer, vdso: vdso.map(|mapping| mapping.start) }
    }
}

impl Dwarf {
    /// Names at offsets of a file, one for each in the same order. `debug` is
    /// whether debug information may be used, also of the files that it names.
    ///
    /// The file's own symbols come first, so that names do not depend on whether
    /// a host has debug information: it adds inlined functions, and functions
    /// that the file was stripped of.
    pub(super) fn names(&self, file: &Path, debug: bool, offsets: &[u64]) -> Vec<Result<Name, Unknown>> {
        let mut names = self.ask(file, false, offsets);
        if debug {
            for (name, more) in names.iter_mut().zip(self.ask(file, true, offsets)) {
                merge(name, more);
            }
        }
        names.into_iter().map(|found| found.map(|found| found.name)).collect()
    }

    fn ask(&self, file: &Path, debug: bool, offsets: &[u64]) -> Vec<Result<Found, Unknown>> {
        let mut source = source::Elf::new(file);
        source.debug_syms = debug;
        match self.symbolizer.symbolize(&source.into(), Input::FileOffset(offsets)) {
            Ok(found) => found.into_iter().map(found_of).collect(),
            Err(_) => vec![Err(Unknown::BadFile); offsets.len()],
        }
    }

    /// Names at offsets of the vDSO, which is the same in all processes of
    /// 64 bits: looked up in that of this process.
    pub(super) fn vdso(&self, offsets: &[u64]) -> Vec<Result<Name, Unknown>> {
        let mut source = source::Process::new(Pid::Slf);
        source.perf_map = false;
        source.map_files = false;
        let here =
            |base: u64| offsets.iter().map(|offset| base.saturating_add(*offset)).collect::<Vec<u64>>();
        let found = self
            .vdso
            .map(here)
            .and_then(|addresses| self.symbolizer.symbolize(&source.into(), Input::AbsAddr(&addresses)).ok());
        match found {
            Some(found) => found.into_iter().map(|symbol| found_of(symbol).map(|found| found.name)).collect(),
            None => vec![Err(Unknown::Special); offsets.len()],
        }
    }
}

/// A name, and whether a range of known size has it.
#[derive(Clone)]
struct Found {
    name: Name,
    sized: bool,
}

/// Adds what debug information says of an address to what a file says.
fn merge(name: &mut Result<Found, Unknown>, more: Result<Found, Unknown>) {
    match (name, more) {
        // Labels of assembler have no size, and reach to the next symbol.
        (Ok(name), Ok(more)) if name.sized => name.name.inlined = more.name.inlined,
        (name, Ok(more)) => *name = Ok(more),
        (_, Err(_)) => {}
    }
}

fn found_of(found: Symbolized<'_>) -> Result<Found, Unknown> {
    match found {
        Symbolized::Sym(Sym { name, addr, offset, size, inlined, .. }) if !name.is_empty() => {
            let inlined = inlined.into_vec().into_iter().map(|function| function.name.into_owned());
            // blazesym 0.2.7 has no start, and gives 0, for a function that debug
            // information says to lie in several parts (DW_AT_ranges).
            let offset = (addr != 0).then_some(offset as u64);
            let name = Name { function: name.into_owned(), offset, inlined: inlined.collect() };
            Ok(Found { name, sized: size.is_some_and(|size| size > 0) })
        }
        // As debug information has it of functions of the compiler's own.
        Symbolized::Sym(_) => Err(Unknown::NotCovered),
        Symbolized::Unknown(Reason::MissingSyms) => Err(Unknown::Stripped),
        Symbolized::Unknown(Reason::IgnoredError) => Err(Unknown::BadFile),
        Symbolized::Unknown(_) => Err(Unknown::NotCovered),
    }
}
