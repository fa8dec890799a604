//! Names of addresses in this kernel and in real processes.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio, id};
use std::thread;

use hostdiag::kernel::facts::Kallsyms;
use hostdiag::probe::user::{Function, Target, Wanted, find};
use hostdiag::process::{Mapping, maps};
use hostdiag::symbol::{Address, Program, Symbol, Symbols, Unknown};
use nix::sys::personality::{self, Persona};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::lab::wait_until;

/// A process that waits for input, which never comes.
struct Waiting(Child);

impl Waiting {
    /// The shell, whose libc is a shared one. Once it reads, it runs `then`.
    fn shell(then: &str) -> Self {
        Self::start(Command::new("dash").args(["-c", &format!("read line; {then}")]), "libc.so.6")
    }

    /// `command`, waited for until `file` is mapped.
    fn start(command: &mut Command, file: &str) -> Self {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let waiting = Self(child.unwrap());
        wait_until("the program runs", || waiting.code(file).is_some());
        waiting
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    /// The executable part of a mapped file.
    fn code(&self, file: &str) -> Option<Mapping> {
        let maps = maps(self.pid()).unwrap_or_default();
        maps.into_iter().find(|mapping| mapping.executable && mapping.name.to_str().unwrap().ends_with(file))
    }

    /// The functions of a file of the process; empty for the program itself.
    #[track_caller]
    fn functions(&self, file: &str, is_wanted: &dyn Fn(&str) -> bool) -> Target {
        find(&Wanted { file, pattern: "", is_wanted, pid: Some(self.pid()) }).unwrap()
    }

    /// Where the process has a function of libc.
    fn libc(&self, name: &str) -> Address {
        let target = self.functions("c", &|function| function == name);
        Address::At(address(&self.code("libc.so.6").unwrap(), &target.functions[0]))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn address(code: &Mapping, function: &Function) -> u64 {
    function.offset - code.offset + code.start
}

fn function(symbol: &Symbol) -> &str {
    symbol.name.as_ref().map_or_else(|unknown| unknown.as_str(), |name| &name.function)
}

fn unknown(symbols: &[Symbol]) -> Unknown {
    *symbols[0].name.as_ref().unwrap_err()
}

/// May look at processes of more privilege, and nothing else.
const LOOK: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// Runs `work` in a thread that has no other capability.
fn with<T: Send>(capabilities: CapabilitySet, work: impl FnOnce() -> T + Send) -> T {
    let inheritable = CapabilitySet::empty();
    let sets = CapabilitySets { effective: capabilities, permitted: capabilities, inheritable };
    let thread = || {
        set_capabilities(None, sets).unwrap();
        work()
    };
    thread::scope(|scope| scope.spawn(thread).join().unwrap())
}

/// A folder that takes itself away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("hostdiag-symbol-{name}-{}", id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    /// A copy of this very program: it is static and, unlike a release, has its
    /// symbols. With what [`waits`] adds it waits for input.
    fn program(&self) -> PathBuf {
        let copy = self.0.join("program");
        fs::copy(std::env::current_exe().unwrap(), &copy).unwrap();
        copy
    }
}

/// Says that it is the copy that waits.
const WAITS: &str = "HOSTDIAG_LAB_WAITS";

/// Has a copy of this program wait for input.
fn waits(command: &mut Command) -> &mut Command {
    let (_, module) = module_path!().split_once("::").unwrap();
    let test = format!("{module}::lab_reads_what_comes");
    command.args(["--exact", &test, "--nocapture"]).env(WAITS, "")
}

/// What a copy of this program does for the tests below.
#[test]
fn lab_reads_what_comes() {
    if std::env::var_os(WAITS).is_some() {
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn functions_of_the_kernel_are_named_with_their_module() {
    let text = fs::read_to_string("/proc/kallsyms").unwrap();
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let value = |line: &[&str]| u64::from_str_radix(line[0], 16).unwrap();
    let end = value(lines.iter().find(|line| line[2] == "_etext").unwrap());
    let code = |line: &&Vec<&str>| "tTwW".contains(line[1]) && (line.len() > 3 || value(line) < end);
    let code: Vec<&Vec<&str>> = lines.iter().filter(code).collect();
    assert!(code.len() > 10_000, "{} functions", code.len());
    let addresses: Vec<Address> = code.iter().map(|line| Address::At(value(line))).collect();
    let mut symbols = Symbols::new();
    let mut same = std::collections::HashMap::<u64, Vec<&str>>::new();
    for line in &code {
        same.entry(value(line)).or_default().push(line[2]);
    }
    let named = symbols.kernel(&addresses);
    // BPF programs of others come and go.
    let after = fs::read_to_string("/proc/kallsyms").unwrap();
    let after: HashSet<Vec<&str>> = after.lines().map(|line| line.split_whitespace().collect()).collect();
    for (line, symbol) in code.iter().zip(named).filter(|(line, _)| after.contains(**line)) {
        assert!(same[&value(line)].contains(&function(&symbol)), "{line:?}: {symbol:?}");
        assert_eq!(symbol.name.unwrap().offset, Some(0));
        let module = line.get(3).map(|module| module.trim_matches(['[', ']']));
        assert_eq!(symbol.module.as_deref(), module, "{line:?}");
    }
    let outside = symbols.kernel(&[Address::At(end), Address::At(u64::MAX), Address::At(0x1000)]);
    assert!(outside.iter().all(|symbol| symbol.name == Err(Unknown::NotCovered)), "{outside:?}");
}

/// In a process of its own: what one thread has read of the kernel's names, others have too.
#[test]
fn hidden_kernel_addresses_are_said_to_be_hidden() {
    const ALONE: &str = "HOSTDIAG_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = format!("{module}::hidden_kernel_addresses_are_said_to_be_hidden");
        let mut alone = Command::new(std::env::current_exe().unwrap());
        let output = alone.args(["--exact", "--nocapture", &name]).env(ALONE, "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(" 1 passed"), "{said}");
        return;
    }
    let sysctl = |name: &str| {
        let text = fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap();
        text.trim().parse::<i32>().unwrap()
    };
    // kallsyms_show_value(), kernel/ksyms_common.c.
    let shown = sysctl("kptr_restrict") == 0 && sysctl("perf_event_paranoid") <= 1;
    let (state, symbol) = with(CapabilitySet::empty(), || {
        let mut symbols = Symbols::new();
        (symbols.table().state(), symbols.kernel(&[Address::At(u64::MAX)]))
    });
    assert_eq!(state, if shown { Kallsyms::Shown } else { Kallsyms::Hidden });
    assert_eq!(unknown(&symbol), if shown { Unknown::NotCovered } else { Unknown::AddressesHidden });
    assert_eq!(Symbols::new().table().state(), Kallsyms::Shown, "root sees them");
}

#[test]
fn a_process_that_was_seen_may_end() {
    let mut shell = Waiting::shell("");
    let pid = shell.pid();
    let read = [shell.libc("read"), Address::At(0x10)];
    let mut symbols = Symbols::new();
    let runs = Program::running(pid);
    symbols.hold(runs, None);
    shell.0.kill().unwrap();
    // It has ended, but nobody has waited for it.
    wait_until("it has ended", || maps(pid).unwrap().is_empty());
    assert_eq!(unknown(&Symbols::new().user(runs, &read)), Unknown::ProcessEnded);
    shell.0.wait().unwrap();
    assert_eq!(unknown(&Symbols::new().user(runs, &read)), Unknown::ProcessEnded);
    let named = symbols.user(runs, &read);
    assert!(function(&named[0]).contains("read"), "{named:?}");
    assert_eq!(unknown(&named[1..]), Unknown::NotExecutable);
}

#[test]
fn a_process_may_run_another_program() {
    let mut shell = Waiting::shell("exec dash -c 'read line'");
    let before = shell.libc("read");
    let base = shell.code("libc.so.6").unwrap().start;
    let mut symbols = Symbols::new();
    let first = Program::running(shell.pid());
    symbols.hold(first, None);
    shell.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    wait_until("it runs", || shell.code("libc.so.6").is_some_and(|code| code.start != base));
    let after = shell.libc("read");
    let second = Program::running(shell.pid());
    let named = [symbols.user(first, &[before]), symbols.user(second, &[after])].concat();
    assert!(named.iter().all(|symbol| function(symbol).contains("read")), "{named:?}");
    assert_eq!(unknown(&Symbols::new().user(first, &[before])), Unknown::OtherProgram);
}

#[test]
fn a_deleted_program_is_read_as_long_as_it_runs() {
    let folder = Folder::new("deleted");
    let program = folder.program();
    let process = Waiting::start(waits(&mut Command::new(&program)), "/program");
    let code = process.code("/program").unwrap();
    fs::remove_file(&program).unwrap();
    let target = process.functions("", &|name| name == "main");
    let main = [Address::At(address(&code, &target.functions[0]))];
    assert!(File::open(target.attach_path()).is_ok(), "what is to be probed can be opened");
    let (runs, mut symbols) = (Program::running(process.pid()), Symbols::new());
    assert_eq!(unknown(&with(LOOK, || Symbols::new().user(runs, &main))), Unknown::FileDeleted);
    let named = symbols.user(runs, &main);
    assert_eq!((function(&named[0]), named[0].module.as_deref()), ("main", program.to_str()));
    drop(process);
    assert_eq!(symbols.user(runs, &main), named);
}

#[test]
fn a_file_in_the_place_of_another_is_not_taken_for_it() {
    let folder = Folder::new("replaced");
    let program = folder.program();
    let process = Waiting::start(waits(&mut Command::new(&program)), "/program");
    let target = process.functions("", &|name| name == "main");
    let main = [Address::At(address(&process.code("/program").unwrap(), &target.functions[0]))];
    let runs = Program::running(process.pid());
    assert_eq!(function(&with(LOOK, || Symbols::new().user(runs, &main))[0]), "main");
    fs::remove_file(&program).unwrap();
    folder.program();
    assert_eq!(unknown(&with(LOOK, || Symbols::new().user(runs, &main))), Unknown::FileDeleted);
}

#[test]
fn a_process_with_another_root_has_its_own_files() {
    let folder = Folder::new("root");
    folder.program();
    symlink("/program", folder.0.join("link")).unwrap();
    let mut command = Command::new("chroot");
    let process = Waiting::start(waits(command.arg(&folder.0).arg("/program")), "/program");
    // By a link which outside leads nowhere.
    let target = process.functions("/link", &|name| name == "main");
    assert_eq!(target.path, Path::new("/link"));
    let main = [Address::At(address(&process.code("/program").unwrap(), &target.functions[0]))];
    let runs = Program::running(process.pid());
    assert_eq!(function(&Symbols::new().user(runs, &main)[0]), "main");
    assert_eq!(function(&with(LOOK, || Symbols::new().user(runs, &main))[0]), "main");
}

#[test]
fn a_process_of_another_user_is_not_permitted() {
    let mut command = Command::new("dash");
    let shell = Waiting::start(command.args(["-c", "read line"]).uid(65534), "libc.so.6");
    let runs = Program::running(shell.pid());
    let read = [shell.libc("read")];
    assert_eq!(
        unknown(&with(CapabilitySet::empty(), || Symbols::new().user(runs, &read))),
        Unknown::NotPermitted
    );
    assert!(function(&Symbols::new().user(runs, &read)[0]).contains("read"));
}

#[test]
fn functions_of_the_vdso_are_named() {
    let shell = Waiting::shell("");
    let vdso = shell.code("[vdso]").unwrap();
    let addresses: Vec<Address> = (vdso.start..vdso.end).step_by(16).map(Address::At).collect();
    let symbols = Symbols::new().user(Program::running(shell.pid()), &addresses);
    assert!(symbols.iter().any(|symbol| function(symbol).contains("clock_gettime")), "{symbols:?}");
    assert!(symbols.iter().all(|symbol| symbol.module.as_deref() == Some("[vdso]")));
}

/// One test, because a process has one perf map.
#[test]
fn a_perf_map_is_read_only_if_it_is_the_users_own() {
    // Memory that is mapped now can be executed, as a compiler's is. So large a
    // piece is always mapped.
    personality::set(Persona::READ_IMPLIES_EXEC).unwrap();
    let memory: Vec<u8> = Vec::with_capacity(64 << 20);
    personality::set(Persona::empty()).unwrap();
    let code = memory.as_ptr() as u64;
    let path = PathBuf::from(format!("/tmp/perf-{}.map", id()));
    let mut symbols = Symbols::new();
    let mut ask =
        || symbols.user(Program::running(id()), &[Address::At(code + 0x14), Address::At(code + 0x40)]);
    assert_eq!(unknown(&ask()), Unknown::NoPerfMap);
    fs::write(&path, format!("{code:x} 20 compiled one\n")).unwrap();
    let named = ask();
    assert_eq!((function(&named[0]), named[0].name.as_ref().unwrap().offset), ("compiled one", Some(0x14)));
    assert_eq!(unknown(&named[1..]), Unknown::NotCovered);
    File::options()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(format!("{:x} 8 more\n", code + 0x40).as_bytes())
        .unwrap();
    assert_eq!(function(&ask()[1]), "more");

    let refused = || unknown(&Symbols::new().user(Program::running(id()), &[Address::At(code + 0x14)]));
    chown(&path, Some(65534), None).unwrap();
    assert_eq!(refused(), Unknown::UnsafePerfMap, "another user's");
    chown(&path, Some(0), None).unwrap();
    let real = path.with_extension("real");
    fs::rename(&path, &real).unwrap();
    symlink(&real, &path).unwrap();
    assert_eq!(refused(), Unknown::UnsafePerfMap, "a link");
    fs::remove_file(&path).unwrap();
    nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(refused(), Unknown::UnsafePerfMap, "a pipe, which is not waited for");
    fs::remove_file(&path).unwrap();
    fs::remove_file(&real).unwrap();
    assert_eq!(refused(), Unknown::NoPerfMap);
}

/// What takes long where it is emulated: in guests it runs at length.
mod long {
    use super::*;

    #[test]
    fn every_function_of_a_library_is_named() {
        let shell = Waiting::shell("");
        let code = shell.code("libc.so.6").unwrap();
        let target = shell.functions("libc", &|_| true);
        assert!(target.functions.len() > 1000, "{} functions", target.functions.len());
        let addresses: Vec<Address> =
            target.functions.iter().map(|function| Address::At(address(&code, function))).collect();
        let symbols = Symbols::new().user(Program::running(shell.pid()), &addresses);
        for (wanted, symbol) in target.functions.iter().zip(symbols) {
            assert_eq!(symbol.module.as_deref(), code.name.to_str());
            assert!(wanted.names.iter().any(|name| name == function(&symbol)), "{wanted:?}: {symbol:?}");
            assert_eq!(symbol.name.unwrap().offset, Some(0), "{wanted:?}");
        }
    }
}
