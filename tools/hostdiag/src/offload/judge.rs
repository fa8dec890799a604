//! From facts to verdicts: one entry for each root loss of each device. Pure.
//!
//! A device lacks a feature in one of three ways, told apart by its state:
//! `off` (nobody wants it), `off [requested on]` (something holds it off) and
//! `off [fixed]` (the device cannot). Each has its own function below; a loss
//! whose cause lies below takes the verdict of the device at the bottom.

use std::cell::RefCell;
use std::collections::HashMap;

use hostdiag_model::audit::{Accepted, Entry, Reason, Repair, Verdict};
use hostdiag_model::offload::{Held, Intent};
use hostdiag_model::{Audit, FeatureName, FeatureState, Link, Namespace, OffloadData};

use super::offer::{self, Offer};
use super::quirk;
use super::watch::{self, LRO, Watched, Weight};
use hostdiag_model::stack::{MAX_DEPTH, Position, Role, Stack};

/// Asks the policy for an accept rule for a device and a feature.
pub type Accept<'a> = dyn Fn(&str, &str) -> Option<Accepted> + 'a;

/// Judges everything that was read.
pub fn audit(data: &OffloadData, accept: &Accept<'_>) -> Audit {
    let (complete, held) = (!data.intents_incomplete, data.held.as_slice());
    let here = data.intents.as_deref().map(|lines| Searched { lines, complete, held });
    // The files are of the host, and a name in another namespace is another device.
    let searched = |there: &Namespace| here.filter(|_| there.name.is_none());
    let entries = data.namespaces.iter().flat_map(|there| namespace(there, searched(there), accept));
    Audit { entries: entries.collect(), expired: Vec::new() }
}

/// Why something may be off: the configuration as far as it was searched, and
/// what is held.
#[derive(Clone, Copy, Debug)]
pub struct Searched<'a> {
    /// The lines found.
    pub lines: &'a [Intent],
    /// Everything could be read and understood.
    pub complete: bool,
    /// What is not to be repaired.
    pub held: &'a [Held],
}

/// Judges one namespace; `intents` is absent where nothing was searched.
pub fn namespace(namespace: &Namespace, intents: Option<Searched<'_>>, accept: &Accept<'_>) -> Vec<Entry> {
    Judge { stack: Stack::new(namespace), intents, accept, known: RefCell::default() }.entries()
}

struct Judge<'a> {
    stack: Stack<'a>,
    intents: Option<Searched<'a>>,
    accept: &'a Accept<'a>,
    /// What was judged already: every device on a bond asks for the bond's.
    known: RefCell<HashMap<(Position, &'static str), Option<Loss>>>,
}

/// As many devices are named as the place of a loss, or as having a feature.
const MAX_NAMED: usize = 32;

/// A loss before it becomes an entry.
#[derive(Clone)]
struct Loss {
    verdict: Verdict,
    finding: bool,
    reason: Reason,
    repair: Repair,
    /// Where the cause lies; empty: on the device itself.
    lost_at: Vec<Position>,
    asked_by: Vec<Intent>,
    accepted: Option<Accepted>,
}

impl Loss {
    fn new(verdict: Verdict, reason: Reason, repair: Repair) -> Self {
        let finding = verdict.is_finding();
        Self { verdict, finding, reason, repair, lost_at: Vec::new(), asked_by: Vec::new(), accepted: None }
    }
}

impl<'a> Judge<'a> {
    fn entries(&self) -> Vec<Entry> {
        let all = 0..self.stack.namespace.devices.len();
        all.filter(|at| !self.stack.link(*at).is_some_and(|link| link.loopback))
            .flat_map(|at| self.device(at))
            .collect()
    }

    fn device(&self, at: Position) -> Vec<Entry> {
        let Some(features) = &self.stack.device(at).features else { return Vec::new() };
        let lro = self.lro(at).map(|loss| (LRO, FeatureState::OffRequestedOn, loss));
        let lost = watch::lacking(features)
            .into_iter()
            .filter_map(|(row, state)| Some((row.name, state, self.judge(at, row, 0)?)));
        lost.chain(lro)
            .filter_map(|(name, state, loss)| {
                let feature = features.iter().find(|(known, _)| &***known == name)?.0.clone();
                Some(self.entry(at, (feature, state), loss))
            })
            .collect()
    }

    fn entry(&self, at: Position, what: (FeatureName, FeatureState), loss: Loss) -> Entry {
        let (feature, state) = what;
        let features = self.stack.device(at).features.as_ref();
        let names =
            |positions: &[Position]| positions.iter().map(|at| self.stack.name(*at).to_owned()).collect();
        let have = self.stack.below(at).into_iter().filter(|below| self.offers(*below, &feature));
        let on_in: Vec<Position> = have.take(MAX_NAMED).collect();
        Entry {
            netns: self.stack.namespace.name.clone(),
            device: self.stack.name(at).to_owned(),
            takes_down: features.map(|features| watch::taken_down(features, &feature)).unwrap_or_default(),
            feature,
            state,
            verdict: loss.verdict,
            finding: loss.finding,
            reason: loss.reason,
            lost_at: names(&loss.lost_at),
            on_in: names(&on_in),
            repair: loss.repair,
            asked_by: loss.asked_by,
            accepted: loss.accepted,
        }
    }

    /// The loss of a feature on a device; `None` where there is none, or where
    /// another loss of the same device explains it.
    fn judge(&self, at: Position, row: &Watched, depth: usize) -> Option<Loss> {
        let key = (at, row.name);
        if let Some(known) = self.known.borrow().get(&key) {
            return known.clone();
        }
        // A device below itself, as only a file can say, has no cause there.
        self.known.borrow_mut().insert(key, None);
        let loss = self.decide(at, row, depth);
        self.known.borrow_mut().insert(key, loss.clone());
        loss
    }

    fn decide(&self, at: Position, row: &Watched, depth: usize) -> Option<Loss> {
        let features = self.stack.device(at).features.as_ref()?;
        let state = features.get(row.name).filter(|state| !state.active())?;
        let follows = !row.needs.iter().all(|need| need.met(features));
        let loss = match state {
            FeatureState::Off => self.unwanted(at, row, depth),
            FeatureState::OffRequestedOn if follows => None,
            FeatureState::OffRequestedOn => self.held_off(at, row, depth),
            _ if follows => None,
            _ => self.fixed(at, row),
        };
        loss.map(|loss| self.accepted(at, row.name, self.held(at, (row.name, state), loss)))
    }

    /// What would be repaired were it not held.
    fn held(&self, at: Position, (feature, state): (&str, FeatureState), loss: Loss) -> Loss {
        if !loss.finding || !matches!(loss.repair, Repair::Set | Repair::Recompute) {
            return loss;
        }
        let all = self.intents.map_or(&[][..], |known| known.held).iter();
        let here = || all.clone().filter(|held| held.device == *self.stack.name(at));
        let switched = |held: &&Held| held.feature.as_deref() == Some(feature) && state == FeatureState::Off;
        let by_option = here().find(|held| held.feature.is_none());
        let reason = match (by_option, here().find(switched)) {
            (Some(Held { until_ms, reason, .. }), _) => {
                Reason::Held { until_ms: *until_ms, reason: reason.clone() }
            }
            (None, Some(Held { since_ms, .. })) => Reason::SwitchedOff { since_ms: *since_ms },
            (None, None) => return loss,
        };
        Loss::new(Verdict::Held, reason, loss.repair)
    }

    fn accepted(&self, at: Position, feature: &str, mut loss: Loss) -> Loss {
        if loss.finding
            && let Some(accepted) = (self.accept)(self.stack.name(at), feature)
        {
            loss.finding = false;
            loss.accepted = Some(accepted);
        }
        loss
    }

    /// `off`: nobody wants it.
    fn unwanted(&self, at: Position, row: &Watched, depth: usize) -> Option<Loss> {
        let role = self.stack.role(at);
        let ours = matches!(role, Role::Vlan | Role::Aggregate);
        if row.weight == Weight::WishOnly && !ours {
            return None;
        }
        let asked_by = self.asked_by(at, row.name);
        if !asked_by.is_empty() {
            let loss = Loss::new(Verdict::OffOnPurpose, Reason::AskedFor, Repair::ByHand);
            return Some(Loss { asked_by, ..loss });
        }
        if let Some(loss) = self.quirk(at, row.name) {
            return Some(loss);
        }
        if !ours && role != Role::Unknown {
            return Some(Loss::new(Verdict::OffByWish, Reason::DefaultOrByHand, Repair::ByHand));
        }
        match self.below_offers(at, row.name) {
            Some(true) => Some(Loss::new(Verdict::LostHere, self.nobody_asks(), Repair::Set)),
            Some(false) if row.weight == Weight::WishOnly => None,
            Some(false) => Some(self.below(at, row, depth)),
            // What lies below is not known, nor whether the wish is right.
            None => {
                let loss = Loss::new(Verdict::OffByWish, Reason::LayersUnknown, Repair::ByHand);
                Some(Loss { finding: row.weight == Weight::Full, ..loss })
            }
        }
    }

    fn nobody_asks(&self) -> Reason {
        match self.intents {
            Some(searched) if searched.complete => Reason::NothingAsksForIt,
            Some(_) => Reason::NothingReadableAsksForIt,
            None => Reason::ConfigurationNotSearched,
        }
    }

    /// Whether a device below has a feature; `None` where none of them is known.
    fn below_offers(&self, at: Position, feature: &str) -> Option<bool> {
        let lowers = self.stack.lowers(at);
        let known = || lowers.iter().filter(|below| self.stack.device(**below).features.is_some());
        let nothing_below = lowers.is_empty() && self.stack.role(at).has_ports();
        if known().next().is_none() && !nothing_below {
            return None;
        }
        Some(known().any(|below| self.offers(*below, feature)))
    }

    /// `off [requested on]`: something holds it off.
    fn held_off(&self, at: Position, row: &Watched, depth: usize) -> Option<Loss> {
        if row.weight != Weight::Full {
            return None;
        }
        Some(match self.stack.role(at) {
            Role::Physical => self.refused(at, row),
            Role::Veth | Role::Software => self.xdp(at, row).unwrap_or_else(|| self.software(at)),
            role => match self.below_offers(at, row.name) {
                Some(true) if role == Role::Vlan => self.vlan(at, row.name),
                Some(true) => Loss::new(Verdict::Stuck, Reason::NotRecomputed, Repair::Recompute),
                Some(false) => self.below(at, row, depth),
                None => self.below_unknown(at),
            },
        })
    }

    /// Whatever holds it off lies below, where nothing can be seen.
    fn below_unknown(&self, at: Position) -> Loss {
        let elsewhere = self.stack.link(at).is_some_and(|link| link.lower_netnsid.is_some());
        let reason = if elsewhere { Reason::BelowInAnotherNetns } else { Reason::BelowUnknown };
        Loss { finding: !elsewhere, ..Loss::new(Verdict::StuckOrLimit, reason, Repair::None) }
    }

    /// `off [fixed]`: the device cannot. Only said of hardware; what a
    /// software device cannot, it was not meant to.
    fn fixed(&self, at: Position, row: &Watched) -> Option<Loss> {
        if row.weight != Weight::Full {
            return None;
        }
        match self.stack.role(at) {
            // Few cards segment with ECN in hardware, and nobody misses it.
            Role::Physical if row.name == "tx-tcp-ecn-segmentation" => None,
            Role::Physical => Some(Loss::new(Verdict::Fixed, Reason::NotSupported, Repair::None)),
            Role::Veth => self.xdp(at, row),
            _ => None,
        }
    }

    /// A VLAN that lacks what the device below has and could pass on.
    fn vlan(&self, at: Position, feature: &str) -> Loss {
        match offer::to_vlan(&self.stack, at, feature) {
            Offer::Made => Loss::new(Verdict::Stuck, Reason::NotRecomputed, Repair::Recompute),
            Offer::Unknown => undecided(),
            Offer::Stale(parent) => {
                let name = || self.stack.name(parent).to_owned();
                let reason = Reason::CopiedTooEarly { recreate: name() };
                let loss = Loss::new(Verdict::StaleCopy, reason, Repair::Recreate { device: name() });
                Loss { lost_at: vec![parent], ..loss }
            }
            Offer::None(bottom) => {
                let empty = |at: &&Position| self.stack.role(**at).has_ports();
                if let Some(empty) = bottom.iter().find(empty) {
                    let reason = Reason::NoMembers { device: self.stack.name(*empty).to_owned() };
                    let loss = Loss::new(Verdict::NoMembers, reason, Repair::None);
                    return Loss { lost_at: vec![*empty], ..loss };
                }
                let devices = bottom.iter().map(|at| self.stack.name(*at).to_owned()).collect();
                let mut drivers: Vec<String> = bottom.iter().filter_map(|at| self.driver(*at)).collect();
                drivers.dedup();
                let reason = Reason::NotOfferedToVlans { devices, drivers };
                Loss { lost_at: bottom, ..Loss::new(Verdict::DriverLimit, reason, Repair::None) }
            }
        }
    }

    /// The cause lies below: find it there, and take its verdict where that
    /// makes a note of it.
    fn below(&self, at: Position, row: &Watched, depth: usize) -> Loss {
        let lowers = self.stack.lowers(at);
        if lowers.is_empty() {
            let reason = Reason::NoMembers { device: self.stack.name(at).to_owned() };
            return Loss::new(Verdict::NoMembers, reason, Repair::None);
        }
        let cause = |below| self.judge_there(below, row, depth + 1).or_else(|| self.cannot(below, row.name));
        let found = lowers.iter().filter_map(|below| Some((*below, cause(*below)?)));
        // A wish on hardware below is a note there, but a loss here.
        let counts = |(_, loss): &(Position, Loss)| loss.finding || loss.verdict == Verdict::OffByWish;
        let (open, explained): (Vec<_>, Vec<_>) = found.partition(counts);
        if open.is_empty()
            && let Some((below, loss)) = explained.into_iter().next()
        {
            let lost_at = if loss.lost_at.is_empty() { vec![below] } else { loss.lost_at.clone() };
            let verdict = if loss.accepted.is_some() { Verdict::LostBelow } else { loss.verdict };
            return Loss { lost_at, verdict, finding: false, repair: Repair::None, ..loss };
        }
        let mut lost_at: Vec<Position> = Vec::new();
        for (below, loss) in &open {
            let cause = if loss.lost_at.is_empty() { std::slice::from_ref(below) } else { &loss.lost_at };
            lost_at.extend(cause);
        }
        lost_at.sort_unstable();
        lost_at.dedup();
        lost_at.truncate(MAX_NAMED);
        if lost_at.is_empty() {
            lost_at.extend(lowers.iter().take(MAX_NAMED));
        }
        let devices = lost_at.iter().map(|at| self.stack.name(*at).to_owned()).collect();
        Loss { lost_at, ..Loss::new(Verdict::LostBelow, Reason::Below, Repair::Below { devices }) }
    }

    /// A device below that cannot have a feature, although that is no loss of
    /// its own: software devices, and cards where nobody misses it.
    fn cannot(&self, at: Position, feature: &str) -> Option<Loss> {
        let features = self.stack.device(at).features.as_ref()?;
        let fixed = features.get(feature).is_some_and(|state| !state.changeable());
        fixed.then(|| Loss::new(Verdict::Fixed, Reason::NotSupported, Repair::None))
    }

    /// The same loss on the device below, where checksums may be of the other
    /// kind, and where another loss of that device may be the cause.
    fn judge_there(&self, below: Position, row: &Watched, depth: usize) -> Option<Loss> {
        if depth > MAX_DEPTH {
            return None;
        }
        let features = self.stack.device(below).features.as_ref()?;
        let lacking = watch::lacking(features);
        let same = lacking.iter().find(|(other, _)| other.name == row.name);
        let checksum = |name: &str| [watch::CSUM, watch::CSUM4, watch::CSUM6].contains(&name);
        let kin = || lacking.iter().find(|(other, _)| checksum(row.name) && checksum(other.name));
        let cause = || {
            let unmet = row.needs.iter().filter(|need| !need.met(features)).count() > 0;
            lacking.iter().find(|(other, _)| unmet && other.needs.is_empty())
        };
        let (row, _) = same.or_else(kin).or_else(cause)?;
        self.judge(below, row, depth).or_else(|| self.judge(below, cause()?.0, depth))
    }

    fn offers(&self, at: Position, feature: &str) -> bool {
        self.stack.device(at).features.as_ref().is_some_and(|features| watch::offered(features, feature))
    }

    /// Lines that ask for it to be off. Within a file the last line about it
    /// counts; which of two files is read last, their managers know.
    fn asked_by(&self, at: Position, feature: &str) -> Vec<Intent> {
        let name = self.stack.name(at);
        let about = |intent: &&Intent| intent.device == name && intent.features.iter().any(|f| f == feature);
        let lines: Vec<&Intent> =
            self.intents.map_or(&[][..], |found| found.lines).iter().filter(about).collect();
        let last = |intent: &&&Intent| {
            !lines.iter().any(|other| other.file == intent.file && other.line > intent.line)
        };
        lines.iter().filter(last).filter(|intent| !intent.on).map(|intent| (*intent).clone()).collect()
    }

    fn driver(&self, at: Position) -> Option<String> {
        let link = self.stack.link(at)?;
        link.driver.clone().or_else(|| link.kind.clone())
    }

    /// A known fault of the driver at the bottom, or of this kind of device.
    fn quirk(&self, at: Position, feature: &str) -> Option<Loss> {
        // A card that has the feature on itself gives no reason to do without.
        let without =
            |below: &Position| self.stack.lowers(*below).is_empty() && !self.offers(*below, feature);
        let bottoms = self.stack.below(at).into_iter().filter(without);
        let found =
            std::iter::once(at).chain(bottoms).find_map(|at| quirk::find(&self.driver(at)?, feature))?;
        let reason = Reason::Quirk {
            driver: found.driver.to_owned(),
            problem: found.problem.to_owned(),
            reference: found.reference.to_owned(),
        };
        Some(Loss::new(Verdict::HardwareQuirk, reason, Repair::None))
    }

    /// Hardware whose driver does not follow the wish. That is a limit, unless
    /// another device of the same driver shows that it could.
    fn refused(&self, at: Position, row: &Watched) -> Loss {
        let (driver, mtu) =
            (self.driver(at), self.stack.link(at).map(|link| link.mtu).filter(|mtu| *mtu > 1500));
        if let Some(loss) = self.quirk(at, row.name).or_else(|| self.xdp(at, row)) {
            return loss;
        }
        if let (Some(driver), Some(mtu)) = (&driver, mtu)
            && quirk::refuses_at_large_mtu(driver, row.name)
        {
            let reason = Reason::Mtu { device: self.stack.name(at).to_owned(), mtu };
            return Loss::new(Verdict::DriverLimit, reason, Repair::ByHand);
        }
        let twin = |other: &Position| {
            self.stack.role(*other) == Role::Physical && driver.is_some() && self.driver(*other) == driver
        };
        let mut others = 0..self.stack.namespace.devices.len();
        let could = others.any(|other| other != at && twin(&other) && self.offers(other, row.name));
        let verdict = if could { Verdict::StuckOrLimit } else { Verdict::DriverLimit };
        Loss::new(verdict, Reason::DriverRefuses { mtu }, Repair::ByHand)
    }

    /// A software device with nothing below it: its driver decides, or whoever
    /// holds it.
    fn software(&self, at: Position) -> Loss {
        let tun = self.stack.link(at).is_some_and(|link| link.kind.as_deref() == Some("tun"));
        let reason = if tun { Reason::HolderDecides } else { Reason::DriverRefuses { mtu: None } };
        Loss::new(Verdict::DriverLimit, reason, Repair::None)
    }

    /// An XDP program on a device or its veth peer, which takes segmentation
    /// away (drivers/net/veth.c, `veth_xdp_set`; many drivers'
    /// `ndo_fix_features`).
    fn xdp(&self, at: Position, row: &Watched) -> Option<Loss> {
        let link = self.stack.link(at).filter(|_| !row.needs.is_empty())?;
        let peer = (link.kind.as_deref() == Some("veth")).then(|| self.stack.peer(at)).flatten();
        let attached = |at: &Position| self.stack.link(*at).is_some_and(|link: &Link| link.xdp);
        let device = std::iter::once(at).chain(peer).find(attached)?;
        let reason = Reason::Xdp { device: self.stack.name(device).to_owned() };
        Some(Loss::new(Verdict::DriverLimit, reason, Repair::None))
    }

    /// LRO that is asked for on hardware. The kernel holds it off below
    /// anything that must see packets as they came.
    fn lro(&self, at: Position) -> Option<Loss> {
        let features = self.stack.device(at).features.as_ref()?;
        let link = self.stack.link(at)?;
        if self.stack.role(at) != Role::Physical || features.get(LRO) != Some(FeatureState::OffRequestedOn) {
            return None;
        }
        let wants = |at: &Position| {
            let features = self.stack.device(*at).features.as_ref();
            features.and_then(|features| features.get(LRO)).is_some_and(FeatureState::wanted)
        };
        let against =
            self.stack.uppers(at).iter().filter(|up| !wants(up) || self.stack.role(**up).has_ports());
        let mut by: Vec<String> = against.map(|up| self.stack.name(*up).to_owned()).collect();
        // Rules of the same device: netdev_fix_features, and vmxnet3's own.
        by.extend(
            ["rx-gro-hw", "rx-fcs"]
                .iter()
                .filter(|rule| features.active(rule))
                .map(|rule| (*rule).to_owned()),
        );
        let no_checksum = features.get("rx-checksum").is_some_and(|state| !state.active());
        by.extend(no_checksum.then(|| "rx-checksum off".to_owned()));
        by.extend((self.stack.namespace.forwarding == Some(true)).then(|| "forwarding".to_owned()));
        by.extend(link.xdp.then(|| "XDP".to_owned()));
        by.extend(link.port_kind.clone().filter(|_| link.master.is_some() && by.is_empty()));
        Some(if by.is_empty() {
            Loss::new(Verdict::Stuck, Reason::NotRecomputed, Repair::ByHand)
        } else {
            Loss::new(Verdict::Suppressed, Reason::LroSuppressed { by }, Repair::None)
        })
    }
}

fn undecided() -> Loss {
    Loss::new(Verdict::StuckOrLimit, Reason::VlanFeaturesUnknown, Repair::Recompute)
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
