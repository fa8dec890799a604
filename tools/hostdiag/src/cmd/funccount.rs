//! `hostdiag funccount`: how often functions are called.

use std::mem::MaybeUninit;

use anyhow::Result;
use hostdiag_model::trace::Asked;

use super::trace::{self, Session, TraceArgs};
use crate::fail::Status;
use crate::kernel::{leftovers, tracefs};
use crate::output::{self, Look};
use crate::probe::funccount::Counting;
use crate::probe::targets::Targets;
use crate::stop::Stop;

/// Count calls of functions, and tracepoints.
///
/// Every call is counted in the kernel, exactly; what could not be counted is
/// said. Ends with Ctrl-C or after --duration, with the result in either case.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("duration", |duration| duration.short('d')),
    after_help = "Examples:\n  hostdiag funccount -T -i 1 mod_timer\n  \
    hostdiag funccount -d 10 --rate --top 20 'tcp_*'\n  hostdiag funccount -p 185 't:syscalls:sys_enter_*'\n\n\
    Exit status: 0 counted; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// What to trace, and options of all tracing tools.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// Print counts by second too.
    #[arg(long)]
    pub rate: bool,
    /// Print every function that is attached, and how, before counting.
    #[arg(short = 'D', long)]
    pub debug: bool,
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let stop = Stop::new()?;
    leftovers::remove_stale_events(tracefs());
    let (filter, watch) = args.trace.run.filter()?;
    let targets = Targets::resolve(&args.trace.request())?;
    let session = Session::new(&args.trace.run, "funccount");
    let asked = Asked { rate: args.rate, ..session.asked(&args.trace.patterns, &filter) };
    if args.trace.list {
        return session.list(&targets, asked, look);
    }
    let mut storage = MaybeUninit::uninit();
    let mut counting = Counting::start(&mut storage, targets, &filter)?;
    let head = counting.done.head(asked, None);
    if args.debug {
        output::say(&hostdiag_report::trace::list::text(&head, look.style()));
    }
    let status = session.run(head, (&stop, &watch), &mut counting)?;
    trace::detach(std::mem::take(&mut counting.done.attached), &stop)?;
    Ok(status)
}
