//! `hostdiag agent`: records on this host for a hostdiag on another.

use std::io;

use anyhow::{Context, Result};

use crate::fail::Status;
use crate::remote::agent;

/// Record for a hostdiag on another host, which starts it and talks to it on stdin.
///
/// It reads requests and sends recordings, and ends when stdin does. No request
/// changes anything on this host.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit status: 0 stdin ended; 2 what came there is no request.")]
pub struct Args {}

/// Runs it.
pub fn run(_: &Args) -> Result<Status> {
    // Not locked: a thread reads it, which this one does not wait for.
    agent::serve(io::stdin(), &mut io::stdout()).context("hostdiag agent")?;
    Ok(Status::Fine)
}
