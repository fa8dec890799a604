//! `hostdiag flamegraph`: stacks as one picture.

use std::io::{BufRead, Read};
use std::path::PathBuf;

use anyhow::{Context, Result};
use hostdiag_model::Data;
use hostdiag_model::diff::stacks;
use hostdiag_model::diff::{Source, What};
use hostdiag_model::glob;
use hostdiag_report::{flame, perf_script, trace};

use super::report;
use crate::fail::{Code, Failure, Status};
use crate::input;
use crate::output;

/// The largest text of stacks that is read.
const MAX_TEXT: u64 = 512 << 20;

/// Draw stacks as a flame graph, an SVG file for browsers.
///
/// Recordings of stacks, folded stacks, what `perf script` or bcc's stackcount prints;
/// several files are one graph. `hostdiag diff --format svg` draws two sides.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hostdiag flamegraph push.hd --output push.svg\n  \
    perf script | hostdiag flamegraph - --icicle > cpu.svg\n  \
    hostdiag flamegraph --include 'tcp_*' --exclude swapper before.folded -o tcp.svg\n\n\
    Exit status: 0 drawn; 2 a file cannot be read, or there is no stack.")]
pub struct Args {
    /// Files (`-`: stdin).
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Write the picture to FILE.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
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
}

/// Runs it.
pub fn run(args: &Args) -> Result<Status> {
    let mut lines = String::new();
    let mut names = Vec::new();
    for path in &args.files {
        let source = input::open(path)?;
        names.push(source.name.clone());
        lines.push_str(&folded(source)?);
    }
    let kept = lines.lines().filter(|line| kept(line, args));
    let options = flame::Options {
        title: args.title.clone().unwrap_or_else(|| names.join(" ")),
        count_name: "samples".into(),
        icicle: args.icicle,
        reverse: args.reverse,
        ..flame::Options::default()
    };
    let picture = flame::svg(kept, &options).ok_or_else(|| {
        let hint = "leave out --include and --exclude, or record longer";
        Failure::new(Code::BadInput, format!("no stack in {}", names.join(", "))).hint(hint)
    })?;
    match &args.output {
        Some(path) => output::save(path, |out| out.write_all(picture.as_bytes()))?,
        None => output::write(|out| out.write_all(picture.as_bytes()))?,
    }
    Ok(Status::Fine)
}

/// Whether the stack of a folded line has what was asked for.
fn kept(line: &str, args: &Args) -> bool {
    let stack = line.rsplit_once(' ').map_or(line, |(stack, _)| stack);
    let has = |patterns: &[String]| {
        patterns.iter().any(|pattern| stack.split(';').any(|frame| glob::matches(pattern, frame)))
    };
    (args.include.is_empty() || has(&args.include)) && !has(&args.exclude)
}

/// The stacks of a file, a line each.
fn folded(source: Source<'_>) -> Result<String> {
    match source.what {
        What::Recording(mut recording) => {
            report::fold(&mut recording.data)?;
            match &recording.data {
                Data::Trace(stacks) => Ok(trace::text(&recording, stacks)),
                _ => Ok(String::new()),
            }
        }
        What::Stacks(text) => of_text(&source.name, text),
    }
}

fn of_text(name: &str, mut input: Box<dyn BufRead + '_>) -> Result<String> {
    let what = || format!("failed to read {name}");
    let start = String::from_utf8_lossy(input.fill_buf().with_context(what)?).into_owned();
    if perf_script::is_perf_script(&start) {
        let mut text = String::new();
        let length = input.take(MAX_TEXT).read_to_string(&mut text).with_context(what)?;
        if length as u64 == MAX_TEXT {
            return Err(input::bad(name, "larger than 512 MiB; fold it before").into());
        }
        return perf_script::folded(&text).map_err(|problem| input::bad(name, &problem).into());
    }
    let mut lines = String::new();
    stacks::read(&mut input, &mut |stack, count| {
        if lines.len() as u64 > MAX_TEXT {
            return Err("more than 512 MiB of stacks".into());
        }
        lines.push_str(stack);
        lines.push_str(&format!(" {count}\n"));
        Ok(())
    })
    .map_err(|error| input::bad(name, &error.to_string()))?;
    Ok(lines)
}
