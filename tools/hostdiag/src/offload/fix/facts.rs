//! What a plan needs to know beyond the audit.

use std::collections::BTreeMap;

use hostdiag_model::Namespace;
use hostdiag_model::plan::Identity;

/// One namespace as a plan sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Links, features, `vlan_features` where they could be read.
    pub namespace: Namespace,
    /// The rest, by interface index. A device without an entry has nothing
    /// special.
    pub more: BTreeMap<u32, More>,
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
    /// An AF_XDP socket is bound to it.
    pub af_xdp: bool,
    /// As a port of a bond.
    pub port: Option<Port>,
}

/// A port of a bond.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Port {
    /// The bond uses it: its link is up and it is not a backup.
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
