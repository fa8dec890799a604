//! The audit of this host: gather, judge, look closer where that is undecided.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hostdiag_model::audit::{Reason, Verdict};
use hostdiag_model::offload::Problem;
use hostdiag_model::{Device, FeatureState, Namespace, OffloadData};

use super::gather::{self, Gathered};
use super::intent::{self, Search};
use super::{held, judge};
use crate::fail::{Code, Failure};
use crate::net::netns::{self, Netns};
use crate::probe::vlan_features;

/// Which network namespaces are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The one hostdiag runs in.
    Here,
    /// The one of that name.
    Named(String),
    /// This one and every other.
    All,
}

/// Since 7.2 VLANs take over the features of the device below by a work queue
/// (net/8021q/vlan.c, `vlan_work`): what is not active yet may be in a moment.
const SETTLE: Duration = Duration::from_millis(100);

/// Everything the audit needs of the chosen namespaces, and whether one of them
/// could not be read.
pub fn data(scope: &Scope) -> Result<(OffloadData, bool)> {
    let mut namespaces = Vec::new();
    let mut unread = false;
    if let Scope::Named(name) = scope {
        namespaces.push(inside(&netns::named(name)?)?);
    } else {
        namespaces.push(closer(None)?);
    }
    if *scope == Scope::All {
        for other in netns::others() {
            match inside(&other) {
                Ok(namespace) => namespaces.push(namespace),
                Err(error) => {
                    let problem =
                        Problem { subject: format!("netns {}", other.name), message: format!("{error:#}") };
                    namespaces[0].problems.push(problem);
                    unread = true;
                }
            }
        }
    }
    let asked = unwanted(&namespaces);
    let found = search(&asked);
    let intents_incomplete = !found.problems.is_empty();
    namespaces[0].problems.extend(found.problems);
    let here = if let Scope::Named(_) = scope { Ok(Vec::new()) } else { held::here() };
    let held = here.unwrap_or_else(|error| {
        // Where nothing is off nothing can be held.
        if !asked.is_empty() {
            let problem = Problem { subject: "what is held".into(), message: format!("{error:#}") };
            namespaces[0].problems.push(problem);
        }
        Vec::new()
    });
    Ok((OffloadData { namespaces, intents: Some(found.intents), intents_incomplete, held }, unread))
}

/// The lines of configuration that ask for what is switched off in the namespace
/// hostdiag runs in.
pub fn intents(namespaces: &[Namespace]) -> Search {
    search(&unwanted(namespaces))
}

fn search(asked: &[Device]) -> Search {
    if asked.is_empty() { Search::default() } else { intent::search(Path::new("/"), asked) }
}

/// The devices of this namespace with something switched off: only for them
/// somebody may have asked. On a healthy host there are none, and no configuration is read.
fn unwanted(namespaces: &[Namespace]) -> Vec<Device> {
    let off = |namespace: &Namespace| -> Vec<Device> {
        let entries = judge::namespace(namespace, None, &|_, _| None);
        let off: BTreeSet<String> = entries
            .into_iter()
            .filter(|entry| entry.state == FeatureState::Off)
            .map(|entry| entry.device)
            .collect();
        namespace.devices.iter().filter(|device| off.contains(&device.name)).cloned().collect()
    };
    namespaces.iter().filter(|namespace| namespace.name.is_none()).flat_map(off).collect()
}

fn inside(other: &Netns) -> Result<Namespace> {
    let mut namespace = netns::within(other, || closer(Some(other.name.clone())))?;
    namespace.path = Some(other.path.display().to_string());
    Ok(namespace)
}

/// One namespace with `vlan_features` where a verdict depends on them.
fn closer(name: Option<String>) -> Result<Namespace> {
    let mut gathered = settled(name)?;
    if undecided(&gathered.namespace).contains(&Verdict::StuckOrLimit) {
        add_vlan_features(&mut gathered);
    }
    Ok(gathered.namespace)
}

/// The namespace of the calling thread with `vlan_features` wherever they can be
/// read: what a change leads to depends on them everywhere.
pub fn whole(name: Option<String>) -> Result<Namespace> {
    let mut gathered = settled(name)?;
    add_vlan_features(&mut gathered);
    Ok(gathered.namespace)
}

/// One namespace, read again where something is in flux.
fn settled(name: Option<String>) -> Result<Gathered> {
    let gathered = gather::namespace(name.clone())?;
    if undecided(&gathered.namespace).is_empty() {
        return Ok(gathered);
    }
    std::thread::sleep(SETTLE);
    gather::namespace(name)
}

/// The verdicts on VLANs whose parent has what they lack.
fn undecided(namespace: &Namespace) -> BTreeSet<Verdict> {
    let entries = judge::namespace(namespace, None, &|_, _| None);
    let open = entries
        .iter()
        .filter(|entry| matches!(entry.reason, Reason::VlanFeaturesUnknown | Reason::NotRecomputed));
    open.map(|entry| entry.verdict).collect()
}

/// Reads `vlan_features` of all devices in the namespace of the calling thread.
/// Without the privilege the verdict says what is not known; any other refusal
/// is a problem worth a line.
pub fn add_vlan_features(gathered: &mut Gathered) {
    let read = match vlan_features::read() {
        Ok(read) => read,
        Err(error) => {
            let privilege =
                error.downcast_ref::<Failure>().is_some_and(|failure| failure.code == Code::NoPrivilege);
            if !privilege {
                let problem = Problem { subject: "vlan_features".into(), message: format!("{error:#}") };
                gathered.namespace.problems.push(problem);
            }
            return;
        }
    };
    for device in &mut gathered.namespace.devices {
        let Some(index) = device.link.as_ref().map(|link| link.ifindex) else { continue };
        let bits = read.iter().find(|found| found.ifindex == index).map(|found| found.vlan_features);
        device.vlan_features = bits.map(|bits| {
            let set = |bit: &usize| *bit < 64 && bits >> bit & 1 == 1;
            let named =
                gathered.strings.iter().enumerate().filter(|(bit, name)| set(bit) && !name.is_empty());
            named.map(|(_, name)| name.clone()).collect()
        });
    }
}
