//! The devices of a namespace, and the calls of the kernel that change their
//! features. They nest as they do in the kernel: a device is computed, which
//! switches LRO off below, which has those on top of that computed, ...

use std::collections::VecDeque;

use hostdiag_model::stack::Position;

use super::Model;
use super::bits::{Bits, State};
use super::layers::{Layers, Tie};
use super::rules::Rules;

/// Calls nest no deeper than this. The kernel's own limit for nested devices is
/// 8 (`MAX_NEST_DEV`, include/linux/netdevice.h); each may call up and down.
const MAX_NESTED: usize = 64;

/// What is not known is tried both ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guess {
    /// Drivers do as they are asked and as many do, devices follow, VLANs are offered all.
    Happens,
    /// Nothing of that.
    Stays,
}

/// How a device computes its features: `ndo_fix_features`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Law {
    /// As the device below has and offers.
    Vlan {
        /// The device below.
        below: Position,
        /// Its `vlan_features`, as far as known.
        offered: Bits,
    },
    /// Union of the ports.
    Aggregate {
        /// Whether TLS is on by the mode of the bond; `None` where that is not
        /// the bond's to say.
        tls: Option<bool>,
    },
    /// Union of the ports.
    Bridge,
    /// None: what is wanted, as far as the rules for all devices let it.
    Plain,
    /// A driver's own.
    Unknown,
}

/// One guess at how it goes.
pub(super) struct Host<'a> {
    rules: Rules,
    layers: &'a Layers,
    guess: Guess,
    laws: Vec<Law>,
    /// As they are now.
    pub(super) states: Vec<State>,
    /// Active features when those on top were last told.
    told: Vec<Bits>,
    /// Masters that are being told: they do not listen meanwhile.
    deaf: Vec<bool>,
    /// VLANs to be computed when all else is done.
    queue: VecDeque<Position>,
    nested: usize,
    fuel: usize,
}

impl<'a> Host<'a> {
    /// The devices as they are.
    pub(super) fn new(model: &'a Model<'_>, guess: Guess) -> Self {
        let (rules, states) = (model.rules(guess), model.states.clone());
        Self {
            rules,
            layers: &model.layers,
            guess,
            laws: model.laws(rules, guess),
            told: states.iter().map(|state| state.active).collect(),
            deaf: vec![false; states.len()],
            queue: VecDeque::new(),
            nested: 0,
            fuel: 64 * (states.len() + 64),
            states,
        }
    }

    /// Whether it was too much to be followed to the end, which no real stack is.
    pub(super) fn exhausted(&self) -> bool {
        self.fuel == 0
    }

    /// Computes a device and all that follows.
    pub(super) fn recompute(&mut self, at: Position) {
        self.update_and_tell(at);
        while let Some(at) = self.queue.pop_front() {
            self.update_and_tell(at);
        }
    }

    /// `netdev_update_features`.
    fn update_and_tell(&mut self, at: Position) {
        let before = self.states[at].active;
        self.update(at, 0);
        if self.states[at].active != before {
            self.tell(at);
        }
    }

    /// `__netdev_update_features`, without `never`.
    fn update(&mut self, at: Position, never: Bits) {
        if self.nested >= MAX_NESTED || self.fuel == 0 {
            self.fuel = 0;
            return;
        }
        self.fuel -= 1;
        self.nested += 1;
        let features = self.computed(at) & !never;
        let changed = features != self.states[at].active;
        self.sync_below(at, features);
        if changed {
            self.states[at].active = features;
        }
        self.nested -= 1;
    }

    /// What the features of a device are to be.
    fn computed(&self, at: Position) -> Bits {
        let state = &self.states[at];
        let wish = state.active & !state.changeable | state.wanted;
        let ports = || self.layers.ports(at).map(|port| self.states[port].active);
        let fixed = match self.laws[at] {
            Law::Vlan { below, offered } => self.rules.vlan(wish, self.states[below].active, offered),
            Law::Aggregate { tls } => {
                let tls = tls.map_or(wish & self.rules.tls(), |on| if on { self.rules.tls() } else { 0 });
                self.without_esp(state, self.rules.aggregate(wish & !self.rules.tls() | tls, ports()))
            }
            Law::Bridge if ports().next().is_some() => self.rules.bridge(wish, ports()),
            Law::Unknown if self.guess == Guess::Stays => return self.without_lro(at, state.active),
            Law::Unknown => self.rules.driver(wish),
            Law::Bridge | Law::Plain => wish,
        };
        self.without_lro(at, self.rules.core(fixed))
    }

    /// ESP segmentation of a bond is one of its `gso_partial_features`, which
    /// need `GSO_PARTIAL`, in some stable kernels.
    fn without_esp(&self, state: &State, features: Bits) -> Bits {
        let doubtful = self.guess == Guess::Stays && features & self.rules.partial == 0;
        features & !(if doubtful { self.rules.esp & !state.active } else { 0 })
    }

    /// `netdev_sync_upper_features`: whoever lies on top must want LRO.
    fn without_lro(&self, at: Position, features: Bits) -> Bits {
        let lro = self.rules.lro;
        let against = |(upper, tie): &(Position, Tie)| {
            self.states[*upper].wanted & lro == 0 && (*tie != Tie::Doubtful || self.guess == Guess::Happens)
        };
        if self.layers.uppers(at).iter().any(against) { features & !lro } else { features }
    }

    /// `netdev_sync_lower_features`: who lies below loses LRO, and its wish.
    fn sync_below(&mut self, at: Position, features: Bits) {
        let lro = self.rules.lro;
        if features & lro != 0 {
            return;
        }
        let layers = self.layers;
        for (lower, tie) in layers.lowers(at) {
            let on = self.states[*lower].active & lro != 0;
            if on && (*tie != Tie::Doubtful || self.guess == Guess::Happens) {
                self.states[*lower].wanted &= !lro;
                self.update(*lower, lro);
                self.tell(*lower);
            }
        }
    }

    /// `netdev_features_change`: those on top hear of it.
    fn tell(&mut self, at: Position) {
        if self.rules.silent(self.states[at].active) {
            return;
        }
        let changed = std::mem::replace(&mut self.told[at], self.states[at].active) ^ self.states[at].active;
        let layers = self.layers;
        for (upper, _) in layers.uppers(at) {
            match self.laws[*upper] {
                // At once, or from 7.2 on by a work queue (net/8021q/vlan.c).
                Law::Vlan { .. } if self.guess == Guess::Happens => self.queue.push_back(*upper),
                Law::Vlan { .. } => self.update_and_tell(*upper),
                Law::Aggregate { .. } => self.tell_master(*upper),
                // Since 6.19 a bridge does as a bond.
                Law::Bridge if self.guess == Guess::Happens => self.tell_master(*upper),
                Law::Bridge => self.update_and_tell(*upper),
                Law::Plain => {}
                Law::Unknown => self.follow(*upper, at, changed),
            }
        }
    }

    /// `netdev_change_features`: a master tells those on top in any case, and
    /// does not hear what it causes itself.
    fn tell_master(&mut self, at: Position) {
        if !std::mem::replace(&mut self.deaf[at], true) {
            self.update(at, 0);
            self.tell(at);
            self.deaf[at] = false;
        }
    }

    /// A macvlan, or what else has a law of its own, may do as the device below,
    /// whatever is wanted.
    fn follow(&mut self, at: Position, below: Position, changed: Bits) {
        if self.guess == Guess::Stays || self.fuel == 0 || self.nested >= MAX_NESTED {
            return;
        }
        self.fuel -= 1;
        let state = self.states[at];
        let taken = self.states[below].active & changed;
        let features = self.without_lro(at, self.rules.core(state.active & !changed | taken));
        if features != state.active {
            self.states[at].active = features;
            self.nested += 1;
            self.tell(at);
            self.nested -= 1;
        }
    }
}
