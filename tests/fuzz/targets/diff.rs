//! Two recordings of anybody, which stand one after another: they can be compared,
//! shown, and given away.
#![no_main]

use hostdiag_model::diff::{self, How, Source, What};
use hostdiag_model::redact::Redactor;
use hostdiag_model::{Capture, Recording};
use hostdiag_report::diff as report;
use libfuzzer_sys::fuzz_target;
use read_back::same_when_read_back;

#[path = "../read_back.rs"]
mod read_back;

fuzz_target!(|input: &[u8]| {
    let Ok(Capture { mut recordings }) = Capture::read(&mut &input[..]) else { return };
    let mut redacted = recordings.clone();
    Redactor::default().redact(&mut redacted).expect("what was read is read again");
    redacted.iter().for_each(same_when_read_back);
    let b = recordings.pop().expect("a capture has at least one");
    let a = recordings.pop().unwrap_or_else(|| b.clone());
    compared(&a, &a);
    compared(&a, &b);
});

fn compared(a: &Recording, b: &Recording) {
    for how in [How::default(), How { work: Some([1.0, 3.0]), share: false }, How { work: None, share: true }]
    {
        let [one, other] =
            [a, b].map(|one| vec![Source { name: "x".into(), what: What::Recording(Box::new(one.clone())) }]);
        let Ok(comparison) = diff::compare(one, other, how) else { continue };
        let page = report::text(&comparison, report::Options::default());
        assert!(!page.contains('\r') && page.ends_with('\n'));
        let _ = report::next(&comparison);
        if let diff::Changes::Stacks(stacks) = &comparison.changes {
            let _ = report::svg::svg(&comparison, stacks);
        }
    }
}
