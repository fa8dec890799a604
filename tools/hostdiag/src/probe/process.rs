//! Processes and threads to trace: whether they are there, and whether they still are.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, MetadataExt};

use crate::fail::{Code, Failure};

/// The program of a process, as device and inode.
type Program = (u64, u64);

/// Processes or threads while they are traced.
#[derive(Debug, Default)]
pub struct Watch {
    /// Their `stat` files: a file that is open is of one process for ever, also
    /// when its number is given to another.
    files: Vec<File>,
    /// What each runs; nothing where that is not shown.
    programs: Vec<(u32, Option<Program>)>,
}

impl Watch {
    /// Those of these numbers.
    ///
    /// # Errors
    /// `no-such-process` for one that is not there.
    pub fn of(ids: &[u32]) -> Result<Self, Failure> {
        let open = |id: &u32| {
            File::open(format!("/proc/{id}/stat")).map_err(|_| {
                Failure::new(Code::NoSuchProcess, format!("there is no process or thread {id}"))
                    .hint("ps -eLo pid,tid,comm lists them")
            })
        };
        Ok(Self {
            files: ids.iter().map(open).collect::<Result<_, _>>()?,
            programs: ids.iter().map(|id| (*id, program(*id))).collect(),
        })
    }

    /// Whether some were asked for and none of them runs any more.
    pub fn all_gone(&self) -> bool {
        !self.files.is_empty() && !self.files.iter().any(runs)
    }

    /// Those that run another program than at first.
    pub fn replaced(&self) -> impl Iterator<Item = u32> {
        let changed = |(file, (id, before)): (&File, &(u32, Option<Program>))| {
            let now = program(*id);
            // Asked last, so that it was this process whose program was looked at.
            (before.is_some() && now.is_some() && now != *before && runs(file)).then_some(*id)
        };
        self.files.iter().zip(&self.programs).filter_map(changed)
    }
}

fn program(id: u32) -> Option<Program> {
    fs::metadata(format!("/proc/{id}/exe")).ok().map(|file| (file.dev(), file.ino()))
}

/// A process that has ended is gone, or a zombie until its parent asks for it
/// (proc_pid_stat(5)).
fn runs(stat: &File) -> bool {
    let mut bytes = [0; 512];
    let Ok(length) = stat.read_at(&mut bytes, 0) else { return false };
    let text = String::from_utf8_lossy(&bytes[..length]);
    // The name before it may hold anything, also parentheses.
    let state = text.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z' && state != 'X')
}

/// The PID namespace whose numbers /proc shows, by its inode; 0 for the host's,
/// which has the same inode on every host (PROC_PID_INIT_INO, include/linux/proc_ns.h).
pub fn pid_namespace() -> u32 {
    const OF_HOST: u32 = 0xeffffffc;
    // Its first process is of no other. Without the right to look there, /proc is
    // taken to be that of this process, as it is in every container.
    let inode = |id: &str| Some(fs::metadata(format!("/proc/{id}/ns/pid")).ok()?.ino());
    let inode = inode("1").or_else(|| inode("self")).and_then(|inode| u32::try_from(inode).ok());
    inode.filter(|inode| *inode != OF_HOST).unwrap_or(0)
}

/// Whether the kernel takes numbers of this process as /proc shows them: not where
/// /proc is that of another PID namespace.
pub fn proc_is_ours() -> bool {
    let shown = fs::read_link("/proc/self").ok();
    shown.is_some_and(|shown| shown.as_os_str().to_str() == Some(&std::process::id().to_string()))
}

/// The number of a process or thread in the PID namespace of /proc: as given where
/// there is one of that number here, else that of the only process with this number
/// in a container.
///
/// # Errors
/// `no-such-process` where there is none, or more than one.
pub fn host_pid(id: u32) -> Result<u32, Failure> {
    if fs::exists(format!("/proc/{id}")).unwrap_or(false) {
        return Ok(id);
    }
    let folders = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut inside: Vec<u32> = folders
        .filter_map(|folder| {
            let status = fs::read_to_string(folder.path().join("status")).ok()?;
            (innermost(&status)? == id).then(|| folder.file_name().to_str()?.parse().ok())?
        })
        .collect();
    inside.sort_unstable();
    match inside.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(Code::NoSuchProcess, format!("there is no process or thread {id}"))
            .hint("ps -eLo pid,tid,comm lists them")),
        many => {
            let many: Vec<String> = many.iter().map(u32::to_string).collect();
            let message = format!("{id} is the number of a process in {} containers", many.len());
            Err(Failure::new(Code::NoSuchProcess, message)
                .hint(format!("give its number on the host, one of {}", many.join(", "))))
        }
    }
}

/// The number in the innermost PID namespace, where it is not the host's own
/// (`NSpid` of /proc/PID/status).
fn innermost(status: &str) -> Option<u32> {
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    let numbers: Vec<&str> = line.split_whitespace().collect();
    if numbers.len() < 2 { None } else { numbers.last()?.parse().ok() }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_watched_until_it_ends() {
        let mut child = Command::new("sleep").arg("60").spawn().unwrap();
        let watch = Watch::of(&[child.id()]).unwrap();
        assert!(!watch.all_gone());
        child.kill().unwrap();
        // A zombie runs no more.
        while !watch.all_gone() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        assert!(watch.all_gone());
        assert_eq!(Watch::of(&[child.id()]).unwrap_err().code, Code::NoSuchProcess);
        assert!(!Watch::of(&[]).unwrap().all_gone());
    }

    #[test]
    fn a_process_that_begins_another_program_is_told() {
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", "read go; exec sleep 60"]).stdin(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let watch = Watch::of(&[child.id()]).unwrap();
        assert_eq!(watch.replaced().count(), 0);
        child.stdin.take().unwrap().write_all(b"go\n").unwrap();
        while watch.replaced().next().is_none() {
            std::thread::yield_now();
        }
        assert_eq!(watch.replaced().collect::<Vec<_>>(), [child.id()]);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(watch.replaced().count(), 0);
    }

    #[test]
    fn numbers_in_a_container_are_the_last() {
        assert_eq!(innermost("Name:\tx\nNSpid:\t4711\t12\n"), Some(12));
        assert_eq!(innermost("NSpid:\t4711\n"), None);
        assert_eq!(host_pid(std::process::id()).unwrap(), std::process::id());
        assert!(host_pid(u32::MAX).is_err());
    }
}
