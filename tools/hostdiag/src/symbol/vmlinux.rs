//! Debug information of the kernel itself, where a host has it: the functions
//! that the compiler put into others. Modules have theirs in files that lie
//! elsewhere section by section, and are left out.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use object::read::ReadCache;

use super::Name;
use super::dwarf::Dwarf;
use super::file::Opened;
use super::kernel::Table;
use crate::elf::{self, Bounded, Place};

/// A function that every kernel has once.
const ANCHOR: &str = "schedule";

/// The uncompressed kernel, with debug information.
pub(super) struct Vmlinux {
    file: Opened,
    /// What to take from an address of the running kernel, which lies at random,
    /// for the offset in the file.
    shift: u64,
}

impl Vmlinux {
    /// Of the running kernel, where distributions and builds put it. Most hosts have
    /// none, and need no table.
    pub(super) fn of_this_host(table: impl FnOnce() -> Arc<Table>) -> Option<Self> {
        let release = crate::host::this().kernel?;
        let paths = [
            format!("/usr/lib/debug/boot/vmlinux-{release}"),
            format!("/usr/lib/debug/lib/modules/{release}/vmlinux"),
            format!("/boot/vmlinux-{release}"),
            format!("/lib/modules/{release}/build/vmlinux"),
        ];
        let mut paths = paths.into_iter().filter(|path| Path::new(path).exists()).peekable();
        paths.peek()?;
        let table = table();
        paths.find_map(|path| Self::open(Path::new(&path), &table, ANCHOR))
    }

    /// `anchor` is a function that the file and the table have once.
    pub(super) fn open(path: &Path, table: &Table, anchor: &str) -> Option<Self> {
        let file = File::open(path).ok()?;
        let cache = ReadCache::new(file.try_clone().ok()?);
        let mut offset = None;
        elf::functions(Bounded::new(&cache), &mut |function| {
            if let (true, Place::Offset(at)) = (function.name == anchor, function.place) {
                offset = Some(at);
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        });
        let shift = table.address(anchor)?.checked_sub(offset?)?;
        Some(Self { file: Opened::new(file, true), shift })
    }

    /// Adds inlined functions to names of the kernel's own code. A file of
    /// another build has other functions at these addresses, and adds nothing.
    pub(super) fn add_inlined(&self, dwarf: &Dwarf, names: &mut [(u64, &mut Name)]) {
        let offsets: Vec<u64> = names.iter().map(|(address, _)| address.wrapping_sub(self.shift)).collect();
        let found = self.file.names(dwarf, &offsets);
        for ((_, name), found) in names.iter_mut().zip(found) {
            if let Ok(found) = found
                && (&found.function, found.offset) == (&name.function, name.offset)
            {
                name.inlined = found.inlined;
            }
        }
    }
}
