//! Names of what is in a file: by its own symbols, and by debug information where
//! there is some.

use std::cell::{OnceCell, RefCell};
use std::fs::File;

use foldhash::HashMap;

use super::dwarf::{self, Dwarf};
use super::{Name, Unknown};
use crate::elf::{self, ByAddress};
use crate::process::path_of;

/// An ELF file that stays open.
pub(super) struct Opened {
    file: File,
    /// Whether there is debug information of it that may be used.
    debug: bool,
    /// Read when it is first asked for; nothing of what is no ELF file.
    functions: OnceCell<Option<ByAddress>>,
    /// What was found at offsets: other processes run the same file.
    known: RefCell<HashMap<u64, Result<Name, Unknown>>>,
}

/// A name, and whether a range of known size has it.
#[derive(Clone)]
pub(super) struct Found {
    pub(super) name: Name,
    pub(super) sized: bool,
}

impl Opened {
    /// `debug` is whether debug information is to be looked for, also in the files
    /// that it names.
    pub(super) fn new(file: File, debug: bool) -> Self {
        Self { file, debug, functions: OnceCell::new(), known: RefCell::default() }
    }

    /// Names at offsets, one for each in the same order.
    ///
    /// The file's own symbols come first, so that names do not depend on whether
    /// a host has debug information: it adds inlined functions, and functions
    /// that the file was stripped of.
    pub(super) fn names(&self, dwarf: &Dwarf, offsets: &[u64]) -> Vec<Result<Name, Unknown>> {
        let mut known = self.known.borrow_mut();
        let new: Vec<u64> = offsets.iter().copied().filter(|offset| !known.contains_key(offset)).collect();
        if !new.is_empty() {
            known.extend(new.iter().copied().zip(self.read(dwarf, &new)));
        }
        let name = |offset| known.get(offset).cloned().unwrap_or(Err(Unknown::NotCovered));
        offsets.iter().map(name).collect()
    }

    fn read(&self, dwarf: &Dwarf, offsets: &[u64]) -> Vec<Result<Name, Unknown>> {
        let Some(functions) = self.functions.get_or_init(|| ByAddress::read(&self.file, shown)) else {
            return vec![Err(Unknown::BadFile); offsets.len()];
        };
        let missing = if functions.is_stripped() { Unknown::Stripped } else { Unknown::NotCovered };
        let own = |offset: &u64| functions.find(*offset).map_or(Err(missing), |found| Ok(found.into()));
        let mut names: Vec<Result<Found, Unknown>> = offsets.iter().map(own).collect();
        if self.debug {
            for (name, more) in names.iter_mut().zip(dwarf.ask(&path_of(&self.file), offsets)) {
                merge(name, more);
            }
        }
        names.into_iter().map(|found| found.map(|found| found.name)).collect()
    }
}

/// A name as its source has it.
fn shown(name: String) -> String {
    dwarf::demangled(&name).unwrap_or(name)
}

impl From<elf::Found> for Found {
    fn from(found: elf::Found) -> Self {
        let name = Name { function: found.name, offset: Some(found.offset), inlined: Vec::new() };
        Self { name, sized: found.sized }
    }
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
