//! Which rules and laws hold in a namespace, as far as it shows.

use std::collections::HashMap;

use hostdiag_model::Link;
use hostdiag_model::stack::{Position, Role, Stack};

use super::Model;
use super::bits::Bits;
use super::host::{Guess, Law};
use super::rules::Rules;
use crate::offload::offer;

impl Model<'_> {
    /// The rules of this kernel. Where a rule shows in the state of some device
    /// it is decided, otherwise guessed.
    pub(super) fn rules(&self, guess: Guess) -> Rules {
        let since_5_11 = self.shows_uso_in_software().unwrap_or(self.names.bit("hsr-tag-ins-offload") != 0);
        let mut rules = Rules::of(&self.names, since_5_11);
        let guessed = guess == Guess::Happens;
        // `tx-lockless` went in 6.12, the rule came in 6.11.
        let since_6_12 = self.names.bit("tx-lockless") == 0;
        rules.uso_needs_csum = since_6_12 || self.shows_uso_rule(&rules).unwrap_or(guessed);
        rules.tso_keeps_all_for_all = self.shows_all_for_all(&rules).unwrap_or(guessed);
        rules
    }

    /// Whether devices that can have all of `GSO_SOFTWARE` can have USO. The
    /// name that is looked at otherwise came with 5.13.
    fn shows_uso_in_software(&self) -> Option<bool> {
        let rules = Rules::of(&self.names, false);
        let all = |at: &Position| matches!(self.role(*at), Role::Vlan | Role::Veth | Role::Aggregate);
        let states = (0..self.states.len()).filter(all).map(|at| self.states[at].changeable);
        let mut with_tso = states.filter(|changeable| changeable & rules.tso() != 0);
        with_tso.next().map(|changeable| changeable & rules.uso() != 0)
    }

    /// Whether USO is on, or held off, somewhere without checksums.
    fn shows_uso_rule(&self, rules: &Rules) -> Option<bool> {
        let free = |at: &Position| matches!(self.role(*at), Role::Vlan | Role::Veth) && !self.has_xdp(*at);
        let states = (0..self.states.len()).filter(free).map(|at| &self.states[at]);
        let mut without =
            states.filter(|state| state.wanted & rules.uso() != 0 && !rules.has_csum(state.active));
        without.next().map(|state| state.active & rules.uso() == 0)
    }

    /// Whether a bond of ports that all have `tx-nocache-copy` has it.
    fn shows_all_for_all(&self, rules: &Rules) -> Option<bool> {
        let masters = (0..self.states.len()).filter(|at| self.role(*at) == Role::Aggregate);
        let mut decided = masters.filter_map(|at| {
            let ports = self.layers.ports(at).map(|port| self.states[port].active);
            let all = ports.fold(rules.all_for_all(), |all, port| all & port);
            (all != 0).then_some(self.states[at].active & all == all)
        });
        decided.next()
    }

    /// The law of every device.
    pub(super) fn laws(&self, rules: Rules, guess: Guess) -> Vec<Law> {
        let mut laws =
            Laws { model: self, stack: Stack::new(self.namespace), rules, guess, offered: HashMap::new() };
        (0..self.states.len()).map(|at| laws.of(at)).collect()
    }

    fn link(&self, at: Position) -> Option<&Link> {
        self.namespace.devices[at].link.as_ref()
    }

    fn role(&self, at: Position) -> Role {
        Role::of(self.link(at))
    }

    /// A program at a device may change its law.
    fn has_xdp(&self, at: Position) -> bool {
        self.link(at).is_some_and(|link| link.xdp)
    }
}

/// Finds laws by one guess.
struct Laws<'a> {
    model: &'a Model<'a>,
    stack: Stack<'a>,
    rules: Rules,
    guess: Guess,
    /// What devices offer to VLANs, as far as it was asked.
    offered: HashMap<Position, Bits>,
}

impl Laws<'_> {
    fn of(&mut self, at: Position) -> Law {
        let model = self.model;
        let ports_known = || model.layers.ports(at).all(|port| model.known(port));
        match model.role(at) {
            _ if model.has_xdp(at) => Law::Unknown,
            Role::Vlan => match model.layers.below(at).filter(|below| model.known(*below)) {
                Some(below) => Law::Vlan { below, offered: self.offered(below) },
                None => Law::Unknown,
            },
            Role::Aggregate if ports_known() => Law::Aggregate { tls: self.tls(at) },
            Role::Bridge if ports_known() => Law::Bridge,
            // A program at the peer shows in what can be changed.
            Role::Veth => Law::Plain,
            Role::Software if plain(model.link(at)) => Law::Plain,
            _ => Law::Unknown,
        }
    }

    /// `bond_sk_check` (drivers/net/bonding/bond_main.c): TLS is on in two modes
    /// with the hash policy layer3+4, whatever is wanted.
    fn tls(&self, at: Position) -> Option<bool> {
        let link = self.model.link(at).filter(|link| link.kind.as_deref() == Some("bond"))?;
        let active = self.model.states[at].active;
        let possible = matches!(link.mode.as_deref(), None | Some("802.3ad" | "balance-xor"));
        let shows = active & self.rules.tls() != 0;
        let hidden = !self.rules.has_csum(active) && self.guess == Guess::Happens;
        self.rules.tls_on_bonds.then_some(possible && (shows || hidden))
    }

    /// What a device offers to VLANs: what it says, or what one of them has.
    fn offered(&mut self, below: Position) -> Bits {
        if let Some(known) = self.offered.get(&below) {
            return *known;
        }
        let model = self.model;
        let offered = match &model.namespace.devices[below].vlan_features {
            Some(names) => model.names.bits(names.iter().map(|name| &**name)),
            None => self.shown(below),
        };
        self.offered.insert(below, offered);
        offered
    }

    fn shown(&self, below: Position) -> Bits {
        let uppers = self.model.layers.uppers(below).iter().map(|(upper, _)| *upper);
        let vlans = uppers.filter(|upper| self.model.role(*upper) == Role::Vlan);
        let mut shown = vlans.fold(0, |shown, vlan| shown | self.model.states[vlan].active);
        if shown & self.rules.csum() != 0 {
            shown |= self.rules.csum();
        }
        let may_be_more = self.guess == Guess::Happens && !offer::barren(&self.stack, below);
        if may_be_more { !0 } else { shown }
    }
}

/// Software devices without `ndo_fix_features` that follow nobody.
fn plain(link: Option<&Link>) -> bool {
    const PLAIN: &[&str] = &["dummy", "vxlan", "geneve", "gre", "gretap", "ipip", "sit", "vrf"];
    link.and_then(|link| link.kind.as_deref()).is_some_and(|kind| PLAIN.contains(&kind))
}
