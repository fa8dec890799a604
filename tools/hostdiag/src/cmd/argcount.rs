//! `hostdiag argcount`: which values arguments and returns have, and how often.

use std::mem::MaybeUninit;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::trace::Apart;

use super::trace::{self, Session, TraceArgs};
use crate::fail::Status;
use crate::kernel::{leftovers, tracefs};
use crate::output::Look;
use crate::probe::argcount::{Counting, Wanted};
use crate::probe::targets::{Request, Targets};
use crate::stop::Stop;

/// Count values of arguments, and of what functions return.
///
/// EXPR is the name of an argument, what it leads to (sk->__sk_common.skc_dport,
/// *ptr, name[3]), or $ret, which the shell wants in quotes; up to four of them, counted
/// together. Names and types are those of the kernel (BTF); where there are none, as of
/// programs, arg1 to arg6. Numbers in the order of the network (__be16 and the like) are
/// turned around. With arguments and $ret together each call's arguments are those of its
/// entry. Ends with Ctrl-C or after --duration, with the result in either case.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("patterns", |function| function.value_name("FUNC").action(clap::ArgAction::Set).num_args(1).index(1)),
    mut_arg("duration", |duration| duration.short('d')),
    mut_arg("top", |top| top.short('n')),
    after_help = "Examples:\n  hostdiag argcount -p 3416 tcp_sendmsg size\n  \
    hostdiag argcount -d 10 tcp_sendmsg 'sk->__sk_common.skc_dport' --where 'size > 4096'\n  \
    hostdiag argcount --by comm do_sendfile count '$ret'\n  hostdiag argcount --hist vfs_read count\n  \
    hostdiag argcount libc:malloc arg1\n\n\
    Exit status: 0 counted; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// What to trace, and options of all tracing tools.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// What to count: an argument, what it leads to, or $ret.
    #[arg(value_name = "EXPR", required = true, num_args = 1.., index = 2)]
    pub expressions: Vec<String>,
    /// A histogram of the value, and its percentiles.
    #[arg(long)]
    pub hist: bool,
    /// Count only calls that meet this: 'size > 4096 && sk->sk_type == 1'.
    #[arg(long, value_name = "COND")]
    pub r#where: Option<String>,
    /// Count these apart: functions, command names.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<ByWhat>,
    /// Most different values that are counted; calls with others are counted as lost.
    #[arg(long, value_name = "N", default_value_t = 10_240,
        value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub max_values: u32,
    /// Most calls under way at a time, where arguments are joined with $ret; what is
    /// beyond is lost, and said to be.
    #[arg(long, value_name = "N", default_value_t = 10_240,
        value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub max_active: u32,
}

/// What `--by` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByWhat {
    /// The function.
    Func,
    /// The command name of the thread.
    Comm,
}

impl Args {
    fn wanted(&self) -> Result<Wanted> {
        let by = self.by.map(|by| match by {
            ByWhat::Func => Apart::Func,
            ByWhat::Comm => Apart::Comm,
        });
        let condition = self.r#where.as_deref();
        Ok(Wanted::parse(&self.expressions, condition, (by, self.hist), self.max_values)?)
    }
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let stop = Stop::new()?;
    leftovers::remove_stale_events(tracefs());
    let wanted = args.wanted()?;
    let (filter, watch) = args.trace.run.filter()?;
    let targets = Targets::resolve(&Request { sides: wanted.sides(), ..args.trace.request() })?;
    let bound = wanted.bind(&targets.functions)?;
    let session = Session::new(&args.trace.run, "argcount");
    let mut asked = session.asked(&args.trace.patterns, &filter);
    asked.arguments = Some(bound.arguments.clone());
    if args.trace.list {
        return session.list(&targets, asked, look);
    }
    let mut storage = MaybeUninit::uninit();
    let mut counting = Counting::start(&mut storage, targets, &filter, (bound, args.max_active))?;
    let head = counting.done.head(asked, None);
    let status = session.run(head, (&stop, &watch), &mut counting)?;
    trace::detach(std::mem::take(&mut counting.done.attached), &stop)?;
    Ok(status)
}
