//! Names of addresses in processes: memory maps, and the files behind them.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::dwarf::Dwarf;
use super::file::Opened;
use super::perf_map::{self, PerfMap};
use super::{Name, Program, Symbol, Unknown};
use crate::elf;
use crate::process::{self, Mapping};

/// A vDSO below is of 32 bits, and not the one that this process has.
const FOUR_GIB: u64 = 1 << 32;
/// Memory maps that are kept of a process that changes its own.
const MOST_MAPS: usize = 8;
/// Larger files are taken from root alone: no real program needs it, and it
/// costs nothing to make one that is empty.
const LARGEST: u64 = 4 << 30;

/// Files of processes, each opened once and kept open.
#[derive(Default)]
pub(super) struct Files {
    pub(super) dwarf: Dwarf,
    opened: Vec<Opened>,
    /// By device, inode and path: on btrfs two files may share the first two.
    known: HashMap<(String, u64, OsString), usize>,
}

impl Files {
    /// The number of the file behind a mapping.
    fn open(&mut self, pid: u32, mapping: &Mapping) -> Result<usize, Unknown> {
        let key = (mapping.device.clone(), mapping.inode, mapping.name.clone());
        if let Some(number) = self.known.get(&key) {
            return Ok(*number);
        }
        let opened = open(pid, mapping)?;
        self.opened.push(opened);
        let number = self.opened.len() - 1;
        self.known.insert(key, number);
        Ok(number)
    }

    fn names(&self, number: usize, offsets: &[u64]) -> Vec<Result<Name, Unknown>> {
        match self.opened.get(number) {
            Some(opened) => opened.names(&self.dwarf, offsets),
            None => vec![Err(Unknown::Unreadable); offsets.len()],
        }
    }
}

fn open(pid: u32, mapping: &Mapping) -> Result<Opened, Unknown> {
    let file = process::open_mapped(pid, mapping).map_err(|error| reason(&error, Unknown::FileDeleted))?;
    let about = file.metadata().map_err(|_| Unknown::Unreadable)?;
    let of_root = about.uid() == 0 && about.mode() & 0o022 == 0;
    let shape = elf::shape(&file).filter(|_| of_root || about.len() <= LARGEST).ok_or(Unknown::BadFile)?;
    // Others may name any path as that of their debug information.
    let path = std::fs::read_link(process::path_of(&file)).unwrap_or_default();
    let debug = (of_root || !shape.linked) && shape.has_debug_information(&path);
    Ok(Opened::new(file, debug))
}

/// The reason behind an error; `absent` where something is not there.
fn reason(error: &io::Error, absent: Unknown) -> Unknown {
    match error.kind() {
        io::ErrorKind::NotFound => absent,
        io::ErrorKind::PermissionDenied => Unknown::NotPermitted,
        _ => Unknown::Unreadable,
    }
}

/// A process as it was when it was seen.
pub(super) struct Process {
    program: Program,
    /// Its executable memory, the newest last.
    maps: Vec<Vec<Area>>,
    /// Why there is no map, where there is none.
    missing: Unknown,
    compiled: Compiled,
}

/// Executable memory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Area {
    start: u64,
    end: u64,
    offset: u64,
    module: Option<Arc<str>>,
    what: What,
}

/// What is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum What {
    /// A file, by its number.
    File(usize),
    Vdso,
    /// Code made at run time.
    Compiled,
    Nothing(Unknown),
}

impl Area {
    /// What an address is known by: the offset in the file; for code made at
    /// run time the address itself.
    fn place(&self, address: u64) -> u64 {
        if self.what == What::Compiled { address } else { (address - self.start).saturating_add(self.offset) }
    }
}

impl Process {
    /// Nothing is read yet.
    pub(super) fn new(program: Program) -> Self {
        // As our programs have it, bpf/filter.bpf.h.
        let missing = if program.pid == 0 { Unknown::OtherNamespace } else { Unknown::ProcessEnded };
        Self { program, maps: Vec::new(), missing, compiled: Compiled::None }
    }

    /// Reads the memory map unless there is one that has this address.
    pub(super) fn hold(&mut self, files: &mut Files, at: Option<u64>) {
        let known = |areas: &Vec<Area>| at.is_none_or(|address| find(areas, address).is_some());
        if !self.maps.last().is_some_and(known) && self.program.pid != 0 {
            self.read(files);
            // Only who runs code made at run time has a map of it.
            if self.maps.iter().flatten().any(|area| area.what == What::Compiled) {
                self.compiled.read(self.program.pid);
            }
        }
    }

    /// Whether the process runs another program by now.
    fn is_over(&self) -> bool {
        let now = process::start_of_stack(self.program.pid);
        self.program.stack != 0 && now.is_some_and(|now| now != self.program.stack)
    }

    fn read(&mut self, files: &mut Files) {
        match process::maps(self.program.pid) {
            // As it is of a process that has ended and that its parent has not
            // waited for.
            Ok(maps) if maps.is_empty() => {}
            // Only now is it known whose map that was.
            Ok(_) if self.is_over() => self.missing = Unknown::OtherProgram,
            Ok(maps) => {
                let code = maps.iter().filter(|mapping| mapping.executable);
                let areas: Vec<Area> = code.map(|mapping| area(self.program.pid, mapping, files)).collect();
                if self.maps.last() != Some(&areas) {
                    self.maps.push(areas);
                }
                if self.maps.len() > MOST_MAPS {
                    self.maps.remove(0);
                }
            }
            Err(error) => self.missing = reason(&error, Unknown::ProcessEnded),
        }
    }

    /// Names of addresses, which are in order.
    pub(super) fn names(&mut self, files: &mut Files, addresses: &[u64]) -> Vec<Symbol> {
        let newest = self.maps.last();
        let unknown = |address: &u64| newest.and_then(|areas| find(areas, *address)).is_none();
        if self.program.pid != 0 && addresses.iter().any(unknown) {
            // It has loaded something since.
            self.read(files);
        }
        let missing = if self.maps.is_empty() { self.missing } else { Unknown::NotExecutable };
        let mut symbols = vec![Symbol::unknown(missing, None); addresses.len()];
        // By what is behind them: which address it was, and its place there.
        let mut wanted: BTreeMap<What, Vec<(usize, u64)>> = BTreeMap::new();
        for (index, &address) in addresses.iter().enumerate() {
            let area = self.maps.iter().rev().find_map(|areas| find(areas, address));
            if let (Some(area), Some(symbol)) = (area, symbols.get_mut(index)) {
                symbol.module.clone_from(&area.module);
                wanted.entry(area.what).or_default().push((index, area.place(address)));
            }
        }
        for (what, places) in wanted {
            let offsets: Vec<u64> = places.iter().map(|(_, offset)| *offset).collect();
            let names = self.of(what, files, &offsets);
            for ((index, _), name) in places.iter().zip(names) {
                if let Some(symbol) = symbols.get_mut(*index) {
                    symbol.name = name;
                }
            }
        }
        symbols
    }

    /// Names at places (see [`Area::place`]).
    fn of(&mut self, what: What, files: &Files, places: &[u64]) -> Vec<Result<Name, Unknown>> {
        match what {
            What::File(number) => files.names(number, places),
            What::Vdso => files.dwarf.vdso(places),
            What::Nothing(reason) => vec![Err(reason); places.len()],
            What::Compiled => {
                self.compiled.read(self.program.pid);
                places.iter().map(|address| self.compiled.find(*address)).collect()
            }
        }
    }
}

/// The area that an address is in. They are in order, as the kernel has them.
fn find(areas: &[Area], address: u64) -> Option<&Area> {
    let below = areas.partition_point(|area| area.start <= address);
    areas.get(below.checked_sub(1)?).filter(|area| address < area.end)
}

fn area(pid: u32, mapping: &Mapping, files: &mut Files) -> Area {
    let name = mapping.name.to_string_lossy();
    let what = if mapping.is_file() {
        files.open(pid, mapping).map_or_else(What::Nothing, What::File)
    } else if name == "[vdso]" && mapping.start >= FOUR_GIB {
        What::Vdso
    } else if name.starts_with('[') && !name.starts_with("[anon") {
        What::Nothing(Unknown::Special)
    } else {
        What::Compiled
    };
    let module = (!name.is_empty()).then(|| Arc::from(name));
    Area { start: mapping.start, end: mapping.end, offset: mapping.offset, module, what }
}

/// The map of what a process compiled at run time, /tmp/perf-PID.map.
enum Compiled {
    /// Not looked for yet.
    None,
    Missing(Unknown),
    Read {
        file: File,
        length: u64,
        map: PerfMap,
    },
}

impl Compiled {
    /// Reads the map again where it has grown; keeps it where it, or the
    /// process, is gone.
    fn read(&mut self, pid: u32) {
        let opened = perf_map::open(pid);
        let held = std::mem::replace(self, Self::None);
        *self = match (opened, held) {
            (Ok(file), held) => Self::newer(file, held),
            (Err(_), Self::Read { file, length, map }) => {
                // The process is gone, but what it wrote last may not be read.
                Self::newer_of(file, length, map)
            }
            (Err(reason), _) => Self::Missing(reason),
        };
    }

    fn newer(file: File, held: Self) -> Self {
        let id = |file: &File| file.metadata().map(|about| (about.dev(), about.ino())).ok();
        match held {
            Self::Read { file: same, length, map } if id(&same) == id(&file) => {
                Self::newer_of(file, length, map)
            }
            _ => Self::whole(file),
        }
    }

    fn newer_of(file: File, length: u64, map: PerfMap) -> Self {
        if file.metadata().is_ok_and(|about| about.len() == length) {
            Self::Read { file, length, map }
        } else {
            Self::whole(file)
        }
    }

    fn whole(mut file: File) -> Self {
        let length = file.metadata().map_or(0, |about| about.len());
        match perf_map::read(&mut file) {
            Ok(map) => Self::Read { file, length, map },
            Err(reason) => Self::Missing(reason),
        }
    }

    fn find(&self, address: u64) -> Result<Name, Unknown> {
        match self {
            Self::None => Err(Unknown::NoPerfMap),
            Self::Missing(reason) => Err(*reason),
            Self::Read { map, .. } => map.find(address).ok_or(Unknown::NotCovered),
        }
    }
}
