//! How devices and their traffic are, and what got worse. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

/// One look at some devices and the traffic of their namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vitals {
    /// When, on a clock that only goes forward.
    pub at: Duration,
    /// By interface index.
    pub devices: BTreeMap<u32, Device>,
    /// TCP of the whole namespace, `/proc/net/snmp`.
    pub tcp: Option<Tcp>,
    /// Gateways of routes over these devices, by address and device: whether
    /// the neighbour is known to answer; absent while that is not known.
    pub gateways: BTreeMap<(String, u32), Option<bool>>,
}

/// One device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Device {
    /// Its name.
    pub name: String,
    /// It has a carrier.
    pub carrier: bool,
    /// `IFLA_CARRIER_CHANGES`.
    pub carrier_changes: Option<u32>,
    /// Error counters by the name for people: transmit errors, …
    pub errors: BTreeMap<&'static str, u64>,
    /// Transmit timeouts of all its queues (`tx_timeout` in sysfs).
    pub timeouts: Option<u64>,
    /// As a port of a bond: the bond has it up.
    pub port_up: Option<bool>,
    /// As a port of an 802.3ad bond: in sync with its partner.
    pub lacp_in_sync: Option<bool>,
    /// As a bond: index of the active port.
    pub active_port: Option<u32>,
    /// As an 802.3ad bond: hardware address of the partner.
    pub partner: Option<String>,
}

/// TCP segments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tcp {
    /// `OutSegs`: sent, without those sent again.
    pub sent: u64,
    /// `RetransSegs`: sent again.
    pub again: u64,
}

/// Fewer errors than this since the change are chance.
const FEW: u64 = 10;
/// As much more often than before counts as worse.
const FACTOR: f64 = 4.0;
/// As small a share of segments sent again is nothing, whatever it was before.
const RETRANSMITS: f64 = 0.02;

/// What got worse since `before`, one sentence each. `baseline` was read a
/// while before it: what went wrong between the two was wrong already.
pub fn worse(baseline: &Vitals, before: &Vitals, now: &Vitals) -> Vec<String> {
    let mut all = Vec::new();
    for (index, was) in &before.devices {
        match now.devices.get(index) {
            None => all.push(format!("{} is gone", was.name)),
            Some(is) => {
                all.extend(link(was, is));
                all.extend(bond(was, is, now));
                let old = baseline.devices.get(index);
                all.extend(errors((old, was, is), [baseline.at, before.at, now.at]));
            }
        }
    }
    all.extend(retransmits([baseline, before], [before, now]));
    for (gateway, answered) in &before.gateways {
        let silent = now.gateways.get(gateway) == Some(&Some(false));
        if silent && *answered == Some(true) {
            let device = now.devices.get(&gateway.1).map_or("?", |device| device.name.as_str());
            all.push(format!("gateway {} on {device} no longer answers", gateway.0));
        }
    }
    all
}

fn link(was: &Device, is: &Device) -> Option<String> {
    if was.carrier && !is.carrier {
        return Some(format!("{} lost its carrier", is.name));
    }
    if let (Some(old), Some(new)) = (was.timeouts, is.timeouts)
        && new > old
    {
        return Some(format!("transmit timed out on {}", is.name));
    }
    let (old, new) = (was.carrier_changes?, is.carrier_changes?);
    (old != new).then(|| format!("the carrier of {} changed {} times", is.name, new.wrapping_sub(old)))
}

fn bond(was: &Device, is: &Device, now: &Vitals) -> Vec<String> {
    let mut all = Vec::new();
    if was.port_up == Some(true) && is.port_up == Some(false) {
        all.push(format!("the bond has {} no longer up", is.name));
    }
    if was.lacp_in_sync == Some(true) && is.lacp_in_sync == Some(false) {
        all.push(format!("{} is no longer in sync with its LACP partner", is.name));
    }
    if was.partner != is.partner {
        all.push(format!("{} has another LACP partner", is.name));
    }
    if was.active_port != is.active_port {
        let name = |index: Option<u32>| {
            let device = index.and_then(|index| now.devices.get(&index));
            device.map_or("none", |device| device.name.as_str()).to_owned()
        };
        all.push(format!(
            "the active port of {} changed from {} to {}",
            is.name,
            name(was.active_port),
            name(is.active_port)
        ));
    }
    all
}

/// A device whose carrier goes, or comes and goes, without a change that could be why. Coming
/// once is no more than a device that was just made does.
pub fn restless(earlier: &Vitals, now: &Vitals) -> Option<String> {
    let of = |(index, is): (&u32, &Device)| {
        let was = earlier.devices.get(index)?;
        let changes = is.carrier_changes.unwrap_or(0).wrapping_sub(was.carrier_changes.unwrap_or(0));
        let goes = (was.carrier && !is.carrier) || changes > 1;
        goes.then(|| format!("the carrier of {} comes and goes", is.name))
    };
    now.devices.iter().find_map(of)
}

/// Error counters that grow faster than before.
fn errors(
    (old, was, is): (Option<&Device>, &Device, &Device),
    [first, second, third]: [Duration; 3],
) -> Vec<String> {
    let grown = |name: &&'static str| {
        let (middle, last) = (was.errors.get(*name)?, is.errors.get(*name)?);
        let more = last.saturating_sub(*middle);
        let earlier = old.and_then(|old| old.errors.get(*name)).map_or(0, |old| middle.saturating_sub(*old));
        let rate = |count: u64, time: Duration| count as f64 / time.as_secs_f64().max(0.001);
        let before = rate(earlier, second.saturating_sub(first));
        let now = rate(more, third.saturating_sub(second));
        (more >= FEW && now > FACTOR * before).then(|| format!("{more} {name} on {}", is.name))
    };
    is.errors.keys().filter_map(grown).collect()
}

/// What got worse since `middle`, a moment after the change: what went well until
/// then is not to hide it. A sender that loses its packets sends far fewer, so of
/// all that were sent since the change what it sends again may be no more than a
/// hundredth.
pub fn worse_since([baseline, before]: [&Vitals; 2], middle: &Vitals, now: &Vitals) -> Option<String> {
    retransmits([baseline, before], [middle, now])
}

/// The share of segments sent again, where it is larger than between the first two.
/// A sender whose packets are all lost sends few, so the share is of all that were
/// sent.
fn retransmits([baseline, before]: [&Vitals; 2], [from, now]: [&Vitals; 2]) -> Option<String> {
    let window = |from: &Vitals, to: &Vitals| {
        let (old, new) = (from.tcp?, to.tcp?);
        Some((new.sent.saturating_sub(old.sent), new.again.saturating_sub(old.again)))
    };
    let share = |(sent, again): (u64, u64)| again as f64 / (sent + again).max(1) as f64;
    let after = window(from, now)?;
    let (was, is) = (window(baseline, before).map_or(0.0, share), share(after));
    (after.1 >= FEW && is > RETRANSMITS && is > FACTOR * was)
        .then(|| format!("TCP sends {:.1} % of its segments again, {:.1} % before", is * 100.0, was * 100.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vitals(at: u64, sent: u64, again: u64, errors: u64) -> Vitals {
        let device = Device {
            name: "eth0".into(),
            carrier: true,
            carrier_changes: Some(2),
            errors: BTreeMap::from([("transmit errors", errors)]),
            ..Device::default()
        };
        Vitals {
            at: Duration::from_millis(at),
            devices: BTreeMap::from([(2, device)]),
            tcp: Some(Tcp { sent, again }),
            gateways: BTreeMap::from([(("10.0.0.1".into(), 2), Some(true))]),
        }
    }

    #[test]
    fn what_was_bad_before_is_nothing_new() {
        let (first, second) = (vitals(0, 0, 0, 0), vitals(1000, 1000, 5, 100));
        assert!(worse(&first, &second, &vitals(6000, 6000, 30, 600)).is_empty());
        let said = worse(&first, &second, &vitals(2000, 1100, 60, 700));
        assert_eq!(
            said,
            ["600 transmit errors on eth0", "TCP sends 35.5 % of its segments again, 0.5 % before"]
        );
        // A few are chance.
        assert!(worse(&first, &first, &vitals(1000, 20, 9, 9)).is_empty());
    }

    #[test]
    fn what_went_well_first_does_not_hide_what_no_longer_does() {
        let (first, before) = (vitals(0, 0, 0, 0), vitals(1000, 1000, 0, 0));
        let (middle, now) = (vitals(2000, 90_000, 0, 0), vitals(3000, 90_100, 40, 0));
        assert!(worse(&first, &before, &now).is_empty());
        let said = worse_since([&first, &before], &middle, &now);
        assert_eq!(said.unwrap(), "TCP sends 28.6 % of its segments again, 0.0 % before");
        assert_eq!(worse_since([&first, &before], &middle, &vitals(3000, 90_900, 10, 0)), None);
    }

    #[test]
    fn a_link_that_flapped_or_went_is_worse() {
        let before = vitals(1000, 0, 0, 0);
        let mut now = before.clone();
        now.devices.get_mut(&2).unwrap().carrier_changes = Some(4);
        assert_eq!(worse(&before, &before, &now), ["the carrier of eth0 changed 2 times"]);
        now.devices.get_mut(&2).unwrap().carrier = false;
        assert_eq!(worse(&before, &before, &now), ["eth0 lost its carrier"]);
        now.devices.clear();
        assert_eq!(worse(&before, &before, &now), ["eth0 is gone"]);
    }

    #[test]
    fn a_carrier_that_comes_is_steady_and_one_that_goes_is_not() {
        let before = vitals(1000, 0, 0, 0);
        let with = |carrier, changes| {
            let mut vitals = before.clone();
            let device = vitals.devices.get_mut(&2).unwrap();
            (device.carrier, device.carrier_changes) = (carrier, Some(changes));
            vitals
        };
        assert_eq!(restless(&before, &before), None);
        assert_eq!(restless(&with(false, 1), &before), None);
        assert_eq!(restless(&Vitals::default(), &before), None);
        let said = Some("the carrier of eth0 comes and goes".to_owned());
        assert_eq!(
            [restless(&before, &with(false, 3)), restless(&before, &with(true, 4))],
            [said.clone(), said]
        );
    }

    #[test]
    fn a_gateway_that_falls_silent_is_worse() {
        let before = vitals(1000, 0, 0, 0);
        let mut now = before.clone();
        for state in [None, Some(true)] {
            now.gateways.values_mut().for_each(|answers| *answers = state);
            assert!(worse(&before, &before, &now).is_empty());
        }
        now.gateways.values_mut().for_each(|answers| *answers = Some(false));
        assert_eq!(worse(&before, &before, &now), ["gateway 10.0.0.1 on eth0 no longer answers"]);
    }

    proptest! {
        #[test]
        fn no_counter_makes_it_panic(counts in prop::collection::vec(any::<u64>(), 12)) {
            let at = |n: usize| vitals(counts[n] >> 20, counts[n + 1] >> 1, counts[n + 2] >> 1, counts[n + 3]);
            let all = [at(0), at(4), at(8)];
            let _ = worse(&all[0], &all[1], &all[2]);
            prop_assert!(worse(&all[0], &all[1], &all[1]).is_empty());
        }
    }
}
