//! Where results go, and what the terminal wants them to look like.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::ValueEnum;
use hostdiag_report::Style;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::fail::{Code, Failure};

/// What `--color` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How results are to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    /// `--color`.
    pub color: Color,
}

impl Look {
    /// The style for stdout.
    pub fn style(self) -> Style {
        Style { color: self.colored(), unicode: utf8() }
    }

    /// Text as it goes to a terminal, without what that would obey; to anything
    /// else as it is.
    pub fn for_terminal(self, text: String) -> String {
        if !io::stdout().is_terminal() {
            return text;
        }
        let plain = |c: &char| *c == '\n' || *c == '\t' || !hostdiag_report::page::is_harmful(*c);
        text.chars().filter(plain).collect()
    }

    fn colored(self) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                !set("NO_COLOR") && !dumb && io::stdout().is_terminal()
            }
        }
    }
}

/// Whether the locale takes UTF-8; the first variable that is set decides
/// (locale(7)).
fn utf8() -> bool {
    let set =
        ["LC_ALL", "LC_CTYPE", "LANG"].iter().filter_map(std::env::var_os).find(|value| !value.is_empty());
    set.is_some_and(|value| {
        let value = value.to_string_lossy().to_lowercase();
        value.ends_with("utf-8") || value.ends_with("utf8")
    })
}

/// Writes a result to stdout.
pub fn write(result: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    result(&mut out)?;
    out.flush()
}

/// Where the result of a command goes that reads files.
#[derive(Debug, Default, clap::Args)]
pub struct Destination {
    /// Write the result to FILE, which only its owner can read (`-`: stdout).
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Destination {
    /// The style for it: a file is no terminal.
    pub fn style(&self, look: Look) -> Style {
        if self.file().is_some() { Style::default() } else { look.style() }
    }

    /// Writes a result that was made of `inputs`.
    ///
    /// # Errors
    /// It cannot be written, or would take the place of an input; nothing is left behind.
    pub fn write<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a PathBuf>,
        result: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> Result<()> {
        let Some(file) = self.file() else { return Ok(write(result)?) };
        if inputs.into_iter().any(|input| is_same(input, file)) {
            let problem = format!("{} is what is read; the result would take its place", file.display());
            return Err(Failure::new(Code::BadInput, problem).hint("give --output another name").into());
        }
        save(file, result)
    }

    fn file(&self) -> Option<&Path> {
        self.output.as_deref().filter(|path| *path != Path::new("-"))
    }
}

/// Whether both names (`-`: stdin) are those of one file.
fn is_same(input: &Path, output: &Path) -> bool {
    let input = if input == Path::new("-") { Path::new("/dev/stdin") } else { input };
    match (std::fs::metadata(input), std::fs::metadata(output)) {
        (Ok(a), Ok(b)) => a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// Whether stdout could not be written because nobody reads it any more: a pipe
/// without a reader, or a terminal that was closed, which fails with EIO.
pub fn is_unread(error: &io::Error) -> bool {
    let hung_up = || {
        let stdout = io::stdout();
        let mut fds = [PollFd::new(stdout.as_fd(), PollFlags::empty())];
        let polled = poll(&mut fds, PollTimeout::ZERO).is_ok();
        polled && fds.iter().filter_map(PollFd::revents).any(|events| events.contains(PollFlags::POLLHUP))
    };
    error.kind() == io::ErrorKind::BrokenPipe || error.raw_os_error() == Some(nix::libc::EIO) && hung_up()
}

/// A line that is no result, to stderr.
pub fn say(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{}", hostdiag_report::page::harmless(text));
}

/// Whether [`live`] has somebody to show it to.
pub fn is_live() -> bool {
    io::stderr().is_terminal()
}

/// What goes on now: a line on a terminal that the next one takes the place of;
/// an empty one removes it.
pub fn live(text: &str) {
    let mut terminal = io::stderr();
    if terminal.is_terminal() {
        let _ = write!(terminal, "\r\x1b[K{}", hostdiag_report::page::harmless(text));
    }
}

/// A warning, which is no result, to stderr.
pub fn warn(text: &str) {
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "warning: {}", hostdiag_report::page::harmless(text));
}

/// The name of a file to keep a recording in, beside what goes to stdout.
///
/// # Errors
/// `-`, which elsewhere is stdout.
pub fn file_name(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("the name of a file, beside the result; /dev/stdout is stdout, ./- a file".into()),
        name => Ok(name.into()),
    }
}

/// Creates a file that only its owner can read, in the place of what was there. A device
/// or pipe is written to as it is.
///
/// # Errors
/// It cannot be created.
pub fn create(path: &Path) -> Result<File> {
    let create = || {
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        // Of a file that was there the mode is what it was.
        if file.metadata()?.is_file() {
            file.set_permissions(Permissions::from_mode(0o600))?;
        }
        io::Result::Ok(file)
    };
    create().with_context(|| format!("failed to create {}", path.display()))
}

/// Creates a file of this mode that nobody else has made or linked to something: only what
/// an earlier run left there, which was killed, makes way.
fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => OpenOptions::new().write(true).create_new(true).mode(mode).open(path),
    }
}

/// Keeps a result in a file that only its owner can read. What was there stays until
/// the result is whole: it is written beside it and takes its place then. A device or
/// pipe is written to as it is.
///
/// # Errors
/// It cannot be written; nothing is left behind.
pub fn save(path: &Path, result: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
    let failed = || format!("failed to write {}", path.display());
    let there = std::fs::metadata(path).ok();
    if there.is_some_and(|there| !there.is_file()) {
        let mut out = BufWriter::new(create(path)?);
        return result(&mut out).and_then(|()| out.flush()).with_context(failed);
    }
    // Through links, which are to stay.
    let place = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let beside = beside(&place);
    let mut out = BufWriter::new(create_new(&beside, 0o600).with_context(failed)?);
    let written = result(&mut out).and_then(|()| out.flush()).and_then(|()| std::fs::rename(&beside, &place));
    written.with_context(failed).inspect_err(|_| {
        // The error is told; that the rest of it stays is no other one.
        let _ = std::fs::remove_file(&beside);
    })
}

/// Where a file is written before it takes its place.
fn beside(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Puts a text where everybody may read it, whole or not at all, whatever the umask. The folder
/// may belong to somebody else: no link in it is followed.
///
/// # Errors
/// It cannot be written; what was there stays, and nothing is left behind.
pub fn publish(path: &Path, text: &str) -> Result<()> {
    let beside = beside(path);
    let write = || {
        let mut file = create_new(&beside, 0o644)?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&beside, path)
    };
    write().with_context(|| format!("failed to write {}", path.display())).inspect_err(|_| {
        // The error is told; that the rest of it stays is no other one.
        let _ = std::fs::remove_file(&beside);
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_that_fails_leaves_what_was_there() {
        let folder = std::env::temp_dir().join(format!("hostdiag-save-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("result");
        save(&path, |out| out.write_all(b"first")).unwrap();
        let failed = save(&path, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("no more"));
        assert_eq!(std::fs::read(&path).unwrap(), b"first");
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
        save(Path::new("/dev/null"), |out| out.write_all(b"x")).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_created_is_its_owners_alone() {
        let folder = std::env::temp_dir().join(format!("hostdiag-create-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("recording");
        std::fs::write(&path, "for all").unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let mode = create(&path).unwrap().metadata().unwrap().permissions().mode();
        assert_eq!((mode & 0o777, std::fs::read(&path).unwrap().len()), (0o600, 0));
        create(Path::new("/dev/null")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_published_follows_no_link_and_is_for_all() {
        let folder = std::env::temp_dir().join(format!("hostdiag-publish-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (path, other) = (folder.join("x.prom"), folder.join("other"));
        std::fs::write(&other, "kept").unwrap();
        for link in [path.clone(), beside(&path)] {
            std::os::unix::fs::symlink(&other, link).unwrap();
        }
        publish(&path, "first\n").unwrap();
        publish(&path, "second\n").unwrap();
        assert_eq!(std::fs::read_to_string(&other).unwrap(), "kept");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "second\n");
        assert_eq!(std::fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 2);
        let error = publish(&folder.join("no/x.prom"), "").unwrap_err();
        assert!(format!("{error:#}").contains("no/x.prom: No such file"), "{error:#}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
