//! Names by blazesym: debug information of ELF files, and the vDSO.

use std::fs;
use std::path::Path;

use blazesym::Pid;
use blazesym::symbolize::{Input, Reason, Sym, Symbolized, Symbolizer, source};

use super::file::Found;
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
    /// What debug information says of offsets of a file, one for each in the same
    /// order; where it says nothing, what the file's symbols do.
    pub(super) fn ask(&self, file: &Path, offsets: &[u64]) -> Vec<Result<Found, Unknown>> {
        match self.symbolizer.symbolize(&source::Elf::new(file).into(), Input::FileOffset(offsets)) {
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

/// The name as its source has it, of Rust or C++; nothing of other names.
pub(super) fn demangled(name: &str) -> Option<String> {
    let rust = || Some(format!("{:#}", rustc_demangle::try_demangle(name).ok()?));
    // Else every name is taken for one of C++, as `i` is for int.
    let cpp = || cpp_demangle::Symbol::new(name).ok()?.demangle().ok();
    if name.starts_with('_') { rust().or_else(cpp) } else { None }
}

fn found_of(found: Symbolized<'_>) -> Result<Found, Unknown> {
    match found {
        Symbolized::Sym(Sym { name, addr, offset, size, inlined, .. }) if !name.is_empty() => {
            let inlined = inlined.into_vec().into_iter().map(|function| function.name.into_owned());
            // blazesym 0.2.7 has no start, and gives 0, for a function that debug
            // information says to lie in several parts (DW_AT_ranges).
            let offset = (addr != 0).then_some(offset as u64);
            let name = Name { function: name.into(), offset, inlined: inlined.collect() };
            Ok(Found { name, sized: size.is_some_and(|size| size > 0) })
        }
        // As debug information has it of functions of the compiler's own.
        Symbolized::Sym(_) => Err(Unknown::NotCovered),
        Symbolized::Unknown(Reason::MissingSyms) => Err(Unknown::Stripped),
        Symbolized::Unknown(Reason::IgnoredError) => Err(Unknown::BadFile),
        Symbolized::Unknown(_) => Err(Unknown::NotCovered),
    }
}
