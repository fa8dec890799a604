//! `hostdiag snapshot`: how this host is set up, and what happens on it.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::Data;
use hostdiag_report::snapshot as render;

use crate::fail::Status;
use crate::output::{self, Look};
use crate::stop::Stop;
use crate::{duration, snapshot};

/// Show what can make this host slower than another, and what happens on it.
///
/// Reads how kernel, CPUs, memory, disks, network and system are set up, with the file
/// that sets what is set by one, and counts for a while what happens: CPU time,
/// interrupts, packets, drops, stalls, trouble in the kernel's log. Changes nothing. As
/// root it reads more; what it could not read it says.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 read; 2 wrong usage or an error.")]
pub struct Args {
    /// How long to count; 0 counts nothing.
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration::parse)]
    pub interval: Duration,
    /// Keep the recording in FILE; `hostdiag report` shows it again.
    #[arg(long, value_name = "FILE", value_parser = output::file_name)]
    pub output: Option<PathBuf>,
    /// How to print it.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
    /// Everything: every setting and every count.
    #[arg(long)]
    pub all: bool,
}

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// The recording, as JSON lines.
    Json,
}

/// Runs it.
///
/// # Errors
/// The result cannot be written.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let stop = Stop::new()?;
    let recording = snapshot::begin().count(args.interval, &stop);
    if let Some(path) = &args.output {
        output::save(path, |out| recording.write(out))?;
    }
    match (args.format, &recording.data) {
        (Format::Text, Data::Snapshot(data)) => {
            let options = render::Options { all: args.all, style: look.style() };
            let text = render::text(&recording, data, options);
            output::write(|out| out.write_all(text.as_bytes()))?;
        }
        _ => output::write(|out| recording.write(out))?,
    }
    Ok(Status::Fine)
}
