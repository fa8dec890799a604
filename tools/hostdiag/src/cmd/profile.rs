//! `hostdiag profile`: where CPUs are, and what tasks wait for.

use std::mem::MaybeUninit;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::trace::{Asked, AskedStacks, Head, Profile, Waiting};

use super::trace::{self, RunArgs, Session, positive};
use crate::fail::Status;
use crate::probe::offcpu::Waits;
use crate::probe::profile::{HZ, Sampling};
use crate::probe::stack::{self, At, Measure, Options};
use crate::stop::Stop;

/// Find out where CPUs spend their time, or what tasks wait for.
///
/// Every CPU is sampled at a steady rate, and samples are counted in the kernel by
/// stack. Idle CPUs are left out, and said. Ends with Ctrl-C or after SECONDS, with
/// the result in either case: the busiest functions, then the most frequent stacks.
#[derive(Debug, clap::Args)]
#[command(
    mut_arg("cpu", |cpu| cpu.short_alias('C').help("Only these CPUs: 0-3,8 (bcc's -C; its -c, a period, is not here)")),
    mut_arg("tid", |tid| tid.short_alias('L')),
    mut_arg("format", |format| format.value_parser(trace::with_svg()).conflicts_with("folded")),
    mut_arg("duration", |duration| duration.conflicts_with("seconds")),
    // What other tools call it.
    arg(clap::Arg::new("hertz").long("hertz").aliases(["hz", "rate"]).hide(true)
        .value_parser(clap::builder::UnknownArgumentValueParser::suggest_arg("--frequency"))),
    after_help = "Examples:\n  hostdiag profile 10\n  hostdiag profile -i 1 --top 10\n  \
    hostdiag profile -F 99 -p 4711 --format svg 30 > cpu.svg\n  hostdiag profile --off-cpu -p 4711 10\n\n\
    Exit status: 0 sampled; 2 wrong usage or an error; 4 a privilege or kernel feature is missing."
)]
pub struct Args {
    /// End after this time: 10, 10s, 5m.
    #[arg(value_name = "SECONDS", value_parser = positive)]
    pub seconds: Option<Duration>,
    /// Samples a second on each CPU.
    #[arg(short = 'F', long, value_name = "HZ", default_value_t = HZ, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub frequency: u32,
    /// Only the kernel's part of a stack.
    #[arg(short = 'K', long, conflicts_with = "user_stacks_only")]
    pub kernel_stacks_only: bool,
    /// Only the process's part of a stack.
    #[arg(short = 'U', long)]
    pub user_stacks_only: bool,
    /// What CPUs do while they are idle counts too.
    #[arg(short = 'I', long)]
    pub include_idle: bool,
    /// How long tasks wait, by stack, instead of what CPUs do.
    #[arg(long, conflicts_with_all = ["frequency", "include_idle"])]
    pub off_cpu: bool,
    /// Only waits of these kinds, by the letters of ps(1): S, D, or R for those that
    /// could go on and have no CPU. Without it all but R.
    #[arg(long, value_name = "LETTERS", value_delimiter = ',', requires = "off_cpu", value_parser = waiting)]
    pub state: Vec<Waiting>,
    /// A line between the kernel's part and the process's.
    #[arg(short = 'd', long)]
    pub delimited: bool,
    /// A line for each stack, as for flame graphs.
    #[arg(short = 'f', long)]
    pub folded: bool,
    /// Most different stacks that are kept; samples of others are counted as lost.
    #[arg(long, value_name = "N", default_value_t = stack::MOST, value_parser = clap::value_parser!(u32).range(1..=1 << 24))]
    pub max_stacks: u32,
    /// Options of all tracing tools.
    #[command(flatten)]
    pub run: RunArgs,
}

fn waiting(text: &str) -> Result<Waiting, String> {
    let all = [Waiting::Cpu, Waiting::Sleeping, Waiting::Uninterruptible];
    let wanted = all.into_iter().find(|waiting| waiting.as_str() == text);
    wanted.ok_or_else(|| "one of R, S and D, as ps(1) has them".into())
}

impl Args {
    fn options(&self) -> Options {
        Options {
            kernel: !self.user_stacks_only,
            user: !self.kernel_stacks_only,
            measure: if self.off_cpu { Measure::Time } else { Measure::Events },
            at: if self.off_cpu { At::RawTracepoint } else { At::Sample },
            places: self.run.keeps(),
            times: self.run.tells_times(),
            max_stacks: self.max_stacks,
            ..Options::of_samples()
        }
    }

    fn shown(&self) -> AskedStacks {
        AskedStacks { delimiter: self.delimited, folded: self.folded, ..AskedStacks::default() }
    }
}

/// Runs it.
pub fn run(args: &Args) -> Result<Status> {
    let stop = Stop::new()?;
    let (filter, watch) = args.run.filter()?;
    let run = RunArgs { duration: args.seconds.or(args.run.duration), ..args.run.clone() };
    let session = Session::new(&run, "profile");
    let asked = Asked { stacks: args.shown(), ..session.asked(&[], &filter) };
    let mut storage = MaybeUninit::uninit();
    if args.off_cpu {
        let mut waits = Waits::start(&mut storage, &filter, &args.state, args.options())?;
        let profile = Profile::OffCpu { waiting: args.state.clone() };
        let head = Head {
            asked: Asked { profile: Some(profile), ..asked },
            attach: vec![waits.attach.clone()],
            ..Head::default()
        };
        return session.run(head, (&stop, &watch), &mut waits);
    }
    let (hz, idle) = (args.frequency, args.include_idle);
    let mut sampling = Sampling::start(&mut storage, &filter, (hz, idle), args.options())?;
    let head = sampling.head(asked);
    session.run(head, (&stop, &watch), &mut sampling)
}
