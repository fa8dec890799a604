//! Functions of an ELF file by where they are. Of many thousands few are asked for,
//! so their names stay in the file, and nothing of it stays in memory but a table.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use foldhash::HashMap;
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader, Sym};
use object::{Endianness, FileKind, elf};

use super::Bounded;

/// Longer names are cut short.
const LONGEST: usize = 1 << 16;

/// The functions of a file.
pub struct ByAddress {
    file: File,
    segments: Vec<Segment>,
    /// That of all symbols, which strip(1) takes away, and the dynamic one.
    tables: [Table; 2],
    /// What is to be shown of a name.
    shown: fn(String) -> String,
    /// Names that were read, by where they are in the file.
    names: RefCell<HashMap<u64, Arc<str>>>,
}

/// What is found at an offset of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The name of the function, as it is to be shown.
    pub name: Arc<str>,
    /// Bytes from its start.
    pub offset: u64,
    /// Whether its end is known: labels of assembler have none, and reach to the next
    /// symbol.
    pub sized: bool,
}

/// A part of the file that is loaded.
struct Segment {
    offset: u64,
    size: u64,
    address: u64,
}

#[derive(Default)]
struct Table {
    /// Where names are in the file.
    strings: u64,
    length: u64,
    /// By address, the largest first.
    symbols: Vec<Symbol>,
    /// It has symbols, of whatever kind.
    is_there: bool,
}

#[derive(Clone, Copy)]
struct Symbol {
    address: u64,
    size: u32,
    name: u32,
}

impl ByAddress {
    /// Reads the tables of a file; nothing where it is no ELF file, or a damaged one.
    /// `shown` is what to show of a name, which may be mangled.
    pub fn read(file: &File, shown: fn(String) -> String) -> Option<Self> {
        let cache = ReadCache::new(file.try_clone().ok()?);
        let data = Bounded::new(&cache);
        let (segments, tables) = match FileKind::parse(data).ok()? {
            FileKind::Elf64 => read::<elf::FileHeader64<Endianness>>(data)?,
            FileKind::Elf32 => read::<elf::FileHeader32<Endianness>>(data)?,
            _ => return None,
        };
        let names = RefCell::default();
        Some(Self { file: file.try_clone().ok()?, segments, tables, shown, names })
    }

    /// Whether the file was stripped of the table of all symbols.
    pub fn is_stripped(&self) -> bool {
        !self.tables[0].is_there
    }

    /// The function at an offset of the file.
    pub fn find(&self, offset: u64) -> Option<Found> {
        let address = self.segments.iter().find_map(|segment| {
            let inside = offset.checked_sub(segment.offset).filter(|inside| *inside < segment.size)?;
            segment.address.checked_add(inside)
        })?;
        let [all, dynamic] = &self.tables;
        // The dynamic table has few: one without a size is not what lies far behind it.
        let found = all.find(address, true).map(|symbol| (all, symbol));
        let (table, symbol) = found.or_else(|| Some((dynamic, dynamic.find(address, false)?)))?;
        let name = self.name(table, symbol)?;
        Some(Found { name, offset: address - symbol.address, sized: symbol.size > 0 })
    }

    fn name(&self, table: &Table, symbol: &Symbol) -> Option<Arc<str>> {
        let place = table.strings.checked_add(symbol.name.into())?;
        let mut names = self.names.borrow_mut();
        if let Some(name) = names.get(&place) {
            return Some(name.clone());
        }
        let name = table.name(&self.file, symbol).filter(|name| !name.is_empty())?;
        let name: Arc<str> = (self.shown)(name).into();
        names.insert(place, name.clone());
        Some(name)
    }
}

impl Table {
    /// `far`: a symbol without a size reaches to the next.
    fn find(&self, address: u64, far: bool) -> Option<&Symbol> {
        let end = self.symbols.partition_point(|symbol| symbol.address <= address);
        let start = self.symbols.get(end.checked_sub(1)?)?.address;
        let first = self.symbols.partition_point(|symbol| symbol.address < start);
        let covers = |symbol: &&Symbol| match symbol.size {
            0 => far || address == start,
            size => address - start < size.into(),
        };
        self.symbols.get(first..end)?.iter().find(covers)
    }

    fn name(&self, file: &File, symbol: &Symbol) -> Option<String> {
        let start = u64::from(symbol.name);
        let most = usize::try_from(self.length.checked_sub(start)?).unwrap_or(LONGEST).min(LONGEST);
        let mut room = 128;
        loop {
            let mut bytes = vec![0; room.min(most)];
            let read = file.read_at(&mut bytes, self.strings.checked_add(start)?).ok()?;
            let bytes = bytes.get(..read)?;
            if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
                return Some(String::from_utf8_lossy(bytes.get(..end)?).into_owned());
            }
            if read < room {
                return Some(String::from_utf8_lossy(bytes).into_owned());
            }
            room *= 8;
        }
    }
}

fn read<H: FileHeader<Endian = Endianness>>(data: Bounded<'_>) -> Option<(Vec<Segment>, [Table; 2])> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let segments = header.program_headers(endian, data).ok()?.iter();
    let segments = segments.filter(|segment| segment.p_type(endian) == elf::PT_LOAD);
    let segments = segments.map(|segment| Segment {
        offset: segment.p_offset(endian).into(),
        size: segment.p_filesz(endian).into(),
        address: segment.p_vaddr(endian).into(),
    });
    let sections = header.section_headers(endian, data).ok()?;
    let table = |kind| match sections.iter().find(|section| section.sh_type(endian) == kind) {
        Some(section) => table::<H>(sections, section, endian, data),
        None => Some(Table::default()),
    };
    Some((segments.collect(), [table(elf::SHT_SYMTAB)?, table(elf::SHT_DYNSYM)?]))
}

fn table<H: FileHeader<Endian = Endianness>>(
    sections: &[H::SectionHeader],
    section: &H::SectionHeader,
    endian: Endianness,
    data: Bounded<'_>,
) -> Option<Table> {
    let raw: &[H::Sym] = section.data_as_array(endian, data).ok()?;
    let strings = sections.get(section.sh_link(endian) as usize)?;
    let may_be_code = |symbol: &&H::Sym| {
        let kinds = [elf::STT_FUNC, elf::STT_GNU_IFUNC, elf::STT_NOTYPE, elf::STT_OBJECT];
        kinds.contains(&symbol.st_type()) && symbol.st_shndx(endian) != elf::SHN_UNDEF
    };
    let symbol = |symbol: &H::Sym| Symbol {
        address: symbol.st_value(endian).into(),
        size: u32::try_from(symbol.st_size(endian).into()).unwrap_or(u32::MAX),
        name: symbol.st_name(endian),
    };
    let mut symbols = Vec::with_capacity(raw.iter().filter(may_be_code).count());
    symbols.extend(raw.iter().filter(may_be_code).map(symbol));
    symbols.sort_unstable_by_key(|symbol| (symbol.address, Reverse(symbol.size), symbol.name));
    let (at, length) = (strings.sh_offset(endian).into(), strings.sh_size(endian).into());
    Some(Table { strings: at, length, symbols, is_there: !raw.is_empty() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(symbols: &[(u64, u32)]) -> Table {
        let symbols =
            symbols.iter().zip(0..).map(|(&(address, size), name)| Symbol { address, size, name }).collect();
        Table { symbols, ..Table::default() }
    }

    #[test]
    fn a_function_ends_where_it_says_and_a_label_at_the_next_symbol() {
        let table = table(&[(0x100, 0x20), (0x100, 8), (0x100, 0), (0x200, 0), (0x300, 4)]);
        let found = |address, far| table.find(address, far).map(|symbol| symbol.name);
        assert_eq!([found(0xff, true), found(0x304, true), found(u64::MAX, true)], [None, None, None]);
        assert_eq!([found(0x100, true), found(0x11f, true), found(0x11f, false)], [Some(0); 3]);
        assert_eq!([found(0x120, true), found(0x120, false)], [Some(2), None]);
        assert_eq!([found(0x200, false), found(0x2ff, true), found(0x2ff, false)], [Some(3), Some(3), None]);
        assert_eq!(found(0x303, false), Some(4));
    }

    #[test]
    fn no_other_file_has_functions() {
        let file = File::open("Cargo.toml").unwrap();
        assert!(ByAddress::read(&file, |name| name).is_none());
    }
}
