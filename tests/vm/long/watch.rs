//! The watch over a while: what somebody switches off once a device is set up stays so.
use std::thread::sleep;
use std::time::Duration;

use hostdiag::offload::held::seen::SETTING_UP;
use nix::sys::signal::Signal;

use crate::lab::{Link, PolicyFile, Watch, bonded, ethtool, feature, ip_batch, wait_until};

const SG: &str = "tx-scatter-gather";
const TSO: &str = "tx-tcp-segmentation";

#[test]
fn watch_leaves_tso_off_through_ten_thousand_events_and_a_restart() {
    let _host = bonded();
    let policy = PolicyFile::new("mode = \"repair\"\n");
    let watch = Watch::start(policy.path());
    let _vlan = Link::vlan("vlan10", "bond0", 10);
    sleep(SETTING_UP + Duration::from_secs(2));
    ethtool(&["-K", "vlan10", "tso", "off"]);
    watch.says("vlan10: somebody switched off tx-tcp-segmentation");
    let storm = |first: usize| {
        ip_batch(
            (0..10_000).map(|number| format!("link set dev port0 {}", ["down", "up"][(first + number) % 2])),
        );
    };
    storm(0);
    let marker = |watch: &Watch, id: u16| {
        let name = format!("marker{id}");
        let _marker = Link::vlan(&name, "bond0", id);
        ethtool(&["-K", &name, "sg", "off"]);
        watch.says(&format!("{name}: repaired"));
        assert_eq!(feature(&name, SG), "on");
    };
    marker(&watch, 4000);
    assert_eq!(feature("vlan10", TSO), "off");
    watch.end(Signal::SIGKILL);
    let watch = Watch::start(policy.path());
    storm(0);
    marker(&watch, 4001);
    assert_eq!(feature("vlan10", TSO), "off");
    assert_eq!(watch.said().matches("somebody").count(), 0, "{}", watch.said());
    // And a loss below is still repaired, or heals, without touching it.
    ethtool(&["-K", "bond0", "sg", "off"]);
    ethtool(&["-K", "bond0", "sg", "on"]);
    wait_until("scatter-gather is back", || feature("vlan10", SG) == "on");
    assert_eq!(feature("vlan10", TSO), "off");
}
