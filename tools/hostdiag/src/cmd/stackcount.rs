//! `hostdiag stackcount`: from where functions are called, and how often.

use std::mem::MaybeUninit;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::trace::AskedStacks;

use super::trace::{self, Session, TraceArgs};
use crate::fail::Status;
use crate::kernel::{leftovers, tracefs};
use crate::output::{self, Look};
use crate::probe::stack::{self, At, Options};
use crate::probe::stackcount::Counting;
use crate::probe::targets::{Request, Targets};
use crate::stop::Stop;

/// Count call stacks of functions, and tracepoints.
///
/// Every call is counted in the kernel by the stack that it comes from, which
/// begins with the function traced. Ends with Ctrl-C or after --duration, with the
/// result in either case.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("format", |format| format.value_parser(trace::with_svg()).conflicts_with("folded")),
    mut_arg("duration", |duration| duration.short('D')),
    after_help = "Examples:\n  hostdiag stackcount -i 10 tcp_push_one\n  \
    hostdiag stackcount -P -D 10 --top 5 tcp_sendmsg\n  hostdiag stackcount -f -D 10 t:sched:sched_switch\n\n\
    Exit status: 0 counted; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// What to trace, and options of all tracing tools.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// Each process has its own stacks.
    #[arg(short = 'P', long)]
    pub perpid: bool,
    /// Only the kernel's part of a stack.
    #[arg(short = 'K', long, conflicts_with = "user_stacks_only")]
    pub kernel_stacks_only: bool,
    /// Only the process's part of a stack.
    #[arg(short = 'U', long)]
    pub user_stacks_only: bool,
    /// Offsets behind the names of functions.
    #[arg(short = 's', long)]
    pub offset: bool,
    /// Addresses before the names of functions.
    #[arg(short = 'v', long)]
    pub verbose: bool,
    /// A line between the kernel's part and the process's.
    #[arg(short = 'd', long)]
    pub delimited: bool,
    /// A line for each stack, as for flame graphs.
    #[arg(short = 'f', long)]
    pub folded: bool,
    /// Most different stacks that are kept; calls with others are counted as lost.
    #[arg(long, value_name = "N", default_value_t = stack::MOST, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_stacks: u32,
    /// The layout of another tool.
    #[arg(long, value_enum, value_name = "TOOL")]
    pub compat: Option<Compat>,
    /// Print every function that is attached, and how, before counting.
    #[arg(long)]
    pub debug: bool,
}

/// What `--compat` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// bcc's stackcount.
    Bcc,
}

impl Args {
    fn shown(&self) -> AskedStacks {
        AskedStacks {
            processes: self.perpid,
            offsets: self.offset,
            addresses: self.verbose,
            delimiter: self.delimited,
            folded: self.folded,
            bcc: self.compat == Some(Compat::Bcc),
        }
    }

    fn options(&self) -> Options {
        Options {
            kernel: !self.user_stacks_only,
            user: !self.kernel_stacks_only,
            processes: self.perpid,
            places: self.trace.run.keeps() || self.offset || self.verbose,
            max_stacks: self.max_stacks,
            ..Options::of_events(At::Function)
        }
    }
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let stop = Stop::new()?;
    leftovers::remove_stale_events(tracefs());
    let (filter, watch) = args.trace.run.filter()?;
    let targets = Targets::resolve(&Request { stacks: true, ..args.trace.request() })?;
    let session = Session::new(&args.trace.run, "stackcount");
    let mut asked = session.asked(&args.trace.patterns, &filter);
    asked.stacks = args.shown();
    if args.trace.list {
        return session.list(&targets, asked, look);
    }
    let mut storage = MaybeUninit::uninit();
    let mut counting = Counting::start(&mut storage, targets, &filter, args.options())?;
    let head = counting.done.head(asked, None);
    if args.debug {
        output::say(&hostdiag_report::trace::list::text(&head, look.style()));
    }
    let status = session.run(head, (&stop, &watch), &mut counting)?;
    trace::detach(std::mem::take(&mut counting.done.attached), &stop)?;
    Ok(status)
}
