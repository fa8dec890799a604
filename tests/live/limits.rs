//! What happens to a trace when what is around it goes away: the program of a
//! process, the terminal; and what is beyond the room there is.
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use hostdiag_model::trace::{Ended, Gone, Group};
use hostdiag_model::{Data, Recording};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::openpty;
use nix::sys::signal::{Signal, kill};
use nix::unistd::gettid;

use crate::lab::latency::record;
use crate::lab::{Counted, Traced, Tracing, call_getpgid, hostdiag, private_tracefs, programs, wait_until};

/// What the shell's `times` does.
const TIMES: &str = "t:syscalls:sys_enter_times";
const GETPGID: &str = "t:syscalls:sys_enter_getpgid";

/// A folder of a test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("hostdiag-{name}-{}", gettid()));
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A shell that goes on a step at a time.
struct Shell(Child);

impl Shell {
    fn new(script: &str) -> Self {
        let mut command = Command::new("dash");
        let command = command.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }

    /// Lets it do what comes up to its next `echo done`.
    fn step(&mut self) {
        self.0.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        let mut lines = BufReader::new(self.0.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "done"));
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A copy of the shell is another program, with the same library.
#[test]
fn limits_a_process_that_begins_another_program_is_counted_on() {
    private_tracefs();
    let folder = Folder::new("exec");
    let other = folder.file("other");
    let which = Command::new("sh").args(["-c", "command -v dash"]).output().unwrap();
    fs::copy(String::from_utf8(which.stdout).unwrap().trim(), &other).unwrap();
    let again = "times; times; echo done; read go";
    for pattern in [TIMES, "c:times"] {
        let same = format!("read go; times; times; times; exec dash -c '{again}'");
        let another = format!("read go; times; times; times; exec {other} -c '{again}'");
        for (script, replaced) in [(same, false), (another, true)] {
            let mut shell = Shell::new(&script);
            // Loaded, or the library is not known by its name.
            wait_until("it reads", || fs::read_to_string(format!("/proc/{}/wchan", shell.pid())).is_ok());
            let pid = shell.pid();
            let libc = || fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().contains("libc");
            wait_until("it has loaded libc", libc);
            let tracing = Tracing::start(&["funccount", "--format", "json", "-p", &pid, pattern]);
            shell.step();
            let traced = tracing.record();
            let functions: Vec<String> =
                traced.trace().head.functions().map(|function| function.name.clone()).collect();
            let calls: u64 = functions.iter().map(|name| traced.calls(name)).sum();
            assert_eq!((calls, traced.status), (5, Some(0)), "{pattern}: {}", traced.said);
            let gone = if replaced { vec![Gone::Program(shell.0.id())] } else { vec![] };
            assert_eq!(traced.accounting().gone, gone);
            assert_eq!(traced.said.contains("began another program meanwhile"), replaced, "{}", traced.said);
        }
    }
}

#[inline(never)]
fn function_until_hangup(number: u64) -> u64 {
    std::hint::black_box(number)
}

/// Runs it on a terminal of its own, which is closed once it has traced `work`;
/// its status.
fn on_terminal(args: &[&str], work: impl FnOnce()) -> Option<i32> {
    let pty = openpty(None, None).unwrap();
    // Or the tool holds its own terminal open.
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).unwrap();
    }
    let mut command = Command::new("setsid");
    command.arg("-c").arg(hostdiag().get_program()).args(args).stdin(pty.slave.try_clone().unwrap());
    command.stdout(pty.slave.try_clone().unwrap()).stderr(pty.slave);
    let mut child = command.spawn().unwrap();
    // It has copies of the terminal's end.
    drop(command);
    let mut terminal = File::from(pty.master);
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !String::from_utf8_lossy(&said).contains("Tracing ") {
        terminal.read_exact(&mut byte).unwrap();
        said.push(byte[0]);
    }
    work();
    drop(terminal);
    child.wait().unwrap().code()
}

/// The terminal is closed: nobody reads what is printed, but what is kept is whole.
#[test]
fn limits_a_closed_terminal_ends_a_run_that_is_kept() {
    private_tracefs();
    let folder = Folder::new("hangup");
    let (file, thread, before) = (folder.file("kept.hd"), gettid().to_string(), programs());
    let function = format!("{}:*function_until_hangup*", std::env::current_exe().unwrap().display());
    let ended = |tool: &str, pattern: &str, more: &[&str], work: &dyn Fn()| {
        let args = [&[tool, "--tid", &thread, "--output", &file, pattern], more].concat();
        assert_eq!(on_terminal(&args, work), Some(0), "{args:?}");
        let recording = Recording::read(&mut &fs::read(&file).unwrap()[..]).unwrap();
        assert!(recording.elapsed_ms.is_some(), "{args:?}");
        let Data::Trace(trace) = recording.data else { panic!("no trace") };
        assert_eq!(trace.accounting.as_ref().unwrap().ended, Ended::Signal);
        assert_eq!(trace.windows.iter().map(|window| window.payload.events()).sum::<u64>(), 1009, "{args:?}");
        wait_until("nothing is attached", || programs().is_subset(&before));
        fs::remove_file(&file).unwrap();
    };
    let call = || (0..1009).for_each(|number| assert_eq!(function_until_hangup(number), number));
    ended("funccount", GETPGID, &[], &|| call_getpgid(1009));
    ended("funccount", GETPGID, &["-i", "50ms"], &|| call_getpgid(1009));
    ended("funccount", GETPGID, &["--format", "json"], &|| call_getpgid(1009));
    ended("stackcount", GETPGID, &[], &|| call_getpgid(1009));
    ended("funclatency", &function, &[], &call);
}

/// As nohup(1) has it.
#[test]
fn limits_a_hangup_that_is_ignored_ends_nothing() {
    private_tracefs();
    let mut command = Command::new("sh");
    let script = "trap '' HUP; exec \"$0\" funccount --format json --duration 500ms \"$1\"";
    let tracing = Tracing::of(command.args(["-c", script]).arg(hostdiag().get_program()).arg(GETPGID));
    kill(tracing.id(), Signal::SIGHUP).unwrap();
    let traced = Traced::of(tracing.wait());
    assert_eq!(traced.accounting().ended, Ended::Duration, "{}", traced.said);
}

/// A reader that goes away ends the run, and what is kept is whole.
#[test]
fn limits_a_reader_that_goes_away_ends_a_run_that_is_kept() {
    private_tracefs();
    let (folder, thread) = (Folder::new("reader"), gettid().to_string());
    let file = folder.file("kept.hd");
    let mut child = hostdiag();
    child.args(["funccount", "-i", "10ms", "--output", &file, "--tid", &thread, GETPGID]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    let recording = Recording::read(&mut &fs::read(&file).unwrap()[..]).unwrap();
    assert!(recording.elapsed_ms.is_some() && matches!(recording.data, Data::Trace(_)));
}

/// Tools in a PID namespace, as in a container: the process that they trace has
/// another number there than on the host, which another process has here.
#[test]
fn limits_numbers_are_those_of_the_pid_namespace() {
    private_tracefs();
    let folder = Folder::new("namespace");
    let go = folder.file("go");
    nix::unistd::mkfifo(Path::new(&go), nix::sys::stat::Mode::S_IRWXU).unwrap();
    // The shell that is traced is the second process there. It lives on while its
    // memory map is read.
    let traced_by = |tool: &[&str]| {
        let script = format!(
            "dash -c 'read go <{go}; for i in 1 2 3 4 5 6 7; do times; done >/dev/null; sleep 1' & \
             until grep -q libc /proc/$!/maps; do sleep 0.1; done; \
             exec \"$@\""
        );
        let mut command = Command::new("unshare");
        command.args(["-p", "-f", "--mount-proc", "sh", "-c", &script, "sh"]);
        let tracing = Tracing::of(command.arg(hostdiag().get_program()).args(tool));
        File::create(&go).unwrap().write_all(b"go\n").unwrap();
        let traced = Traced::of(tracing.wait());
        assert_eq!(
            (traced.status, traced.accounting().ended),
            (Some(0), Ended::Processes),
            "{}",
            traced.said
        );
        traced
    };
    let json = |tool: &'static str| [tool, "--format", "json"];
    for only in [&["-p", "2", TIMES], &["-p", "2", "c:times"], &["-p", "2,2", TIMES], &["--tid", "2", TIMES]]
    {
        let traced = traced_by(&[&json("funccount")[..], only].concat());
        let calls: u64 = traced.trace().windows.iter().map(|window| window.payload.events()).sum();
        assert_eq!(calls, 7, "{only:?}: {}", traced.said);
    }
    let traced = traced_by(&[&json("funclatency")[..], &["-p", "2", "--by", "pid", "c:times"]].concat());
    let groups: Vec<_> =
        traced.latencies().into_iter().map(|one| (one.group, one.histogram.count())).collect();
    assert_eq!(groups, [(Some(Group::Pid(2)), 7)]);
    let traced = traced_by(&[&json("stackcount")[..], &["-p", "2", "-P", TIMES]].concat());
    for Counted { key, user, .. } in traced.stacks() {
        assert_eq!(key.pid, Some(2));
        assert!(user.as_ref().is_some_and(|user| user[0].contains("times")), "{user:?}");
    }
}

#[inline(never)]
fn function_of_many_names(number: u64) -> u64 {
    std::hint::black_box(number)
}

/// What takes long where it is emulated: in guests it runs at length.
mod long {
    use super::*;

    /// More command names than there are groups: what has none of its own is counted
    /// all the same, and said.
    #[test]
    fn limits_more_groups_than_there_is_room_for() {
        const NAMES: u64 = 1500;
        let function = format!("{}:*function_of_many_names*", std::env::current_exe().unwrap().display());
        let thread = gettid().to_string();
        let before = fs::read_to_string("/proc/thread-self/comm").unwrap();
        let traced = record(&["--tid", &thread, "--by", "comm", &function], || {
            for number in 0..NAMES {
                fs::write("/proc/thread-self/comm", format!("limits-{number}")).unwrap();
                assert_eq!(function_of_many_names(number), number);
            }
        });
        fs::write("/proc/thread-self/comm", before.trim_end()).unwrap();
        let room = u64::from(traced.trace().head.storage.unwrap().histograms) - 1;
        let counts = traced.latencies().into_iter().map(|one| (one.group.unwrap(), one.histogram.count()));
        let (others, own): (Vec<_>, Vec<_>) = counts.partition(|(group, _)| *group == Group::Other);
        assert_eq!((own.len() as u64, own.iter().map(|(_, count)| count).sum::<u64>()), (room, room));
        assert_eq!(others.iter().map(|(_, count)| count).sum::<u64>(), NAMES - room);
        let said = format!("{} calls timed, but not apart: there is room for {room} groups", NAMES - room);
        assert!(traced.said.contains(&said), "{}", traced.said);
    }
}
