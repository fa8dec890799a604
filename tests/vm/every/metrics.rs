//! `--metrics`: a VLAN that is healthy, broken, repaired, as Prometheus sees it.
use std::fs;

use nix::sys::signal::Signal;

use crate::lab::{Link, NetNs, PolicyFile, Watch, ethtool, hostdiag, run_fix, wait_long_until};

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

/// Of the unit that looks once: what is there after it, whatever its mode.
#[test]
fn metrics_of_a_service_are_of_what_it_left() {
    let namespace = NetNs::new("metrics");
    let _entered = namespace.enter();
    let (_nic, path) = (Link::veth("nic0", "far0"), "/tmp/hostdiag-service.prom");
    let _vlan = Link::vlan("vlan10", "nic0", 10);
    ethtool(&["-K", "vlan10", SG, "off"]);
    let service = |mode: &str, status: i32| {
        let policy = PolicyFile::new(&format!("mode = \"{mode}\"\n"));
        let options = ["--metrics", path, "--observe", "100ms", "--policy", policy.path()];
        let output = hostdiag().args(["offload", "--service"]).args(options).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{output:?}");
        fs::read_to_string(path).unwrap()
    };
    let of = |text: &str, name: &str| values(text, &format!("hostdiag_offload_{name}{{device=\"vlan10\""));
    let lost = format!("hostdiag_offload_feature_lost{{device=\"vlan10\",feature=\"{SG}\"");
    let reported = service("report", 1);
    assert_eq!(values(&reported, &lost), [1.0]);
    let repaired = service("repair", 0);
    assert_eq!(values(&repaired, &lost), [0.0]);
    assert_eq!(of(&repaired, "repairs_total")[0], of(&reported, "repairs_total")[0] + 1.0);
    fs::remove_file(path).unwrap();
}

#[test]
fn metrics_of_a_watch_follow_what_it_sees() {
    let namespace = NetNs::new("metrics");
    let _entered = namespace.enter();
    let (_nic, path) = (Link::veth("nic0", "far0"), "/tmp/hostdiag-watch.prom");
    let policy = PolicyFile::new("mode = \"report\"\n");
    let watch = Watch::with(policy.path(), &["--metrics", path]);
    let _vlan = Link::vlan("vlan10", "nic0", 10);
    let is = |series: &str, value: f64| {
        wait_long_until(&format!("{series} is {value}"), || {
            let text = fs::read_to_string(path).unwrap_or_default();
            values(&text, &format!("hostdiag_offload_{series}")) == [value]
        });
    };
    let lost = format!("feature_lost{{device=\"vlan10\",feature=\"{SG}\"");
    is(&lost, 0.0);
    ethtool(&["-K", "vlan10", SG, "off"]);
    is(&lost, 1.0);
    let held = "device_held{device=\"vlan10\"";
    is(held, 0.0);
    assert!(hostdiag().args(["offload", "--hold", "vlan10"]).status().unwrap().success());
    is(held, 1.0);
    is("findings{verdict=\"lost-here\"", 0.0);
    assert!(watch.end(Signal::SIGTERM).success());
    fs::remove_file(path).unwrap();
}
