//! Options of the tracing tools.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::ValueEnum;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use hostdiag_model::trace::Filter;

use crate::duration;
use crate::output;
use crate::probe::filter;
use crate::probe::plan::{Sides, Way};
use crate::probe::process::{self, Watch};
use crate::probe::run::Schedule;
use crate::probe::targets::Request;
use crate::stop::Stop;

/// Options of the tools that trace what patterns describe.
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
    /// How to attach to functions of the kernel.
    #[arg(long, value_enum, default_value_t, value_name = "WAY")]
    pub attach: Way,
    /// Show what would be attached and what not, and why; attach nothing.
    #[arg(long)]
    pub list: bool,
    /// Attach one by one, however long it takes.
    #[arg(long)]
    pub yes: bool,
    /// Whose events, how long, and what becomes of the result.
    #[command(flatten)]
    pub run: RunArgs,
}

/// Options of every tracing tool.
#[derive(Clone, Debug, clap::Args)]
pub struct RunArgs {
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
    /// Detach when our own programs take more of all CPUs than this, in percent
    /// (100: never).
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
    #[arg(long, value_name = "FILE", value_parser = crate::output::file_name)]
    pub output: Option<PathBuf>,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The recording, as JSON lines, as they come.
    Json,
    /// A flame graph, at the end. Only tools that count stacks have it.
    #[value(skip)]
    Svg,
}

/// What `--format` takes where stacks are counted.
pub(in crate::cmd) fn with_svg() -> impl TypedValueParser<Value = Format> {
    let svg = PossibleValue::new("svg").help("A flame graph of everything, at the end");
    let names = Format::value_variants().iter().filter_map(Format::to_possible_value).chain([svg]);
    let read = |name: String| Format::from_str(&name, false).unwrap_or(Format::Svg);
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(read)
}

/// What `--cpu` takes: one value for clap, which would otherwise take a list for
/// many options.
#[derive(Clone, Debug)]
pub struct Cpus(Vec<u32>);

fn cpus(text: &str) -> Result<Cpus, String> {
    filter::cpu_list(text).map(Cpus)
}

/// A length of time that is not 0.
///
/// # Errors
/// What is wrong, for clap to print.
pub(in crate::cmd) fn positive(text: &str) -> Result<Duration, String> {
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
            stacks: false,
            // A list attaches nothing, so it takes no time.
            yes: self.yes || self.list,
            pid: match self.run.pid.as_slice() {
                [one] => process::host_pid(*one).ok(),
                _ => None,
            },
        }
    }
}

impl RunArgs {
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

    /// Whether all is wanted that a recording has, not only what is printed of it.
    pub(in crate::cmd) fn keeps(&self) -> bool {
        self.output.is_some() || self.format == Format::Json
    }

    /// Whether it is to be known when events were.
    pub(in crate::cmd) fn tells_times(&self) -> bool {
        self.keeps() || self.interval.is_some() || self.format == Format::Text && output::is_live()
    }

    /// When to read and when to end, of a run that begins now.
    pub(super) fn schedule<'a>(&self, stop: &'a Stop, watch: &'a Watch) -> Schedule<'a> {
        Schedule { interval: self.interval, duration: self.duration, start: Instant::now(), stop, watch }
    }
}
