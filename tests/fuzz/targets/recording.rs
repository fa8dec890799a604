//! A recording of anybody: what is read is written and read back the same, and
//! can be judged and shown.
#![no_main]

use hostdiag::offload::judge;
use hostdiag_model::recording::Data;
use hostdiag_model::trace::Trace;
use hostdiag_model::{Recording, matrix};
use hostdiag_report::Style;
use hostdiag_report::fix;
use hostdiag_report::offload::{self, Options};
use hostdiag_report::{snapshot, trace};
use libfuzzer_sys::fuzz_target;
use read_back::same_when_read_back;

#[path = "../read_back.rs"]
mod read_back;

fuzz_target!(|input: &[u8]| {
    let Ok(mut recording) = Recording::read(&mut &input[..]) else { return };
    same_when_read_back(&recording);
    // Its end record too, whose checksum no mutation gets right.
    recording.elapsed_ms = Some(recording.elapsed_ms.unwrap_or(1));
    same_when_read_back(&recording);

    let style = Style { color: true, unicode: true };
    let (data, stored) = match &recording.data {
        Data::Offload(data, stored) => (data, stored),
        Data::Trace(trace) => return traced(&recording, trace, style),
        other => return repairs(&recording, other, style),
    };
    let judged = judge::audit(data, &|_, _| None);
    for options in [Options::default(), Options { notes: true, all: true, style }] {
        let _ = offload::text(&recording, data, &judged, options);
        let _ = offload::text(&recording, data, stored, options);
    }
    for all in [false, true] {
        let _ = offload::matrix::text(&matrix::matrices(&data.namespaces, all), style);
    }
});

/// The pages of repairs, on which no name is to begin a line of its own.
fn repairs(recording: &Recording, data: &Data, style: Style) {
    for options in [fix::Options::default(), fix::Options { all: true, style }] {
        let page = match data {
            Data::Offload(..) | Data::Trace(_) => return,
            Data::Fix(fix) => fix::text(recording, fix, options),
            Data::Undo(undo) => fix::undo::text(recording, undo, options),
            Data::History(history) => fix::history::text(recording, history, options),
            Data::Snapshot(data) => {
                snapshot::text(recording, data, snapshot::Options { all: options.all, style })
            }
        };
        assert!(!page.contains('\r') && page.ends_with('\n'));
    }
}

/// What a tracing tool shows, and what stands beside it.
fn traced(recording: &Recording, shown: &Trace, style: Style) {
    for text in [trace::text(recording, shown), trace::list::text(&shown.head, style)] {
        assert!(!text.contains('\r'));
    }
    let _ = trace::words::tracing(&shown.head);
    let _ = trace::words::notes(shown);
}
