//! `hostdiag funclatency`: how long functions take.

use std::mem::MaybeUninit;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::histogram::Unit;
use hostdiag_model::trace::{By, Timing};

use super::trace::{self, Format, Session, TraceArgs};
use crate::fail::Status;
use crate::kernel::{leftovers, tracefs};
use crate::output::Look;
use crate::probe::funclatency::{ACTIVE, MEMORY_MIB, Options, Timed};
use crate::probe::plan::Sides;
use crate::probe::targets::{Request, Targets};
use crate::stop::Stop;

/// Show how long calls of functions take.
///
/// A log2 histogram, and under it percentiles, which are within 3.1 % (half a
/// slot), and the exact mean and maximum. Every call is timed in the kernel by its
/// own start, also nested ones and those of a function that calls itself; what
/// could not be timed is said. Ends with Ctrl-C or after --duration, with the
/// result in either case.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("duration", |duration| duration.short('d')),
    mut_arg("cpu", |cpu| cpu.short(None)),
    after_help = "Examples:\n  hostdiag funclatency -uTi 1 do_sendfile\n  \
    hostdiag funclatency -F --top 5 -d 10 'vfs_*'\n  hostdiag funclatency --by comm -d 10 vfs_fsync_range\n  hostdiag funclatency -p 185 libc:malloc\n\n\
    Exit status: 0 timed; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// What to trace, and options of all tracing tools.
    #[command(flatten)]
    pub trace: TraceArgs,
    /// Histograms in nanoseconds.
    #[arg(long, group = "unit")]
    pub ns: bool,
    /// Histograms in microseconds.
    #[arg(short = 'u', long, group = "unit")]
    pub microseconds: bool,
    /// Histograms in milliseconds.
    #[arg(short = 'm', long, group = "unit")]
    pub milliseconds: bool,
    /// A histogram for each function; --top keeps those that took longest in all.
    #[arg(short = 'F', long)]
    pub function: bool,
    /// A histogram for each of these: CPU on which a call returned, command name,
    /// process.
    #[arg(long, value_enum, value_name = "WHAT")]
    pub by: Option<ByWhat>,
    /// Nothing: bcc needs it to tell nested calls apart, which is always done here.
    #[arg(short = 'l', long, value_name = "N")]
    pub level: Option<u32>,
    /// Room for so many calls under way at a time; what finds none is lost, and said
    /// to be.
    #[arg(long, value_name = "N", default_value_t = ACTIVE,
        value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_active: u32,
    /// Memory for histograms: with less than they need, CPUs share them, then they
    /// are coarser.
    #[arg(long, value_name = "MIB", default_value_t = MEMORY_MIB,
        value_parser = clap::value_parser!(u64).range(1..=1 << 14))]
    pub max_memory: u64,
    /// The layout of another tool, for scripts that read it.
    #[arg(long, value_enum, value_name = "TOOL")]
    pub compat: Option<Compat>,
}

/// What `--by` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ByWhat {
    /// The CPU on which a call returned.
    Cpu,
    /// The command name of the thread.
    Comm,
    /// The process.
    Pid,
}

/// What `--compat` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Compat {
    /// bcc's funclatency, byte for byte.
    Bcc,
}

impl Args {
    fn timing(&self) -> Timing {
        let units = [(self.ns, Unit::Ns), (self.microseconds, Unit::Us), (self.milliseconds, Unit::Ms)];
        Timing {
            unit: units.into_iter().find_map(|(asked, unit)| asked.then_some(unit)),
            each_function: self.function,
            by: self.by.map(|by| match by {
                ByWhat::Cpu => By::Cpu,
                ByWhat::Comm => By::Comm,
                ByWhat::Pid => By::Pid,
            }),
            compat_bcc: self.compat == Some(Compat::Bcc),
        }
    }

    /// What is counted apart: a recording that is kept has every function, so that
    /// it can be looked at in another way later.
    fn options(&self) -> Options {
        let kept = self.trace.run.output.is_some() || self.trace.run.format == Format::Json;
        let timing = self.timing();
        Options {
            timing: Timing { each_function: timing.each_function || kept, ..timing },
            max_memory: self.max_memory << 20,
            max_active: self.max_active,
        }
    }
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let stop = Stop::new()?;
    leftovers::remove_stale_events(tracefs());
    let (filter, watch) = args.trace.run.filter()?;
    let targets = Targets::resolve(&Request { sides: Sides::Both, ..args.trace.request() })?;
    let session = Session::new(&args.trace.run, "funclatency");
    let mut asked = session.asked(&args.trace.patterns, &filter);
    asked.timing = Some(args.timing());
    if args.trace.list {
        return session.list(&targets, asked, look);
    }
    let mut storage = MaybeUninit::uninit();
    let mut timed = Timed::start(&mut storage, targets, &filter, args.options())?;
    let kept = Some(timed.storage());
    let head = timed.done.head(asked, kept);
    let status = session.run(head, (&stop, &watch), &mut timed)?;
    trace::detach(std::mem::take(&mut timed.done.attached), &stop)?;
    Ok(status)
}
