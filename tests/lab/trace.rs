//! Tracing tools run beside a workload whose calls are known to the last one.
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use hostdiag_model::histogram::Resolution;
use hostdiag_model::trace::{Accounting, Latency, Payload, Trace};
use hostdiag_model::{Data, Histogram, Recording};
use nix::fcntl::{FcntlArg, fcntl};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::hostdiag;

/// A tool that has said that it traces.
pub(crate) struct Tracing {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// All that it said up to then.
    said: String,
}

/// What a tool recorded, and how it ended.
#[derive(Debug)]
pub(crate) struct Traced {
    pub(crate) recording: Recording,
    pub(crate) status: Option<i32>,
    pub(crate) said: String,
}

impl Tracing {
    /// Runs `hostdiag` and waits until every call is counted.
    #[track_caller]
    pub(crate) fn start(args: &[&str]) -> Self {
        Self::of(hostdiag().args(args))
    }

    /// As `start`, of a command that runs it.
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut child = piped(command).spawn().unwrap();
        // Nobody reads it before the end: what it writes as it goes on is to fit.
        let stdout = child.stdout.as_ref().unwrap();
        fcntl(stdout, FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        while !["Tracing ", "Sampling ", "Timing "].iter().any(|word| said.contains(word)) {
            let length = stderr.read_line(&mut said).unwrap();
            assert!(length > 0, "{command:?} never traced:\n{said}");
        }
        Self { child, stderr, said }
    }

    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(self.child.id().cast_signed())
    }

    /// Reads what it prints until this text has come.
    #[track_caller]
    pub(crate) fn read_until(&mut self, text: &str) -> String {
        let stdout = self.child.stdout.as_mut().unwrap();
        let (mut read, mut byte) = (Vec::new(), [0]);
        while !String::from_utf8_lossy(&read).contains(text) {
            stdout.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
        String::from_utf8(read).unwrap()
    }

    /// Ctrl-C, and all that it wrote: stdout, then stderr with its status.
    pub(crate) fn interrupt(self) -> (Output, String) {
        kill(self.id(), Signal::SIGINT).unwrap();
        self.wait()
    }

    /// All that it wrote until it ended by itself.
    pub(crate) fn wait(mut self) -> (Output, String) {
        let mut stdout = Vec::new();
        self.child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        self.stderr.read_to_string(&mut self.said).unwrap();
        let status = self.child.wait().unwrap();
        (Output { status, stdout, stderr: Vec::new() }, self.said)
    }

    /// Ctrl-C, and the recording: `--format json` is among the arguments.
    #[track_caller]
    pub(crate) fn record(self) -> Traced {
        Traced::of(self.interrupt())
    }
}

impl Traced {
    #[track_caller]
    pub(crate) fn of((output, said): (Output, String)) -> Self {
        let recording = Recording::read(&mut &output.stdout[..]);
        let recording = recording.unwrap_or_else(|error| panic!("no recording: {error}\n{said}"));
        Self { recording, status: output.status.code(), said }
    }

    #[track_caller]
    pub(crate) fn trace(&self) -> &Trace {
        match &self.recording.data {
            Data::Trace(trace) => trace,
            other => panic!("{}", other.name()),
        }
    }

    /// Calls of this function, in all windows.
    #[track_caller]
    pub(crate) fn calls(&self, function: &str) -> u64 {
        let indexes: Vec<u32> = (0..)
            .zip(self.trace().head.functions())
            .filter_map(|(index, found)| (found.name == function).then_some(index))
            .collect();
        assert!(!indexes.is_empty(), "{function} was not attached: {:?}", self.trace().head);
        let windows = self.trace().windows.iter();
        let counts = windows.flat_map(|window| {
            let Payload::Counts(counts) = &window.payload else { panic!("no counts: {window:?}") };
            counts
        });
        counts.filter(|(index, _)| indexes.contains(index)).map(|(_, count)| count).sum()
    }

    /// How long calls took, in all windows: of this function alone, or of all.
    #[track_caller]
    pub(crate) fn latency(&self, function: Option<&str>) -> Histogram {
        let mut sum = Histogram::new(Resolution::FINEST);
        let functions: Vec<&str> = self.trace().head.functions().map(|found| found.name.as_str()).collect();
        for latency in self.latencies() {
            let name = latency.function.map(|index| functions[index as usize]);
            if function.is_none() || name == function {
                sum.merge(&latency.histogram);
            }
        }
        sum
    }

    /// All histograms, in all windows.
    #[track_caller]
    pub(crate) fn latencies(&self) -> Vec<Latency> {
        let windows = self.trace().windows.iter();
        windows
            .flat_map(|window| match &window.payload {
                Payload::Latency(list) => list.clone(),
                other => panic!("no durations: {other:?}"),
            })
            .collect()
    }

    /// What was counted and lost.
    #[track_caller]
    pub(crate) fn accounting(&self) -> &Accounting {
        self.trace().accounting.as_ref().unwrap_or_else(|| panic!("cut off: {}", self.said))
    }

    /// What it attached with.
    pub(crate) fn mechanisms(&self) -> Vec<&str> {
        self.trace().head.attach.iter().map(|attach| attach.mechanism.as_str()).collect()
    }
}

fn piped(command: &mut Command) -> &mut Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())
}

/// A run that ends with an error: its status and what it said.
#[track_caller]
pub(crate) fn refused_trace(args: &[&str]) -> (Option<i32>, String) {
    let output = hostdiag().args(args).stdin(Stdio::null()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// Calls getpgid exactly so often, from this thread.
pub(crate) fn call_getpgid(times: u64) {
    for _ in 0..times {
        nix::unistd::getpgid(None).unwrap();
    }
}

/// tracefs for this thread and what it starts, where the host has not mounted it.
#[track_caller]
pub(crate) fn private_tracefs() {
    const PLACE: &str = "/sys/kernel/tracing";
    if std::path::Path::new(PLACE).join("events").exists() {
        return;
    }
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    mount(Some("tracefs"), PLACE, Some("tracefs"), MsFlags::empty(), none).unwrap();
}

/// The BPF programs of `hostdiag` that are loaded, by their ids. The kernel lets go of those of
/// a run that is over a moment later, which may be while the next one is under way.
pub(crate) fn programs() -> BTreeSet<u32> {
    let all = aya::programs::loaded_programs().filter_map(Result::ok);
    all.filter(|program| program.name_as_str() == Some("hostdiag")).map(|program| program.id()).collect()
}

/// Whether the kernel's types have this name.
pub(crate) fn btf(name: &str) -> bool {
    let btf = std::fs::read("/sys/kernel/btf/vmlinux").unwrap();
    String::from_utf8_lossy(&btf).contains(&format!("\0{name}\0"))
}

/// What `--attach` takes here for entries of functions, and what comes of it.
pub(crate) fn ways() -> Vec<(&'static str, &'static str)> {
    let mut ways = vec![("auto", "fentry"), ("fentry", "fentry"), ("kprobe", "kprobe")];
    if btf("bpf_kprobe_multi_link") {
        ways.push(("multi", "kprobe.multi"));
    }
    ways
}

/// How functions of programs are attached to here, with `--attach` and without it.
pub(crate) fn user_ways() -> Vec<(&'static [&'static str], &'static str)> {
    let many = if btf("bpf_uprobe_multi_link") { "uprobe.multi" } else { "uprobe" };
    vec![(&[], many), (&["--attach", "kprobe"], "uprobe")]
}
