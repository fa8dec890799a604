//! `hostdiag doctor`: what this kernel and this user can do, and what provides
//! the rest.
//!
//! ```text
//! $ hostdiag doctor
//! web17  Linux 6.1.0-56-amd64 x86_64: 27 ok, 2 missing
//! ...
//! MISSING  kprobe.multi  Operation not supported (os error 95)
//!          for measuring functions
//!          remedy: a kernel with CONFIG_FPROBE=y, 5.18 or later; else functions attach one by one
//! ...
//! ```

use anyhow::Result;
use clap::ValueEnum;
use hostdiag_model::{Doctor, doctor};

use crate::fail::Status;
use crate::kernel::facts::Facts;
use crate::kernel::plan::plan;
use crate::output::{self, Look};

/// Show what this kernel and this user can do, and what provides the rest.
///
/// As root it tells more: it attaches empty programs for an instant, because
/// neither a version nor a name in the kernel's types tells what works.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 no subcommand lacks anything it cannot do without; \
4 one does; 2 wrong usage.")]
pub struct Args {
    /// How to print: for people, or as one JSON object.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,
}

/// Formats that doctor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// Schema `hostdiag.doctor`.
    Json,
}

/// Gathers the facts, prints the checks.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    let facts = Facts::gather();
    let doctor = Doctor {
        schema: doctor::SCHEMA.into(),
        version: doctor::VERSION,
        checks: plan(&facts),
        host: facts.host,
        leftovers: facts.leftovers,
    };
    let text = match args.format {
        Format::Text => hostdiag_report::doctor::text(&doctor, look.style()),
        Format::Json => hostdiag_report::doctor::json(&doctor)?,
    };
    output::write(|out| out.write_all(text.as_bytes()))?;
    Ok(if doctor.blocking().next().is_some() { Status::Missing } else { Status::Fine })
}
