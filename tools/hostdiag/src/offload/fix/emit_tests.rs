//! What is to be pasted, and that it means what was repaired.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use hostdiag_model::offload::{Device, Link};
use proptest::prelude::*;

use super::*;
use crate::offload::intent;
use crate::offload::policy::REPAIRED;

const MANAGERS: [Manager; 3] = [Manager::NetworkdLink, Manager::Ifupdown, Manager::NetworkManager];

fn repaired(name: &str, features: &[&str]) -> Repaired {
    let kind = Some("vlan".to_owned());
    let device = Identity { name: name.to_owned(), ifindex: 7, kind, permanent_address: None };
    Repaired { device, features: features.iter().map(|name| FeatureName::from(*name)).collect() }
}

/// The lines that are the manager's, trimmed.
fn effective(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn a_link_file_repeats_the_default_and_says_what_it_needs() {
    let text = emit(Manager::NetworkdLink, &[repaired("vlan10", &REPAIRED)]);
    assert_eq!(
        effective(&text),
        [
            "[Match]",
            "OriginalName=vlan10",
            "[Link]",
            "NamePolicy=keep kernel database onboard slot path",
            "AlternativeNamesPolicy=database onboard slot path",
            "MACAddressPolicy=persistent",
            "ScatterGather=yes",
            "TransmitChecksumOffload=yes",
            "TCPSegmentationOffload=yes",
            "TCP6SegmentationOffload=yes",
            "TCPECNSegmentationOffload=yes",
            "GenericSegmentationOffload=yes",
        ]
    );
    assert!(text.starts_with("# vlan10: /etc/systemd/network/10-vlan10.link\n"), "{text}");
    assert!(text.contains("# tx-scatter-gather: needs systemd 260."), "{text}");
    assert!(text.contains("# tx-tcp-accecn-segmentation: systemd has no key for it;"), "{text}");
}

#[test]
fn hardware_is_matched_by_its_address() {
    let mut card = repaired("eth0", &["rx-lro"]);
    card.device.kind = None;
    for (address, line) in [
        ("02:00:5e:10:00:0a", "PermanentMACAddress=02:00:5e:10:00:0a"),
        ("02:00:5e:10:00", "OriginalName=eth0"),
        ("02:00:5e:10:00:0a\nName=x", "OriginalName=eth0"),
    ] {
        card.device.permanent_address = Some(address.to_owned());
        let text = emit(Manager::NetworkdLink, std::slice::from_ref(&card));
        assert_eq!(effective(&text)[1], line);
        assert!(text.contains("\nLargeReceiveOffload=yes\n"));
    }
}

#[test]
fn a_stanza_has_one_line() {
    let text =
        emit(Manager::Ifupdown, &[repaired("bond0.10", &["tx-scatter-gather", "tx-checksum-ip-generic"])]);
    let line = "up ethtool -K \"$IFACE\" tx-scatter-gather on tx-checksum-ip-generic on || true";
    assert_eq!(effective(&text), [line]);
    assert!(text.contains("(iface bond0.10 ...)"), "{text}");
}

#[test]
fn networkmanager_has_words_of_its_own() {
    let features = ["tx-scatter-gather", "tx-generic-segmentation", "rx-gro", "tx-tcp-accecn-segmentation"];
    let text = emit(Manager::NetworkManager, &[repaired("vlan10", &features)]);
    let lines = ["[ethtool]", "feature-tx-scatter-gather=true", "feature-gso=true", "feature-gro=true"];
    assert_eq!(effective(&text), lines);
    let command = "nmcli connection modify \"$uuid\" ethtool.feature-tx-scatter-gather on ethtool.feature-gso on \
                   ethtool.feature-gro on\n";
    assert!(text.contains(command), "{text}");
    assert!(text.contains("# tx-tcp-accecn-segmentation: NetworkManager has no option for it"), "{text}");
    // As many as there are kernel features among its 58 options, three of which are groups.
    assert_eq!(names::KERNEL.iter().filter(|feature| option(feature).is_some()).count(), 55);
}

#[test]
fn what_a_manager_cannot_express_is_a_comment() {
    for manager in [Manager::NetworkdLink, Manager::NetworkManager] {
        let text = emit(manager, &[repaired("vlan10", &["tx-tcp-accecn-segmentation"])]);
        assert!(effective(&text).is_empty() && text.contains("# tx-tcp-accecn-segmentation: "), "{text}");
    }
}

#[test]
fn what_was_only_computed_anew_leaves_nothing_to_keep() {
    for manager in MANAGERS {
        let text = emit(manager, &[repaired("vlan10", &[]), repaired("vlan11", &["rx-gro"])]);
        assert!(text.starts_with("# vlan10: the kernel computed its features anew."), "{text}");
        assert!(!effective(&text).is_empty() && effective(&text).iter().all(|line| !line.contains("vlan10")));
        assert_eq!(emit(manager, &[]), "# Nothing was repaired: there is nothing to keep.\n");
    }
}

/// A root directory that is removed at the end.
struct Root(PathBuf);

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What the audit's readers of configuration make of a text in its place: the
/// features that it asks to be on.
fn asked(manager: Manager, text: &str) -> BTreeSet<String> {
    let root = Root(std::env::temp_dir().join(format!("hostdiag-emit-{manager:?}-{}", std::process::id())));
    let (path, head) = match manager {
        Manager::NetworkdLink => ("etc/systemd/network/10-vlan10.link", ""),
        Manager::Ifupdown => ("etc/network/interfaces", "iface vlan10 inet manual\n"),
        Manager::NetworkManager => (
            "etc/NetworkManager/system-connections/vlan10.nmconnection",
            "[connection]\nid=x\ntype=vlan\ninterface-name=vlan10\n",
        ),
    };
    let path = root.0.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("{head}{text}")).unwrap();
    let link = Link { kind: Some("vlan".to_owned()), ..Link::default() };
    let device = Device { name: "vlan10".to_owned(), link: Some(link), features: None, vlan_features: None };
    let found = intent::search(&root.0, &[device]);
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    assert!(found.intents.iter().all(|intent| intent.on && intent.device == "vlan10"), "{:?}", found.intents);
    found.intents.into_iter().flat_map(|intent| intent.features).collect()
}

#[test]
fn what_is_written_asks_for_what_was_repaired() {
    let rest: Vec<&str> = REPAIRED.into_iter().filter(|name| *name != "tx-tcp-accecn-segmentation").collect();
    for manager in MANAGERS {
        let found = asked(manager, &emit(manager, &[repaired("vlan10", &rest)]));
        let missing: Vec<_> = rest.iter().filter(|name| !found.contains(**name)).collect();
        assert!(missing.is_empty(), "{manager:?} leaves out {missing:?}");
        // systemd has one key for all checksums.
        let more =
            found.iter().filter(|name| !rest.contains(&name.as_str()) && !name.starts_with("tx-checksum-"));
        assert_eq!(more.count(), 0, "{manager:?}: {found:?}");
    }
}

proptest! {
    #[test]
    fn names_of_devices_and_features_stay_names(
        name in "[a-z0-9.@\"'$`;#%*\\[\\]=!|&<>\\\\ \n\r\u{1b}\u{202e}-]{1,15}|[a-z]{1,5}[.][0-9]{1,4}",
        feature in "[a-z\"'$`;# \n=\u{1b}-]{1,20}",
    ) {
        for manager in MANAGERS {
            let text = emit(manager, &[repaired(&name, &["rx-gro", &feature])]);
            let plain = emit(manager, &[repaired("vlan10", &["rx-gro"])]);
            let shape = |line: &str| {
                let line = line.replace(&format!("OriginalName={name}"), "OriginalName=vlan10");
                line.replace(&format!(" {feature} on"), "")
            };
            let lines: Vec<String> = effective(&text).into_iter().map(shape).collect();
            prop_assert!(lines.is_empty() || lines == effective(&plain), "{}", text);
            prop_assert!(!lines.is_empty() || !is_plain(&name), "{}", text);
            prop_assert!(!text.contains(['\u{1b}', '\u{202e}', '\r']), "{:?}", text);
        }
    }
}
