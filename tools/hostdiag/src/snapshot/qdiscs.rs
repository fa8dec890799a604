//! Queueing disciplines, and what they throw away.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use hostdiag_model::snapshot::Area;
use netlink_sys::protocols::NETLINK_ROUTE;

use super::found::{Found, Key};
use super::rates::Counts;
use crate::net::link::{self, Found as Reply};
use crate::net::qdisc::{self, Place, Qdisc};
use crate::net::socket::Socket;

/// Adds them, of the namespace of the calling thread: at the device, where packets come
/// in, and what hangs below, by kind, with what they are set to.
pub(super) fn gather(found: &mut Found<'_>) {
    let qdiscs = match read() {
        Ok(qdiscs) => qdiscs,
        Err(error) => return found.unreadable(Key { area: Area::Qdisc, of: None, name: "qdiscs" }, &error),
    };
    let mut kinds: BTreeMap<(&str, &str), BTreeMap<&str, usize>> = BTreeMap::new();
    let mut options: BTreeMap<(&str, String), BTreeSet<u32>> = BTreeMap::new();
    for (device, qdisc) in &qdiscs {
        let place = match qdisc.place {
            Place::Root => "root",
            Place::Ingress => "ingress",
            Place::Leaf => "leaves",
        };
        *kinds.entry((device, place)).or_default().entry(&qdisc.kind).or_default() += 1;
        for (name, value) in &qdisc.options {
            let name = format!("{place} {} {name}", qdisc.kind);
            options.entry((device, name)).or_default().insert(*value);
        }
    }
    for ((device, name), kinds) in kinds {
        found.value(Key { area: Area::Qdisc, of: Some(device), name }, &by_kind(&kinds));
    }
    for ((device, name), values) in options {
        let values: Vec<String> = values.iter().map(u32::to_string).collect();
        found.value(Key { area: Area::Qdisc, of: Some(device), name: &name }, &values.join(", "));
    }
}

/// `fq_codel`, or where there are several `fq 1, fq_codel 7`.
fn by_kind(kinds: &BTreeMap<&str, usize>) -> String {
    match kinds.iter().next() {
        Some((kind, _)) if kinds.len() == 1 => (*kind).to_owned(),
        _ => kinds.iter().map(|(kind, number)| format!("{kind} {number}")).collect::<Vec<_>>().join(", "),
    }
}

/// What went through the queueing disciplines of each device. Those that hang at the
/// device count what hangs below as well; drops are added up where they happened.
pub(super) fn count(counts: &mut Counts) {
    for (device, qdisc) in read().unwrap_or_default() {
        let mut add = |name, count| counts.add((Area::Qdisc, Some(&device), name), count);
        if qdisc.place == Place::Root {
            add("bytes", qdisc.bytes);
            add("packets", qdisc.packets);
            add("drops", qdisc.drops);
            add("requeues", qdisc.requeues);
            add("overlimits", qdisc.overlimits);
        } else if qdisc.place == Place::Ingress {
            add("ingress drops", qdisc.drops);
        }
    }
}

/// Qdiscs by name of their device.
fn read() -> io::Result<Vec<(String, Qdisc)>> {
    let mut socket = Socket::open(NETLINK_ROUTE)?;
    let names: BTreeMap<u32, String> = link::dump(&mut socket)?
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::Link(name, link) => Some((link.ifindex, name)),
            Reply::Problem(_) => None,
        })
        .collect();
    let named = |qdisc: Qdisc| Some((names.get(&qdisc.ifindex)?.clone(), qdisc));
    Ok(qdisc::dump(&mut socket)?.into_iter().filter_map(named).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaves_that_differ_are_counted_by_kind() {
        assert_eq!(by_kind(&BTreeMap::from([("fq_codel", 8)])), "fq_codel");
        assert_eq!(by_kind(&BTreeMap::from([("fq_codel", 7), ("fq", 1)])), "fq 1, fq_codel 7");
    }
}
