//! Text of `ethtool -k` from anybody: what is parsed is written and parsed back
//! the same.
#![no_main]

use hostdiag::offload::text;
use hostdiag_model::{Device, FeatureName, FeatureState};
use hostdiag_report::offload::ethtool;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let Ok(devices) = text::parse(input) else { return };
    let written = ethtool::text(&devices.iter().collect::<Vec<_>>());
    let again = match text::parse(&written) {
        Ok(again) => again,
        Err(error) => panic!("not parsed back: {error}\n{written}"),
    };
    assert_eq!(known(&again), known(&devices), "{written}");
});

/// Names with features in one order: that of the text may be an older ethtool's.
fn known(devices: &[Device]) -> Vec<(&str, Vec<(&FeatureName, FeatureState)>)> {
    devices
        .iter()
        .map(|device| {
            let mut all: Vec<_> = device.features.iter().flat_map(|features| features.iter()).collect();
            all.sort_by(|a, b| a.0.cmp(b.0));
            (device.name.as_str(), all)
        })
        .collect()
}
