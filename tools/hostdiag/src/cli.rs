//! The command line: what there is to type, and how a run ends.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::cmd;
use crate::fail::{Failure, Status};
use crate::output::{self, Color, Look};

/// Find out why a Linux host got slower after an OS or kernel change.
#[derive(Debug, Parser)]
#[command(name = "hostdiag", version, disable_help_subcommand = true, after_help = EXIT_STATUS)]
pub struct Cli {
    /// What to do; without it, a page by symptom.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Colours in text.
    #[arg(long, value_enum, global = true, default_value_t, value_name = "WHEN", display_order = 900)]
    pub color: Color,
}

/// Printed below `--help` and in the man pages.
pub const EXIT_STATUS: &str = "Exit status: 0 fine, nothing found; 1 findings, a regression; 2 wrong usage or an error; \
3 a repair made things worse and was rolled back; 4 a privilege or kernel feature is missing; \
5 another host failed; 130 a repair was interrupted. `hostdiag explain exit-status` has the rest.";

/// The subcommands, one file in `cmd/` each.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "each is described by its arguments, where clap reads it")]
pub enum Command {
    Offload(Box<cmd::offload::Args>),
    Funccount(Box<cmd::funccount::Args>),
    Funclatency(Box<cmd::funclatency::Args>),
    Stackcount(Box<cmd::stackcount::Args>),
    Argcount(Box<cmd::argcount::Args>),
    TimerNames(Box<cmd::timer_names::Args>),
    Profile(Box<cmd::profile::Args>),
    Record(cmd::record::Args),
    Snapshot(cmd::snapshot::Args),
    Report(cmd::report::Args),
    Diff(cmd::diff::Args),
    Compare(cmd::compare::Args),
    Flamegraph(cmd::flamegraph::Args),
    #[command(hide = true)]
    Agent(cmd::agent::Args),
    Doctor(cmd::doctor::Args),
    Explain(cmd::explain::Args),
    Man(cmd::man::Args),
    Completions(cmd::completions::Args),
}

/// Parses the command line, runs it, reports how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    match run(cli) {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => report(&error),
    }
}

fn run(cli: Cli) -> Result<Status> {
    let look = Look { color: cli.color };
    match cli.command {
        None => cmd::symptoms::run(),
        Some(Command::Offload(args)) => cmd::offload::run(&args, look),
        Some(Command::Funccount(args)) => cmd::funccount::run(&args, look),
        Some(Command::Funclatency(args)) => cmd::funclatency::run(&args, look),
        Some(Command::Stackcount(args)) => cmd::stackcount::run(&args, look),
        Some(Command::Argcount(args)) => cmd::argcount::run(&args, look),
        Some(Command::TimerNames(args)) => cmd::timer_names::run(&args),
        Some(Command::Profile(args)) => cmd::profile::run(&args),
        Some(Command::Record(args)) => cmd::record::run(&args),
        Some(Command::Snapshot(args)) => cmd::snapshot::run(&args, look),
        Some(Command::Report(args)) => cmd::report::run(&args, look),
        Some(Command::Diff(args)) => cmd::diff::run(&args, look),
        Some(Command::Compare(args)) => cmd::compare::run(&args, look),
        Some(Command::Flamegraph(args)) => cmd::flamegraph::run(&args),
        Some(Command::Agent(args)) => cmd::agent::run(&args),
        Some(Command::Doctor(args)) => cmd::doctor::run(&args, look),
        Some(Command::Explain(args)) => cmd::explain::run(&args),
        Some(Command::Man(args)) => cmd::man::run(&args),
        Some(Command::Completions(args)) => cmd::completions::run(&args),
    }
}

/// clap's own messages: help and version are results, the rest is wrong usage.
fn usage(error: &clap::Error) -> ExitCode {
    let failed = error.print().is_err();
    if error.use_stderr() || failed { ExitCode::from(Status::Error as u8) } else { ExitCode::SUCCESS }
}

/// One line with what failed and why, then what to do next. A reader that has
/// gone away (`hostdiag … | head`, a terminal that was closed) is no error.
fn report(error: &anyhow::Error) -> ExitCode {
    let io = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
    if io.is_some_and(output::is_unread) {
        return ExitCode::SUCCESS;
    }
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    let mut text = format!("error: {error:#}");
    if let Some(failure) = failure {
        text.push_str(&format!(" [{}]", failure.code.as_str()));
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("\nhint:  {hint}"));
        }
    }
    // Names from the host or from a file may hold what a terminal obeys.
    let text: Vec<String> = text.lines().map(hostdiag_report::page::harmless).collect();
    // Nobody is left to tell when stderr is closed.
    let _ = writeln!(io::stderr(), "{}", text.join("\n"));
    ExitCode::from(failure.map_or(Status::Error, |failure| failure.code.status()) as u8)
}
