//! A process that calls getpgid along paths that are known, tests/lab/stacks.c.
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};

use hostdiag_model::stacks::{Frame, Part, StackCounts, StackKey, Symbol};
use hostdiag_model::trace::Payload;

use super::trace::Traced;

const PROGRAM: &str = "/lib/hostdiag/stacks";

/// The process; it waits until it is told to go on.
pub(crate) struct Paths {
    child: Child,
    input: Option<ChildStdin>,
}

impl Paths {
    pub(crate) fn new(args: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let input = child.stdin.take();
        Self { child, input }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes all its calls; it lives on.
    pub(crate) fn run(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        BufReader::new(self.child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "done\n");
    }

    /// Waits until it has ended.
    pub(crate) fn end(mut self) {
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Paths {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A stack as it was counted: names of frames, the innermost first; a frame
/// without a name by the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counted {
    pub(crate) kernel: Option<Vec<String>>,
    pub(crate) user: Option<Vec<String>>,
    pub(crate) gaps: Vec<String>,
    pub(crate) key: StackKey,
    pub(crate) count: u64,
}

impl Traced {
    /// Everything that was counted, in all windows.
    #[track_caller]
    pub(crate) fn stacks(&self) -> Vec<Counted> {
        let windows = self.trace().windows.by_interval(None);
        let Some(Payload::Stacks(counts)) = windows.first().map(|window| &window.payload) else {
            panic!("no stacks: {}", self.said)
        };
        self.named(counts)
    }

    /// Counts of its stacks, with their names.
    pub(crate) fn named(&self, counts: &StackCounts) -> Vec<Counted> {
        let trace = self.trace();
        let names = |part: &Option<Part>| {
            part.as_ref().map(|part| trace.stacks.frames(part).map(name).collect::<Vec<_>>())
        };
        let counted = counts.iter().map(|(key, count)| {
            let stack = trace.stacks.stack(key.stack).unwrap();
            let gaps = stack.kernel.iter().chain(&stack.user).filter_map(|part| part.gap.as_deref());
            Counted {
                kernel: names(&stack.kernel),
                user: names(&stack.user),
                gaps: gaps.map(String::from).collect(),
                key: key.clone(),
                count,
            }
        });
        counted.collect()
    }
}

fn name(frame: &Frame) -> String {
    match &frame.symbol {
        Symbol::Name(name) => name.to_string(),
        Symbol::Unknown(reason) => format!("[{reason}]"),
    }
}
