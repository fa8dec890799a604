//! The memory map and the files of another process, as /proc shows them.
//!
//! What such a process names is not trusted: its files are opened through its
//! own root directory, where no link leads out, and never waited for.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{self, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::Mode;

/// Behind the name of a file that is no longer in its folder (d_path(),
/// fs/d_path.c).
const DELETED: &[u8] = b" (deleted)";

/// A range of a process's memory: a line of /proc/PID/maps, proc_pid_maps(5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// The first address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Where in the file `start` is, in bytes.
    pub offset: u64,
    /// Whether the processor runs what is there.
    pub executable: bool,
    /// The device of the file, as printed: `fd:01`.
    pub device: String,
    /// The inode of the file; 0 without one.
    pub inode: u64,
    /// The path of the file by the root of its mount namespace, which is not the
    /// root directory of a process after chroot(2); or a name such as `[vdso]`;
    /// empty for anonymous memory.
    pub name: OsString,
    /// Whether the file is no longer in its folder.
    pub deleted: bool,
}

impl Mapping {
    /// Whether a file that a folder has, or had, is behind it. Memory of
    /// `memfd_create()` and the like has a name with a slash too, and no code
    /// that a file on disk describes.
    pub fn is_file(&self) -> bool {
        const MEMORY: [&[u8]; 4] = [b"/memfd:", b"/dev/zero", b"/SYSV", b"/anon_hugepage"];
        let name = self.name.as_bytes();
        name.starts_with(b"/") && !MEMORY.iter().any(|memory| name.starts_with(memory))
    }
}

/// Reads the text of /proc/PID/maps; lines that are none are left out.
pub fn parse_maps(text: &[u8]) -> Vec<Mapping> {
    text.split(|&byte| byte == b'\n').filter_map(mapping).collect()
}

/// `START-END PERMISSIONS OFFSET DEVICE INODE     NAME`
fn mapping(line: &[u8]) -> Option<Mapping> {
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(|&byte| byte == b' ').unwrap_or(rest.len());
        let (word, behind) = rest.split_at_checked(end)?;
        rest = behind.get(1..).unwrap_or_default();
        std::str::from_utf8(word).ok()
    };
    let (start, end) = word()?.split_once('-')?;
    let permissions = word()?;
    let offset = word()?;
    let device = word()?.to_owned();
    let inode = word()?.parse().ok()?;
    let name = rest.trim_ascii_start();
    let (name, deleted) = name.strip_suffix(DELETED).map_or((name, false), |name| (name, true));
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        offset: u64::from_str_radix(offset, 16).ok()?,
        executable: permissions.as_bytes().get(2) == Some(&b'x'),
        device,
        inode,
        name: OsStr::from_bytes(name).to_owned(),
        deleted,
    })
}

/// The memory map of a process. It is empty for kernel threads, and once a
/// process has ended that nobody has waited for.
///
/// # Errors
/// `NotFound` where the process is gone, `PermissionDenied` where it is
/// another's (ptrace(2), PTRACE_MODE_READ_FSCREDS).
pub fn maps(pid: u32) -> io::Result<Vec<Mapping>> {
    match fs::read(format!("/proc/{pid}/maps")) {
        // It ended between open and read.
        Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {
            Err(io::Error::from(io::ErrorKind::NotFound))
        }
        text => Ok(parse_maps(&text?)),
    }
}

/// Where the stack of a process begins: field 28 of /proc/PID/stat, proc_pid_stat(5).
/// Absent where it is gone or another's.
pub fn start_of_stack(pid: u32) -> Option<u64> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // Field 2, the name, may have blanks and parentheses in it.
    let end = text.iter().rposition(|&byte| byte == b')')?;
    let fields = std::str::from_utf8(text.get(end + 1..)?).ok()?;
    fields.split_ascii_whitespace().nth(28 - 3)?.parse().ok().filter(|address| *address != 0)
}

/// Opens the file behind a mapping: by its inode, which also works for deleted
/// files but takes CAP_CHECKPOINT_RESTORE, else by its name.
///
/// # Errors
/// `NotFound` where it was deleted, or where another is in its place; others
/// from opening.
pub fn open_mapped(pid: u32, mapping: &Mapping) -> io::Result<File> {
    let by_inode = format!("/proc/{pid}/map_files/{:x}-{:x}", mapping.start, mapping.end);
    if let Ok(file) = File::open(by_inode) {
        return Ok(file);
    }
    if mapping.deleted {
        return Err(io::Error::from(io::ErrorKind::NotFound));
    }
    let by_name = |root: File| {
        let file = open_in_root(&root, Path::new(&mapping.name), Links::Follow)?;
        // Not the device: btrfs and overlayfs show another one there.
        let same = file.metadata()?.ino() == mapping.inode;
        if same { Ok(file) } else { Err(io::Error::from(io::ErrorKind::NotFound)) }
    };
    root(pid).and_then(by_name).or_else(|error| own_root().and_then(by_name).map_err(|_| error))
}

/// The root directory of a process, of whatever mount namespace.
///
/// # Errors
/// As [`maps`].
pub fn root(pid: u32) -> io::Result<File> {
    directory(&PathBuf::from(format!("/proc/{pid}/root")))
}

/// The root directory of this process.
///
/// # Errors
/// From opening.
pub fn own_root() -> io::Result<File> {
    directory(Path::new("/"))
}

fn directory(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(File::from(fcntl::open(path, flags, Mode::empty())?))
}

/// What symbolic links on a path mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Links {
    /// They are followed, none out of the root directory.
    Follow,
    /// The path is refused.
    Refuse,
}

/// Opens a regular file below a root directory (openat2(2), Linux 5.6).
///
/// # Errors
/// `ELOOP` for a refused link, `InvalidInput` for what is no regular
/// file; others from opening.
pub fn open_in_root(root: &File, path: &Path, links: Links) -> io::Result<File> {
    let resolve = match links {
        Links::Follow => ResolveFlag::RESOLVE_NO_MAGICLINKS,
        Links::Refuse => ResolveFlag::RESOLVE_NO_SYMLINKS,
    };
    // A named pipe must not hold anything up.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).resolve(resolve | ResolveFlag::RESOLVE_IN_ROOT);
    let file = File::from(fcntl::openat2(root, path, how)?);
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::from(io::ErrorKind::InvalidInput)) }
}

/// A path by which this process, and a kernel that it hands it to, reaches
/// exactly that open file.
pub fn path_of(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// What /proc/PID/status tells of who a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its effective user.
    pub user: u32,
    /// The process ID that it sees itself: in the innermost PID namespace.
    pub own_pid: u32,
}

/// Who a process is.
///
/// # Errors
/// As [`maps`]; `InvalidData` for text that is no status.
pub fn identity(pid: u32) -> io::Result<Identity> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    parse_status(&text, pid).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

/// `Uid:` has the real, effective, saved and file system user; `NStgid:`, which
/// a kernel without PID namespaces lacks, the innermost namespace last.
fn parse_status(text: &str, pid: u32) -> Option<Identity> {
    let words = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::split_whitespace);
    let user = words("Uid:")?.nth(1)?.parse().ok()?;
    let own_pid = words("NStgid:").map_or(Some(pid), |mut ids| ids.next_back()?.parse().ok())?;
    Some(Identity { user, own_pid })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAPS: &str = "\
557490e99000-557490ec8000 r--p 00000000 fd:00 1234                       /usr/bin/bash
557490ec8000-557490f89000 r-xp 0002f000 fd:00 1234                       /usr/bin/a b (deleted)
7f0000000000-7f0000001000 rwxp 00000000 00:00 0 \n\
7f0000002000-7f0000003000 r-xs 00000000 00:01 7                          /memfd:jit (deleted)
7fec070fe000-7fec07100000 r-xp 00000000 00:00 0                          [vdso]
no mapping
";

    #[test]
    fn the_map_is_read() {
        let maps = parse_maps(MAPS.as_bytes());
        let names: Vec<_> = maps.iter().map(|mapping| mapping.name.to_str().unwrap()).collect();
        assert_eq!(names, ["/usr/bin/bash", "/usr/bin/a b", "", "/memfd:jit", "[vdso]"]);
        let [_, bash, jit, memfd, _] = &maps[..] else { panic!("{maps:?}") };
        assert_eq!((bash.start, bash.end, bash.offset), (0x5574_90ec_8000, 0x5574_90f8_9000, 0x2f000));
        assert!(bash.deleted && bash.executable && bash.is_file() && !maps[0].executable);
        assert_eq!((bash.device.as_str(), bash.inode), ("fd:00", 1234));
        assert!(!jit.is_file() && !memfd.is_file() && memfd.deleted);
    }

    #[test]
    fn the_status_of_a_process_in_a_container_is_read() {
        let text = "Name:\tx\nUid:\t1000\t1001\t1002\t1003\nNStgid:\t1337\t12\t1\n";
        assert_eq!(parse_status(text, 1337), Some(Identity { user: 1001, own_pid: 1 }));
        assert_eq!(parse_status("Uid:\t0\t0\t0\t0\n", 7), Some(Identity { user: 0, own_pid: 7 }));
        assert_eq!(parse_status("", 7), None);
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let folder = std::env::temp_dir().join(format!("hostdiag-process-{}", std::process::id()));
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("inside"), "1").unwrap();
        std::os::unix::fs::symlink("/inside", folder.join("link")).unwrap();
        std::os::unix::fs::symlink("/proc/self/status", folder.join("out")).unwrap();
        nix::unistd::mkfifo(&folder.join("pipe"), Mode::S_IRUSR).unwrap();
        let root = directory(&folder).unwrap();
        let open = |path: &str, links| open_in_root(&root, Path::new(path), links).map(drop);
        let kind = |path, links| open(path, links).unwrap_err().kind();
        open("/link", Links::Follow).unwrap();
        let refused = open("link", Links::Refuse).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(nix::libc::ELOOP));
        assert_eq!(kind("out", Links::Follow), io::ErrorKind::NotFound);
        assert_eq!(kind("../../proc/self/status", Links::Follow), io::ErrorKind::NotFound);
        assert_eq!(kind("pipe", Links::Follow), io::ErrorKind::InvalidInput);
        fs::remove_dir_all(&folder).unwrap();
    }
}
