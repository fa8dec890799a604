//! A policy file: parsed or refused, and what is parsed can be asked. What is
//! left alone is never repaired.
#![no_main]

use hostdiag::offload::policy::{Allowed, Date, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    match Policy::parse(input, "offload.toml") {
        Ok(policy) => {
            let day = Date { year: 2026, month: 2, day: 28 };
            let _ = policy.accepts("vlan10", "tx-scatter-gather", day);
            let _ = policy.expired(day).count();
            let _ = policy.unknown_features(&["tx-scatter-gather", "rx-gro"]);
            let _ = policy.check_features(&["tx-scatter-gather"]);
            for feature in ["tx-scatter-gather", "rx-lro"] {
                let allowed = policy.repairs("vlan10", feature);
                assert!(!policy.leaves_alone("vlan10") || allowed == Allowed::NotListed);
            }
        }
        Err(error) => {
            let _ = format!("{error:#}");
        }
    }
});
