//! The output of `ip -d -j link` from anybody, put to the devices of a host.
#![no_main]

use hostdiag::offload::{judge, links, text};
use hostdiag_model::offload::Namespace;
use hostdiag_model::{OffloadData, matrix};
use libfuzzer_sys::fuzz_target;

const FEATURES: &str = "\
Features for eth0:
tx-checksumming: on
\ttx-checksum-ip-generic: on
scatter-gather: on
\ttx-scatter-gather: on
large-receive-offload: off [fixed]
highdma: on

Features for vlan10:
tx-checksumming: off
\ttx-checksum-ip-generic: off
scatter-gather: off
\ttx-scatter-gather: off [requested on]
large-receive-offload: off [fixed]
highdma: on
";

fuzz_target!(|json: &[u8]| {
    for text in ["", FEATURES] {
        let devices = if text.is_empty() { Vec::new() } else { text::parse(text).expect("complete") };
        let mut namespace = Namespace::of_text(devices);
        if links::merge(&mut namespace, json).is_ok() {
            let data = OffloadData {
                namespaces: vec![namespace],
                intents: None,
                intents_incomplete: false,
                held: Vec::new(),
            };
            let _ = judge::audit(&data, &|_, _| None);
            let _ = matrix::matrices(&data.namespaces, true);
        }
    }
});
