//! `hostdiag` alone: which subcommand for which symptom.

use anyhow::Result;

use crate::fail::Status;
use crate::output;

const PAGE: &str = "\
hostdiag finds out why a Linux host got slower after an OS or kernel change.

  network slow, system CPU went up    hostdiag offload
  how often is a function called      hostdiag funccount FUNCTION
  how long does a function take       hostdiag funclatency FUNCTION
  where does the CPU time go          hostdiag profile 10
  what do its threads wait for        hostdiag profile --off-cpu -p PID 10
  from where is it called             hostdiag stackcount FUNCTION
  with which arguments                hostdiag argcount FUNCTION ARGUMENT
  which timers are started, by whom   hostdiag timer-names
  how is this host set up             hostdiag snapshot
  why is one slower than another      hostdiag compare A B
  what differs between recordings     hostdiag diff A B
  what can this host measure          hostdiag doctor
  what does that word mean            hostdiag explain TOPIC

hostdiag --help lists every subcommand, hostdiag SUBCOMMAND --help its options.
";

/// Prints the page.
pub fn run() -> Result<Status> {
    output::write(|out| out.write_all(PAGE.as_bytes()))?;
    Ok(Status::Fine)
}
