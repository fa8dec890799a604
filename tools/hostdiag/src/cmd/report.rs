//! `hostdiag report`: a recording, shown again.

use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::trace::{Payload, Window};
use hostdiag_model::{Data, Recording};
use hostdiag_report::{capture, chart, fix, html, offload, pprof, snapshot, trace};

use super::{compare, diff};
use crate::fail::{Code, Failure, Status};
use crate::input;
use crate::offload::from;
use crate::output::{self, Look};

/// Show a recording again, as it was shown when it was made.
///
/// Any file that --output wrote. Of several recordings, as `hostdiag record` writes them,
/// text and html show all, and folded, svg and pprof the first with stacks. An audit of
/// offloads is shown as it was judged then, and what `hostdiag compare` kept is compared again; `hostdiag offload --from` judges it anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 shown; 2 the file cannot be read.")]
pub struct Args {
    /// The recording (`-`: stdin).
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Everything: of an audit also devices without findings.
    #[arg(long)]
    pub all: bool,
    /// Without names of hosts, devices and files, addresses, and texts of arguments: to be given
    /// away. With --format json it is a recording as before.
    #[arg(long)]
    pub redact: bool,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The recording itself, as JSON lines.
    Json,
    /// Stacks, a line each, all intervals together: for flame graphs.
    Folded,
    /// Charts: rates over time, how durations are spread and change; of stacks a flame
    /// graph, all intervals together.
    Svg,
    /// A page for any browser: everything as tables and pictures, in one file.
    Html,
    /// Stacks as a profile of pprof: `go tool pprof FILE` and others read it.
    Pprof,
}

/// Runs it.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let mut recordings = from::any_recordings(&args.file)?;
    if args.redact {
        input::redact(&mut recordings)?;
    }
    match args.format {
        Format::Json => {
            output::write(|out| recordings.iter().try_for_each(|recording| recording.write(out)))?;
        }
        Format::Text if compare::is_kept(&recordings) => again(args, look, recordings)?,
        Format::Html if compare::is_kept(&recordings) => again(args, look, recordings)?,
        Format::Text => show(args, look, &recordings)?,
        Format::Folded => {
            let recording = with_stacks(&mut recordings)?;
            fold(&mut recording.data)?;
            show(args, look, std::slice::from_ref(recording))?;
        }
        Format::Pprof => {
            let recording = with_stacks(&mut recordings)?;
            let profile = match &recording.data {
                Data::Trace(trace) => pprof::profile(recording, trace),
                _ => None,
            };
            let profile = profile.ok_or_else(|| without_stacks(&recording.data))?;
            output::write(|out| out.write_all(&profile))?;
        }
        Format::Svg => {
            let drawn = svg(with_stacks(&mut recordings)?)?;
            output::write(|out| out.write_all(drawn.as_bytes()))?;
        }
        Format::Html => {
            let page = html::report(&recordings, &args.file.to_string_lossy());
            output::write(|out| out.write_all(page.as_bytes()))?;
        }
    }
    Ok(Status::Fine)
}

/// Compares what a comparison of hosts kept, as it was compared then.
fn again(args: &Args, look: Look, recordings: Vec<Recording>) -> Result<()> {
    let format = if args.format == Format::Html { diff::Format::Html } else { diff::Format::Text };
    let options = hostdiag_report::compare::Options { all: args.all, style: look.style() };
    compare::again(recordings, format, options, &args.file)
}

/// Of several recordings the first of stacks: the profile, in what `record` wrote.
fn with_stacks(recordings: &mut [Recording]) -> Result<&mut Recording, Failure> {
    let of_stacks = |recording: &Recording| match &recording.data {
        Data::Trace(trace) => trace.windows.iter().any(|window| window.payload.stacks().is_some()),
        _ => false,
    };
    let index = recordings.iter().position(of_stacks).unwrap_or(0);
    recordings.get_mut(index).ok_or_else(|| Failure::new(Code::BadInput, "there is no recording"))
}

/// Shows them as text, one below the other.
fn show(args: &Args, look: Look, recordings: &[Recording]) -> Result<()> {
    let several = recordings.len() > 1;
    for (index, recording) in recordings.iter().enumerate() {
        let title = if several { capture::title(recording, index == 0) } else { String::new() };
        let text = title + &text(args, look, recording);
        output::write(|out| out.write_all(text.as_bytes()))?;
        if let Data::Trace(data) = &recording.data
            && !data.windows.is_empty()
        {
            trace::words::notes(data).iter().for_each(|note| output::say(note));
        }
    }
    Ok(())
}

fn text(args: &Args, look: Look, recording: &Recording) -> String {
    let repairs = fix::Options { all: args.all, style: look.style() };
    match &recording.data {
        Data::Offload(data, audit) => {
            let options = offload::Options { notes: args.all, all: args.all, style: look.style() };
            offload::text(recording, data, audit, options)
        }
        Data::Fix(fix) => fix::text(recording, fix, repairs),
        Data::Undo(undo) => fix::undo::text(recording, undo, repairs),
        Data::History(history) => fix::history::text(recording, history, repairs),
        Data::Trace(data) if data.windows.is_empty() => trace::list::text(&data.head, look.style()),
        Data::Trace(data) => trace::text(recording, data),
        Data::Snapshot(data) => {
            snapshot::text(recording, data, snapshot::Options { all: args.all, style: look.style() })
        }
    }
}

/// A flame graph of stacks, charts of other traces.
///
/// # Errors
/// `bad-input` where there is nothing to draw.
pub(super) fn svg(recording: &Recording) -> Result<String, Failure> {
    let drawn = match &recording.data {
        Data::Trace(trace) => trace::svg(recording, trace).or_else(|| chart::svg(recording, trace)),
        _ => None,
    };
    drawn.ok_or_else(|| {
        Failure::new(Code::BadInput, format!("there is nothing to draw of {}", recording.data.name()))
            .hint("recordings of profile, stackcount, funccount and funclatency can be drawn")
    })
}

fn without_stacks(data: &Data) -> Failure {
    Failure::new(Code::BadInput, format!("{} without stacks cannot be folded", data.name()))
        .hint("hostdiag stackcount --output FILE makes a recording of stacks")
}

/// Has stacks shown as for flame graphs, however they were shown then.
pub(super) fn fold(data: &mut Data) -> Result<(), Failure> {
    let without = without_stacks(data);
    let Data::Trace(trace) = data else { return Err(without) };
    let folded = |window: &Window| {
        let payload = Payload::Stacks(window.payload.stacks()?.into_owned());
        Some(Window { payload, ..*window })
    };
    let windows = trace.windows.iter().filter_map(folded).collect();
    let before = std::mem::replace(&mut trace.windows, windows);
    if trace.windows.is_empty() && !before.is_empty() {
        return Err(without);
    }
    let asked = &mut trace.head.asked;
    (asked.interval_ms, asked.stacks.folded, asked.stacks.bcc) = (None, true, false);
    Ok(())
}
