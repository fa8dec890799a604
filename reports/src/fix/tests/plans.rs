use std::collections::HashSet;

use super::*;

#[test]
fn a_plan_is_the_bits_and_what_is_left() {
    let carries = Apart::CarriesGuests { bridge: "vmbr0".into() };
    let plan = Plan {
        steps: vec![article("vlan10", 5)],
        left: vec![
            left("eth2", &[], Apart::Physical),
            left("eth3", &[], Apart::Physical),
            left("flannel.1", &[], Apart::Kind { kind: "vxlan".into() }),
            left("vlan200", &[SG], carries.clone()),
            left("vlan200", &[CSUM], carries.clone()),
            left("vlan201", &[SG, CSUM], carries),
        ],
        ..Plan::default()
    };
    same(
        &page(&Fix { plan, run: None }),
        r"
plan for web17: 1 device, software only, no physical device changes
  vlan10  tx-scatter-gather       off -> on
  vlan10  tx-checksum-ip-generic  off -> on
          follow: tso, tso6, tso-ecn, gso
          same as: ethtool -K vlan10 tx-scatter-gather on tx-checksum-ip-generic on
still off: tx-scatter-gather, tx-checksum-ip-generic of vlan200 vlan201 (carries guests, vmbr0)
left alone: eth2 eth3 (physical), flannel.1 (vxlan)
not kept over a reboot: hostdiag-offload.service, or the snippet from hostdiag offload --emit
nothing was changed
",
    );
}

/// Seen on 5.10: a recompute of the VLAN takes LRO away below.
#[test]
fn a_plan_shouts_what_happens_to_hardware() {
    let mut lower = ["eth2", "eth3"].map(|name| change((name, 2), "rx-lro", "on", "off"));
    lower[1].ifindex = 3;
    let mut changes = vec![change(("vlan10", 5), SG, "off [requested on]", "on")];
    changes.push(Change { certain: false, ..change(("vlan10", 5), "tx-udp-segmentation", "off", "on") });
    changes.push(change(("bond0", 4), "rx-lro", "on", "off [requested on]"));
    changes.extend(lower.map(|change| Change { physical: true, certain: false, ..change }));
    for (name, ifindex) in [("vlan10.5", 7), ("vlan10.6", 8), ("vlan10.7", 9)] {
        changes.push(change((name, ifindex), SG, "off [requested on]", "on"));
    }
    let recompute = |device, repairs: &[&str], changes| Step {
        device,
        action: Action::Recompute,
        repairs: features(repairs),
        changes,
    };
    let plan = Plan {
        netns: Some("blue".into()),
        steps: vec![
            recompute(identity("eth0", 1, None), &["rx-gro-hw"], Vec::new()),
            recompute(identity("vlan10", 5, Some("vlan")), &[SG], changes),
        ],
        left: vec![left("eth0", &[], Apart::Physical), left("eth4", &[], Apart::Physical)],
        ..Plan::default()
    };
    same(
        &page(&Fix { plan, run: None }),
        r"
plan for web17, netns blue: 2 devices, 6 more follow, PHYSICAL eth0 eth2 eth3 change
  PHYSICAL eth0                rx-gro-hw          on, if possible           will try
                               recompute (no ethtool command does this)
  vlan10                       tx-scatter-gather  off [requested on] -> on
                               may follow: uso
                               recompute (no ethtool command does this)
  bond0                        rx-lro             on -> off [requested on]  follows
  PHYSICAL eth2                rx-lro             on -> off                 may follow
  PHYSICAL eth3                rx-lro             on -> off                 may follow
  vlan10.5 and 2 more devices  follow: tx-scatter-gather
left alone: eth4 (physical)
not kept over a reboot
nothing was changed
",
    );
}

#[test]
fn a_plan_in_a_namespace_is_entered() {
    let plan = Plan { netns: Some("b'lue".into()), steps: vec![article("vlan10", 5)], ..Plan::default() };
    let text = plan::text("web17", &plan, Options::default());
    let command = r"same as: nsenter --net='/run/netns/b'\''lue' ethtool -K vlan10 tx-scatter-gather on";
    assert!(text.contains(command) && text.starts_with("plan for web17, netns b'lue: "), "{text}");
}

#[test]
fn nothing_to_repair_says_why() {
    let refused = |device: &str, feature: &str, reason| Refused {
        device: device.into(),
        features: features(&[feature]),
        reason,
    };
    let beyond = |device: &str, feature: &str| Beyond {
        device: device.into(),
        feature: feature.into(),
        verdict: Verdict::StaleCopy,
    };
    let lro = |name: &str, index| Change { physical: true, ..change((name, index), "rx-lro", "off", "on") };
    let gone = |index: u32| change((&format!("eth{index}"), index), "rx-lro", "on", "off");
    let master = || "bond0".to_owned();
    let line = Intent {
        device: "vlan20".into(),
        features: vec![SG.into()],
        on: false,
        file: "/etc/network/interfaces".into(),
        line: 3,
        text: "offload-sg off".into(),
        manager: "ifupdown".into(),
    };
    let plan = Plan {
        refused: vec![
            refused("eth0", "rx-lro", Refusal::NeedsDeviceLine),
            refused("eth1", "rx-gro", Refusal::ChangesPhysical { changes: Vec::new() }),
            refused("vlan1", SG, Refusal::ChangesPhysical { changes: (1..=6).map(gone).collect() }),
            refused("vlan2", SG, Refusal::SwitchesOn { changes: vec![lro("eth0", 1)] }),
            refused("eth2", SG, Refusal::LastActivePort { master: master() }),
            refused("eth3", SG, Refusal::LacpOutOfSync { master: master() }),
            refused("eth4", SG, Refusal::HasVirtualFunctions { count: 1 }),
            refused("eth5", SG, Refusal::LastActivePort { master: master() }),
        ],
        left: vec![
            left("vlan20", &[SG], Apart::AskedFor { lines: vec![line] }),
            left("vlan30", &[], Apart::LiesOn { device: "br0".into(), kind: "bridge".into() }),
            left("vlan31", &[CSUM], Apart::NotOffered),
        ],
        beyond: vec![beyond("w10.20", SG), beyond("w10.20", CSUM), beyond("w10.21", SG)],
        ..Plan::default()
    };
    let fix = Fix { plan, run: None };
    same(
        &page(&fix),
        r"
plan for web17: nothing to repair
refused: rx-lro of eth0
         It is never repaired without a line of the policy for just this device. (hostdiag explain needs-device-line)
refused: rx-gro of eth1
         It is a physical device, which only --physical with its name permits. (hostdiag explain changes-physical)
refused: tx-scatter-gather of vlan1
         It would change hardware, which only --physical with its name permits: eth1 rx-lro on -> off, eth2 rx-lro on -> off, eth3 rx-lro on -> off, eth4 rx-lro on -> off and 2 more. (hostdiag explain changes-physical)
refused: tx-scatter-gather of vlan2
         It would also switch on what is not to be repaired: eth0 rx-lro off -> on. (hostdiag explain switches-on)
refused: tx-scatter-gather of eth2 eth5
         It carries the traffic of bond0 alone. (hostdiag explain last-active-port)
refused: tx-scatter-gather of eth3
         As a port of bond0 it has no LACP partner in sync. (hostdiag explain lacp-out-of-sync)
refused: tx-scatter-gather of eth4
         1 virtual function was made of it. (hostdiag explain has-virtual-functions)
still off: tx-scatter-gather of vlan20 (asked for by /etc/network/interfaces:3)
still off: tx-checksum-ip-generic of vlan31 (not offered by what lies below)
left alone: vlan30 (lies on br0, bridge)
not by --fix: tx-scatter-gather, tx-checksum-ip-generic of w10.20 (hostdiag explain stale-copy)
not by --fix: tx-scatter-gather of w10.21 (hostdiag explain stale-copy)
nothing was changed
",
    );
}

#[test]
fn a_thousand_devices_are_a_few_lines() {
    let name = |prefix: &str, number: u32| format!("{prefix}{number}");
    let lefts = |prefix: &str, lost: &[&str], reason: &Apart| -> Vec<Left> {
        (1..=1000).map(|number| left(&name(prefix, number), lost, reason.clone())).collect()
    };
    let bond = Step {
        device: identity("bond0", 2000, Some("bond")),
        action: Action::Set { features: features(&[SG]) },
        repairs: features(&[SG]),
        changes: std::iter::once(change(("bond0", 2000), SG, "off", "on"))
            .chain((1..=1000).map(|index| {
                change((&name("vlan", index), index), "tx-generic-segmentation", "off [requested on]", "on")
            }))
            .collect(),
    };
    let vlans = (1..=1000).map(|index| article(&name("vlan", index), index));
    let plan = Plan {
        steps: std::iter::once(bond).chain(vlans).collect(),
        left: [lefts("veth", &[], &Apart::Kind { kind: "veth".into() }), lefts("tap", &[SG], &Apart::Policy)]
            .concat(),
        ..Plan::default()
    };
    same(
        &plan::text("web17", &plan, Options::default()),
        r"
plan for web17: 1001 devices, software only, no physical device changes
  bond0                       tx-scatter-gather       off -> on
                              same as: ethtool -K bond0 tx-scatter-gather on
  vlan1 and 999 more devices  follow: gso
  vlan1 and 999 more devices  tx-scatter-gather       off -> on
  vlan1 and 999 more devices  tx-checksum-ip-generic  off -> on
                              follow: tso, tso6, tso-ecn, gso
                              same as, for each of them (--all): ethtool -K DEVICE tx-scatter-gather on tx-checksum-ip-generic on
still off: tx-scatter-gather of tap1 tap2 tap3 tap4 tap5 tap6 tap7 tap8 and 992 more (policy)
left alone: veth1 veth2 veth3 veth4 veth5 veth6 veth7 veth8 and 992 more (veth)
",
    );
    let all = plan::text("web17", &plan, ALL);
    assert_eq!(all.matches("  same as: ethtool -K vlan").count(), 1000);
    let words: HashSet<&str> = all.split_whitespace().collect();
    for number in 1..=1000 {
        assert!(["vlan", "veth", "tap"].iter().all(|of| words.contains(name(of, number).as_str())));
    }
    assert_eq!(all, plan::text("web17", &plan.clone(), ALL));
}
