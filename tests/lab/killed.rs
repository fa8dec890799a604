//! A program killed right after a call that changes something: `kill -9` at the
//! worst moments, all of them, one after the other.
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::thread;

use hostdiag::net::features::FAMILY;
use hostdiag::net::socket::Socket;
use nix::errno::Errno;
use nix::libc::{self, user_regs_struct};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The calls that count.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Which {
    /// Features written: `SIOCETHTOOL` with `ETHTOOL_SFEATURES`, or a message
    /// `ETHTOOL_MSG_FEATURES_SET` to the netlink family `ethtool`.
    Change,
    /// A file renamed into /run/hostdiag.
    Rename,
}

/// How a program ended that was to be killed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Killed {
    /// By the signal, and nothing of it runs any more.
    AfterCall,
    /// On its own, before it made so many calls.
    Ended(ExitStatus),
}

/// Runs a program, of which arguments, environment and working folder are taken,
/// and kills it once its `nth` call (from 1, in all its threads) has succeeded.
#[track_caller]
pub(crate) fn kill_after(command: &Command, which: Which, nth: usize) -> Killed {
    assert!(nth > 0, "calls count from 1");
    // A thread of its own, which has no other children to wait for.
    thread::scope(|scope| scope.spawn(|| Traced::start(command).kill_after(which, nth)).join())
        .expect("the tracing thread died, see above")
}

struct Traced {
    leader: Pid,
}

impl Traced {
    /// A shell that stops itself until it is traced becomes the program.
    fn start(command: &Command) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", "kill -STOP $$; exec \"$0\" \"$@\""]).arg(command.get_program());
        shell.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        if let Some(folder) = command.get_current_dir() {
            shell.current_dir(folder);
        }
        let leader = Pid::from_raw(shell.spawn().unwrap().id().cast_signed());
        let stopped = waitpid(leader, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(stopped, WaitStatus::Stopped(leader, Signal::SIGSTOP));
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEEXEC
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(leader, options).unwrap();
        kill(leader, Signal::SIGCONT).unwrap();
        Traced { leader }
    }

    fn kill_after(self, which: Which, nth: usize) -> Killed {
        let mut seen = 0;
        let mut killed = false;
        loop {
            // A thread that waits in vain has all its children behind it.
            let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).unwrap();
            let (thread, signal) = match status {
                WaitStatus::Exited(thread, code) if thread == self.leader => {
                    return Killed::Ended(ExitStatus::from_raw(code << 8));
                }
                WaitStatus::Signaled(thread, Signal::SIGKILL, _) if thread == self.leader && killed => {
                    return Killed::AfterCall;
                }
                WaitStatus::Signaled(thread, signal, _) if thread == self.leader => {
                    return Killed::Ended(ExitStatus::from_raw(signal as i32));
                }
                WaitStatus::PtraceSyscall(thread) => {
                    seen += usize::from(!killed && counts(thread, which));
                    if seen == nth && !killed {
                        kill(self.leader, Signal::SIGKILL).unwrap();
                        killed = true;
                    }
                    (thread, None)
                }
                WaitStatus::PtraceEvent(thread, ..) => (thread, None),
                WaitStatus::Stopped(thread, signal) => (thread, Some(signal)),
                _ => continue,
            };
            match ptrace::syscall(thread, signal) {
                // Killed meanwhile.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("failed to let {thread} go on: {error}"),
            }
        }
    }
}

/// Whether the thread has just returned from such a call.
fn counts(thread: Pid, which: Which) -> bool {
    let returns = ptrace::syscall_info(thread).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_EXIT);
    // A thread that cannot be read was killed.
    let Some(registers) = returns.then(|| ptrace::getregs(thread).ok()).flatten() else { return false };
    // Failed calls return the negative of their error.
    let failed = registers.rax.cast_signed() < 0;
    let call = Call { thread, registers };
    !failed
        && match which {
            Which::Change => call.writes_features_by_ioctl() || call.writes_features_by_netlink(),
            Which::Rename => call.renames_into(Path::new("/run/hostdiag")),
        }
}

/// The number of the netlink family: it differs from boot to boot.
fn ethtool_family() -> u16 {
    Socket::open(libc::NETLINK_GENERIC as isize).unwrap().family(FAMILY).unwrap()
}

/// A system call of x86_64, seen when it returns: the arguments are still in
/// their registers.
struct Call {
    thread: Pid,
    registers: user_regs_struct,
}

impl Call {
    fn is(&self, number: libc::c_long) -> bool {
        self.registers.orig_rax == number.cast_unsigned()
    }

    fn proc(&self, path: &str) -> PathBuf {
        format!("/proc/{}/{path}", self.thread).into()
    }

    /// Memory of the program.
    fn read<const N: usize>(&self, address: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        File::open(self.proc("mem")).ok()?.read_exact_at(&mut bytes, address).ok()?;
        Some(bytes)
    }

    fn word(&self, address: u64) -> Option<u64> {
        self.read(address).map(u64::from_ne_bytes)
    }

    /// ioctl(fd, SIOCETHTOOL, struct ifreq *), whose pointer behind the name
    /// leads to the command word (include/uapi/linux/{if,ethtool}.h).
    fn writes_features_by_ioctl(&self) -> bool {
        const ETHTOOL_SFEATURES: u32 = 0x3b;
        self.is(libc::SYS_ioctl)
            && self.registers.rsi == libc::SIOCETHTOOL
            && self
                .word(self.registers.rdx + libc::IFNAMSIZ as u64)
                .and_then(|data| self.read(data))
                .is_some_and(|command| u32::from_ne_bytes(command) == ETHTOOL_SFEATURES)
    }

    fn writes_features_by_netlink(&self) -> bool {
        const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
        let (buffer, length) = if self.is(libc::SYS_sendto) || self.is(libc::SYS_write) {
            (Some(self.registers.rsi), self.registers.rdx)
        } else if self.is(libc::SYS_sendmsg) {
            // struct msghdr: name, its length, then the buffers, of which the
            // first holds the message: netlink programs use no more.
            let buffers = self.word(self.registers.rsi + 16);
            let length = buffers.and_then(|buffers| self.word(buffers + 8));
            (buffers.and_then(|buffers| self.word(buffers)), length.unwrap_or(0))
        } else {
            return false;
        };
        // struct nlmsghdr, whose second word begins with the type, then struct
        // genlmsghdr, which begins with the command.
        let Some(header) = buffer.filter(|_| length >= 20).and_then(|at| self.read::<20>(at)) else {
            return false;
        };
        header[16] == ETHTOOL_MSG_FEATURES_SET
            && self.is_generic_netlink(self.registers.rdi)
            && u16::from_ne_bytes([header[4], header[5]]) == ethtool_family()
    }

    /// By the list of the namespace that the thread is in:
    /// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode.
    fn is_generic_netlink(&self, descriptor: u64) -> bool {
        let Ok(socket) = fs::read_link(self.proc(&format!("fd/{descriptor}"))) else { return false };
        let list = fs::read_to_string(self.proc("net/netlink")).unwrap();
        list.lines().any(|line| {
            let columns: Vec<&str> = line.split_whitespace().collect();
            columns.get(1) == Some(&"16")
                && columns.last().is_some_and(|inode| socket == Path::new(&format!("socket:[{inode}]")))
        })
    }

    fn renames_into(&self, folder: &Path) -> bool {
        let registers = &self.registers;
        let target = if self.is(libc::SYS_rename) {
            self.path(libc::AT_FDCWD, registers.rsi)
        } else if self.is(libc::SYS_renameat) || self.is(libc::SYS_renameat2) {
            self.path(registers.rdx as i32, registers.r10)
        } else {
            None
        };
        target.is_some_and(|path| path.starts_with(folder))
    }

    /// The path that a text in the program's memory means there.
    fn path(&self, folder: i32, address: u64) -> Option<PathBuf> {
        let mut text = Vec::new();
        while !text.contains(&0) {
            // One by one: what follows the text need not be readable.
            text.extend(self.read::<1>(address + text.len() as u64)?);
        }
        text.pop();
        let folder = match folder {
            libc::AT_FDCWD => self.proc("cwd"),
            descriptor => self.proc(&format!("fd/{descriptor}")),
        };
        Some(fs::read_link(folder).ok()?.join(OsStr::from_bytes(&text)))
    }
}
