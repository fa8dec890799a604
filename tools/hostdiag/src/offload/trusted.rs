//! A file that says what may be repaired is obeyed only if nobody but root, or
//! who runs hostdiag, can write it or put another in its place.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use hostdiag_report::offload::words;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::Mode;
use nix::unistd::geteuid;

use crate::fail::{Code, Failure};

/// Where a policy of root belongs.
const HOME: &str = "/etc/hostdiag";
/// Write permission of group and others.
const OTHERS_WRITE: u32 = 0o022;
/// The sticky bit: in that folder only owners rename and remove.
const STICKY: u32 = 0o1000;

/// Opens a file to be obeyed. What is checked is what was opened: nothing can be
/// put in its place in between. A symbolic link is followed; its folder and that
/// of its target count.
///
/// # Errors
/// `unsafe-policy` with the command that helps; `io::Error` from opening.
pub fn open(path: &Path) -> Result<File> {
    let parent = |path: &Path| path.parent().filter(|parent| *parent != Path::new("")).map(Path::to_owned);
    let folder = parent(path).unwrap_or_else(|| PathBuf::from("."));
    let directory = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let opened = File::from(fcntl::open(&folder, directory, Mode::empty()).map_err(io::Error::from)?);
    let name = path.file_name().context("the name of a file is missing")?;
    // A named pipe without a writer must not hold up the start of a host.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = File::from(fcntl::openat(&opened, name, flags, Mode::empty()).map_err(io::Error::from)?);
    let mut folders = vec![(folder, opened.metadata()?)];
    if let Some(real) = parent(&fs::canonicalize(path)?) {
        let about = fs::metadata(&real)?;
        folders.push((real, about));
    }
    let euid = geteuid().as_raw();
    for (folder, about) in folders {
        if let Some(hint) = folder_hint(&folder, path, Owned::of(&about), euid) {
            return Err(failure(&folder, &about, hint));
        }
    }
    let about = file.metadata()?;
    if !about.is_file() {
        let problem = format!("{} is not a regular file", path.display());
        return Err(Failure::new(Code::UnsafePolicy, problem).into());
    }
    match file_hint(path, Owned::of(&about), euid) {
        Some(hint) => Err(failure(path, &about, hint)),
        None => Ok(file),
    }
}

/// Owner and permissions.
#[derive(Clone, Copy)]
struct Owned {
    uid: u32,
    mode: u32,
}

impl Owned {
    fn of(about: &Metadata) -> Self {
        Self { uid: about.uid(), mode: about.mode() }
    }

    /// Whether it belongs to somebody else than root and who runs this.
    fn foreign(self, euid: u32) -> bool {
        self.uid != 0 && self.uid != euid
    }
}

/// What to do about a file that others can write; nothing where they cannot.
fn file_hint(path: &Path, owned: Owned, euid: u32) -> Option<String> {
    let path = words::shell(&path.display().to_string());
    let owner = owned.foreign(euid).then(|| format!("sudo chown root:root {path}"));
    let mode = (owned.mode & OTHERS_WRITE != 0).then(|| format!("sudo chmod go-w {path}"));
    let commands: Vec<String> = owner.into_iter().chain(mode).collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

/// The same for a folder of `file`. One that belongs to a user is not to be
/// taken from them; the file can go elsewhere.
fn folder_hint(folder: &Path, file: &Path, owned: Owned, euid: u32) -> Option<String> {
    let quoted = |path: &Path| words::shell(&path.display().to_string());
    let elsewhere = folder != Path::new(HOME);
    if owned.foreign(euid) && elsewhere {
        return Some(format!("sudo install -D -m 644 {} {HOME}/offload.toml", quoted(file)));
    }
    let open = owned.mode & OTHERS_WRITE != 0 && owned.mode & STICKY == 0;
    let owner = owned.foreign(euid).then(|| format!("sudo chown root:root {}", quoted(folder)));
    let mode = open.then(|| format!("sudo chmod go-w {}", quoted(folder)));
    let commands: Vec<String> = owner.into_iter().chain(mode).collect();
    (!commands.is_empty()).then(|| commands.join(" && "))
}

fn failure(path: &Path, about: &Metadata, hint: String) -> anyhow::Error {
    let (owner, mode) = (about.uid(), about.mode() & 0o7777);
    let problem = format!(
        "others than root can write {} (user {owner}, mode {mode:04o}), so that it is not obeyed",
        path.display()
    );
    Failure::new(Code::UnsafePolicy, problem).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    const USER: u32 = 1000;

    fn owned(uid: u32, mode: u32) -> Owned {
        Owned { uid, mode }
    }

    #[test]
    fn a_file_belongs_to_root_or_who_runs_it() {
        let hint = |uid, mode, euid| file_hint(Path::new("/etc/x y"), owned(uid, mode), euid);
        assert_eq!(hint(0, 0o100_644, 0), None);
        assert_eq!(hint(0, 0o100_644, USER), None);
        assert_eq!(hint(USER, 0o100_600, USER), None);
        assert_eq!(hint(USER, 0o100_600, 0).unwrap(), "sudo chown root:root '/etc/x y'");
        assert_eq!(hint(0, 0o100_664, 0).unwrap(), "sudo chmod go-w '/etc/x y'");
        assert_eq!(hint(0, 0o100_602, USER).unwrap(), "sudo chmod go-w '/etc/x y'");
        let both = "sudo chown root:root '/etc/x y' && sudo chmod go-w '/etc/x y'";
        assert_eq!(hint(1001, 0o100_666, USER).unwrap(), both);
    }

    #[test]
    fn a_folder_may_be_everybodys_only_with_the_sticky_bit() {
        let hint = |folder: &str, uid, mode| {
            folder_hint(Path::new(folder), &Path::new(folder).join("p.toml"), owned(uid, mode), 0)
        };
        assert_eq!(hint("/tmp", 0, 0o041_777), None);
        assert_eq!(hint("/srv", 0, 0o040_755), None);
        assert_eq!(hint("/srv", 0, 0o040_775).unwrap(), "sudo chmod go-w /srv");
        assert_eq!(hint(HOME, USER, 0o040_755).unwrap(), "sudo chown root:root /etc/hostdiag");
        let copy = "sudo install -D -m 644 /home/u/p.toml /etc/hostdiag/offload.toml";
        assert_eq!(hint("/home/u", USER, 0o040_755).unwrap(), copy);
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("hostdiag-trusted-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, "mode = 'repair'").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn code(path: &Path) -> Option<Code> {
        open(path).err().map(|error| error.downcast_ref::<Failure>().unwrap().code)
    }

    #[test]
    fn files_and_folders_of_the_host_are_told_apart() {
        let folder = Folder::new("kinds");
        let mut text = String::new();
        open(&folder.file("good", 0o644)).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(text, "mode = 'repair'");
        assert_eq!(code(&folder.file("loose", 0o646)), Some(Code::UnsafePolicy));
        assert_eq!(code(&folder.0), Some(Code::UnsafePolicy));
        nix::unistd::mkfifo(&folder.0.join("pipe"), Mode::S_IRUSR).unwrap();
        assert_eq!(code(&folder.0.join("pipe")), Some(Code::UnsafePolicy));
        fs::set_permissions(&folder.0, Permissions::from_mode(0o777)).unwrap();
        assert_eq!(code(&folder.0.join("good")), Some(Code::UnsafePolicy));
        fs::set_permissions(&folder.0, Permissions::from_mode(0o1777)).unwrap();
        assert_eq!(code(&folder.0.join("good")), None);
    }

    #[test]
    fn a_link_leads_to_the_folder_that_counts() {
        let (safe, loose) = (Folder::new("safe"), Folder::new("loose"));
        fs::set_permissions(&loose.0, Permissions::from_mode(0o777)).unwrap();
        symlink(loose.file("policy", 0o644), safe.0.join("link")).unwrap();
        assert_eq!(code(&safe.0.join("link")), Some(Code::UnsafePolicy));
        symlink(safe.file("policy", 0o644), loose.0.join("link")).unwrap();
        assert_eq!(code(&loose.0.join("link")), Some(Code::UnsafePolicy));
        symlink(safe.0.join("policy"), safe.0.join("inside")).unwrap();
        assert_eq!(code(&safe.0.join("inside")), None);
    }

    #[test]
    fn what_is_not_there_is_an_error_of_the_system() {
        let folder = Folder::new("absent");
        let error = open(&folder.0.join("none")).unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
        let error = open(&folder.0.join("none/none")).unwrap_err();
        assert_eq!(error.downcast_ref::<io::Error>().unwrap().kind(), io::ErrorKind::NotFound);
    }
}
