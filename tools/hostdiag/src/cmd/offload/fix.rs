//! `hostdiag offload --fix`, `--undo`, `--history`, `--emit`, `--service`.

use anyhow::Result;
use hostdiag_model::plan::{Done, Fix, Plan, Undo};
use hostdiag_model::recording::Data;
use hostdiag_report::fix as render;

use super::{Args, Format};
use crate::fail::{Code, Failure, Status};
use crate::kernel::caps::{self, Capability};
use crate::net::netns;
use crate::offload::fix::repair::{self, Order, Repaired};
use crate::offload::rules;
use crate::output::{self, Look};
use crate::stop::Stop;

/// Runs what was asked for.
pub fn run(args: &Args, look: Look) -> Result<Status> {
    if args.fix.history {
        return history(args, look);
    }
    if let Some(manager) = args.fix.emit {
        return emit(args, manager);
    }
    if args.fix.undo.is_some() {
        return undo(args, look);
    }
    if args.fix.service {
        return service(args, look);
    }
    fix(args, look)
}
