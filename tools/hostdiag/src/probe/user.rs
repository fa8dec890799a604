//! Functions of programs and libraries, for the user half of probe patterns:
//! `lib:func`, `/path:func`, `:func` with a process.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Result;
use object::read::ReadCache;

use crate::elf::{self, Bounded, Place};
use crate::fail::{Code, Failure, did_you_mean};
use crate::process::{self, Links, Mapping};

pub mod ld_cache;

/// A larger /etc/ld.so.cache is none: 100 bytes a library.
const LARGEST_CACHE: u64 = 16 << 20;

/// What a user probe pattern asks for.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// What is before the colon: a path, the name of a library or a program, or
    /// nothing for the program of the process.
    pub file: &'a str,
    /// The pattern of the functions, for messages.
    pub pattern: &'a str,
    /// Whether a function is meant.
    pub is_wanted: &'a dyn Fn(&str) -> bool,
    /// The process whose file is meant, by its own root directory.
    pub pid: Option<u32>,
}

/// A file with functions to attach to.
#[derive(Debug)]
pub struct Target {
    file: File,
    /// The file, by the root directory of the process, or of this host.
    pub path: PathBuf,
    /// What was asked for, in the order of the file.
    pub functions: Vec<Function>,
    /// What matches but cannot be probed, in the order of the names.
    pub skipped: Vec<(String, Skip)>,
}

impl Target {
    /// The path to attach by: that very file, of whatever mount namespace, and
    /// also after it was deleted. Good while this value lives.
    pub fn attach_path(&self) -> PathBuf {
        process::path_of(&self.file)
    }
}

/// A function of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it begins in the file, in bytes.
    pub offset: u64,
    /// The names that were asked for and mean it, at least one; those that begin
    /// with an underscore come last.
    pub names: Vec<String>,
}

/// Why a function that matches cannot be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// See [`Place::Indirect`].
    Indirect,
    /// See [`Place::Elsewhere`].
    Elsewhere,
    /// See [`Place::NotLoaded`].
    NotLoaded,
}

impl Skip {
    /// The reason in plain words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Indirect => "an IFUNC, chosen among variants when the file is loaded",
            Self::Elsewhere => "imported from another library",
            Self::NotLoaded => "not in executable memory",
        }
    }

    fn next_step(self) -> &'static str {
        match self {
            Self::Indirect => "probe its variants: *NAME_*",
            Self::Elsewhere => "probe it in its library: lib:func",
            Self::NotLoaded => "name another function",
        }
    }
}

/// Finds the file and its functions.
///
/// # Errors
/// `no-such-program`, `no-such-process`, `no-privilege`, `no-symbols`,
/// `no-such-function`, each with the next step.
pub fn find(wanted: &Wanted<'_>) -> Result<Target> {
    let (file, path) = locate(wanted)?;
    let cache = ReadCache::new(file.try_clone()?);
    let data = Bounded::new(&cache);
    let found = Found::search(data, wanted.is_wanted);
    if found.functions.is_empty() {
        return Err(found.nothing(&path, wanted.pattern, data).into());
    }
    let functions = found.functions.into_iter().map(|(offset, mut names)| {
        names.sort_by(|a, b| (a.starts_with('_'), a).cmp(&(b.starts_with('_'), b)));
        names.dedup();
        Function { offset, names }
    });
    Ok(Target { functions: functions.collect(), skipped: found.skipped, file, path })
}

/// What matches in a file.
struct Found {
    /// Names by offset.
    functions: BTreeMap<u64, Vec<String>>,
    skipped: Vec<(String, Skip)>,
    /// Whether the file was not stripped; nothing where it is no ELF file.
    complete: Option<bool>,
}

impl Found {
    fn search(data: Bounded<'_>, is_wanted: &dyn Fn(&str) -> bool) -> Self {
        let mut found = Self { functions: BTreeMap::new(), skipped: Vec::new(), complete: None };
        let Self { functions, skipped, complete } = &mut found;
        *complete = elf::functions(data, &mut |function| {
            let name = || function.name.to_owned();
            if is_wanted(function.name) {
                match function.place {
                    Place::Offset(offset) => functions.entry(offset).or_default().push(name()),
                    Place::Indirect => skipped.push((name(), Skip::Indirect)),
                    Place::Elsewhere => skipped.push((name(), Skip::Elsewhere)),
                    Place::NotLoaded => skipped.push((name(), Skip::NotLoaded)),
                }
            }
            ControlFlow::Continue(())
        });
        skipped.sort();
        skipped.dedup();
        found
    }

    /// Why there is no function to probe.
    fn nothing(&self, path: &Path, pattern: &str, data: Bounded<'_>) -> Failure {
        let path = path.display();
        let Some(complete) = self.complete else {
            return Failure::new(Code::NoSymbols, format!("{path} is no ELF file, or a damaged one"))
                .hint("probes need a program or a library, not a script");
        };
        if let Some((name, why)) = self.skipped.first() {
            let problem = format!("{name} of {path} cannot be probed: {}", why.as_str());
            return Failure::new(Code::NoSuchFunction, problem).hint(why.next_step());
        }
        let known = known(data);
        if known.is_empty() {
            return Failure::new(Code::NoSymbols, format!("{path} was stripped of its symbols"))
                .hint("install a build with symbols, or probe a library that it calls");
        }
        let stripped = if complete { "" } else { ", which was stripped of all but what it exports" };
        let hint = did_you_mean(pattern, known.iter().map(String::as_str));
        Failure::new(Code::NoSuchFunction, format!("no function matches \"{pattern}\" in {path}{stripped}"))
            .hint(hint.unwrap_or_else(|| "it may be inlined everywhere, or of another library".into()))
    }
}

/// The names of all functions that can be probed.
fn known(data: Bounded<'_>) -> Vec<String> {
    let mut known = Vec::new();
    elf::functions(data, &mut |function| {
        if matches!(function.place, Place::Offset(_)) {
            known.push(function.name.to_owned());
        }
        ControlFlow::Continue(())
    });
    known
}

/// Opens the file meant; its path by the root directory that counts.
fn locate(wanted: &Wanted<'_>) -> Result<(File, PathBuf)> {
    let Some(pid) = wanted.pid else {
        let name = wanted.file;
        if name.is_empty() {
            return Err(Failure::new(Code::NoSuchProcess, "\":func\" means the program of a process")
                .hint("name the process: -p PID; or the program: /path:func")
                .into());
        }
        let root = process::own_root()?;
        let path = if name.contains('/') { Some(std::path::absolute(name)?) } else { None };
        return open(&root, path, name);
    };
    let maps = process::maps(pid).map_err(|error| no_process(pid, &error))?;
    let mapped = maps.iter().filter(|mapping| mapping.executable && mapping.is_file());
    if wanted.file.is_empty() {
        let file = File::open(format!("/proc/{pid}/exe")).map_err(|error| no_process(pid, &error))?;
        return Ok((file, fs::read_link(format!("/proc/{pid}/exe"))?));
    }
    // What runs, not what lies there by now.
    let meant = |mapping: &&Mapping| {
        let path = Path::new(&mapping.name);
        let library = path.file_name().and_then(OsStr::to_str).is_some_and(|name| is_it(name, wanted.file));
        path == Path::new(wanted.file) || library && !wanted.file.contains('/')
    };
    if let Some(mapping) = mapped.into_iter().find(meant) {
        let file = process::open_mapped(pid, mapping).map_err(|error| no_file(&mapping.name, &error))?;
        return Ok((file, PathBuf::from(&mapping.name)));
    }
    let root = process::root(pid).map_err(|error| no_process(pid, &error))?;
    let path = wanted.file.contains('/').then(|| PathBuf::from(wanted.file));
    open(&root, path, wanted.file)
}

/// Opens a path below a root, or looks a name up there.
fn open(root: &File, path: Option<PathBuf>, name: &str) -> Result<(File, PathBuf)> {
    let open = |path: &Path| process::open_in_root(root, path, Links::Follow);
    if let Some(path) = path {
        let file = open(&path).map_err(|error| no_file(path.as_os_str(), &error))?;
        return Ok((file, path));
    }
    let mut cache = Vec::new();
    if let Ok(file) = open(Path::new("/etc/ld.so.cache")) {
        file.take(LARGEST_CACHE).read_to_end(&mut cache)?;
    }
    let libraries = ld_cache::parse(&cache);
    let named = libraries.iter().filter(|library| is_it(library.name, name));
    let folders = env::var_os("PATH").unwrap_or_default();
    let programs = env::split_paths(&folders).filter(|folder| folder.is_absolute()).map(|f| f.join(name));
    for path in named.map(|library| PathBuf::from(library.path)).chain(programs) {
        if let Ok(file) = open(&path) {
            return Ok((file, path));
        }
    }
    let stems = libraries.iter().filter_map(|library| library.name.split(".so").next());
    let hint = did_you_mean(name, stems.flat_map(|stem| [stem, stem.trim_start_matches("lib")]));
    Err(Failure::new(Code::NoSuchProgram, format!("no library and no program is named \"{name}\""))
        .hint(hint.unwrap_or_else(|| "give its path: /path:func".into()))
        .into())
}

/// Whether a file is what a name means: `c`, `libc`, `libc.so.6` and `libc-2.31`
/// are libc.so.6; `bash` is bash.
fn is_it(file: &str, name: &str) -> bool {
    let version = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit()) && rest.contains(".so");
    let library = |stem: &str| {
        file.strip_prefix(stem).is_some_and(|rest| {
            let plain = rest.strip_prefix(".so").is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
            plain || rest.strip_prefix('-').is_some_and(version)
        })
    };
    let shorter = |name: &str| {
        name.contains(".so") && file.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'))
    };
    file == name || shorter(name) || library(name) || library(&format!("lib{name}"))
}

fn no_process(pid: u32, error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::NoPrivilege, format!("process {pid} is another user's"))
                .hint("run it as root: sudo hostdiag …")
        }
        _ => Failure::new(Code::NoSuchProcess, format!("there is no process {pid}"))
            .hint("PIDs are those of the PID namespace that hostdiag runs in"),
    }
}

fn no_file(path: &OsStr, error: &io::Error) -> Failure {
    let path = Path::new(path).display();
    match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::new(Code::NoPrivilege, format!("not allowed to read {path}"))
                .hint("run it as root: sudo hostdiag …")
        }
        io::ErrorKind::InvalidInput => {
            Failure::new(Code::NoSuchProgram, format!("{path} is not a regular file"))
        }
        _ => Failure::new(Code::NoSuchProgram, format!("cannot open {path}: {error}"))
            .hint("a path is by the root directory of the process where one is given"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_libraries_are_understood() {
        for name in ["c", "libc", "libc.so", "libc.so.6"] {
            assert!(is_it("libc.so.6", name), "{name}");
        }
        assert!(is_it("libc-2.31.so", "c") && is_it("libc-2.31.so", "libc"));
        assert!(is_it("bash", "bash") && is_it("libstdc++.so.6.0.30", "stdc++"));
        for (file, name) in [("libcrypt.so.1", "c"), ("libc++.so.1", "c"), ("bashbug", "bash"), ("c", "libc")]
        {
            assert!(!is_it(file, name), "{file} is not {name}");
        }
    }

    fn wanted<'a>(file: &'a str, pattern: &'a str, is_wanted: &'a dyn Fn(&str) -> bool) -> Wanted<'a> {
        Wanted { file, pattern, is_wanted, pid: None }
    }

    fn failure(file: &str, pattern: &str, pid: Option<u32>) -> Failure {
        let is_wanted = |name: &str| name == pattern;
        let error = find(&Wanted { pid, ..wanted(file, pattern, &is_wanted) }).unwrap_err();
        error.downcast::<Failure>().unwrap()
    }

    #[test]
    fn functions_of_libc_are_found_by_its_short_name() {
        let is_wanted = |name: &str| name == "malloc" || name.starts_with("mallo") || name == "__libc_malloc";
        let target = find(&wanted("c", "mallo*", &is_wanted)).unwrap();
        let malloc = target.functions.iter().find(|function| function.names[0] == "malloc").unwrap();
        assert!(malloc.offset > 0 && target.path.to_str().unwrap().contains("/libc.so.6"));
        assert!(File::open(target.attach_path()).is_ok());
        let other = wanted("libc.so.6", "malloc", &|name| name == "malloc");
        let other = find(&other).unwrap();
        assert_eq!(other.functions, [Function { offset: malloc.offset, names: vec!["malloc".into()] }]);
        let offsets: Vec<u64> = target.functions.iter().map(|function| function.offset).collect();
        assert!(offsets.is_sorted_by(|a, b| a < b), "each address once");
    }

    #[test]
    fn what_cannot_be_probed_says_why() {
        let error = failure("c", "strlen", None);
        assert_eq!(error.code, Code::NoSuchFunction);
        assert!(error.message.contains("IFUNC"), "{error}");
        let error = failure("c", "mallok", None);
        assert!(error.hint.as_ref().unwrap().contains("malloc"), "{error:?}");
        let error = failure("libk", "x", None);
        assert_eq!(error.code, Code::NoSuchProgram);
        let error = failure("/usr/bin/dash", "main", None);
        assert_eq!(error.code, Code::NoSymbols);
        assert!(error.message.contains("stripped"), "{error}");
        assert_eq!(failure("/etc/passwd", "x", None).code, Code::NoSymbols);
        assert_eq!(failure("/dev/null", "x", None).code, Code::NoSuchProgram);
        assert_eq!(failure("/nowhere", "x", None).code, Code::NoSuchProgram);
        assert_eq!(failure("", "x", None).code, Code::NoSuchProcess);
        assert_eq!(failure("c", "x", Some(u32::MAX / 2)).code, Code::NoSuchProcess);
    }

    #[test]
    fn the_program_of_a_process_is_meant_without_a_file() {
        let me = std::process::id();
        let is_wanted = |name: &str| name == "main";
        let target = find(&Wanted { pid: Some(me), ..wanted("", "main", &is_wanted) }).unwrap();
        assert_eq!(target.path, std::env::current_exe().unwrap());
        let by_path = target.path.to_str().unwrap();
        let again = find(&Wanted { pid: Some(me), ..wanted(by_path, "main", &is_wanted) }).unwrap();
        assert_eq!(again.functions, target.functions);
    }
}
