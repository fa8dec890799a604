//! ELF files that anybody may have made: what is read of them is bounded, and
//! read instead of mapped, so that a file that shrinks meanwhile ends nothing.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use object::read::elf::{ElfFile, FileHeader, ProgramHeader, SectionHeader, Sym, SymbolTable};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, FileKind, elf};

mod by_address;

pub use by_address::{ByAddress, Found};

/// More is never read in one piece: the symbols of the largest programs take a
/// tenth of it.
const LARGEST: u64 = 1 << 28;

/// A file as [`object`] reads it, in bounds.
#[derive(Clone, Copy)]
pub struct Bounded<'a>(&'a ReadCache<File>);

impl<'a> Bounded<'a> {
    /// What the cache reads.
    pub fn new(cache: &'a ReadCache<File>) -> Self {
        Self(cache)
    }
}

impl<'a> ReadRef<'a> for Bounded<'a> {
    fn len(self) -> Result<u64, ()> {
        self.0.len()
    }

    fn read_bytes_at(self, offset: u64, size: u64) -> Result<&'a [u8], ()> {
        if size > LARGEST { Err(()) } else { self.0.read_bytes_at(offset, size) }
    }

    fn read_bytes_at_until(self, range: std::ops::Range<u64>, delimiter: u8) -> Result<&'a [u8], ()> {
        self.0.read_bytes_at_until(range, delimiter)
    }
}

/// What is known of a file before its symbols are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// It names other files that have its debug information.
    pub linked: bool,
    /// It has debug information itself.
    pub debug: bool,
    /// The name of the file that has it (`.gnu_debuglink`).
    pub link: Option<OsString>,
    /// By which such files are known too.
    pub build_id: Vec<u8>,
}

/// Where debug information lies that is not in its file, by gdb's rules.
const DEBUG_FOLDERS: [&str; 2] = ["/usr/lib/debug", "/lib/debug"];

impl Shape {
    /// Whether there is debug information of a file that has this path.
    pub fn has_debug_information(&self, path: &Path) -> bool {
        let exists = |path: PathBuf| path.exists();
        self.debug || self.link.as_ref().is_some_and(|link| self.places(path, link).into_iter().any(exists))
    }

    fn places(&self, path: &Path, link: &OsStr) -> Vec<PathBuf> {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let mut places = vec![folder.join(link)];
        // Debug information of a file is not that file.
        places.retain(|place| place != path);
        for root in DEBUG_FOLDERS {
            if let Some((first, rest)) = self.build_id.split_first() {
                let rest: String = rest.iter().map(|byte| format!("{byte:02x}")).collect();
                places.push(format!("{root}/.build-id/{first:02x}/{rest}.debug").into());
            }
            let below = folder.ancestors().filter_map(|folder| folder.strip_prefix("/").ok());
            places.extend(below.map(|folder| Path::new(root).join(folder).join(link)));
        }
        places
    }
}

/// Looks at the headers of a file. Nothing where it is no ELF file, or where
/// its tables are larger than any real one.
pub fn shape(file: &File) -> Option<Shape> {
    let cache = ReadCache::new(file.try_clone().ok()?);
    let data = Bounded::new(&cache);
    match FileKind::parse(data).ok()? {
        FileKind::Elf64 => shape_of::<elf::FileHeader64<Endianness>>(data),
        FileKind::Elf32 => shape_of::<elf::FileHeader32<Endianness>>(data),
        _ => None,
    }
}

fn shape_of<H: FileHeader<Endian = Endianness>>(data: Bounded<'_>) -> Option<Shape> {
    let header = H::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let sections = header.section_headers(endian, data).ok()?;
    // In one piece: to ask the table for one after the other reads each by itself.
    let names = match sections {
        [] => None,
        _ => sections.get(header.shstrndx(endian, data).ok()? as usize),
    };
    let names = names.and_then(|section| section.data(endian, data).ok()).unwrap_or_default();
    let mut shape = Shape::default();
    for section in sections {
        let kind = section.sh_type(endian);
        let is_table = matches!(kind, elf::SHT_SYMTAB | elf::SHT_DYNSYM | elf::SHT_STRTAB);
        if is_table && section.sh_size(endian).into() > LARGEST {
            return None;
        }
        let name = names.get(section.sh_name(endian) as usize..).unwrap_or_default();
        match name.split(|byte| *byte == 0).next().unwrap_or_default() {
            b".debug_info" | b".zdebug_info" => shape.debug = true,
            b".gnu_debuglink" => {
                // A name, padding, a checksum.
                let link = section.data(endian, data).ok()?.split(|byte| *byte == 0).next();
                shape.link = link.map(|name| OsString::from_vec(name.to_vec()));
                shape.linked = true;
            }
            b".gnu_debugaltlink" | b".debug_sup" => shape.linked = true,
            b".note.gnu.build-id" => shape.build_id = build_id::<H>(section, endian, data),
            _ => {}
        }
    }
    Some(shape)
}

fn build_id<H: FileHeader<Endian = Endianness>>(
    section: &H::SectionHeader,
    endian: Endianness,
    data: Bounded<'_>,
) -> Vec<u8> {
    let note = section.notes(endian, data).ok().flatten().and_then(|mut notes| notes.next().ok().flatten());
    note.filter(|note| note.n_type(endian) == elf::NT_GNU_BUILD_ID)
        .map_or(Vec::new(), |note| note.desc().to_vec())
}

/// A function of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function<'a> {
    /// Its name without a version (`@GLIBC_2.34`), mangled as it is.
    pub name: &'a str,
    /// Where its code is.
    pub place: Place,
}

/// Where the code of a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// At an offset in the file, in bytes, which is what uprobes take.
    Offset(u64),
    /// Chosen when the file is loaded (`STT_GNU_IFUNC`): the symbol is of the
    /// code that chooses.
    Indirect,
    /// In another file.
    Elsewhere,
    /// Not in what is loaded to be run.
    NotLoaded,
}

/// Shows every function of an ELF file, of both symbol tables, in their order;
/// one of both comes twice. Whether the table of all symbols is there, which
/// strip(1) takes away; nothing where it is no ELF file, or a damaged one.
pub fn functions<'d, R: ReadRef<'d>>(
    data: R,
    each: &mut dyn FnMut(Function<'_>) -> ControlFlow<()>,
) -> Option<bool> {
    match FileKind::parse(data).ok()? {
        FileKind::Elf64 => functions_of::<elf::FileHeader64<Endianness>, R>(data, each),
        FileKind::Elf32 => functions_of::<elf::FileHeader32<Endianness>, R>(data, each),
        _ => None,
    }
}

fn functions_of<'d, H: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
    data: R,
    each: &mut dyn FnMut(Function<'_>) -> ControlFlow<()>,
) -> Option<bool> {
    let file = ElfFile::<H, R>::parse(data).ok()?;
    let endian = file.endian();
    let complete = !file.elf_symbol_table().is_empty();
    for table in [file.elf_symbol_table(), file.elf_dynamic_symbol_table()] {
        let names = names(&file, table, data).unwrap_or_default();
        for symbol in table.iter().filter(|s| matches!(s.st_type(), elf::STT_FUNC | elf::STT_GNU_IFUNC)) {
            let name = names.get(symbol.st_name(endian) as usize..).unwrap_or_default();
            let name = name.split(|&byte| byte == 0 || byte == b'@').next().unwrap_or_default();
            let Ok(name) = std::str::from_utf8(name) else { continue };
            if !name.is_empty() && each(Function { name, place: place(&file, symbol) }).is_break() {
                return Some(complete);
            }
        }
    }
    Some(complete)
}

/// The names of a symbol table, in one piece.
fn names<'d, H: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
    file: &ElfFile<'d, H, R>,
    table: &SymbolTable<'d, H, R>,
    data: R,
) -> Option<&'d [u8]> {
    let section = file.elf_section_table().section(table.string_section()).ok()?;
    section.data(file.endian(), data).ok()
}

fn place<'d, H: FileHeader<Endian = Endianness>, R: ReadRef<'d>>(
    file: &ElfFile<'d, H, R>,
    symbol: &H::Sym,
) -> Place {
    let endian = file.endian();
    if symbol.st_type() == elf::STT_GNU_IFUNC {
        return Place::Indirect;
    }
    if symbol.st_shndx(endian) == elf::SHN_UNDEF {
        return Place::Elsewhere;
    }
    let address: u64 = symbol.st_value(endian).into();
    let offset = file.elf_program_headers().iter().find_map(|segment| {
        let code = segment.p_type(endian) == elf::PT_LOAD && segment.p_flags(endian) & elf::PF_X != 0;
        let inside = address.checked_sub(segment.p_vaddr(endian).into())?;
        (code && inside < segment.p_filesz(endian).into()).then_some(())?;
        inside.checked_add(segment.p_offset(endian).into())
    });
    offset.map_or(Place::NotLoaded, Place::Offset)
}
