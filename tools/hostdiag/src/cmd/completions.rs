//! `hostdiag completions`: what a shell needs to complete our command line.

use anyhow::Result;
use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::fail::Status;
use crate::output;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "bash: hostdiag completions bash > /etc/bash_completion.d/hostdiag\n\
zsh:  hostdiag completions zsh > /usr/local/share/zsh/site-functions/_hostdiag\n\
fish: hostdiag completions fish > /etc/fish/completions/hostdiag.fish")]
pub struct Args {
    /// Which shell.
    #[arg(value_enum)]
    pub shell: Kind,
}

/// The shells that are supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// Prints the script.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Args) -> Result<Status> {
    let shell = match args.shell {
        Kind::Bash => Shell::Bash,
        Kind::Zsh => Shell::Zsh,
        Kind::Fish => Shell::Fish,
    };
    // Not straight to stdout: clap_complete panics when a write fails.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hostdiag", &mut script);
    output::write(|out| out.write_all(&script))?;
    Ok(Status::Fine)
}
