//! A process that spends and waits time in functions that are known,
//! tests/lab/profiled.c.
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;

/// Where guests have it.
const PROGRAM: &str = "/lib/hostdiag/profiled";

/// The process; it waits until it is told to go on.
pub(crate) struct Profiled {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<std::process::ChildStdout>,
}

impl Profiled {
    pub(crate) fn new(args: &[&str]) -> Self {
        let mut child =
            Command::new(program()).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, output }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Tells it to go on.
    pub(crate) fn go(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    /// The line that it prints.
    #[track_caller]
    pub(crate) fn said(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// The numbers that it prints when it is done.
    #[track_caller]
    pub(crate) fn run(&mut self) -> Vec<u64> {
        self.go();
        self.said().split(' ').map(|number| number.parse().unwrap()).collect()
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Profiled {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program; outside of a guest it is compiled first.
fn program() -> &'static Path {
    static COMPILED: OnceLock<PathBuf> = OnceLock::new();
    if Path::new(PROGRAM).exists() {
        return Path::new(PROGRAM);
    }
    COMPILED.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lab/profiled.c");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(std::process::id().to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let program = folder.join("profiled");
        let mut gcc = Command::new("gcc");
        gcc.args(["-O0", "-fno-omit-frame-pointer", "-Wall", "-static", "-o"]);
        assert!(gcc.arg(&program).arg(source).status().unwrap().success());
        program
    })
}
