//! What a plan needs to know beyond the audit.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;

use anyhow::Result;
use hostdiag_model::offload::{Held, Intent, Problem};
use hostdiag_model::plan::Identity;
use hostdiag_model::{Device, Link, Namespace};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::net::detail::{self, Detail};
use crate::net::netns;
use crate::net::socket::Socket;
use crate::net::xdp_sockets;
use crate::offload::{held, live};

/// One namespace as a plan sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Links, features, `vlan_features` where they could be read.
    pub namespace: Namespace,
    /// The rest, by interface index. A device without an entry has nothing
    /// special.
    pub more: BTreeMap<u32, More>,
    /// Lines of configuration that ask for what is switched off; none for
    /// another namespace than the one hostdiag runs in.
    pub intents: Vec<Intent>,
    /// Part of the configuration could not be read or understood.
    pub intents_incomplete: bool,
    /// What is not to be repaired, of the namespace hostdiag runs in.
    pub held: Vec<Held>,
}

/// What is special about a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct More {
    /// `IFLA_PERM_ADDRESS`, lower case with colons.
    pub permanent_address: Option<String>,
    /// It is a virtual function (SR-IOV).
    pub virtual_function: bool,
    /// Virtual functions made of it.
    pub virtual_functions: u32,
    /// It stands for a port of a hardware switch: a representor.
    pub representor: bool,
    /// An AF_XDP socket is bound to it, or may be: there is one in the
    /// namespace, and the kernel cannot say where.
    pub af_xdp: bool,
    /// As a port of a bond or team.
    pub port: Option<Port>,
}

/// A port of a bond or team.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// It can carry traffic now: it has carrier, and its bond has it up and not
    /// as a backup. Which of its ports a team prefers only the team's daemon
    /// knows: there, it has carrier.
    pub active: bool,
    /// 802.3ad only: actor and partner are in sync, collecting and
    /// distributing.
    pub lacp_in_sync: Option<bool>,
}

impl Facts {
    /// The identity of a device by its position in the namespace.
    pub fn identity(&self, at: usize) -> Option<Identity> {
        let device = self.namespace.devices.get(at)?;
        let link = device.link.as_ref()?;
        let permanent_address = self.more.get(&link.ifindex).and_then(|more| more.permanent_address.clone());
        let (name, ifindex, kind) = (device.name.clone(), link.ifindex, link.kind.clone());
        Some(Identity { name, ifindex, kind, permanent_address })
    }
}

/// The facts of the network namespace of that name, or of the calling thread's.
///
/// # Errors
/// No such namespace, no privilege to enter it, or neither links nor features
/// can be read. What can be read in part has its problems in the namespace.
pub fn gather(netns: Option<&str>) -> Result<Facts> {
    let Some(name) = netns else { return here(None) };
    let netns = netns::named(name)?;
    let mut facts = netns::within(&netns, || here(Some(netns.name.clone())))?;
    facts.namespace.path = Some(netns.path.display().to_string());
    Ok(facts)
}

fn here(name: Option<String>) -> Result<Facts> {
    let held = if name.is_none() { held()? } else { Ok(Vec::new()) };
    let mut namespace = live::whole(name)?;
    let held = held.unwrap_or_else(|problem| {
        namespace.problems.push(problem);
        Vec::new()
    });
    let more = more(&mut namespace);
    let found = live::intents(std::slice::from_ref(&namespace));
    let intents_incomplete = !found.problems.is_empty();
    namespace.problems.extend(found.problems);
    Ok(Facts { namespace, more, intents: found.intents, intents_incomplete, held })
}

/// Who may not read what is held may see a plan all the same; who may repair can read it.
fn held() -> Result<Result<Vec<Held>, Problem>> {
    let refused = |error: &io::Error| error.kind() == io::ErrorKind::PermissionDenied;
    match held::here() {
        Ok(held) => Ok(Ok(held)),
        Err(error) if error.downcast_ref().is_some_and(refused) => {
            Ok(Err(Problem { subject: "what is held".into(), message: format!("{error:#}") }))
        }
        Err(error) => Err(error),
    }
}

fn more(namespace: &mut Namespace) -> BTreeMap<u32, More> {
    let problem = |subject: &str, message| Problem { subject: subject.into(), message };
    let details = Socket::open(NETLINK_ROUTE).and_then(|mut socket| detail::dump(&mut socket));
    let details = details.unwrap_or_else(|error| {
        namespace.problems.push(problem("details of links", error.to_string()));
        Vec::new()
    });
    let details: HashMap<u32, Detail> = details.into_iter().map(|detail| (detail.ifindex, detail)).collect();
    let bound = xdp_sockets::bound();
    if let Err(error) = &bound {
        let message = format!(
            "there are some, and the kernel does not say on which devices ({error}): all are left alone"
        );
        namespace.problems.push(problem("AF_XDP sockets", message));
    }
    let all = namespace.devices.iter().filter_map(|device| {
        let link = device.link.as_ref()?;
        let mut more = details
            .get(&link.ifindex)
            .map(|detail| of_detail(detail, link, &namespace.devices))
            .unwrap_or_default();
        more.af_xdp = bound.as_ref().map_or(true, |bound| bound.contains(&link.ifindex));
        add_functions(&mut more, Path::new("/sys/bus/pci/devices"), link.bus.as_deref());
        Some((link.ifindex, more))
    });
    all.filter(|(_, more)| *more != More::default()).collect()
}

fn of_detail(detail: &Detail, link: &Link, devices: &[Device]) -> More {
    More {
        permanent_address: detail.permanent_address.clone(),
        representor: detail.switch_port && !detail.port_name.as_deref().is_some_and(is_physical),
        port: port(detail, link, devices),
        ..More::default()
    }
}

/// Whether the name of a port is that of a plug: `p0`, or `p0s1` of one that is
/// split (net/devlink/port.c, `__devlink_port_phys_port_name_get`). Some drivers
/// give those a switch too; `pf0vf1`, `pf0sf2`, `c1pf0` are representors.
fn is_physical(port: &str) -> bool {
    let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    port.strip_prefix('p').is_some_and(|rest| match rest.split_once('s') {
        Some((port, part)) => number(port) && number(part),
        None => number(rest),
    })
}

fn port(detail: &Detail, link: &Link, devices: &[Device]) -> Option<Port> {
    if link.port_kind.as_deref() == Some("team") {
        return Some(Port { active: detail.carrier, lacp_in_sync: None });
    }
    let port = detail.bond_port?;
    let links = || devices.iter().filter_map(|device| device.link.as_ref());
    let bond = links().find(|bond| Some(bond.ifindex) == link.master);
    let lacp = bond.is_some_and(|bond| bond.mode.as_deref() == Some("802.3ad"));
    let active = detail.carrier && port.up && !port.backup;
    Some(Port { active, lacp_in_sync: lacp.then(|| port.in_sync()) })
}

/// SR-IOV, by the address on the PCI bus: unlike /sys/class/net that folder is
/// the same whatever network namespace /sys shows.
fn add_functions(more: &mut More, pci: &Path, bus: Option<&str>) {
    let Some(bus) = bus.filter(|bus| !bus.contains('/') && !bus.starts_with('.')) else { return };
    let function = pci.join(bus);
    more.virtual_function = function.join("physfn").exists();
    let made = std::fs::read_to_string(function.join("sriov_numvfs"));
    more.virtual_functions = made.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::detail::BondPort;

    #[test]
    fn plugs_are_no_representors() {
        for name in ["p0", "p1", "p12s3"] {
            assert!(is_physical(name), "{name}");
        }
        for name in ["pf0vf1", "pf0", "c1pf0vf2", "pf1sf88", "p", "p0s", "ps1", "n0", "swp1", ""] {
            assert!(!is_physical(name), "{name}");
        }
        let of = |switch_port, name: Option<&str>| {
            let detail = Detail { switch_port, port_name: name.map(str::to_owned), ..Detail::default() };
            of_detail(&detail, &Link::default(), &[]).representor
        };
        assert!(of(true, Some("pf0vf1")) && of(true, None));
        assert!(!of(true, Some("p0")) && !of(false, Some("pf0vf1")));
    }

    #[test]
    fn a_port_is_active_where_its_bond_and_its_wire_say_so() {
        let bond = |mode: &str| {
            let link = Link { ifindex: 9, mode: Some(mode.into()), ..Link::default() };
            [Device { name: "bond0".into(), link: Some(link), features: None, vlan_features: None }]
        };
        let link = |kind: &str| Link { master: Some(9), port_kind: Some(kind.into()), ..Link::default() };
        let detail = |carrier, up, backup, lacp| Detail {
            carrier,
            bond_port: Some(BondPort { up, backup, lacp }),
            ..Detail::default()
        };
        let of = |detail: &Detail, mode: &str| port(detail, &link("bond"), &bond(mode)).unwrap();
        let backup = "active-backup";
        assert!(of(&detail(true, true, false, None), backup).active);
        for (carrier, up, is_backup) in [(false, true, false), (true, false, false), (true, true, true)] {
            assert!(!of(&detail(carrier, up, is_backup, None), backup).active);
        }
        let synced = |lacp, mode| of(&detail(true, true, false, lacp), mode).lacp_in_sync;
        assert_eq!(synced(None, backup), None);
        assert_eq!(synced(None, "802.3ad"), Some(false));
        assert_eq!(synced(Some((0x3f, 0x01)), "802.3ad"), Some(false));
        assert_eq!(synced(Some((0x3f, 0x3d)), "802.3ad"), Some(true));
        let wire = |carrier| Detail { carrier, ..Detail::default() };
        for carrier in [false, true] {
            let team = port(&wire(carrier), &link("team"), &[]);
            assert_eq!(team, Some(Port { active: carrier, lacp_in_sync: None }));
        }
        assert_eq!(port(&wire(true), &link("bridge"), &[]), None);
    }

    #[test]
    fn functions_are_found_by_their_place_on_the_bus() {
        let pci = std::env::temp_dir().join(format!("hostdiag-pci-{}", std::process::id()));
        for folder in ["0000:03:00.0", "0000:03:10.0/physfn"] {
            std::fs::create_dir_all(pci.join(folder)).unwrap();
        }
        std::fs::write(pci.join("0000:03:00.0/sriov_numvfs"), "4\n").unwrap();
        let of = |bus| {
            let mut more = More::default();
            add_functions(&mut more, &pci, bus);
            (more.virtual_function, more.virtual_functions)
        };
        let found = [Some("0000:03:00.0"), Some("0000:03:10.0"), Some("virtio0"), Some(".."), None].map(of);
        std::fs::remove_dir_all(&pci).unwrap();
        assert_eq!(found, [(false, 4), (true, 0), (false, 0), (false, 0), (false, 0)]);
    }
}
