//! The links of another host, as `ip -d -j link` prints them (iproute2,
//! ip/ipaddress.c).

use std::collections::HashMap;

use hostdiag_model::{Link, Namespace};
use serde::Deserialize;

/// One element of ip's array, as far as it is used; the rest is ignored.
#[derive(Deserialize)]
struct IpLink {
    ifindex: u32,
    ifname: String,
    #[serde(default)]
    flags: Vec<String>,
    #[serde(default)]
    mtu: u32,
    /// Name of the device below, in the same namespace.
    link: Option<String>,
    /// Its index, where it is in another one.
    link_index: Option<u32>,
    link_netnsid: Option<i32>,
    master: Option<String>,
    address: Option<String>,
    #[serde(default)]
    altnames: Vec<String>,
    xdp: Option<serde_json::Value>,
    linkinfo: Option<LinkInfo>,
    parentdev: Option<String>,
    gso_max_size: Option<u32>,
    gso_max_segs: Option<u32>,
}

#[derive(Default, Deserialize)]
struct LinkInfo {
    info_kind: Option<String>,
    info_slave_kind: Option<String>,
    #[serde(default)]
    info_data: Option<InfoData>,
}

#[derive(Default, Deserialize)]
struct InfoData {
    id: Option<serde_json::Value>,
    protocol: Option<serde_json::Value>,
    mode: Option<serde_json::Value>,
}

/// Puts the links of `json` to the devices of the namespace. Devices without
/// features and features without a device are both kept.
pub fn merge(namespace: &mut Namespace, json: &[u8]) -> Result<(), String> {
    let wrong = |error: serde_json::Error| format!("not what `ip -d -j link` prints: {error}");
    let all: Vec<serde_json::Value> = serde_json::from_slice(json).map_err(wrong)?;
    // ip prints an empty object for what its filter left out.
    let full = all.into_iter().filter(|link| link.as_object().is_none_or(|link| !link.is_empty()));
    let links: Vec<IpLink> = full.map(serde_json::from_value).collect::<Result<_, _>>().map_err(wrong)?;
    let index: HashMap<&str, u32> = links.iter().map(|link| (link.ifname.as_str(), link.ifindex)).collect();
    let mut known: HashMap<&str, Link> =
        links.iter().map(|link| (link.ifname.as_str(), convert(link, &index))).collect();
    let mut missing = Vec::new();
    for device in &mut namespace.devices {
        device.link = known.remove(device.name.as_str());
        missing.extend(device.link.is_none().then(|| device.name.clone()));
    }
    if !missing.is_empty() {
        return Err(format!("it has no link named {}: are both files of the same host?", missing.join(", ")));
    }
    let rest = known.into_iter().map(|(name, link)| hostdiag_model::Device {
        name: name.to_owned(),
        link: Some(link),
        features: None,
        vlan_features: None,
    });
    namespace.devices.extend(rest);
    namespace.devices.sort_by_key(|device| device.link.as_ref().map(|link| link.ifindex));
    Ok(())
}

fn convert(link: &IpLink, index: &HashMap<&str, u32>) -> Link {
    let info = link.linkinfo.as_ref();
    let data = info.and_then(|info| info.info_data.as_ref());
    let by_name = |name: &Option<String>| name.as_deref().and_then(|name| index.get(name).copied());
    let text = |value: &Option<serde_json::Value>| {
        value.as_ref().and_then(|value| value.as_str().map(str::to_owned))
    };
    let kind = info.and_then(|info| info.info_kind.clone());
    let vlan = kind.as_deref() == Some("vlan");
    Link {
        ifindex: link.ifindex,
        loopback: link.flags.iter().any(|flag| flag == "LOOPBACK"),
        up: link.flags.iter().any(|flag| flag == "UP"),
        mtu: link.mtu,
        mac: link.address.clone(),
        altnames: link.altnames.clone(),
        master: by_name(&link.master),
        port_kind: info.and_then(|info| info.info_slave_kind.clone()),
        lower: by_name(&link.link).or(link.link_index),
        lower_netnsid: link.link_netnsid,
        vlan_id: data.filter(|_| vlan).and_then(|data| data.id.as_ref()?.as_u64()?.try_into().ok()),
        vlan_protocol: data.filter(|_| vlan).and_then(|data| text(&data.protocol)),
        mode: data.filter(|_| !vlan).and_then(|data| text(&data.mode)),
        xdp: link.xdp.is_some(),
        bus: link.parentdev.clone(),
        gso_max_size: link.gso_max_size,
        gso_max_segs: link.gso_max_segs,
        kind,
        ..Link::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `ip -d -j link` of iproute2 6.1 prints, shortened.
    const JSON: &str = r#"[
        {"ifindex":2,"ifname":"eth2","flags":["BROADCAST","UP"],"mtu":1500,"master":"bond0","address":"00:00:5e:00:53:02",
         "linkinfo":{"info_slave_kind":"bond","info_slave_data":{"state":"ACTIVE"}},"parentdev":"0000:01:00.0"},
        {"ifindex":4,"ifname":"bond0","flags":["MASTER","UP"],"mtu":1500,"linkinfo":{"info_kind":"bond","info_data":{"mode":"802.3ad"}}},
        {"ifindex":5,"link":"bond0","ifname":"vlan10","flags":["UP"],"mtu":1500,
         "linkinfo":{"info_kind":"vlan","info_data":{"protocol":"802.1Q","id":10,"flags":["REORDER_HDR"]}}}]"#;

    fn namespace(text: &str) -> Namespace {
        let devices = crate::offload::text::parse(text).unwrap();
        Namespace::of_text(devices)
    }

    #[test]
    fn layers_come_from_the_links() {
        let mut namespace = namespace("Features for vlan10:\nhighdma: off [fixed]\n");
        merge(&mut namespace, JSON.as_bytes()).unwrap();
        let names: Vec<&str> = namespace.devices.iter().map(|device| device.name.as_str()).collect();
        assert_eq!(names, ["eth2", "bond0", "vlan10"]);
        let link = |at: usize| namespace.devices[at].link.as_ref().unwrap();
        assert_eq!((link(2).lower, link(2).vlan_id), (Some(4), Some(10)));
        assert_eq!((link(0).master, link(0).port_kind.as_deref()), (Some(4), Some("bond")));
        assert_eq!(link(1).mode.as_deref(), Some("802.3ad"));
    }

    #[test]
    fn files_of_two_hosts_are_refused() {
        let mut namespace = namespace("Features for vlan99:\nhighdma: off [fixed]\n");
        assert!(merge(&mut namespace, JSON.as_bytes()).unwrap_err().contains("vlan99"));
        assert!(merge(&mut namespace, b"{}").unwrap_err().contains("ip -d -j link"));
    }
}
