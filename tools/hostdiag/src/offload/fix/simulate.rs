//! How the kernel computes the features of stacked devices. Pure.
//!
//! What user space cannot know (the law of a driver, `vlan_features` that were
//! not read, which of two kernels it is) is guessed both ways, and what differs
//! between the two is not certain.

mod bits;
mod host;
mod laws;
mod layers;
mod rules;

use hostdiag_model::plan::Change;
use hostdiag_model::stack::{Position, Role};
use hostdiag_model::{FeatureName, Namespace};

use self::bits::{Names, State};
use self::host::{Guess, Host};
use self::layers::Layers;

/// What is done to a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation<'a> {
    /// Wishes are written, then the features are computed anew. A feature that
    /// the device cannot change, or has not, is passed over.
    Set(&'a [(FeatureName, bool)]),
    /// The features are computed anew.
    Recompute,
}

/// What follows from an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The namespace after it, with every change made, certain or not.
    pub namespace: Namespace,
    /// Every bit that changes, those of the device itself first, then in the
    /// order of the devices.
    pub changes: Vec<Change>,
}

/// What an operation on the device at a position changes in its namespace.
///
/// Follows `__netdev_update_features` (net/core/dev.c) through all devices:
/// those on top compute theirs too, those below lose LRO. `vlan_features` stay
/// as they are. A device whose features are not known is passed over, except
/// that it may not want LRO below it.
pub fn after(namespace: &Namespace, at: Position, operation: &Operation<'_>) -> Outcome {
    let model = Model::of(namespace);
    let after = [Guess::Happens, Guess::Stays].map(|guess| model.run(guess, at, operation));
    let mut outcome = Outcome { namespace: namespace.clone(), changes: Vec::new() };
    let rest = (0..namespace.devices.len()).filter(|other| *other != at);
    for device in std::iter::once(at).filter(|at| *at < namespace.devices.len()).chain(rest) {
        model.compare(device, &after, &mut outcome);
    }
    outcome
}

/// A namespace as sets of features.
struct Model<'a> {
    namespace: &'a Namespace,
    names: Names,
    layers: Layers,
    states: Vec<State>,
}

/// How a guess ended.
struct End {
    states: Vec<State>,
    exhausted: bool,
}

impl<'a> Model<'a> {
    fn of(namespace: &'a Namespace) -> Self {
        let names = Names::of(&namespace.devices);
        let states = namespace.devices.iter().map(|device| match &device.features {
            Some(features) => names.state(features),
            None => State::default(),
        });
        let states = states.collect();
        Self { namespace, layers: Layers::of(&namespace.devices), states, names }
    }

    fn run(&self, guess: Guess, at: Position, operation: &Operation<'_>) -> End {
        let mut host = Host::new(self, guess);
        if let (Some(state), Operation::Set(wishes)) = (host.states.get_mut(at), operation) {
            for (name, on) in *wishes {
                let bit = self.names.bit(name) & state.changeable;
                state.wanted = state.wanted & !bit | if *on { bit } else { 0 };
            }
        }
        if self.known(at) {
            host.recompute(at);
        }
        End { exhausted: host.exhausted(), states: host.states }
    }

    fn known(&self, at: Position) -> bool {
        self.namespace.devices.get(at).is_some_and(|device| device.features.is_some())
    }

    /// Puts what became of a device to the outcome.
    fn compare(&self, at: Position, after: &[End; 2], outcome: &mut Outcome) {
        let (device, start) = (&self.namespace.devices[at], &self.states[at]);
        let [happens, stays] = after.each_ref().map(|end| &end.states[at]);
        let changed = happens.differs(start) | stays.differs(start);
        let Some(features) = device.features.as_ref().filter(|_| changed != 0) else { return };
        let end = happens.moved(stays, start);
        let exhausted = after.iter().any(|end| end.exhausted);
        for (feature, bit) in self.names.each(changed) {
            outcome.changes.push(Change {
                device: device.name.clone(),
                ifindex: device.link.as_ref().map_or(0, |link| link.ifindex),
                feature: feature.clone(),
                before: start.word(bit),
                after: end.word(bit),
                certain: !exhausted && happens.word(bit) == stays.word(bit),
                physical: Role::of(device.link.as_ref()) == Role::Physical,
            });
        }
        outcome.namespace.devices[at].features = Some(self.names.features(features, &end));
    }
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
