//! What targets of recordings have in common.

use hostdiag_model::Recording;

/// What was read is written and read back the same.
pub fn same_when_read_back(recording: &Recording) {
    let mut written = Vec::new();
    recording.write(&mut written).expect("a vector takes everything");
    match Recording::read(&mut &written[..]) {
        Ok(again) => assert_eq!(&again, recording),
        Err(error) => panic!("not read back: {error}"),
    }
}
