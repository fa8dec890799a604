//! The two calls that change features, by netlink and by ioctl.
use std::io::ErrorKind;
use std::os::unix::process::CommandExt;
use std::process::Command;

use hostdiag::net::change::Changer;
use hostdiag::offload::gather;
use hostdiag_model::plan::Identity;
use hostdiag_model::{FeatureName, FeatureState, Features};
use nix::net::if_::if_nametoindex;

use super::offload_refused::{no_ethtool_ioctl, no_netlink, refusing};
use crate::lab::{Card, Link, NetNs, ethtool, feature, ip, wait_until};

const SG: &str = "tx-scatter-gather";
const GRO: &str = "rx-gro";
const LRO: &str = "rx-lro";

fn identity(name: &str) -> Identity {
    let ifindex = if_nametoindex(name).unwrap();
    Identity { name: name.into(), ifindex, kind: None, permanent_address: None }
}

fn wish(feature: &str, on: bool) -> (FeatureName, bool) {
    (feature.into(), on)
}

fn features(name: &str) -> Features {
    let devices = gather::namespace(None).unwrap().namespace.devices;
    devices.into_iter().find(|device| device.name == name).unwrap().features.unwrap()
}

fn wishes(name: &str) -> Vec<(FeatureName, bool)> {
    features(name).iter().map(|(feature, state)| (feature.clone(), state.wanted())).collect()
}

fn set(name: &str, wishes: &[(FeatureName, bool)]) -> std::io::Result<()> {
    Changer::open().unwrap().set_wanted(&identity(name), wishes)
}

fn recompute(name: &str) -> std::io::Result<()> {
    Changer::open().unwrap().recompute(&identity(name))
}

#[test]
fn change_sets_the_same_by_netlink_and_by_ioctl() {
    let namespace = NetNs::new("ways");
    let _entered = namespace.enter();
    // Alike, and neither a layer of the other.
    let _links = [Link::veth("nic0", "port0"), Link::veth("nic1", "port1")];
    let before = features("nic0");
    assert_eq!(features("nic1"), before);
    let off = [wish(SG, false), wish(GRO, false), wish("tx-checksum-ip-generic", true)];
    set("nic0", &off).unwrap();
    refusing(vec![no_netlink()], || set("nic1", &off).unwrap());
    let broken = features("nic0");
    assert_eq!(broken.get(SG), Some(FeatureState::Off));
    assert_eq!(broken.get(GRO), Some(FeatureState::Off));
    assert_eq!(broken.get("tx-checksum-ip-generic"), Some(FeatureState::On));
    assert_eq!(features("nic1"), broken);
    assert_eq!(features("port0"), features("port1"));
    let on = [wish(SG, true), wish(GRO, true)];
    refusing(vec![no_ethtool_ioctl()], || set("nic0", &on).unwrap());
    refusing(vec![no_netlink()], || set("nic1", &on).unwrap());
    assert_eq!(features("nic1"), features("nic0"));
    assert_eq!((features("nic0").get(SG), before.get(SG)), (Some(FeatureState::On), Some(FeatureState::On)));
}

#[test]
fn change_of_an_unknown_feature_is_refused_by_name() {
    let namespace = NetNs::new("unknown");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let before = features("nic0");
    let wishes = [wish(SG, false), wish("tx-scatter-gater", false)];
    let refuse = || {
        let error = set("nic0", &wishes).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains("tx-scatter-gater"), "{error}");
    };
    refuse();
    refusing(vec![no_netlink()], refuse);
    assert_eq!(features("nic0"), before);
}

/// As in `offload_lro`: nothing holds LRO off any more, and nobody computed anew.
fn stuck(card: &str) {
    ip(&["link", "set", card, "up"]);
    let vlan = Link::vlan("stuck10", card, 10);
    ethtool(&["-K", card, "lro", "off"]);
    Command::new("ethtool").args(["-K", card, "lro", "on"]).status().unwrap();
    wait_until("LRO is held off", || features(card).get(LRO) == Some(FeatureState::OffRequestedOn));
    drop(vlan);
    assert_eq!(features(card).get(LRO), Some(FeatureState::OffRequestedOn));
}

fn healed_by(recompute: impl Fn(&str)) {
    let cards = Card::all("vmxnet3");
    let card = cards[0].name();
    stuck(card);
    let before = wishes(card);
    // A wish that is there already moves nothing.
    set(card, &[wish(LRO, true)]).unwrap();
    assert_eq!(features(card).get(LRO), Some(FeatureState::OffRequestedOn));
    recompute(card);
    assert_eq!(features(card).get(LRO), Some(FeatureState::On));
    assert_eq!(wishes(card), before);
    // Nothing is left to do, and nothing is done.
    let healthy = features(card);
    recompute(card);
    assert_eq!(features(card), healthy);
}

#[test]
fn change_recomputes_by_ioctl() {
    healed_by(|card| refusing(vec![no_netlink()], || recompute(card).unwrap()));
    healed_by(|card| recompute(card).unwrap());
}

#[test]
fn change_recomputes_by_netlink() {
    healed_by(|card| refusing(vec![no_ethtool_ioctl()], || recompute(card).unwrap()));
}

#[test]
fn change_never_hits_another_device_of_that_name() {
    let namespace = NetNs::new("renamed");
    let _entered = namespace.enter();
    let _links = [Link::dummy("nic0"), Link::dummy("nic1")];
    let device = identity("nic0");
    for (from, to) in [("nic0", "old0"), ("nic1", "nic0")] {
        ip(&["link", "set", from, "down"]);
        ip(&["link", "set", from, "name", to]);
    }
    let other = features("nic0");
    let off = [wish(SG, false)];
    refusing(vec![no_netlink()], || {
        let mut changer = Changer::open().unwrap();
        for result in [changer.set_wanted(&device, &off), changer.recompute(&device)] {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Other);
            assert!(error.to_string().contains("nic0 is another device now"), "{error}");
        }
    });
    assert_eq!(features("old0").get(SG), Some(FeatureState::On));
    Changer::open().unwrap().set_wanted(&device, &off).unwrap();
    assert_eq!(features("old0").get(SG), Some(FeatureState::Off));
    assert_eq!(features("nic0"), other);
    let gone = Identity { name: "gone".into(), ifindex: 4000, ..device };
    let changer = || Changer::open().unwrap();
    let nodev = Some(nix::libc::ENODEV);
    assert_eq!(changer().set_wanted(&gone, &off).unwrap_err().raw_os_error(), nodev);
    assert_eq!(changer().recompute(&gone).unwrap_err().raw_os_error(), nodev);
}

#[test]
fn change_refused_by_a_container_says_so() {
    let namespace = NetNs::new("refused");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    refusing(vec![no_netlink(), no_ethtool_ioctl()], || {
        assert_eq!(set("nic0", &[wish(SG, false)]).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(recompute("nic0").unwrap_err().kind(), ErrorKind::PermissionDenied);
    });
    assert_eq!(feature("nic0", SG), "on");
}

/// Set for the process that runs the test without the privilege: capabilities
/// go with the user, and a thread cannot change its user alone.
const NOBODY: &str = "HOSTDIAG_TEST_AS_NOBODY";

#[test]
fn change_needs_cap_net_admin() {
    if std::env::var_os(NOBODY).is_some() {
        assert_eq!(set("nic0", &[wish(SG, false)]).unwrap_err().kind(), ErrorKind::PermissionDenied);
        assert_eq!(recompute("nic0").unwrap_err().kind(), ErrorKind::PermissionDenied);
        return;
    }
    let namespace = NetNs::new("nobody");
    let _entered = namespace.enter();
    let _nic = Link::veth("nic0", "port0");
    let program = std::env::current_exe().unwrap();
    let name = "every::net_change::change_needs_cap_net_admin";
    let output = Command::new(program)
        .args(["--exact", name])
        .env(NOBODY, "1")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(feature("nic0", SG), "on");
}
