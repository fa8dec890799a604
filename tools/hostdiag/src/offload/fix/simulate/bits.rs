//! Features as sets of bits. The position of a bit is that in a list of names
//! made here, never that of the kernel.

use std::collections::HashMap;

use hostdiag_model::{Device, FeatureName, FeatureState, Features};

/// A set of features, by position in [`Names`].
pub(super) type Bits = u128;

/// The names of the bits: the first 128 that the devices have. No kernel has
/// more than 64; what a text has beyond that is not simulated.
pub(super) struct Names {
    names: Vec<FeatureName>,
    by_name: HashMap<FeatureName, usize>,
}

impl Names {
    /// All names that the devices have.
    pub(super) fn of(devices: &[Device]) -> Self {
        let mut all = Self { names: Vec::new(), by_name: HashMap::new() };
        for features in devices.iter().filter_map(|device| device.features.as_ref()) {
            for (at, (name, _)) in features.iter().enumerate() {
                if all.position(at, name).is_none() && all.names.len() < Bits::BITS as usize {
                    all.by_name.insert(name.clone(), all.names.len());
                    all.names.push(name.clone());
                }
            }
        }
        all
    }

    /// The devices of a kernel all have the same names in the same order.
    fn position(&self, guess: usize, name: &FeatureName) -> Option<usize> {
        let right = self.names.get(guess).is_some_and(|known| known == name);
        if right { Some(guess) } else { self.by_name.get(name).copied() }
    }

    /// The set of one feature; empty where no device has that name.
    pub(super) fn bit(&self, name: &str) -> Bits {
        self.by_name.get(name).map_or(0, |at| 1 << at)
    }

    /// The set of some features.
    pub(super) fn bits<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Bits {
        names.into_iter().fold(0, |bits, name| bits | self.bit(name))
    }

    /// The features of a device as sets.
    pub(super) fn state(&self, features: &Features) -> State {
        let mut state = State::default();
        for (at, (name, word)) in features.iter().enumerate() {
            let Some(bit) = self.position(at, name).map(|at| 1 << at) else { continue };
            state.changeable |= if word.changeable() { bit } else { 0 };
            state.wanted |= if word.wanted() { bit } else { 0 };
            state.active |= if word.active() { bit } else { 0 };
        }
        state
    }

    /// The features of a device with another state, in the order they have.
    pub(super) fn features(&self, features: &Features, state: &State) -> Features {
        let word = |(at, (name, word)): (usize, (&FeatureName, FeatureState))| {
            let bit = self.position(at, name).map(|at| 1 << at);
            (name.clone(), bit.map_or(word, |bit| state.word(bit)))
        };
        features.iter().enumerate().map(word).collect()
    }

    /// The features in a set, each with its bit.
    pub(super) fn each(&self, bits: Bits) -> impl Iterator<Item = (&FeatureName, Bits)> {
        let named = self.names.iter().enumerate().map(|(at, name)| (name, 1 << at));
        named.filter(move |(_, bit)| bits & bit != 0)
    }
}

/// The three sets that the state of a device's features is made of: `hw_features`,
/// `wanted_features` and `features` of `struct net_device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Can be changed by the user.
    pub(super) changeable: Bits,
    /// Asked for; only what can be changed.
    pub(super) wanted: Bits,
    /// Works now.
    pub(super) active: Bits,
}

impl State {
    /// The state of one feature.
    pub(super) fn word(&self, bit: Bits) -> FeatureState {
        let has = |bits: Bits| bits & bit != 0;
        FeatureState::from_bits(has(self.changeable), has(self.wanted), has(self.active))
    }

    /// The start with all that one or the other has changed.
    pub(super) fn moved(&self, other: &Self, start: &Self) -> Self {
        let both = |a: Bits, b: Bits, start: Bits| start ^ ((a ^ start) | (b ^ start));
        Self {
            changeable: start.changeable,
            wanted: both(self.wanted, other.wanted, start.wanted),
            active: both(self.active, other.active, start.active),
        }
    }

    /// What the two differ in.
    pub(super) fn differs(&self, other: &Self) -> Bits {
        (self.wanted ^ other.wanted) | (self.active ^ other.active)
    }
}
