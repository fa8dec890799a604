//! Settings as they are found, and the reading of files that hold one value.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use hostdiag_model::snapshot::{Area, Setting, Value};
use nix::fcntl::OFlag;
use nix::libc;

/// The longest value that is kept, in characters.
const MAX_VALUE: usize = 512;
/// The largest text that is read, in bytes: a list of packages has a few millions.
const MAX_TEXT: u64 = 64 << 20;
/// More than any value has, so that it comes in one read: files in /proc/sys have
/// nothing behind the first.
const ONE_READ: usize = 16 << 10;

/// What a setting is of: its place in the snapshot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key<'a> {
    pub(super) area: Area,
    pub(super) of: Option<&'a str>,
    pub(super) name: &'a str,
}

/// Settings of the host below a root.
pub(super) struct Found<'a> {
    root: &'a Path,
    settings: Vec<Setting>,
}

impl<'a> Found<'a> {
    /// Of the host below `root`, "/" on a live one. Paths are absolute, without `root`.
    pub(super) fn new(root: &'a Path) -> Self {
        Self { root, settings: Vec::new() }
    }

    /// All of them, sorted; of two with one key the first.
    pub(super) fn finish(mut self) -> Vec<Setting> {
        self.settings.sort_by(|a, b| key(a).cmp(&key(b)));
        self.settings.dedup_by(|a, b| key(a) == key(b));
        self.settings
    }

    pub(super) fn root(&self) -> &'a Path {
        self.root
    }

    /// Adds a value, on one line and of a bounded length.
    pub(super) fn value(&mut self, key: Key<'_>, value: &str) {
        self.push(key, Value::Value(one_line(value)));
    }

    /// Adds what could not be read, with the reason; what the host does not have is not added.
    pub(super) fn unreadable(&mut self, key: Key<'_>, error: &io::Error) {
        if !is_absent(error) {
            self.push(key, Value::Unreadable(why(error)));
        }
    }

    /// Adds what reading gave.
    pub(super) fn result(&mut self, key: Key<'_>, read: io::Result<String>) {
        match read {
            Ok(text) => self.value(key, &text),
            Err(error) => self.unreadable(key, &error),
        }
    }

    /// Adds the value in a file.
    pub(super) fn file(&mut self, key: Key<'_>, path: &str) {
        let read = self.read(path);
        self.result(key, read);
    }

    /// Adds a setting as it is.
    pub(super) fn push(&mut self, key: Key<'_>, value: Value) {
        let (of, name) = (key.of.map(str::to_owned), key.name.to_owned());
        self.settings.push(Setting { area: key.area, of, name, value, origin: None, asked: None });
    }

    /// The setting that was added last.
    pub(super) fn last(&mut self) -> Option<&mut Setting> {
        self.settings.last_mut()
    }

    /// The one value in a file: the chosen one where it lists several.
    pub(super) fn read(&self, path: &str) -> io::Result<String> {
        let text = self.text(path)?;
        Ok(chosen(&text).unwrap_or(&text).to_owned())
    }

    /// The text of a file.
    pub(super) fn text(&self, path: &str) -> io::Result<String> {
        text(&self.real(path))
    }

    /// Its bytes.
    pub(super) fn bytes(&self, path: &str) -> io::Result<Vec<u8>> {
        bytes(&self.real(path))
    }

    /// The names in a folder, sorted; none where it cannot be listed.
    pub(super) fn list(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.real(folder)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort_unstable();
        names
    }

    /// The folders in a folder; no links.
    pub(super) fn folders(&self, folder: &str) -> Vec<String> {
        let is_folder =
            |name: &String| self.real(folder).join(name).symlink_metadata().is_ok_and(|meta| meta.is_dir());
        self.list(folder).into_iter().filter(is_folder).collect()
    }

    /// Where a path of the host is.
    pub(super) fn real(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }
}

fn key(setting: &Setting) -> (Area, Option<&str>, &str) {
    (setting.area, setting.of.as_deref(), &setting.name)
}

/// The text of a file, with what is not UTF-8 replaced.
fn text(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

/// The bytes of a file; never waits for a FIFO or a log.
fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let file = OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path)?;
    let mut bytes = Vec::with_capacity(ONE_READ);
    let length = file.take(MAX_TEXT).read_to_end(&mut bytes)?;
    if length as u64 == MAX_TEXT {
        return Err(io::Error::new(ErrorKind::FileTooLarge, "larger than 64 MiB"));
    }
    Ok(bytes)
}

/// Whether an error says that the host does not have it: no such file, a driver that
/// does not report it, a device that went away.
pub(super) fn is_absent(error: &io::Error) -> bool {
    const ABSENT: [i32; 8] = [
        libc::ENOENT,
        libc::ENOTDIR,
        libc::EISDIR,
        libc::ENODEV,
        libc::ENXIO,
        libc::EINVAL,
        libc::EOPNOTSUPP,
        libc::ENODATA,
    ];
    error.raw_os_error().is_some_and(|code| ABSENT.contains(&code))
}

/// An error in words, without its number.
pub(super) fn why(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// The chosen one of `none [mq-deadline] kyber`.
pub(super) fn chosen(text: &str) -> Option<&str> {
    let mut words = text.split_whitespace().filter_map(|word| word.strip_prefix('[')?.strip_suffix(']'));
    let first = words.next()?;
    (words.next().is_none() && text.trim().lines().count() == 1).then_some(first)
}

/// Words with one space between them, cut to the limit, which is said.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let length = line.chars().count();
    if length <= MAX_VALUE {
        return line;
    }
    line.chars().take(MAX_VALUE).collect::<String>() + &format!("... ({length} characters)")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_one_is_the_value() {
        assert_eq!(chosen("none [mq-deadline] kyber\n"), Some("mq-deadline"));
        for all in ["always madvise\n", "[a] [b]\n", "[a]\nb\n", ""] {
            assert_eq!(chosen(all), None);
        }
    }

    #[test]
    fn a_long_value_is_cut_and_says_so() {
        assert_eq!(one_line("4096\t131072\t6291456\n"), "4096 131072 6291456");
        let cut = one_line(&"x".repeat(MAX_VALUE + 1));
        assert!(cut.ends_with("x... (513 characters)"), "{cut}");
    }

    #[test]
    fn one_setting_a_key_is_kept_in_order() {
        let mut found = Found::new(Path::new("/"));
        let key = |name| Key { area: Area::Memory, of: None, name };
        found.value(key("b"), "1");
        found.value(key("a"), "2");
        found.value(key("b"), "3");
        found.unreadable(key("c"), &io::Error::from_raw_os_error(libc::ENOENT));
        found.unreadable(key("d"), &io::Error::from_raw_os_error(libc::EACCES));
        let all: Vec<(String, Value)> = found.finish().into_iter().map(|s| (s.name, s.value)).collect();
        let value = |name: &str, value: &str| (name.to_owned(), Value::Value(value.into()));
        let denied = ("d".to_owned(), Value::Unreadable("Permission denied".into()));
        assert_eq!(all, [value("a", "2"), value("b", "1"), denied]);
    }
}
