//! Records a host: tools at the same time, each through the code of its command, that
//! begin together and end together.

use std::io::{PipeReader, PipeWriter};
use std::os::fd::AsFd;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hostdiag_model::Recording;

pub use self::plan::{Order, Plan, Tool, Tools};
use crate::snapshot;
use crate::stop::{Stop, Woken};

pub mod busiest;
pub mod plan;
mod tools;

/// Functions that are traced at most: so many are attached one by one on every kernel.
pub const FUNCTIONS: usize = 8;
/// How long a step waits at a time before it asks what is to be done.
const BEAT: Duration = Duration::from_millis(50);
/// Longest wait for who says when to begin.
const PATIENCE: Duration = Duration::from_secs(120);

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Nothing else.
    GoOn,
    /// To begin to count, at this time.
    Begin(Instant),
    /// To end with what there is.
    End,
}

/// Who has a step run.
pub trait Control {
    /// All tools are attached, or have failed.
    ///
    /// # Errors
    /// Nobody is there any more; the step ends, as with all that follow.
    fn ready(&mut self) -> Result<()>;
    /// Waits for as long; what is to be done then.
    ///
    /// # Errors
    /// See [`Self::ready`].
    fn next(&mut self, wait: Duration) -> Result<Next>;
    /// A tool has ended.
    ///
    /// # Errors
    /// See [`Self::ready`].
    fn part(&mut self, tool: Tool, part: Result<Recording>) -> Result<()>;
}

/// Runs the tools of a step. What a tool counts begins when `control` says so, and ends
/// after its time or when `control` says so.
///
/// # Errors
/// Those of `control`; a tool that fails is a part.
pub fn step(order: &Order, control: &mut dyn Control) -> Result<()> {
    let (stop, end) = Stop::on_drop()?;
    let (gate, open) = std::io::pipe().context("failed to open a pipe")?;
    let line = Line { stop, gate, begin: Mutex::new(None) };
    let (said, heard) = mpsc::channel();
    // Before there are programs of ours among what is loaded, and not while the host is measured.
    let mut begun = order.tools.contains(&Tool::Snapshot).then(snapshot::begin);
    std::thread::scope(|scope| {
        for tool in &order.tools {
            let (line, said) = (&line, said.clone());
            let begun = if *tool == Tool::Snapshot { begun.take() } else { None };
            scope.spawn(move || {
                let place = Place { tool: *tool, line, said: &said };
                let part = tools::run(order, &place, begun);
                // Nobody hears it any more where `control` has failed.
                let _ = said.send(Said::Ended(*tool, Box::new(part)));
            });
        }
        drop(said);
        // Dropped with what ends the tools, before they are waited for.
        let mut step = Step { line: &line, open: Some(open), end: Some(end), waiting: order.tools.clone() };
        step.attend(&heard, control)
    })
}

/// Where tools wait for their start.
struct Line {
    stop: Stop,
    /// Can be read when it is known when they begin.
    gate: PipeReader,
    begin: Mutex<Option<Instant>>,
}

/// What a tool says.
enum Said {
    Attached(Tool),
    /// Nothing was recorded where it ended before it began.
    Ended(Tool, Box<Result<Option<Recording>>>),
}

/// A tool at its start.
struct Place<'a> {
    tool: Tool,
    line: &'a Line,
    said: &'a Sender<Said>,
}

impl Place<'_> {
    /// Says that all is attached, and waits for the start; `None` where it ends before.
    fn start(&self) -> Option<&Stop> {
        let Line { stop, gate, begin } = self.line;
        self.said.send(Said::Attached(self.tool)).ok()?;
        if stop.wait_or(PATIENCE, Some(gate.as_fd())) != Woken::Ready {
            return None;
        }
        let begin = *begin.lock().unwrap_or_else(PoisonError::into_inner);
        let left = begin?.saturating_duration_since(Instant::now());
        (!stop.wait(left)).then_some(stop)
    }
}

/// A step under way, seen by who has it run.
struct Step<'a> {
    line: &'a Line,
    /// Dropped to have the tools begin.
    open: Option<PipeWriter>,
    /// Dropped to have them end.
    end: Option<PipeWriter>,
    /// Tools that are not attached yet.
    waiting: Vec<Tool>,
}

impl Step<'_> {
    fn attend(&mut self, heard: &Receiver<Said>, control: &mut dyn Control) -> Result<()> {
        loop {
            match heard.try_recv() {
                Ok(Said::Attached(tool)) => self.no_longer(tool, control)?,
                Ok(Said::Ended(tool, part)) => {
                    self.no_longer(tool, control)?;
                    if let Some(part) = part.transpose() {
                        control.part(tool, part)?;
                    }
                }
                Err(TryRecvError::Empty) => {
                    let next = control.next(BEAT)?;
                    self.obey(next);
                }
                Err(TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }

    /// A tool is attached, or will never be.
    fn no_longer(&mut self, tool: Tool, control: &mut dyn Control) -> Result<()> {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| *waiting != tool);
        if before > 0 && self.waiting.is_empty() { control.ready() } else { Ok(()) }
    }

    fn obey(&mut self, next: Next) {
        match next {
            Next::GoOn => {}
            Next::Begin(at) => {
                *self.line.begin.lock().unwrap_or_else(PoisonError::into_inner) = Some(at);
                self.open = None;
            }
            Next::End => self.end = None,
        }
    }
}
