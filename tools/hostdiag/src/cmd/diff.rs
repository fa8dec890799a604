//! `hostdiag diff`: what differs between two recordings of a kind.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::diff::{self, Changes, Comparison, How, Refusal, Source, Verdict};
use hostdiag_report::{diff as report, html};

use crate::fail::{Code, Failure, Status};
use crate::input;
use crate::output::{self, Destination, Look};

/// Compare two recordings of a kind, folded stacks, or features of devices.
///
/// What hostdiag recorded with --output: counts of functions, latencies, stacks, values of
/// arguments, audits of offloads. Or folded stacks of any profiler. Or what `ethtool -k` prints. A is what
/// is compared with, B what is compared: the good one first. More on B is a regression.
/// Several recordings of a side tell a change from chance; one alone can only indicate it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  hostdiag diff jessie.hd stretch.hd\n  hostdiag diff good-*.hd --to bad-*.hd\n  \
    hostdiag diff before.folded after.folded --format svg --output change.svg\n\n\
    Exit status: 0 no regression (with one recording a side nothing is one, unless --strict); 1 a regression, \
    or a setting that differs; 2 they cannot be compared, or too much was lost."
)]
pub struct Args {
    /// A and B (`-`: stdin); with --to any number of A.
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Recordings of B, where there are several a side.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub to: Vec<PathBuf>,
    /// How it is shown and judged.
    #[command(flatten)]
    pub shown: Shown,
    /// Stacks by their share of all on their side, not by second.
    #[arg(long)]
    pub share: bool,
    /// Work done in a second on A and on B, such as requests: rates are divided by it.
    #[arg(long, value_name = "A,B", value_parser = work, conflicts_with = "share")]
    pub work: Option<[f64; 2]>,
    /// Without names of hosts, devices and files, addresses, and texts of arguments: to be given
    /// away. Stacks and names of functions stay.
    #[arg(long)]
    pub redact: bool,
    /// Where it goes.
    #[command(flatten)]
    pub destination: Destination,
}

/// How a comparison is shown, and when it ends with status 1.
#[derive(Clone, Copy, Debug, clap::Args)]
pub struct Shown {
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Everything that differs, however little.
    #[arg(long)]
    pub all: bool,
    /// What one recording a side indicates ends with status 1 too.
    #[arg(long)]
    pub strict: bool,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document, schema hostdiag.diff or hostdiag.compare.
    Json,
    /// Of stacks: both sides as flame graphs, coloured by change.
    Svg,
    /// A page for any browser: everything as tables and pictures, in one file.
    Html,
}

/// `4.1,4.06`, both above 0.
pub(super) fn work(text: &str) -> Result<[f64; 2], String> {
    let number = |text: &str| text.parse::<f64>().ok().filter(|work| work.is_finite() && *work > 0.0);
    let parts: Option<Vec<f64>> = text.split(',').map(number).collect();
    parts.and_then(|parts| parts.try_into().ok()).ok_or_else(|| "two numbers above 0 as 4.1,4.06".to_owned())
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let (a, b) = sides(args)?;
    let open =
        |paths: &[PathBuf]| paths.iter().map(|path| input::open(path)).collect::<Result<Vec<Source<'_>>>>();
    let how = How { work: args.work, share: args.share };
    let (mut a, mut b) = (open(a)?, open(b)?);
    let mut redactor = match args.redact {
        true => Some(input::redact(a.iter_mut().chain(&mut b).filter_map(Source::recording_mut))?),
        false => None,
    };
    let mut comparison = diff::compare(a, b, how).map_err(refused)?;
    if let Some(redactor) = &mut redactor {
        let files = comparison.a.files.iter_mut().chain(&mut comparison.b.files);
        files.for_each(|file| *file = redactor.file(file));
    }
    let text = shown(args, look, &comparison)?;
    args.destination.write(args.files.iter().chain(&args.to), |out| out.write_all(text.as_bytes()))?;
    if args.shown.format == Format::Text {
        report::next(&comparison).iter().for_each(|next| output::say(next));
    }
    Ok(status(comparison.verdict, args.shown.strict))
}

/// Files of A and of B.
fn sides(args: &Args) -> Result<(&[PathBuf], &[PathBuf])> {
    let (a, b) = match (args.files.as_slice(), args.to.as_slice()) {
        ([a, b], []) => (std::slice::from_ref(a), std::slice::from_ref(b)),
        (_, []) => {
            let problem = format!("A and B are two files, here are {}", args.files.len());
            return Err(Failure::new(Code::Incompatible, problem)
                .hint("several a side: A1 A2 --to B1 B2")
                .into());
        }
        sides => sides,
    };
    let stdin = a.iter().chain(b).filter(|path| path.as_path() == Path::new("-")).count();
    if stdin > 1 {
        return Err(Failure::new(Code::Incompatible, "stdin can be read once").into());
    }
    Ok((a, b))
}

fn shown(args: &Args, look: Look, comparison: &Comparison) -> Result<String> {
    Ok(match (args.shown.format, &comparison.changes) {
        (Format::Text, _) => {
            let style = args.destination.style(look);
            report::text(comparison, report::Options { all: args.shown.all, style })
        }
        (Format::Json, _) => serde_json::to_string_pretty(comparison)? + "\n",
        (Format::Html, _) => html::comparison::page(comparison),
        (Format::Svg, Changes::Stacks(stacks)) => report::svg::svg(comparison, stacks),
        (Format::Svg, _) => return Err(not_drawn().into()),
    })
}

pub(super) fn not_drawn() -> Failure {
    let problem = "only stacks are drawn; these are none";
    Failure::new(Code::Incompatible, problem).hint("--format text or json")
}

pub(super) fn refused(refusal: Refusal) -> Failure {
    let incompatible = |message: String| Failure::new(Code::Incompatible, message);
    match refusal {
        Refusal::Nothing(name) => incompatible(format!("{name} has nothing that can be compared"))
            .hint("what can: funccount, funclatency, stackcount, argcount, timer-names, profile, offload"),
        Refusal::Kinds([(a, kind_a), (b, kind_b)]) => {
            incompatible(format!("{a} is of {}, {b} of {}", kind_a.as_str(), kind_b.as_str()))
        }
        Refusal::NoneInCommon => incompatible("no function was traced on both sides".into())
            .hint("record the same pattern on both: hostdiag funccount PATTERN --output FILE"),
        Refusal::Questions([a, b]) => incompatible(format!("A counts {a}; B counts {b}"))
            .hint("count the same on both: hostdiag argcount FUNC EXPR... --output FILE"),
        Refusal::One => incompatible("features are compared one host with one".into()),
        Refusal::Full(name, full) => input::bad(&name, &full.to_string()),
        Refusal::Unreadable(name, error) => input::bad(&name, &error.to_string()),
    }
}

pub(super) fn status(verdict: Verdict, strict: bool) -> Status {
    match verdict {
        Verdict::Regressed | Verdict::Differs => Status::Findings,
        Verdict::Indicative if strict => Status::Findings,
        Verdict::Invalid => Status::Error,
        _ => Status::Fine,
    }
}
