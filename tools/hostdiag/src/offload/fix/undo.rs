//! The way back. Pure: which wishes are to be restored.

use std::collections::{BTreeMap, HashMap};

use hostdiag_model::plan::{Action, Identity, UndoResult, UndoneWish};
use hostdiag_model::stack::Stack;
use hostdiag_model::{FeatureName, Features};

use super::facts::Facts;
use super::journal::{Journal, State, Wish};

/// What is taken back of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The step it was in: a rollback, or the run before was killed there.
    Begun,
    /// All that it did.
    Run,
}

impl Scope {
    /// Whether a step that has come so far is taken back.
    pub fn takes(self, state: State) -> bool {
        state == State::Begun || (self == Self::Run && state == State::Kept)
    }
}

/// How a run is taken back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WayBack {
    /// Every wish, in the order in which they are restored: the last step
    /// first, and within a step the uppermost device.
    pub wishes: Vec<Back>,
    /// Devices whose features were computed anew, the last first. There is no
    /// state to go back to: only the wishes that changed by it are above.
    pub recomputed: Vec<String>,
}

/// What is to be done about one wish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Back {
    /// Of this step of the journal.
    pub step: usize,
    /// Where it is to be written: the device as it is called now. Absent where
    /// nothing is to be done.
    pub write: Option<Identity>,
    /// How it ends; with `write` that is `Restored`, once it was written.
    pub wish: UndoneWish,
}

/// How the steps of a run that are in `scope` are taken back, from `now` on.
/// A wish is written only where the device is the same as then and the wish is
/// still what the run made of it. A step is to be marked undone before the one
/// before it is touched: the two may have written the same wish.
pub fn way_back(journal: &Journal, scope: Scope, now: &Facts) -> WayBack {
    let mut present = Present::new(now);
    let mut way = WayBack::default();
    for (at, step) in journal.steps.iter().enumerate().rev().filter(|(_, step)| scope.takes(step.state)) {
        if step.action == Action::Recompute {
            let name = present.find(&step.device).map_or(&*step.device.name, |found| &found.identity.name);
            way.recomputed.push(name.to_owned());
        }
        let mut wishes: Vec<&Wish> = step.wishes.iter().collect();
        wishes.sort_by_key(|wish| std::cmp::Reverse(present.height(&wish.device)));
        way.wishes.extend(wishes.into_iter().map(|wish| present.back(at, wish)));
    }
    way
}

/// The devices as they are, and will be once what was found so far is restored.
struct Present<'a> {
    by_index: BTreeMap<u32, Seen<'a>>,
    restored: HashMap<(u32, FeatureName), bool>,
}

struct Seen<'a> {
    identity: Identity,
    features: Option<&'a Features>,
    height: usize,
}

impl<'a> Present<'a> {
    fn new(now: &'a Facts) -> Self {
        let stack = Stack::new(&now.namespace);
        let devices = now.namespace.devices.iter().enumerate();
        let seen = devices.filter_map(|(at, device)| {
            let (identity, height) = (now.identity(at)?, stack.height(at));
            Some((identity.ifindex, Seen { identity, features: device.features.as_ref(), height }))
        });
        Self { by_index: seen.collect(), restored: HashMap::new() }
    }

    fn height(&self, device: &Identity) -> usize {
        self.by_index.get(&device.ifindex).map_or(0, |seen| seen.height)
    }

    /// The device, or why it is not there. Its index is not given again until
    /// all are used up (net/core/dev.c, `dev_index_reserve`), so a device of the
    /// same index, kind and permanent address is the same one under any name.
    fn find(&self, then: &Identity) -> Result<&Seen<'a>, String> {
        let Some(seen) = self.by_index.get(&then.ifindex) else {
            let again = self.by_index.values().find(|seen| seen.identity.name == then.name);
            return Err(match again {
                Some(_) => "the device was removed and created again".to_owned(),
                None => "the device has gone".to_owned(),
            });
        };
        let found = &seen.identity;
        if (&found.kind, &found.permanent_address) == (&then.kind, &then.permanent_address) {
            Ok(seen)
        } else {
            Err(format!("another device, {}, has its place (index {})", found.name, found.ifindex))
        }
    }

    /// What is asked for now.
    fn wanted(&self, seen: &Seen<'_>, feature: &FeatureName) -> Result<bool, String> {
        let unread = || "its features could not be read".to_owned();
        let unknown = || "the kernel no longer lists the feature for it".to_owned();
        let state = seen.features.ok_or_else(unread)?.get(feature).ok_or_else(unknown)?;
        if !state.changeable() {
            return Err(format!("it cannot be changed any more: {state}"));
        }
        let restored = self.restored.get(&(seen.identity.ifindex, feature.clone()));
        Ok(restored.copied().unwrap_or_else(|| state.wanted()))
    }

    fn back(&mut self, step: usize, wish: &Wish) -> Back {
        let found = self.find(&wish.device);
        let name = found.as_ref().map_or(&wish.device.name, |seen| &seen.identity.name).clone();
        let was = (name != wish.device.name).then(|| wish.device.name.clone());
        let wanted = found.and_then(|seen| Ok((seen, self.wanted(seen, &wish.feature)?)));
        let (write, result) = match wanted {
            Err(why) => (None, UndoResult::Conflict { why }),
            Ok((_, wanted)) if wanted == wish.before => (None, UndoResult::AlreadySo),
            Ok((seen, _)) => (Some(seen.identity.clone()), UndoResult::Restored),
        };
        if let Some(device) = &write {
            self.restored.insert((device.ifindex, wish.feature.clone()), wish.before);
        }
        let (feature, wanted) = (wish.feature.clone(), wish.before);
        Back { step, write, wish: UndoneWish { device: name, was, feature, wanted, result } }
    }
}

#[cfg(test)]
#[path = "undo_tests.rs"]
mod tests;
