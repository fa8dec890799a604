//! `--metrics`: a VLAN that is healthy, broken, repaired, as Prometheus sees it.
use std::fs;

use crate::lab::{Link, NetNs, ethtool, hostdiag, run_fix};

const SG: &str = "tx-scatter-gather";

/// The values of the series that begin so.
fn values(text: &str, series: &str) -> Vec<f64> {
    let lines = text.lines().filter_map(|line| line.strip_prefix(series));
    lines.map(|rest| rest.rsplit_once(' ').unwrap().1.parse().unwrap()).collect()
}

#[test]
fn metrics_follow_a_vlan_that_is_broken_and_repaired() {
    let namespace = NetNs::new("metrics");
    let _entered = namespace.enter();
    let (nic, path) = (Link::veth("nic0", "far0"), "/tmp/hostdiag.prom");
    let vlan = Link::vlan("vlan10", "nic0", 10);
    for link in [&nic, &vlan] {
        link.up();
    }
    let audit = |status: i32| {
        let output = hostdiag().args(["offload", "--metrics", path]).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        fs::read_to_string(path).unwrap()
    };
    let of = |name: &str| format!("hostdiag_offload_{name}{{device=\"vlan10\"");
    let feature = |name: &str| format!("{},feature=\"{SG}\"", of(name));
    let healthy = audit(0);
    let repairs = values(&healthy, &of("repairs_total"));
    assert_eq!(values(&healthy, &feature("feature_active")), [1.0]);
    // Zeros, of every feature that the policy repairs and the device has.
    let lost = values(&healthy, &of("feature_lost"));
    assert!(lost.len() > 3 && lost.iter().all(|lost| *lost == 0.0), "{healthy}");
    ethtool(&["-K", "vlan10", SG, "off"]);
    let broken = audit(1);
    assert_eq!(values(&broken, &feature("feature_active")), [0.0]);
    assert_eq!(values(&broken, &feature("feature_lost")), [1.0]);
    assert_eq!(values(&broken, "hostdiag_offload_findings{verdict=\"lost-here\"}"), [1.0]);
    run_fix(&["--fix", "--observe", "100ms"]);
    let repaired = audit(0);
    assert_eq!(values(&repaired, &feature("feature_lost")), [0.0]);
    assert_eq!(values(&repaired, &of("repairs_total")), [repairs[0] + 1.0]);
    assert_eq!(values(&repaired, &of("rollbacks_total")), values(&healthy, &of("rollbacks_total")));
    fs::remove_file(path).unwrap();
}
