//! `hostdiag flamegraph`: stacks as one picture.

use std::borrow::Cow;
use std::io::{BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};
use hostdiag_model::Data;
use hostdiag_model::diff::stacks::Tree;
use hostdiag_model::diff::{Source, What, Which};
use hostdiag_model::glob;
use hostdiag_report::{flame, perf_script, trace};

use super::report;
use crate::fail::{Code, Failure, Status};
use crate::input;
use crate::output::Destination;

/// The largest text of stacks that is read.
const MAX_TEXT: u64 = 512 << 20;

/// Draw stacks as a flame graph, an SVG file for browsers.
///
/// Recordings of stacks, folded stacks, what `perf script` or bcc's stackcount prints;
/// several files are one graph. `hostdiag diff --format svg` draws two sides.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hostdiag flamegraph push.hd --output push.svg\n  \
    perf script | hostdiag flamegraph - --icicle -o cpu.svg\n  \
    hostdiag flamegraph --include 'tcp_*' --exclude swapper before.folded -o tcp.svg\n\n\
    Exit status: 0 drawn; 2 a file cannot be read, or there is no stack.")]
pub struct Args {
    /// Files (`-`: stdin).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Where it goes.
    #[command(flatten)]
    pub destination: Destination,
    /// From the top to the bottom.
    #[arg(long)]
    pub icicle: bool,
    /// Innermost functions at the base: from where are they called?
    #[arg(long)]
    pub reverse: bool,
    /// What stands above it; without it the files.
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Only stacks with a frame like this, a glob; several times: any of them.
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No stacks with a frame like this, likewise.
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Without names of files and hosts, to be given away; stacks stay as they are.
    #[arg(long)]
    pub redact: bool,
}

/// Runs it.
pub fn run(args: &Args) -> Result<Status> {
    let mut tree = Tree::as_spelt(vec![Which::A]);
    let mut names = Vec::new();
    for path in &args.files {
        let mut source = input::open(path)?;
        names.push(name(&mut source, args.redact)?);
        add(source, &mut tree, args)?;
    }
    let lines = flame::lines(&tree.finish());
    let options = flame::Options {
        title: args.title.clone().unwrap_or_else(|| names.join(" ")),
        count_name: "samples".into(),
        icicle: args.icicle,
        ..flame::Options::default()
    };
    let picture = flame::svg(lines.iter().map(String::as_str), &options).ok_or_else(|| {
        let hint = "leave out --include and --exclude, or record longer";
        Failure::new(Code::BadInput, format!("no stack in {}", names.join(", "))).hint(hint)
    })?;
    args.destination.write(&args.files, |out| out.write_all(picture.as_bytes()))?;
    Ok(Status::Fine)
}

/// A stack as it is drawn, if it has what was asked for.
fn wanted<'a>(stack: &'a str, args: &Args) -> Option<Cow<'a, str>> {
    let has = |patterns: &[String]| {
        patterns.iter().any(|pattern| stack.split(';').any(|frame| glob::matches(pattern, frame)))
    };
    let kept = (args.include.is_empty() || has(&args.include)) && !has(&args.exclude);
    kept.then(|| match args.reverse {
        true => stack.rsplit(';').collect::<Vec<_>>().join(";").into(),
        false => stack.into(),
    })
}

/// What a file is called in the picture.
fn name(source: &mut Source<'_>, redact: bool) -> Result<String> {
    if !redact {
        return Ok(source.name.clone());
    }
    Ok(input::redact(source.recording_mut())?.file(&source.name))
}

/// Adds the stacks of a file.
fn add(source: Source<'_>, tree: &mut Tree, args: &Args) -> Result<()> {
    let Source { name, what } = source;
    let mut read = |text: &mut dyn BufRead| {
        tree.read(0, text, &|stack| wanted(stack, args))
            .map_err(|error| input::bad(&name, &error.to_string()))
    };
    match what {
        What::Recording(mut recording) => {
            report::fold(&mut recording.data)?;
            if let Data::Trace(stacks) = &recording.data {
                read(&mut trace::text(&recording, stacks).as_bytes())?;
            }
        }
        What::Stacks(mut text) => {
            let start = text.fill_buf().with_context(|| format!("failed to read {name}"))?;
            match perf_script::is_perf_script(&String::from_utf8_lossy(start)) {
                true => read(&mut of_perf(&name, text)?.as_bytes())?,
                false => read(&mut text)?,
            }
        }
    }
    Ok(())
}

/// What `perf script` printed, folded.
fn of_perf(name: &str, text: Box<dyn BufRead + '_>) -> Result<String> {
    let mut whole = String::new();
    let read = text.take(MAX_TEXT).read_to_string(&mut whole);
    let length = read.with_context(|| format!("failed to read {name}"))?;
    if length as u64 == MAX_TEXT {
        return Err(input::bad(name, "larger than 512 MiB; fold it before").into());
    }
    perf_script::folded(&whole).map_err(|problem| input::bad(name, &problem).into())
}
