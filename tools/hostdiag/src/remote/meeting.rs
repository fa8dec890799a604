//! Where the sessions of several hosts wait for one another.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::record::busiest::Busy;

/// Sessions that go on together. One that leaves is not waited for any more.
pub(super) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

/// What is brought to a meeting.
type Brought = Vec<Busy>;

/// A meeting that was held.
pub(super) struct Met {
    /// What each has brought, in no order.
    pub(super) brought: Vec<Brought>,
    /// Since when all were there.
    pub(super) since: Instant,
    /// Whether this one came first, as just one of them.
    pub(super) first: bool,
}

struct State {
    members: usize,
    /// What those have brought that are there.
    brought: Vec<Brought>,
    /// What the last meeting came to.
    last: (Vec<Brought>, Instant),
    /// Meetings so far.
    held: u64,
}

impl Meeting {
    /// One of so many.
    pub(super) fn of(members: usize) -> Self {
        let last = (Vec::new(), Instant::now());
        Self {
            state: Mutex::new(State { members, brought: Vec::new(), last, held: 0 }),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for all the others.
    pub(super) fn meet(&self, brought: Brought) -> Met {
        let mut state = self.lock();
        let (held, first) = (state.held, state.brought.is_empty());
        state.brought.push(brought);
        self.hold_where_all_are_there(&mut state);
        let waits = |state: &mut State| state.held == held;
        let state = self.changed.wait_while(state, waits).unwrap_or_else(PoisonError::into_inner);
        let (brought, since) = state.last.clone();
        Met { brought, since, first }
    }

    /// One has left.
    pub(super) fn leave(&self) {
        let mut state = self.lock();
        state.members = state.members.saturating_sub(1);
        self.hold_where_all_are_there(&mut state);
    }

    fn hold_where_all_are_there(&self, state: &mut State) {
        if state.brought.len() >= state.members && !state.brought.is_empty() {
            state.last = (std::mem::take(&mut state.brought), Instant::now());
            state.held += 1;
            self.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_meet_and_who_leaves_is_not_waited_for() {
        let meeting = Meeting::of(4);
        let busy = |name: &str| vec![Busy { name: name.into(), ppm: 1 }];
        std::thread::scope(|scope| {
            let meeting = &meeting;
            let rounds = ["a", "b", "c"]
                .map(|name| scope.spawn(move || [meeting.meet(busy(name)), meeting.meet(Vec::new())]));
            meeting.leave();
            let met = rounds.map(|round| round.join().unwrap());
            assert!(met.iter().flatten().all(|met| met.brought.len() == 3));
            assert!((0..2).all(|round| met.iter().filter(|met| met[round].first).count() == 1));
        });
    }
}
