//! `hostdiag report`: a recording, shown again.

use std::io::{self, Write};
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
use crate::output::{self, Destination, Look};

/// Show a recording again, as it was shown when it was made.
///
/// Any file that --output wrote. Of several recordings, as `hostdiag record` writes them,
/// text and html show all, and folded, svg and pprof the first with stacks. An audit of
/// offloads is shown as it was judged then; `hostdiag offload --from` judges it anew. What
/// `hostdiag compare` kept is compared again.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  hostdiag report both.hd --format html --output both.html\n  \
    hostdiag report push.hd --format folded | head\n\n\
    Exit status: 0 shown; 2 the file cannot be read, or --output cannot be written.")]
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
    /// Where it goes.
    #[command(flatten)]
    pub destination: Destination,
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
    /// Charts: rates over time, how durations, delays and values are spread and change; of
    /// stacks a flame graph, all intervals together.
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
        Format::Json => args.write(|out| recordings.iter().try_for_each(|recording| recording.write(out)))?,
        Format::Text | Format::Html if compare::is_kept(&recordings) => again(args, look, recordings)?,
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
            args.write(|out| out.write_all(&profile))?;
        }
        Format::Svg => {
            let drawn = svg(with_stacks(&mut recordings)?)?;
            args.write(|out| out.write_all(drawn.as_bytes()))?;
        }
        Format::Html => {
            let page = html::report(&recordings, &args.file.to_string_lossy());
            args.write(|out| out.write_all(page.as_bytes()))?;
        }
    }
    Ok(Status::Fine)
}

impl Args {
    fn write(&self, result: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<()> {
        self.destination.write([&self.file], result)
    }
}

/// Compares what a comparison of hosts kept, as it was compared then.
fn again(args: &Args, look: Look, recordings: Vec<Recording>) -> Result<()> {
    let format = if args.format == Format::Html { diff::Format::Html } else { diff::Format::Text };
    let options = hostdiag_report::compare::Options { all: args.all, style: args.destination.style(look) };
    let report = compare::again(recordings)?;
    let text = compare::shown(&report, format, options, Some(&args.file))?;
    args.write(|out| out.write_all(text.as_bytes()))?;
    if format == diff::Format::Text {
        hostdiag_report::compare::next(&report).iter().for_each(|next| output::say(next));
    }
    Ok(())
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

/// Shows them as text, one below the other, each with its notes.
fn show(args: &Args, look: Look, recordings: &[Recording]) -> Result<()> {
    let several = recordings.len() > 1;
    args.write(|out| {
        for (index, recording) in recordings.iter().enumerate() {
            let title = if several { capture::title(recording, index == 0) } else { String::new() };
            out.write_all((title + &text(args, look, recording)).as_bytes())?;
            out.flush()?;
            if let Data::Trace(data) = &recording.data
                && !data.windows.is_empty()
            {
                trace::words::notes(data).iter().for_each(|note| output::say(note));
            }
        }
        Ok(())
    })
}

fn text(args: &Args, look: Look, recording: &Recording) -> String {
    let style = args.destination.style(look);
    let repairs = fix::Options { all: args.all, style };
    match &recording.data {
        Data::Offload(data, audit) => {
            let options = offload::Options { notes: args.all, all: args.all, style };
            offload::text(recording, data, audit, options)
        }
        Data::Fix(fix) => fix::text(recording, fix, repairs),
        Data::Undo(undo) => fix::undo::text(recording, undo, repairs),
        Data::History(history) => fix::history::text(recording, history, repairs),
        Data::Trace(data) if data.windows.is_empty() => trace::list::text(&data.head, style),
        Data::Trace(data) => trace::text(recording, data),
        Data::Snapshot(data) => snapshot::text(recording, data, snapshot::Options { all: args.all, style }),
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
    drawn.ok_or_else(|| nothing_to_draw(&recording.data))
}

fn nothing_to_draw(data: &Data) -> Failure {
    let counted = |window: &Window| window.payload.events() > 0;
    match data {
        Data::Trace(trace) if !trace.windows.is_empty() && !trace.windows.iter().any(counted) => {
            Failure::new(Code::BadInput, "nothing was counted, so that there is nothing to draw")
                .hint("measure for longer, or while the load runs")
        }
        data => Failure::new(Code::BadInput, format!("there is nothing to draw of {}", data.name()))
            .hint("what the tracing tools recorded can be drawn; --format html makes a page of anything"),
    }
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
