//! `hostdiag timer-names`: which timers are started, and what becomes of them.

use std::mem::MaybeUninit;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::trace::{AskedTimers, By};

use super::trace::{RunArgs, Session};
use crate::fail::Status;
use crate::probe::stack;
use crate::probe::timer_names::{self, Counting, Options};
use crate::stop::Stop;

/// Count timers of the kernel by what they call, and what becomes of them.
///
/// Every start of a timer (of the timer wheel, and hrtimers) is counted in the
/// kernel. A timer expires, is started anew before that (re-armed), or cancelled.
/// OWNER is for whom it is, where its callback serves many: the work function of
/// delayed work, the process that sleeps.
///
/// mod_timer() fires nothing where a timer that is armed keeps its place: it is asked
/// for the time that it has, or for one in the same slot of the timer wheel. Such
/// calls are not counted; hostdiag funccount mod_timer counts them all. A timer that
/// is stopped and started again by the same task, which did nothing else with timers
/// in between, counts as re-armed too; a thread that sleeps again has a new timer.
/// -p, --comm and --by go by the task that runs when a timer is started, in an
/// interrupt by the task that it interrupts. Ends with Ctrl-C or after --duration,
/// with the result in either case.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("duration", |duration| duration.short('d')),
    after_help = "Examples:\n  hostdiag timer-names -d 10 -p 3416\n  \
    hostdiag timer-names -T -i 1 --top 10\n  hostdiag timer-names --by comm --expire -d 10\n  \
    hostdiag timer-names --start-stacks -d 10 --top 5\n\n\
    Exit status: 0 counted; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// Options of all tracing tools.
    #[command(flatten)]
    pub run: RunArgs,
    /// Rows apart by the CPU, the command name or the process that started a timer.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<ByWhat>,
    /// How late timers expire, and how long their handlers run.
    #[arg(long)]
    pub expire: bool,
    /// A histogram for each row: the delays that were asked for, with --expire also
    /// the other two.
    #[arg(long)]
    pub histogram: bool,
    /// From where timers are started: under the table the call stacks of each row, in
    /// the kernel and in the process.
    #[arg(long)]
    pub start_stacks: bool,
    /// Most different stacks that are kept; starts with others have none, and are said
    /// to be lost.
    #[arg(long, value_name = "N", default_value_t = stack::MOST, requires = "start_stacks",
        value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_stacks: u32,
    /// Most timers whose fate is followed at a time; what becomes of others is not
    /// known, and said to be.
    #[arg(long, value_name = "N", default_value_t = timer_names::MOST,
        value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_timers: u32,
}

/// What `--by` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByWhat {
    /// The CPU on which it was started.
    Cpu,
    /// The command name of the thread.
    Comm,
    /// The process.
    Pid,
}

impl Args {
    fn asked(&self) -> AskedTimers {
        let by = self.by.map(|by| match by {
            ByWhat::Cpu => By::Cpu,
            ByWhat::Comm => By::Comm,
            ByWhat::Pid => By::Pid,
        });
        AskedTimers { by, expiry: self.expire, histograms: self.histogram, start_stacks: self.start_stacks }
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<Status> {
    let stop = Stop::new()?;
    let (filter, watch) = args.run.filter()?;
    let session = Session::new(&args.run, "timer-names");
    let asked = session.asked(&[], &filter);
    let mut storage = MaybeUninit::uninit();
    let options = Options { asked: args.asked(), max_timers: args.max_timers, max_stacks: args.max_stacks };
    let mut counting = Counting::start(&mut storage, &filter, options)?;
    let head = counting.head(asked);
    session.run(head, (&stop, &watch), &mut counting)
}
