//! `hostdiag record`: everything that a comparison of hosts looks at, of one host.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use hostdiag_model::{Data, Recording, Trace};

use super::trace::positive;
use crate::fail::{Failure, Status};
use crate::output;
use crate::record::{self, Control, FUNCTIONS, Next, Order, Plan, Tool, Tools, busiest};
use crate::remote::{self, How, Options, Target};
use crate::stop::Stop;

/// Record a host into one file, to be compared with another time or another host.
///
/// Tools that do not disturb one another run at the same time: first a snapshot, the audit
/// of offloads, a profile and timers, then how long the functions take that stand out in
/// the profile, then from where they are called. Each step lasts --duration. Ctrl-C
/// ends it early, with what there is. `hostdiag report` shows what is in the file.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("push", |push| push.requires("on")),
    mut_arg("sudo", |sudo| sudo.requires("on")),
    after_help = "Examples:\n  hostdiag record -o before.hd\n  \
    hostdiag record --plan quick --duration 30s -o quick.hd\n  \
    hostdiag record --plan funclatency --functions do_sendfile -o sendfile.hd\n  \
    hostdiag record --on root@web17,root@web18 --push -o both.hd\n\n\
    Exit status: 0 recorded; 2 wrong usage or an error; 4 a privilege or kernel feature is missing; \
    5 a host of --on failed. Where only some tools or hosts fail the rest is kept, and the status is that \
    of the first."
)]
pub struct Args {
    /// What is recorded.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Record these hosts instead, all at the same time: [user@]host[:port] by ssh, or local.
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub on: Vec<String>,
    /// How they are reached.
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// The file that is written.
    #[arg(short, long, value_name = "FILE", value_parser = output::file_name)]
    pub output: PathBuf,
}

/// What is recorded of a host.
#[derive(Clone, Debug, clap::Args)]
pub struct PlanArgs {
    /// What is recorded: default, quick (without functions), offload, or tools with
    /// commas between them.
    #[arg(long, value_name = "PLAN", default_value = "default", value_parser = Plan::tools)]
    pub plan: Tools,
    /// How long each step lasts.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = positive)]
    pub duration: Duration,
    /// Functions of the kernel that are timed [default: those that stand out on any host].
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub functions: Vec<String>,
    /// A tool ends when its programs take more of all CPUs than this, in percent
    /// (100: never).
    #[arg(long, value_name = "PERCENT", default_value = "2", value_parser = percent)]
    pub max_overhead: u32,
}

impl PlanArgs {
    /// The same for [`record`].
    pub fn plan(&self) -> Plan {
        Plan {
            tools: self.plan.0.clone(),
            duration: self.duration,
            max_overhead: self.max_overhead,
            functions: self.functions.clone(),
        }
    }
}

/// How other hosts are reached.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct RemoteArgs {
    /// Bring this program to the hosts for the time of the recording; nothing stays there.
    #[arg(long)]
    pub push: bool,
    /// Become root on the hosts by sudo, which must not ask for a password.
    #[arg(long)]
    pub sudo: bool,
}

impl RemoteArgs {
    /// The same for [`remote::record_all`].
    pub fn options(self) -> Options {
        Options { push: self.push, sudo: self.sudo }
    }
}

/// `2` or `2%`.
fn percent(text: &str) -> Result<u32, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse();
    number.map_err(|_| "a whole number of percent, as 2 or 2%".into())
}

/// Runs it.
pub fn run(args: &Args) -> Result<Status> {
    // Before anything is started.
    let targets: Vec<Target> =
        args.on.iter().map(|name| Target::parse("hosts", name)).collect::<Result<_, _>>()?;
    let stop = Stop::new()?;
    if !targets.is_empty() {
        return elsewhere(args, targets, &stop);
    }
    let file = BufWriter::new(output::create(&args.output)?);
    let mut run = Run { stop, file, args, kept: 0, failed: None, profile: None, ready: false };
    for order in args.plan.plan().steps() {
        if run.stop.requested() {
            break;
        }
        run.step(order)?;
    }
    run.finish()
}

/// Other hosts: what came of them, one behind the other.
fn elsewhere(args: &Args, targets: Vec<Target>, stop: &Stop) -> Result<Status> {
    let how = How { plan: &args.plan.plan(), options: args.remote.options(), work: None };
    let outcomes = remote::record_all(targets, how, stop, &|order| begins(order));
    let mut status = Status::Fine;
    for (tool, failure) in outcomes.iter().flat_map(|outcome| &outcome.failures) {
        lacks(*tool, &failure.to_string(), Some(failure));
        status = Status::Remote;
    }
    let kept: usize = outcomes.iter().map(|outcome| outcome.capture.recordings.len()).sum();
    if kept > 0 {
        output::save(&args.output, |out| outcomes.iter().try_for_each(|outcome| outcome.capture.write(out)))?;
        said(kept, &args.output);
    } else {
        output::say("Nothing was recorded.");
    }
    Ok(status)
}

/// What is not in the file, and what to do about it.
fn lacks(tool: Option<Tool>, why: &str, failure: Option<&Failure>) {
    let tool = tool.map(|tool| format!("{} failed: ", tool.as_str())).unwrap_or_default();
    let code = failure.map(|failure| format!(" [{}]", failure.code.as_str())).unwrap_or_default();
    let hint = failure.and_then(|failure| failure.hint.as_ref());
    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
    output::warn(&format!("{tool}{why}{code}{hint}"));
}

/// What is recorded now.
pub(super) fn begins(order: &Order) {
    let names: Vec<&str> = order.tools.iter().map(|tool| tool.as_str()).collect();
    let functions = match order.tools.iter().any(|tool| tool.of_functions()) {
        true if !order.functions.is_empty() => format!(" of {}", order.functions.join(", ")),
        _ => String::new(),
    };
    output::say(&format!("Recording {}{functions}... Hit Ctrl-C to end.", names.join(", ")));
}

fn said(kept: usize, path: &Path) {
    let path = path.display();
    output::say(&format!("{kept} recordings in {path}. Show them: hostdiag report {path}"));
}

/// A recording under way.
struct Run<'a> {
    stop: Stop,
    file: BufWriter<File>,
    args: &'a Args,
    /// Recordings in the file.
    kept: usize,
    /// Why a tool failed, the first.
    failed: Option<anyhow::Error>,
    profile: Option<Trace>,
    /// All tools of a step are attached.
    ready: bool,
}

impl Run<'_> {
    fn step(&mut self, mut order: Order) -> Result<()> {
        if order.tools.iter().any(|tool| tool.of_functions()) && order.functions.is_empty() {
            order.functions = self.busiest();
        }
        begins(&order);
        self.ready = false;
        record::step(&order, self)
    }

    /// What stands out in the profile.
    fn busiest(&self) -> Vec<String> {
        let busy = busiest::here(self.profile.as_ref(), FUNCTIONS);
        busy.into_iter().map(|busy| busy.name).collect()
    }

    fn finish(mut self) -> Result<Status> {
        let path = self.args.output.display();
        self.file.flush().with_context(|| format!("failed to write {path}"))?;
        if self.kept == 0 {
            let nothing = || anyhow!("it ended before anything was recorded");
            return Err(self.failed.unwrap_or_else(nothing));
        }
        said(self.kept, &self.args.output);
        Ok(match self.failed {
            None => Status::Fine,
            Some(error) => {
                let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
                failure.map_or(Status::Error, |failure| failure.code.status())
            }
        })
    }
}

impl Control for Run<'_> {
    fn ready(&mut self) -> Result<()> {
        self.ready = true;
        Ok(())
    }

    fn next(&mut self, wait: Duration) -> Result<Next> {
        if std::mem::take(&mut self.ready) {
            return Ok(Next::Begin(Instant::now()));
        }
        Ok(if self.stop.wait(wait) { Next::End } else { Next::GoOn })
    }

    /// Kept at once, so that a run that is killed leaves what it had.
    fn part(&mut self, tool: Tool, part: Result<Recording>) -> Result<()> {
        let recording = match part {
            Ok(recording) => recording,
            Err(error) => {
                let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
                lacks(Some(tool), &format!("{error:#}"), failure);
                self.failed.get_or_insert(error);
                return Ok(());
            }
        };
        let written = recording.write(&mut self.file).and_then(|()| self.file.flush());
        written.with_context(|| format!("failed to write {}", self.args.output.display()))?;
        self.kept += 1;
        if let (Tool::Profile, Data::Trace(trace)) = (tool, recording.data) {
            self.profile = Some(*trace);
        }
        Ok(())
    }
}
