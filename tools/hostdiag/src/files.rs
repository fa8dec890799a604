//! Text files below a root: those of this host, of a mounted one, of a fixture. All
//! reading of configuration goes through here, so its limits hold everywhere.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Component, Path, PathBuf};

use hostdiag_model::glob;
use hostdiag_model::harmless::harmless;
use hostdiag_model::offload::Problem;
use nix::fcntl::OFlag;

/// No configuration file is larger, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// No folder of configuration has more entries.
const MAX_ENTRIES: usize = 10_000;
/// As many symbolic links as the kernel follows (path_resolution(7)).
const MAX_LINKS: usize = 40;
/// How much of a line is shown, in characters.
const MAX_TEXT: usize = 200;

/// What a path leads to.
enum Target {
    Real(PathBuf),
    /// A link to /dev/null: an administrator masked the file.
    Masked,
}

/// Files below a root, and what of them could not be read.
pub struct Files<'a> {
    root: &'a Path,
    /// In the order in which they came up.
    pub problems: Vec<Problem>,
}

impl<'a> Files<'a> {
    /// Those below `root`, "/" on a live host. Paths are absolute, without `root`.
    pub fn new(root: &'a Path) -> Self {
        Self { root, problems: Vec::new() }
    }

    /// The text of a file, with what is not UTF-8 replaced. `None` when it is
    /// absent or masked, or could not be read, which becomes a problem.
    pub fn read(&mut self, path: &str) -> Option<String> {
        self.read_if(path, |_| true)
    }

    /// The text of a script: a file that starts with `#!`.
    pub fn read_script(&mut self, path: &str) -> Option<String> {
        self.read_if(path, |start| start.starts_with(b"#!"))
    }

    fn read_if(&mut self, path: &str, wanted: fn(&[u8]) -> bool) -> Option<String> {
        let bytes = match self.resolve(path) {
            Ok(Target::Real(real)) => read_regular(&real, wanted),
            Ok(Target::Masked) => return None,
            Err(error) => Err(error),
        };
        match bytes {
            Ok(bytes) => bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                self.unreadable(path, &error);
                None
            }
        }
    }

    /// The names in a folder, sorted, without hidden ones.
    pub fn list(&mut self, folder: &str) -> Vec<String> {
        let mut names = Vec::new();
        let entries = match self.resolve(folder) {
            Ok(Target::Real(real)) => fs::read_dir(real),
            Ok(Target::Masked) => return names,
            Err(error) => Err(error),
        };
        let entries = match entries {
            Ok(entries) => entries,
            Err(error) => {
                self.unreadable(folder, &error);
                return names;
            }
        };
        for entry in entries.take(MAX_ENTRIES + 1) {
            match entry {
                Ok(entry) => names.extend(entry.file_name().into_string().ok()),
                Err(error) => self.unreadable(folder, &error),
            }
        }
        if names.len() > MAX_ENTRIES {
            self.problem(folder, "over 10000 entries; the rest was not searched");
        }
        names.retain(|name| !name.starts_with('.') && !name.ends_with('~'));
        names.sort();
        names
    }

    /// Names with that ending in folders of falling priority, each with its
    /// path in the first folder that has it; sorted by name, masked ones left out.
    pub fn layered(&mut self, folders: &[&str], ending: &str) -> BTreeMap<String, String> {
        let mut files = BTreeMap::new();
        for folder in folders {
            for name in self.list(folder) {
                if name.ends_with(ending) {
                    let path = format!("{folder}/{name}");
                    files.entry(name).or_insert(path);
                }
            }
        }
        files.retain(|_, path| !matches!(self.resolve(path), Ok(Target::Masked)));
        files
    }

    /// Follows links as if the root were "/", so that a fixture or a mounted
    /// file system is never left.
    fn resolve(&self, path: &str) -> io::Result<Target> {
        let mut pending: Vec<PathBuf> = steps(Path::new(path));
        let mut inside: Vec<PathBuf> = Vec::new();
        let mut links = 0;
        while let Some(step) = pending.pop() {
            if step.as_os_str() == ".." {
                inside.pop();
                continue;
            }
            inside.push(step);
            let target = match fs::read_link(self.real(&inside)) {
                Ok(target) => target,
                // EINVAL: it exists and is no link.
                Err(error) if error.kind() == ErrorKind::InvalidInput => continue,
                Err(error) => return Err(error),
            };
            links += 1;
            if links > MAX_LINKS {
                return Err(io::Error::other("too many levels of symbolic links"));
            }
            if target == Path::new("/dev/null") {
                return Ok(Target::Masked);
            }
            inside.pop();
            if target.is_absolute() {
                inside.clear();
            }
            pending.extend(steps(&target));
        }
        Ok(Target::Real(self.real(&inside)))
    }

    fn real(&self, inside: &[PathBuf]) -> PathBuf {
        inside.iter().fold(self.root.to_path_buf(), |path, step| path.join(step))
    }

    fn unreadable(&mut self, path: &str, error: &io::Error) {
        // Not there, not what was expected, or a name that no file can have.
        let absent = [
            ErrorKind::NotFound,
            ErrorKind::NotADirectory,
            ErrorKind::IsADirectory,
            ErrorKind::InvalidInput,
            ErrorKind::InvalidFilename,
        ];
        if !absent.contains(&error.kind()) {
            self.problem(path, &format!("failed to read it: {error}"));
        }
    }

    /// Notes what could not be read or understood.
    pub fn problem(&mut self, subject: &str, message: &str) {
        self.problems.push(Problem { subject: clean(subject), message: clean(message) });
    }

    /// Paths in a folder and below it that a pattern such as
    /// `/etc/network/*/eth*` describes, sorted.
    pub fn expand(&mut self, pattern: &str) -> Vec<String> {
        let mut found = vec![String::new()];
        for step in pattern.split('/').filter(|step| !step.is_empty()) {
            let mut next = Vec::new();
            for folder in &found {
                if next.len() >= MAX_ENTRIES {
                    break;
                }
                if glob::is_pattern(step) {
                    let inside = self.list(if folder.is_empty() { "/" } else { folder });
                    let fitting = inside.iter().filter(|name| glob::matches(step, name));
                    next.extend(fitting.map(|name| format!("{folder}/{name}")));
                } else {
                    next.push(format!("{folder}/{step}"));
                }
            }
            next.truncate(MAX_ENTRIES);
            found = next;
        }
        found
    }
}

/// The parts of a path, last first, `..` kept.
fn steps(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().rev();
    parts
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| PathBuf::from(part.as_os_str()))
        .collect()
}

/// The bytes of a regular file whose first two are wanted. Opens neither a
/// FIFO, which would block, nor a link that was put there meanwhile.
fn read_regular(path: &Path, wanted: fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits()).open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    read_limited(file, wanted)
}

fn read_limited(file: File, wanted: fn(&[u8]) -> bool) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    let mut file = file.take(2);
    file.read_to_end(&mut bytes)?;
    if !wanted(&bytes) {
        return Ok(None);
    }
    file.set_limit(MAX_FILE);
    file.read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(io::Error::other("larger than 1 MiB, which no configuration is"));
    }
    Ok(Some(bytes))
}

/// One line for people: trimmed, without control and direction characters,
/// cut to its limit.
pub fn clean(text: &str) -> String {
    harmless(&text.replace('\t', " ")).trim().chars().take(MAX_TEXT).collect()
}
