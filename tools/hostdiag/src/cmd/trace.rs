//! What the tracing tools have in common: their options, and a run from patterns
//! to a recording.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use hostdiag_model::trace::{Asked, Filter, Head, Trace, Window};
use hostdiag_model::{Data, Recording};
use hostdiag_report::trace::{self as render, list, words};

use self::keep::Keep;
use crate::fail::Status;
use crate::offload::from;
use crate::output::{self, Look};
use crate::probe::attach::Attached;
use crate::probe::modules::Modules;
use crate::probe::process::Watch;
use crate::probe::run::{self, Cost, Step, Tool};
use crate::probe::targets::Targets;
use crate::stop::Stop;
use crate::sys;

mod args;
mod keep;

pub use args::{Format, RunArgs, TraceArgs};
pub(in crate::cmd) use args::{positive, with_svg};

/// A run under way: the recording as far as it goes, and where it is printed.
pub struct Session<'a> {
    args: &'a RunArgs,
    recording: Recording,
    clock: Instant,
    /// The windows since the last block was printed.
    open: Option<Window>,
    /// Why nothing can be printed any more: the reader or the terminal went away.
    unread: Option<io::Error>,
    /// The recording in its file.
    file: Keep,
    /// The recording on stdout.
    stdout: Keep,
}

impl<'a> Session<'a> {
    /// Begins one.
    pub fn new(args: &'a RunArgs, command: &str) -> Self {
        let recording = crate::host::recording(command, Data::Trace(Box::default()));
        let (clock, file, stdout) = (Instant::now(), Keep::default(), Keep::default());
        Self { args, recording, clock, open: None, unread: None, file, stdout }
    }

    /// What was asked for, as the recording keeps it, as far as it is the same with
    /// every tool; `patterns` are empty where a tool takes none.
    pub fn asked(&self, patterns: &[String], filter: &Filter) -> Asked {
        Asked {
            patterns: patterns.to_vec(),
            interval_ms: self.args.interval.map(|interval| interval.as_millis() as u64),
            timestamp: self.args.timestamp,
            top: self.args.top,
            utc_offset_s: sys::utc_offset(i64::try_from(self.recording.started_ms / 1000).unwrap_or(0)),
            filter: filter.clone(),
            ..Asked::default()
        }
    }

    /// `--list`: shows what would be attached.
    pub fn list(mut self, targets: &Targets, asked: Asked, look: Look) -> Result<Status> {
        let skipped = targets.skipped.clone();
        let head = Head { asked, attach: targets.planned(), skipped, storage: None };
        if self.args.format == Format::Json {
            *self.trace()? = Trace { head, ..Trace::default() };
            self.recording.elapsed_ms = Some(self.clock.elapsed().as_millis() as u64);
            output::write(|out| self.recording.write(out))?;
        } else {
            output::write(|out| out.write_all(list::text(&head, look.style()).as_bytes()))?;
        }
        Ok(Status::Fine)
    }

    /// Runs the tool to its end, prints and keeps the result.
    ///
    /// # Errors
    /// The result cannot be printed or kept.
    pub fn run(mut self, head: Head, (stop, watch): (&Stop, &Watch), tool: &mut dyn Tool) -> Result<Status> {
        let (tracing, compat, modules) = (words::tracing(&head), render::before(&head), Modules::of(&head));
        let file = self.args.output.as_deref().map(output::create).transpose()?;
        *self.trace()? = Trace { head, ..Trace::default() };
        let cost = Cost::new(self.args.max_overhead.saturating_mul(10_000).into(), self.args.bpf_stats);
        (self.recording.started_ms, self.clock) = (from::now_ms(), Instant::now());
        let schedule = self.args.schedule(stop, watch);
        tool.gate(true);
        // Only now: who reads this may rely on every call being counted.
        match compat.filter(|_| self.args.format == Format::Text) {
            Some(text) => self.print(&text),
            None => output::say(&tracing),
        }
        // Who waits for that line may not read before.
        self.begin_to_keep(file)?;
        let finished = run::run(tool, schedule, cost, &mut |step| self.step(step))?;
        finished.account(self.trace()?, &modules, watch);
        self.recording.elapsed_ms = Some(self.clock.elapsed().as_millis() as u64);
        self.finish()
    }

    fn begin_to_keep(&mut self, file: Option<File>) -> Result<()> {
        let head = self.trace()?.head.clone();
        let begin = |out: Box<dyn Write>| Keep::begin(out, &self.recording, &head);
        self.file = file.map(|file| begin(Box::new(file))).unwrap_or_default();
        if self.args.format == Format::Json {
            self.stdout = begin(Box::new(io::stdout()));
        }
        Ok(())
    }

    fn trace(&mut self) -> Result<&mut Trace> {
        match &mut self.recording.data {
            Data::Trace(trace) => Ok(trace),
            other => bail!("{} is no trace", other.name()),
        }
    }

    /// Prints a part of the result, unless that has failed before: what is kept in a
    /// file is kept whole all the same.
    fn print(&mut self, text: &str) {
        if self.unread.is_none() {
            self.unread = output::write(|out| out.write_all(text.as_bytes())).err();
        }
    }

    /// Keeps a window, and prints what is due; whether somebody reads it.
    fn step(&mut self, step: Step<'_>) -> Result<bool> {
        let Step { window, stacks, tool, overhead } = step;
        self.file.window(&stacks, &window);
        self.stdout.window(&stacks, &window);
        self.trace()?.stacks.append(stacks).map_err(anyhow::Error::msg)?;
        let shown = (self.args.format == Format::Text).then(|| window.clone());
        self.trace()?.windows.push(window);
        let Some(window) = shown else { return Ok(self.is_read()) };
        let interval = self.args.interval.map(|interval| interval.as_millis() as u64);
        let ends = interval.is_some_and(|interval| window.ends_interval(interval));
        let live = interval.is_none() && output::is_live();
        let live =
            if live { words::live(self.trace()?, &window, tool.lost(), overhead) } else { String::new() };
        match &mut self.open {
            Some(open) => open.merge(window),
            None => self.open = Some(window),
        }
        if ends {
            self.print_open()?;
        } else if !live.is_empty() {
            output::live(&live);
        }
        Ok(self.is_read())
    }

    /// Whether somebody reads the result.
    fn is_read(&self) -> bool {
        self.unread.is_none() && !self.stdout.fails()
    }

    fn print_open(&mut self) -> Result<()> {
        let Some(window) = self.open.take() else { return Ok(()) };
        output::live("");
        let text = render::block(self.recording.started_ms, self.trace()?, &window);
        self.print(&text);
        Ok(())
    }

    fn finish(mut self) -> Result<Status> {
        self.print_open()?;
        let last = match (self.args.format, &self.recording.data) {
            (Format::Text, Data::Trace(trace)) => render::after(&trace.head),
            (Format::Svg, _) => Some(super::report::svg(&self.recording)?),
            _ => None,
        };
        if let Some(text) = last {
            self.print(&text);
        }
        let unread = self.stdout.end(&self.recording).or(self.unread.take());
        let kept = self.args.output.is_some() || self.args.format != Format::Text;
        let trace = self.trace()?;
        let cost = trace.overhead.as_ref().map(words::cost);
        let next = words::next(&trace.head, kept);
        for note in words::notes(trace).into_iter().chain(cost).chain(next) {
            output::say(&note);
        }
        if let (Some(error), Some(path)) = (self.file.end(&self.recording), &self.args.output) {
            return Err(error).with_context(|| format!("failed to write {}", path.display()));
        }
        unread.map_or(Ok(Status::Fine), |error| Err(error.into()))
    }
}

/// Detaches. A second Ctrl-C does not wait: a child is left behind to do it.
///
/// # Errors
/// None but that of a host without memory for a process.
pub fn detach(attached: Attached, stop: &Stop) -> Result<()> {
    let work = std::thread::spawn(move || drop(attached));
    while !work.is_finished() {
        if stop.again(Duration::from_millis(5)) {
            sys::close_behind()?;
            break;
        }
    }
    Ok(())
}
