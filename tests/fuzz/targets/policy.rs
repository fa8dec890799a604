//! A policy file: parsed or refused, and what is parsed can be asked.
#![no_main]

use hostdiag::offload::policy::{Date, Policy};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    match Policy::parse(input, "offload.toml") {
        Ok(policy) => {
            let day = Date { year: 2026, month: 2, day: 28 };
            let _ = policy.accepts("vlan10", "tx-scatter-gather", day);
            let _ = policy.expired(day).count();
            let _ = policy.unknown_features(&["tx-scatter-gather", "rx-gro"]);
        }
        Err(error) => {
            let _ = format!("{error:#}");
        }
    }
});
