//! What the tracing tools have in common: their options, and a run from patterns
//! to a recording.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use hostdiag_model::trace::{Accounting, Asked, Filter, Gone, Head, Trace, Window};
use hostdiag_model::{Data, Recording};
use hostdiag_report::trace::{self as render, list, words};

use self::keep::Keep;
use crate::duration;
use crate::fail::Status;
use crate::offload::from;
use crate::output::{self, Look};
use crate::probe::attach::Attached;
use crate::probe::filter;
use crate::probe::modules::Modules;
use crate::probe::plan::{Sides, Way};
use crate::probe::process::{self, Watch};
use crate::probe::run::{self, Cost, Schedule, Step, Tool};
use crate::probe::targets::{Request, Targets};
use crate::stop::Stop;
use crate::sys;

mod keep;

/// Options of every tracing tool.
#[derive(Debug, clap::Args)]
pub struct TraceArgs {
    /// Functions: func, 'glob*', module:func, lib:func, /path:func; t:category:event.
    #[arg(value_name = "PATTERN", required = true)]
    pub patterns: Vec<String>,
    /// Patterns are regular expressions, which match anywhere in a name.
    #[arg(short = 'r', long)]
    pub regexp: bool,
    /// Leave out functions that match this.
    #[arg(long, value_name = "GLOB")]
    pub skip: Vec<String>,
    /// Only events of these processes.
    #[arg(short, long, value_name = "PID", value_delimiter = ',')]
    pub pid: Vec<u32>,
    /// Only events of these threads.
    #[arg(long, value_name = "TID", value_delimiter = ',')]
    pub tid: Vec<u32>,
    /// Only events of threads with this command name.
    #[arg(long, value_name = "NAME")]
    pub comm: Option<String>,
    /// Only events of tasks in this cgroup or below it (version 2).
    #[arg(long, value_name = "PATH")]
    pub cgroup: Option<String>,
    /// Only events on these CPUs: 0-3,8.
    #[arg(short, long, value_name = "LIST", value_parser = cpus)]
    pub cpu: Option<Cpus>,
    /// Print the result at every interval: 500ms, 10, 10s, 5m.
    #[arg(short, long, value_name = "DURATION", value_parser = positive)]
    pub interval: Option<Duration>,
    /// End after this time.
    #[arg(long, value_name = "DURATION", value_parser = positive)]
    pub duration: Option<Duration>,
    /// Print the time before each result.
    #[arg(short = 'T', long)]
    pub timestamp: bool,
    /// Print only the N largest.
    #[arg(long, value_name = "N")]
    pub top: Option<u32>,
    /// How to attach to functions of the kernel.
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    pub attach: Way,
    /// Show what would be attached and what not, and why; attach nothing.
    #[arg(long)]
    pub list: bool,
    /// Attach one by one, however long it takes.
    #[arg(long)]
    pub yes: bool,
    /// Detach when our own programs take more of all CPUs than this, in percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    pub max_overhead: u32,
    /// Measure what it costs, also where others have BPF programs in the path of
    /// the network, which that slows down for a second.
    #[arg(long)]
    pub bpf_stats: bool,
    /// How to print the result.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Keep the recording in FILE; `hostdiag report` shows it again.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The recording, as JSON lines, as they come.
    Json,
}

/// What `--cpu` takes: one value for clap, which would otherwise take a list for
/// many options.
#[derive(Clone, Debug)]
pub struct Cpus(Vec<u32>);

fn cpus(text: &str) -> Result<Cpus, String> {
    filter::cpu_list(text).map(Cpus)
}

fn positive(text: &str) -> Result<Duration, String> {
    let time = duration::parse(text)?;
    if time.is_zero() { Err("it must be longer than nothing".into()) } else { Ok(time) }
}

impl TraceArgs {
    /// Which functions and how.
    pub fn request(&self) -> Request {
        Request {
            patterns: self.patterns.clone(),
            regex: self.regexp,
            skip: self.skip.clone(),
            way: self.attach,
            sides: Sides::Entry,
            // A list attaches nothing, so it takes no time.
            yes: self.yes || self.list,
            pid: match self.pid.as_slice() {
                [one] => process::host_pid(*one).ok(),
                _ => None,
            },
        }
    }

    /// Which events count, by numbers of the PID namespace of /proc, and who is watched.
    ///
    /// # Errors
    /// `no-such-process` for one that is not there.
    pub fn filter(&self) -> Result<(Filter, Watch)> {
        let host = |ids: &[u32]| ids.iter().map(|id| process::host_pid(*id)).collect::<Result<Vec<_>, _>>();
        let (pids, tids) = (host(&self.pid)?, host(&self.tid)?);
        let watch = Watch::of(&[pids.as_slice(), tids.as_slice()].concat())?;
        let cpus = self.cpu.clone().map(|cpus| cpus.0).unwrap_or_default();
        Ok((Filter { pids, tids, comm: self.comm.clone(), cgroup: self.cgroup.clone(), cpus }, watch))
    }

    fn schedule<'a>(&self, stop: &'a Stop, watch: &'a Watch) -> Schedule<'a> {
        Schedule { interval: self.interval, duration: self.duration, stop, watch }
    }
}

/// A run under way: the recording as far as it goes, and where it is printed.
pub struct Session<'a> {
    args: &'a TraceArgs,
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
    pub fn new(args: &'a TraceArgs, command: &str) -> Self {
        let recording = Recording {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
            host: crate::host::this(),
            started_ms: from::now_ms(),
            elapsed_ms: None,
            loss: Vec::new(),
            data: Data::Trace(Box::default()),
        };
        let (clock, file, stdout) = (Instant::now(), Keep::default(), Keep::default());
        Self { args, recording, clock, open: None, unread: None, file, stdout }
    }

    /// What was asked for, as the recording keeps it.
    pub fn asked(&self, filter: &Filter, rate: bool) -> Asked {
        Asked {
            patterns: self.args.patterns.clone(),
            interval_ms: self.args.interval.map(|interval| interval.as_millis() as u64),
            timestamp: self.args.timestamp,
            rate,
            top: self.args.top,
            timing: None,
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
        let unloaded = modules.unloaded().map(|name| Gone::Module(name.to_owned()));
        let gone = unloaded.chain(watch.replaced().map(Gone::Program)).collect();
        let trace = self.trace()?;
        trace.accounting = Some(Accounting { gone, ..finished.accounting });
        trace.overhead = finished.overhead;
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
        let interval = self.args.interval.map(|interval| interval.as_millis() as u64);
        let ends = interval.is_some_and(|interval| window.ends_interval(interval));
        self.trace()?.windows.push(window.clone());
        let live = self.args.format == Format::Text && interval.is_none() && output::is_live();
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
        Ok(self.unread.is_none() && !self.stdout.fails())
    }

    fn print_open(&mut self) -> Result<()> {
        let Some(window) = self.open.take() else { return Ok(()) };
        if self.args.format == Format::Text {
            output::live("");
            let started_ms = self.recording.started_ms;
            let text = render::block(started_ms, self.trace()?, &window);
            self.print(&text);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Status> {
        self.print_open()?;
        if let Some(text) = render::after(&self.trace()?.head).filter(|_| self.args.format == Format::Text) {
            self.print(&text);
        }
        let unread = self.stdout.end(&self.recording).or(self.unread.take());
        let kept = self.args.output.is_some() || self.args.format == Format::Json;
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
