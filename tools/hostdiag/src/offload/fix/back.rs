//! Carries out the way back: of one step, or of a whole run.

use hostdiag_model::plan::{UndoResult, Undone};

use super::apply::Kernel;
use super::facts::Facts;
use super::journal::lock::Lock;
use super::journal::{Journal, State};
use super::undo::{self, Scope};

/// Takes back what is in `scope` of a run, from `now` on. A wish that cannot be
/// written is a conflict; the rest is taken back all the same.
///
/// # Errors
/// The journal cannot be written. What is then taken back already is told as
/// such when it is tried again.
pub fn take(
    lock: &Lock,
    journal: &mut Journal,
    scope: Scope,
    (kernel, now): (&mut dyn Kernel, &Facts),
) -> anyhow::Result<Undone> {
    let way = undo::way_back(journal, scope, now);
    let mut wishes = Vec::new();
    for back in way.wishes {
        let mut wish = back.wish;
        if let Some(device) = back.write
            && let Err(error) = kernel.set(&device, &[(wish.feature.clone(), wish.wanted)])
        {
            wish.result = UndoResult::Conflict { why: error.to_string() };
        }
        wishes.push(wish);
    }
    for at in 0..journal.steps.len() {
        if scope.takes(journal.steps[at].state) {
            lock.mark(journal, at, State::Undone)?;
        }
    }
    Ok(Undone { id: journal.id.clone(), wishes, recomputed: way.recomputed })
}
