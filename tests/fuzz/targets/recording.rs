//! A recording of anybody: what is read is written and read back the same, and
//! can be judged and shown.
#![no_main]

use hostdiag::offload::judge;
use hostdiag_model::recording::Data;
use hostdiag_model::{Recording, matrix};
use hostdiag_report::Style;
use hostdiag_report::offload::{self, Options};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(mut recording) = Recording::read(&mut &input[..]) else { return };
    same_when_read_back(&recording);
    // Its end record too, whose checksum no mutation gets right.
    recording.elapsed_ms = Some(recording.elapsed_ms.unwrap_or(1));
    same_when_read_back(&recording);

    let Data::Offload(data, stored) = &recording.data;
    let judged = judge::audit(data, &|_, _| None);
    let style = Style { color: true, unicode: true };
    for options in [Options::default(), Options { notes: true, all: true, style }] {
        let _ = offload::text(&recording, data, &judged, options);
        let _ = offload::text(&recording, data, stored, options);
    }
    for all in [false, true] {
        let _ = offload::matrix::text(&matrix::matrices(&data.namespaces, all), style);
    }
});

fn same_when_read_back(recording: &Recording) {
    let mut written = Vec::new();
    recording.write(&mut written).expect("a vector takes everything");
    match Recording::read(&mut &written[..]) {
        Ok(again) => assert_eq!(&again, recording),
        Err(error) => panic!("not read back: {error}"),
    }
}
